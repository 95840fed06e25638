# Included by Makefile. docs/design/08-security.md says what is tried.

.PHONY: fuzz
fuzz: $(DEV) ## anything from clients, anything from servers, at a running gateway; MINUTES=10
	MCPPOOL_FUZZ_SECONDS=$$(( $(or $(MINUTES),10) * 30 )) $(BIN)/pytest tests/fuzz -q $(PYTEST_ARGS)
