# Every target but help, lock and clean sets up .venv by itself, from requirements.lock.

PYTHON ?= python3
CORES ?= all
PAPER ?= one okddip kdcl md
SHELL := /bin/bash
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: setup demo reproduce test test-slow test-all bench science lint format lock clean evidence
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | column -t -s '|'

setup: .venv/ready  ## make .venv: the pinned packages, and okd itself

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "okd needs Python 3.11 or newer: make setup PYTHON=python3.12"; exit 2; }
	@if command -v uv > /dev/null; then \
	  uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv && \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv --clear .venv && \
	  $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

demo: setup  ## the whole pipeline on handwritten digits: minutes on a CPU
	@okd plan --scale demo $(PAPER) --save
	@snakemake --cores $(CORES); code=$$?; echo "$(CURDIR)/reports/report.html"; exit $$code

reproduce: setup  ## the papers themselves, or one: make reproduce PAPER=okddip
	@okd plan --scale paper $(PAPER) --save
	@snakemake --cores $(CORES); code=$$?; okd record; echo "$(CURDIR)/reports/report.html"; exit $$code

evidence: setup  ## render reports/paper.html at scale paper from what git holds: no training, no data
	@okd tables --scale paper --evidence-only --out scratch/paper
	@okd report --data scratch/paper --out reports/paper.html

test: setup  ## the tests: at most ten minutes on two cores
	@OMP_NUM_THREADS=1 pytest -n 2 -m "not slow"

test-slow: setup  ## the long proofs alone: every kill point, every fault, both engines, the browser, a real SLURM
	@OMP_NUM_THREADS=1 pytest -n 2 -m slow --durations=10

test-all: test test-slow  ## all of them

bench: setup  ## what a step of each method costs here, against an ordinary loop in the same run
	@OMP_NUM_THREADS=1 okd bench

science: setup  ## what each method gains over the baseline on the digits, five seeds: minutes on a CPU
	@OMP_NUM_THREADS=1 okd science --seeds 5

lint: setup  ## ruff, pyright, snakefmt, snakemake --lint
	@ruff check .
	@ruff format --check .
	@pyright
	@snakefmt --check Snakefile workflow
	@snakemake --lint

format: setup  ## let ruff and snakefmt write
	@ruff check --fix . ; ruff format . ; snakefmt Snakefile workflow

lock:  ## resolve the newest versions that fit together (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-header --group dev --extra build --extra s3 --extra slurm pyproject.toml -o requirements.lock

clean:  ## forget results, scratch and logs of this checkout; keeps data and .venv
	rm -rf results scratch logs .snakemake reports/report.html reports/data
