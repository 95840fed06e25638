"""Questions and news of the workers, and the news that the supervisor passes on to the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from mcppool.observe.history.history import History
from mcppool.observe.history.slots import GatewaySlot
from mcppool.workers.channel import Channel, ChannelClosed
from mcppool.workers.shared_programs import OF_PROGRAMS, SharedPrograms
from mcppool.workers.shared_state import SharedState
from mcppool.workers.worker_process import WorkerProcess, ask_each

EVENT_PATIENCE: Final = 5.0
"""Seconds in which the other workers act on an event in a session; then it is handled without them."""


class Switchboard:
    """The running workers by number, and the state that they share. `directory` is for the sockets of local servers."""

    def __init__(self, count: int, directory: Path) -> None:
        self.history = History()
        self.programs = SharedPrograms(directory, self._tell)
        self._state = SharedState(count, self._call_back)
        self._workers: dict[int, WorkerProcess] = {}

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(list(self._workers.values()))

    @property
    def serving(self) -> list[WorkerProcess]:
        """The workers that serve."""
        return [worker for worker in self if worker.serving.is_set() and not worker.ended.is_set()]

    def channel_to(self, number: int) -> Channel:
        """The supervisor's end of the channel to a worker, which `add` names later."""
        return Channel(
            lambda question, arguments: self._answer(number, question, arguments),
            lambda news, arguments: self._hear(self._workers[number], news, arguments),
        )

    def add(self, worker: WorkerProcess) -> None:
        """A process has started."""
        self._workers[worker.number] = worker

    def remove(self, worker: WorkerProcess) -> None:
        """A process has ended: what it holds is free."""
        self._state.places.gone(worker.number)
        self.programs.gone(worker.number)
        self._workers.pop(worker.number, None)

    # --- inside --------------------------------------------------------------------------------------------------

    def _answer(self, number: int, question: str, arguments: list[Any]) -> Any:
        """The answer to a worker's question, or a coroutine that waits for it."""
        if question == "session event":
            return self._ask_others(number, arguments)
        return self._state.answer(number, question, arguments)

    async def _ask_others(self, number: int, arguments: list[Any]) -> bytes | None:
        """There is an event in a session at one worker: another one may have the call. See `Peers.ask_others`."""
        others = [worker for worker in self.serving if worker.number != number]
        found = await ask_each(others, EVENT_PATIENCE, lambda other: other.channel.ask("session event", *arguments))
        return next((answer for _, answer in found), None)

    async def _call_back(self, number: int, pool: str, key: str) -> int:
        """Ask a worker for its spare places of a limit; those that it returns too late are given back, too."""
        worker = self._workers.get(number)
        if worker is None:
            return 0

        def late(count: int | None) -> None:
            self._state.places.leave(number, pool, key, count or 0)

        try:
            count: int | None = await worker.channel.ask("call_back", pool, key, on_abandoned=late)
        except ChannelClosed:
            return 0
        return count or 0

    def _tell(self, number: int, news: str, *arguments: Any) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            worker.channel.tell(news, *arguments)

    def _hear(self, worker: WorkerProcess, news: str, arguments: list[Any]) -> None:
        if news == "news":
            pool, parts = arguments
            for other in self.serving:
                if other is not worker:
                    other.channel.tell("news", worker.number, pool, parts, optional=True)
        elif news == "serving":
            worker.serving.set()
        elif news == "failed":
            worker.problems = list(arguments[0])
        elif news == "history":
            self.history.add(msgspec.convert(arguments[0], GatewaySlot))
        elif news == "farewell":
            worker.last = arguments[0]
        elif news in OF_PROGRAMS:
            self.programs.hear(worker.number, news, arguments)
        else:
            self._state.hear(worker.number, news, arguments)
