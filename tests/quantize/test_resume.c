/* A quantize run may be killed at any moment, or meet a full disk: what OUT held stays whole, and
 * the next run ends with the very bytes an undisturbed one gives. */
#include "support/cmocka_all.h"

#include "base/clock.h"
#include "quantize/model_maker.h"
#include "quantize/quantize.h"
#include "quantize/validate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const maker_shape SHAPE = {4, 256, 640, 8, 4, 512, false};

typedef struct fixture {
    char root[256], source[512], expected[512], old[512], out[512], partial[600];
} fixture;

static const samp_quantize_options OPTIONS = {
    .recipe = "samp", .commit_bytes = 150000, .shard_bytes = 800000, .n_threads = 2, .force = true};

static void run(const fixture *f, const char *folder, const samp_quantize_options *options)
{
    samp_error error = {0};
    if (samp_quantize(f->source, folder, options, NULL, &error) != SAMP_OK)
        fail_msg("%s", error.message);
}

static void shell(const char *format, const char *a, const char *b)
{
    char command[2048];
    snprintf(command, sizeof command, "%s '%s' '%s'", format, a, b);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    setenv("SAMP_LOG", "error", 1);
    maker_scratch(f->root, sizeof f->root);
    snprintf(f->source, sizeof f->source, "%s/source", f->root);
    snprintf(f->expected, sizeof f->expected, "%s/expected", f->root);
    snprintf(f->old, sizeof f->old, "%s/old", f->root);
    snprintf(f->out, sizeof f->out, "%s/out", f->root);
    snprintf(f->partial, sizeof f->partial, "%s.samp-partial", f->out);
    maker_model(f->source, SHAPE, 1);
    run(f, f->expected, &OPTIONS);
    run(f, f->old, &(samp_quantize_options){.recipe = "int8", .n_threads = 2});
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    samp_error error;
    maker_must(samp_remove_folder(f->root, &error), &error);
    free(f);
    return 0;
}

/* ---- comparing folders ----------------------------------------------------------------------- */

static size_t count_files(const char *folder)
{
    DIR *listing = opendir(folder);
    size_t n = 0;
    while (listing && readdir(listing)) n++;
    if (listing) closedir(listing);
    return n;
}

/* Same names, same bytes. */
static bool same_folder(const char *a, const char *b)
{
    if (!samp_is_folder(b) || count_files(a) != count_files(b)) return false;
    bool same = true;
    DIR *listing = opendir(a);
    struct dirent *entry;
    samp_buffer x = {0}, y = {0};
    while (same && (entry = readdir(listing))) {
        if (entry->d_name[0] == '.' && (!entry->d_name[1] || entry->d_name[1] == '.')) continue;
        char path_a[1024], path_b[1024];
        snprintf(path_a, sizeof path_a, "%s/%s", a, entry->d_name);
        snprintf(path_b, sizeof path_b, "%s/%s", b, entry->d_name);
        samp_buffer_clear(&x);
        samp_buffer_clear(&y);
        same = samp_file_slurp(path_a, 1 << 28, &x, NULL) == SAMP_OK &&
               samp_file_slurp(path_b, 1 << 28, &y, NULL) == SAMP_OK && x.length == y.length &&
               memcmp(x.data, y.data, x.length) == 0;
    }
    closedir(listing);
    samp_buffer_release(&x);
    samp_buffer_release(&y);
    return same;
}

/* ---- killing --------------------------------------------------------------------------------- */

static pid_t start_child(const fixture *f)
{
    pid_t child = fork();
    if (child == 0) {
        samp_error error;
        _exit(samp_quantize(f->source, f->out, &OPTIONS, NULL, &error) == SAMP_OK ? 0 : 1);
    }
    assert_true(child > 0);
    return child;
}

/* True when the kill came before the end. */
static bool kill_after(const fixture *f, double seconds)
{
    pid_t child = start_child(f);
    struct timespec pause = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) return true;
    assert_int_equal(WEXITSTATUS(status), 0);
    return false;
}

static double measure(const fixture *f)
{
    double start = samp_clock();
    run(f, f->out, &OPTIONS);
    double seconds = samp_clock() - start;
    samp_error error;
    maker_must(samp_remove_folder(f->out, &error), &error);
    return seconds;
}

/* Weights the state file of a killed run lists. */
static int listed_weights(const fixture *f)
{
    char path[1024];
    samp_buffer text = {0};
    snprintf(path, sizeof path, "%s/.samp-state", f->partial);
    int lines = 0;
    if (samp_file_slurp(path, 1 << 20, &text, NULL) == SAMP_OK)
        for (size_t i = 0; i < text.length; i++) lines += text.data[i] == '\n';
    samp_buffer_release(&text);
    return lines > 0 ? lines - 1 : 0;
}

static void test_kill_at_twenty_moments(void **state)
{
    const fixture *f = *state;
    samp_prng prng = {7};
    double seconds = measure(f);
    int killed = 0, continued = 0;
    for (int i = 0; i < 20; i++) {
        bool replaces = i % 2;
        if (replaces) shell("cp -r", f->old, f->out);
        if (kill_after(f, seconds * 1.1 * samp_prng_uniform(&prng))) {
            killed++;
            continued += listed_weights(f) > 0;
            if (!same_folder(f->expected, f->out)) /* killed after the swap: it is complete */
                assert_true(replaces ? same_folder(f->old, f->out) : !samp_is_folder(f->out));
        }
        run(f, f->out, &OPTIONS);
        assert_true(same_folder(f->expected, f->out));
        assert_false(samp_is_folder(f->partial));
        shell("rm -rf", f->out, f->partial);
    }
    assert_true(killed >= 5);
    assert_true(continued >= 2);
}

static void test_killed_again_and_again(void **state)
{
    const fixture *f = *state;
    samp_prng prng = {8};
    double seconds = measure(f);
    int kills = 0;
    while (kills < 50 && kill_after(f, seconds * (0.1 + 0.4 * samp_prng_uniform(&prng)))) kills++;
    run(f, f->out, &OPTIONS);
    assert_true(same_folder(f->expected, f->out));
    shell("rm -rf", f->out, f->partial);
}

/* ---- what a killed run leaves, damaged ------------------------------------------------------- */

static bool stop_late(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)context, (void)what;
    return done < total * 3 / 4;
}

static void leave_partial(const fixture *f)
{
    samp_error error;
    samp_progress progress = {stop_late, NULL};
    assert_int_equal(samp_quantize(f->source, f->out, &OPTIONS, &progress, &error), SAMP_CANCELLED);
    assert_true(listed_weights(f) > 5);
}

static uint64_t first_report;

static bool note_first(void *context, const char *what, uint64_t done, uint64_t total)
{
    (void)context, (void)what, (void)total;
    if (!first_report) first_report = done;
    return true;
}

static uint64_t resume_from(const fixture *f, const samp_quantize_options *options)
{
    samp_error error = {0};
    samp_progress progress = {note_first, NULL};
    first_report = 0;
    if (samp_quantize(f->source, f->out, options, &progress, &error) != SAMP_OK)
        fail_msg("%s", error.message);
    return first_report;
}

static void append_to_state(const fixture *f, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/.samp-state", f->partial);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* The name of any shard in a folder. */
static void find_shard(const char *folder, char *out, size_t n)
{
    DIR *listing = opendir(folder);
    struct dirent *entry;
    out[0] = '\0';
    while ((entry = readdir(listing)))
        if (strstr(entry->d_name, ".safetensors") && !strstr(entry->d_name, ".json"))
            snprintf(out, n, "%s", entry->d_name);
    closedir(listing);
    assert_true(out[0] != 0);
}

static void test_what_is_continued(void **state)
{
    const fixture *f = *state;
    const uint64_t some = 1000000; /* far into the source's 5 MB */
    leave_partial(f);
    append_to_state(f, "model.layers.3.mlp.up_pro"); /* a line cut off by the kill */
    assert_true(resume_from(f, &OPTIONS) > some);
    assert_true(same_folder(f->expected, f->out));
    shell("rm -rf", f->out, f->partial);

    leave_partial(f);
    append_to_state(f, "model.layers.77.mlp.up_proj.weight\n"); /* not of this model */
    assert_true(resume_from(f, &OPTIONS) < some);
    assert_true(same_folder(f->expected, f->out));
    shell("rm -rf", f->out, f->partial);

    leave_partial(f);
    samp_quantize_options other = OPTIONS;
    other.recipe = "nf4";
    assert_true(resume_from(f, &other) < some);
    shell("rm -rf", f->out, f->partial);

    leave_partial(f);
    samp_quantize_options fresh = OPTIONS;
    fresh.start_over = true;
    assert_true(resume_from(f, &fresh) < some);
    assert_true(same_folder(f->expected, f->out));
    shell("rm -rf", f->out, f->partial);

    leave_partial(f);
    char shard[1024], path[1100];
    find_shard(f->partial, shard, sizeof shard);
    snprintf(path, sizeof path, "%s/%s", f->partial, shard);
    assert_int_equal(truncate(path, 1000), 0);
    assert_true(resume_from(f, &OPTIONS) < some);
    assert_true(same_folder(f->expected, f->out));
    shell("rm -rf", f->out, f->partial);
}

static void test_one_writer_at_a_time(void **state)
{
    const fixture *f = *state;
    char path[1024];
    samp_error error;
    leave_partial(f);
    snprintf(path, sizeof path, "%s/.samp-state", f->partial);
    int fd = open(path, O_RDWR); /* a lock of another open file counts as another process's */
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(samp_quantize(f->source, f->out, &OPTIONS, NULL, &error), SAMP_INVALID);
    assert_non_null(strstr(error.message, "being written by another process"));
    close(fd);
    run(f, f->out, &OPTIONS);
    assert_true(same_folder(f->expected, f->out));
    shell("rm -rf", f->out, f->partial);
}

/* ---- full disk ------------------------------------------------------------------------------- */

static void expect_sound(const char *folder)
{
    samp_findings findings = {0};
    samp_error error = {0};
    samp_validate_options options = {.depth = SAMP_VALIDATE_DEEP};
    assert_int_equal(samp_validate(folder, &options, NULL, &findings, &error), SAMP_OK);
    assert_int_equal(samp_findings_exit(&findings, SAMP_SEVERITY_NOTE), 0);
    samp_findings_release(&findings);
}

/* In a mount namespace of its own; exit code 77 when this process may not make one. */
static void full_disk_child(const fixture *f)
{
    char disk[300];
    fixture small = *f;
    samp_error error = {0};
    snprintf(disk, sizeof disk, "%s/disk", f->root);
    snprintf(small.out, sizeof small.out, "%s/out", disk);
    snprintf(small.partial, sizeof small.partial, "%s.samp-partial", small.out);
    if (mkdir(disk, 0700) != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", disk, "tmpfs", 0, "size=4m") != 0)
        _exit(77);
    shell("cp -r", f->old, small.out);
    samp_status status = samp_quantize(small.source, small.out, &OPTIONS, NULL, &error);
    if (status != SAMP_IO || !strstr(error.message, "No space left on device")) {
        fprintf(stderr, "status %d: %s\n", status, error.message);
        _exit(1);
    }
    if (!same_folder(f->old, small.out)) _exit(2);
    if (mount("tmpfs", disk, "tmpfs", MS_REMOUNT, "size=64m") != 0) _exit(3);
    status = samp_quantize(small.source, small.out, &OPTIONS, NULL, &error);
    _exit(status == SAMP_OK && same_folder(f->expected, small.out) ? 0 : 4);
}

static int child_result(void (*work)(const fixture *), const fixture *f)
{
    pid_t child = fork();
    if (child == 0) {
        work(f);
        _exit(99);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void test_full_disk(void **state)
{
    const fixture *f = *state;
    int result = child_result(full_disk_child, f);
    if (result == 77) {
        print_message(
            "a mount namespace is not allowed here: covered by the file size limit only\n");
        return;
    }
    assert_int_equal(result, 0);
}

static void size_limit_child(const fixture *f)
{
    samp_error error = {0};
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {200000, 200000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
    samp_status status = samp_quantize(f->source, f->out, &OPTIONS, NULL, &error);
    if (status != SAMP_IO || !strstr(error.message, "File too large")) {
        fprintf(stderr, "status %d: %s\n", status, error.message);
        _exit(2);
    }
    _exit(0);
}

static void test_file_size_limit(void **state)
{
    const fixture *f = *state;
    shell("cp -r", f->old, f->out);
    assert_int_equal(child_result(size_limit_child, f), 0);
    assert_true(same_folder(f->old, f->out));
    expect_sound(f->out);
    run(f, f->out, &OPTIONS);
    assert_true(same_folder(f->expected, f->out));
    expect_sound(f->out);
    shell("rm -rf", f->out, f->partial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_at_twenty_moments),
        cmocka_unit_test(test_killed_again_and_again),
        cmocka_unit_test(test_what_is_continued),
        cmocka_unit_test(test_one_writer_at_a_time),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_file_size_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
