# The two commands of the README. Each makes its own environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: matrix demo test bench targets clean

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.test: pyproject.toml plugins/shootdown-riscv/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[test,native,plots]' --editable ./plugins/shootdown-riscv
	touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/pip install --quiet --editable '.[bench]'
	touch $@

demo: $(VENV)/.demo
	$(BIN)/shootdown compare

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n auto

bench: $(VENV)/.bench
	$(BIN)/pytest benchmarks --benchmark-only

targets: $(VENV)/.test
	$(BIN)/python tests/docs/test_targets.py

matrix: $(VENV)/.test
	$(BIN)/shootdown matrix --markdown > docs/matrix.md

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
