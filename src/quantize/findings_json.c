/* Findings for programs: our own JSON, and SARIF 2.1.0. */
#include "base/hash.h"
#include "base/json.h"
#include "quantize/findings.h"

#include <string.h>

/* Bytes from file names and tensors may not be UTF-8; JSON must be: such bytes become '?'. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    if (value) return value;
    char *copy = samp_strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80) *p = '?';
    value = copy ? json_string(copy) : NULL;
    samp_free(copy);
    return value;
}

/* Takes root. */
static samp_status print(json_t *root, bool ok, samp_buffer *out, samp_error *error)
{
    char *text = ok && root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return samp_fail(error, SAMP_NOMEM, "out of memory for the report");
    samp_buffer_text(out, text);
    samp_buffer_text(out, "\n");
    samp_free(text);
    return samp_buffer_ok(out, error);
}

static json_t *finding_json(const samp_finding *finding)
{
    const samp_finding_rule *rule = samp_finding_rule_get(finding->id);
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o, s:s}", "id", rule->code, "severity",
                     samp_severity_name(rule->severity), "file", text_json(finding->file), "tensor",
                     text_json(finding->tensor), "title", rule->title, "message",
                     text_json(finding->message), "fix", rule->fix);
}

samp_status samp_findings_json(const samp_findings *findings, const char *folder, samp_buffer *out,
                               samp_error *error)
{
    json_t *list = json_array(), *counts = json_object();
    bool ok = list && counts;
    for (size_t i = 0; ok && i < findings->count; i++)
        ok = json_array_append_new(list, finding_json(&findings->items[i])) == 0;
    for (int id = 0; ok && id < SAMP_FINDING_COUNT; id++)
        if (findings->counts[id])
            ok = samp_json_set(counts, samp_finding_rule_get((samp_finding_id)id)->code,
                               json_integer((json_int_t)findings->counts[id]));
    json_t *root =
        json_pack("{s:i, s:s, s:o, s:b, s:I, s:I, s:I, s:o, s:o}", "schema_version", 1, "tool",
                  "samp " SAMP_VERSION, "folder", text_json(folder), "ok",
                  samp_findings_at_least(findings, SAMP_SEVERITY_ERROR) == 0, "files",
                  (json_int_t)findings->n_files, "tensors", (json_int_t)findings->n_tensors,
                  "bytes_read", (json_int_t)findings->n_bytes, "counts", counts, "findings", list);
    return print(root, ok, out, error);
}

static json_t *rule_json(const samp_finding_rule *rule)
{
    return json_pack("{s:s, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}", "id", rule->code,
                     "shortDescription", "text", rule->title, "fullDescription", "text",
                     rule->cause, "help", "text", rule->fix, "defaultConfiguration", "level",
                     samp_severity_name(rule->severity));
}

/* Appends a path as part of a URI: bytes outside of RFC 3986's unreserved set and '/' are
 * escaped. */
static void append_uri(samp_buffer *out, const char *path)
{
    for (const char *p = path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~/", *p);
        if (plain)
            samp_buffer_append(out, p, 1);
        else
            samp_buffer_printf(out, "%%%02X", (unsigned char)*p);
    }
}

/* A file URI when the folder is absolute, else a reference relative to where samp ran: in CI, the
 * repository. A finding about the folder points at its config.json. */
static json_t *location_uri(const char *folder, const char *file)
{
    samp_buffer text = {0};
    if (folder[0] == '/') samp_buffer_text(&text, "file://");
    append_uri(&text, folder);
    if (!text.length || text.data[text.length - 1] != '/') samp_buffer_text(&text, "/");
    append_uri(&text, *file ? file : "config.json");
    json_t *value = text.failed ? NULL : json_string(text.data);
    samp_buffer_release(&text);
    return value;
}

/* The same finding in two runs has the same fingerprint: services can tell old from new. */
static json_t *fingerprint(const samp_finding *finding)
{
    char hex[SAMP_SHA256_HEX];
    samp_buffer text = {0};
    samp_buffer_printf(&text, "%s\n%s\n%s", samp_finding_rule_get(finding->id)->code, finding->file,
                       finding->tensor);
    bool ok = !text.failed && samp_sha256_bytes(text.data, text.length, hex, NULL) == SAMP_OK;
    samp_buffer_release(&text);
    return ok ? json_pack("{s:s}", "sampFinding/v1", hex) : NULL;
}

static json_t *result_json(const samp_finding *finding, const char *folder)
{
    const samp_finding_rule *rule = samp_finding_rule_get(finding->id);
    json_t *location =
        json_pack("{s:{s:{s:o}, s:{s:i}}}", "physicalLocation", "artifactLocation", "uri",
                  location_uri(folder, finding->file), "region", "startLine", 1);
    if (location && *finding->tensor)
        samp_json_set(location, "logicalLocations",
                      json_pack("[{s:o, s:s}]", "fullyQualifiedName", text_json(finding->tensor),
                                "kind", "member"));
    return json_pack("{s:s, s:i, s:s, s:{s:o}, s:[o], s:o}", "ruleId", rule->code, "ruleIndex",
                     (int)finding->id, "level", samp_severity_name(rule->severity), "message",
                     "text", text_json(finding->message), "locations", location,
                     "partialFingerprints", fingerprint(finding));
}

samp_status samp_findings_sarif(const samp_findings *findings, const char *folder, samp_buffer *out,
                                samp_error *error)
{
    json_t *rules = json_array(), *results = json_array();
    bool ok = rules && results;
    for (int id = 0; ok && id < SAMP_FINDING_COUNT; id++)
        ok = json_array_append_new(rules, rule_json(samp_finding_rule_get((samp_finding_id)id))) ==
             0;
    for (size_t i = 0; ok && i < findings->count; i++)
        ok = json_array_append_new(results, result_json(&findings->items[i], folder)) == 0;
    json_t *run =
        json_pack("{s:{s:{s:s, s:s, s:o}}, s:o, s:s}", "tool", "driver", "name", "samp", "version",
                  SAMP_VERSION, "rules", rules, "results", results, "columnKind", "utf16CodeUnits");
    json_t *root = json_pack("{s:s, s:s, s:[o]}", "$schema",
                             "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
                             "sarif-schema-2.1.0.json",
                             "version", "2.1.0", "runs", run);
    return print(root, ok, out, error);
}
