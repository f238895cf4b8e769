"""The protocols guardrail knows: one TOML file each, data rather than code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from guardrail.protocols.fields import Action, FieldMap, Rows, compile_map
from guardrail.protocols.payload import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolNames:
    """Where events name a tool (`name`), the channel that speaks to it (`id`), and where the events
    of that channel name it (`by`); all are dotted fields.
    """

    name: str
    id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One API: where it lives, what its payloads hold, and how it reports an error.

    `paths` are those of requests, with `{name}` for any one segment; `{model}` is the model, where
    the protocol names it there. A payload whose keys include all of `shape` is of this protocol
    wherever it was posted. `served` says that the gateway takes its requests. `errors` names an
    error style, `model` the field of the model.

    Of a stream, `done` is the data of the last event; `finish` are fields that end what they stand
    in; `kind` is the field that says what an event is, `ends` those kinds that end a channel, and
    `channel` the fields that tell one channel from another, `joined` arrays whose elements clients
    join to one text. `events` is the map of its events,
    `kinds` that of events of some kinds.

    `sockets` are paths at which WebSockets speak it, an event a frame. Of their answers, `lane` is
    the field that tells those apart that come at once, `rests` are the events that end one.
    `made` is the field by which an event names an answer that later frames may refer to.
    `messages` says that its events come as AWS' binary messages, too.
    """

    name: str
    paths: tuple[str, ...] = ()
    shape: frozenset[str] = frozenset()
    served: bool = False
    errors: str = "problem"
    model: str = "model"
    done: str = ""
    finish: tuple[str, ...] = ()
    kind: str = "type"
    ends: frozenset[str] = frozenset()
    channel: tuple[str, ...] = ()
    joined: frozenset[str] = frozenset()
    tool: ToolNames | None = None
    sockets: frozenset[str] = frozenset()
    lane: str = ""
    made: str = ""
    messages: bool = False
    rests: frozenset[str] = frozenset()
    request: FieldMap
    response: FieldMap
    events: FieldMap
    kinds: Mapping[str, FieldMap] = field(default_factory=lambda: MappingProxyType({}))
    _addresses: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_addresses", tuple(map(_address, self.paths)))

    @property
    def declares(self) -> bool:
        """Whether the map names the fields of this protocol; the generic one names none."""
        return bool(self.response.children)

    def is_spoken_in(self, payload: Json) -> bool:
        """Whether a payload has this protocol's shape."""
        return bool(self.shape) and isinstance(payload, dict) and self.shape <= payload.keys()

    def lives_at(self, path: str) -> re.Match[str] | None:
        """The match of a raw path with one of this protocol's, where it is one."""
        return next(filter(None, (address.fullmatch(path) for address in self._addresses)), None)


_SEGMENT = re.compile(r"\{(\w+)\}")


def _address(path: str) -> re.Pattern[str]:
    """`/v1/models/{model}:embed` as a pattern with a group `model`.

    A segment may hold a colon (`claude-v1:0`) where none follows it.
    """
    parts = _SEGMENT.split(path)
    pattern = re.escape(parts[0])
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        stops = "/:?#" if literal.startswith(":") else "/?#"
        pattern += f"(?P<{name}>[^{stops}]{{1,200}}){re.escape(literal)}"
    return re.compile(pattern)


GENERIC = Protocol(name="generic", request=FieldMap(), response=FieldMap(), events=FieldMap())
"""A body of any other shape: every string is inspected."""


@lru_cache(maxsize=1)
def load_protocols() -> Mapping[str, Protocol]:
    """Gives the shipped protocols by name.

    Raises:
        ValueError: a map is not one, or hides something of a request as derived from elsewhere.
    """
    files = [
        tomllib.loads(entry.read_text("utf-8"))
        for entry in sorted(resources.files(__name__).iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".toml")
    ]
    shared = {name: rows for file in files for name, rows in file.pop("shared", {}).items()}
    found = (read_protocol(file, shared) for file in files)
    return MappingProxyType({protocol.name: protocol for protocol in found})


def read_protocol(file: Mapping[str, Any], shared: Mapping[str, Rows]) -> Protocol:
    """Gives the protocol that a file describes; `shared` are the tables that its rows may name.

    Raises:
        ValueError: a map is not one, or hides something of a request as derived from elsewhere.
    """
    rows = dict(file)
    events = rows.get("events", {})
    kinds = rows.pop("kinds", {})
    for name in ("request", "response", "events"):
        rows[name] = compile_map(rows.get(name, {}), shared)
    if Action.DERIVED in rows["request"].actions():
        raise ValueError(f"{file['name']}: nothing in a request is derived")
    rows["kinds"] = {kind: compile_map({**events, **own}, shared) for kind, own in kinds.items()}
    for name in ("paths", "finish", "channel"):
        rows[name] = tuple(rows.get(name, ()))
    for name in ("shape", "ends", "joined", "sockets", "rests"):
        rows[name] = frozenset(rows.get(name, ()))
    rows["tool"] = ToolNames(**rows["tool"]) if "tool" in rows else None
    return Protocol(**rows)


def protocol_at(path: str) -> Protocol:
    """Gives the protocol that lives at a raw path; `GENERIC` where none does."""
    return next((p for p in load_protocols().values() if p.lives_at(path)), GENERIC)


def protocol_of(payload: Json, path: str) -> Protocol:
    """Gives the protocol of a payload: its path's, else the one whose shape it has."""
    found = protocol_at(path)
    if found is not GENERIC:
        return found
    return next((p for p in load_protocols().values() if p.is_spoken_in(payload)), GENERIC)
