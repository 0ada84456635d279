# `make run` starts everything, `make check` and `make test` run tests, `make lint` checks the code, and
# `make key OWNER=alice ROLE=submit` creates an API key.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input
ROLE ?= submit
export OWNER ROLE
# Otherwise each of the processes of pytest would compile all tests again, at each run.
check test test-slow: export PYTHONDONTWRITEBYTECODE :=

.PHONY: run demo check test test-slow test-corpora coverage lint faults key

# `exec`, so that the runner itself is make's child and gets Ctrl-C and SIGTERM.
run: .venv/.installed
	@exec $(BIN)/python -m server.cli run

# A server with two days of a shop's data, in its own store, which is deleted at the end.
demo: .venv/.installed
	@exec $(BIN)/python -m examples.demo

# Unit tests, and store tests against Valkey alone: about a minute.
check: .venv/.installed-dev
	$(BIN)/python -m pytest -n auto -m "not system and not slow"

# The same tests with a figure: the share of lines and branches in server/ that they run.
coverage: .venv/.installed-dev
	@mkdir -p var/coverage && rm -f var/coverage/*
	$(BIN)/coverage run -m pytest -n auto -m "not system and not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Four processes for two cores, because most tests wait. A single file: .venv/bin/python -m pytest tests/test_x.py
test: .venv/.installed-dev
	$(BIN)/python -m pytest -n 4

# Tests of more than a few seconds each: kills of workers, slow clients, large files, the first minute from an empty
# folder. SLOW=--short takes the first of each file.
test-slow: .venv/.installed-dev
	$(BIN)/python -m pytest -n 4 -m slow $(SLOW)

# Try the tasks on every picture, PDF and table of a folder: which are read, refused (with the reason) or crash.
test-corpora: .venv/.installed-dev
	@test -n "$(FOLDER)" || { echo "FOLDER is missing: make test-corpora FOLDER=pictures" >&2; exit 1; }
	@$(BIN)/python -m tests.corpora "$(FOLDER)"

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict server/

# Hundreds of faults in an hour; writes benchmarks/faults.md. FAULTS=--short takes six minutes, --share 0.3 a third.
faults: .venv/.installed-dev
	PYTHONPATH=tests:tests/faults $(BIN)/python -m benchmarks.faults $(FAULTS)

# Speed compared with a plain Flask and Celery, in five minutes; writes benchmarks/RESULTS.md. bench-full: half an hour.
bench bench-full: var/bench-venv/.installed
	PYTHONPATH=tests var/bench-venv/bin/python -m benchmarks.speed $(if $(filter bench-full,$@),--full) $(BENCH)

key: .venv/.installed
	@test -n "$$OWNER" || { echo "OWNER is missing: make key OWNER=alice ROLE=submit" >&2; exit 1; }
	@exec $(BIN)/python -m server.cli keys create --owner "$$OWNER" --role "$$ROLE"

# The stamps are newer than their requirements files, so that a second start does not call pip.
.venv/.installed: requirements.txt $(BIN)/python
	@echo "Installing requirements.txt into .venv"
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@echo "Installing requirements-dev.txt into .venv"
	@$(PIP) --quiet -r requirements-dev.txt
	@touch $@

var/bench-venv/.installed: benchmarks/requirements.txt requirements.txt $(BIN)/python
	@echo "Installing benchmarks/requirements.txt into var/bench-venv"
	@$(BIN)/python -m venv var/bench-venv
	@var/bench-venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r benchmarks/requirements.txt
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is required, but '$(PYTHON)' is older. Name another: make run PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -m venv --clear .venv || { \
		rm -rf .venv; echo "'$(PYTHON)' cannot create a venv. On Debian and Ubuntu install python3-venv." >&2; exit 1; }
