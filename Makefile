# Every target does its own set-up: a fresh machine needs only make and Python 3.11 or newer.
#   make verify   re-check the certificates in certificates/accept
#   make test     run the tests
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
OPERATORS ?= --models 10000
# A folder of benchmarks for prover-bench, which the repository does not have.
SETS   ?= ../shared/data/benchmarks

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

# The stamp's name holds the interpreter's version: another PYTHON rebuilds the environment.
PYVERSION := $(shell $(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2])")
RUN := $(VENV)/.installed-$(PYVERSION)
DEV := $(VENV)/.installed-dev-$(PYVERSION)

# Known answers for VNN-LIB solvers. It asks for the wheel onnxruntime, which would be installed over onnxruntime-gpu's folder:
# without its dependencies, which are here already or in the dev extra. Where it can't be had, the tests say so at their end.
SATISFACTORY := vnnlib-satisfactory>=1.0.1,<2

.PHONY: help venv verify test lint types format readme wheel-test bench prover-bench truth planted mutations mutants twin fuzz corpus full ci clean

help:
	@echo "make verify | test | lint | types | format | readme | wheel-test | bench | prover-bench | truth | planted | mutations | mutants | twin | fuzz | corpus | full | ci | clean"

# Rebuilt from empty when pyproject.toml changes, so that nothing stale stays behind.
$(RUN): pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'tlcheck needs Python 3.11 or newer; make PYTHON=...')"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): $(RUN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "$(SATISFACTORY)"
	@touch $@

venv: $(DEV)

verify: $(RUN)
	$(BIN)/tlcheck verify certificates/accept $(ARGS)

test: $(DEV)
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/mypy

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

readme: $(DEV)
	$(BIN)/python -m tests.readme
	$(BIN)/python -m tests.rings
	$(BIN)/python -m tests.fuzz.operators.page
	$(BIN)/python -m tests.soundness

# Builds the wheel, installs it in an empty environment, and uses it from outside this folder.
wheel-test: $(DEV)
	$(BIN)/python -m pytest -m wheel tests/test_wheel.py $(ARGS)

# codac, to compare with, is not needed by anything else; where it cannot be installed that part is skipped.
bench: $(RUN)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check "codac>=2.1"
	$(BIN)/python -m tests.bench $(ARGS)

# Whole benchmarks of VNN-COMP answered by `tlcheck certify`, in CPU seconds: make prover-bench SETS=folder ARGS="--only acasxu --stride 8".
prover-bench: $(RUN)
	$(BIN)/python -m tests.bench.prover "$(SETS)" $(ARGS)

# 10,000 queries of each of 16 kinds, whose answer is known by construction, put to every way of tlcheck (half an hour of CPU): a false statement ends
# it with 1. make truth ARGS="tie ulp --each 500 --from 20000".
truth: $(DEV)
	$(BIN)/python -W ignore -m tests.truth $(ARGS)

# 200 queries with a hidden counterexample, none of which may be answered unsat, and some whose true margins are known.
planted: $(DEV)
	$(BIN)/python -m tests.truth.planted $(ARGS)

# Mutated claims on the real models of the shared data: minutes.
mutations: $(DEV)
	$(BIN)/python -m tests.mutations.run $(ARGS)

# Mutants of the trusted code, and whether the tests near it notice: make mutants ARGS="trusted/cover --each 0" (tests/mutants/README.md).
mutants: $(DEV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "cosmic-ray>=8.4,<9" "coverage>=7.6"
	$(BIN)/python -m tests.mutants $(ARGS)

# certificates/reference/check_unsat.py against `tlcheck verify`: the corpus, claims of known truth, proofs found in the run, 2,000 mutants, the shared
# data's dumps (two minutes of CPU each at most): make twin ARGS="corpus mutants --mutants 500".
twin: $(DEV)
	$(BIN)/python -m tests.twin $(ARGS)

# Mutated inputs for the readers; then models of one operator against onnxruntime and the reference evaluator, VNN-LIB texts against
# an evaluator of their own, and bundles, counterexamples and results with roles and keys in each other's place. Longer, and keeping
# inputs of new kinds: make fuzz OPERATORS="--models 100000 --grow" FORMULAS="--texts 100000 --grow" CONFUSIONS="--bundles 100000 --grow".
fuzz: $(DEV)
	$(BIN)/python -m tests.fuzz $(ARGS)
	$(BIN)/python -m tests.fuzz operators $(OPERATORS)
	$(BIN)/python -m tests.fuzz formulas $(FORMULAS)
	$(BIN)/python -m tests.fuzz confusions $(CONFUSIONS)

# Public problems whole, of which the tests take a part: minutes each.
full: $(DEV)
	$(BIN)/python -m pytest -m full $(ARGS)

corpus: $(DEV)
	$(BIN)/python certificates/producers/corpus.py $(ARGS)

ci: lint types test wheel-test

clean:
	rm -rf $(VENV) dist build .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
