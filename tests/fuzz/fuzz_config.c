/* config.json from anywhere: parsed, quantization_config included, ours and other programs'; what is
 * accepted must survive a round trip and give finite rotation frequencies. */
#include "model/config.h"
#include "model/quantization.h"
#include "quantize/foreign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const samp_config *config)
{
    double *frequencies = malloc(config->head_dim / 2 * sizeof *frequencies);
    if (!frequencies) return;
    samp_rope_frequencies(config, frequencies);
    for (uint32_t i = 0; i < config->head_dim / 2; i++)
        if (!isfinite(frequencies[i])) abort();
    free(frequencies);
    samp_error error;
    samp_config again;
    json_t *json = samp_config_json(config, "bfloat16");
    if (!json || samp_config_parse(&again, json, "round trip", &error) != SAMP_OK) abort();
    if (memcmp(config, &again, sizeof again) != 0) abort();
    json_decref(json);
}

/* Another program's object: usable or a finding says why not; what a shape divides by is not 0. */
static void check_foreign(const json_t *object)
{
    samp_foreign foreign = {0};
    samp_findings findings = {0};
    bool usable = samp_foreign_read(&foreign, object, &findings);
    samp_foreign_check_threshold(object, &findings);
    if (findings.count == 0) abort(); /* that another program made it, at least */
    for (size_t i = 0; usable && i < foreign.n_groups; i++) {
        const samp_foreign_group *group = &foreign.groups[i];
        if (group->strategy == SAMP_FOREIGN_GROUP && !group->group_size) abort();
        if (group->strategy == SAMP_FOREIGN_BLOCK && !(group->block[0] && group->block[1])) abort();
    }
    samp_findings_release(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    samp_error error;
    samp_config config;
    const json_t *modules;
    json_t *root;
    if (samp_json_parse(&root, (const char *)data, size, "fuzz", &error) != SAMP_OK) return 0;
    if (samp_config_parse(&config, root, "fuzz", &error) == SAMP_OK) check_accepted(&config);
    if (samp_quantization_open(root, &modules, "fuzz", &error) == SAMP_OK && modules) {
        samp_quantization_entry entry;
        char why[128];
        samp_quantization_entry_of(modules, "model.layers.0.mlp.up_proj.weight", &entry, "fuzz",
                                   &error);
        samp_quantization_doubts(root, why, sizeof why);
    }
    const json_t *object = samp_foreign_object(root);
    if (object) check_foreign(object);
    json_decref(root);
    return 0;
}
