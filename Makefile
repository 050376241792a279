# What operators and developers type. `make` alone lists it.

CARGO ?= cargo
CONFIG ?= deploy/configs/openshift-ci.yaml
DATA_DIR ?= boskos-data
TARGET := $(or $(CARGO_TARGET_DIR),target)
MUTANTS_JOBS ?= 2

.PHONY: help build run test bench durable-check mutants lint deny

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## build every binary, optimized
	$(CARGO) build --release --workspace

run: ## serve CONFIG on http://127.0.0.1:8080 from DATA_DIR, until Ctrl-C
	$(CARGO) build --release -p boskos-server
	exec $(TARGET)/release/boskos-server --listen-address 127.0.0.1 --config $(CONFIG) --data-dir $(DATA_DIR)

test: ## all tests
	$(CARGO) build --workspace --all-targets
	$(CARGO) test --workspace

bench: ## measure against a bare hyper server; prints a table
	$(CARGO) build --release -p boskos-server --example bare
	$(CARGO) bench -p boskos-server --bench requests

durable-check: ## under strace: every 200 to a mutation has its sync before it
	$(CARGO) build --release -p boskos-server
	boskos-server/tests/durable-check $(TARGET)/release/boskos-server

mutants: ## break the core on purpose and list what no test notices
	$(CARGO) mutants -p boskos-core --jobs $(MUTANTS_JOBS)

lint: ## formatting, clippy and docs, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

deny: ## licences, sources and banned crates
	$(CARGO) deny check bans licenses sources
