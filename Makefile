# `make help` lists the commands. Each sets itself up: the first one creates .venv and installs requirements.txt.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
LESSON ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install run test browser lab notebooks slug clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(READY)  ## create .venv with all packages, and nothing else

run: $(READY)  ## run all lessons into build/lessons/ and render them to HTML (LESSON=04: only that one)
	@$(BIN)/python notebooks/lessons.py run $(LESSON)

test: $(READY)  ## everything that CI checks: ruff, the data set, unit tests, and each lesson against its stored outputs
	$(BIN)/ruff check .
	$(BIN)/python data/render/check.py data
	$(BIN)/python -m pytest -m "slow or not slow"
	$(BIN)/python -m pytest --nbval notebooks

# Pinned, as a new browser or rule must not fail a commit that changed nothing. Raise them by hand.
browser: $(READY)  ## Playwright, Chromium and axe, without which the tests of the report's page are skipped
	$(BIN)/python -m pip install playwright==1.65.2
	$(BIN)/playwright install chromium
	npm install --no-save --no-package-lock --silent axe-core@4.14.1

lab: $(READY)  ## open the lessons in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

notebooks: $(READY)  ## run the lessons and save them in place, with clean metadata (LESSON=04: only that one)
	@$(BIN)/python notebooks/lessons.py save $(LESSON)

slug: $(READY)  ## write the repository's slug (pyproject.toml) into every badge, link and setup cell
	@$(BIN)/python notebooks/lessons.py slug

clean:  ## remove the environment and everything that was built
	rm -rf .venv build node_modules *.egg-info .pytest_cache .ruff_cache

# The environment is made anew whenever its inputs change, so that it never keeps a package no longer asked for.
$(READY): requirements.txt pyproject.toml
	@python=`for p in $(PYTHON) python3.13 python3.12 python3.11; do \
	    $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; \
	done`; \
	if [ -z "$$python" ]; then \
	    echo "Python 3.11, 3.12 or 3.13 is needed. Install one, or name it: make PYTHON=/path/to/python3.13"; exit 1; \
	fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "$$python cannot create environments. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; \
	fi; \
	echo "Creating .venv with `$$python --version` and installing requirements.txt (once; about 3 GB, some minutes)"; \
	$$python -m venv --clear .venv
	$(BIN)/python -m pip install -r requirements.txt -e .
	@touch $@
