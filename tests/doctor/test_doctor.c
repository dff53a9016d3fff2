/* The checks: this machine as it is, and made-up trees of /proc and /sys with every trouble there
 * is, hostile contents among them. */
#include "base/memory.h"
#include "doctor/doctor.h"
#include "support/cmocka_all.h"
#include "support/fake_tree.h"
#include "support/tiny_model.h"

#include <sys/resource.h>

static fake_tree tree;
static samp_doctor doctor;
static samp_error error;

static int begin(void **state)
{
    (void)state;
    fake_tree_begin(&tree);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_tree_end(&tree);
    return 0;
}

/* Runs without measuring, and asserts what always holds. */
static void examine(const char *root, const char *folder)
{
    samp_doctor_options options = {.root = root, .folder = folder};
    assert_int_equal(samp_doctor_run(&doctor, &options, &error), SAMP_OK);
    bool seen[SAMP_DOCTOR_GROUPS] = {false};
    for (size_t i = 0; i < doctor.n_checks; i++) {
        const samp_check *c = &doctor.checks[i];
        assert_true(i == 0 || c->group >= doctor.checks[i - 1].group);
        assert_true((c->verdict == SAMP_VERDICT_OK) == (c->command[0] == '\0'));
        assert_true(c->found[0] != '\0');
        for (const char *at = c->found; *at; at++) assert_true(*at >= 0x20 && *at < 0x7f);
        seen[c->group] = true;
    }
    for (int g = 0; g < SAMP_DOCTOR_GROUPS; g++) assert_true(seen[g]);
}

/* The check of a group whose text has the word; NULL when there is none. */
static const samp_check *find(samp_doctor_group group, const char *word)
{
    for (size_t i = 0; i < doctor.n_checks; i++)
        if (doctor.checks[i].group == group && strstr(doctor.checks[i].found, word))
            return &doctor.checks[i];
    return NULL;
}

static void expect(samp_doctor_group group, samp_verdict verdict, const char *word,
                   const char *command)
{
    const samp_check *c = find(group, word);
    if (!c) print_message("no check of %s has «%s»\n", samp_doctor_group_name(group), word);
    assert_non_null(c);
    assert_int_equal(c->verdict, verdict);
    assert_non_null(strstr(c->command, command));
}

static void this_machine_is_not_broken(void **state)
{
    (void)state;
    examine("", ".");
    for (size_t i = 0; i < doctor.n_checks; i++)
        if (doctor.checks[i].group == SAMP_DOCTOR_SELF_TEST)
            assert_int_equal(doctor.checks[i].verdict, SAMP_VERDICT_OK);
    expect(SAMP_DOCTOR_SELF_TEST, SAMP_VERDICT_OK, "scalar", "");
    assert_true(doctor.memory_available > 1e6);
    json_t *json = samp_doctor_json(&doctor);
    assert_int_equal(json_array_size(json_object_get(json, "checks")), doctor.n_checks);
    assert_true(json_array_size(json_object_get(json, "models")) >= 20);
    json_decref(json);
}

static void put_good_tree(void)
{
    fake_tree_put(&tree, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu avx2 hypervisor fma\n");
    fake_tree_put(&tree, "/proc/meminfo",
                  "MemTotal: 16000000 kB\nMemAvailable: 12000000 kB\n"
                  "SwapTotal: 0 kB\nSwapFree: 0 kB\n");
    fake_tree_put(&tree, "/proc/self/mountinfo", "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    fake_tree_put(&tree, "/sys/devices/system/cpu/online", "0-7\n");
    fake_tree_put(&tree, "/sys/devices/system/cpu/present", "0-7\n");
    fake_tree_put(&tree, "/sys/devices/system/node/online", "0\n");
    fake_tree_put(&tree, "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
}

static void a_good_machine_is_fine(void **state)
{
    (void)state;
    put_good_tree();
    examine(tree.root, ".");
    expect(SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_OK, "8 processors, a virtual machine", "");
    expect(SAMP_DOCTOR_LIMITS, SAMP_VERDICT_OK, "no control group", "");
    expect(SAMP_DOCTOR_MEMORY, SAMP_VERDICT_OK,
           "16.4 GB, of which this process may still take 12.3", "");
    expect(SAMP_DOCTOR_HUGE_PAGES, SAMP_VERDICT_OK, "[madvise]", "");
    expect(SAMP_DOCTOR_DISK, SAMP_VERDICT_OK, "(ext4)", "");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_OK, "no NVIDIA GPU", "");
    expect(SAMP_DOCTOR_MODELS, SAMP_VERDICT_OK, "Qwen2.5-14B in nf6a", "");
}

static void every_trouble_has_its_command(void **state)
{
    (void)state;
    put_good_tree();
    char *folder = realpath(".", NULL), mounts[4400];
    fake_tree_put(&tree, "/sys/devices/system/cpu/present", "0-11\n");
    fake_tree_put(&tree, "/sys/devices/system/cpu/smt/active", "1\n");
    fake_tree_put(&tree, "/sys/devices/system/node/online", "0-1\n");
    fake_tree_put(&tree, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    fake_tree_put(&tree, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n");
    fake_tree_put(&tree, "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    fake_tree_put(&tree, "/proc/meminfo",
                  "MemTotal: 16000000 kB\nMemAvailable: 900000 kB\n"
                  "SwapTotal: 8000000 kB\nSwapFree: 1000 kB\n");
    fake_tree_put(&tree, "/proc/self/cgroup", "0::/\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/cpu.max", "150000 100000\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/memory.max", "600000000\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/memory.current", "100000000\n");
    snprintf(mounts, sizeof mounts,
             "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:9 / %s rw shared:1 - nfs4 host:/x rw\n"
             "22 20 0:9 / %sx rw - xfs y rw\n",
             folder, folder);
    fake_tree_put(&tree, "/proc/self/mountinfo", mounts);
    fake_tree_put(&tree, "/proc/driver/nvidia/version",
                  "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\n");
    examine(tree.root, ".");
    free(folder);
    expect(SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN, "4 of 12 processors are offline", "tee /sys");
    expect(SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_OK, "two a core", "");
    expect(SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN, "2 memory nodes", "numactl");
    expect(SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN, "powersave", "cpupower");
    expect(SAMP_DOCTOR_LIMITS, SAMP_VERDICT_WARN, "grant 1.50 processors", "--cpus 2");
    expect(SAMP_DOCTOR_LIMITS, SAMP_VERDICT_WARN, "limit memory to 0.60 GB, 0.10 GB", "--memory");
    expect(SAMP_DOCTOR_MEMORY, SAMP_VERDICT_WARN, "only 0.50 GB", "ps aux");
    expect(SAMP_DOCTOR_MEMORY, SAMP_VERDICT_WARN, "8.2 GB of swap", "swapoff");
    expect(SAMP_DOCTOR_HUGE_PAGES, SAMP_VERDICT_WARN, "[never]", "tee /sys/kernel/mm");
    const samp_check *disk = find(SAMP_DOCTOR_DISK, "nfs4");
    assert_true(disk && disk->verdict == SAMP_VERDICT_WARN);
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_BROKEN, "NVIDIA's driver 580.95.05", "--gpus all");
    assert_int_equal(samp_doctor_verdict(&doctor), SAMP_VERDICT_BROKEN);
    examine(tree.root, "/no/such/folder");
    expect(SAMP_DOCTOR_DISK, SAMP_VERDICT_BROKEN, "No such file", "ls -ld");
}

static void gpus_are_asked_through_the_drivers_library(void **state)
{
    (void)state;
    char path[4096];
    put_good_tree();
    fake_tree_put(&tree, "/lib/x", "");
    snprintf(path, sizeof path, "%s/lib/libnvidia-ml.so.1", tree.root);
    assert_int_equal(symlink(SAMP_BUILD "/test-doctor/fake-nvml.so", path), 0);
    examine(tree.root, ".");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_OK, "driver 580.95.05, CUDA up to 13.2, 2 GPUs", "");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_OK, "H100 80GB HBM3, compute 9.0, 84.0 of 85.0 GB free",
           "");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_OK, "GPU 0 is divided", "");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_WARN, "Fake?[31m", "nvidia-smi -i 1");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_BROKEN, "GPU 1: 3 memory errors", "-d ECC");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_WARN, "GPU 1 is slowed", "nvidia-smi");
    setenv("FAKE_NVML", "mismatch", 1);
    examine(tree.root, ".");
    unsetenv("FAKE_NVML");
    expect(SAMP_DOCTOR_GPU, SAMP_VERDICT_WARN, "version mismatch", "reboot");
}

/* Whatever the files hold: no crash, no hang, and the rules of `examine`. */
static void hostile_trees_are_survived(void **state)
{
    (void)state;
    static const char *const paths[] = {"/proc/cpuinfo",
                                        "/proc/meminfo",
                                        "/proc/self/mountinfo",
                                        "/proc/self/cgroup",
                                        "/proc/driver/nvidia/version",
                                        "/sys/devices/system/cpu/online",
                                        "/sys/devices/system/cpu/present",
                                        "/sys/devices/system/node/online",
                                        "/sys/kernel/mm/transparent_hugepage/enabled",
                                        "/sys/fs/cgroup/cpu.max",
                                        "/lib/libnvidia-ml.so.1"};
    static char large[600000];
    for (size_t i = 0; i + 1 < sizeof large; i++) large[i] = (char)('!' + i * 7 % 90);
    static const char *const texts[] = {"",
                                        "\n\n\n",
                                        "-1",
                                        "0-18446744073709551615",
                                        "MemTotal: 99999999999999999999 kB\nMemAva",
                                        "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
                                        "\xff\xfe\x80 \x01 - \x1b[31m",
                                        " - - - - - - ",
                                        "1 2 3 4 \\040\\0\\777 x - y\n1 2 3 / / - z",
                                        "0::/..\n1:cpu,memory:/\n",
                                        large};
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        for (size_t p = 0; p < sizeof paths / sizeof *paths; p++)
            fake_tree_put(&tree, paths[p], texts[t]);
        examine(tree.root, ".");
    }
    fake_tree_end(&tree);
    examine(tree.root, "/"); /* no tree at all */
    expect(SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_WARN, "cannot be counted", "mount");
    expect(SAMP_DOCTOR_MEMORY, SAMP_VERDICT_WARN, "not known", "mount");
}

static void the_environment_is_judged(void **state)
{
    (void)state;
    put_good_tree();
    setenv("SAMP_CPU", "abacus", 1);
    examine(tree.root, ".");
    expect(SAMP_DOCTOR_PROCESSOR, SAMP_VERDICT_BROKEN, "abacus", "unset SAMP_CPU");
    expect(SAMP_DOCTOR_VERSIONS, SAMP_VERDICT_OK, "SAMP_CPU", "");
    assert_string_equal(getenv("SAMP_CPU"), "abacus"); /* the self-test gives it back */
    unsetenv("SAMP_CPU");
    struct rlimit old, few = {100, 100};
    getrlimit(RLIMIT_NOFILE, &old);
    few.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    examine(tree.root, ".");
    setrlimit(RLIMIT_NOFILE, &old);
    expect(SAMP_DOCTOR_LIMITS, SAMP_VERDICT_WARN, "open 100 files", "ulimit -n");
}

static void a_given_model_is_weighed(void **state)
{
    (void)state;
    put_good_tree();
    char *folder = tiny_folder();
    samp_config config = tiny_config();
    tiny_write(folder, &config, 1);
    const char *models[] = {folder};
    samp_doctor_options options = {
        .root = tree.root, .folder = ".", .models = models, .n_models = 1};
    assert_int_equal(samp_doctor_run(&doctor, &options, &error), SAMP_OK);
    expect(SAMP_DOCTOR_MODELS, SAMP_VERDICT_OK, folder, "");
    tiny_remove(folder);
    models[0] = "/no/such/model";
    assert_int_not_equal(samp_doctor_run(&doctor, &options, &error), SAMP_OK);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(this_machine_is_not_broken),    CASE(a_good_machine_is_fine),
        CASE(every_trouble_has_its_command), CASE(gpus_are_asked_through_the_drivers_library),
        CASE(hostile_trees_are_survived),    CASE(the_environment_is_judged),
        CASE(a_given_model_is_weighed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
