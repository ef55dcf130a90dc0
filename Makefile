# Every target makes its own environment in .venv. The README names demo and test, CONTRIBUTING the loop of work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What `make quick` tries out: values, parsing, reports, and the steps one by one as plain Python.
# Tests there that need compiled kernels or a process of their own are marked `compiled`.
QUICK := $(patsubst %,tests/core/%,machine report traces values cli/test_common.py questions/test_image.py) \
	$(patsubst %,tests/core/pagetables/test_%.py,format memory memory_of_tables) tests/core/porting/test_public_names.py \
	$(wildcard tests/arch_*/test_kernel.py tests/arch_*/test_platforms.py)

# pip compiles what it copies, and no editable install. Where Python may not write byte code (PYTHONDONTWRITEBYTECODE), each
# start would compile all that it imports, for as long as a small command takes.
COMPILEALL = $(BIN)/python -m compileall -q core arch_x86 arch_arm64 arch_powerpc

.PHONY: docs oracle evidence matrix demo quick lint kernels engines walks test long bench bench-ratios bench-compare targets clean

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	$(COMPILEALL)
	touch $@

$(VENV)/.test: pyproject.toml plugins/shootdown-riscv/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[test,native,plots,serve]' --editable ./plugins/shootdown-riscv
	$(COMPILEALL) plugins/*/src
	touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/pip install --quiet --editable '.[bench]'
	touch $@

$(VENV)/.docs: $(VENV)/.test
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

# A small case first, which needs no engine compiled; then the headline.
demo: $(VENV)/.demo
	$(BIN)/shootdown compare hugetlb-munmap --arch x86 -p tables=4
	$(BIN)/shootdown compare

# After an edit of Python that no kernel inlines: seconds. Nothing is compiled.
quick: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	SHOOTDOWN_COMPILE=never $(BIN)/pytest -q -n auto --hypothesis-profile=quick \
		-m "not long and not compiled" $(QUICK)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each kernel is compiled by one process before the tests share it: two processes, of about the same length.
kernels: engines walks

engines: $(VENV)/.test
	$(BIN)/shootdown warm engine explorer

walks: $(VENV)/.test
	$(BIN)/shootdown warm walks tlb

# Everything but what is marked `long`. A file's tests run in one process (loadfile): what they share is made once.
test: $(VENV)/.test
	$(MAKE) --jobs 2 --output-sync=target lint kernels
	$(BIN)/pytest -q -n auto --dist loadfile

# Large samples, installing, and emulators at length; docs/reference/long-runs.md keeps a record.
long: $(VENV)/.test
	$(BIN)/python tests/long_runs.py

bench: $(VENV)/.bench
	$(BIN)/pytest benchmarks --benchmark-only

# The documentation as a site, in build/site; every warning is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Quotients of architectures' times, which are alike on all machines: written here, and compared with those of a
# file or a commit (make bench-compare OLD=v0.1.0).
OLD ?= HEAD
bench-ratios: $(VENV)/.bench
	$(BIN)/pytest benchmarks/architectures --benchmark-only --benchmark-json=benchmarks/results/ratios.json

bench-compare: $(VENV)/.bench
	$(BIN)/pytest benchmarks/architectures --benchmark-only --benchmark-json=$(VENV)/ratios.json
	$(BIN)/python benchmarks/compare_ratios.py $(OLD) $(VENV)/ratios.json

targets: $(VENV)/.test
	$(BIN)/python tests/docs/test_targets.py

evidence: $(VENV)/.test
	$(BIN)/python tests/docs/test_evidence.py

# Debian's current kernels, booted under an emulator; tools/oracle.py says what has to be installed.
oracle: $(VENV)/.test
	$(BIN)/python tools/oracle.py

matrix: $(VENV)/.test
	$(BIN)/shootdown matrix --markdown > docs/reference/matrix.md

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
