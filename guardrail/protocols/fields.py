"""Which strings of a payload hold what: a map declares them, and what it does not is inspected.

A map is a table from path patterns to actions. Patterns name keys, `[]` stands for any element of
an array, `*` for any key, and a trailing `**` for everything below that has no row of its own. A
row may stand for a whole table that several share: `"input[]" = "@item"`. In the map of a stream
`text+` says that a string is a piece of a longer one. No key is ever skipped by its name alone:
`{"input": {"id": "alice@example.com"}}` is a leaf like any other.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from types import MappingProxyType
from urllib.parse import quote, unquote_to_bytes

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
    ARGUMENT = "argument"
    """Text that a tool is called with, or that is said to one, rather than to the reader."""
    LINK = "link"
    """An address: where it must change, only `[A-Za-z0-9_-]` is put into it."""
    MEDIA = "media"
    """Content that cannot be read as text, or a link to it; text in base64 is read."""
    SIGNED = "signed"
    """Made by the provider and given back byte for byte: cannot be read, must not be changed.
    Refused on its way back where something personal is found in it, as in structure."""
    THOUGHT = "thought"
    """Words that the provider signed: masked but never restored, and refused rather than changed
    on their way back."""
    SECRET = "secret"  # noqa: S105  # the name of an action
    """A credential for somebody else, whatever it looks like."""
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
    SAID = "~said"
    """Into the text that a string holds in base64, or into a link as it is written."""
    KEY = "~key"
    """The key before it, rather than that key's value."""


Path = tuple[str | int | Step, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One string or long number of a payload, where it stands, and what may be done to it.

    `declared` says that the map names the leaf itself, and does not merely inspect it; `number`
    that the payload holds a number, not a string; `piece` that it may be a part of a longer text.
    """

    path: Path = field(repr=False)
    text: str = field(repr=False)
    action: Action
    declared: bool = False
    number: bool = False
    piece: bool = True

    @property
    def pointer(self) -> str:
        """RFC 6901 pointer; `#` enters JSON inside a string, `~said` text in base64 or a link, a
        final `~key` means a key."""
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
    below: FieldMap | None = None
    action: Action | None = None
    piece: bool = False

    def child(self, key: str) -> FieldMap | None:
        """The level below a key; None where the map says nothing."""
        return self.children.get(key) or self.children.get("*") or self.below

    @property
    def element(self) -> FieldMap | None:
        """The level of an array's elements."""
        return self.elements or self.below

    def actions(self) -> frozenset[Action]:
        """Every action that some row of the map names."""
        levels = [*self.children.values(), *filter(None, [self.elements])]
        own = {each.action for each in (self, self.below) if each and each.action}
        return frozenset(own).union(*(level.actions() for level in levels))

    def _say(self, action: str) -> None:
        self.piece = action.endswith("+")
        self.action = Action(action.removesuffix("+"))

    def _inherit(self, below: FieldMap | None) -> None:
        self.below = self.below or below
        for inner in (*self.children.values(), *filter(None, [self.elements])):
            inner._inherit(self.below)


_PATTERN = re.compile(r"[^.\[\]]+|\[\]")
Rows = Mapping[str, str]


def compile_map(rows: Rows, shared: Mapping[str, Rows] = MappingProxyType({})) -> FieldMap:
    """Gives the compiled form of `{"messages[].content": "text", …}`.

    `shared` holds the tables that rows may name with an `@`.

    Raises:
        ValueError: a pattern or an action is not one, or there is no such table.
    """
    root = FieldMap()
    for pattern, action in _spread(rows, shared):
        node = root
        steps = _PATTERN.findall(pattern)
        if not steps or "".join(steps) != pattern.replace(".", ""):
            raise ValueError(f"{pattern!r} is not a path pattern")
        if steps[-1] == "**":
            everything = FieldMap()
            everything._say(action)
            everything.below = everything
            _descend(node, steps[:-1]).below = everything
        else:
            _descend(node, steps)._say(action)
    root._inherit(None)
    return root


def _spread(rows: Rows, shared: Mapping[str, Rows]) -> Iterator[tuple[str, str]]:
    for pattern, action in rows.items():
        if not action.startswith("@"):
            yield pattern, action
            continue
        if action[1:] not in shared:
            raise ValueError(f"{pattern!r} names {action!r}, which is no table of the map")
        for inner, said in _spread(shared[action[1:]], shared):
            joint = "" if inner.startswith("[") or not pattern else "."
            yield f"{pattern}{joint}{inner}", said


def _descend(node: FieldMap, steps: list[str]) -> FieldMap:
    for step in steps:
        if step == "[]":
            node.elements = node.elements or FieldMap()
            node = node.elements
        else:
            node = node.children.setdefault(step, FieldMap())
    return node


_OPAQUE = frozenset({Action.MEDIA, Action.REFERENCE, Action.TOKENS, Action.DERIVED, Action.SECRET})
_WRITTEN = frozenset({None, Action.TEXT, Action.LINK, Action.THOUGHT, Action.ARGUMENT})
"""Actions of strings that somebody wrote, which are media where they hold nothing but data."""
_DATA_URL = re.compile(r"\s*data:[^,\s]{0,256}?(?P<base64>;\s{0,8}base64)?,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}\s*")
_ONE_ALPHABET = re.compile(r"[A-Za-z0-9+/]+|[A-Za-z0-9_-]+")
_STANDARD = str.maketrans("-_", "+/")
_URL_SAFE = str.maketrans("+/", "-_")
_SEPARATORS = "\x1c\x1d\x1e\x1f"
_LONGER_THAN_VALUES = 64
_LONGER_THAN_KEYS = 512
_LONG_NUMBER = 5
"""Digits from which a number may identify somebody."""


def leaves(value: Json, fields: FieldMap | None) -> Iterator[Leaf]:
    """Gives every leaf that may hold something personal, in document order.

    A string declared as JSON gives the leaves inside it, or itself if it holds none; one that is a
    text in base64 gives that text, and a link to media is also given as it is written.
    """
    for leaf in fragments(value, fields):
        yield from within(leaf)


def within(leaf: Leaf) -> Iterator[Leaf]:
    """Gives the leaves that stand inside a whole string, or the leaf itself."""
    if leaf.action is Action.JSON_TEXT and (inner := _inner(leaf.text)) is not None:
        for each in _leaves(inner, None, (*leaf.path, Step.INSIDE)):
            yield from within(each)
        return
    said = _said(leaf.text) if leaf.action is Action.MEDIA and leaf.text else None
    linked = said is leaf.text
    if said is None or linked:
        yield leaf
    if said is not None:
        action = Action.LINK if linked else Action.TEXT
        yield replace(leaf, path=(*leaf.path, Step.SAID), text=said, action=action)


def fragments(value: Json, fields: FieldMap | None) -> Iterator[Leaf]:
    """Like `leaves`, for one event of a stream, where strings may be parts of longer ones."""
    return _leaves(value, fields, ())


def _leaves(value: Json, fields: FieldMap | None, path: Path) -> Iterator[Leaf]:
    action = fields.action if fields else None
    declared, piece = action is not None, fields.piece if fields and action else True
    if isinstance(value, str):
        if action is Action.SIGNED and not _is_signed(value):
            action = Action.STRUCTURE
        yield Leaf(path, value, _action_of(value, action), declared=declared, piece=piece)
    elif isinstance(value, JsonNumber):
        if action is Action.SECRET or sum(map(str.isdigit, value.lexeme)) >= _LONG_NUMBER:
            action = action or Action.TEXT
            yield Leaf(path, value.lexeme, action, declared=declared, number=True, piece=piece)
    elif isinstance(value, dict | list):
        if action in _OPAQUE and not (fields and (fields.children or fields.below)):
            yield Leaf(path, "", action, declared=True)
        elif action is Action.PERSON_ID:
            yield Leaf(path, dump_json(value), action, declared=True)
        elif isinstance(value, dict):
            yield from _members(value, fields, path)
        else:
            yield from _elements(value, fields, path)


def _action_of(text: str, action: Action | None) -> Action:
    if action in _WRITTEN and (_DATA_URL.match(text) or _is_encoded(text)):
        return Action.MEDIA
    return action or Action.TEXT


def _is_encoded(text: str) -> bool:
    """Whether a string is base64 and nothing else: of text, or too long for a key or a digest."""
    if not _BASE64.fullmatch(text):
        return False
    return len(text) >= _LONGER_THAN_KEYS or _decoded(text) is not None


def _is_signed(text: str) -> bool:
    """Whether a string is base64 and too long for anything personal, and says nothing itself."""
    digits = text.rstrip("=")
    return (
        len(text) >= _LONGER_THAN_VALUES
        and len(text) - len(digits) <= 2
        and len(digits) % 4 != 1
        and _ONE_ALPHABET.fullmatch(digits) is not None
        and _decoded(text) is None
    )


def _said(text: str) -> str | None:
    """The text that a string holds in base64; None if that is no text; else, as a link, itself."""
    data = _DATA_URL.match(text)
    if data is None:
        return _decoded(text) if _BASE64.fullmatch(text) else text
    rest = text[data.end() :]
    return _decoded(rest) if data["base64"] else _legible(unquote_to_bytes(rest))


def _decoded(text: str) -> str | None:
    padded = text.strip().translate(_STANDARD).rstrip("=")
    try:
        return _legible(base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True))
    except ValueError:
        return None


def is_legible(raw: bytes) -> bool:
    """Whether bytes are a text, and no data that happens to be UTF-8."""
    return _legible(raw) is not None


def _legible(raw: bytes) -> str | None:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    odd = any(
        not (character.isprintable() or (character.isspace() and character not in _SEPARATORS))
        for character in text
    )
    return None if odd or not text else text


def _spelled(text: str, like: str) -> str:
    """A text in the form in which `_said` read it."""
    data = _DATA_URL.match(like)
    if data is None and not _BASE64.fullmatch(like):
        return text
    if data and not data["base64"]:
        return like[: data.end()] + quote(text)
    rest = like[data.end() :] if data else like
    encoded = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    if "-" in rest or "_" in rest:
        encoded = encoded.translate(_URL_SAFE)
    if not rest.rstrip().endswith("=") and len(rest.rstrip()) % 4:
        encoded = encoded.rstrip("=")
    return (like[: data.end()] if data else "") + encoded


def _members(value: dict[str, Json], fields: FieldMap | None, path: Path) -> Iterator[Leaf]:
    for key, inner in value.items():
        child = fields.child(key) if fields else None
        if fields is None or key not in fields.children:
            below = fields.below if fields else None
            refused = below is not None and below.action is Action.STRUCTURE
            action = Action.STRUCTURE if refused else Action.TEXT
            yield Leaf((*path, key, Step.KEY), key, action)
        yield from _leaves(inner, child, (*path, key))


def _elements(value: list[Json], fields: FieldMap | None, path: Path) -> Iterator[Leaf]:
    child = fields.element if fields else None
    action = child.action if child else None
    if action in _WRITTEN and _is_tokens(value, least=8 if action is None else 1):
        yield Leaf(path, "", Action.TOKENS)
        return
    for position, inner in enumerate(value):
        yield from _leaves(inner, child, (*path, position))


def _is_tokens(value: list[Json], *, least: int) -> bool:
    """Arrays of nothing but whole numbers, where text belongs, are how APIs take tokenised text."""
    return len(value) >= least and all(
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
        if said := change.below.get(Step.SAID):
            return _spelled(said.text or "", value)
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
        elif isinstance(value, str) and step is Step.SAID:
            value = _said(value)
    return value
