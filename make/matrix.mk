# Published servers and clients through the gateway; included by Makefile. docs/reference/compatibility.md is what it writes.

.PHONY: matrix-install
matrix-install: $(DEV) ## what `make matrix` runs, from package registries, in .cache/matrix
	-@$(MAKE) --keep-going $(MCP1) $(NPM)
	@scripts/install-matrix

.PHONY: matrix
matrix: $(DEV) ## published servers and clients through the gateway; writes docs/reference/compatibility.md; ARGS="--servers a,b --clients c"
	-@$(MAKE) matrix-install
	@$(BIN)/python -m tests.matrix $(ARGS)
