/* A shared object that is no backend: it has no samp_backend_entry (test_load.c). */
__attribute__((visibility("default"))) extern const int samp_something_else;
const int samp_something_else = 1;
