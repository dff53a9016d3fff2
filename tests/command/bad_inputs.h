/* The world of test_bad_inputs.c: sound models of four kinds, a fresh copy of one for each bad
 * input, ways to damage it, and the program itself run on it. */
#ifndef SAMP_TESTS_COMMAND_BAD_INPUTS_H
#define SAMP_TESTS_COMMAND_BAD_INPUTS_H

#include "support/cmocka_all.h"

#include "base/hash.h"
#include "quantize/model_maker.h"
#include "quantize/quantize.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SHARD1 "model-00001-of-00002.safetensors"
#define SHARD2 "model-00002-of-00002.safetensors"
#define INDEX  "model.safetensors.index.json"
#define SINGLE "model.safetensors"

typedef enum world_base {
    BASE_SINGLE,   /* bf16, one file */
    BASE_SHARDED,  /* bf16, two shards and an index */
    BASE_ARTIFACT, /* quantized by samp */
    BASE_FOREIGN,  /* by compressed-tensors: tests/golden/artifacts/ct_w4a16 */
    BASES
} world_base;

static char root[256], work[512]; /* work: the folder a bad input is made in */
static const maker_shape WORLD_SHAPE = {1, 64, 96, 2, 1, 160, false};

static inline const char *in_root(const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static inline const char *in_work(const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", work, name);
    return path;
}

static const char *const BASE_NAMES[BASES] = {"single", "sharded", "artifact", "foreign"};

static inline void copy_folder(const char *from, const char *to)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
    assert_int_equal(system(command), 0);
}

static inline void put_bytes(const char *name, const void *bytes, size_t n)
{
    samp_error error;
    (void)unlink(in_work(name)); /* a link or pipe itself, not what it leads to */
    maker_must(samp_file_write(in_work(name), bytes, n, &error), &error);
}

static inline void put_text(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

/* ---- the models ---- */

/* The single model's tensors in two files, by halves. */
static inline void make_sharded(const char *folder)
{
    samp_config config = maker_config(WORLD_SHAPE);
    maker_tensors tensors = maker_tensors_of(&config);
    json_t *map = json_object();
    for (size_t s = 0; s < 2; s++) {
        size_t first = tensors.n * s / 2, end = tensors.n * (s + 1) / 2;
        maker_tensors part = {end - first, tensors.specs + first, tensors.names + first};
        maker_shard(folder, s ? SHARD2 : SHARD1, &part, 1 + s);
        for (size_t i = first; i < end; i++)
            json_object_set_new(map, tensors.names[i], json_string(s ? SHARD2 : SHARD1));
    }
    maker_json(folder, INDEX, json_pack("{s:{}, s:o}", "metadata", "weight_map", map));
    maker_tensors_release(&tensors);
}

static inline int make_world(void **state)
{
    samp_error error;
    (void)state;
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0); /* fsync costs nothing */
    maker_scratch(root, sizeof root);
    snprintf(work, sizeof work, "%s/work", root);
    maker_model(in_root("single"), WORLD_SHAPE, 1);
    copy_folder(in_root("single"), in_root("sharded"));
    assert_int_equal(unlink(in_root("sharded/" SINGLE)), 0);
    make_sharded(in_root("sharded"));
    samp_quantize_options options = {.recipe = "samp", .n_threads = 1};
    maker_must(samp_quantize(in_root("single"), in_root("artifact"), &options, NULL, &error),
               &error);
    copy_folder(SAMP_GOLDEN "/artifacts/ct_w4a16", in_root("foreign"));
    copy_folder(in_root("artifact"), in_root("kept"));
    return 0;
}

static inline int remove_world(void **state)
{
    samp_error error;
    (void)state;
    maker_must(samp_remove_folder(root, &error), &error);
    return 0;
}

/* ---- damage ---- */

static inline json_t *load_json(const char *name)
{
    samp_error error;
    json_t *json;
    maker_must(samp_json_load(&json, in_work(name), 1 << 24, &error), &error);
    return json;
}

static inline void config_set(const char *key, json_t *value)
{
    json_t *config = load_json("config.json");
    json_object_set_new(config, key, value);
    maker_json(work, "config.json", config);
}

static inline void quantization_set(const char *key, json_t *value)
{
    json_t *config = load_json("config.json");
    json_object_set_new(json_object_get(config, "quantization_config"), key, value);
    maker_json(work, "config.json", config);
}

/* The first of some text in a file becomes another. */
static inline void replace(const char *name, const char *from, const char *to)
{
    samp_error error;
    samp_buffer bytes = {0}, made = {0};
    maker_must(samp_file_slurp(in_work(name), 1 << 24, &bytes, &error), &error);
    char *at = memmem(bytes.data, bytes.length, from, strlen(from));
    if (!at) fail_msg("%s holds no %s", name, from);
    size_t before = (size_t)(at - bytes.data);
    samp_buffer_append(&made, bytes.data, before);
    samp_buffer_text(&made, to);
    samp_buffer_append(&made, at + strlen(from), bytes.length - before - strlen(from));
    put_bytes(name, made.data, made.length);
    samp_buffer_release(&made);
    samp_buffer_release(&bytes);
}

/* Bytes of a tensor, from byte `at` of it. */
static inline void overwrite(const char *tensor, uint64_t at, const void *bytes, size_t n)
{
    samp_error error;
    samp_checkpoint *checkpoint;
    maker_must(samp_checkpoint_open(&checkpoint, work, &error), &error);
    const samp_tensor_info *info = samp_checkpoint_find(checkpoint, tensor);
    if (!info) fail_msg("no tensor %s", tensor);
    const char *path = in_work(samp_checkpoint_shard_name(checkpoint, (size_t)info->shard));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, n, (off_t)(info->offset + at)), (ssize_t)n);
    close(fd);
    samp_checkpoint_close(checkpoint);
}

/* The single file as a header of a length that may lie, and zeros. */
static inline void put_safetensors(uint64_t length, const void *header, size_t n, uint64_t data)
{
    samp_buffer file = {0};
    for (int i = 0; i < 8; i++) samp_buffer_append(&file, (char[]){(char)(length >> 8 * i)}, 1);
    samp_buffer_append(&file, header, n);
    for (uint64_t i = 0; i < data; i++) samp_buffer_append(&file, "", 1);
    put_bytes(SINGLE, file.data, file.length);
    samp_buffer_release(&file);
}

/* The single model with its tensors changed first (an added one is U8 of four bytes). */
static inline void put_model(void (*change)(maker_tensors *tensors))
{
    samp_config config = maker_config(WORLD_SHAPE);
    maker_tensors tensors = maker_tensors_of(&config);
    change(&tensors);
    maker_shard(work, SINGLE, &tensors, 1);
    maker_tensors_release(&tensors);
}

/* ---- what a folder holds ---- */

static inline int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* A line for each entry: name, kind, size, and the digest of a file of reasonable size. */
static inline samp_buffer snapshot(const char *folder)
{
    samp_buffer out = {0}, bytes = {0};
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, compare_names);
    assert_true(n >= 2);
    for (int i = 0; i < n; i++) {
        char path[1024], hex[SAMP_SHA256_HEX] = "";
        struct stat info;
        samp_error error;
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        assert_int_equal(lstat(path, &info), 0);
        if (S_ISREG(info.st_mode) && info.st_size < 1 << 24) {
            maker_must(samp_file_slurp(path, 1 << 24, &bytes, &error), &error);
            maker_must(samp_sha256_bytes(bytes.data, bytes.length, hex, &error), &error);
        }
        samp_buffer_printf(&out, "%s %o %lld %s\n", entries[i]->d_name, info.st_mode & S_IFMT,
                           S_ISDIR(info.st_mode) ? 0LL : (long long)info.st_size, hex);
        free(entries[i]);
    }
    free(entries);
    samp_buffer_release(&bytes);
    return out;
}

/* ---- the program ---- */

/* Runs samp with these arguments, NULL at the end, and the text as its standard input. *out gets
 * what it printed, both streams. Returns the exit code, or 1000 and the signal that ended it; a
 * minute is too long. */
static inline int run_samp(const char *const arguments[], const char *input, samp_buffer *out)
{
    int in[2], from[2], status;
    char chunk[4096];
    ssize_t got;
    assert_int_equal(pipe(in) | pipe(from), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(in[0], 0);
        dup2(from[1], 1);
        dup2(from[1], 2);
        close(in[1]);
        close(from[0]);
        alarm(60);
        setenv("ASAN_OPTIONS", "exitcode=99", 1); /* their 1 would look like findings */
        setenv("UBSAN_OPTIONS", "exitcode=99", 1);
        execv(SAMP_BUILD "/samp", (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(in[0]);
    close(from[1]);
    assert_int_equal(write(in[1], input, strlen(input)), (ssize_t)strlen(input));
    close(in[1]);
    samp_buffer_clear(out);
    while ((got = read(from[0], chunk, sizeof chunk)) > 0)
        samp_buffer_append(out, chunk, (size_t)got);
    close(from[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* The word is in the text, and nothing that a terminal would obey. */
static inline void expect_text(const char *what, const samp_buffer *text, const char *word)
{
    for (size_t i = 0; i < text->length; i++) {
        unsigned char c = (unsigned char)text->data[i];
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            fail_msg("%s printed byte 0x%02x", what, c);
    }
    if (word && !strstr(text->data ? text->data : "", word))
        fail_msg("%s: \"%s\" is not in: %s", what, word, text->data);
}

#endif
