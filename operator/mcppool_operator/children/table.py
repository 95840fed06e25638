"""All kinds of children in one table, which determines watches, rights and creation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mcppool_operator.resources import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    INGRESS,
    NETWORK_POLICY,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_MONITOR,
    Kind,
)


@dataclass(frozen=True, slots=True)
class ChildKind:
    """One kind of child.

    * `watched`: changes and deletions are seen at once.
    * `essential`: a pool without it is not ready; a missing child of another kind only makes the pool `Degraded`.
    * `removable`: a pool can do without it, so an unwanted one is deleted.
    * `built_in`: every cluster knows the kind.
    * `adoptable`: one without a controller becomes the pool's if its annotation asks for that.
    """

    kind: Kind
    watched: bool = True
    essential: bool = True
    removable: bool = False
    built_in: bool = True
    adoptable: bool = True

    @property
    def verbs(self) -> tuple[str, ...]:
        """The rights that the operator needs for the kind."""
        if not self.watched:
            return ("create",)
        return ("get", "list", "watch", "create", "patch", *(("delete",) if self.removable else ()))


CHILDREN: Final = (
    ChildKind(CONFIG_MAP, removable=True),
    # Created to see whether it exists (sealing.py): no Secret is ever read, nor deleted but by garbage collection.
    ChildKind(SECRET, watched=False, adoptable=False),
    ChildKind(SERVICE_ACCOUNT),
    ChildKind(ROLE),
    ChildKind(ROLE_BINDING),
    ChildKind(SERVICE, removable=True),
    ChildKind(DEPLOYMENT, removable=True),
    ChildKind(DISRUPTION_BUDGET, essential=False, removable=True),
    ChildKind(AUTOSCALER, essential=False, removable=True),
    ChildKind(NETWORK_POLICY, removable=True),
    ChildKind(INGRESS, essential=False, removable=True),
    ChildKind(HTTP_ROUTE, essential=False, removable=True, built_in=False),
    ChildKind(SERVICE_MONITOR, essential=False, removable=True, built_in=False),
)

ADOPTABLE: Final = {child.kind: child.adoptable for child in CHILDREN}

ESSENTIAL: Final = frozenset(child.kind for child in CHILDREN if child.essential)
