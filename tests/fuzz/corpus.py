"""Inputs that have shown a defect, kept as files: each test of this folder tries those in its folder of `corpus` first.

A file is the JSON list of a test's inputs. Bytes stand there as `{"bytes": TEXT}`, in Latin-1.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"


def known(name: str) -> Iterator[tuple[Path, list[Any]]]:
    """The files of the test `name`, and the inputs in them."""
    for path in sorted((CORPUS / name).glob("*.json")):
        yield path, _decoded(json.loads(path.read_text()))


def save(name: str, inputs: Sequence[Any]) -> Path:
    """Write inputs that failed, to be moved to the corpus."""
    with tempfile.NamedTemporaryFile("w", prefix=f"fuzz-{name}-", suffix=".json", delete=False) as file:
        json.dump(_encoded(list(inputs)), file, indent=1)
    return Path(file.name)


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    return [_encoded(item) for item in value] if isinstance(value, list | tuple) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return value["bytes"].encode("latin-1")
    return [_decoded(item) for item in value] if isinstance(value, list) else value
