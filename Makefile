# The project's commands: `make` lists them. PYTHON chooses the interpreter that makes the environment.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Rebuilt when a requirement or the environment itself changed, and only then
READY := $(VENV)/.ready
SANITIZERS := sanitize-address sanitize-thread
# Where `snakemake` writes the outputs of params.yaml, and how `make run` calls it: an experiment on each core
ROOT := runs/snakemake
SNAKEMAKE = LUTRA_PARAMS=params.yaml $(BIN)/snakemake --cores $$(nproc) --quiet host reason

export MLFLOW_DISABLE_TELEMETRY := true
# Images of containers set it; every process would then compile what it imports, and start in twice the time
unexport PYTHONDONTWRITEBYTECODE
# DVC runs the stages as `python`: the environment's, activated or not
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup run run-all zoo results test test-cluster sanitize $(SANITIZERS) check docs structure ui web clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

setup: $(READY)  ## make .venv and install what the project needs, at the versions of constraints.txt

$(READY): pyproject.toml constraints.txt CMakeLists.txt $(shell find lutra/_core -name '*.[ch]pp')
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "lutra needs Python >= 3.11; choose one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Installing into $(VENV): a few minutes the first time"
	@$(PYTHON) -m venv $(VENV)
	@# --no-compile: Python compiles a module when it is first imported; all of them would take a minute
	@# before version 0.2 the distribution had the name lutra: removed later, it would take files of this one with it
	@$(BIN)/python -m pip uninstall -qq --disable-pip-version-check --yes lutra
	@LUTRA_REQUIRE_ENGINE=1 PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile \
		-e '.[train,pipeline,cluster,video,docs,dev]'
	@touch $@

run: setup  ## the main job: photographs in, measured super-resolution tables out (Snakemake, into runs/snakemake)
	@$(SNAKEMAKE) -- $(ROOT)/report/x4/report.html
	@$(MAKE) --no-print-directory results

run-all: setup  ## the same for all tasks: denoising, deblocking and deblurring too
	@$(SNAKEMAKE)
	@$(MAKE) --no-print-directory results
	@echo "All tasks on a page:     $$($(BIN)/python -m pipeline report --root $(ROOT))"

zoo: setup  ## all models of results/recipes.yaml, which take about 6 hours on two cores; resumes (Snakemake, into runs/recipes)
	@$(BIN)/python -m pipeline fetch --params results/recipes.yaml
	@LUTRA_PARAMS=results/recipes.yaml $(BIN)/snakemake --cores $$(nproc)
	@echo "Keep one, with its card: python -m pipeline record --params results/recipes.yaml --root runs/recipes --experiment X --zoo X"

results:
	@for report in $(ROOT)/report/*/report.md; do echo; cat $$report; done
	@echo
	@echo "Compared on a page:      $$(echo $(ROOT)/report/*/report.html)"
	@echo "Compared in pictures:    $$(echo $(ROOT)/report/*/comparison.png)"
	@echo "Images side by side:     $$(echo $(ROOT)/evaluate/*/*/sheets)"
	@echo "Messages of the stages:  $(ROOT)/logs"
	@echo "Parameters and curves:   make ui"

test: setup  ## the tests, on up to 8 cores
	@workers=$$($(BIN)/python -c "from lutra.limits import processors; print(min(processors(), 8))") && \
		OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $$workers --dist loadgroup --no-loadscope-reorder

test-cluster: setup  ## the tests on SLURM, as root on Debian; INSTALL=1 installs SLURM first
	@$(BIN)/python -m tests.cluster.slurm $(if $(INSTALL),--install) -- $(BIN)/python -m pytest -q tests/cluster

structure: setup  ## modules in each folder, the longest files and functions, imports between rooms
	@$(BIN)/python -m tests.structure

sanitize: $(SANITIZERS)  ## the compiled core's tests under the address, undefined-behaviour and thread sanitizers; SHORT=1: some

$(SANITIZERS): sanitize-%: setup
	@PYTHON=$(BIN)/python sh tests/sanitize.sh $* $(if $(SHORT),short)

check: setup  ## lint, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy lutra pipeline tests
	@$(BIN)/snakefmt --check Snakefile workflow

docs: setup  ## the guides and the API reference as one site, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build
	@echo "Read it: $(BIN)/python -m http.server -d site -b 127.0.0.1 8000"

ui: setup  ## MLflow's pages on this machine: compare the runs
	@$(BIN)/python -m pipeline ui

web: setup  ## the page that restores in a browser, its models and the npm package, into build/web; on Debian, as root, installs emscripten
	@command -v emcmake >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
		&& apt-get update -qq && apt-get install -y -qq --no-install-recommends emscripten cmake ninja-build; } || true
	@$(BIN)/python web/build.py

clean:  ## remove what the stages wrote and the tools' caches; keeps .venv and DVC's cache
	rm -rf runs dvc_plots report.html site build dist *.egg-info .snakemake
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find lutra pipeline tests -name __pycache__ -type d -prune -exec rm -rf {} +
