# Benchmarks: docs/reference/benchmarks.md says how they measure. ARGS passes options, e.g. make bench ARGS="--scenes json,sse --rounds 9 --seconds 1".

.PHONY: bench
bench: $(DEV) ## the gateway beside a naive proxy and nginx; ARGS="--quick", "--write", "--help"
	@$(BIN)/python -m bench.throughput $(ARGS)

.PHONY: bench-micro
bench-micro: $(DEV) ## what single steps of a call cost: parse, pick, lease
	@$(BIN)/python -m bench.micro $(ARGS)

.PHONY: bench-calls
bench-calls: $(DEV) ## CPU time of a call without sockets, with each policy and with tracing; ARGS="--count" lists its functions
	@$(BIN)/python -m bench.calls $(ARGS)

.PHONY: bench-access
bench-access: $(DEV) ## CPU time per call of clients with a key or a token, beside clients without; ARGS="--write"
	@$(BIN)/python -m bench.access $(ARGS)

.PHONY: bench-tracing
bench-tracing: $(DEV) ## CPU time per call of a gateway that traces 0, 1 or 100 % of its calls, beside one that traces none; ARGS="--write"
	@$(BIN)/python -m bench.tracing $(ARGS)

.PHONY: bench-advice
bench-advice: $(DEV) ## what `mcppool advise` changes on replayed traces, before and after
	@$(BIN)/python -m bench.advice $(ARGS)

.PHONY: bench-workers
bench-workers: $(DEV) ## a gateway of two processes beside one of one: CPU time per call, and calls per second with both cores; ARGS="--write"
	@$(BIN)/python -m bench.workers $(ARGS)

.PHONY: bench-cache
bench-cache: $(DEV) ## hit rate of the cache on a Zipf trace beside an ideal LRU, and the cost of a hit in memory, Redis, SQLite, PostgreSQL
	@$(BIN)/python -m bench.cache $(ARGS)

.PHONY: bench-faults
bench-faults: $(DEV) ## what clients notice of replicas that die, hang, slow down and lie; ARGS="--cases killed,hung", "--write"
	@$(BIN)/python -m bench.faults $(ARGS)

.PHONY: bench-soak
bench-soak: $(DEV) ## a million calls while replicas fail: nothing that the gateway holds has grown; ARGS="--calls 100000"
	@$(BIN)/python -m bench.soak $(ARGS)

.PHONY: bench-operator
bench-operator: $(DEV) ## one operator and 500 pools on a real API server: time, memory, what it asks at rest; ARGS="--pools 50"
	@$(BIN)/python -m bench.operator_scale $(ARGS)

.PHONY: bench-scale
bench-scale: $(DEV) ## large answers, 1,000 slow readers, 2,000 streams, 50,000 sessions, 1,000 endpoints; ARGS="--parts large"
	@$(BIN)/python -m bench.scale $(ARGS)

.PHONY: bench-page
bench-page: $(DEV) ## share of a core that a gateway with 200 endpoints and 300 tools uses while the status page is open
	@$(BIN)/python -m bench.status_page $(ARGS)

.PHONY: profile
profile: $(DEV) ## where the CPU time of a call goes, by step of the pipeline, and as a flame graph; ARGS="--scene sse"
	@$(BIN)/python -m bench.profiling $(ARGS)
