# Every target sets up what it needs (virtual environment, locked dependencies); CI calls only these.
PYTHON ?= python3
SETUP  := $(PYTHON) scripts/bootstrap.py
BIN    := .venv/bin
# How many faults `night` puts into the rules, of all there are; 1000000 is every one.
MUTANTS ?= 1500
# How many histories of the planner and the sealer `night` simulates.
SEEDS ?= 100000
# How many requests `night` draws from the API's description.
REQUESTS ?= 100000

# Each run is a process of its own: without compiled files it spends more than a second on compiling ours anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench night lock

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## virtual environment from requirements.lock
	@$(SETUP)

demo: setup ## start the embedded stack, let five sources send live, watch it become ledger entries
	@$(BIN)/carbon demo

check: setup ## style, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q -n 2 tests/unit tests/architecture -m "not stack and not night"

test: check ## everything that gates a merge, on two stacks of its own
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=40 tests/stack -m "not night"

bench: setup ## speed and size, each as a ratio to a baseline of the same minute
	@$(BIN)/python -m tests.bench.run

night: setup ## the slow proofs
	@$(BIN)/pytest tests -m night
	@API_REQUESTS=$(REQUESTS) $(BIN)/pytest tests/stack/test_api_schema.py
	@$(BIN)/python -m tests.chaos.simulator --seeds $(SEEDS)
	@$(BIN)/python -m tests.night.restore_drill
	@$(BIN)/python -m tests.night.mutation --sample $(MUTANTS)

lock: setup ## re-resolve requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile --universal --python-version 3.11 --group dev pyproject.toml \
	    --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock
