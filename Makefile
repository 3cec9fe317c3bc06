# `make run` starts the service, `make test` tries everything. Both install what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.PHONY: build bundle contact-sheet run dev ready go-client rust-tests test test-rust test-client test-python test-long check check-rust check-client check-python format bench load networks fuzz models sanitize clean

# What pip has to say fills pages; its errors come through.
export PIP_QUIET := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Hundreds of processes of the tests would compile all modules again, each for half a second of a core.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
RUST_SOURCES := $(shell find media/engine media/runtime -name '*.rs' -o -name Cargo.toml) media/Cargo.toml media/Cargo.lock
CROWD_SOURCES := $(shell find media/crowd media/engine -name '*.rs' -o -name Cargo.toml) media/Cargo.toml
LINK_SOURCES := $(shell find media/link -name '*.rs' -o -name Cargo.toml) media/Cargo.toml
PYTHON_SOURCES := $(shell find server signaling media/*.py* -type f -not -name '*.pyc')
CLIENT_SOURCES := $(shell find static -path static/node_modules -prune -o -path static/dist -prune -o -type f -print)

build: build/service build/client

# Stamps: each stands for a step that is done, so that a second start takes seconds.
build/prerequisites: .ci/prerequisites
	@.ci/prerequisites build
	@mkdir -p build && touch $@

build/venv: pyproject.toml build/prerequisites
	test -x $(PYTHON) || python3 -m venv .venv
	.venv/bin/pip install --quiet 'maturin>=1.16,<2' 'packaging>=25'
	@touch $@

build/service: build/venv $(RUST_SOURCES)
	.venv/bin/maturin develop --release --quiet --manifest-path media/runtime/Cargo.toml
	@touch $@

build/packages: static/package.json static/package-lock.json build/prerequisites
	cd static && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build/client: build/packages $(CLIENT_SOURCES)
	cd static && npm run --silent build
	@touch $@

# One archive that installs on a machine without a network.
bundle: build/bundle

build/bundle: build/service build/client $(PYTHON_SOURCES) OPERATIONS.md LICENSE
	server/bundle/make.sh
	@touch $@

# The bad network of tests/link.py.
build/link: build/prerequisites $(LINK_SOURCES)
	cd media && cargo build --release --quiet --package link
	cp media/target/release/link $@

build/test-prerequisites: .ci/prerequisites build/prerequisites
	@.ci/prerequisites test
	@touch $@

build/interop-packages: tests/interop/node/package-lock.json build/prerequisites
	cd tests/interop/node && npm ci --silent
	@touch $@

build/tools: build/service build/link build/test-prerequisites build/interop-packages
	.venv/bin/maturin develop --release --quiet --manifest-path media/runtime/Cargo.toml --extras test
	@touch $@

# LiveKit's agents framework, in an environment of its own: it pins another version of the SDK than the tests.
build/agents: build/prerequisites
	python3 -m venv $@
	$@/bin/pip install --quiet 'livekit-agents>=1.8,<2'
	@touch $@

# Clients of LiveKit's Go SDK. Without Go on the machine their tests are left out.
build/go-client: $(wildcard tests/interop/go/*)
	cd tests/interop/go && CGO_ENABLED=0 go build -buildvcs=false -o ../../../$@ .

run: build
	.venv/bin/veche serve

# The client is built again at every change; reload the page to see it.
dev: build
	cd static && npm run --silent build -- --watch & watcher=$$!; trap "kill $$watcher" EXIT; .venv/bin/veche serve

test: test-rust test-client test-python

# No comment has code in it, so there is none to try.
RUST_TESTS := cargo test --workspace --quiet --lib --bins --tests

test-rust: build/prerequisites
	cd media && $(RUST_TESTS)

rust-tests: build/prerequisites
	cd media && $(RUST_TESTS) --no-run

test-client: build/packages
	cd static && npm test --silent

# All that the Python suite needs, made before it: in the test network there is no registry. The bundle comes last: it
# writes down which packages are there.
ready: build build/tools build/agents go-client
	@$(MAKE) --no-print-directory build/bundle

go-client: build/prerequisites
	@! command -v go >/dev/null || $(MAKE) --no-print-directory build/go-client \
		|| echo "veche: the client of LiveKit's Go SDK was not built: its tests are skipped"

test-python: ready
	$(PYTHON) -m pytest -q --numprocesses 3

# What takes minutes of real time: prints figures beside its outcomes.
test-long: build build/tools
	$(PYTHON) -m pytest -q -s -m long

check: check-rust check-client check-python

check-rust: build/prerequisites
	cd media && cargo fmt --all --check
	cd media && cargo clippy --workspace --all-targets --quiet -- -D warnings

# The types are checked where the client is built.
check-client: build/client
	cd static && npm run --silent lint

check-python: build build/tools
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy.stubtest media._engine
	test -z "$$(command -v gofmt >/dev/null && gofmt -l tests/interop/go)"
	$(PYTHON) -m pytest -q tests/test_architecture.py
	@# Names what can't be imported, and leaves its bytecode for the three processes of the suite.
	@$(PYTHON) -m pytest --collect-only -q | tail -n 3

format: build/tools
	.venv/bin/ruff format --quiet . && .venv/bin/ruff check --fix --quiet .
	cd media && cargo fmt --all
	! command -v gofmt >/dev/null || gofmt -w tests/interop/go

bench: build build/tools build/crowd
	cd media && cargo run --release --quiet --package runtime --example bench_forward
	$(PYTHON) tests/load/joins.py
	$(PYTHON) tests/load/lobby.py
	$(PYTHON) tests/load/control.py
	$(PYTHON) tests/load/forged_checks.py
	$(PYTHON) tests/load/leftovers.py
	$(PYTHON) tests/load/first_frames.py
	$(PYTHON) tests/load/glass_to_glass.py
	$(PYTHON) tests/load/link_speed.py
	$(PYTHON) tests/load/api.py
	$(PYTHON) tests/load/sign_ins.py

# What real Chromium behind a bad network sees and hears, beside the targets. Takes about ten minutes.
networks: build build/tools
	$(PYTHON) tests/load/bad_networks.py

# A picture of every page and of every state of the client on one sheet, to look at. Takes a quarter of an hour.
contact-sheet: build build/tools
	$(PYTHON) tests/browser/contact_sheet.py build/contact-sheet

# The media of the scripted clients of tests/load/crowd.py.
build/crowd: build/prerequisites $(CROWD_SOURCES)
	cd media && cargo build --release --quiet --package crowd
	cp media/target/release/crowd $@

# Many scripted clients against the whole service. Another set: `tests/load/crowd.py --help`.
load: build build/tools build/crowd
	$(PYTHON) tests/load/crowd.py

# A minute for each target, by a stable toolchain that takes a nightly's flags, with AddressSanitizer:
# `make fuzz seconds=600` for longer. What it finds new stays in media/fuzz/corpus.
fuzz: seconds ?= 60
fuzz: build/prerequisites
	command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz
	cd media/fuzz && for target in $$(cargo fuzz list); do \
		mkdir -p corpus/$$target; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run $$target corpus/$$target seeds/$$target -- -max_total_time=$(seconds) -print_final_stats=1; \
	done

# Every order in which threads can meet where they sleep and wake each other, by loom.
models: build/prerequisites
	cd media && RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/models CARGO_PROFILE_RELEASE_LTO=off \
		cargo test --quiet --package runtime --release --lib models

# The tests of the crate that has unsafe code, under AddressSanitizer; a stable toolchain that takes a nightly's flags.
sanitize: build/prerequisites
	cd media && RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitize \
		cargo test --quiet --package runtime --target $$(rustc -vV | sed -n 's/^host: //p')

clean:
	rm -rf build static/dist static/node_modules .venv media/target
