# VNE: Virtual Network Environments for Linux. `make` alone says what each target does.

PREFIX    ?= /usr
DESTDIR   ?=
SYSCONFDIR ?= /etc
# Where units are; systemd looks below /usr/local/lib too.
SYSTEMD_UNITS ?= $(PREFIX)/lib/systemd/system
# Where zsh looks, below share; Debian keeps packages' functions apart.
ZSH_FUNCTIONS ?= zsh/site-functions
# The package: who answers for it, and which one it is of the same version: make deb DEB_REVISION=2
DEB_MAINTAINER ?= VNE maintainers <maintainers@vne.example>
DEB_REVISION   ?= 1
DEB_OUTPUT     ?= bin
# When what is built is from: what was built of one commit is the same.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)
CLANG     ?= clang
BPFTOOL   ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
SWIFT     ?= swift
# A test run may name a part: make test-e2e FILTER=nginx
FILTER    ?=
# and test-kernels the suites: make test-kernels SUITES="test_isolation test_packets"
SUITES    ?=
# bench against another build: make bench AGAINST=/tmp/old/bin/vne-agent
AGAINST   ?=
# and one measurement: make bench ONLY=daemon
ONLY      ?=
# How often bench-overlay makes each fault, and in which order: make bench-overlay ONLY=blackhole TRIALS=5; and how often
# bench-growth kills a manager
TRIALS    ?= 20
SEED      ?=
# How often endurance kills the daemon, and upgrades the package
KILLS     ?= 200
UPGRADES  ?= 50
# How long to fuzz, all targets together
FUZZ_SECONDS ?= 60
MULTIARCH := $(shell gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)

BPF_OUTPUT  := bpf/.output
BPF_PARTS   := maps outgoing incoming create bind connect send name ingress egress device option steer guard lsm lsm_unix unix
BPF_OBJECT  := $(BPF_OUTPUT)/vne.bpf.o
BPF_TEST    := $(BPF_OUTPUT)/decision_test.bpf.o
BPF_EMPTY   := $(BPF_OUTPUT)/empty.bpf.o
# What the compiler makes the programs for: a second build for the tests is one for small size.
BPF_OPTIMIZE ?= -O2
BPF_CFLAGS  := -g $(BPF_OPTIMIZE) -mcpu=v3 -fno-jump-tables -target bpf -Wall -Wextra -Werror -Ibpf/include -Ibpf -idirafter /usr/include/$(MULTIARCH)
# Nothing dynamic: the agent starts in two milliseconds and runs on a host without Swift.
RELEASE     := -c release -Xswiftc -static-executable -Xlinker -lelf -Xlinker -lz
# libFuzzer without a main function, as the toolchain has it; Package.swift links it, with lld, as gold fails on
# AddressSanitizer's runtime.
LIBFUZZER    = $(firstword $(wildcard $(dir $(realpath $(shell command -v $(SWIFT))))../lib/clang/*/lib/*/libclang_rt.fuzzer_no_main*.a))
FUZZ_BUILD  := .build/fuzz

BUILD_PACKAGES := libbpf-dev libelf-dev zlib1g-dev libyaml-dev linux-libc-dev bpftool pkg-config python3
TEST_PACKAGES  := $(BUILD_PACKAGES) nginx-light redis-server redis-tools curl netcat-openbsd strace iproute2 clang-format-14 \
	libpython3.11-testsuite bind9-dnsutils dnsmasq-base iputils-ping openssh-server openssh-client caddy nftables \
	systemd python3-jsonschema lintian man-db mandoc zsh fish bird2 wireguard-tools wireguard-go tcpdump openssl \
	ethtool etcd-server etcd-client
KERNELS_PACKAGES := qemu-system-x86 mmdebstrap cpio kmod e2fsprogs
DEMO_PACKAGES  := $(BUILD_PACKAGES) nginx-light redis-server redis-tools curl iproute2
DEMO_OVERLAY_PACKAGES := $(DEMO_PACKAGES) systemd nftables bird2 wireguard-tools wireguard-go ethtool procps etcd-server etcd-client

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build bpf demo demo-overlay test test-overlay test-unit test-kernel test-e2e test-kernels test-guest endurance bench bench-overlay \
	bench-growth fuzz check format docs install install-files install-agent install-manager uninstall deb clean packages-build packages-test packages-kernels packages-demo packages-demo-overlay

help: ## what each target does
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

packages-build:
	@./packaging/install-packages $(BUILD_PACKAGES)
packages-test:
	@./packaging/install-packages $(TEST_PACKAGES)
packages-kernels:
	@./packaging/install-packages $(KERNELS_PACKAGES)
packages-demo:
	@./packaging/install-packages $(DEMO_PACKAGES)
packages-demo-overlay:
	@./packaging/install-packages $(DEMO_OVERLAY_PACKAGES)

bpf: packages-build $(BPF_OBJECT) $(BPF_TEST) $(BPF_EMPTY) ## compile the kernel half

$(BPF_OUTPUT)/%.o: bpf/%.bpf.c
	@mkdir -p $(BPF_OUTPUT)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

$(BPF_OUTPUT)/%.o: bpf/tests/%.bpf.c
	@mkdir -p $(BPF_OUTPUT)
	$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

# Linking keeps BTF and drops the rest.
$(BPF_OBJECT): $(BPF_PARTS:%=$(BPF_OUTPUT)/%.o)
	$(BPFTOOL) gen object $@ $^

$(BPF_TEST): $(BPF_OUTPUT)/maps.o $(BPF_OUTPUT)/decision_test.o
	$(BPFTOOL) gen object $@ $^

$(BPF_EMPTY): $(BPF_OUTPUT)/empty.o
	$(BPFTOOL) gen object $@ $^

-include $(wildcard $(BPF_OUTPUT)/*.d)

build: bpf ## build the release binaries: bin/vne-agent, bin/vne-manager
	$(SWIFT) build $(RELEASE)
	@mkdir -p bin
	install -m 755 -s -t bin "$$($(SWIFT) build $(RELEASE) --show-bin-path)/vne-agent" \
		"$$($(SWIFT) build $(RELEASE) --show-bin-path)/vne-manager"

demo: packages-demo build ## show the main job on real applications (root)
	@./packaging/need-root demo
	python3 Tests/EndToEnd/demo.py

demo-overlay: packages-demo-overlay build ## show a network across hosts: seven nodes on this machine (root)
	@./packaging/need-root demo-overlay
	python3 Tests/EndToEnd/demo_overlay.py

test: packages-test test-unit test-kernel test-e2e ## all tests (root)

test-unit: packages-test bpf ## tests that need no privilege
	$(SWIFT) test --skip Kernel $(if $(FILTER),--filter $(FILTER))

test-kernel: packages-test bpf ## tests of the programs in the real kernel (root)
	@./packaging/need-root test-kernel
	$(SWIFT) test --no-parallel --filter 'Kernel.*$(FILTER)'

test-e2e: packages-test deb ## tests on real applications, hosts and attacks (root)
	@./packaging/need-root test-e2e
	$(SWIFT) build --product vne-agent
	python3 -m unittest discover -v -s Tests/EndToEnd -t Tests/EndToEnd -p 'test_*.py' $(if $(FILTER),-k $(FILTER))

test-overlay: packages-test build ## the part of test-e2e that is about networks across hosts (root)
	@./packaging/need-root test-overlay
	cd Tests/EndToEnd && python3 -m unittest -v test_overlay test_network test_policies test_claims test_underlays test_faults

endurance: packages-test deb ## kill the daemon KILLS times and upgrade the package UPGRADES times under load (root)
	@./packaging/need-root endurance
	VNE_ENDURANCE_KILLS=$(KILLS) VNE_ENDURANCE_UPGRADES=$(UPGRADES) \
		python3 -m unittest discover -v -s Tests/EndToEnd -t Tests/EndToEnd -p test_endurance.py

test-guest: packages-kernels deb ## install the package on a stock Debian 12 in a virtual machine, and reboot it (root)
	@./packaging/need-root test-guest
	python3 -m unittest discover -v -s Tests/Guest -t Tests/Guest $(if $(FILTER),-k $(FILTER))

test-kernels: packages-kernels build ## end-to-end tests on Debian 12's stock kernel in a virtual machine (root)
	@./packaging/need-root test-kernels
	Tests/Kernels/run $(if $(FILTER),-k $(FILTER)) $(SUITES)

bench: packages-test build ## paired measurements (root)
	@./packaging/need-root bench
	python3 bench/bench.py $(if $(AGAINST),--against $(AGAINST)) $(if $(ONLY),--only $(ONLY))

bench-overlay: packages-test build ## what applications miss in faults of a network, and its throughput (root)
	@./packaging/need-root bench-overlay
	python3 bench/overlay.py --trials $(TRIALS) $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

bench-growth: packages-test build ## a network of 10,000 applications, and what a manager's death does to it (root)
	@./packaging/need-root bench-growth
	python3 bench/growth.py --trials $(TRIALS)

fuzz: packages-test bpf ## fuzz the readers of files, maps and the kernel's answers for FUZZ_SECONDS
	$(if $(LIBFUZZER),,$(error this Swift toolchain has no libFuzzer))
	VNE_LIBFUZZER=$(LIBFUZZER) $(SWIFT) build --scratch-path $(FUZZ_BUILD) -c release --sanitize address \
		-Xswiftc -enable-testing -Xswiftc -use-ld=lld --product vne-fuzz
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run $(FUZZ_BUILD)/release/vne-fuzz .build/fuzzed

check: packages-test bpf ## linters
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests
	clang-format-14 --dry-run --Werror bpf/*.c bpf/*.h bpf/tests/*.c bpf/include/*.h Sources/CLinux/*.c Sources/CLinux/*.h Sources/CLinux/include/*.h
	for part in $(BPF_PARTS); do $(CLANG) --analyze -Xclang -analyzer-werror $(BPF_CFLAGS) bpf/$$part.bpf.c -o /dev/null || exit 1; done
	python3 -m compileall -q Tests bench packaging/man

format: ## format the sources
	$(SWIFT) format --in-place --recursive --parallel Package.swift Sources Tests
	clang-format-14 -i bpf/*.c bpf/*.h bpf/tests/*.c bpf/include/*.h Sources/CLinux/*.c Sources/CLinux/*.h Sources/CLinux/include/*.h

docs: build ## check that the docs' links and commands exist
	python3 packaging/check-docs

install: build install-files ## install below DESTDIR and PREFIX

# What is installed, by hand and by the packages: the isolator, and the network between hosts.
SHARE     = $(DESTDIR)$(PREFIX)/share
install-files: install-agent install-manager

install-agent:
	install -D -m 755 bin/vne-agent $(DESTDIR)$(PREFIX)/bin/vne-agent
	install -D -m 644 docs/example-policy.yaml $(SHARE)/doc/vne/examples/example-policy.yaml
	install -m 644 -t $(SHARE)/doc/vne README.md CHANGELOG.md docs/*.md
	install -D -m 644 packaging/etc-README $(DESTDIR)$(SYSCONFDIR)/vne/README
	install -D -m 644 packaging/systemd/vne-agent.service $(DESTDIR)$(SYSTEMD_UNITS)/vne-agent.service
	install -D -m 644 -t $(SHARE)/vne packaging/systemd/join.conf packaging/systemd/link.conf packaging/systemd/metrics.conf
	install -D -m 644 -t $(SHARE)/vne/grafana packaging/grafana/vne.json
	install -D -m 644 -t $(SHARE)/vne/schemas docs/schemas/*.json
	sed -i 's|/usr/bin/|$(PREFIX)/bin/|' $(DESTDIR)$(SYSTEMD_UNITS)/vne-agent.service $(SHARE)/vne/join.conf \
		$(SHARE)/vne/metrics.conf
	sed -i 's|/usr/share/|$(PREFIX)/share/|' $(DESTDIR)$(SYSTEMD_UNITS)/vne-agent.service $(DESTDIR)$(SYSCONFDIR)/vne/README
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) packaging/man/make bin/vne-agent $(SHARE)/man \
		docs/POLICY.md vne-policy 'the policy file of vne-agent'
	$(call install-completions,vne-agent)

install-manager:
	install -D -m 755 bin/vne-manager $(DESTDIR)$(PREFIX)/bin/vne-manager
	install -d $(SHARE)/doc/vne-manager
	install -m 644 -t $(SHARE)/doc/vne-manager CHANGELOG.md docs/OVERLAY.md docs/KEYSETS.md
	install -D -m 644 packaging/systemd/vne-network@.service $(DESTDIR)$(SYSTEMD_UNITS)/vne-network@.service
	sed -i -e 's|/usr/bin/|$(PREFIX)/bin/|' -e 's|/usr/share/|$(PREFIX)/share/|' \
		$(DESTDIR)$(SYSTEMD_UNITS)/vne-network@.service
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) packaging/man/make bin/vne-manager $(SHARE)/man \
		docs/OVERLAY.md vne-topology 'the topology file of vne-manager'
	$(call install-completions,vne-manager)

define install-completions
	install -d $(SHARE)/bash-completion/completions $(SHARE)/$(ZSH_FUNCTIONS) $(SHARE)/fish/vendor_completions.d
	bin/$(1) --generate-completion-script bash > $(SHARE)/bash-completion/completions/$(1)
	sed -i '1{/^#!/d}' $(SHARE)/bash-completion/completions/$(1)
	bin/$(1) --generate-completion-script zsh > $(SHARE)/$(ZSH_FUNCTIONS)/_$(1)
	bin/$(1) --generate-completion-script fish > $(SHARE)/fish/vendor_completions.d/$(1).fish
endef

uninstall: ## remove what install put there
	rm -rf $(SHARE)/doc/vne $(SHARE)/doc/vne-manager $(SHARE)/vne $(DESTDIR)$(SYSTEMD_UNITS)/vne-agent.service \
		$(DESTDIR)$(SYSTEMD_UNITS)/vne-network@.service $(SHARE)/man/man5/vne-policy.5.gz \
		$(SHARE)/man/man5/vne-topology.5.gz $(DESTDIR)$(SYSCONFDIR)/vne/README
	for program in vne-agent vne-manager; do \
		rm -f $(DESTDIR)$(PREFIX)/bin/$$program $(SHARE)/man/man1/$$program.1.gz $(SHARE)/man/man1/$$program-*.1.gz \
			$(SHARE)/bash-completion/completions/$$program $(SHARE)/$(ZSH_FUNCTIONS)/_$$program \
			$(SHARE)/fish/vendor_completions.d/$$program.fish; \
	done
	rmdir --ignore-fail-on-non-empty $(DESTDIR)$(SYSCONFDIR)/vne

# Where the packages have it.
STAGED := PREFIX=/usr SYSCONFDIR=/etc SYSTEMD_UNITS=/lib/systemd/system ZSH_FUNCTIONS=zsh/vendor-completions
deb: build ## make the Debian packages in bin/: vne, vne-manager
	rm -rf $(DEB_OUTPUT)/deb $(DEB_OUTPUT)/deb-manager $(DEB_OUTPUT)/vne_*.deb $(DEB_OUTPUT)/vne-manager_*.deb
	umask 022 && $(MAKE) --no-print-directory install-agent DESTDIR=$(DEB_OUTPUT)/deb $(STAGED)
	umask 022 && $(MAKE) --no-print-directory install-manager DESTDIR=$(DEB_OUTPUT)/deb-manager $(STAGED)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) DEB_MAINTAINER='$(DEB_MAINTAINER)' \
		packaging/deb/build vne vne-agent $(DEB_OUTPUT)/deb $(DEB_REVISION) $(DEB_OUTPUT)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) DEB_MAINTAINER='$(DEB_MAINTAINER)' \
		packaging/deb/build vne-manager vne-manager $(DEB_OUTPUT)/deb-manager $(DEB_REVISION) $(DEB_OUTPUT)

clean: ## remove what was built
	rm -rf .build bin $(BPF_OUTPUT)
