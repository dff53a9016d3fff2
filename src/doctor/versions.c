/* What this program is made of, and what in the environment changes it. */
#include "doctor/check.h"

#include <gnu/libc-version.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

extern char **environ;

#if defined(__clang__)
#define COMPILER "Clang " __clang_version__
#else
#define COMPILER "GCC " __VERSION__
#endif

#if defined(__OPTIMIZE__)
static const bool optimised = true;
#else
static const bool optimised = false;
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

/* Names only: a value may be a secret. */
static void check_environment(samp_doctor *doctor)
{
    char names[256] = "";
    for (char **variable = environ; *variable; variable++) {
        size_t n = strcspn(*variable, "="), at = strlen(names);
        if (strncmp(*variable, "SAMP_", 5) == 0 && at + n + 3 < sizeof names)
            snprintf(names + at, sizeof names - at, "%s%.*s", at ? ", " : "", (int)n, *variable);
    }
    if (names[0]) samp__check_ok(doctor, SAMP_DOCTOR_VERSIONS, "the environment sets %s", names);
}

void samp__check_versions(samp_doctor *doctor, const samp_doctor_options *options)
{
    (void)options;
    static const char rebuild[] = "cmake --preset release && cmake --build --preset release";
    if (sanitized || !optimised)
        samp__check_bad(doctor, SAMP_DOCTOR_VERSIONS, SAMP_VERDICT_WARN, rebuild,
                        "samp %s, %s, %s: many times slower than a release", SAMP_VERSION, COMPILER,
                        sanitized ? "with sanitizers" : "not optimised");
    else
        samp__check_ok(doctor, SAMP_DOCTOR_VERSIONS, "samp %s, %s, optimised", SAMP_VERSION,
                       COMPILER);
    char pcre2[64] = "";
    if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) < (int)sizeof pcre2)
        pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    struct utsname system;
    if (uname(&system) != 0) memset(&system, 0, sizeof system);
    samp__check_ok(
        doctor, SAMP_DOCTOR_VERSIONS, "%s %s %s, glibc %s; jansson %s, PCRE2 %.*s, utf8proc %s, %s",
        system.sysname, system.release, system.machine, gnu_get_libc_version(), JANSSON_VERSION,
        (int)strcspn(pcre2, " "), pcre2, utf8proc_version(), OpenSSL_version(OPENSSL_VERSION));
    check_environment(doctor);
}
