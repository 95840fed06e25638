"""Where pods run: the fields of Kubernetes' own API, typed, with its names."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from mcppool.spec.model import Check, Rule, Section
from mcppool.spec.sections.labels import DnsLabel, LabelKey, LabelValue
from mcppool.spec.values import Integer

Weight = Annotated[Integer, Field(ge=1, le=100)]
Values = tuple[LabelValue, ...]
Keys = tuple[LabelKey, ...]

LIST_NEEDED = Check(
    "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : "
    "self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || self.values.size() == 0 : true",
    "values must be given for In and NotIn, and not for Exists and DoesNotExist",
    lambda model: (
        bool(model.values) if model.operator in ("in", "not_in") else model.operator in ("gt", "lt") or not model.values
    ),
    "values",
)
NUMBER_NEEDED = Check(
    "!(self.operator in ['Gt', 'Lt']) || has(self.values) && self.values.size() == 1 && "
    "self.values[0].matches('^[0-9]{1,18}$')",
    "values must be one whole number for Gt and Lt",
    lambda model: (
        model.operator not in ("gt", "lt")
        or (
            len(model.values) == 1
            and model.values[0].isascii()
            and model.values[0].isdigit()
            and len(model.values[0]) < 19
        )
    ),
    "values",
)


class TolerationSpec(Section):
    """A taint of nodes that is no matter."""

    corev1: ClassVar[str | None] = "Toleration"
    rules: ClassVar[tuple[Rule, ...]] = (
        Check(
            "self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "value must not be set if operator is Exists",
            lambda model: model.operator != "exists" or not model.value,
            "value",
        ),
        Check(
            "has(self.key) || self.operator == 'Exists'",
            "operator must be Exists if key is not set",
            lambda model: model.key is not None or model.operator == "exists",
            "operator",
        ),
        Check(
            "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
            "tolerationSeconds needs effect NoExecute",
            lambda model: model.toleration_seconds is None or model.effect == "no_execute",
            "toleration_seconds",
        ),
    )

    key: LabelKey | None = Field(None, description="The taint; none: every one.")
    operator: Literal["equal", "exists"] = Field("equal", description="How the taint's value is compared.")
    value: LabelValue | None = Field(None, description="The taint's value.")
    effect: Literal["no_schedule", "prefer_no_schedule", "no_execute"] | None = Field(
        None, description="The taint's effect; none: every one."
    )
    toleration_seconds: Annotated[Integer, Field(ge=0, le=2147483647)] | None = Field(
        None, description="How long a taint with effect NoExecute is tolerated."
    )


class LabelRequirementSpec(Section):
    """What a label must, or must not, be."""

    rules: ClassVar[tuple[Rule, ...]] = (LIST_NEEDED,)

    key: LabelKey = Field(description="The label.")
    operator: Literal["in", "not_in", "exists", "does_not_exist"] = Field(description="How it is compared.")
    values: Values = Field((), max_length=32, description="What it is compared with.")


class LabelSelectorSpec(Section):
    """Objects by their labels."""

    corev1: ClassVar[str | None] = "LabelSelector"

    match_labels: dict[LabelKey, LabelValue] = Field({}, max_length=16, description="Labels that they have.")
    match_expressions: tuple[LabelRequirementSpec, ...] = Field((), max_length=16, description="What they must be.")


class NodeRequirementSpec(Section):
    """What a label or field of a node must be."""

    rules: ClassVar[tuple[Rule, ...]] = (LIST_NEEDED, NUMBER_NEEDED)

    key: LabelKey = Field(description="The label, or the field.")
    operator: Literal["in", "not_in", "exists", "does_not_exist", "gt", "lt"] = Field(description="How it is compared.")
    values: Values = Field((), max_length=32, description="What it is compared with.")


class NodeTermSpec(Section):
    """Nodes for which all of this is so."""

    match_expressions: tuple[NodeRequirementSpec, ...] = Field((), max_length=16, description="Of their labels.")
    match_fields: tuple[NodeRequirementSpec, ...] = Field((), max_length=4, description="Of their fields.")


class NodeSelectorSpec(Section):
    """Nodes that any of the terms fits."""

    node_selector_terms: tuple[NodeTermSpec, ...] = Field(min_length=1, max_length=8, description="The terms.")


class PreferredNodeSpec(Section):
    """A preference for nodes."""

    weight: Weight = Field(description="How strong it is.")
    preference: NodeTermSpec = Field(description="Which nodes.")


class NodeAffinitySpec(Section):
    """Which nodes."""

    required_during_scheduling_ignored_during_execution: NodeSelectorSpec | None = Field(
        None, description="Nodes that a pod may be on."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodeSpec, ...] = Field(
        (), max_length=8, description="Nodes that it is rather on."
    )


class PodTermSpec(Section):
    """Pods, and what "beside" means."""

    label_selector: LabelSelectorSpec | None = Field(None, description="The pods.")
    topology_key: LabelKey = Field(description="The label of nodes whose equal value means beside.")
    namespaces: tuple[DnsLabel, ...] = Field((), max_length=16, description="Where the pods are; none: here.")
    namespace_selector: LabelSelectorSpec | None = Field(None, description="The same, by labels.")
    match_label_keys: Keys = Field((), max_length=8, description="Labels that the pods have in common with this one.")
    mismatch_label_keys: Keys = Field((), max_length=8, description="Labels in which they differ from this one.")


class PreferredPodsSpec(Section):
    """A preference for pods to be beside, or not."""

    weight: Weight = Field(description="How strong it is.")
    pod_affinity_term: PodTermSpec = Field(description="Which pods.")


class PodAffinitySpec(Section):
    """Beside which pods, or not."""

    required_during_scheduling_ignored_during_execution: tuple[PodTermSpec, ...] = Field(
        (), max_length=8, description="What must be so."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredPodsSpec, ...] = Field(
        (), max_length=8, description="What is rather so."
    )


class AffinitySpec(Section):
    """Which nodes, and beside which pods."""

    corev1: ClassVar[str | None] = "Affinity"

    node_affinity: NodeAffinitySpec | None = Field(None, description="Which nodes.")
    pod_affinity: PodAffinitySpec | None = Field(None, description="Beside which pods.")
    pod_anti_affinity: PodAffinitySpec | None = Field(None, description="Not beside which pods.")


class TopologySpreadSpec(Section):
    """How evenly gateways are spread."""

    corev1: ClassVar[str | None] = "TopologySpreadConstraint"
    rules: ClassVar[tuple[Rule, ...]] = (
        Check(
            "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            "minDomains needs whenUnsatisfiable DoNotSchedule",
            lambda model: model.min_domains is None or model.when_unsatisfiable == "do_not_schedule",
            "min_domains",
        ),
    )

    max_skew: Annotated[Integer, Field(ge=1, le=1000)] = Field(description="How uneven it may be.")
    topology_key: LabelKey = Field(description="The label of nodes that they are spread over.")
    when_unsatisfiable: Literal["do_not_schedule", "schedule_anyway"] = Field(
        description="What becomes of a pod for which it cannot be so."
    )
    label_selector: LabelSelectorSpec | None = Field(
        None, description="Which pods are counted; none: the pool's gateways."
    )
    min_domains: Annotated[Integer, Field(ge=1, le=1000)] | None = Field(
        None, description="Fewest places; only with DoNotSchedule."
    )
    node_affinity_policy: Literal["honor", "ignore"] | None = Field(
        None, description="Whether nodes that a pod may not be on count."
    )
    node_taints_policy: Literal["honor", "ignore"] | None = Field(None, description="Whether tainted nodes count.")
    match_label_keys: Keys = Field((), max_length=8, description="Labels whose values are counted apart.")
