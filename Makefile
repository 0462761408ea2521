# Every target sets up what it needs by itself; see scripts/setup.py. PYTHON names another interpreter.
PYTHON ?= python3
VENV := .venv/bin
PYTEST := $(VENV)/python -m pytest

.PHONY: help setup demo test test-all check format bench results

help:
	@echo "make setup     .venv with the whole toolchain, and .venv/bin/sat-hdl"
	@echo "make demo      train on the simulated hardware, build a bitstream, write a report"
	@echo "make test      the tests (CI runs these); make test-all: the slow ones too"
	@echo "make check     formatting, lint and types (CI runs these); make format mends the first two"
	@echo "make results   every figure in the README; make bench T=TABLE: some of them"

setup:
	@$(PYTHON) scripts/setup.py

demo: setup
	@$(VENV)/python scripts/demo.py

test: setup
	@$(PYTEST) -n 2 -m "not slow" $(ARGS)

test-all: setup
	@$(PYTEST) -n 2 $(ARGS)

check: setup
	@scripts/check

format: setup
	@scripts/check --fix

bench results: setup
	@$(VENV)/python scripts/bench $(T)
