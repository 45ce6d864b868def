# Two commands matter: `make rehearsal` and `make test`. Both set up all they need, on a machine with nothing but
# Python >= 3.11 and package registries. `make clean` undoes what they did.

PYTHON ?= python3
UV := uv==0.13.9
BIN := .venv/bin
# Tests run in as many processes as there are cores, up to four; all tests of the stage in one, from the beginning on:
# they wait for clusters much of the time, and the other processes work meanwhile.
PARALLEL := --numprocesses auto --maxprocesses 4
STAGE_FIRST := --dist loadscope
.DEFAULT_GOAL := help
# Hundreds of Python processes import the same SDKs: without compiled files each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help rehearsal test pytest test-slow test-formats test-spark test-fast lint differential bench lock dist docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

rehearsal: .venv/.ready ## Both stacks on two embedded clusters, real traffic, a verdict (ARGS="--calls 500 --keep")
	$(BIN)/traffic-mirror rehearse $(ARGS)

test: .venv/.ready ## Every check and every test, the embedded stage included
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

pytest: .venv/.ready
	$(BIN)/pytest $(PARALLEL) $(STAGE_FIRST) -m "not slow_stage and not other_tools and not spark" $(ARGS)

test-slow: .venv/.ready ## The tests on the embedded stage that take longer: faults, long traffic
	$(BIN)/pytest -m slow_stage $(ARGS)

test-formats: .venv/.ready ## Import of what other tools record, by the tools themselves (installs them)
	$(BIN)/pytest -m other_tools $(ARGS)

test-spark: .venv/.spark ## Comparisons on a real Spark, one of whose workers is killed (installs Spark and Java)
	$(BIN)/pytest -m spark $(ARGS)

test-fast: .venv/.ready ## Every test that needs no cluster and is quick, with fewer random examples
	HYPOTHESIS_PROFILE=quick $(BIN)/pytest $(PARALLEL) -m "not stage and not slow_stage and not slow and not other_tools and not spark" $(ARGS)

lint: .venv/.ready ## Style, types and architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

differential: .venv/.ready ## The linter against istiod in memory, on 10,000 meshes (ARGS="0 10000")
	$(BIN)/python -m tests.differential $(or $(ARGS),0 10000)

bench: .venv/.ready ## Ratios and figures, from one run
	@for file in tests/bench/bench_*.py; do echo "== $$file"; $(BIN)/python -m "$$(echo $${file%.py} | tr / .)" || exit 1; done

lock: .venv/.ready ## Resolve the dependencies anew
	$(BIN)/uv pip compile -q pyproject.toml --extra gke --extra cli --extra mcp --extra policy --group dev --universal \
	  --generate-hashes --no-header --python-version 3.11 -o requirements.lock --upgrade

DIST ?= dist
CONTEXT := tar --create --gzip --exclude=__pycache__ --sort=name --owner=0 --group=0 --file
WORKLOADS := components/workloads

dist: .venv/.ready ## What a release consists of: wheel, source, and each image's build context (docker build - < FILE)
	@mkdir -p "$(DIST)"
	$(BIN)/python -m hatchling build -d "$(DIST)"
	$(CONTEXT) "$(DIST)/greeter.tar.gz" -C $(WORKLOADS)/greeter/server .
	$(CONTEXT) "$(DIST)/expiry-guard.tar.gz" -C $(WORKLOADS)/expiry/server .
	$(CONTEXT) "$(DIST)/recorder.tar.gz" -C components --transform=s,workloads/recorder/server/Dockerfile,Dockerfile, \
	  workloads/recorder/server/Dockerfile workloads/recorder/server/requirements.txt model operations/recording
	$(CONTEXT) "$(DIST)/jobs.tar.gz" -C components --transform=s,workloads/jobs/server/Dockerfile,Dockerfile, \
	  workloads/jobs/server/Dockerfile workloads/jobs/server/requirements.txt cli model operations/diff \
	  operations/recording operations/replay $(patsubst components/%,%,$(wildcard components/operations/*.py))

docs: .venv/.ready ## The documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir "$(abspath $(or $(SITE),site))"

clean: ## Remove the stage, its caches, the packages it installed and the environment
	@if [ -x $(BIN)/traffic-mirror ]; then $(BIN)/traffic-mirror rehearse clean; fi
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis dist site build reports

.venv/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Run: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Creating .venv with the locked dependencies (about 900 MB; removed by: make clean)"
	@$(PYTHON) -m venv .venv || { echo "Installing python3-venv by apt"; apt-get update -q; \
	  apt-get install -y -q python3-venv; $(PYTHON) -m venv .venv; }
	@$(BIN)/pip install -q --disable-pip-version-check $(UV)
	@$(BIN)/uv pip install -q --no-config --require-hashes -r requirements.lock
	@site="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"; \
	  ln -sfn "$(CURDIR)/components" "$$site/pulumi_traffic_mirror"; \
	  ln -sfn "$(CURDIR)/policies" "$$site/pulumi_traffic_mirror_policies"
	@printf '#!/bin/sh\nexec "%s/$(BIN)/python" -m pulumi_traffic_mirror.cli "$$@"\n' "$(CURDIR)" > $(BIN)/traffic-mirror
	@chmod +x $(BIN)/traffic-mirror
	@touch $@

# Not part of the environment: it is half a gigabyte, and of use to nothing else here.
.venv/.spark: .venv/.ready
	@command -v java >/dev/null || { echo "Installing openjdk-17-jre-headless by apt"; apt-get update -q; \
	  apt-get install -y -q --no-install-recommends openjdk-17-jre-headless; }
	@echo "Installing Spark (about 500 MB; removed by: make clean)"
	@$(BIN)/uv pip install -q --no-config --constraint requirements.lock pyspark==4.3.0 pandas==2.3.3
	@touch $@
