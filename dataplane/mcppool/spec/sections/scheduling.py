"""The placement of pods: the fields of Kubernetes' own API, typed, with its names."""

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
    """A taint of nodes that the pods tolerate."""

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

    key: LabelKey | None = Field(None, description="Key of the taint. Default: every taint.")
    operator: Literal["equal", "exists"] = Field("equal", description="Comparison of the taint's value.")
    value: LabelValue | None = Field(None, description="Value of the taint.")
    effect: Literal["no_schedule", "prefer_no_schedule", "no_execute"] | None = Field(
        None, description="Effect of the taint. Default: every effect."
    )
    toleration_seconds: Annotated[Integer, Field(ge=0, le=2147483647)] | None = Field(
        None, description="How long the pods tolerate a taint with effect NoExecute."
    )


class LabelRequirementSpec(Section):
    """A requirement for the value of a label."""

    rules: ClassVar[tuple[Rule, ...]] = (LIST_NEEDED,)

    key: LabelKey = Field(description="Key of the label.")
    operator: Literal["in", "not_in", "exists", "does_not_exist"] = Field(description="Comparison of the label.")
    values: Values = Field((), max_length=32, description="Values for `In` and `NotIn`.")


class LabelSelectorSpec(Section):
    """A selector of objects by their labels."""

    corev1: ClassVar[str | None] = "LabelSelector"

    match_labels: dict[LabelKey, LabelValue] = Field({}, max_length=16, description="Labels that the objects have.")
    match_expressions: tuple[LabelRequirementSpec, ...] = Field(
        (), max_length=16, description="Requirements for their labels."
    )


class NodeRequirementSpec(Section):
    """A requirement for a label or field of a node."""

    rules: ClassVar[tuple[Rule, ...]] = (LIST_NEEDED, NUMBER_NEEDED)

    key: LabelKey = Field(description="Key of the label, or name of the field.")
    operator: Literal["in", "not_in", "exists", "does_not_exist", "gt", "lt"] = Field(description="The comparison.")
    values: Values = Field((), max_length=32, description="Values for `In` and `NotIn`; one number for `Gt` and `Lt`.")


class NodeTermSpec(Section):
    """Nodes that meet all of these requirements."""

    match_expressions: tuple[NodeRequirementSpec, ...] = Field(
        (), max_length=16, description="Requirements for labels."
    )
    match_fields: tuple[NodeRequirementSpec, ...] = Field((), max_length=4, description="Requirements for fields.")


class NodeSelectorSpec(Section):
    """Nodes that match any of the terms."""

    node_selector_terms: tuple[NodeTermSpec, ...] = Field(min_length=1, max_length=8, description="The terms.")


class PreferredNodeSpec(Section):
    """A preference for nodes."""

    weight: Weight = Field(description="Weight of the preference.")
    preference: NodeTermSpec = Field(description="The preferred nodes.")


class NodeAffinitySpec(Section):
    """Nodes for the pods."""

    required_during_scheduling_ignored_during_execution: NodeSelectorSpec | None = Field(
        None, description="Nodes on which a pod may run."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodeSpec, ...] = Field(
        (), max_length=8, description="Preferred nodes."
    )


class PodTermSpec(Section):
    """Pods, and the topology domain that they share."""

    label_selector: LabelSelectorSpec | None = Field(None, description="The pods.")
    topology_key: LabelKey = Field(description="Label of nodes; nodes with the same value are one topology domain.")
    namespaces: tuple[DnsLabel, ...] = Field(
        (), max_length=16, description="Namespaces of the pods. Default: this one."
    )
    namespace_selector: LabelSelectorSpec | None = Field(None, description="Namespaces of the pods, by labels.")
    match_label_keys: Keys = Field((), max_length=8, description="Labels that have the same value on this pod.")
    mismatch_label_keys: Keys = Field((), max_length=8, description="Labels that have another value on this pod.")


class PreferredPodsSpec(Section):
    """A preference for the topology domain of other pods, or against it."""

    weight: Weight = Field(description="Weight of the preference.")
    pod_affinity_term: PodTermSpec = Field(description="The other pods.")


class PodAffinitySpec(Section):
    """Pods whose topology domain a pod must or should share, or avoid."""

    required_during_scheduling_ignored_during_execution: tuple[PodTermSpec, ...] = Field(
        (), max_length=8, description="Requirements."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredPodsSpec, ...] = Field(
        (), max_length=8, description="Preferences."
    )


class AffinitySpec(Section):
    """Nodes for the pods, and other pods that they run near or far from."""

    corev1: ClassVar[str | None] = "Affinity"

    node_affinity: NodeAffinitySpec | None = Field(None, description="Nodes to run on.")
    pod_affinity: PodAffinitySpec | None = Field(None, description="Pods to run near.")
    pod_anti_affinity: PodAffinitySpec | None = Field(None, description="Pods to run far from.")


class TopologySpreadSpec(Section):
    """How evenly pods are spread over topology domains."""

    corev1: ClassVar[str | None] = "TopologySpreadConstraint"
    rules: ClassVar[tuple[Rule, ...]] = (
        Check(
            "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            "minDomains needs whenUnsatisfiable DoNotSchedule",
            lambda model: model.min_domains is None or model.when_unsatisfiable == "do_not_schedule",
            "min_domains",
        ),
    )

    max_skew: Annotated[Integer, Field(ge=1, le=1000)] = Field(
        description="Largest difference in the number of pods between two topology domains."
    )
    topology_key: LabelKey = Field(description="Label of nodes; nodes with the same value are one topology domain.")
    when_unsatisfiable: Literal["do_not_schedule", "schedule_anyway"] = Field(
        description="Scheduling of a pod that cannot meet the constraint."
    )
    label_selector: LabelSelectorSpec | None = Field(None, description="Pods that count. Default: the pool's gateways.")
    min_domains: Annotated[Integer, Field(ge=1, le=1000)] | None = Field(
        None, description="Minimum number of topology domains; only with DoNotSchedule."
    )
    node_affinity_policy: Literal["honor", "ignore"] | None = Field(
        None, description="Whether nodes count on which the pod may not run."
    )
    node_taints_policy: Literal["honor", "ignore"] | None = Field(None, description="Whether tainted nodes count.")
    match_label_keys: Keys = Field((), max_length=8, description="Labels whose values count separately.")
