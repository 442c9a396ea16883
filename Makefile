# Everything here needs Python 3.11 or newer, pip and make; the rest is installed into .venv.

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
# Quiet twice: errors only.
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Test processes: one per core. `make test JOBS=0 PYTEST_ARGS="-x tests/test_layers.py"`
JOBS ?= auto
PYTEST_ARGS ?=

# No window, and no search for other devices, on any machine.
export MPLBACKEND := Agg
export JAX_PLATFORMS ?= cpu

.DELETE_ON_ERROR:
.PHONY: help demo test coverage lint format bench docs size clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

# -- environments: a stamp file each, older than pyproject.toml means install again ----------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; set PYTHON=..." >&2; exit 2; }
	@echo "creating $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "installing stablegrad and what the demo needs"
	@$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing stablegrad with its tools and jax (a minute or two)"
	@$(PIP) -e '.[dev,jax]'
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.dev
	@echo "installing the libraries to compare with"
	@$(PIP) -e '.[bench]'
	@touch $@

# -- work ------------------------------------------------------------------------------------

demo: $(VENV)/.demo  ## logistic regression on real data, naive against stable
	@$(BIN)/python examples/demo.py

# The tests run even where the style is off, so that one run shows all that is wrong.
test: $(VENV)/.dev  ## everything that must hold before a commit
	@status=0; \
	$(MAKE) --no-print-directory lint || status=1; \
	echo "pytest"; \
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS) || status=1; \
	exit $$status

# Apart from `test`: watching every line slows ball arithmetic down.
coverage: $(VENV)/.dev  ## which lines the tests do not reach
	@$(BIN)/python -m pytest -n $(JOBS) --cov $(PYTEST_ARGS)

lint: $(VENV)/.dev  ## style and types
	@status=0; \
	echo "ruff check"; $(BIN)/ruff check --quiet --output-format concise || status=1; \
	echo "ruff format --check"; $(BIN)/ruff format --check --quiet --output-format concise || status=1; \
	echo "pyright"; $(BIN)/pyright || status=1; \
	exit $$status

format: $(VENV)/.dev  ## put the source into the project's form
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

bench: $(VENV)/.bench  ## cost, as ratios to other libraries in the same run
	@$(BIN)/python -m benchmarks

docs: $(VENV)/.dev  ## write the tables in docs/ from the registries
	@$(BIN)/python tools/tables.py

size: $(VENV)/.dev  ## lines of code by file and the longest functions
	@$(BIN)/python tools/size.py

clean:  ## remove what was built, the environment included
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* build dist out
	@find stablegrad tests examples benchmarks tools -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
