"""The protocols guardrail knows: one TOML file each, data rather than code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from guardrail.protocols.fields import FieldMap, compile_map
from guardrail.protocols.payload import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One API: where it lives, what its payloads hold, and how it reports an error.

    `paths` are exact; a payload whose keys include all of `shape` is of this protocol wherever it
    was posted. `errors` names an error style. `model`, `stream` and `finish` are fields;
    `done` is the data of the stream's last event.
    """

    name: str
    paths: frozenset[str] = frozenset()
    shape: frozenset[str] = frozenset()
    errors: str = "problem"
    model: str = "model"
    stream: str = "stream"
    done: str = ""
    finish: str = ""
    request: FieldMap
    response: FieldMap

    @property
    def declares(self) -> bool:
        """Whether the map names the fields of this protocol; the generic one names none."""
        return bool(self.response.children)

    def is_spoken_in(self, payload: Json) -> bool:
        """Whether a payload has this protocol's shape."""
        return bool(self.shape) and isinstance(payload, dict) and self.shape <= payload.keys()


GENERIC = Protocol(name="generic", request=FieldMap(), response=FieldMap())
"""A body of any other shape: every string is inspected."""


@lru_cache(maxsize=1)
def load_protocols() -> Mapping[str, Protocol]:
    """Gives the shipped protocols by name."""
    folder = resources.files(__name__)
    found = (
        _protocol(tomllib.loads(entry.read_text("utf-8")))
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )
    return MappingProxyType({protocol.name: protocol for protocol in found})


def _protocol(rows: dict[str, Any]) -> Protocol:
    return Protocol(
        **{
            **rows,
            "paths": frozenset(rows.get("paths", ())),
            "shape": frozenset(rows.get("shape", ())),
            "request": compile_map(rows["request"]),
            "response": compile_map(rows["response"]),
        }
    )
