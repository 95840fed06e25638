"""Values of configured headers: from the configuration, a file or a variable of the environment."""

from __future__ import annotations

import os
import re

from mcppool.small_file import read_small_file
from mcppool.spec import HeaderValueSpec

MAX_VALUE = 8192  # upper bound in bytes on a value in a file or an environment variable
_SENDABLE = re.compile(r"[!-~]([ -~]*[!-~])?")


def read_value(spec: HeaderValueSpec) -> str:
    """The value of a header. Raises ValueError with the reason for its absence, without its content."""
    if spec.value is not None:
        return spec.value
    if spec.value_env is not None:
        found = os.environ.get(spec.value_env)
        where = f"the environment variable {spec.value_env}"
        if found is None:
            raise ValueError(f"{where} is not set")
    else:
        where = f"the file {spec.value_file}"
        try:
            found = read_small_file(spec.value_file or "", MAX_VALUE + 2).decode("ascii").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ValueError(f"the value of {where} is not ASCII") from None
        except OSError as error:
            raise ValueError(f"{where} cannot be read: {error.strerror}") from None
    if len(found) > MAX_VALUE or not _SENDABLE.fullmatch(found):
        raise ValueError(f"the value of {where} is not a valid header value")
    return found
