# Every check has one spelling here; CI and people call the same targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
RUST := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
EXTENSION := python/chaffinch/_core.abi3.so
DEMO_ROWS ?= 20000

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is older than 3.11"; echo "hint: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --upgrade pip
	touch $@

.venv/installed: .venv/made pyproject.toml
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml','rb'))['project']['dependencies'], sep='\n')" > .venv/dependencies
	$(PIP) install 'maturin>=1.9,<2' -r .venv/dependencies
	touch $@

.venv/tested: .venv/installed
	$(PIP) install --group test --group lint
	touch $@

$(EXTENSION): .venv/installed $(RUST)
	PIP_QUIET=1 $(BIN)/maturin develop --release -q
	touch $@

build: $(EXTENSION) ## the extension, in release mode, in .venv

demo: $(EXTENSION) ## makes its own corpus and builds a mixture from it
	$(BIN)/chaffinch synth --out demo/data --rows $(DEMO_ROWS) --profile demo
	$(BIN)/chaffinch build demo --data demo/data --out demo/out

test: test-rust test-python ## every test

test-rust: ## the core's own tests and laws
	cargo test -q --locked -p chaffinch-core

test-python: $(EXTENSION) .venv/tested ## everything seen from Python
	$(BIN)/python -m pytest

lint: $(EXTENSION) .venv/tested ## formats, lints, types, stubs and the rules of the house
	cargo fmt --check
	cargo clippy -q --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest chaffinch._core
	$(BIN)/python tests/house_rules.py

fmt: .venv/tested ## rewrites what lint would complain of
	cargo fmt
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(EXTENSION) .venv/tested ## the bars against the peers (minutes, gigabytes)
	$(PIP) install --group bench
	for script in benches/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

faults: $(EXTENSION) .venv/tested ## damages, kills, limits: prints what was tried and what held (minutes)
	$(BIN)/python -m tests.faults

clean: ## everything that is not in the repository
	rm -rf .venv target demo out $(EXTENSION) benches/data

.PHONY: help build demo test test-rust test-python lint fmt bench faults clean
