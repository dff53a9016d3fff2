/* Findings for people, and the table of rules as Markdown. */
#include "quantize/findings.h"

#include <stdio.h>
#include <string.h>

static const char *colour_of(samp_severity severity)
{
    switch (severity) {
    case SAMP_SEVERITY_ERROR: return "\033[1;31m";
    case SAMP_SEVERITY_WARNING: return "\033[1;33m";
    case SAMP_SEVERITY_NOTE: break;
    }
    return "\033[1;36m";
}

/* Two to four lines a finding:
 *     error    SAMP-SHD-006  model-00001-of-00002.safetensors
 *              a shard is a Git LFS pointer: it is 134 bytes of text
 *              fix: Run `git lfs pull` in the folder. */
static void print_finding(const samp_finding *finding, bool colour, samp_buffer *out)
{
    const samp_finding_rule *rule = samp_finding_rule_get(finding->id);
    samp_buffer_printf(out, "%s%-8s%s %s", colour ? colour_of(rule->severity) : "",
                       samp_severity_name(rule->severity), colour ? "\033[0m" : "", rule->code);
    if (*finding->file) samp_buffer_printf(out, "  %s", finding->file);
    if (*finding->tensor) samp_buffer_printf(out, "  %s", finding->tensor);
    samp_buffer_printf(out, "\n         %s: %s\n         fix: %s\n", rule->title, finding->message,
                       rule->fix);
}

static void print_counted(const samp_findings *findings, samp_buffer *out)
{
    for (int id = 0; id < SAMP_FINDING_COUNT; id++)
        if (findings->counts[id] > SAMP_FINDINGS_PER_ID)
            samp_buffer_printf(out, "         and %llu more of %s\n",
                               (unsigned long long)findings->counts[id] - SAMP_FINDINGS_PER_ID,
                               samp_finding_rule_get((samp_finding_id)id)->code);
}

void samp_findings_text(const samp_findings *findings, const char *folder, bool colour,
                        samp_buffer *out)
{
    for (int severity = SAMP_SEVERITY_ERROR; severity >= SAMP_SEVERITY_NOTE; severity--)
        for (size_t i = 0; i < findings->count; i++)
            if ((int)samp_finding_rule_get(findings->items[i].id)->severity == severity)
                print_finding(&findings->items[i], colour, out);
    print_counted(findings, out);
    unsigned long long errors = samp_findings_at_least(findings, SAMP_SEVERITY_ERROR);
    unsigned long long warnings = samp_findings_at_least(findings, SAMP_SEVERITY_WARNING) - errors;
    unsigned long long notes =
        samp_findings_at_least(findings, SAMP_SEVERITY_NOTE) - errors - warnings;
    samp_buffer_printf(out,
                       "%s: %llu error%s, %llu warning%s, %llu note%s (%llu files, %llu tensors",
                       folder, errors, errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s",
                       notes, notes == 1 ? "" : "s", (unsigned long long)findings->n_files,
                       (unsigned long long)findings->n_tensors);
    samp_buffer_printf(out, ", %.1f MB of tensor data read)\n", (double)findings->n_bytes / 1e6);
}

void samp_findings_rules(samp_buffer *out)
{
    samp_buffer_text(out, "What `samp validate` can find\n\n"
                          "| id | severity | finding | cause | fix |\n|---|---|---|---|---|\n");
    for (int id = 0; id < SAMP_FINDING_COUNT; id++) {
        const samp_finding_rule *rule = samp_finding_rule_get((samp_finding_id)id);
        samp_buffer_printf(out, "| %s | %s | %s | %s | %s |\n", rule->code,
                           samp_severity_name(rule->severity), rule->title, rule->cause, rule->fix);
    }
}

bool samp_findings_explain(const char *id, samp_buffer *out)
{
    samp_finding_id found;
    if (!samp_finding_find(id, &found)) return false;
    const samp_finding_rule *rule = samp_finding_rule_get(found);
    samp_buffer_printf(out, "%s  %s\n%s\n\ncause: %s\nfix:   %s\n", rule->code,
                       samp_severity_name(rule->severity), rule->title, rule->cause, rule->fix);
    return true;
}
