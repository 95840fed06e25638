"""Authentication of the clients of all pools: made from the configuration, and kept if nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mcppool.access.dpop_nonces import Nonces
from mcppool.access.dpop_replays import UsedProofs
from mcppool.access.inbound import InboundAuth
from mcppool.access.metadata import WELL_KNOWN
from mcppool.access.resources import paths_of, resources_of
from mcppool.gateway.metadata_documents import Document
from mcppool.gateway.server_documents import ISSUER_PATHS, ServerDocuments
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.spec import Snapshot
from mcppool.spec.sections.inbound import InboundAuthSpec
from mcppool.supervision import guard
from mcppool.wire.sealing import KeyRing

log = get_logger("auth")


class _Made(NamedTuple):
    auth: InboundAuth
    spec: InboundAuthSpec
    resources: Mapping[bytes, str]


class Authentication:
    """The authentication of each pool that has one. `on_change` is called with it when one of its credentials may no
    longer be valid."""

    def __init__(self, metrics: GatewayMetrics, on_change: Callable[[InboundAuth], None]) -> None:
        self._metrics = metrics
        self._on_change = on_change
        self._made: dict[str, _Made] = {}
        self._told: dict[str, str] = {}
        self._used_proofs = UsedProofs()  # of all pools, and longer than the authentication of one
        self._nonces = Nonces()

    def renew_ring(self, ring: KeyRing) -> None:
        """Gateways with the same keys accept each other's nonces."""
        self._nonces.renew([key.secret for key in ring.keys])

    def prepare(self, snapshot: Snapshot) -> dict[str, _Made]:
        """Prepare the authentication for a snapshot, without putting it into force. Raises ConfigError, with nothing
        changed."""
        wanted: dict[str, _Made] = {}
        try:
            for pool in snapshot.pools:
                spec = pool.auth.inbound
                if spec.type == "none":
                    continue
                resources = resources_of(snapshot.listener, pool, only=len(snapshot.pools) == 1)
                old = self._made.get(pool.name)
                if old is not None and (old.spec, old.resources) == (spec, resources):
                    wanted[pool.name] = old
                else:
                    wanted[pool.name] = _Made(self._make(pool.name, spec, resources), spec, resources)
        except BaseException:
            self._close(wanted, keep=self._made)
            raise
        return wanted

    def apply(self, wanted: dict[str, _Made], snapshot: Snapshot) -> None:
        """Put the prepared authentication into force."""
        self._close(self._made, keep=wanted)
        self._made = wanted
        told: dict[str, str] = {pool.name: pool.auth.inbound.type for pool in snapshot.pools}
        for name, type in told.items():
            if self._told.get(name) == type:
                continue
            if type == "none":
                log.warning("no_authentication", pool=name, listen=snapshot.listener.listen)
            else:
                log.event("authentication", pool=name, type=type)
        self._told = told

    @property
    def pools(self) -> Mapping[str, InboundAuth]:
        """The authentication of each pool that has one."""
        return {name: made.auth for name, made in self._made.items()}

    def documents(self, pools: Mapping[str, ServerPool]) -> Mapping[bytes, Document]:
        """The metadata documents of all pools, by path. A single pool has its document at the root, too."""
        only = len(pools) == 1
        found: dict[bytes, Document] = {}
        for name, made in self._made.items():
            if made.spec.type == "passthrough":
                source = ServerDocuments(pools[name], set(made.resources.values()))
                paths = [path.decode() for path in paths_of(name, only=only)]
                if only:
                    paths.append("")
                names = (WELL_KNOWN, *ISSUER_PATHS) if only else (WELL_KNOWN,)
                found.update({f"{place}{path}".encode(): source for place in names for path in paths})
                found.update({path.encode(): source for path in source.own_paths})
            else:
                found.update(made.auth.documents())
        if only and found:
            found.setdefault(WELL_KNOWN.encode(), next(iter(found.values())))
        return found

    async def close(self) -> None:
        """End all background tasks."""
        for made in self._made.values():
            await made.auth.close()

    def _make(self, pool: str, spec: InboundAuthSpec, resources: Mapping[bytes, str]) -> InboundAuth:
        def changed() -> None:
            self._on_change(auth)

        proofs: Proofs | None = None
        if spec.dpop != "off":
            from mcppool.access.dpop import Proofs  # here, because only some pools need this module

            proofs = Proofs(self._used_proofs, self._nonces if spec.dpop_nonce else None)
        auth = InboundAuth(spec, pool, resources, self._metrics.pool(pool).auth_failures, changed, proofs)
        return auth

    def _close(self, some: Mapping[str, _Made], *, keep: Mapping[str, _Made]) -> None:
        kept = {id(made.auth) for made in keep.values()}
        for name, made in some.items():
            if id(made.auth) not in kept:
                guard("retired authentication", made.auth.close(), about=name)
