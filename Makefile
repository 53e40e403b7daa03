# The task names are the same for people, hooks and CI. Each sets up what it needs.
#
#   make run        the chain on the built-in data, then the page of results
#   make test       every test          make test-fast   those under two minutes
#   make lint       format, lint, types, layers
#   make bench      speed, side by side, written to docs/benchmarks.md
#   make sweep      full counts of kills, fuzzing and simulated rollouts, written to docs/
#   make clean      what was made here, but not .venv, mlflow.db or the DVC cache

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Nothing is sent anywhere.
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: run test test-fast lint bench sweep clean setup setup-test setup-lint

run: setup
	openautoglm tidy
	dvc repro
	openautoglm verify

test: setup-test
	pytest -n 2 --dist loadgroup -m "not sweep"

test-fast: setup-test
	pytest -n 2 --dist loadgroup -m "not sweep and not slow"

lint: setup-lint
	ruff format --check src tests benchmarks components pipelines infra
	ruff check src tests benchmarks components pipelines infra
	mypy
	lint-imports

bench: setup-test
	python benchmarks/run.py
	python benchmarks/replica.py --write
	python benchmarks/gateway.py --write
	python benchmarks/balancing.py --write
	python benchmarks/pipelines.py --write

sweep: setup-test
	python benchmarks/sweep.py
	python benchmarks/operating_characteristics.py --jobs 2 --write

clean:
	rm -rf data/raw data/prepared models reports .openautoglm/work dvc.lock
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

setup: $(STAMPS)/run
setup-test: $(STAMPS)/test
setup-lint: $(STAMPS)/lint

$(STAMPS)/torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "setting up $(VENV): torch first, then the rest (some minutes, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: $(STAMPS)/torch pyproject.toml
	@$(PIP) -e .
	@touch $@

$(STAMPS)/test: $(STAMPS)/run
	@echo "adding what the tests need"
	@$(PIP) -e '.[test]'
	@touch $@

# The types are checked against the libraries themselves, extras included.
$(STAMPS)/lint: $(STAMPS)/test
	@echo "adding what lint needs"
	@$(PIP) -e '.[lint]'
	@touch $@
