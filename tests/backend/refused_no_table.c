/* A backend that declines to give its table (test_load.c), as a GPU's may without its driver. */
#include <stddef.h>

__attribute__((visibility("default"))) const void *samp_backend_entry(void);
const void *samp_backend_entry(void) { return NULL; }
