# The local cluster: included by the Makefile at the repository's root.
#
# With KUBECONFIG set to a cluster you have, none of `cluster`, `cluster-down`
# and `setup` is needed; `images` loads into the local cluster only.

LOCALCLUSTER = cd deploy/local && GOWORK=off go run -buildvcs=false ./cmd/localcluster

.PHONY: setup kubernetes cluster cluster-down images csi

##@ The local cluster

setup: ## Install the Debian packages the local cluster needs (root)
	@$(LOCALCLUSTER) setup

kubernetes: ## Build Kubernetes and what it needs into .local/bin (a quarter of an hour cold)
	@$(LOCALCLUSTER) build

cluster: setup kubernetes ## Start the local cluster and write .local/kubeconfig (root)
	@$(LOCALCLUSTER) up

cluster-down: ## Stop the local cluster and remove all of it (root)
	@$(LOCALCLUSTER) down

csi: cluster ## Start a CSI driver in the local cluster: the classes csi-dir (root)
	@$(LOCALCLUSTER) csi

images: ## Build our images and load them into the local cluster (root)
	@$(LOCALCLUSTER) images
