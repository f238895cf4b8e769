"""Which strings of a payload hold what: a map declares them, and what it does not is inspected.

A map is a table from path patterns to actions. Patterns name keys, `[]` stands for any element of
an array, `*` for any key, and a trailing `**` for everything below. No key is ever skipped by its
name alone: `{"input": {"id": "alice@example.com"}}` is a leaf like any other.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from guardrail.errors import Refusal
from guardrail.protocols.payload import Json, JsonNumber, dump_json, parse_json


class Action(StrEnum):
    """What may be done to a leaf."""

    TEXT = "text"
    """Free text; also the action of every leaf that no map declares."""
    JSON_TEXT = "json_text"
    """A string that holds JSON: its inner leaves are treated, then it is written again."""
    IDENTIFIER = "identifier"
    """A name or id: where it must change, only `[A-Za-z0-9_-]` is put into it."""
    PARTICIPANT = "participant"
    """Who speaks: an identifier that is read as somebody's name."""
    PERSON_ID = "person_id"
    """An id of the caller's user: replaced by a keyed digest before it leaves."""
    STRUCTURE = "structure"
    """Part of the protocol: never changed. Personal data found in it is refused."""
    MEDIA = "media"
    """Content that cannot be read as text, or a link to it."""
    REFERENCE = "reference"
    """Points to content at the provider, which cannot be inspected."""
    TOKENS = "tokens"
    """Token ids: text that cannot be read."""
    DERIVED = "derived"
    """Restates the answer's text piece by piece (log probabilities): set to null."""


class Step(Enum):
    """A step of a path that is no key and no position; no payload can spell it."""

    INSIDE = "#"
    """Into the JSON that a string holds."""
    KEY = "~key"
    """The key before it, rather than that key's value."""


Path = tuple[str | int | Step, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One string or long number of a payload, where it stands, and what may be done to it.

    `declared` says that the map names the leaf itself, and does not merely inspect it; `number`
    that the payload holds a number, not a string.
    """

    path: Path = field(repr=False)
    text: str = field(repr=False)
    action: Action
    declared: bool = False
    number: bool = False

    @property
    def pointer(self) -> str:
        """RFC 6901 pointer; `#` enters JSON inside a string, a final `~key` means a key."""
        return "".join(map(_pointed, self.path))


def _pointed(step: str | int | Step) -> str:
    if isinstance(step, Step):
        return step.value if step is Step.INSIDE else f"/{step.value}"
    return "/" + str(step).replace("~", "~0").replace("/", "~1")


@dataclass(slots=True)
class FieldMap:
    """One level of a compiled map."""

    children: dict[str, FieldMap] = field(default_factory=dict)
    elements: FieldMap | None = None
    action: Action | None = None
    below: Action | None = None

    def child(self, key: str) -> FieldMap | None:
        """The level below a key; None where the map says nothing."""
        return self._below(self.children.get(key) or self.children.get("*"))

    @property
    def element(self) -> FieldMap | None:
        """The level of an array's elements."""
        return self._below(self.elements)

    def _below(self, found: FieldMap | None) -> FieldMap | None:
        if found is None and self.below is not None:
            return FieldMap(action=self.below, below=self.below)
        return found


_PATTERN = re.compile(r"[^.\[\]]+|\[\]")


def compile_map(rows: Mapping[str, str]) -> FieldMap:
    """Gives the compiled form of `{"messages[].content": "text", …}`.

    Raises:
        ValueError: a pattern or an action is not one.
    """
    root = FieldMap()
    for pattern, action in rows.items():
        node = root
        steps = _PATTERN.findall(pattern)
        if not steps or "".join(steps) != pattern.replace(".", ""):
            raise ValueError(f"{pattern!r} is not a path pattern")
        if steps[-1] == "**":
            node = _descend(node, steps[:-1])
            node.below = Action(action)
        else:
            _descend(node, steps).action = Action(action)
    return root


def _descend(node: FieldMap, steps: list[str]) -> FieldMap:
    for step in steps:
        if step == "[]":
            node.elements = node.elements or FieldMap()
            node = node.elements
        else:
            node = node.children.setdefault(step, FieldMap())
    return node


_OPAQUE = frozenset({Action.MEDIA, Action.REFERENCE, Action.TOKENS, Action.DERIVED})
_DATA_URL = re.compile(r"\s*data:[^,\s]{0,256},", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}\s*")
_STANDARD = str.maketrans("-_", "+/")
_LONGER_THAN_KEYS = 512
_LONG_NUMBER = 5
"""Digits from which a number may identify somebody."""


def leaves(value: Json, fields: FieldMap | None) -> Iterator[Leaf]:
    """Gives every leaf that may hold something personal, in document order.

    A string declared as JSON gives the leaves inside it, or itself if it holds none.
    """
    for leaf in fragments(value, fields):
        inner = _inner(leaf.text) if leaf.action is Action.JSON_TEXT else None
        if inner is None:
            yield leaf
        else:
            yield from _leaves(inner, None, (*leaf.path, Step.INSIDE))


def fragments(value: Json, fields: FieldMap | None) -> Iterator[Leaf]:
    """Like `leaves`, for one event of a stream, where strings may be parts of longer ones."""
    return _leaves(value, fields, ())


def _leaves(value: Json, fields: FieldMap | None, path: Path) -> Iterator[Leaf]:
    action = fields.action if fields else None
    if isinstance(value, str):
        yield Leaf(path, value, _action_of(value, action), declared=action is not None)
    elif isinstance(value, JsonNumber):
        if sum(map(str.isdigit, value.lexeme)) >= _LONG_NUMBER:
            declared = action is not None
            yield Leaf(path, value.lexeme, action or Action.TEXT, declared=declared, number=True)
    elif isinstance(value, dict | list):
        if action in _OPAQUE:
            yield Leaf(path, "", action, declared=True)
        elif action is Action.PERSON_ID:
            yield Leaf(path, dump_json(value), action, declared=True)
        elif isinstance(value, dict):
            yield from _members(value, fields, path)
        else:
            yield from _elements(value, fields, path)


def _action_of(text: str, action: Action | None) -> Action:
    if action in (None, Action.TEXT) and (_DATA_URL.match(text) or _is_encoded(text)):
        return Action.MEDIA
    return action or Action.TEXT


def _is_encoded(text: str) -> bool:
    """Whether a string is base64 and nothing else: of text, or too long for a key or a digest."""
    if not _BASE64.fullmatch(text):
        return False
    if len(text) >= _LONGER_THAN_KEYS:
        return True
    padded = text.strip().translate(_STANDARD).rstrip("=")
    try:
        decoded = base64.b64decode(padded + "=" * (-len(padded) % 4)).decode("utf-8")
    except ValueError:
        return False
    return all(character.isprintable() or character.isspace() for character in decoded)


def _members(value: dict[str, Json], fields: FieldMap | None, path: Path) -> Iterator[Leaf]:
    for key, inner in value.items():
        child = fields.child(key) if fields else None
        if fields is None or key not in fields.children:
            refused = fields is not None and fields.below is Action.STRUCTURE
            action = Action.STRUCTURE if refused else Action.TEXT
            yield Leaf((*path, key, Step.KEY), key, action)
        yield from _leaves(inner, child, (*path, key))


def _elements(value: list[Json], fields: FieldMap | None, path: Path) -> Iterator[Leaf]:
    child = fields.element if fields else None
    if child is None and _is_tokens(value):
        yield Leaf(path, "", Action.TOKENS)
        return
    for position, inner in enumerate(value):
        yield from _leaves(inner, child, (*path, position))


def _is_tokens(value: list[Json]) -> bool:
    """Long arrays of nothing but whole numbers are how APIs take tokenised text."""
    return len(value) >= 8 and all(
        isinstance(item, JsonNumber) and item.lexeme.isdigit() for item in value
    )


def _inner(text: str) -> Json:
    if not text.lstrip().startswith(("{", "[", '"')):
        return None
    try:
        return parse_json(text.encode("utf-8", "surrogatepass"))
    except Refusal:
        return None


def rewrite(value: Json, changes: Mapping[Path, str | None]) -> Json:
    """Gives `value` with the leaves at these paths replaced; unchanged parts are shared.

    None as a replacement writes null. Raises Refusal where two keys would become one.
    """
    return _rewrite(value, _tree(changes)) if changes else value


@dataclass(slots=True)
class _Change:
    """What happens at one place of a payload, and below it."""

    replaced: bool = False
    text: str | None = None
    key: str | None = None
    below: dict[str | int | Step, _Change] = field(default_factory=dict)


def _tree(changes: Mapping[Path, str | None]) -> _Change:
    root = _Change()
    for path, text in changes.items():
        renames = path[-1:] == (Step.KEY,)
        node = root
        for step in path[:-1] if renames else path:
            node = node.below.setdefault(step, _Change())
        if renames:
            node.key = text
        else:
            node.replaced, node.text = True, text
    return root


_SAME = _Change()


def _rewrite(value: Json, change: _Change) -> Json:
    if change.replaced:
        return change.text
    if not change.below:
        return value
    if isinstance(value, str):
        return dump_json(_rewrite(_inner(value), change.below[Step.INSIDE]))
    if isinstance(value, list):
        return [_rewrite(item, change.below.get(i, _SAME)) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    renamed: dict[str, Json] = {}
    for key, inner in value.items():
        here = change.below.get(key, _SAME)
        name = key if here.key is None else here.key
        if name in renamed:
            raise Refusal(400, "ambiguous_json", "two keys hold personal data of one kind")
        renamed[name] = _rewrite(inner, here)
    return renamed


def locate(value: Json, path: Path) -> Json:
    """The value at a path that `leaves` gave."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        elif isinstance(value, str) and step is Step.INSIDE:
            value = _inner(value)
    return value
