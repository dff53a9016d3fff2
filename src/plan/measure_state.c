/* The state of a measurement on disk: streams.bin (activations, two generations), moments.bin, feedback.bin, groups.json, state.json.
 * state.json is written last and names what the others hold; a state of other options, another model or another boot
 * (the page cache may not have reached the disk) is not used. */
#include "plan/measure_internal.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "file/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PATH_MAX_HERE = 4096, SMALL_FILE = 1 << 20 };

static samp_status path_of(const samp__measure *m, const char *name, char *out, samp_error *error)
{
    return samp_path_join(out, PATH_MAX_HERE, m->options->work_folder, name, error);
}

static uint64_t moment_count(const samp__measure *m)
{
    return m->moment_at[m->head] + samp_group_cols(&m->groups[m->head]);
}

static void boot_id(char out[64])
{
    snprintf(out, 64, "unknown");
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file) return;
    if (!fgets(out, 64, file)) snprintf(out, 64, "unknown");
    out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

static samp_status make_key(samp__measure *m, samp_error *error)
{
    samp_sha256 *hash;
    SAMP_TRY(samp_sha256_begin(&hash, error));
    uint32_t numbers[] = {m->window,
                          m->n_windows,
                          m->n_probe_windows,
                          m->score_every,
                          (uint32_t)m->groups[m->head].weights[0]->layout.rows,
                          4 /* version of the method */};
    samp_sha256_update(hash, m->out->model_digest, strlen(m->out->model_digest));
    samp_sha256_update(hash, numbers, sizeof numbers);
    samp_sha256_update(hash, m->options->tokens,
                       (size_t)m->n_windows * m->window * sizeof *m->options->tokens);
    samp_sha256_end(hash, m->key);
    return SAMP_OK;
}

/* Takes over what a killed run left when it fits; *layers stays 0 when not. */
static samp_status resume(samp__measure *m, const char *state_path, samp_error *error)
{
    char path[PATH_MAX_HERE], boot[64];
    const char *key = "", *state_boot = "";
    int64_t layers = 0, generation = 0;
    json_t *state;
    if (!samp_is_file(state_path)) return SAMP_OK;
    if (samp_json_load(&state, state_path, SMALL_FILE, NULL) != SAMP_OK) return SAMP_OK;
    boot_id(boot);
    bool fits = samp_json_string(state, "key", true, &key, state_path, NULL) == SAMP_OK &&
                strcmp(key, m->key) == 0 &&
                samp_json_string(state, "boot", true, &state_boot, state_path, NULL) == SAMP_OK &&
                strcmp(state_boot, boot) == 0 &&
                samp_json_integer(state, "layers_done", true, 1, m->config->n_layers, &layers,
                                  state_path, NULL) == SAMP_OK &&
                samp_json_integer(state, "generation", true, 0, 1, &generation, state_path, NULL) ==
                    SAMP_OK;
    json_decref(state);
    if (!fits) return SAMP_OK;
    samp_sensitivity saved;
    samp_buffer moments = {0};
    SAMP_TRY(path_of(m, "groups.json", path, error));
    if (samp_sensitivity_load(&saved, path, NULL) != SAMP_OK) return SAMP_OK;
    SAMP_TRY(path_of(m, "moments.bin", path, error));
    if (saved.n_groups == (size_t)layers * SAMP_GROUP_EMBED &&
        samp_file_slurp(path, moment_count(m) * sizeof(float), &moments, NULL) == SAMP_OK &&
        moments.length == moment_count(m) * sizeof(float)) {
        memcpy(m->moment, moments.data, moments.length);
        samp_sensitivity_group *all = samp_arena_alloc(&saved.arena, m->n_groups, sizeof *all);
        if (all) {
            memcpy(all, saved.groups, saved.n_groups * sizeof *all);
            saved.groups = all;
            samp_sensitivity_release(m->out);
            *m->out = saved;
            m->out->bias = 1;
            saved = (samp_sensitivity){0};
            m->layers_done = (uint32_t)layers;
            m->streams.generation = (int)generation;
            for (uint64_t l = 0; l < (uint64_t)layers; l++)
                m->work_done +=
                    (uint64_t)m->n_windows * m->window +
                    (4 * l + 5 + samp__early_probes(m)) * m->n_probe_windows * m->window;
            samp_log(SAMP_LOG_INFO, "going on after layer %u", m->layers_done);
        }
    }
    samp_buffer_release(&moments);
    samp_sensitivity_release(&saved);
    return SAMP_OK;
}

samp_status samp__measure_begin(samp__measure *m, samp_error *error)
{
    char path[PATH_MAX_HERE];
    bool fresh;
    m->out->groups = samp_arena_alloc(&m->out->arena, m->n_groups, sizeof *m->out->groups);
    if (!m->out->groups) return samp_fail(error, SAMP_NOMEM, "out of memory");
    SAMP_TRY(samp_model_digest(m->model, m->out->model_digest, error));
    SAMP_TRY(make_key(m, error));
    SAMP_TRY(samp_make_folder(m->options->work_folder, error));
    SAMP_TRY(path_of(m, "streams.bin", path, error));
    SAMP_TRY(samp_streams_open(&m->streams, path,
                               m->reference_floats + (m->n_groups + 1) * m->probe_floats, &fresh,
                               error));
    SAMP_TRY(samp__measure_open_feedback(m, error));
    SAMP_TRY(path_of(m, "state.json", path, error));
    if (!fresh) SAMP_TRY(resume(m, path, error));
    m->out->n_groups = m->n_groups;
    return SAMP_OK;
}

samp_status samp__measure_save(samp__measure *m, samp_error *error)
{
    char path[PATH_MAX_HERE], boot[64];
    SAMP_TRY(path_of(m, "groups.json", path, error));
    samp_sensitivity so_far = *m->out;
    so_far.n_groups = (size_t)m->layers_done * SAMP_GROUP_EMBED;
    so_far.n_tokens = 1;
    SAMP_TRY(samp_sensitivity_save(&so_far, path, error));
    SAMP_TRY(path_of(m, "moments.bin", path, error));
    SAMP_TRY(samp_file_write(path, m->moment, moment_count(m) * sizeof *m->moment, error));
    boot_id(boot);
    json_t *state = json_pack("{s:s,s:s,s:i,s:i}", "key", m->key, "boot", boot, "layers_done",
                              (int)m->layers_done, "generation", m->streams.generation);
    char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
    json_decref(state);
    SAMP_TRY(path_of(m, "state.json", path, error));
    samp_status status = text ? samp_file_write(path, text, strlen(text), error)
                              : samp_fail(error, SAMP_NOMEM, "out of memory");
    samp_free(text);
    return status;
}

/* The two tensors of every group (a head cut in two has them once); an embedding has no factor. Returns how many specs there are. */
static size_t describe_moments(const samp__measure *m, samp_tensor_spec *specs, char (*names)[64])
{
    size_t n = 0;
    for (size_t g = 0; g <= m->head; g++, n++) {
        snprintf(names[n], sizeof *names, "%s.moment", samp_group_input(&m->groups[g]));
        specs[n] = (samp_tensor_spec){names[n], SAMP_F32, 1, {samp_group_cols(&m->groups[g])}};
    }
    for (size_t g = 0; g <= m->head; g++) {
        uint64_t values = samp_feedback_values(samp_group_cols(&m->groups[g]));
        if (m->groups[g].kind == SAMP_GROUP_EMBED || !values) continue;
        snprintf(names[n], sizeof *names, "%s.feedback", samp_group_input(&m->groups[g]));
        specs[n] = (samp_tensor_spec){names[n], SAMP_F16, 1, {values}};
        n++;
    }
    return n;
}

static samp_status copy_feedback(const samp__measure *m, samp_output *output, samp_error *error)
{
    enum { PIECE = 1 << 20 };
    uint64_t left = m->feedback_total * sizeof(uint16_t), at = 0;
    char *piece = samp_alloc(PIECE, 1);
    samp_status status = piece ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory");
    while (left && status == SAMP_OK) {
        uint64_t n = left < PIECE ? left : PIECE;
        if (samp_pread(m->feedback_fd, piece, n, at) < n) {
            if (errno == 0) errno = EIO; /* somebody shortened it */
            status =
                samp_fail_errno(error, "cannot read the factors in %s", m->options->work_folder);
        } else {
            status = samp_output_write(output, piece, n, error);
        }
        at += n;
        left -= n;
    }
    samp_free(piece);
    return status;
}

samp_status samp__measure_moments(const samp__measure *m, samp_error *error)
{
    size_t most = 2 * m->n_groups;
    samp_tensor_spec *specs = samp_alloc(most, sizeof *specs);
    char(*names)[64] = samp_alloc(most, sizeof *names);
    uint64_t *offsets = samp_alloc(most, sizeof *offsets), size = 0;
    samp_buffer header = {0};
    samp_output *output = NULL;
    samp_status status =
        specs && names && offsets ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory");
    if (status == SAMP_OK)
        status = samp_safetensors_header(specs, describe_moments(m, specs, names), NULL, 0, &header,
                                         offsets, &size, error);
    if (status == SAMP_OK) status = samp_output_create(&output, m->options->moments_path, error);
    if (status == SAMP_OK) status = samp_output_write(output, header.data, header.length, error);
    if (status == SAMP_OK)
        status = samp_output_write(output, m->moment, moment_count(m) * sizeof *m->moment, error);
    if (status == SAMP_OK) status = copy_feedback(m, output, error);
    if (status == SAMP_OK)
        status = samp_output_commit(output, error);
    else
        samp_output_abandon(output);
    samp_buffer_release(&header);
    samp_free(offsets);
    samp_free(names);
    samp_free(specs);
    return status;
}
