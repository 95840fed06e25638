"""Watches one endpoint: health checks, the catalog that it reads along with them, and suspicions.

`EraFinder` chooses the request of a check. A lost endpoint is tried again after `reconnect_backoff`, growing and with
full jitter; so is one whose checks fail or whose era is not settled.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from math import inf
from time import monotonic

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.policy.check_turn import CheckTurn
from mcppool.spec import PoolSpec
from mcppool.supervision import guard, supervise
from mcppool.upstream.catalog import EndpointCatalog
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, ConnectFailed, NoCredentials
from mcppool.upstream.probing.catalog_reader import read_catalog
from mcppool.upstream.probing.era import EraFinder
from mcppool.upstream.probing.failures import ChecksRefused, HandshakeRefused, ProbeFailed
from mcppool.upstream.probing.probe import open_probe
from mcppool.upstream.timeouts import within

INTERVAL_JITTER = 0.1  # keeps the checks of many gateways from coinciding
MIN_RETRY_WAIT = 0.05  # full jitter may give zero; a refused connection is cheap, a busy loop is not
CATALOG_TIMEOUT = 10.0  # seconds for all pages; a server with slow lists is healthy if it answers its check
CATALOG_CHECKS = 5  # or as long as this many checks of a slow server may take


UNAUTHORIZED = 401
ASK_AGAIN = 30.0  # seconds after which a silent endpoint is asked again, because its host may be gone


class Prober:
    """The task that checks one endpoint until it is stopped.

    It calls `on_round` after each round, and once when first contact takes longer than a check may; `on_passed` after a
    passed check, with whether the tools have changed. `longest_wait` bounds the seconds before it checks an unavailable
    endpoint again.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        spec: PoolSpec,
        *,
        on_round: Callable[[Endpoint], None],
        on_passed: Callable[[Endpoint, bool], None] = lambda _endpoint, _changed: None,
        longest_wait: Callable[[], float] = lambda: inf,
        rng: random.Random | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._era = EraFinder(endpoint, spec)
        self._on_round = on_round
        self._on_passed = on_passed
        self._longest_wait = longest_wait
        self._rng = rng or random.Random()
        self._wake = asyncio.Event()
        self._tries = 0
        self._turn = CheckTurn()
        self._suspicion: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None  # waits for the answer of a server that was too slow
        endpoint.wake_prober = self._wake.set
        self._task = supervise("prober", self._run, about=endpoint.key)

    @property
    def spec(self) -> PoolSpec:
        """The specification in force."""
        return self._era.spec

    @spec.setter
    def spec(self, spec: PoolSpec) -> None:
        self._era.spec = spec

    async def stop(self) -> None:
        """End the tasks, and the prober's session there."""
        tasks = [task for task in (self._task, self._suspicion, self._waiting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._era.stop()

    async def ensure_witness(self) -> None:
        """Open the prober's session before a client's session, so that `survived` can compare; best effort."""
        await self._era.ensure_session()

    async def survived(self, since: float) -> bool:
        """Whether the server still knows a session of the prober that is not younger than `since` (wall-clock seconds).

        Then the process has not restarted since, and an unknown client session was ended or has expired.
        """
        return await self._era.survived(since)

    def suspect(self) -> None:
        """A call waits unusually long: check at once whether the endpoint answers anything (design §3.7)."""
        if self.endpoint.health.suspect():
            self._suspicion = guard("suspicion", self._look(), about=self.endpoint.key)

    def passed_elsewhere(self) -> None:
        """Another process of the gateway has passed a check of a sound endpoint: the own next check can wait."""
        if self._sound:
            self._turn.put_off(monotonic(), self._wait())

    async def _run(self) -> None:
        looking = asyncio.get_running_loop().call_later(self.spec.health_check.timeout, self._slow_to_answer)
        try:
            await self._round()
        finally:
            looking.cancel()
        while True:
            self._on_round(self.endpoint)
            await self._era.prove()
            await self._rest()
            await self._round()

    async def _rest(self) -> None:
        """Wait until the next round is due, or the prober is woken."""
        self._wake.clear()
        self._turn.begin(monotonic(), self._wait())
        while not self._wake.is_set() and (left := self._turn.left(monotonic())) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _slow_to_answer(self) -> None:
        """First contact takes longer than a check may: the rest of the pool does not wait for it."""
        self.endpoint.health.starts()
        self._on_round(self.endpoint)

    def _wait(self) -> float:
        """Seconds until the next round."""
        pool = self.spec.connection_pool
        interval = pool.health_check_interval
        if not self._sound:
            self._tries += 1
            wait = exponential(self._tries, pool.reconnect_backoff, min(pool.max_reconnect_backoff, interval))
            # A server that refuses the checks answers calls: frequent checks would only look like an attack.
            longest = inf if self.endpoint.health.refuses_checks is not None else self._longest_wait()
            return max(min(full_jitter(wait, self._rng), longest), MIN_RETRY_WAIT)
        self._tries = 0
        return interval * (1 + INTERVAL_JITTER * (2 * self._rng.random() - 1))

    @property
    def _sound(self) -> bool:
        """Whether nothing asks for another check soon."""
        checks = self.endpoint.health.checks
        return not (self.endpoint.lost or checks.failures or not checks.healthy or self._era.unsettled)

    async def _round(self) -> None:
        """One check, and the catalog after a passed one."""
        endpoint, spec = self.endpoint, self.spec
        patience = self._era.patience
        if self._suspicion is not None:  # a check of its own is in progress
            await asyncio.wait({self._suspicion})
        began = monotonic()
        try:
            await self._credentials()
            began = monotonic()
            discover = await self._era.check()
        except ConnectFailed as failure:
            endpoint.health.connect_failed(failure)
            if not failure.ours:
                self._era.gone()
                endpoint.health.checked(False, spec, failure.detail)
        except AttemptFailed as failure:
            endpoint.health.checked(False, spec, failure.detail)
        except ChecksRefused as refusal:
            self._refused(refusal, began)
        except ProbeFailed as failure:
            endpoint.stats.speaks_mcp = isinstance(failure, HandshakeRefused)
            endpoint.health.checked(False, spec, str(failure))
        except TimeoutError:
            if self._era.proven and (endpoint.active or endpoint.target.path is not None):
                self.suspect()  # it may be busy with a call; a local program with a cancelled one
            else:
                endpoint.health.checked(False, spec, f"a check was not answered within {patience:g} s")
                if self._era.proven and (self._waiting is None or self._waiting.done()):
                    self._waiting = guard("slow check", self._wait_for_answer(), about=endpoint.key)
            return  # it may still be starting
        else:
            endpoint.health.checked(True, spec)
            former = endpoint.catalog
            await self._read_catalog(discover)
            new = endpoint.catalog
            self._on_passed(endpoint, former is not None and new is not None and former.offer != new.offer)
        endpoint.health.contact(False)

    async def _credentials(self) -> None:
        """Wait for credentials that are being fetched. Without any, no check is sent: calls get the reason."""
        try:
            await self.endpoint.head.obtain()
        except NoCredentials as missing:
            if self.endpoint.lost:
                raise
            raise ChecksRefused(missing.detail, UNAUTHORIZED) from missing

    def _refused(self, refusal: ChecksRefused, began: float) -> None:
        head = self.endpoint.head
        self.endpoint.health.checks_refused(refusal.status, self.spec, str(refusal))
        if refusal.status == UNAUTHORIZED and head.missing is None:
            head.refused(began)  # new credentials wake the prober

    async def _wait_for_answer(self) -> None:
        """A server that is too slow for a check may still be alive: a later answer is a passed check, and the next
        check may take as long."""
        if await self._era.answers_slowly():
            self.endpoint.health.checked(True, self.spec)
            self._wake.set()  # the next check tells whether this was an exception

    async def _read_catalog(self, discover: bytes | None) -> None:
        """Read the catalog, once the era is settled: a server that is taken for a legacy one makes clients legacy for
        their lives."""
        era, endpoint = self._era, self.endpoint
        if era.modern is None:
            return
        session = None if era.modern else era.session
        try:
            async with (
                within(max(CATALOG_TIMEOUT, CATALOG_CHECKS * era.patience)),
                open_probe(endpoint, self.spec.connection_pool.connection_timeout) as probe,
            ):
                endpoint.catalog = await read_catalog(probe, session, discover, endpoint.catalog)
                await era.keep_session()
        except (AttemptFailed, ProbeFailed, TimeoutError) as error:
            endpoint.stats.last_fault = f"its catalog could not be read: {error or 'not in time'}"
            if endpoint.catalog is None or endpoint.catalog.modern != era.modern:
                # It passes its checks, so all but its catalog can be used.
                endpoint.catalog = EndpointCatalog(era.modern, discover)

    async def _look(self) -> None:
        """Whether the endpoint answers a check as soon as it usually does; if not, wait until it does."""
        endpoint, timeout = self.endpoint, self._era.patience
        asked = monotonic()
        try:
            if not self._era.proven:
                endpoint.health.starts()
            elif not await self._answered(timeout):
                endpoint.health.falls_silent(asked, f"a call waits and a check was not answered within {timeout:g} s")
                while not await self._answered(ASK_AGAIN):
                    pass
                endpoint.health.checked(True, self.spec)
        except ConnectFailed as failure:
            endpoint.health.connect_failed(failure)
        except AttemptFailed:
            endpoint.wake_prober()  # its connection ended: the next round finds out
        finally:
            endpoint.health.suspicion_over(monotonic())

    async def _answered(self, timeout: float) -> bool:
        """Whether any answer to a check comes within `timeout` seconds. Raises AttemptFailed."""
        try:
            async with within(timeout):
                await self._era.ask()
        except TimeoutError:
            return False
        return True
