# Everything a clone needs is in .venv, from requirements.lock; PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Two processes: tests that share costly fixtures stay in one (tests/conftest.py), the longest come first; on two
# processors a third makes those of Ray, which are the longest, slower. Compiled modules are kept, also if the
# environment says otherwise: each process would compile tests and Hypothesis again, 5 s.
PYTEST := pytest --numprocesses 2 --no-loadscope-reorder
TESTER := PYTHONDONTWRITEBYTECODE= $(BIN)/python
# Branches are taken of the packages, not of the tests, which is what the warning would say. The floor is held in a
# second call: in one that runs tests in several processes, it leaves the report without their lines.
COVER  := PYTHONWARNINGS="ignore:Unable to activate pytest branch coverage" $(TESTER) -m slipcover --out .coverage.json
FLOOR  := 93

.PHONY: help install demo unit test test-full check bench lock clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */make \1\t/' | expand -t 16

install: $(STAMP)  ## Create the environment in .venv

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 install")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

demo: install  ## Run every stage on a synthesized corpus
	$(BIN)/asc demo

check: install  ## Lint, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

unit: install  ## Unit tests: no Keras, no Ray, no processes; about a minute
	$(TESTER) -m $(PYTEST) -m unit

test: check  ## Lint, types, layers, unit and system tests
	$(COVER) --json -m $(PYTEST) -m "not full" --durations=20
	$(COVER) --merge .coverage.json --fail-under $(FLOOR)

test-full: check  ## Also the long tests; ASC_ESC10=FOLDER points at ESC-10 in TAU's layout
	$(BIN)/python -m pytest -m ""

bench: install  ## Speed against peers and limits, as one page in results/runs/bench; needs a quiet machine
	$(BIN)/python tests/benchmarks/bench.py --out results/runs/bench

lock: install  ## Update requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --quiet --no-header \
		--no-emit-index-url --no-emit-find-links --output-file requirements.lock

clean:  ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage.json
