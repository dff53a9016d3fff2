/* What a service manager hears: that loading goes on, that the server is ready, no sooner than it
 * is, and that it stops. The manager is a socket of this test, by path and without one. */
#include "serve_support.h"

#include <stddef.h>
#include <sys/un.h>

static int manager_open(const char *name)
{
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 60};
    size_t n = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(fd >= 0 && n < sizeof here.sun_path);
    memcpy(here.sun_path, name, n);
    if (*name == '@') here.sun_path[0] = '\0';
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&here, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
        0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect(int fd, const char *beginning)
{
    char message[2048];
    ssize_t n = recv(fd, message, sizeof message - 1, 0);
    assert_true(n > 0);
    message[n] = '\0';
    if (strncmp(message, beginning, strlen(beginning)) != 0)
        fail_msg("\"%s\" instead of \"%s\"", message, beginning);
}

static void silent_now(int fd)
{
    char message[1];
    assert_int_equal(recv(fd, message, sizeof message, MSG_DONTWAIT), -1);
}

static _Atomic bool go_on;

static bool hold_loading(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)context, (void)what, (void)done, (void)total;
    while (!atomic_load(&go_on)) usleep(1000);
    return true;
}

static void whole_life(const char *name)
{
    served s;
    samp_buffer text = {0};
    int fd = manager_open(name);
    served_init(&s);
    atomic_store(&go_on, false);
    s.options.progress.report = hold_loading;
    assert_int_equal(pthread_create(&s.thread, NULL, served_main, &s), 0);
    expect(fd, "EXTEND_TIMEOUT_USEC=120000000\nSTATUS=load ");
    usleep(50000);
    silent_now(fd); /* the port is bound, but nobody is told to come */
    assert_int_equal(ask(&s, "GET", "/ready", NULL, NULL, &text), 503);
    atomic_store(&go_on, true);
    expect(fd, "READY=1\nSTATUS=ready: tiny, ");
    assert_int_equal(ask(&s, "GET", "/ready", NULL, NULL, &text), 200);
    kill(getpid(), SIGTERM);
    expect(fd, "STOPPING=1\n");
    while (!atomic_load(&s.over)) usleep(1000);
    silent_now(fd);
    served_stop(&s);
    unsetenv("NOTIFY_SOCKET");
    samp_buffer_release(&text);
    close(fd);
}

static void a_manager_without_a_path(void **state)
{
    char name[60];
    (void)state;
    snprintf(name, sizeof name, "@samp-notify-%d", (int)getpid());
    whole_life(name);
}

static void a_manager_with_a_path(void **state)
{
    char *folder = tiny_folder(), name[100];
    (void)state;
    snprintf(name, sizeof name, "%.80s/notify", folder);
    whole_life(name);
    assert_int_equal(remove(name), 0);
    tiny_remove(folder);
}

/* Nobody there, names that are none: served all the same. */
static void a_manager_that_left(void **state)
{
    static const char *const names[] = {"/nowhere/notify", "@", "notify", ""};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        served s;
        setenv("NOTIFY_SOCKET", names[i], 1);
        served_init(&s);
        served_start(&s);
        served_stop(&s);
    }
    unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manager_without_a_path),
        cmocka_unit_test(a_manager_with_a_path),
        cmocka_unit_test(a_manager_that_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
