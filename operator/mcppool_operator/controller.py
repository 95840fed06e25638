"""The queue and its workers: idle until this replica leads, then working on every pool from scratch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from typing import Final

import aiohttp

from mcppool_operator import metrics
from mcppool_operator.api import TRANSIENT, KubeApi, KubeError, Object
from mcppool_operator.apply import PublishError
from mcppool_operator.children.plan import Installation
from mcppool_operator.election import Elector, NotLeadingError
from mcppool_operator.probe import GatewayProber
from mcppool_operator.queue import WorkQueue
from mcppool_operator.reconcile import Reconciler
from mcppool_operator.resources import POD, POOL, Kind
from mcppool_operator.store import Store
from mcppool_operator.triggers import Index
from mcppool_operator.watch import Hearers

log = logging.getLogger(__name__)

RESYNC: Final = 3600.0
"""Seconds, ±20 %, between two looks at every pool, whatever the watches report; a restarted watch asks for one."""

MISSED_WAIT: Final = 1.0

PROBERS: Final = 8


class Controller:
    """Takes keys at any time, and works on them while this replica leads."""

    def __init__(
        self,
        api: KubeApi,
        session: aiohttp.ClientSession,
        elector: Elector,
        installation: Installation,
        namespaces: tuple[str, ...],
        workers: int,
    ) -> None:
        self._api = api.guarded(elector.check)
        self._elector = elector
        self._installation = installation
        self._namespaces = namespaces
        self._workers = workers
        self._queue = WorkQueue("reconcile")
        self._prober = GatewayProber(self._api, session, lambda key: self._enqueue(key, 0.0, True))
        self._index, self._store = Index(), Store()
        self._missed = asyncio.Event()
        """Set when a watch has missed something."""

    def hearers(self) -> Hearers:
        """Return the receiver of the watches' events."""
        return Hearers(self._index, self._store, self._enqueue, self._prober.pod_changed)

    def listed(self, kind: Kind) -> None:
        """Note that every object of a kind has been seen."""
        self._store.listed(kind)
        if kind is POD:
            self._prober.listed()

    def unsure(self, kind: Kind) -> None:
        """Note that a watch may have missed something of a kind: reconcile all pools again."""
        log.info("a watch begins anew", extra={"kind": kind.kind})
        self._store.unsure(kind)
        if kind is POD:
            self._prober.unsure()
        self._missed.set()

    def _enqueue(self, key: str, delay: float, background: bool) -> None:
        """Ask for a pool after a short delay, so that further events of it need no extra work.

        `background`: pools without this mark go first.
        """
        self._queue.add(key, delay, background=background)

    def close(self) -> None:
        """Finish the current work and take no more."""
        self._queue.close()
        self._prober.queue.close()

    async def run(self) -> None:
        """Wait for leadership, then work until closed."""
        await self._elector.elected()
        # The Lease counts its holders. A later term, published before the Lease was deleted, is found pool by pool.
        term = self._elector.transitions + 1
        metrics.TERM.set(term)
        log.info("leading, in a new term", extra={"term": term})
        reconciler = Reconciler(self._api, self._index, self._store, self._prober, self._installation, term)

        async def reconcile(key: str) -> float | None:
            started = time.monotonic()
            try:
                done = await reconciler.reconcile(key)
            except BaseException:
                metrics.RECONCILES.labels("error").inc()
                raise
            finally:
                metrics.RECONCILE_SECONDS.observe(time.monotonic() - started)
            metrics.RECONCILES.labels("error" if done.refused else "success").inc()
            return done.after

        for queue in (self._queue, self._prober.queue):
            queue.open()
        async with asyncio.TaskGroup() as tasks:
            resync = tasks.create_task(self._resync())
            workers = [tasks.create_task(self._queue.work(reconcile, _failed)) for _ in range(self._workers)]
            workers += [tasks.create_task(self._prober.queue.work(self._prober.look, _failed)) for _ in range(PROBERS)]
            await asyncio.wait(workers)
            resync.cancel()

    async def _resync(self) -> None:
        while True:
            try:
                pools = await self._everywhere(POOL)
            except (KubeError, *TRANSIENT) as error:
                log.warning("the pools could not be listed", extra={"error": str(error) or repr(error)})
                await asyncio.sleep(RESYNC / 60)
                continue
            for key in self._index.replace(pools):
                self._queue.add(key, background=True)
            self._missed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESYNC * random.uniform(0.8, 1.2)):
                    await self._missed.wait()
                await asyncio.sleep(MISSED_WAIT)  # one broken connection ends several watches

    async def _everywhere(self, kind: Kind) -> list[Object]:
        found: list[Object] = []
        for namespace in self._namespaces or (None,):
            found += await self._api.list(kind, namespace)
        return found


def _failed(key: str, error: Exception) -> float:
    known = isinstance(error, (KubeError, PublishError, NotLeadingError, *TRANSIENT))
    extra = {"pool": key, "error": str(error) or repr(error)}
    log.warning("putting a pool off", extra=extra, exc_info=None if known else error)
    return error.wait if isinstance(error, PublishError) and error.wait is not None else math.inf
