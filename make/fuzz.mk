# Included by Makefile. docs/explanation/design/08-security.md says what is tried.

.PHONY: fuzz
fuzz: $(DEV) ## generated input of every kind for a running gateway and for what reads files and Redis; MINUTES=10
	MCPPOOL_FUZZ_SECONDS=$$(( $(or $(MINUTES),10) * 60 )) nice $(BIN)/pytest tests/fuzz -q $(PYTEST_ARGS)
