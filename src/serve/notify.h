/* Tells the service manager of the server's life (sd_notify(3), by hand: one datagram a message): a
 * unit of Type=notify has started once a first answer was right, not once there is a process; its
 * time to start does not run out while loading goes on; systemctl status says how far it is.
 * Without NOTIFY_SOCKET in the environment nothing happens. Any thread. */
#ifndef SAMP_SERVE_NOTIFY_H
#define SAMP_SERVE_NOTIFY_H

#include <stdint.h>

/* "load 42 %", and more time to get on; at most once a second by *last, 0 at first. */
void samp_notify_loading(double *last, const char *what, uint64_t done, uint64_t total);
void samp_notify_ready(const char *about);
void samp_notify_stopping(const char *why);

#endif
