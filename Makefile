# Needs python3 (3.11 or newer) with pip. Everything else goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
N ?= 10000
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-peers kernels fuzz format clean

help:
	@echo "make demo | test | kernels | bench | bench-peers | fuzz N=10000 | format | clean   (see CONTRIBUTING.md)"

demo: .venv/.examples-installed
	$(BIN)/python examples/moons.py

test: .venv/.test-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

bench: .venv/.test-installed
	$(BIN)/python -m benchmarks $(ARGS)

# Other libraries have an environment of their own: two gigabytes, and an older Numba.
bench-peers: .venv-peers/.installed
	.venv-peers/bin/python -m benchmarks.arrays --peers $(ARGS)

# Every row of the support table under Numba, where make test has one in fifteen.
kernels: .venv/.test-installed
	JITGRAD_ALL_KERNELS=1 $(BIN)/python -m pytest -n 2 tests/test_support.py -k one_kernel $(ARGS)

fuzz: .venv/.test-installed
	$(BIN)/python -m tests.fuzz_command $(N) $(ARGS)

format: .venv/.test-installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv .venv-peers .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than pyproject.toml once its dependencies are installed.
.venv/.%-installed: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[$*]'
	@touch $@

.venv-peers/.installed: benchmarks/arrays/requirements.txt pyproject.toml | .venv-peers/bin/python
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check -r $< -e .
	@touch $@

.venv-peers/bin/python:
	$(PYTHON) -m venv .venv-peers

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jitgrad needs Python 3.11 or newer; try: make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv .venv
