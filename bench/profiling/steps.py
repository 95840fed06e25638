"""The steps of a call, and the modules that they consist of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

LOOP = "event loop and system calls"
OTHER = "other"

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("read the request", ("gateway.http.reader", "gateway.http.http_request", "gateway.http.head_cache",
                          "gateway.http.body", "gateway.http.chunked", "gateway.http.read_scheduler",
                          "gateway.http.validation", "wire.repeated_head")),
    ("run the connection", ("gateway.http.connection", "gateway.http.call_worker", "gateway.http")),
    ("route and authenticate", ("gateway", "access", "wire.era", "wire.headers")),
    ("parse the message", ("wire.rpc_request", "wire.outline", "wire.lookalikes", "wire.bulk", "wire")),
    ("plan and admit", ("pipeline.plan", "pipeline.admission", "pipeline.access", "pipeline.serve", "pipeline.call",
                        "pipeline.request_id", "policy.token_bucket", "policy.access_rules", "policy.access_grant",
                        "pipeline.settings")),
    ("sessions", ("pipeline.sessions", "wire.sealing")),
    ("cache", ("pipeline.caching", "cache", "policy.cache_rules")),
    ("choose an endpoint", ("pipeline.routing", "policy.balancing", "policy.circuit_breaker",
                           "policy.priority", "policy.panic")),
    ("attempts and retries", ("pipeline.attempts", "pipeline.attempt", "pipeline.exchange", "pipeline.retries",
                              "pipeline.hedging", "policy.retry_decision", "policy.retry_class",
                              "policy.retry_budget", "pipeline.endpoints", "pipeline")),
    ("lease a connection", ("upstream.http.connection_pool", "upstream.http.waiting_calls", "upstream.http.sockets",
                            "upstream.http.dialler")),
    ("send the request", ("upstream.http.connection:Connection.request", "upstream.http.connection:Connection._send",
                          "upstream.http.request_head",
                          "upstream.http.sent_headers", "upstream.http.credentials", "wire.message_ids",
                          "pipeline.on_behalf")),
    ("read the answer", ("upstream.http", "upstream", "wire.sse", "wire.rpc_response")),
    ("judge and pass on the answer", ("pipeline.response", "pipeline.local_reply", "wire.tasks")),
    ("write the answer", ("gateway.http.response_writer", "gateway.http.send_buffer", "sliced_writer")),
    ("feedback and metrics", ("pipeline.feedback", "pipeline.access_log", "pipeline.outcome", "pipeline.audit",
                              "observe", "policy", "upstream.stats")),
)  # fmt: skip
"""In the order of a call. A function that is named decides, else the longest prefix of its module's name."""

_STEP_OF = {prefix: step for step, prefixes in STEPS for prefix in prefixes}


def step_of(stack: str) -> str:
    """Return the step of a stack: that of its innermost function of ours."""
    for name in reversed(stack.split(";")):
        module = name.partition(":")[0]
        if module.startswith("mcppool."):
            return _STEP_OF.get(name.removeprefix("mcppool.")) or step_of_module(module.removeprefix("mcppool."))
    return LOOP


def step_of_module(module: str) -> str:
    while module:
        if (step := _STEP_OF.get(module)) is not None:
            return step
        module = module.rpartition(".")[0]
    return OTHER


def by_step(stacks: Mapping[str, int]) -> dict[str, int]:
    """Return the samples of each step, in the order of a call; the loop and the rest are last."""
    found: Counter[str] = Counter()
    for stack, number in stacks.items():
        found[step_of(stack)] += number
    order = [*(step for step, _ in STEPS), LOOP, OTHER]
    return {step: found[step] for step in order if found[step]}


def by_function(stacks: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Return each function with its own samples and those with the functions that it calls; most of its own first."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, number in stacks.items():
        names = stack.split(";")
        own[names[-1]] += number
        for name in set(names):
            whole[name] += number
    return [(name, number, whole[name]) for name, number in own.most_common()]


def read(text: str) -> dict[str, int]:
    """Return the stacks of a sampler's file with their numbers."""
    pairs = (line.rpartition(" ") for line in text.splitlines() if line)
    return {stack: int(number) for stack, _, number in pairs}
