#!/usr/bin/env bash
# check_arm64.sh [JOBS]: cross-builds for 64-bit ARM and runs the tests that hold the NEON kernels to their scalar
# twins, bit for bit, under qemu: all of them on a processor with every level, a few on processors without
# matrix products and without dot products. Emulation says nothing about speed.
set -eu
cd "$(dirname "$0")/.."
jobs=${1:-$(nproc)}
if ! tools/setup.sh arm64; then
    echo "check-arm64 is skipped: the cross compiler, the libraries for arm64 or qemu cannot be installed here"
    exit 0
fi
tests=(base_cpu cpu_vector cpu_device format_kernels run_stories cpu_matmul cpu_attention)
build=build/arm64
cmake --preset arm64 >/dev/null
cmake --build "$build" -j "$jobs" --target samp samp_backend_reference "${tests[@]/#/test_}"
qemu-aarch64-static "$build/samp" --version

on() { # on PROCESSOR LEVEL TEST…: its level must be that
    local processor=$1 level=$2 chosen
    shift 2
    printf -v chosen '|%s' "$@"
    QEMU_CPU=$processor SAMP_TEST_HOST=$level SAMP_TEST_EMULATED=1 \
        ctest --test-dir "$build" -j "$jobs" --output-on-failure -R "^(${chosen#|})\$"
}
on max i8mm "${tests[@]}" cpu_spills
on cortex-a76 dotprod base_cpu cpu_vector cpu_device
on cortex-a72 neon base_cpu cpu_vector cpu_device
