"""The protocols guardrail knows: one TOML file each, data rather than code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from guardrail.protocols.fields import Action, FieldMap, Rows, compile_map
from guardrail.protocols.payload import Json
from guardrail.protocols.untrusted import Mark, compile_marks


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolNames:
    """Where events name a tool (`name`), the channel that speaks to it (`id`), and where the events
    of that channel name it (`by`); all are dotted fields.
    """

    name: str
    id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlaces:
    """Where requests name what the provider keeps, and where answers say under which id it does.

    `names` are dotted fields of a request, `path` segments of its address by the name they have in
    `paths`; `shared` are those of either that lead to what several requests add to, all others to
    what is never changed. `ids` are fields of an answer, `event_ids` of an event. A request whose
    field `unless` is false is not kept. Ids of one `space` are told apart by their provider.
    """

    space: str
    names: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    unless: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The text that a string of an event belongs to, wherever it stands in its event.

    `fields` are channel fields that the positions in the string's path tell, in their order.
    """

    name: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rests:
    """Events (`kinds`) that end one of several texts that clients join, which `by` counts."""

    by: str
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """Numbers that say where in a text something stands, such as what a citation belongs to.

    `at` leads to the objects that hold the two `numbers`, `of` to the text: its `[]` are the
    positions in the path of the object, one after the other, and `[name]` is a number that the
    object holds, or 0. In a stream, `channel` are numbers of the object that stand for fields of
    the channel. The unit is code points, or with `in_bytes` bytes of UTF-8.
    """

    at: tuple[str, ...]
    numbers: tuple[str, str]
    of: tuple[str, ...]
    channel: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    in_bytes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One API: where it lives, what its payloads hold, and how it reports an error.

    `paths` are those of requests, with `{name}` for any one segment; `{model}` is the model, where
    the protocol names it there. A payload whose keys include all of `shape` is of this protocol
    wherever it was posted. `served` says that the gateway takes its requests. `errors` names an
    error style, `model` the field of the model. `media` says that its answers may be pictures or
    sound, `lines` that they are JSON lines whatever their content type says; `requests` names the
    field of a form whose file may hold other requests, one a line. `untrusted` marks what of a
    request a tool, a document or a page wrote; `code` names the tools whose arguments are run as
    code.

    Of a stream, `done` is the data of the last event; `finish` are fields that end what they stand
    in; `kind` is the field that says what an event is, `ends` those kinds that end a channel, and
    `channel` the fields that tell one channel from another, `joined` arrays whose texts clients
    join to one, `rests` the kinds that end one of those and not what follows it. `places` says, for
    events of some kinds, which strings belong to one text though they stand in different places.
    `chunks` says that a whole answer may be an array of events. `offsets` are the numbers that must
    move with the texts that they point into, and `cited` the paths of those. `events` is the map of
    its events, `kinds` that of events of some kinds. `state` says what the provider keeps.

    `sockets` are paths at which WebSockets speak it, an event a frame. Of their answers, `lane` is
    the field that tells those apart that come at once, `answered` are the events that end one.
    `made` is the field by which an event names an answer that later frames may refer to.
    `messages` says that its events come as AWS' binary messages, too.
    """

    name: str
    paths: tuple[str, ...] = ()
    shape: frozenset[str] = frozenset()
    served: bool = False
    errors: str = "problem"
    model: str = "model"
    media: bool = False
    lines: bool = False
    requests: str = ""
    done: str = ""
    finish: tuple[str, ...] = ()
    kind: str = "type"
    ends: frozenset[str] = frozenset()
    channel: tuple[str, ...] = ()
    joined: frozenset[str] = frozenset()
    rests: Rests | None = None
    places: Mapping[str, Mapping[str, Place]] = field(default_factory=lambda: MappingProxyType({}))
    chunks: bool = False
    offsets: tuple[Offsets, ...] = ()
    cited: frozenset[str] = frozenset()
    tool: ToolNames | None = None
    state: StatePlaces | None = None
    code: frozenset[str] = frozenset()
    untrusted: tuple[Mark, ...] = ()
    sockets: frozenset[str] = frozenset()
    lane: str = ""
    made: str = ""
    messages: bool = False
    answered: frozenset[str] = frozenset()
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
        return bool(self.response.children or self.events.children)

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
    rows["untrusted"] = compile_marks(rows.get("untrusted", {}))
    for name in ("shape", "ends", "joined", "code", "sockets", "answered"):
        rows[name] = frozenset(rows.get(name, ()))
    rows["tool"] = ToolNames(**rows["tool"]) if "tool" in rows else None
    rows["state"] = _state(rows["state"]) if "state" in rows else None
    if "rests" in rows:
        rows["rests"] = Rests(by=rows["rests"]["by"], kinds=frozenset(rows["rests"]["kinds"]))
    offsets = rows.get("offsets", ())
    rows["cited"] = frozenset(re.sub(r"\[\w+\]", "[]", row["of"]) for row in offsets)
    rows["offsets"] = tuple(map(_offsets, offsets))
    rows["places"] = {
        kind: {path: _place(said) for path, said in own.items()}
        for kind, own in rows.get("places", {}).items()
    }
    return Protocol(**rows)


@lru_cache(maxsize=1)
def field_names() -> frozenset[str]:
    """Gives every name that a shipped map has for a field of a request."""
    return frozenset().union(*(protocol.request.names() for protocol in load_protocols().values()))


def _state(rows: Mapping[str, Any]) -> StatePlaces:
    lists = {name: tuple(rows.get(name, ())) for name in ("names", "path", "ids", "event_ids")}
    shared = frozenset(rows.get("shared", ()))
    return StatePlaces(**{**rows, **lists, "shared": shared})


def _place(said: str) -> Place:
    """`text[index]` as a place; the positions in the path of its strings tell the `index`."""
    name, *fields = said.replace("]", "").split("[")
    return Place(name=name, fields=tuple(fields))


def _offsets(row: Mapping[str, Any]) -> Offsets:
    start, end = row["numbers"]
    at, of = (tuple(_STEP.findall(row[name])) for name in ("at", "of"))
    return Offsets(**{**row, "at": at, "of": of, "numbers": (start, end)})


_STEP = re.compile(r"[^.\[\]]+|\[\w*\]")


def protocol_at(path: str) -> Protocol:
    """Gives the protocol that lives at a raw path; `GENERIC` where none does."""
    return next((p for p in load_protocols().values() if p.lives_at(path)), GENERIC)


def sockets_of(configured: Mapping[str, Iterable[str]]) -> Mapping[str, Protocol]:
    """Gives what the frames of WebSockets speak, by path.

    `configured` adds paths to those that maps name, each with what ends an answer there.
    """
    known = {path: one for one in load_protocols().values() for path in sorted(one.sockets)}
    own = {path: replace(GENERIC, answered=frozenset(ends)) for path, ends in configured.items()}
    return MappingProxyType({**own, **known})


def protocol_of(payload: Json, path: str) -> Protocol:
    """Gives the protocol of a payload: its path's, else the one whose shape it has."""
    found = protocol_at(path)
    if found is not GENERIC:
        return found
    return next((p for p in load_protocols().values() if p.is_spoken_in(payload)), GENERIC)
