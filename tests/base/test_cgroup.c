/* Limits of control groups and the small files of /sys, on made-up trees: none, version 1, version
 * 2, both, and hostile contents. */
#include "base/cgroup.h"
#include "base/sysfs.h"
#include "base/thread.h"
#include "support/cmocka_all.h"
#include "support/fake_tree.h"

static fake_tree tree;

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

static samp_cgroup read_tree(void)
{
    samp_cgroup group;
    samp_cgroup_read(tree.root, &group);
    return group;
}

static void no_cgroup_is_no_limit(void **state)
{
    (void)state;
    samp_cgroup group = read_tree();
    assert_int_equal(group.version, 0);
    assert_true(group.cpus == 0 && group.memory_bytes == 0);
}

static void version_2_takes_the_smallest_of_all_ancestors(void **state)
{
    (void)state;
    fake_tree_put(&tree, "/proc/self/cgroup", "0::/a.slice/b.scope\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/a.slice/b.scope/cpu.max", "max 100000\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/a.slice/cpu.max", "150000 100000\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/a.slice/b.scope/memory.max", "2147483648\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/a.slice/b.scope/memory.current", "1048576\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/a.slice/memory.max", "max\n");
    samp_cgroup group = read_tree();
    assert_int_equal(group.version, 2);
    assert_float_equal(group.cpus, 1.5, 1e-9);
    assert_int_equal(group.memory_bytes, 2147483648u);
    assert_int_equal(group.memory_used, 1048576);
    fake_tree_put(&tree, "/sys/fs/cgroup/memory.max", "1000000000\n");
    assert_int_equal(read_tree().memory_bytes, 1000000000);
    assert_int_equal(read_tree().memory_used, 0); /* not known there */
}

static void version_1_reads_each_controller_where_it_is(void **state)
{
    (void)state;
    fake_tree_put(
        &tree, "/proc/self/cgroup",
        "9:name=systemd:/x\n5:cpuset:/\n4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "350000\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "4294967296\n");
    samp_cgroup group = read_tree();
    assert_int_equal(group.version, 1);
    assert_float_equal(group.cpus, 3.5, 1e-9);
    assert_int_equal(group.memory_bytes, UINT64_C(4294967296));
    fake_tree_put(&tree, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
                  "9223372036854771712\n");
    group = read_tree();
    assert_true(group.cpus == 0 && group.memory_bytes == 0);
}

static void both_versions_at_once_are_version_1(void **state)
{
    (void)state;
    fake_tree_put(&tree, "/proc/self/cgroup", "1:cpu:/\n0::/\n");
    fake_tree_put(&tree, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000");
    fake_tree_put(&tree, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
    samp_cgroup group = read_tree();
    assert_int_equal(group.version, 1);
    assert_float_equal(group.cpus, 0.5, 1e-9);
}

/* Nothing here may crash, hang or be taken for a limit. */
static void hostile_contents_are_no_limit(void **state)
{
    (void)state;
    static const char *const quotas[] = {
        "",    "max",     "0 0",        "-5 100000", "1 0",      "nan 1",
        "x y", "1e300 1", "inf 100000", "5",         "\xff\xfe", "99999999999999999999999 1"};
    fake_tree_put(&tree, "/proc/self/cgroup", "0::/\n");
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        fake_tree_put(&tree, "/sys/fs/cgroup/cpu.max", quotas[i]);
        fake_tree_put(&tree, "/sys/fs/cgroup/memory.max", quotas[i]);
        samp_cgroup group = read_tree();
        assert_true(group.cpus == 0);
        assert_true(group.memory_bytes == 0 || i == 9); /* "5" is five bytes */
    }
    static char lines[40000];
    memset(lines, 'a', sizeof lines - 1);
    memcpy(lines, "0::/", 4);
    fake_tree_put(&tree, "/proc/self/cgroup", lines); /* a path longer than any */
    assert_true(read_tree().cpus == 0);
    fake_tree_put(&tree, "/proc/self/cgroup", "0::/../../etc\n:::\n:\n\n7\n0:");
    assert_true(read_tree().cpus == 0);
    fake_tree_put_bytes(&tree, "/proc/self/cgroup", "\0\0\0:\0:", 6);
    assert_true(read_tree().cpus == 0);
}

static void lists_and_values_are_read_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        unsigned count;
    } lists[] = {{"0", 1},   {"0-3", 4},         {"0-3,8,10-11", 7}, {"", 0},
                 {"3-1", 0}, {"0-", 0},          {"-1", 0},          {"1,x", 0},
                 {"0 1", 0}, {"0-65535", 65536}, {"0-65537", 0},     {"18446744073709551616", 0}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        assert_int_equal(samp_sysfs_count_list(lists[i].list), lists[i].count);
    uint64_t value = 7;
    static const char text[] = "MemTotal:   2048 kB\nMemFree:\tx\nSwapTotal: 1";
    assert_true(samp_sysfs_value(text, "MemTotal", &value) && value == 2048);
    assert_true(samp_sysfs_value(text, "SwapTotal", &value) && value == 1);
    assert_false(samp_sysfs_value(text, "MemFree", &value));
    assert_false(samp_sysfs_value(text, "Mem", &value));
    assert_false(samp_sysfs_value("", "MemTotal", &value));
    fake_tree_put(&tree, "/n", "12x\n");
    assert_false(samp_sysfs_number(tree.root, "/n", 100, &value));
    fake_tree_put(&tree, "/n", "101\n");
    assert_false(samp_sysfs_number(tree.root, "/n", 100, &value));
    char small[4];
    assert_true(samp_sysfs_read(tree.root, "/n", small, sizeof small));
    assert_string_equal(small, "101");
    assert_false(samp_sysfs_read(tree.root, "", small, sizeof small)); /* a folder */
    assert_true(samp_threads_available() >= 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {CASE(no_cgroup_is_no_limit),
                                       CASE(version_2_takes_the_smallest_of_all_ancestors),
                                       CASE(version_1_reads_each_controller_where_it_is),
                                       CASE(both_versions_at_once_are_version_1),
                                       CASE(hostile_contents_are_no_limit),
                                       CASE(lists_and_values_are_read_or_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
