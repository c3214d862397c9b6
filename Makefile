# The one vocabulary that people, hooks and CI use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(shell cat pyproject.toml requirements.lock | cksum | cut -d' ' -f1)
WITH_SPARK := $(VENV)/spark-$(notdir $(INSTALLED))
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install run images live tune recommend newcomers monitor rollback promote test test-fast check format serve serve-model ui docs up down status deploy remote lock clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "recgan needs Python 3.11 or newer; set PYTHON=python3.11")'
	@rm -f $(VENV)/installed-*
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	@touch $@

# Half a gigabyte that only the tests and who runs on Spark need.
$(WITH_SPARK): $(INSTALLED)
	@rm -f $(VENV)/spark-installed-*
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[spark]'
	@touch $@

install: $(INSTALLED)  ## the virtual environment in .venv, from requirements.lock

run: $(INSTALLED)  ## from raw events to a champion and what it recommends (DATA=ml-100k FOLDER=… for other data)
ifdef DATA
	@$(BIN)/python -m recgan use $(DATA) $(if $(FOLDER),--folder "$(FOLDER)")
endif
	@$(BIN)/python -m flows.retrain

images: $(INSTALLED)  ## the image GAN of images/params.yaml, measured, registered and judged
	@$(BIN)/python -m flows.images

live: $(INSTALLED)  ## a simulated shop for DAYS=30: its shoppers answer the real server, nights learn from it; reports/live.html
	@$(BIN)/python -m recgan live $(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED)) $(if $(PORT),--port $(PORT))

tune: $(INSTALLED)  ## search settings on validation (CANDIDATE=rcgan TRIALS=30 or MINUTES=…, SEEDS=3; WRITE=1 puts them into params.yaml)
	@$(BIN)/python -m recgan tune $(if $(CANDIDATE),--candidate $(CANDIDATE)) $(if $(TRIALS),--trials $(TRIALS)) \
	  $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(WRITE),--write)

test: $(WITH_SPARK)  ## every test, and the checks beside them, which speak last
	@said=$$(mktemp); $(MAKE) --no-print-directory check > $$said 2>&1 & checks=$$!; \
	  OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	  wait $$checks; checks=$$?; cat $$said; rm $$said; exit $$((tests || checks))

test-fast: $(INSTALLED)  ## the tests without the slow ones
	$(BIN)/python -m pytest -m 'not slow'

check: $(INSTALLED)  ## lint, format, types, imports, workflows, compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config pyproject.toml
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml

format: $(INSTALLED)  ## put the code in its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

recommend: $(INSTALLED)  ## the champion's recommendations for every shopper, recommendations/NAME.parquet
	@$(BIN)/python -m flows.recommend

newcomers: $(INSTALLED)  ## products that the champion does not know, into its lists and answers, from the newest events
	@$(BIN)/python -m recgan newcomers

monitor: $(INSTALLED)  ## drift against the champion's training data; retrains beyond a limit
	@$(BIN)/python -m flows.monitor

rollback: $(INSTALLED)  ## the champion before becomes the champion again (REASON="…")
	@$(BIN)/python -m flows.rollback --reason "$(REASON)"

promote: $(INSTALLED)  ## a version becomes the champion by hand, without the gate (VERSION=3 REASON="…")
	@$(BIN)/python -m recgan promote $(or $(VERSION),"") --reason "$(REASON)"

serve: $(INSTALLED)  ## recommendations over HTTP on port 8000 with the champion, and the page /explorer (NAME=recgan WORKERS=1)
	@$(BIN)/python -m recgan serve --name $(or $(NAME),recgan) --port $(or $(PORT),8000) --workers $(or $(WORKERS),1)

serve-model: $(INSTALLED)  ## the champion behind MLflow's scoring server on port 5001 (NAME=recgan)
	@$(BIN)/python -m recgan serve-model --name $(or $(NAME),recgan) --port $(or $(PORT),5001)

ui: $(INSTALLED)  ## MLflow's pages on port 5000: runs, curves, versions, aliases
	@$(BIN)/python -m recgan ui --port $(or $(PORT),5000)

docs: $(INSTALLED)  ## the documentation site, docs/_site/index.html, without any network
	@$(BIN)/python -m sphinx -q -W --keep-going -d docs/_site/.read docs docs/_site

up: $(INSTALLED)  ## PostgreSQL, Prefect, MLflow and a worker on this machine, with the deployments (needs Debian's postgresql)
	@RECGAN_ROOT="$(CURDIR)" $(BIN)/python -m flows.servers up

down: $(INSTALLED)  ## stop them; what they store stays
	@$(BIN)/python -m flows.servers down

status: $(INSTALLED)  ## which of them run
	@$(BIN)/python -m flows.servers status

deploy: $(INSTALLED)  ## apply prefect.yaml and the automations to the server that PREFECT_API_URL names
	@RECGAN_ROOT="$${RECGAN_ROOT:-$(CURDIR)}" $(BIN)/prefect --no-prompt deploy --all
	@$(BIN)/python -m flows.automations

remote: $(INSTALLED)  ## where this clone's `dvc push` and `dvc pull` go: ../recgan-remote, or URL=s3://bucket/path
	@case "$${URL:=../recgan-remote}" in *://*) ;; *) mkdir -p "$$URL" && URL=$$(cd "$$URL" && pwd) ;; esac && \
	  $(BIN)/dvc remote add --quiet --local --force --default storage "$$URL" && echo "the DVC remote is $$URL"

lock: $(INSTALLED)  ## requirements.lock anew from .venv
	@{ sed -n '/^#/p' requirements.lock; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//'; } > requirements.lock.new
	@mv requirements.lock.new requirements.lock

clean:  ## remove what the pipeline made (the DVC cache, the registry and .venv stay)
	rm -rf data models reports checkpoints .mypy_cache .ruff_cache .pytest_cache
