"""Leader election: one Lease, which one replica holds, renews, and gives up when it ends.

The timing is controller-runtime's: a Lease lasts 15 s, its holder gives up after 10 s without a renewal, and tries
every 2 s. A candidate watches the Lease, and takes it at once when its holder gives it up. Wall clocks are never
compared: a candidate takes a Lease whose record *it* has not seen change for the Lease's own duration. `LeaseCandidate`
makes this decision, pure; `Elector` does the I/O.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from mcppool_operator import metrics
from mcppool_operator.api import TRANSIENT, KubeApi, KubeError, Object
from mcppool_operator.resources import LEASE

log = logging.getLogger(__name__)

FOLLOWED = 300
"""Seconds that one watch of the Lease lasts."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds: duration of a Lease, time that its holder goes on without a renewal, and time between two tries."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0


class LeaseLostError(Exception):
    """This process led, and can no longer be sure that it still does: it must end."""


class NotLeadingError(Exception):
    """A replica that does not lead was about to write a change."""


class LeaseCandidate:
    """One replica's view of the Lease, and its decisions."""

    def __init__(self, identity: str, timing: LeaseTiming) -> None:
        self._identity = identity
        self._timing = timing
        self._record: tuple[object, ...] | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    def observe(self, spec: dict[str, Any], now: float) -> None:
        """Take note of the Lease, read at `now`."""
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._record:
            self._record, self._seen_at = record, now

    def may_take(self, spec: dict[str, Any], now: float) -> bool:
        """Return whether this replica may take or renew the Lease, which it has already observed."""
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        return now - self._seen_at > self.duration(spec)

    def duration(self, spec: dict[str, Any]) -> float:
        """Return the seconds that a Lease without a renewal holds."""
        return float(spec.get("leaseDurationSeconds") or self._timing.duration)

    def renewed(self, asked_at: float) -> None:
        """Note a renewal, requested at `asked_at`; the others count from a later time, which is safe."""
        self._renewed_at = asked_at

    def resigned(self) -> None:
        """Note that this replica no longer leads."""
        self._renewed_at = None

    def leads(self, now: float) -> bool:
        """Return whether this replica certainly holds the Lease."""
        return self._renewed_at is not None and now - self._renewed_at < self._timing.renew_deadline

    def lost(self, now: float) -> bool:
        """Return whether this replica held the Lease and can no longer be sure of it."""
        return self._renewed_at is not None and not self.leads(now)


class Elector:
    """Takes the Lease when it may, renews it, and raises LeaseLostError when it cannot."""

    def __init__(
        self,
        api: KubeApi,
        namespace: str,
        name: str,
        identity: str,
        timing: LeaseTiming = LeaseTiming(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._candidate = LeaseCandidate(identity, timing)
        self._elected = asyncio.Event()
        self._seen: Object | None = None  # the Lease of another replica, as just read
        self.transitions = 0

    def check(self) -> None:
        """Raise NotLeadingError unless this replica leads at this moment."""
        if not self.leads:
            raise NotLeadingError(f"{self._identity} does not hold the Lease {self._namespace}/{self._name}")

    @property
    def leads(self) -> bool:
        """Whether this replica leads at this moment."""
        return self._candidate.leads(self._clock())

    async def elected(self) -> None:
        """Wait until this replica leads."""
        await self._elected.wait()

    async def run(self) -> None:
        """Stand for election for the life of the process; raises LeaseLostError."""
        while True:
            asked_at = self._clock()
            try:
                async with asyncio.timeout(self._timing.renew_deadline / 2):
                    held = await self._try(asked_at)
            except (KubeError, *TRANSIENT) as error:
                log.warning("the Lease could not be read or written", extra={"error": str(error) or repr(error)})
            else:
                if held:
                    self._candidate.renewed(asked_at)
                    self._enter()
            if self._candidate.lost(self._clock()):
                raise LeaseLostError(f"the Lease was not renewed for {self._timing.renew_deadline:g} s")
            if self._elected.is_set() or not await self._followed():
                await asyncio.sleep(self._timing.retry_period)

    async def _followed(self) -> bool:
        """Follow the Lease of another replica until it may be taken; returns False if that is not possible now."""
        lease, self._seen = self._seen, None
        if lease is None:
            return False
        self._candidate.observe(lease["spec"], now := self._clock())
        if self._candidate.may_take(lease["spec"], now):
            return True
        try:
            async with asyncio.timeout(None) as silence, aclosing(self._api.follow(LEASE, lease, FOLLOWED)) as versions:
                # Its holder renews it all the time: after a silence of its duration it has ended.
                silence.reschedule(asyncio.get_running_loop().time() + self._candidate.duration(lease["spec"]))
                async for version in versions:
                    now = self._clock()
                    self._candidate.observe(version["spec"], now)
                    if self._candidate.may_take(version["spec"], now):
                        return True
                    silence.reschedule(asyncio.get_running_loop().time() + self._candidate.duration(version["spec"]))
        except TimeoutError:
            return True
        except (KubeError, ValueError, *TRANSIENT) as error:
            log.debug("the Lease could not be followed", extra={"error": str(error) or repr(error)})
        return False

    async def release(self) -> None:
        """Give the Lease up, so that another replica takes it at once; a failure here only costs time."""
        metrics.LEADER.set(0)
        if not self._elected.is_set():
            return
        self._candidate.resigned()
        self._elected.clear()
        try:
            async with asyncio.timeout(self._timing.retry_period):
                lease = await self._api.get(LEASE, self._namespace, self._name)
                if lease is None or lease["spec"].get("holderIdentity") != self._identity:
                    return
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _timestamp()}
                await self._api.replace(LEASE, lease)
        except (KubeError, *TRANSIENT) as error:
            log.warning("the Lease could not be released", extra={"error": str(error) or repr(error)})

    def _enter(self) -> None:
        if not self._elected.is_set():
            log.info("leading", extra={"identity": self._identity, "transitions": self.transitions})
            metrics.LEADER.set(1)
            self._elected.set()

    async def _try(self, now: float) -> bool:
        lease = await self._api.get(LEASE, self._namespace, self._name)
        if lease is None:
            return await self._write(self._api.create, self._lease({}, transitions=0))
        spec = lease["spec"]
        self._candidate.observe(spec, now)
        if self._elected.is_set() and spec.get("holderIdentity") != self._identity:
            holder = spec.get("holderIdentity") or "nobody"
            raise LeaseLostError(f"the Lease {self._namespace}/{self._name} is held by {holder}")
        if not self._candidate.may_take(spec, now):
            self._seen = lease
            return False
        # Every change of holder counts, also to a replica of the same name: each begins a new term.
        renewal = spec.get("holderIdentity") == self._identity and self._elected.is_set()
        transitions = int(spec.get("leaseTransitions") or 0) + (0 if renewal else 1)
        return await self._write(self._api.replace, self._lease(lease, transitions))

    async def _write(self, write: Callable[[Any, Object], Any], lease: Object) -> bool:
        try:
            written = await write(LEASE, lease)
        except KubeError as error:
            if error.status == 409:  # another replica was faster
                self._seen = await self._api.get(LEASE, self._namespace, self._name)
                return False
            raise
        self.transitions = int(written["spec"]["leaseTransitions"])
        return True

    def _lease(self, lease: Object, transitions: int) -> Object:
        now = _timestamp()
        spec: Object = {
            **lease.get("spec", {}),
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._timing.duration) or 1,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        if transitions != self.transitions or "acquireTime" not in spec:
            spec["acquireTime"] = now
        metadata = {**lease.get("metadata", {}), "namespace": self._namespace, "name": self._name}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}


def _timestamp() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
