# Container images and the cluster test; included by Makefile. docs/tutorials/kubernetes.md says what they are for.

.PHONY: images
images: ## the images as docker archives in dist/images, each with its SBOM: gateway, operator, and testkit for tests
	@scripts/build-images

.PHONY: chart
chart: $(DEV) ## the Helm chart, packaged into dist/charts
	@mkdir -p dist/charts
	@"$$($(BIN)/python scripts/fetch-helm)" package charts/mcppool --destination dist/charts

.PHONY: e2e
e2e: $(DEV) images chart ## docs/tutorials/kubernetes.md, run in a real cluster: install, call, lose and gain servers, scale, observe
	-@scripts/build-images prometheus # without it one test says what is missing
	$(BIN)/pytest e2e $(PYTEST_ARGS)

.PHONY: e2e-all
e2e-all: $(DEV) images chart ## the same, and what takes longer: nodes and the API server that go away, upgrades, autoscaling, rotation of keys
	-@scripts/build-images prometheus # without these, tests say what is missing
	-@scripts/build-images keda
	scripts/build-previous-images
	E2E_ALL=1 E2E_NODES=3 $(BIN)/pytest e2e -o faulthandler_timeout=1200 $(PYTEST_ARGS)
