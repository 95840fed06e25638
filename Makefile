# mcppool: `make run` shows it at work, `make test` tests it, `make help` says the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# Each stamp stands for one finished installation; it is newer than what it was made from.
BOOTSTRAP := $(VENV)/.bootstrap.stamp
EXAMPLE := $(VENV)/.example.stamp
DEV := $(VENV)/.dev.stamp
EVERYTHING := $(CACHE)/everything-server.stamp
MCP1 := $(CACHE)/mcp1.stamp
NPM := $(CACHE)/npm.stamp
INSPECTOR := $(CACHE)/inspector.stamp
CONFORMANCE := $(CACHE)/conformance.stamp
BROWSER := $(CACHE)/browser.stamp
AUDIT := $(CACHE)/audit.stamp
SITE := $(CACHE)/site.stamp

# The project itself, editable. --no-deps: everything it needs came from a lock file, by hash.
INSTALL_PROJECT = $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
INSTALL_LOCKED = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r

.PHONY: help
help: ## say what each target does
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '  make %-12s %s\n' "$$name" "$$what"; done

.PHONY: run
run: $(EXAMPLE) $(EVERYTHING) ## three real MCP servers, the gateway, a client calling: until Ctrl-C
	@exec $(BIN)/python examples/production_ready.py

.PHONY: install
install: $(DEV) ## the development environment in .venv

.PHONY: servers
servers: $(DEV) ## the real MCP servers, the MCP Inspector, the conformance suite, axe-core and mkdocs, which the tests run, in .cache
	@$(MAKE) --keep-going $(EVERYTHING) $(MCP1) $(NPM) $(INSPECTOR) $(CONFORMANCE) $(BROWSER) $(SITE)
	@scripts/install-matrix fastmcp4

# ---- checks ----

.PHONY: lint
lint: $(DEV) ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: $(DEV) ## formats the code and repairs what ruff can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: types
types: $(DEV) ## strict types
	$(BIN)/mypy
	MYPYPATH=images/testkit $(BIN)/mypy e2e images/testkit/testkit
	# tests/servers/mcp1 and tests/matrix/programs run in environments of their own, with the types of other versions of the SDK.
	MYPYPATH=examples $(BIN)/mypy --exclude "tests/servers/mcp1|tests/matrix/programs" tests/servers tests/matrix tests/browser tests/conformance \
		tests/conftest.py tests/requirements.py tests/waiting.py examples

.PHONY: contracts
contracts: $(DEV) ## who may import whom
	$(BIN)/lint-imports

.PHONY: unit
unit: $(DEV) ## unit tests
	$(BIN)/pytest tests/unit -n auto $(PYTEST_ARGS)

.PHONY: check
check: ## what to run before a commit, a minute or two: lint, types, contracts, unit tests without the slow ones
	@$(MAKE) lint types contracts
	@$(MAKE) unit PYTEST_ARGS='-m "not slow" $(PYTEST_ARGS)'

.PHONY: test
test: $(DEV) ## everything this machine can run; what it cannot is skipped and says why
	@$(MAKE) lint types contracts unit
	-@$(MAKE) servers
	$(BIN)/pytest --ignore tests/unit -n 2 --dist loadgroup $(PYTEST_ARGS)

.PHONY: screenshot
screenshot: $(DEV) ## docs/images/status-page*.png: the status page, in Chromium, light and dark
	$(BIN)/python -m tests.browser.screenshot docs/images

.PHONY: generate
generate: $(DEV) ## the CRD, the types of the library's arguments, the pictures of the design, and what docs/reference has from the code
	$(BIN)/mcppool schema crd --into crds/mcpserverpools.yaml
	$(BIN)/mcppool schema docs --into docs/reference/configuration.md
	$(BIN)/mcppool schema errors --into docs/reference/errors.md
	$(BIN)/mcppool schema metrics --into docs/reference/observability.md
	$(BIN)/mcppool schema commands --into docs/reference/command.md
	$(BIN)/python scripts/write-section-types
	$(BIN)/python scripts/write-api-reference
	$(BIN)/python scripts/draw-design docs/images

.PHONY: site
site: $(SITE) ## the documentation as a static site, in dist/site; every link is checked
	$(BIN)/python scripts/build-site dist/site

.PHONY: lock
lock: $(BOOTSTRAP) ## writes requirements/*.lock again
	scripts/lock

.PHONY: clean
clean: ## removes what was built, installed and cached here
	rm -rf $(VENV) $(CACHE) dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.PHONY: try-collector
try-collector: $(DEV) ## traces, durations and audit lines through a real collector of OpenTelemetry, built from Go modules (minutes)
	@scripts/build-otelcol
	@$(BIN)/python -W ignore scripts/try-collector

.PHONY: audit
audit: $(AUDIT) ## known vulnerabilities of what the images contain, where the package registry has advisories
	scripts/audit

.PHONY: sbom
sbom: images ## dist/images/*.cdx.json: what is in each image, Debian's packages and Python's, as CycloneDX
	@ls dist/images/*.cdx.json

# ---- installations ----

$(BOOTSTRAP): scripts/bootstrap-venv requirements/bootstrap.lock
	@echo "mcppool: making the Python environment in $(VENV)"
	@scripts/bootstrap-venv $(PYTHON)
	@touch $@

$(EXAMPLE): $(BOOTSTRAP) requirements/example.lock pyproject.toml
	@echo "mcppool: installing mcppool and the MCP SDK into $(VENV)"
	@$(INSTALL_LOCKED) requirements/example.lock
	@$(INSTALL_PROJECT)
	@touch $@

$(DEV): $(EXAMPLE) requirements/dev.lock
	@echo "mcppool: installing the development tools into $(VENV)"
	@$(INSTALL_LOCKED) requirements/dev.lock
	@touch $@

$(EVERYTHING): scripts/fetch-everything-server requirements/sdk-source.lock | $(EXAMPLE)
	@echo "mcppool: fetching the MCP SDK's everything server into $(CACHE)"
	@scripts/fetch-everything-server
	@touch $@

$(MCP1): scripts/install-mcp1 requirements/mcp1.lock | $(BOOTSTRAP)
	@echo "mcppool: installing the MCP SDK 1.x into $(CACHE)"
	@scripts/install-mcp1
	@touch $@

$(NPM): scripts/install-npm tests/servers/npm/package-lock.json | $(DEV)
	@echo "mcppool: installing the npm everything server and the TypeScript SDKs into $(CACHE)"
	@scripts/install-npm tests/servers/npm $(CACHE)/npm
	@touch $@

$(INSPECTOR): scripts/install-npm tests/servers/inspector/package-lock.json | $(DEV)
	@echo "mcppool: installing the MCP Inspector into $(CACHE)"
	@scripts/install-npm tests/servers/inspector $(CACHE)/inspector
	@touch $@

$(CONFORMANCE): scripts/install-npm tests/conformance/npm/package-lock.json | $(DEV)
	@echo "mcppool: installing the MCP conformance suite into $(CACHE)"
	@scripts/install-npm tests/conformance/npm $(CACHE)/conformance
	@touch $@

$(BROWSER): scripts/install-npm tests/browser/npm/package-lock.json | $(DEV)
	@echo "mcppool: installing axe-core into $(CACHE)"
	@scripts/install-npm tests/browser/npm $(CACHE)/browser
	@touch $@

$(AUDIT): scripts/install-audit requirements/audit.lock | $(BOOTSTRAP)
	@echo "mcppool: installing pip-audit into $(CACHE)"
	@scripts/install-audit
	@touch $@

$(SITE): scripts/install-site requirements/site.lock | $(BOOTSTRAP)
	@echo "mcppool: installing mkdocs into $(CACHE)"
	@scripts/install-site
	@touch $@

# Benchmarks (make/bench.mk), images and the cluster test (make/images.mk) bring targets of their own.
-include make/*.mk
