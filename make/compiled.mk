# The wheel whose modules of a call are compiled; docs/how-to/compiled.md says what it gives. Needs a C compiler and the headers of Python.

COMPILED_PYTHON := $(CACHE)/compiled-venv/bin/python
COMPILED_TESTS ?= tests/unit tests/integration tests/faults tests/conformance tests/fuzz tests/docs
# What CI runs on it besides the unit tests; the cluster test runs on it, too, since the image has it.
HOT_PATH_TESTS := $(patsubst %,tests/integration/test_%.py,failover first_call large_messages \
	modules_of_a_call resumption sessions streams tracing workers)

.PHONY: compiled
compiled: $(DEV) ## the wheel with compiled modules, in dist, and .cache/compiled-venv with it; a minute or two, once for the same sources
	@scripts/build-compiled

.PHONY: test-compiled
test-compiled: compiled ## tests on the compiled build, all that run its code; COMPILED_TESTS="tests/unit" runs a part
	$(COMPILED_PYTHON) -m pytest $(COMPILED_TESTS) -n 2 --dist loadgroup $(PYTEST_ARGS)

.PHONY: test-compiled-hot
test-compiled-hot: $(DEV) ## the same, unit tests of compiled code and what runs the path of a call, as CI does
	@unit=$$($(BIN)/python scripts/compiled_tests.py) && $(MAKE) test-compiled COMPILED_TESTS="$$unit $(HOT_PATH_TESTS)"
