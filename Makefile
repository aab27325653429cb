# One command each; the scripts in deploy/ do the work.
.DEFAULT_GOAL := help
.PHONY: help up down test endurance check bench pictures format lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

up: ## Start the console at http://127.0.0.1:8000 (DEMO=0: no demo cluster; MEDSTACK_PORT=…)
	@deploy/up

down: ## Stop the console that `make up` started, and the Engines of its local nodes
	@deploy/down

test: ## Run all tests, on SQLite, PostgreSQL and real Engines (SUITES="pages-sqlite …": some)
	@deploy/test $(SUITES)

endurance: ## Kill parts a hundred times, then let fifty browsers at it (half an hour)
	@deploy/endurance

check: ## Check style, types, migrations and the production settings
	@deploy/check

bench: ## Measure speed and size (BENCHMARKS="evidence_stream": some)
	@deploy/venv.sh requirements-dev.txt
	@.venv/bin/python -m benchmarks.run $(BENCHMARKS)

pictures: ## Write a picture of every page, light and dark, desk and phone, to var/pictures
	@deploy/packages.sh test
	@deploy/venv.sh requirements-dev.txt
	@.venv/bin/python -m tests.browser.pictures var/pictures $(PAGES)

format: ## Put the code into the house's form
	@deploy/venv.sh requirements-dev.txt
	.venv/bin/python -m ruff check --fix-only .
	.venv/bin/python -m ruff format .

lock: ## Pin the newest allowed versions of all Python packages, with hashes
	@deploy/lock

clean: ## Remove what was built (.venv, caches); the console's data in var/ stays
	@deploy/clean
