# One target for each step; `make help` lists them. `make demo` and `make test` do all the set-up themselves.
#
#   make demo PYTHON=python3.12              another interpreter (3.11 or newer)
#   make test ARGS="-n0 -k netlist"          arguments for pytest
#   make fuzz SECONDS=120 SEED=1             other netlists, for longer
#   make setup EXTRAS=dev,study,llm          more optional dependencies

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.thermograd-setup
TESTS := $(VENV)/.thermograd-tests
ARGS  ?= -n 2 --dist loadfile --assert=plain -m "not long"

export PYTHON EXTRAS
unexport PYTHONDONTWRITEBYTECODE  # what is compiled on the first import stays compiled

.DEFAULT_GOAL := help
.PHONY: help setup ngspice gnucap browser demo test long fuzz lint format board technologies cards bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ngspice gnucap $(STAMP) ## create .venv, install the pinned packages, ngspice and gnucap (does nothing when all is there)

ngspice:
	@tools/setup-ngspice.sh

gnucap:
	@tools/setup-gnucap.sh

browser: $(TESTS)
	@tools/setup-browser.sh

$(STAMP): pyproject.toml constraints.txt tools/setup-python.sh
	@tools/setup-python.sh
	@touch $@

$(TESTS): pyproject.toml constraints.txt tools/setup-python.sh
	@EXTRAS=$(or $(EXTRAS),dev),tests,pdk tools/setup-python.sh
	@touch $(STAMP) $@

demo: setup ## run the whole chain on real data and write out/demo/report.html
	$(BIN)/thermograd demo --out out/demo

# Each worker would rewrite the assertions of all test files first, 7 s of its time in a fresh clone. Tests that fail are run once more
# with their assertions rewritten, which says the values; the verdict stays that of the first run.
test: ngspice gnucap $(TESTS) browser ## run all tests, with the optional packages that they need
	$(BIN)/pytest $(ARGS) || { $(BIN)/pytest -n0 --last-failed --last-failed-no-failures none; exit 1; }

long: ngspice gnucap $(TESTS) ## run the tests that `make test` has no time for, some three minutes
	$(BIN)/pytest -n 2 -m long

fuzz: setup ## random netlists, read here and by ngspice: make fuzz SECONDS=60 SEED=0
	$(BIN)/python -m tools.fuzz_reader --seconds $(or $(SECONDS),60) --seed $(or $(SEED),0)

lint: $(STAMP) ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

board: setup ## a real two-node board, measured against predicted: make board DATA=../shared/data
	@mkdir -p out
	$(BIN)/python examples/two_node_board.py $(if $(DATA),--data $(DATA)) --plot out/board.png

technologies: setup ## make the presets of open foundries' processes from their models (extra pdk): make technologies NAMES=gf180mcu
	$(BIN)/python -m tools.technologies $(NAMES)

cards: setup ## calibrate the cards that come with the package against ngspice: make cards NAMES=integrated
	$(BIN)/python -m tools.cards $(NAMES)

bench: setup ## run every script in benchmarks/
	@for script in $(wildcard benchmarks/*/*.py); do echo "== $$script"; $(BIN)/python $$script || exit 1; done
