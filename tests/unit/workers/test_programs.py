"""Local servers that the supervisor runs for all workers: who uses them, and who is connected to their sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcppool.spec import PoolSpec, Snapshot, loads_toml
from mcppool.upstream.stdio import servers
from mcppool.upstream.stdio.replicas import endpoints_of, start_key
from mcppool.upstream.stdio.slot_state import SlotState
from mcppool.workers.shared_programs import SharedPrograms
from tests.waiting import until


class Recorded:
    """Stands for `StdioServers`, and starts nothing."""

    made: list[Recorded]

    def __init__(
        self,
        spec: PoolSpec,
        on_event: Callable[[str, str, str], None],
        *,
        attended: Callable[[str], bool],
        directory: Path,
    ) -> None:
        self.spec, self.on_event, self.attended, self.directory = spec, on_event, attended, directory
        self.endpoints = endpoints_of(spec)
        self.states = {endpoint.url: SlotState(first=7, trouble="") for endpoint in self.endpoints}
        self.missing = ()
        self.restarted: list[str] = []
        self.stopped = False
        Recorded.made.append(self)

    def configure(self, spec: PoolSpec) -> None:
        self.spec = spec

    def state(self, url: str) -> SlotState:
        return self.states[url]

    def restart(self, url: str) -> bool:
        self.restarted.append(url)
        self.states[url].first = 8
        return True

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """The servers that were started."""
    monkeypatch.setattr(servers, "StdioServers", Recorded)
    Recorded.made = []
    return Recorded.made


class Supervised:
    """`SharedPrograms`, and what it has told which worker."""

    def __init__(self, directory: Path) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.programs = SharedPrograms(directory / "programs", lambda *news: self.told.append(news))

    def hear(self, worker: int, news: str, *arguments: Any) -> None:
        """A worker tells something."""
        self.programs.hear(worker, news, list(arguments))


@pytest.fixture
def supervised(tmp_path: Path) -> Supervised:
    """See `Supervised`."""
    return Supervised(tmp_path)


def snapshot(*options: str, idle: str = "60s") -> Snapshot:
    """A configuration with one local server of two replicas."""
    return loads_toml(
        f'[[pools]]\nname = "a"\ncommand = {["true", *options]}\nreplicas = 2\n[pools.local]\nidle_timeout = "{idle}"\n'
    )


KEY = start_key(snapshot().pools[0])
URL = endpoints_of(snapshot().pools[0])[0].url


async def test_programs_start_with_their_first_user_and_end_when_neither_worker_nor_configuration_has_them(
    supervised: Supervised, made: list[Recorded]
) -> None:
    supervised.programs.configure(snapshot())
    assert not made
    supervised.hear(1, "use_programs", KEY)
    supervised.hear(2, "use_programs", KEY)
    assert len(made) == 1
    supervised.programs.gone(1)
    supervised.programs.gone(2)
    assert not made[0].stopped, "the configuration still has them: workers that were killed come again"
    supervised.hear(3, "use_programs", KEY)
    supervised.programs.configure(snapshot("--other"))
    assert not made[0].stopped, "a worker still uses them"
    supervised.hear(3, "leave_programs", KEY)
    await until(lambda: made[0].stopped, "they have ended")
    await supervised.programs.stop()
    assert len(made) == 1


async def test_programs_that_a_worker_knows_first_start_with_the_configuration(
    supervised: Supervised, made: list[Recorded]
) -> None:
    supervised.hear(1, "use_programs", KEY)
    assert not made
    supervised.programs.configure(snapshot())
    assert len(made) == 1
    supervised.programs.configure(snapshot(idle="5s"))
    assert made[0].spec.local.idle_timeout == 5
    await supervised.programs.stop()
    assert made[0].stopped
    assert not made[0].directory.parent.exists()


async def test_programs_that_are_wanted_again_while_they_end_start_again(
    supervised: Supervised, made: list[Recorded]
) -> None:
    supervised.programs.configure(snapshot())
    supervised.hear(1, "use_programs", KEY)
    supervised.programs.configure(loads_toml(""))
    supervised.hear(1, "leave_programs", KEY)
    supervised.programs.configure(snapshot())
    supervised.hear(1, "use_programs", KEY)
    await until(lambda: len(made) == 2, "they run again")
    assert made[0].stopped
    assert not made[1].stopped
    await supervised.programs.stop()


async def test_a_session_is_attended_while_its_client_is_connected_to_any_worker(
    supervised: Supervised, made: list[Recorded]
) -> None:
    supervised.programs.configure(snapshot())
    for worker in (1, 2):
        supervised.hear(worker, "use_programs", KEY)
        supervised.hear(worker, "attended", KEY, "s", True)
    supervised.hear(1, "attended", KEY, "s", False)
    assert made[0].attended("s")
    assert not made[0].attended("other")
    supervised.programs.gone(2)
    assert not made[0].attended("s")
    await supervised.programs.stop()


async def test_workers_that_see_one_hang_restart_the_program_once(supervised: Supervised, made: list[Recorded]) -> None:
    supervised.programs.configure(snapshot())
    for worker in (1, 2):
        supervised.hear(worker, "use_programs", KEY)
    for worker in (1, 2):
        supervised.hear(worker, "restart_program", KEY, URL, 7)
    assert made[0].restarted == [URL]
    await supervised.programs.stop()


async def test_every_worker_learns_of_an_event_and_one_shows_it_also_those_that_come_later(
    supervised: Supervised, made: list[Recorded]
) -> None:
    supervised.programs.configure(snapshot())
    for worker in (1, 2):
        supervised.hear(worker, "use_programs", KEY)
    made[0].states[URL].trouble = "true: it exited with code 3"
    made[0].on_event(URL, "failed", "true: it exited with code 3")
    supervised.hear(3, "use_programs", KEY)
    told = [
        (worker, shown) for worker, news, _, url, *_, shown in supervised.told if news == "program_event" and url == URL
    ]
    assert told == [(1, True), (2, False), (3, False)]
    troubles = [
        rest[-1]["trouble"]
        for worker, news, _, *rest in supervised.told
        if rest[0] == URL and worker == 3 and news == "program_state"
    ]
    assert troubles == ["true: it exited with code 3"]
    await supervised.programs.stop()
