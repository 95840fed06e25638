"""A snapshot in a Kubernetes ConfigMap: watched through the API, and mounted as a file for outages of the API.

The watch brings a change in about 100 ms; the mount takes up to a minute or two, and lets a gateway start, and follow
slowly, while the API server cannot be reached. The configuration in force survives everything that happens here:
garbage, the ConfigMap's deletion, an outage.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from mcppool.discovery.file import Identity, identity_of, read_text, unreadable
from mcppool.discovery.intake import Intake
from mcppool.discovery.kube_api import ApiError, ApiServer, ConfigMapApi, GoneError
from mcppool.discovery.source import EventLog, Publish, Refuse
from mcppool.spec import ConfigError


@dataclass(frozen=True, slots=True)
class Timing:
    """Time limits and intervals of the source, in seconds."""

    boot_patience: float = 1.0
    """Seconds that the API has for the first snapshot before the gateway reads the mounted file."""
    silence: float = 75.0
    """Seconds that a watch may be silent. The API server sends a bookmark every minute."""
    watch_duration: tuple[int, int] = (240, 360)
    """Range of the seconds after which a watch is renewed, so that gateways do not renew together."""
    stale_after: float = 90.0
    """Seconds of silence of the API after which the mounted file is read, now and whenever it changes."""
    mount_interval: float = 5.0
    """Seconds between looks at the mounted file while the API is away."""
    backoff_base: float = 0.1
    backoff_cap: float = 30.0
    """Upper bound in seconds between tries: full jitter over base * 2^n."""


class KubernetesSource:
    """Follows the key `key` of the ConfigMap `name`.

    `mount` is the directory where the same ConfigMap is mounted, if it is. `api` is the API server; by default the
    pod's own, with ConfigError outside of a pod.
    """

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        log: EventLog,
        key: str = "snapshot.json",
        mount: Path | None = None,
        api: ApiServer | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._namespace = namespace
        self._name = name
        self._log = log
        self._source = f"ConfigMap {namespace}/{name}"
        self._key = key
        self._file = None if mount is None else mount / key
        self._server = api or ApiServer.in_cluster()
        self._timing = timing or Timing()
        self._answered = asyncio.Event()
        self._last_contact = 0.0
        self._mounted: Identity | None = None
        self._failures = 0
        self._outage = False

    async def watch(self, publish: Publish, refuse: Refuse) -> None:
        """Run until cancelled."""
        self._note_contact()
        intake = Intake(publish, refuse, self._log)
        async with aiohttp.ClientSession(trust_env=False) as session, asyncio.TaskGroup() as tasks:
            api = ConfigMapApi(session, self._server, self._namespace, self._name, self._timing.silence)
            tasks.create_task(self._follow_api(api, intake))
            if self._file is not None:
                tasks.create_task(self._follow_mount(self._file, intake))

    def reload(self) -> None:
        """Read the mounted file again at the next look; the watch reports every change anyway."""
        self._mounted = None

    async def _follow_api(self, api: ConfigMapApi, intake: Intake) -> None:
        while True:
            asked_to_wait = 0.0
            try:
                await self._list_and_watch(api, intake)
            except GoneError:
                self._log.event("configuration_listed_again", source=self._source)
            except (ApiError, aiohttp.ClientError, OSError) as error:
                asked_to_wait = error.retry_after if isinstance(error, ApiError) else 0.0
                self._note_outage(error)
            self._answered.set()
            ceiling = min(self._timing.backoff_cap, self._timing.backoff_base * 2 ** min(self._failures, 16))
            self._failures += 1
            await asyncio.sleep(max(min(asked_to_wait, self._timing.backoff_cap), random.uniform(0, ceiling)))

    async def _list_and_watch(self, api: ConfigMapApi, intake: Intake) -> None:
        found, version = await api.list()
        self._note_contact()
        if found is None:
            self._log.warning("configuration_missing", source=self._source)
        else:
            self._take(found, intake)
        self._answered.set()
        while True:
            version = await self._watch_from(version, api, intake)
            # A watch that ended after its time was a good one; otherwise `_watch_from` raises.
            self._failures = 0

    async def _watch_from(self, version: str, api: ConfigMapApi, intake: Intake) -> str:
        began = asyncio.get_running_loop().time()
        async with aclosing(api.watch(version, random.randint(*self._timing.watch_duration))) as events:
            async for kind, subject, latest in events:
                self._note_contact()
                if kind == "CONNECTED":
                    self._note_recovery()
                    continue
                version, self._failures = latest, 0
                if kind in ("ADDED", "MODIFIED"):
                    self._take(subject, intake)
                elif kind == "DELETED":
                    self._log.warning("configuration_deleted", source=self._source)
        if asyncio.get_running_loop().time() - began < 1.0:
            raise ApiError("the API server ended the watch at once")
        return version

    def _take(self, config_map: Mapping[str, Any], intake: Intake) -> None:
        text = (config_map.get("data") or {}).get(self._key)
        if isinstance(text, str):
            intake.take(text, self._source)
        else:
            intake.refuse(unreadable(self._source, f"has no key {self._key}"))

    async def _follow_mount(self, file: Path, intake: Intake) -> None:
        try:
            async with asyncio.timeout(self._timing.boot_patience):
                await self._answered.wait()
        except TimeoutError:
            pass  # the API is slow or away: use the file
        while True:
            silent = asyncio.get_running_loop().time() - self._last_contact
            identity = identity_of(file)
            if intake.empty or (silent > self._timing.stale_after and identity != self._mounted):
                self._mounted = identity
                self._take_mounted(file, intake)
            await asyncio.sleep(self._timing.mount_interval)

    def _take_mounted(self, file: Path, intake: Intake) -> None:
        try:
            intake.take(read_text(file), str(file))
        except ConfigError as error:
            intake.refuse(error)

    def _note_contact(self) -> None:
        self._last_contact = asyncio.get_running_loop().time()
        # While the API answers, the mount has no news, and may be older than the watch.
        self._mounted = None if self._file is None else identity_of(self._file)

    def _note_outage(self, error: Exception) -> None:
        if not self._outage:
            self._outage = True
            self._log.warning("configuration_watch_lost", source=self._source, error=str(error) or repr(error))

    def _note_recovery(self) -> None:
        if self._outage:
            self._outage = False
            self._log.event("configuration_watched_again", source=self._source)
