"""`…SecretRef`: a key of a Secret; a resource names one where a configuration file names a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from mcppool.spec.model import Section
from mcppool.spec.values import Hint

SECRET_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"  # noqa: S105
SECRET_KEY_PATTERN = r"^\.?[-_A-Za-z0-9][-._A-Za-z0-9]*$"  # noqa: S105


class SecretRefSpec(Section):
    """A key of a Secret in the namespace of the pool."""

    name: Annotated[
        str, StringConstraints(pattern=SECRET_NAME_PATTERN, max_length=253), Hint("the name of a Secret")
    ] = Field(description="Name of the Secret, in the namespace of the pool.")
    key: Annotated[
        str, StringConstraints(pattern=SECRET_KEY_PATTERN, max_length=253), Hint("a key of a Secret's data")
    ] = Field(description="Key in the data of the Secret.")
