# What operators and developers type. `make` alone lists it.

CARGO ?= cargo
CONFIG ?= deploy/configs/openshift-ci.yaml
DATA_DIR ?= boskos-data
TARGET := $(or $(CARGO_TARGET_DIR),target)
MUTANTS_JOBS ?= 2
MUTANTS_SEQUENCES ?= 60
SOAK_SECONDS ?= 300
NAMESPACE ?= boskos
OVERLAY ?= deploy/overlays/example
KUBECTL ?= kubectl
# Not by the client: that copies each object into an annotation, which a large config has no room for.
APPLY = $(KUBECTL) apply --server-side --force-conflicts
CHECK_CONFIG ?= $(CARGO) run --quiet --release -p boskos-server -- check-config --config
DEMO_BINARIES ?= $(TARGET)/debug

.PHONY: help build run demo test bench durable-check soak mutants lint deny kube-tools \
	deployment server-deployment service update-config

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## build every binary, optimized
	$(CARGO) build --release --workspace

run: ## serve CONFIG on http://127.0.0.1:8080 from DATA_DIR, until Ctrl-C
	$(CARGO) build --release -p boskos-server
	exec $(TARGET)/release/boskos-server --listen-address 127.0.0.1 --config $(CONFIG) --data-dir $(DATA_DIR)

demo: ## server, daemons and jobs that die, in a temporary folder, until Ctrl-C or for DEMO_SECONDS
	$(CARGO) build --workspace --bins
	exec deploy/demo/demo $(DEMO_BINARIES)

test: kube-tools ## all tests
	$(CARGO) build --workspace --all-targets
	$(CARGO) test --workspace

bench: ## measure against a bare hyper server; prints a table
	$(CARGO) build --release -p boskos-server --example bare
	$(CARGO) bench -p boskos-server --bench requests

# The API server that tests and the bench run against, unless KUBEBUILDER_ASSETS names another.
kube-tools:
	@test -n "$$KUBEBUILDER_ASSETS" || deploy/kube-apiserver/build $(TARGET)/kube

durable-check: ## under strace: every 200 to a mutation has its sync before it
	$(CARGO) build --release -p boskos-server
	boskos-server/tests/durable-check $(TARGET)/release/boskos-server

# The binaries that `make test` has built already; SOAK_SEED repeats a run that failed.
soak: ## SOAK_SECONDS of 200 clients under kills of clients, daemons and server; prints a table
	$(CARGO) build --workspace --bins
	$(TARGET)/debug/soak --seconds $(SOAK_SECONDS) $(if $(SOAK_SEED),--seed $(SOAK_SEED))

# Shorter hunts than those of `make test`: most mutants fall at once, and there are very many.
mutants: ## break the core on purpose and list what no test notices; see boskos-core/mutants.md
	BOSKOS_SEQUENCES=$(MUTANTS_SEQUENCES) $(CARGO) mutants -p boskos-core --jobs $(MUTANTS_JOBS)

lint: ## formatting, clippy and docs, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

deny: ## licences, sources and banned crates
	$(CARGO) deny check bans licenses sources

namespace = $(KUBECTL) create namespace $(NAMESPACE) --dry-run=client -o yaml | $(KUBECTL) apply -f -

# Kustomize's word for "as there, in another namespace" is a folder of one file.
define in_namespace
mkdir -p $(TARGET)/deploy/$(NAMESPACE)
printf 'namespace: %s\nresources:\n- %s\n' '$(NAMESPACE)' "$$(realpath --relative-to=$(TARGET)/deploy/$(NAMESPACE) $(OVERLAY))" \
	>$(TARGET)/deploy/$(NAMESPACE)/kustomization.yaml
$(namespace)
$(KUBECTL) kustomize $(TARGET)/deploy/$(NAMESPACE) >$(TARGET)/deploy/$(NAMESPACE).yaml
endef

# A config that serves already is changed by update-config alone.
define keep_config
if $(KUBECTL) -n $(NAMESPACE) get configmap boskos-resources >/dev/null 2>&1; then \
	echo "configmap/boskos-resources is there and stays: make update-config changes it"; \
	awk 'BEGIN { RS = "\n---\n"; ORS = "\n---\n" } \
		!(/(^|\n)kind: ConfigMap(\n|$$)/ && /\n  name: boskos-resources(\n|$$)/)' \
		$(TARGET)/deploy/$(NAMESPACE).yaml >$(TARGET)/deploy/$(NAMESPACE).yaml.new; \
	mv $(TARGET)/deploy/$(NAMESPACE).yaml.new $(TARGET)/deploy/$(NAMESPACE).yaml; \
fi
endef

deployment: ## apply everything in OVERLAY to NAMESPACE; a config that is there stays
	$(in_namespace)
	$(keep_config)
	$(APPLY) -f $(TARGET)/deploy/$(NAMESPACE).yaml

server-deployment: ## apply types, rights, the server and its services; a config that is there stays
	$(in_namespace)
	$(keep_config)
	$(APPLY) -f deploy/base/crd.yaml
	$(APPLY) -n $(NAMESPACE) -f $(TARGET)/deploy/$(NAMESPACE).yaml --selector 'app=boskos'

service: ## apply the services
	$(namespace)
	sed 's/^  namespace: boskos$$/  namespace: $(NAMESPACE)/' deploy/base/service.yaml | $(APPLY) -f -

update-config: ## check CONFIG, show what changes, put it into the ConfigMap that the server reads
	@test '$(origin CONFIG)' != file || { echo 'say which config: make update-config CONFIG=cfg.yaml' >&2; exit 1; }
	$(CHECK_CONFIG) $(CONFIG)
	KUBECTL='$(KUBECTL)' CONFIGMAP='$(CONFIGMAP)' KEY='$(KEY)' deploy/update-config '$(NAMESPACE)' '$(CONFIG)'
