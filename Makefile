# `make help` lists what can be done. Everything that is built or downloaded goes
# to bin/ and .local/, which git ignores.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/salvor-io/salvor/internal/version.Version=$(VERSION) -X main.version=$(VERSION)
# The same flags as for the images, so that both share what is compiled.
TAGS := disable_grpc_modules
GOBUILD := go build -tags $(TAGS) -ldflags '$(LDFLAGS)'

# Tools that are pinned here and not in go.mod.
GOLANGCI_LINT := .local/tools/golangci-lint-v2.15.0
CONTROLLER_GEN := .local/tools/controller-gen-v0.23.0

comma := ,

# Extra flags for go test, for example RACE=-race or TESTFLAGS=-v.
RACE ?=
TESTFLAGS ?=

include deploy/local/local.mk

##@ The two commands

# Whether there is a cluster to leave alone: yours, or one that was started before.
KEEP ?=
keep = $(if $(KUBECONFIG)$(KEEP),yes,$$(test -e .local/kubeconfig && echo yes || true))

.PHONY: demo
demo: ## Build a one-node Kubernetes, install Salvor, lose a database and restore it (KEEP=1 leaves all of it running)
	@flags=(); \
	if [ -z "$(keep)" ]; then \
		trap '$(MAKE) --no-print-directory cluster-down' EXIT; \
		flags=(-stops); \
	fi; \
	$(MAKE) --no-print-directory demo-on-cluster DEMOFLAGS="$${flags[*]} $(DEMOFLAGS)"

.PHONY: demo-on-cluster
demo-on-cluster: cluster-or-kubeconfig build
	@go run ./test/demo $(DEMOFLAGS)

.PHONY: test
test: test-tools ## Unit, stream and API-server tests (RACE=-race for the race detector)
	CGO_ENABLED=$(if $(RACE),1,0) go test $(RACE) -p 3 -timeout 20m -parallel 4 $(TESTFLAGS) ./...
	cd deploy/local && CGO_ENABLED=$(if $(RACE),1,0) go test $(RACE) $(TESTFLAGS) ./...
	cd deploy/local/build/csi && GOWORK=off go test $(TESTFLAGS) ./...

##@ Development

.PHONY: build
build: ## Build bin/salvor and bin/kando
	@$(GOBUILD) -o bin/ ./cmd/salvor ./cmd/kando

.PHONY: e2e
e2e: cluster-or-kubeconfig build $(if $(KUBECONFIG),,csi) ## End-to-end tests on the cluster
	go test -tags e2e -count 1 -timeout 30m -parallel 6 $(TESTFLAGS) ./test/e2e/...

# How many kills, which random numbers, which boundary only: CHAOS_RUNS=1000 is the
# long run; CHAOSFLAGS=-h lists what else there is.
CHAOS_RUNS ?= 300
CHAOS_SEED ?=
CHAOS_ONLY ?=
CHAOSFLAGS ?=
# How long the members of a cluster of brokers are killed in turn, under load.
CHAOS_R3 ?= 1m

.PHONY: chaos
chaos: cluster images ## Kill every process at every boundary and count effects (CHAOS_RUNS=1000, CHAOS_SEED=…, CHAOS_ONLY=point)
	@go build -tags $(TAGS),failpoint -ldflags '$(LDFLAGS)' -o bin/chaos/ ./cmd/salvor
	@go build -o bin/chaos/ ./test/chaos
	@cd deploy/local && GOWORK=off go build -buildvcs=false -o $(CURDIR)/bin/ ./cmd/localcluster
	@bin/chaos/chaos -kills $(CHAOS_RUNS) $(if $(CHAOS_SEED),-seed $(CHAOS_SEED)) $(if $(CHAOS_ONLY),-only $(CHAOS_ONLY)) $(CHAOSFLAGS)
	go test -tags chaos -count 1 -timeout 30m ./test/chaos/r3 -v -r3.for $(CHAOS_R3)

.PHONY: frontdoor
frontdoor: test-tools ## 1,000 events three times each through every door, the bridge killed every 5 s
	go test ./test/frontdoor -count 1 -v -timeout 30m -frontdoor.events 1000 -frontdoor.kill 5s

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters on both modules
	$(GOLANGCI_LINT) run ./...
	cd deploy/local && $(CURDIR)/$(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml ./...

.PHONY: format
format: $(GOLANGCI_LINT) ## Format the code
	$(GOLANGCI_LINT) fmt ./...

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate deep copies, CRDs, event schemas and the pages of docs that say what the code says
	$(CONTROLLER_GEN) object paths=./api/...
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=deploy/chart/files/crds
	go run ./internal/eventschema/generate
	go run ./internal/admission/generate
	go run ./internal/schema/generate
	go run ./internal/docs/generate

.PHONY: verify
verify: generate ## Fail when generated files or go.mod are not up to date
	go mod tidy -diff
	cd deploy/local && go mod tidy -diff
	git diff --exit-code -- api internal/schema deploy/chart/files docs

.PHONY: ci
ci: ## What runs before a change lands
	.ci/run

.PHONY: clean
clean: cluster-down ## Stop the cluster and remove everything that was built
	rm -rf bin .local

.PHONY: help
help: ## Show this text
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What the tests start: etcd and kube-apiserver, servers of the three kinds of
# object store, helm, and what takes snapshots.
.PHONY: test-tools
test-tools:
	@$(LOCALCLUSTER) setup --for tests$(if $(RACE),$(comma)race)
	@$(LOCALCLUSTER) build --only etcd,kubernetes,s3,gcs,azurite,helm,csi,csi-provisioner

# What talks to a cluster: kubectl (in kubernetes) and helm.
.PHONY: client-tools
client-tools:
	@$(LOCALCLUSTER) build --only kubernetes,helm

# The cluster that KUBECONFIG names, or one of our own with our images on it.
.PHONY: cluster-or-kubeconfig
ifdef KUBECONFIG
cluster-or-kubeconfig: client-tools
	@echo "Using the cluster of KUBECONFIG=$(KUBECONFIG); its nodes must be able to pull the images (see README)."
else
cluster-or-kubeconfig: cluster images
endif

$(GOLANGCI_LINT):
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D)/new go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(@D)/new/golangci-lint $@

$(CONTROLLER_GEN):
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D)/new go install sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0
	@mv $(@D)/new/controller-gen $@
