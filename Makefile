# One verb each; continuous integration (.ci/run) calls the same ones.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
# Arguments of the gateway: make run ARGS="--port 8080"
ARGS ?=

.PHONY: help run build check test matrix openapi services e2e reliability faults figures propagation bigdata recording checklist clean

help: ## List these verbs
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build the gateway and run it: make run ARGS="--port 8080"
	@$(CARGO) run --release --bin unified-gateway -- $(ARGS)

build: ## Build the gateway: target/release/unified-gateway
	@$(CARGO) build --release --bin unified-gateway

check: ## Formatting, lints, documentation, the house rules, dependencies
	@$(CARGO) fmt --check
	@$(CARGO) clippy --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --no-deps --document-private-items
	@$(CARGO) test --test integration -- architecture
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny check; \
	else \
		echo "skipped: dependency check (cargo-deny is missing: cargo install --locked cargo-deny)"; \
	fi

test: ## Every test on every backend; starts its own PostgreSQL and Redis, or uses DATABASE_URL and REDIS_URL
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		integration-tests/services.sh $(CARGO) nextest run --all-targets; \
	else \
		integration-tests/services.sh $(CARGO) test --all-targets; \
	fi

matrix: ## Print contract x transport x mode, and endpoint x provider x format x mode, with the number of cases that pass
	@$(CARGO) test --lib -q matrix -- --nocapture | grep -E " -> |test result"

openapi: ## Write docs/openapi.json, the copy of what the gateway serves at /openapi.json
	@UNIFIED_WRITE_OPENAPI=1 $(CARGO) test --test integration -q -- openapi::the_copy

services: ## A private PostgreSQL and Redis to try things with, until Ctrl-C
	@integration-tests/services.sh --production

e2e: ## Official client libraries and tools against a running gateway
	@integration-tests/e2e/run.sh

reliability: ## The long form of what must hold when processes die and when hundreds ask at once
	@UNIFIED_RELIABILITY=long integration-tests/services.sh $(CARGO) test --test integration -- --nocapture --test-threads=1 reliability limits memory_stays_flat

faults: ## Print the fault matrix, and what clients notice of a provider that is out for five minutes
	@UNIFIED_RELIABILITY=long integration-tests/services.sh $(CARGO) test --test integration -- --nocapture faults

figures: ## Measure what the documentation promises and print the numbers
	@integration-tests/figures.sh

propagation: ## How fast a change is in force on another replica, undisturbed and disturbed
	@integration-tests/services.sh --production integration-tests/figures.sh propagation

bigdata: ## How long questions about five million recorded requests take, and what recording them costs: ARGS="--store sqlite"
	@integration-tests/services.sh --production $(CARGO) run --release --example bigdata -- $(ARGS)

recording: ## What it costs to store a record, in SQLite and in PostgreSQL
	@integration-tests/services.sh --production $(CARGO) run --release --example recording

checklist: ## Walk the checklist of docs/production.md against two local replicas
	@integration-tests/production_checklist.sh

clean: ## Remove what was built; state in ./data stays
	@$(CARGO) clean
