/* The list of checks: made group by group, judged and written as JSON. */
#include "doctor/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const group_names[] = {
#define X(id, name) name,
    SAMP_DOCTOR_GROUP_LIST(X)
#undef X
};

const char *samp_doctor_group_name(samp_doctor_group group) { return group_names[group]; }

const char *samp_verdict_name(samp_verdict verdict)
{
    return verdict == SAMP_VERDICT_OK ? "ok" : verdict == SAMP_VERDICT_WARN ? "warn" : "broken";
}

/* What comes from files is shown, not obeyed: printable ASCII only. */
static void clean(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at >= 0x7f) *at = '?';
}

__attribute__((format(printf, 5, 0))) static void add(samp_doctor *doctor, samp_doctor_group group,
                                                      samp_verdict verdict, const char *command,
                                                      const char *format, va_list arguments)
{
    if (doctor->n_checks == SAMP_DOCTOR_CHECKS_MAX) return; /* 64 GPUs and more */
    samp_check *check = &doctor->checks[doctor->n_checks++];
    *check = (samp_check){.group = group, .verdict = verdict};
    vsnprintf(check->found, sizeof check->found, format, arguments);
    snprintf(check->command, sizeof check->command, "%s", command);
    clean(check->found);
    clean(check->command);
}

void samp__check_ok(samp_doctor *doctor, samp_doctor_group group, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(doctor, group, SAMP_VERDICT_OK, "", format, arguments);
    va_end(arguments);
}

void samp__check_bad(samp_doctor *doctor, samp_doctor_group group, samp_verdict verdict,
                     const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(doctor, group, verdict, command, format, arguments);
    va_end(arguments);
}

char *samp__gigabytes(char out[32], double bytes)
{
    snprintf(out, 32, bytes < 9.95e9 ? "%.2f GB" : "%.1f GB", bytes / 1e9);
    return out;
}

samp_status samp_doctor_run(samp_doctor *out, const samp_doctor_options *options, samp_error *error)
{
    memset(out, 0, sizeof *out);
    samp__check_versions(out, options);
    samp__check_processor(out, options);
    samp__check_limits(out, options);
    samp__check_memory(out, options);
    SAMP_TRY(samp__check_bandwidth(out, options, error));
    samp__check_huge_pages(out, options);
    samp__check_disk(out, options);
    samp__check_gpu(out, options);
    SAMP_TRY(samp__check_kernels(out, error));
    return samp__check_models(out, options, error);
}

samp_verdict samp_doctor_verdict(const samp_doctor *doctor)
{
    samp_verdict worst = SAMP_VERDICT_OK;
    for (size_t i = 0; i < doctor->n_checks; i++)
        if (doctor->checks[i].verdict > worst) worst = doctor->checks[i].verdict;
    return worst;
}

static json_t *checks_json(const samp_doctor *doctor)
{
    json_t *list = json_array();
    for (size_t i = 0; i < doctor->n_checks; i++) {
        const samp_check *c = &doctor->checks[i];
        json_t *row = json_pack("{s:s,s:s,s:s}", "group", samp_doctor_group_name(c->group),
                                "verdict", samp_verdict_name(c->verdict), "found", c->found);
        if (c->command[0]) samp_json_set(row, "command", json_string(c->command));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *fits_json(const samp_doctor *doctor)
{
    json_t *list = json_array();
    for (size_t i = 0; i < doctor->n_fits; i++) {
        const samp_doctor_fit *fit = &doctor->fits[i];
        for (size_t f = 0; f < fit->n; f++) {
            json_t *row = json_pack("{s:s,s:f,s:b}", "model", fit->name, "weight_bytes",
                                    fit->in[f].bytes, "fits", (int)fit->in[f].fits);
            if (fit->in[f].format) samp_json_set(row, "format", json_string(fit->in[f].format));
            if (fit->in[f].tokens_per_second > 0)
                samp_json_set(row, "tokens_per_second_at_most",
                              json_real(fit->in[f].tokens_per_second));
            json_array_append_new(list, row);
        }
    }
    return list;
}

json_t *samp_doctor_json(const samp_doctor *doctor)
{
    json_t *bandwidths = json_array();
    for (size_t i = 0; i < doctor->n_bandwidths; i++)
        json_array_append_new(
            bandwidths, json_pack("{s:i,s:f}", "threads", (int)doctor->bandwidths[i].n_threads,
                                  "bytes_per_second", doctor->bandwidths[i].bytes_per_second));
    return json_pack("{s:i,s:s,s:s,s:o,s:o,s:o}", "schema_version", 1, "version", SAMP_VERSION,
                     "verdict", samp_verdict_name(samp_doctor_verdict(doctor)), "checks",
                     checks_json(doctor), "bandwidth", bandwidths, "models", fits_json(doctor));
}
