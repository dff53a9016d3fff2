/* The list of findings. Texts live in its arena. */
#include "quantize/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const samp_finding_rule RULES[SAMP_FINDING_COUNT] = {
#define X(id, code, severity, title, cause, fix)                                                   \
    {code, SAMP_SEVERITY_##severity, title, cause, fix},
    SAMP_FINDING_LIST(X)
#undef X
};

bool samp_finding_find(const char *code, samp_finding_id *out)
{
    for (int id = 0; id < SAMP_FINDING_COUNT; id++)
        if (strcmp(RULES[id].code, code) == 0) {
            *out = (samp_finding_id)id;
            return true;
        }
    return false;
}

static const char *const SEVERITIES[] = {"note", "warning", "error"};

const samp_finding_rule *samp_finding_rule_get(samp_finding_id id) { return &RULES[id]; }

const char *samp_severity_name(samp_severity severity) { return SEVERITIES[severity]; }

bool samp_severity_parse(const char *name, samp_severity *out)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(SEVERITIES[i], name) == 0) {
            *out = (samp_severity)i;
            return true;
        }
    return false;
}

/* A copy without control bytes: names come from files, and reports go to terminals. */
static const char *keep(samp_findings *findings, const char *text)
{
    if (!text) return "";
    char *copy = samp_arena_strndup(&findings->arena, text, strlen(text));
    if (!copy) findings->failed = true;
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    return copy ? copy : "";
}

void samp_findings_add(samp_findings *findings, samp_finding_id id, const char *file,
                       const char *tensor, const char *format, ...)
{
    if (findings->counts[id]++ >= SAMP_FINDINGS_PER_ID) return;
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? 2 * findings->capacity : 16;
        samp_finding *items = samp_realloc(findings->items, capacity, sizeof *items);
        if (!items) {
            findings->failed = true;
            return;
        }
        findings->items = items;
        findings->capacity = capacity;
    }
    char message[sizeof((samp_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    findings->items[findings->count++] =
        (samp_finding){id, keep(findings, file), keep(findings, tensor), keep(findings, message)};
}

void samp_findings_release(samp_findings *findings)
{
    samp_free(findings->items);
    samp_arena_release(&findings->arena);
    *findings = (samp_findings){0};
}

uint64_t samp_findings_at_least(const samp_findings *findings, samp_severity severity)
{
    uint64_t n = 0;
    for (int id = 0; id < SAMP_FINDING_COUNT; id++)
        if (RULES[id].severity >= severity) n += findings->counts[id];
    return n;
}

int samp_findings_exit(const samp_findings *findings, samp_severity fail_on)
{
    return samp_findings_at_least(findings, fail_on) ? 1 : 0;
}
