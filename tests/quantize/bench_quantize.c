/* How much input `samp quantize --recipe nf4` takes a second of one core, into a new folder.
 *
 *     bench_quantize make FOLDER LAYERS          an 8B model's shapes (32 layers: 16 GB), random bf16
 *     bench_quantize run SAMP MODEL OUT RUNS     the command, RUNS times, each beside a memory copy
 *
 * `run` prints a line a run and then one JSON object. Processor time is user and system time of the
 * command with one thread: start-up, reading from the page cache or the disk, digests and fsync
 * included. Wall time includes waiting for the disk. */
#include "base/clock.h"
#include "base/cpu.h"
#include "file/file.h"
#include "quantize/model_maker.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { RUNS_MAX = 99 };

static int make(const char *folder, uint32_t n_layers)
{
    maker_model(folder, (maker_shape){n_layers, 4096, 14336, 32, 8, 128256, false}, 1);
    return 0;
}

/* Bytes copied a second by one core, each byte read and written; the best of 20. */
static double copy_bytes(void)
{
    enum { BYTES = 64 << 20 };
    char *from = malloc(BYTES), *to = malloc(BYTES);
    double best = 0;
    if (!from || !to) abort();
    memset(from, 1, BYTES);
    for (int i = 0; i < 21; i++) { /* the first one pays for the pages */
        double start = samp_clock();
        memcpy(to, from, BYTES);
        double rate = BYTES / (samp_clock() - start);
        if (i > 0 && rate > best) best = rate;
    }
    free(from), free(to);
    return best;
}

/* In a process of its own: the peak memory of the command we start counts ours before it. */
static double copy_rate(void)
{
    double *rate =
        mmap(NULL, sizeof *rate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (rate == MAP_FAILED) abort();
    pid_t child = fork();
    if (child == 0) {
        *rate = copy_bytes();
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) abort();
    double result = *rate;
    munmap(rate, sizeof *rate);
    return result;
}

typedef struct measurement {
    double core_s, wall_s, peak_mb;
} measurement;

static measurement quantize(const char *samp, const char *model, const char *out)
{
    char *arguments[] = {(char *)samp, "quantize", (char *)model, "--recipe",  "nf4",
                         "-t",         "1",        "--out",       (char *)out, NULL};
    pid_t child;
    int status;
    struct rusage usage;
    posix_spawn_file_actions_t actions; /* what it prints is not our result */
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    double start = samp_clock();
    if (posix_spawn(&child, samp, &actions, NULL, arguments, environ) != 0) abort();
    posix_spawn_file_actions_destroy(&actions);
    if (wait4(child, &status, 0, &usage) != child || status != 0) exit(1);
    return (measurement){.core_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                   1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec),
                         .wall_s = samp_clock() - start,
                         .peak_mb = (double)usage.ru_maxrss / 1024};
}

static double model_bytes(const char *model)
{
    samp_error error;
    samp_model *opened;
    double bytes = 0;
    maker_must(samp_model_open(&opened, model, &error), &error);
    for (size_t i = 0; i < samp_model_count(opened); i++)
        bytes += (double)samp_model_at(opened, i)->layout.bytes;
    samp_model_close(opened);
    return bytes;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static int run(const char *samp, const char *model, const char *out, int runs)
{
    double gb = model_bytes(model) / 1e9, core[RUNS_MAX], wall[RUNS_MAX], copy[RUNS_MAX], peak = 0;
    char cpu[128];
    samp_cpu_model(cpu, sizeof cpu);
    for (int i = 0; i < runs; i++) {
        samp_error error;
        if (samp_is_folder(out)) maker_must(samp_remove_folder(out, &error), &error);
        measurement m = quantize(samp, model, out);
        core[i] = gb / m.core_s;
        wall[i] = gb / m.wall_s;
        copy[i] = copy_rate() / 1e9;
        peak = m.peak_mb > peak ? m.peak_mb : peak;
        fprintf(stderr,
                "%s: %.2f GB, %.2f core seconds, %.2f s: %.3f GB/s a core; copy %.1f GB/s\n", model,
                gb, m.core_s, m.wall_s, core[i], copy[i]);
    }
    double core_median = median(core, runs), copy_median = median(copy, runs);
    const char *slash = strrchr(model, '/');
    printf("{\"model\": \"%s\", \"cpu\": \"%s\", \"runs\": %d, \"input_gb\": %.3f, "
           "\"gb_per_core_second\": {\"median\": %.3f, \"least\": %.3f, \"most\": %.3f}, "
           "\"gb_per_wall_second\": %.3f, \"memory_copy_gb_per_second\": %.1f, "
           "\"share_of_copy\": %.3f, \"peak_rss_mb\": %.0f}\n",
           slash ? slash + 1 : model, cpu, runs, gb, core_median, core[0], core[runs - 1],
           median(wall, runs), copy_median, core_median / copy_median, peak);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "make") == 0 && atoi(argv[3]) > 0)
        return make(argv[2], (uint32_t)atoi(argv[3]));
    if (argc == 6 && strcmp(argv[1], "run") == 0 && atoi(argv[5]) > 0 && atoi(argv[5]) <= RUNS_MAX)
        return run(argv[2], argv[3], argv[4], atoi(argv[5]));
    fprintf(stderr, "usage: bench_quantize make FOLDER LAYERS | run SAMP MODEL OUT RUNS\n");
    return 3;
}
