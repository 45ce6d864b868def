# Two commands matter: `make rehearsal` and `make test`. Both set up all they need, on a machine with nothing but
# Python >= 3.11 and package registries. `make clean` undoes what they did.

PYTHON ?= python3
UV := uv==0.13.9
BIN := .venv/bin
# Tests run in as many processes as there are cores, up to four; all tests of the stage in one, at the end.
PARALLEL := --numprocesses auto --maxprocesses 4
STAGE_LAST := --dist loadscope --no-loadscope-reorder
.DEFAULT_GOAL := help
# Hundreds of Python processes import the same SDKs: without compiled files each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help rehearsal test test-slow test-fast lint bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

rehearsal: .venv/.ready ## Both stacks on two embedded clusters, real traffic, a verdict (ARGS="--calls 500 --keep")
	$(BIN)/traffic-mirror rehearse $(ARGS)

test: .venv/.ready lint ## Every check and every test, the embedded stage included
	$(BIN)/pytest $(PARALLEL) $(STAGE_LAST) -m "not slow_stage" $(ARGS)

test-slow: .venv/.ready ## The tests on the embedded stage that take longer: faults, long traffic
	$(BIN)/pytest -m slow_stage $(ARGS)

test-fast: .venv/.ready ## Every test that needs no cluster and is quick, with fewer random examples
	HYPOTHESIS_PROFILE=quick $(BIN)/pytest $(PARALLEL) -m "not stage and not slow_stage and not slow" $(ARGS)

lint: .venv/.ready ## Style, types and architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: .venv/.ready ## Ratios and figures, from one run
	@for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python -m "$$(echo $${file%.py} | tr / .)" || exit 1; done

lock: .venv/.ready ## Resolve the dependencies anew
	$(BIN)/uv pip compile -q pyproject.toml --all-extras --group dev --universal --generate-hashes --no-header \
	  --python-version 3.11 -o requirements.lock --upgrade

clean: ## Remove the stage, its caches, the packages it installed and the environment
	@if [ -x $(BIN)/traffic-mirror ]; then $(BIN)/traffic-mirror rehearse clean; fi
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis dist build reports

.venv/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Run: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Creating .venv with the locked dependencies (about 900 MB; removed by: make clean)"
	@$(PYTHON) -m venv .venv || { echo "Installing python3-venv by apt"; apt-get install -y -q python3-venv; $(PYTHON) -m venv .venv; }
	@$(BIN)/pip install -q --disable-pip-version-check $(UV)
	@$(BIN)/uv pip install -q --no-config --require-hashes -r requirements.lock
	@ln -sfn "$(CURDIR)/components" "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pulumi_traffic_mirror"
	@printf '#!/bin/sh\nexec "%s/$(BIN)/python" -m pulumi_traffic_mirror.cli "$$@"\n' "$(CURDIR)" > $(BIN)/traffic-mirror
	@chmod +x $(BIN)/traffic-mirror
	@touch $@
