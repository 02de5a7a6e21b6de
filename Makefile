# Bare `make` prints the targets. Everything a target needs, it sets up; everything it makes lies in .venv and .local.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
# Base port of the local stack; the others follow from it. Empty: that of last time, else 8080.
PORT ?=
# One part of the stack for `make logs`, e.g. PART=scheduler.
PART ?=
# One part of `make bench`; a wrong name lists them all.
ONLY ?=
# Processes of `make test`. Empty: one a core.
JOBS ?=

# What `make image` builds with: docker or podman, its base, torch's index (empty: what pip uses) and the images' names.
ENGINE ?= $(notdir $(firstword $(shell command -v podman docker)))
BUILD ?= $(ENGINE) build
BASE ?= docker.io/library/python:3.11-slim-bookworm
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
AIRFLOW_IMAGE ?= widedeep-airflow:$(VERSION)
SERVING_IMAGE ?= widedeep-serving:$(VERSION)
# Not empty: `make compose-test` builds and takes docker/standins/ for PostgreSQL, Redis and SeaweedFS.
STANDINS ?=
STANDIN = localhost/widedeep-standin
STANDIN_IMAGES = POSTGRES_IMAGE=$(STANDIN)-postgres REDIS_IMAGE=$(STANDIN)-redis SEAWEEDFS_IMAGE=$(STANDIN)-seaweedfs

BIN := .venv/bin
READY := .venv/.complete
SAMPLE := .local/sample/.complete
# Without its name, uv installs into whatever environment the calling shell has activated.
INTO := --python $(BIN)/python
UV := $(BIN)/uv pip
UV_VERSION := 0.13.9
LOCKED = $(UV) compile --generate-hashes --python-version 3.11 --no-emit-index-url -q --custom-compile-command "make lock"
TORCH_VERSION := 2.13.0
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# podman writes down health checks in Docker's format only.
IMAGE = $(BUILD) $(if $(findstring podman,$(ENGINE)),--format docker) --file docker/Dockerfile --build-arg BASE=$(BASE) \
	--build-arg TORCH_VERSION=$(TORCH_VERSION) --build-arg TORCH_INDEX=$(TORCH_INDEX) \
	--label org.opencontainers.image.version=$(VERSION) --label org.opencontainers.image.base.name=$(BASE) \
	--label org.opencontainers.image.revision=$$(git rev-parse HEAD 2>/dev/null || echo unknown)
# Some images set it. uv compiles nothing, so each of the thousand processes that the tests and the stack start would compile anew
# what it imports, and take twice as long to start: bytecode is kept where a module is first imported.
unexport PYTHONDONTWRITEBYTECODE
say = @printf '\033[1m%s\033[0m\n'

.PHONY: help setup local-airflow stop status logs shell demo test test-live compose-test check format bench bench-validation bench-gate bench-serving bench-dry-run bench-backfill soak screenshots image standins schema lock clean distclean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

setup: $(READY) $(SAMPLE) ## Make the environment and fetch the sample (every target does it when needed)

local-airflow: $(READY) $(SAMPLE) ## Start the whole chain on this machine (other ports: PORT=9000)
	@$(BIN)/widedeep local up $(if $(PORT),--port $(PORT))

stop: ## Stop it, and wait until no process is left
	@if [ -x $(BIN)/widedeep ]; then $(BIN)/widedeep local down; else echo "nothing is installed here, so nothing runs"; fi

status: | $(READY) ## Show its parts: process, health, port, memory
	@$(BIN)/widedeep local status || [ $$? -eq 3 ]

logs: | $(READY) ## Follow its logs (one part: PART=scheduler)
	@$(BIN)/widedeep local logs $(PART)

shell: | $(READY) ## Open a shell with its settings: widedeep, airflow and aws tools meet the running stack
	@$(BIN)/widedeep local env -- "$${SHELL:-bash}"

demo: $(READY) $(SAMPLE) ## Three spans through the same steps, without Airflow
	@$(BIN)/widedeep demo

# Files in their order: by number of tests, the longest, which have one or two, would come last, and one process wait for the other.
test: $(READY) $(SAMPLE) ## Run the tests (real object store and database, no network)
	$(BIN)/pytest tests --ignore=tests/live --numprocesses $(or $(JOBS),$(shell nproc)) --dist loadfile --no-loadscope-reorder

test-live: $(READY) $(SAMPLE) ## Start the whole stack on free ports, let it run three spans, approve a held one in Chromium, stop it
	$(BIN)/pytest tests/live

compose-test: $(READY) $(SAMPLE) image ## Walk through the containers: faults, backup, wipe, restore (STANDINS=1: without a registry)
	$(if $(STANDINS),@$(MAKE) standins)
	AIRFLOW_IMAGE=$(AIRFLOW_IMAGE) SERVING_IMAGE=$(SERVING_IMAGE) $(if $(STANDINS),$(STANDIN_IMAGES)) PYTHONPATH=. $(BIN)/python docker/walk.py

check: $(READY) ## Format, lint, types, layers, images and manifests: what to run before a commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict widedeep
	$(BIN)/lint-imports
	$(BIN)/hadolint --failure-threshold warning docker/Dockerfile docker/standins/*/Dockerfile
	$(BIN)/shellcheck docker/*.sh docker/standins/*/*.sh .ci/run
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml docker/compose.gpu.yaml
	$(BIN)/kubernetes-validate --strict --quiet docker/kubernetes/{serving,settings,training-machines,training-pod}.yaml

format: $(READY) ## Format, and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) $(SAMPLE) ## Measure everything (some five hours; one part: ONLY=engine)
	$(BIN)/python -m benchmarks $(ONLY)

bench-validation: $(READY) ## Damage good days in 90 ways, count false alarms on clean days, time it beside its peers (two hours)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.validation

bench-gate: $(READY) ## Judge good and harmed candidates where the truth is known: what is promoted, held, rejected (half an hour)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m benchmarks.gate

bench-serving: $(READY) ## Time the scoring server beside stock torch and ONNX Runtime; 200 hot swaps under load (a quarter of an hour)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m benchmarks.serving

bench-dry-run: $(READY) ## Rehearse 28 poisoned candidates and 200 good ones, and see which are blocked (half an hour)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m benchmarks.dry_run

bench-backfill: $(READY) $(SAMPLE) ## Backfill all 23 days of the sample, with workers that import once and with plain ones (half an hour)
	$(BIN)/python -m benchmarks.backfill

soak: $(READY) $(SAMPLE) ## The tests that take minutes; kill runs and the store 200 times at random moments; 24 generated backfills and five of ten days on a real scheduler (two hours)
	$(BIN)/pytest tests --ignore=tests/live -m soak
	$(BIN)/python -m benchmarks.crash
	$(BIN)/python -m benchmarks.walks
	$(BIN)/python -m benchmarks.walks.ten_days

screenshots: | $(READY) ## Take the README's pictures from the running stack (needs Chromium)
	@$(BIN)/python docs/screenshots.py

image: ## Build the images for docker/compose.yaml and docker/kubernetes/ (another base or torch: BASE=, TORCH_INDEX=)
	@[ -n "$(ENGINE)" ] || { echo "neither podman nor docker is on the PATH; one of them builds images" >&2; exit 1; }
	@[[ "$(TORCH_INDEX)" != *@* ]] || { echo "TORCH_INDEX stands in the image's history, for all to read: put its credentials into pip's settings, and lend them (BUILD, in docker/README.md)" >&2; exit 1; }
	$(IMAGE) --target airflow --tag $(AIRFLOW_IMAGE) .
	$(IMAGE) --target serving --tag $(SERVING_IMAGE) .

standins: ## Build images that stand in for PostgreSQL's, Redis's and SeaweedFS's where no registry can be reached
	@for part in postgres redis seaweedfs; do \
		$(BUILD) --build-arg BASE=$(BASE) --tag $(STANDIN)-$$part docker/standins/$$part || exit 1; done

schema: $(READY) ## Write the contract's JSON Schema anew, for editors
	$(BIN)/widedeep schema > dags/contracts/contract.schema.json

lock: $(READY) ## Resolve the dependencies anew, into requirements.lock and, with its versions, those of the images
	$(LOCKED) pyproject.toml --extra local --extra dev --extra distributed --extra torch-base --override requirements.override.txt -o requirements.lock
	$(LOCKED) pyproject.toml --extra server --extra distributed --extra torch-base --override requirements.override.txt \
		--constraint requirements.lock -o docker/airflow.lock
	$(LOCKED) docker/serving.in --constraint requirements.lock -o docker/serving.lock

clean: ## Stop the stack and delete its data, and all caches
	@if [ -x $(BIN)/widedeep ]; then $(BIN)/widedeep local down --remove; fi
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -path ./.venv -prune -o -path ./.local -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## The same, and delete the environment and the sample
	rm -rf .venv .local *.egg-info

# Written last, so that an interrupted setup is taken up again. torch comes by pip, in a step of its own: each machine's pip
# configuration chooses its build (CPU or CUDA).
$(READY): pyproject.toml requirements.lock requirements.override.txt
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) on the PATH; Python 3.11 is needed (or name it: make setup PYTHON=/path/to/python3.11)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v[:2] != (3, 11) and f"$(PYTHON) is Python {v[0]}.{v[1]}; 3.11 is needed (name it: make setup PYTHON=/path/to/python3.11)")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) can't make environments: the module ensurepip is missing (on Debian and Ubuntu: apt-get install python3.11-venv)" >&2; exit 1; }
	$(say) "environment: $$($(PYTHON) -V) in .venv"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(say) "packages: exact versions from requirements.lock, checked by hash"
	@$(UV) install --quiet $(INTO) --no-deps --require-hashes -r requirements.lock
	$(say) "packages: torch $(TORCH_VERSION)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-warn-conflicts torch==$(TORCH_VERSION)
	@$(UV) install --quiet $(INTO) --no-deps -e .
	@touch $@

$(SAMPLE): | $(READY)
	$(say) "sample: MovieLens-100k"
	@$(BIN)/widedeep sample fetch
	@touch $@
