# `make help` lists the targets. `make run` and `make test` do all of their own set-up; what takes long is cached in
# $HOLM_CACHE (default ~/.cache/holm), so that the second time is quick.

PREFIX ?= /usr/local
DESTDIR ?=

CARGO ?= cargo
RELEASE := target/x86_64-unknown-linux-gnu/release
STAGE := target/stage
IMAGES := target/images/busybox.tar target/images/debian.tar target/images/databases.tar
HOST := tests/host
HOST_DIR := /var/lib/holm-tests/images
SUBMAKE := $(MAKE) --no-print-directory

# Compiles the workspace with Clippy, which is the compiler with more lints: what was linted is what the tests run, and
# compiled once.
LINTED := RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test bench performance lab install stage packages programs guest images host lint unit fuzz e2e faults soak clones syscalls deny clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: stage images ## Set up everything, then run a Debian container in a microVM
	@$(HOST) up
	@$(HOST) push target/images/debian.tar $(HOST_DIR)
	@$(HOST) push tools/demo $(HOST_DIR)
	@$(HOST) exec -- bash $(HOST_DIR)/demo $(HOST_DIR)/debian.tar

# What is fetched and unpacked comes beside what is compiled, and where to run decides the release build.
test: packages ## Set up everything, then run all checks and tests
	@tools/beside '$(SUBMAKE) programs' guest-kernel/build
	@tools/beside '$(SUBMAKE) lint deny unit' '$(HOST) disk && $(SUBMAKE) images'
	@$(SUBMAKE) e2e

bench: host ## Measure against QEMU microvm, crun and runc; writes target/bench.json
	tests/bench/run

performance: bench ## Measure, and put the table and its charts into docs/performance.md
	$(RELEASE)/holm-bench --output target/bench.json --document docs/performance.md

lab: stage ## A shell in the lab, the emulated host with a working KVM
	@tests/lab/lab up
	@tests/lab/lab exec -t -- bash -l

install: guest ## Install into $(DESTDIR)$(PREFIX) what a host with real KVM needs
	install -D -m 0755 $(RELEASE)/holm $(DESTDIR)$(PREFIX)/bin/holm
	install -D -m 0755 $(RELEASE)/holm-runtime $(DESTDIR)$(PREFIX)/bin/holm-runtime
	install -D -m 0755 $(RELEASE)/containerd-shim-holm-v2 $(DESTDIR)$(PREFIX)/bin/containerd-shim-holm-v2
	install -D -m 0755 $(RELEASE)/holm-vmm $(DESTDIR)$(PREFIX)/libexec/holm/holm-vmm
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/holm \
		target/guest/vmlinux target/guest/vmlinux.version target/guest/initramfs.cpio
	$(RELEASE)/holm manual $(DESTDIR)$(PREFIX)/share/man/man1
	$(RELEASE)/holm-runtime manual $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(RELEASE)/holm completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/holm
	$(RELEASE)/holm completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_holm
	$(RELEASE)/holm completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/holm.fish

# The installation that the lab and the tests use.
stage: guest
	@$(MAKE) --no-print-directory -s install DESTDIR=$(STAGE) PREFIX=/usr/local

# What building and the unit tests need.
packages:
	@tools/debian-packages gcc libc6-dev erofs-utils attr

# cargo knows what is out of date.
programs: packages
	$(CARGO) build --release --locked -p holm-cli -p holm-shim -p holm-vmm
	$(CARGO) build --profile guest --locked -p holm-agent

guest: programs
	@guest-kernel/build
	@rootfs/initramfs

images: $(IMAGES)

target/images/%.tar: rootfs/images/% rootfs/images/oci-archive rootfs/images/bookworm-archive
	rootfs/images/$* $@

# The place where Holm can run, with the test images in it.
host: stage images
	@$(HOST) up
	@for image in $(IMAGES); do $(HOST) push $$image $(HOST_DIR); done

lint: packages
	$(CARGO) fmt --all --check
	$(LINTED) $(CARGO) build --workspace --all-targets --locked
	tests/named-tests
	tests/unsafe-blocks

deny: packages
	tools/cargo-deny check -D warnings licenses bans sources

unit: packages
	$(LINTED) tools/nextest run --workspace --locked

fuzz: packages ## Fuzz all that takes hostile bytes; FUZZ_SECONDS=60 for each target, FUZZ_ONLY="a b"
	@tools/debian-packages g++
	tests/fuzz/run

e2e: host
	@$(HOST) tools
	@rm -f target/lab-deaths
	$(LINTED) CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$(CURDIR)/tests/lab/runner \
		HOLM_TEST_HOST=$$($(HOST) kind) PATH="$(CURDIR)/$(STAGE)/usr/local/bin:$$PATH" \
		tools/nextest run --workspace --locked --profile e2e; status=$$?; \
		[ ! -s target/lab-deaths ] || { echo "WARNING: the lab died under these tests, which were run again" \
			"(tests/lab/README.md):"; cat target/lab-deaths; }; exit $$status

# One of the tests that are too long for `make e2e`.
LONG_TEST = $(LINTED) HOLM_TEST_HOST=$$($(HOST) kind) CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$(CURDIR)/tests/lab/runner \
	PATH="$(CURDIR)/$(STAGE)/usr/local/bin:$$PATH" tools/nextest run -p holm-e2e --profile long --run-ignored all --no-capture

faults: host ## Kill and fail the programs at every named point; HOLM_FAULTS_ONLY=run,life HOLM_FAULTS_POINTS=vmm
	@$(HOST) tools
	$(LONG_TEST) -E 'test(every_point_survives) + test(stores_survive_a_power_cut)'

soak: host ## Random lives of containers with random kills; SOAK_LIVES=2000 SOAK_SECONDS= SOAK_SEED=
	@$(HOST) tools
	HOLM_SOAK_LIVES=$(SOAK_LIVES) HOLM_SOAK_SECONDS=$(SOAK_SECONDS) HOLM_SOAK_SEED=$(SOAK_SEED) \
		$(LONG_TEST) -E 'test(random_lives)'

syscalls: host ## Run the end-to-end tests under a trace, and compare it with the table of system calls
	@$(HOST) tools
	HOLM_SYSCALLS_ONLY=$(SYSCALLS_ONLY) $(LONG_TEST) -E 'test(system_calls_are_those)'

clones: host ## Start 200 guests from one template and look for anything that two have in common
	@$(HOST) tools
	$(LONG_TEST) -E 'test(two_hundred_guests)'

clean: ## Remove build products (the cache stays)
	rm -rf target
