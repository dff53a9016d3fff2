# The front door. `make demo` and `make test` do all the set-up a fresh Debian 12 machine needs.
BUILD   := build/release
PREFIX  ?= /usr/local
JOBS    ?= $(shell nproc)
SAMP    := $(BUILD)/samp

.PHONY: all setup models test demo bench bench-quantize install check-asan check-arm64 check-sanitizers check-tsan fuzz format clean help

all: setup ## build the program (build/release/samp)
	@cmake --preset release >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

setup: ## install the Debian packages that are missing
	@tools/setup.sh

models: all ## fetch and import the demo's model, for the tests that want a real one
	@tools/demo.sh $(SAMP) --only-models || echo "no demo model: tests of the real model will be skipped"

test: models ## build and run every test
	@ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure

demo: all ## the whole journey on a real model: import, sample, measure, plan, quantize, compare, report
	@tools/demo.sh $(SAMP)

bench: models ## this machine's speed on the demo's artifact beside its 16-bit original
	@$(SAMP) bench --offline demo/model demo/artifact

bench-quantize: models ## bf16 quantized a core-second, of the demo's model and of an 8B model's shapes (22 GB of disk)
	@tools/bench_quantize.sh $(BUILD) demo/model

install: all ## install program, backends, man pages and completions under PREFIX
	@cmake --install $(BUILD) --prefix $(PREFIX)

check-asan: setup ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan >/dev/null && cmake --build build/asan -j $(JOBS)
	@ctest --test-dir build/asan -j $(JOBS) --output-on-failure

check-arm64: ## cross build for 64-bit ARM; its kernels' tests under qemu
	@tools/check_arm64.sh $(JOBS)

check-sanitizers: setup ## the quick part of check-asan and check-tsan, which CI runs
	@cmake --preset asan >/dev/null && cmake --build build/asan -j $(JOBS) --target quick_tests
	@ctest --test-dir build/asan -j $(JOBS) --output-on-failure -L quick
	@cmake --preset tsan >/dev/null && cmake --build build/tsan -j $(JOBS) --target threads_tests
	@ctest --test-dir build/tsan -j $(JOBS) --output-on-failure -L threads

check-tsan: setup ## the tests that use threads under ThreadSanitizer
	@cmake --preset tsan >/dev/null && cmake --build build/tsan -j $(JOBS)
	@ctest --test-dir build/tsan -j $(JOBS) --output-on-failure -L 'base|http|cpu|backend|run|eval|engine|quantize|serve'

fuzz: ## build the fuzzers and run each for FUZZ_SECONDS (default 60)
	@tools/setup.sh fuzz
	@cmake --preset fuzz >/dev/null && cmake --build build/fuzz -j $(JOBS)
	@tools/fuzz.sh build/fuzz $${FUZZ_SECONDS:-60}

format: ## reformat all C files
	@clang-format -i $$(git ls-files '*.c' '*.h')

clean: ## remove everything that was built
	@rm -rf build

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22
