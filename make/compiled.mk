# The wheel whose modules of a call are compiled; docs/how-to/compiled.md says what it gives. Needs a C compiler and the headers of Python.

COMPILED_PYTHON := $(CACHE)/compiled-venv/bin/python
COMPILED_TESTS ?= tests/unit tests/integration

.PHONY: compiled
compiled: $(DEV) ## the wheel with compiled modules, in dist, and .cache/compiled-venv with it; a minute or two, once for the same sources
	@scripts/build-compiled

.PHONY: test-compiled
test-compiled: compiled ## unit and integration tests on the compiled build; COMPILED_TESTS="tests/unit" runs a part
	$(COMPILED_PYTHON) -m pytest $(COMPILED_TESTS) -n auto --dist loadfile $(PYTEST_ARGS)
