"""The modules below `dataplane/mcppool` that run in every call, and that `scripts/compile-modules` compiles with mypyc.

A module belongs here if a profile of `make profile` shows it in each call, and if it keeps to the rules of
`tests/unit/test_compiled_modules.py`. Everything else runs as Python in both builds: it costs compile time and saves
nothing.
"""

from __future__ import annotations

from typing import Final

COMPILED: Final = (
    "built.py",
    "flush_queue.py",
    "gateway/call_of_request.py",
    "gateway/head_notes.py",
    "gateway/http/call_worker.py",
    "gateway/http/client_caps.py",
    "gateway/http/connection.py",
    "gateway/http/connection_state.py",
    "gateway/http/connection_usage.py",
    "gateway/http/head_cache.py",
    "gateway/http/http_request.py",
    "gateway/http/reader.py",
    "gateway/http/response_writer.py",
    "gateway/http/send_buffer.py",
    "gateway/http/validation.py",
    "gateway/http/varied_head.py",
    "gateway/router.py",
    "observe/histogram.py",
    "observe/tracing/durations.py",
    "pipeline/access_log.py",
    "pipeline/attempt.py",
    "pipeline/attempts.py",
    "pipeline/call.py",
    "pipeline/direct_attempt.py",
    "pipeline/exchange.py",
    "pipeline/feedback.py",
    "pipeline/local_reply/discover.py",
    "pipeline/outcome.py",
    "pipeline/plan.py",
    "pipeline/response/relay.py",
    "pipeline/response/single_event.py",
    "pipeline/response/whole_answer.py",
    "pipeline/routing/picker.py",
    "pipeline/routing/pins.py",
    "pipeline/routing/tool_overrides.py",
    "pipeline/serve.py",
    "pipeline/sessions/failover.py",
    "pipeline/sessions/session.py",
    "pipeline/sessions/streams.py",
    "pipeline/sessions/table.py",
    "policy/balancing/least_connections.py",
    "policy/balancing/two_choices.py",
    "policy/call_record.py",
    "policy/decaying_rate.py",
    "policy/memory_budget.py",
    "policy/outlier_detection.py",
    "policy/peak_ewma.py",
    "policy/retry_after.py",
    "policy/retry_budget.py",
    "upstream/http/answer_head.py",
    "upstream/http/answer_reader.py",
    "upstream/http/answer_times.py",
    "upstream/http/connection.py",
    "upstream/http/connection_pool.py",
    "upstream/http/request_head.py",
    "upstream/http/response.py",
    "upstream/http/server_habits.py",
    "wire/chunks.py",
    "wire/era.py",
    "wire/headers.py",
    "wire/member_sizes.py",
    "wire/repeated_head.py",
    "wire/single_event.py",
)

INTERPRETED: Final = {
    "observe/metrics.py": "its counters are read by name; two short functions of it run in a call",
    "pipeline/pool/parts.py": "the base class of a pool, which is not compiled; a short property runs in a call",
    "pipeline/response/validate.py": "gets large answers as a `Bulk`, which the type checker takes for `bytes`",
    "pipeline/sessions/sealed_ids.py": "classes of msgspec",
    "wire/rpc_request.py": "classes of msgspec, which parses in C",
    "wire/rpc_response.py": "classes of msgspec, which parses in C",
    "wire/sse.py": "classes of msgspec",
}
"""Modules that run in every call and stay Python, with the reason."""
