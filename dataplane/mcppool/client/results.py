"""Parameters and results of the library's calls, in the types of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mcppool.client.errors import CallFailed
from mcppool.wire.errors import Reason

MAX_NAME: Final = 100
"""Upper bound in characters on the name of a member in a message."""

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    R = TypeVar("R", bound=BaseModel)


def input_answers(input_responses: Mapping[str, Any] | None, request_state: str | None) -> dict[str, Any]:
    """The members that a repeated call adds."""
    params: dict[str, Any] = {}
    if input_responses is not None:
        params["inputResponses"] = {key: _json(value) for key, value in input_responses.items()}
    if request_state is not None:
        params["requestState"] = request_state
    return params


def _json(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(by_alias=True, mode="json", exclude_none=True) if dump is not None else value


def page_of(cursor: str | None) -> dict[str, Any]:
    """The parameters of a list's page."""
    return {} if cursor is None else {"cursor": cursor}


def typed(model: type[R], result: dict[str, Any]) -> R:
    """The result as a value of the protocol's types. Raises CallFailed if it has another shape."""
    from pydantic import ValidationError

    if result.get("resultType", "complete") not in ("complete", "input_required"):
        what = f"a result of the unknown type {result['resultType']!r}"
        raise CallFailed(Reason.BAD_UPSTREAM_ANSWER, delivered="yes", attempts=1, message=what)
    try:
        return model.model_validate(result)
    except ValidationError as error:
        raise CallFailed(
            Reason.BAD_UPSTREAM_ANSWER, delivered="yes", attempts=1, message=f"a broken result: {_first_mistake(error)}"
        ) from error


def _first_mistake(error: ValidationError) -> str:
    """The place and the meaning of the first mistake, in one line. Nothing of the result is in it: the names of members
    may be the server's, however long."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:MAX_NAME]}" for part in first["loc"])
    return f"{place.removeprefix('.')}: {first['msg']}" + (f" (and {len(others)} more)" if others else "")
