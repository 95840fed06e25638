"""`access`: which clients may use which tools, prompts, resources and methods."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer, model_validator

from mcppool.spec.model import Section, contradiction
from mcppool.spec.values import Hint, Scope, Text

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$"
MAX_RULES = 256
RESERVED_NAMES = ("not_allowed", "tools.access")
"""Labels that metrics and logs show in place of a rule."""

RuleName = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN, max_length=64),
    Hint("at most 64 lower-case letters, digits, inner hyphens, underscores and dots"),
]
Pattern = Annotated[
    str,
    StringConstraints(pattern=r"^!?[^!].*$|^!?[^!]$", max_length=1024),
    Hint("a name in which `*` stands for any text; with a `!` before it, an exception"),
]
MethodPattern = Annotated[
    str,
    StringConstraints(pattern=r"^!?[A-Za-z/_*.$-]+$", max_length=128),
    Hint("a method such as tools/call, GET, DELETE or response; `*` stands for any text, `!` makes an exception"),
]
ArgumentName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=256)]
"""An empty list is refused: it looks as if it matched nothing, but a rule without the key matches everything."""

CLIENT_CONDITIONS = ("scopes", "groups", "names", "claims")
"""Keys of a rule that are conditions on the client."""
KNOWN_CONDITIONS = {
    "api_keys": ("scopes", "groups", "names"),
    "mtls": ("groups", "names"),
    "jwt": ("scopes", "groups", "claims"),
    "introspection": ("scopes", "groups", "claims"),
}
"""Kind of authentication → the keys of `CLIENT_CONDITIONS` that it knows of clients."""
ARGUMENTS = ("with_arguments", "without_arguments")
"""Keys of a rule that look at the arguments of a call."""


class AccessRuleSpec(Section):
    """A rule: conditions on the client and on the request. All keys that are set must match."""

    list_key: ClassVar[str | None] = "name"
    whole: ClassVar[bool] = True

    name: RuleName = Field(description="Name of the rule in metrics, logs and the audit log.")
    scopes: tuple[Scope, ...] = Field(
        (), min_length=1, max_length=32, description="Scopes that the client's token must all have."
    )
    groups: Patterns = Field((), description="Groups. The client must belong to one of them.")
    names: Patterns = Field(
        (), description="Names of API keys, or subjects of certificates. The client's must be one of them."
    )
    claims: dict[Text, Patterns] = Field(
        {},
        min_length=1,
        max_length=32,
        description="Claims of the client's token, each with the values that are allowed. A dot leads into an object: "
        "`realm_access.roles`.",
    )
    methods: Annotated[tuple[MethodPattern, ...], Field(min_length=1, max_length=64)] = Field(
        (), description="Methods that the rule concerns. Default: all."
    )
    tools: Patterns = Field((), description="Names of tools that the rule concerns.")
    prompts: Patterns = Field((), description="Names of prompts that the rule concerns.")
    resources: Patterns = Field((), description="URIs of resources that the rule concerns.")
    with_arguments: tuple[ArgumentName, ...] = Field(
        (),
        min_length=1,
        max_length=64,
        description="The rule concerns calls that have one of these arguments, whatever its value.",
    )
    without_arguments: tuple[ArgumentName, ...] = Field(
        (), min_length=1, max_length=64, description="The rule concerns calls that have none of these arguments."
    )

    @model_serializer(mode="wrap")
    def _without_empty_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The rule as a file may have it: without keys that are not set."""
        return {key: value for key, value in dump(self).items() if value}

    @model_validator(mode="after")
    def _only_calls_have_arguments(self) -> AccessRuleSpec:
        if self.resources and not self.tools and not self.prompts:
            for name in ARGUMENTS:
                if getattr(self, name):
                    raise contradiction("{0} has no effect: to read a resource takes no arguments", name)
        return self


class AccessSpec(Section):
    """Access rules. Without any rule in `allow`, clients may use everything that no rule in `deny` matches."""

    whole: ClassVar[bool] = True

    mode: Literal["enforce", "shadow"] = Field(
        "enforce", description="`shadow` only counts, logs and audits what `enforce` would refuse."
    )
    denied: Literal["step_up", "unknown", "forbidden"] = Field(
        "step_up",
        description="Answer to a refused call. `unknown`: as if there were no such tool, prompt, resource or "
        "method. `forbidden`: HTTP 403. `step_up`: HTTP 403 with the missing scopes if a token with more scopes would "
        "be enough, else as `unknown`.",
    )
    allow: tuple[AccessRuleSpec, ...] = Field(
        (), max_length=MAX_RULES, description="Rules that allow requests. If there is one, all else is refused."
    )
    deny: tuple[AccessRuleSpec, ...] = Field(
        (), max_length=MAX_RULES, description="Rules that refuse requests. They win over `allow`."
    )

    @model_validator(mode="after")
    def _distinct_names(self) -> AccessSpec:
        for key, rules in (("allow", self.allow), ("deny", self.deny)):
            for index, rule in enumerate(rules):
                if rule.name in RESERVED_NAMES:
                    why = '"{name}" stands for something else in metrics and logs'
                    raise contradiction(why, f"{key}.{index}.name", name=rule.name)
        allowed = {rule.name for rule in self.allow}
        for index, rule in enumerate(self.deny):
            if rule.name in allowed:
                raise contradiction('a rule of allow is named "{name}", too', f"deny.{index}.name", name=rule.name)
        return self
