"""The DPoP proof of a request, with the claims that it must have."""

from __future__ import annotations

from mcppool.access.dpop_header import ShownProof
from mcppool.access.inbound import InboundAuth
from mcppool.cache.shared_proofs import RedisProofs
from mcppool.gateway.head_notes import HeadNotes
from mcppool.pipeline.pool.pool import ServerPool


def shown_proof(pool: ServerPool, auth: InboundAuth, method: bytes, notes: HeadNotes) -> ShownProof:
    """The proof of a request with this head. Its URL is the one that clients type, whatever `Host` says."""
    link = pool.redis.link if pool.redis is not None else None
    return ShownProof(
        notes.headers.get("dpop"),
        method.decode("latin-1"),
        auth.resources.get(notes.path, ""),
        RedisProofs(link) if link is not None else pool.peers,
    )
