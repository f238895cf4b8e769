"""An answer's bytes in, safe bytes out: whole, line by line, event by event, or as plain text.

An event of a stream is released once every string in it is decided, that is, once no later event
can turn its text into part of something to mask or restore. What was cut across events comes out
whole in the first of them. Events are never added, dropped or reordered, so their numbering and
their terminators stay what the model made them.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Protocol as Interface
from typing import TypedDict

from guardrail.errors import Refusal
from guardrail.guard import Filter
from guardrail.protocols.bodies import read_body
from guardrail.protocols.eventstream import Message, MessageFramer, dump_message
from guardrail.protocols.fields import (
    Action,
    Leaf,
    Path,
    Step,
    fragments,
    leaves,
    locate,
    rewrite,
    within,
)
from guardrail.protocols.framing import LineFramer, SseEvent, SseFramer, dump_event, parse_event
from guardrail.protocols.maps import Offsets, Protocol
from guardrail.protocols.payload import Json, JsonNumber, dump_json, parse_json
from guardrail.remembering import Witness
from guardrail.transform.fragments import JsonFragments, TextTransformer
from guardrail.transform.stream import Edit

_WHOLE = frozenset({Action.IDENTIFIER, Action.STRUCTURE})
"""Strings that are never cut across events."""


class Answer(Interface):
    """Filters one answer; it holds state and belongs to one exchange."""

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes and gives those that are safe to release."""
        ...

    def close(self) -> bytes:
        """Ends the answer and gives the rest."""
        ...


class WholeAnswer:
    """An answer that is read to its end before anything is released."""

    def __init__(
        self,
        *,
        content_type: str,
        protocol: Protocol,
        outgoing: Filter,
        limit: int,
        witness: Witness | None = None,
    ) -> None:
        self._content_type = content_type
        self._protocol = protocol
        self._filter = outgoing
        self._limit = limit
        self._witness = witness
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Keeps the bytes; raises Refusal (502) beyond the limit."""
        self._size += len(data)
        if self._size > self._limit:
            raise Refusal(502, "upstream_too_large", "the answer is too large to be inspected")
        self._parts.append(data)
        return b""

    def close(self) -> bytes:
        """Gives the whole answer, filtered. Raises Refusal (502) if it cannot be read."""
        raw = b"".join(self._parts)
        if not raw.strip():
            return raw
        try:
            body = read_body(raw, content_type=self._content_type)
        except Refusal as refusal:
            raise Refusal(502, "upstream_uninspectable", refusal.message) from None
        payload = body.payload
        if self._protocol.chunks and isinstance(payload, list):
            stream = EventAnswer(
                protocol=self._protocol, outgoing=self._filter, witness=self._witness
            )
            said: Json = stream.rewritten(payload)
        else:
            if self._witness:
                self._witness.hear_whole(payload, leaves(payload, self._protocol.response))
            said = rewrite(payload, _filtered(payload, self._protocol, self._filter))
        return raw if said is payload else body.encode(said)


def _filtered(payload: Json, protocol: Protocol, outgoing: Filter) -> Changes:
    """The leaves of a whole payload that filtering changes."""
    event = _Event(payload, _no_text, b"")
    texts = _Texts(event, protocol, outgoing)
    restated: list[Path] = []
    for leaf in leaves(payload, protocol.response):
        if leaf.action is Action.DERIVED:
            # A word alone may be half of what is masked in the text that it restates.
            rules = _rules(leaf, None, protocol)
            if leaf.text and outgoing.transform(leaf.text, **rules) == leaf.text:
                restated.append(leaf.path)
            else:
                event.changes[leaf.path] = None
        elif _is_plain(leaf):
            continue
        elif texts.joins(leaf):
            texts.feed(leaf)
        else:
            sink = _sink(leaf, _tool(payload, leaf), protocol)
            text = outgoing.transform(leaf.text, **_rules(leaf, sink, protocol))
            if text != leaf.text:
                event.changes[leaf.path] = _changeable(leaf, text)
    texts.flush()
    _move_offsets(event, protocol, lambda path, row, held: texts.where.get(path))
    if event.changes:
        event.changes.update(dict.fromkeys(restated))
    return event.changes


def _is_plain(leaf: Leaf) -> bool:
    """Whether there is nothing to filter: a signature, a file, or a word of the protocol
    (`assistant`, `stop`) that is too short for a number or a key."""
    text = leaf.text
    return (
        leaf.action is Action.SIGNED
        or (leaf.binary and not leaf.piece)
        or (
            leaf.action is Action.STRUCTURE
            and len(text) < 16
            and sum(map(str.isdigit, text)) < _LONG_NUMBER
        )
    )


_LONG_NUMBER = 5


class _Rules(TypedDict):
    """By which rules a leaf is filtered."""

    tool: str | None
    restoring: bool
    identifier: bool
    code: bool


def _rules(leaf: Leaf, sink: str | None, protocol: Protocol) -> _Rules:
    """What is done to a leaf; what was signed is masked, and stays as it is where nothing is."""
    return {
        "tool": sink,
        "restoring": leaf.action not in _UNRESTORED,
        "identifier": leaf.action in _NAMES,
        "code": leaf.action is Action.CODE or (sink is not None and sink in protocol.code),
    }


_UNRESTORED = frozenset({Action.THOUGHT, Action.LINK, Action.DERIVED})
_NAMES = frozenset({Action.IDENTIFIER, Action.STRUCTURE, Action.SIGNED, Action.LINK})
"""Strings that are no prose unless a space stands in them."""
_UNSHARED = _UNRESTORED | {Action.CODE}
"""Actions whose leaves are treated otherwise than text for the same reader or tool."""


def _sink(leaf: Leaf, tool: str | None, protocol: Protocol) -> str | None:
    """The tool a leaf speaks to, None for the reader.

    In a known protocol, a field that its map does not name may be anybody's argument.
    """
    if tool is None and protocol.declares and not leaf.declared:
        return ""
    return tool


def _changeable(leaf: Leaf, text: str) -> str:
    if leaf.action is Action.STRUCTURE:
        raise Refusal(502, "upstream_uninspectable", "the answer holds data where none belongs")
    return text


def _tool(payload: Json, leaf: Leaf) -> str | None:
    """The tool whose arguments a leaf belongs to; "" if it has no name, None if there is none."""
    if leaf.action in _SPOKEN_TO_TOOLS:
        at = next((at for at, step in enumerate(leaf.path) if step in _ARGUMENTS), 0)
        called = locate(payload, leaf.path[:at]) if at else None
        said = called.get("name") if isinstance(called, dict) else None
        return said if isinstance(said, str) else ""
    if Step.INSIDE in leaf.path:
        holder = leaf.path[: leaf.path.index(Step.INSIDE) - 1]
    elif leaf.action is Action.JSON_TEXT:
        holder = leaf.path[:-1]
    else:
        return None
    name = locate(payload, (*holder, "name"))
    return name if isinstance(name, str) else ""


_SPOKEN_TO_TOOLS = frozenset({Action.ARGUMENT, Action.CODE})
_ARGUMENTS = frozenset({"input", "args", "arguments"})
"""Fields that hold what a tool is called with, beside its name."""


class TextAnswer:
    """Plain text as it streams; UTF-8 may be cut anywhere."""

    def __init__(self, outgoing: Filter) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._transformer = outgoing.transformer(tool=None)

    def feed(self, data: bytes) -> bytes:
        """Gives the text that no later byte can change."""
        return self._transformer.feed(self._decoder.decode(data)).encode("utf-8", "replace")

    def close(self) -> bytes:
        """Gives the rest."""
        rest = self._transformer.feed(self._decoder.decode(b"", final=True))
        return (rest + self._transformer.flush()).encode("utf-8", "replace")


class UntouchedAnswer:
    """A picture, a sound or a font: passed as it is, for there is no text in it."""

    def feed(self, data: bytes) -> bytes:
        """Gives the bytes themselves."""
        return data

    def close(self) -> bytes:
        """Gives nothing more."""
        return b""


Changes = dict[Path, str | JsonNumber | None]


@dataclass(slots=True)
class _Event:
    """A framed event that waits until all its strings are decided."""

    payload: Json
    render: Callable[[Json], bytes]
    raw: bytes
    undecided: int = 0
    changes: Changes = field(default_factory=dict)
    edits: dict[Path, list[Edit]] = field(default_factory=dict)
    woven: dict[Path, list[Edit]] = field(default_factory=dict)  # of texts that come in turns

    def encode(self) -> bytes:
        return self.render(self.rewritten()) if self.changes or self.woven else self.raw

    def rewritten(self) -> Json:
        for path, edits in self.woven.items():
            text = locate(self.payload, path)
            assert isinstance(text, str)
            self.changes[path] = _applied(_united(self.edits.get(path, []), edits), text)
        return rewrite(self.payload, self.changes)


def _applied(edits: Iterable[Edit], text: str) -> str:
    pieces: list[str] = []
    at = 0
    for edit in edits:
        pieces += text[at : edit.start], edit.text
        at = edit.end
    return "".join((*pieces, text[at:]))


def _united(first: Iterable[Edit], second: Iterable[Edit]) -> list[Edit]:
    """The edits of both; where they overlap, all of it makes way for what either puts there."""
    edits: list[Edit] = []
    for edit in sorted((*first, *second)):
        if edits and edit.start < edits[-1].end:
            last = edits.pop()
            new = edit.text if edit.text != last.text else ""
            edit = Edit(last.start, max(last.end, edit.end), last.text + new)
        edits.append(edit)
    return edits


def _add(edits: list[Edit], edit: Edit) -> None:
    """Adds an edit; where it only goes on removing, to the last one."""
    if edits and not edit.text and edits[-1].end == edit.start:
        edit = edits.pop()._replace(end=edit.end)
    edits.append(edit)


@dataclass(slots=True)
class _Slot:
    """One string of one event, where it stands in its channel, and what happens to it."""

    event: _Event
    path: Path
    original: str = field(repr=False)
    begin: int
    woven: bool
    edits: list[Edit] = field(default_factory=list, repr=False)

    @property
    def end(self) -> int:
        return self.begin + len(self.original)

    def edit(self, edit: Edit, text: str) -> None:
        start, end = max(edit.start, self.begin), min(edit.end, self.end)
        _add(self.edits, Edit(start - self.begin, end - self.begin, text))

    def close(self) -> None:
        """Hands what is decided to the event."""
        self.event.undecided -= 1
        if self.edits and self.woven:
            before = self.event.woven.get(self.path, ())
            self.event.woven[self.path] = _united(before, self.edits)
        elif self.edits:
            self.event.edits[self.path] = self.edits
            text = _applied(self.edits, self.original)
            if text != self.original:
                self.event.changes[self.path] = text


class _Channel:
    """Strings that are read as one text, joined, filtered and handed back to their events.

    What is left as it is stays in its string; a replacement stands where what it replaces began.
    So what becomes of a string is the same however the text is cut into others.
    """

    def __init__(
        self,
        transformer: TextTransformer,
        *,
        counts_input: bool = True,
        keeps: bool = False,
        is_read: bool = True,
    ) -> None:
        self.is_read = is_read
        self._transformer = transformer
        self._counts_input = counts_input
        self._text: list[str] | None = [] if keeps else None
        self._slots: deque[_Slot] = deque()
        self._fed = 0
        self._decided = 0
        self._waiting = ""  # what is not decided
        self._out = ""
        self._edits: list[Edit] = []  # of what is not decided
        self._made: list[Edit] = []
        self._asked: list[_Asked] = []

    @property
    def fed(self) -> int:
        """How many code points came in so far."""
        return self._fed

    @property
    def waiting(self) -> Iterator[tuple[_Event, Path, str]]:
        """The strings that are not decided, or not to their end."""
        return ((slot.event, slot.path, slot.original) for slot in self._slots)

    def feed(self, event: _Event, path: Path, text: str, *, woven: bool = False) -> None:
        slot = _Slot(event, path, text, self._fed, woven)
        self._slots.append(slot)
        event.undecided += 1
        self._fed += len(text)
        self._waiting += text
        if self._text is not None:
            self._text.append(text)
        self._take(self._transformer.feed(text))
        held = self._transformer.held
        if self._counts_input or not held:
            self._settle(self._fed - held)

    def flush(self) -> None:
        self._take(self._transformer.flush())
        self._settle(self._fed)
        for asked in self._asked:
            self._tell(asked)
        self._asked = []

    def ask(self, asked: _Asked) -> None:
        """Writes where a place of the text has moved to into its event, once that is known."""
        asked.event.undecided += 1
        self._asked.append(asked)
        self._tell_decided()

    def _tell_decided(self) -> None:
        for asked in [asked for asked in self._asked if self._place(asked) <= self._decided]:
            self._asked.remove(asked)
            self._tell(asked)

    def _tell(self, asked: _Asked) -> None:
        at = self._place(asked)
        measure = len if not asked.in_bytes else _bytes
        moved = self._moved(at, asked, measure) - self._moved(asked.base, asked, measure, end=True)
        asked.event.undecided -= 1
        if moved != asked.at:
            asked.event.changes.setdefault(asked.path, JsonNumber(str(max(0, moved))))

    def _place(self, asked: _Asked) -> int:
        """The place in code points from the beginning of the channel."""
        if not asked.in_bytes or self._text is None:
            return asked.base + asked.at
        text = "".join(self._text)[asked.base :]
        rest = text.encode("utf-8", "surrogatepass")[: asked.at]
        return asked.base + len(rest.decode("utf-8", "ignore")) + max(0, asked.at - len(rest))

    def _moved(
        self, at: int, asked: _Asked, measure: Callable[[str], int], *, end: bool | None = None
    ) -> int:
        """A place in the text as it was, in the text as it has become."""
        text = "".join(self._text or ())[:at] if asked.in_bytes else ""
        moved = at + (measure(text) - len(text))
        for edit in self._made:
            old = text[edit.start : edit.end]
            if edit.end <= at:
                moved += measure(edit.text) - (measure(old) if text else edit.end - edit.start)
            elif edit.start < at:
                moved -= measure(old) if text else at - edit.start
                moved += measure(edit.text) if (asked.is_end if end is None else end) else 0
        return moved

    def _take(self, out: str) -> None:
        self._out += out
        self._edits += getattr(self._transformer, "edits", ())

    def _settle(self, decided: int) -> None:
        """Hands the decided text to the strings it came from."""
        begin, self._decided = self._decided, decided
        before, self._waiting = self._waiting[: decided - begin], self._waiting[decided - begin :]
        out, self._out = self._out, ""
        edits, self._edits = self._edits, []
        if not hasattr(self._transformer, "edits") and out != before:
            edits = [_difference(before, out, begin)]
        slots, number = list(self._slots) if decided > begin else [], 0
        for edit in edits:
            _add(self._made, edit)
            while number < len(slots) - 1 and slots[number].end <= edit.start:
                number += 1
            text = edit.text
            for slot in slots[number:]:
                slot.edit(edit, text)
                text = ""
                if slot.end >= edit.end:
                    break
        while self._slots and self._slots[0].end <= decided:
            self._slots.popleft().close()
        if self._asked:
            self._tell_decided()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A number that says where something stands in a part of a channel, which begins at `base`."""

    event: _Event
    path: Path
    at: int
    base: int
    is_end: bool
    in_bytes: bool


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


Where = tuple[_Channel, int]
"""A channel and where in it a text begins."""


def _move_offsets(
    event: _Event,
    protocol: Protocol,
    find: Callable[[Path, Offsets, dict[str, Json]], Where | None],
) -> None:
    """Lets the numbers of an event that point into a text move with it; null if none is known."""
    for row in protocol.offsets:
        for holder, held in _objects(event.payload, row.at):
            where = find(_text_path(row, holder, held), row, held)
            for name in row.numbers:
                number = held.get(name)
                if not isinstance(number, JsonNumber):
                    continue
                path = (*holder, name)
                if where is None or not number.lexeme.isdecimal() or len(number.lexeme) > 9:
                    event.changes[path] = None
                    continue
                is_end = name == row.numbers[1]
                channel, base = where
                at = int(number.lexeme)
                channel.ask(_Asked(event, path, at, base, is_end, row.in_bytes))


def _text_path(row: Offsets, holder: Path, held: dict[str, Json]) -> Path:
    """The path of the text that the numbers of an object point into."""
    positions = (step for step in holder if isinstance(step, int))
    path: list[str | int | Step] = []
    for step in row.of:
        if step == "[]":
            path.append(next(positions, 0))
        elif step.startswith("["):
            path.append(_index(held.get(step[1:-1])))
        else:
            path.append(step)
    return tuple(path)


def _index(value: Json) -> int:
    said = _plain(value)
    return int(said) if said.isdecimal() and len(said) < 10 else 0


def _objects(
    payload: Json, steps: tuple[str, ...], path: Path = ()
) -> Iterator[tuple[Path, dict[str, Json]]]:
    """The objects that a pattern leads to, with their paths."""
    if not steps:
        if isinstance(payload, dict):
            yield path, payload
    elif steps[0] == "[]":
        for position, inner in enumerate(payload if isinstance(payload, list) else ()):
            yield from _objects(inner, steps[1:], (*path, position))
    elif isinstance(payload, dict) and steps[0] in payload:
        yield from _objects(payload[steps[0]], steps[1:], (*path, steps[0]))


def _difference(before: str, after: str, begin: int) -> Edit:
    """The one edit that makes `after` of a text that stands at `begin`."""
    width = min(len(before), len(after))
    head = next((n for n in range(width) if before[n] != after[n]), width)
    rest = width - head
    tail = next((n for n in range(rest) if before[-1 - n] != after[-1 - n]), rest)
    new = after[head : len(after) - tail]
    return Edit(begin + head, begin + len(before) - tail, new)


class _Texts:
    """The texts of one payload that clients join: those of neighbours in an array."""

    def __init__(self, event: _Event, protocol: Protocol, outgoing: Filter) -> None:
        self._event = event
        self._protocol = protocol
        self._filter = outgoing
        self._channels: dict[Path, tuple[int, _Channel]] = {}
        self.where: dict[Path, Where] = {}

    def joins(self, leaf: Leaf) -> bool:
        """Whether a text is to be fed: clients join it to others, or numbers point into it."""
        return leaf.action in _READ and (
            self._position(leaf.path) is not None or _pattern(leaf.path) in self._protocol.cited
        )

    def _position(self, path: Path) -> int | None:
        position = path[-2] if len(path) > 2 and path[-3] in self._protocol.joined else None
        return position if isinstance(position, int) else None

    def feed(self, leaf: Leaf) -> None:
        position = self._position(leaf.path)
        key = leaf.path if position is None else (*leaf.path[:-2], leaf.path[-1])
        position = position or 0
        last, channel = self._channels.get(key, (-1, None))
        if channel is None or position > last + 1:
            if channel is not None:
                channel.flush()
            rules = _rules(leaf, _sink(leaf, None, self._protocol), self._protocol)
            transformer = self._filter.transformer(**rules)
            channel = _Channel(transformer, keeps=_counts_bytes(self._protocol))
        self._channels[key] = position, channel
        self.where[leaf.path] = channel, channel.fed
        if leaf.text:
            channel.feed(self._event, leaf.path, leaf.text)

    def flush(self) -> None:
        for _, channel in self._channels.values():
            channel.flush()


class _Weave:
    """Texts that a stream sends in turns, told apart by fields that no map names.

    Any small number or word beside a text may say which of several texts it belongs to. So each
    field that takes turns between few values is held to be one that does: the strings beside each
    of its values are filtered as one text, too, and what is found in them only so is masked. What
    is not gone on with for a while is held to have ended.
    """

    def __init__(self, outgoing: Filter) -> None:
        self._filter = outgoing
        self._seen: dict[Path, dict[str, _Channel | None] | None] = {}  # field → value → its text
        self._last: dict[tuple[Path, str], int] = {}
        self._count = 0

    def feed(self, event: _Event, leaf: Leaf, fields: Mapping[Path, str], before: _Channel) -> None:
        """Takes the next string; `before` joins all those before it, whatever they belong to."""
        for path in {**self._seen, **fields} if len(self._seen) < _FIELDS else dict(self._seen):
            said = fields.get(path, "")
            first: dict[str, _Channel | None] = {} if self._count == 0 else {"": None}
            seen = self._seen.setdefault(path, first)
            if seen is None or path == leaf.path:
                continue
            if said not in seen and len(seen) == 1:
                # Until now there was one text, and what was said of it stands before this string.
                (other,) = seen
                seen[other], self._last[path, other] = self._channel(leaf), self._count
                for slot in before.waiting:
                    self._go_on(seen, path, other, *slot)
            seen.setdefault(said, None)
            if len(seen) > _TURNS:
                self._leave(path)
            elif len(seen) > 1:
                self._speak(seen, path, said, event, leaf)
        self._count += 1

    def _speak(
        self,
        seen: dict[str, _Channel | None],
        path: Path,
        said: str,
        event: _Event,
        leaf: Leaf,
    ) -> None:
        seen[said] = seen[said] or self._channel(leaf)
        self._go_on(seen, path, said, event, leaf.path, leaf.text)
        for value in list(seen):
            if seen[value] and self._last[path, value] < self._count - _PAUSE:
                self._flush(seen, value)

    def _go_on(
        self,
        seen: Mapping[str, _Channel | None],
        path: Path,
        said: str,
        event: _Event,
        place: Path,
        text: str,
    ) -> None:
        self._last[path, said] = self._count
        channel = seen[said]
        assert channel is not None
        with _uncounted(self._filter):
            channel.feed(event, place, text, woven=True)

    def _channel(self, leaf: Leaf) -> _Channel:
        sink = None if leaf.action is Action.TEXT else ""
        return _Channel(self._filter.transformer(tool=sink, restoring=False))

    def _leave(self, path: Path) -> None:
        """A field with many values, such as a text or a time, tells no texts apart."""
        seen, self._seen[path] = self._seen[path], None
        for value in seen or ():
            self._flush(seen or {}, value)

    def _flush(self, seen: dict[str, _Channel | None], value: str) -> None:
        channel, seen[value] = seen[value], None
        if channel is not None:
            with _uncounted(self._filter):
                channel.flush()

    def flush(self) -> None:
        for path in self._seen:
            self._leave(path)


_TURNS = 8
"""Values of a field beyond which it is no number of a text."""
_PAUSE = 32
"""Strings that may come between two of one text."""
_FIELDS = 64
"""Fields beside a text that may say which one it is."""
_WORD = re.compile(r"[\w.:/@+-]{1,64}")


def _fields(payload: Json, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The small numbers and the words of a payload."""
    if isinstance(payload, dict | list):
        inside = payload.items() if isinstance(payload, dict) else enumerate(payload)
        for step, inner in inside:
            yield from _fields(inner, (*path, step))
    else:
        said = _plain(payload)
        if _WORD.fullmatch(said) and (isinstance(payload, str) or len(said) < _LONG_NUMBER):
            yield path, said


@contextmanager
def _uncounted(outgoing: Filter) -> Iterator[None]:
    """Counts nothing as masked meanwhile: what is looked at twice is masked once."""
    counts = dict(outgoing.masked)
    try:
        yield
    finally:
        outgoing.masked.clear()
        outgoing.masked.update(counts)


def _counts_bytes(protocol: Protocol) -> bool:
    return any(row.in_bytes for row in protocol.offsets)


def _pattern(path: Path) -> str:
    """A path as maps write it."""
    steps = ("[]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


class EventAnswer:
    """A stream of events: server-sent events, or one JSON value a line."""

    def __init__(
        self,
        *,
        protocol: Protocol,
        outgoing: Filter,
        lines: bool = False,
        witness: Witness | None = None,
        queue: deque[_Event] | None = None,
    ) -> None:
        self._protocol = protocol
        self._witness = witness
        self._filter = outgoing
        self._framer: SseFramer | LineFramer = LineFramer() if lines else SseFramer()
        self._read = self._read_line if lines else self._read_event
        self._channels: dict[Path, _Channel] = {}
        self._weaves: dict[Path, _Weave] | None = None if protocol.declares else {}
        self._where: dict[Path, Where] = {}  # where the texts began that numbers point into
        self._tools: dict[Path, str] = {}
        self._known: dict[
            tuple[str, str | None, bool], str
        ] = {}  # short strings that every event repeats
        self._queue: deque[_Event] = deque() if queue is None else queue
        self._resting: dict[Path, _Channel] = {}  # ended, but what follows may go on with them
        self._over: set[Path] = set()  # below these nothing more may come
        self._ended: set[Path] = set()  # nor in these

    def feed(self, data: bytes) -> bytes:
        """Gives the events that are decided. Raises Refusal (502) for what is no event."""
        return self._guarded(self._framer.feed, data)

    def close(self) -> bytes:
        """Gives the rest of the events."""
        rest = self._guarded(self._framer.close)
        self._flush(())
        return rest + self._release()

    def rewritten(self, payloads: list[Json]) -> list[Json]:
        """Gives the payloads of all events as they may be released; the same where none changes."""
        events = [_Event(payload, _no_text, b"") for payload in payloads]
        for event in events:
            self._take(event)
        self._flush(())
        changed = any(event.changes for event in events)
        return [event.rewritten() for event in events] if changed else payloads

    def _guarded(self, frame: Callable[..., list[bytes]], *data: bytes) -> bytes:
        try:
            for raw in frame(*data):
                self._read(raw)
        except ValueError:
            raise Refusal(502, "upstream_uninspectable", "the stream is malformed") from None
        return self._release()

    def _release(self) -> bytes:
        ready = []
        while self._queue and not self._queue[0].undecided:
            ready.append(self._queue.popleft().encode())
        return b"".join(ready)

    def _read_event(self, raw: bytes) -> None:
        event = parse_event(raw)
        name = self._spoken(event.event) if event.event else event.event
        other = tuple(self._spoken(line) for line in event.other)
        unchanged = (name, other) == (event.event, event.other)
        event = SseEvent(event=name, data=event.data, other=other)
        whole = raw + b"\n\n" if unchanged else dump_event(event)
        if event.data is None or event.data.strip() == self._protocol.done != "":
            if event.data is not None:
                self._flush(())
                self._over.add(())
            self._queue.append(_Event(None, _no_text, whole))
            return
        payload, quoted = _payload(event.data)

        def render(value: Json) -> bytes:
            plain = isinstance(value, str) and not quoted
            data = str(value) if plain else dump_json(value)
            return dump_event(SseEvent(event=event.event, data=data, other=event.other))

        self._take(_Event(payload, render, whole))

    def _spoken(self, line: str) -> str:
        """A line that is not data, filtered as a whole: comments and names can carry text, too."""
        return self._transformed(line, "", identifier=True)

    def _transformed(self, text: str, sink: str | None, *, identifier: bool) -> str:
        key = (text, sink, identifier)
        known = self._known.get(key)
        if known is None:
            known = self._filter.transform(text, tool=sink, identifier=identifier)
            if len(text) <= _SHORT and len(self._known) < 256:
                self._known[key] = known
        return known

    def _read_line(self, raw: bytes) -> None:
        self._take(_line(raw, end=b"\n"))

    def take(self, event: _Event) -> None:
        """Takes an event that is framed already; whoever owns the queue releases it."""
        if len(self._ended) > _MOST_ENDED:
            raise Refusal(502, "upstream_too_large", "the answer has too many parts")
        self._take(event)

    def finish(self) -> None:
        """Decides all that is held."""
        self._flush(())

    def forget(self) -> None:
        """Looks anew at short strings that were seen before."""
        self._known.clear()

    def go_on(self, outgoing: Filter) -> None:
        """Filters texts that begin from now on by other rules."""
        self._filter = outgoing
        self.forget()

    def _take(self, event: _Event) -> None:
        self._queue.append(event)
        payload, protocol = event.payload, self._protocol
        kind = _plain(_at(payload, protocol.kind))
        found = list(fragments(payload, protocol.kinds.get(kind, protocol.events)))
        if self._witness:
            self._witness.hear_event(payload, found)
        self._name_tool(payload)
        self._leave(payload, kind, found)
        texts = _Texts(event, protocol, self._filter)
        fields = dict(islice(_fields(payload), _FIELDS)) if self._weaves is not None else {}
        # A tool's name decides what may stand in its arguments, wherever in the event it stands.
        for leaf in sorted(found, key=lambda leaf: leaf.path[-1:] != ("name",)):
            if leaf.action is Action.DERIVED:
                event.changes[leaf.path] = None
            elif _is_plain(leaf):
                continue
            elif leaf.number or leaf.action in _WHOLE or leaf.path[-1:] == (Step.KEY,):
                self._replace_whole(event, leaf, None)
            elif not leaf.piece and texts.joins(leaf):
                texts.feed(leaf)
            elif not leaf.piece:
                for inner in within(leaf):
                    self._replace_whole(event, inner, self._tool_of(payload, inner))
            elif leaf.text:
                channel = self._channel(payload, leaf)
                if self._weaves is not None:
                    key = self._key(payload, leaf.path)
                    weave = self._weaves.setdefault(key, _Weave(self._filter))
                    weave.feed(event, leaf, fields, channel)
                channel.feed(event, leaf.path, leaf.text)
        texts.flush()

        def find(path: Path, row: Offsets, held: dict[str, Json]) -> Where | None:
            fields = {name: str(_index(held.get(field))) for name, field in row.channel.items()}
            key = self._key(payload, path, fields)
            return texts.where.get(path) or self._where.get(key)

        _move_offsets(event, protocol, find)
        for finished in _finished(payload, protocol.finish):
            self._flush(finished)
            self._over.add(finished)
        if kind in protocol.ends or (protocol.rests and kind in protocol.rests.kinds):
            self._end(payload, kind)

    def _leave(self, payload: Json, kind: str, found: Iterable[Leaf]) -> None:
        """Flushes texts that have ended where an event begins something else than their next part.

        That is another text, or a tool's name.
        """
        rests = self._protocol.rests
        if not self._resting or rests is None or kind in rests.kinds:
            return
        names = any(map(_names, found))
        said = (leaf for leaf in found if leaf.declared and leaf.piece and not _names(leaf))
        begun = [
            key for leaf in said if (key := self._key(payload, leaf.path)) not in self._channels
        ]
        if names or (begun and not any(self._run(key) in self._resting for key in begun)):
            self._flush_resting(())

    def _run(self, key: Path) -> Path:
        """The key of a channel without the number of the text among those that clients join."""
        rests = self._protocol.rests
        if rests is None:
            return key
        at = self._protocol.channel.index(rests.by)
        return (*key[:at], "", *key[at + 1 :])

    def _flush_resting(self, below: Path) -> None:
        for run in [run for run in self._resting if run[: len(below)] == below]:
            self._resting.pop(run).flush()

    def _name_tool(self, payload: Json) -> None:
        """Remembers which tool a channel speaks to, where an event of its own says so."""
        tool = self._protocol.tool
        name = _at(payload, tool.name) if tool else None
        if tool and isinstance(name, str):
            said = self._filter.transform(name, tool=None, identifier=True)
            if self._tools.setdefault((_plain(_at(payload, tool.id)),), said) != said:
                raise Refusal(502, "upstream_uninspectable", "the answer calls two tools at once")

    def _tool_of(self, payload: Json, leaf: Leaf) -> str | None:
        tool, names = _tool(payload, leaf), self._protocol.tool
        if tool == "" and names:
            return self._tools.get((_plain(_at(payload, names.by)),), "")
        return tool

    def _replace_whole(self, event: _Event, leaf: Leaf, tool: str | None) -> None:
        sink = _sink(leaf, tool, self._protocol)
        text = (
            self._filter.transform(leaf.text, **_rules(leaf, sink, self._protocol))
            if leaf.action in _UNSHARED or sink in self._protocol.code
            else self._transformed(leaf.text, sink, identifier=leaf.action in _NAMES)
        )
        if text != leaf.text:
            event.changes[leaf.path] = _changeable(leaf, text)
        if leaf.text and _names(leaf):
            holder = self._path_key(event.payload, leaf.path[:-1])
            if self._tools.get(holder) != text:
                self._flush(holder)
                self._tools[holder] = text

    def _channel(self, payload: Json, leaf: Leaf) -> _Channel:
        key = self._key(payload, leaf.path)
        channel = self._channels.get(key)
        if channel is None:
            # A client joins what follows an end to what came before it; we no longer could.
            if key in self._ended or any(key[:n] in self._over for n in range(len(key) + 1)):
                raise Refusal(502, "upstream_uninspectable", "the answer goes on after its end")
            if len(self._channels) >= _MOST:
                raise Refusal(502, "upstream_uninspectable", "the answer says too much at once")
            channel = self._resting.pop(self._run(key), None) or self._new_channel(payload, leaf)
            self._channels[key] = channel
            if self._protocol.offsets:
                self._where[key] = channel, channel.fed
        return channel

    def _new_channel(self, payload: Json, leaf: Leaf) -> _Channel:
        is_json = leaf.action is Action.JSON_TEXT
        to_tool = is_json or leaf.action in _SPOKEN_TO_TOOLS
        tool = self._tool_of(payload, leaf) if to_tool else None
        if tool == "":
            tool = self._tools.get(self._path_key(payload, leaf.path[:-1]), "")
        rules = _rules(leaf, _sink(leaf, tool, self._protocol), self._protocol)
        make = partial(self._filter.transformer, **rules)
        transformer: TextTransformer = JsonFragments(make, keys=True) if is_json else make()
        return _Channel(
            transformer,
            counts_input=not is_json,
            keeps=_counts_bytes(self._protocol),
            is_read=not to_tool,
        )

    def _key(
        self, payload: Json, path: Path, given: Mapping[str, str] = MappingProxyType({})
    ) -> Path:
        """What tells a channel: the text that a string belongs to.

        Strings of one place are of one channel; elsewhere the path tells. `given` are fields.
        """
        kind, fields = self._protocol.kind, self._protocol.channel
        place = self._protocol.places.get(_plain(_at(payload, kind)), {}).get(_pattern(path))
        if place is None:
            key = self._path_key(payload, path)
            told = (given.get(name, said) for name, said in zip(fields, key, strict=False))
            return (*told, *key[len(fields) :])
        said = {name: "" if name == kind else _plain(_at(payload, name)) for name in fields}
        positions = (str(step) for step in path if isinstance(step, int))
        said |= dict(zip(place.fields, positions, strict=False))
        return (*said.values(), place.name)

    def _path_key(self, payload: Json, path: Path) -> Path:
        """The fields by which the protocol tells channels, and a stable path."""
        stable = list(_stable(payload, path))
        for at, step in enumerate(stable[1:], 1):
            if isinstance(step, int) and stable[at - 1] in self._protocol.joined:
                stable[at] = 0
        return (*(_plain(_at(payload, name)) for name in self._protocol.channel), *stable)

    def _flush(self, below: Path) -> None:
        for key in [key for key in self._channels if key[: len(below)] == below]:
            self._channels.pop(key).flush()
        self._flush_resting(below)
        for weave in (self._weaves or {}).values():
            weave.flush()

    def _end(self, payload: Json, kind: str) -> None:
        """Ends the channels that an event ends: those that its fields do not exclude."""
        protocol = self._protocol
        said = [(at, name, _at(payload, name)) for at, name in enumerate(protocol.channel)]
        told = [(at, name, _plain(value)) for at, name, value in said if value is not None]
        rests = protocol.rests if protocol.rests and kind in protocol.rests.kinds else None
        for key in list(self._channels):
            if all(name == protocol.kind or key[at] == value for at, name, value in told):
                channel = self._channels.pop(key)
                self._ended.add(key)
                if rests and channel.is_read:
                    self._rest(key, channel)
                else:
                    channel.flush()
        for run in list(self._resting) if rests is None else ():
            by = protocol.rests.by if protocol.rests else ""
            if all(name in (protocol.kind, by) or run[at] == value for at, name, value in told):
                self._resting.pop(run).flush()

    def _rest(self, key: Path, channel: _Channel) -> None:
        run = self._run(key)
        if before := self._resting.pop(run, None):
            before.flush()
        self._resting[run] = channel


_READ = frozenset({Action.TEXT, Action.THOUGHT})
"""What somebody reads; texts of one kind that follow each other are read as one."""


def _names(leaf: Leaf) -> bool:
    """Whether a leaf names a tool."""
    return leaf.path[-1:] == ("name",) and leaf.action is Action.IDENTIFIER


class MessageAnswer:
    """A stream of AWS' binary messages, each of which holds one JSON event.

    The headers of a message are fields of its event; their names begin with a colon.
    """

    def __init__(self, *, protocol: Protocol, outgoing: Filter) -> None:
        self._framer = MessageFramer()
        self._queue: deque[_Event] = deque()
        self._events = EventAnswer(protocol=protocol, outgoing=outgoing, queue=self._queue)

    def feed(self, data: bytes) -> bytes:
        """Gives the messages that are decided. Raises Refusal (502) for what is none."""
        try:
            for message in self._framer.feed(data):
                self._events.take(_message(message))
        except ValueError:
            raise Refusal(502, "upstream_uninspectable", "the stream is malformed") from None
        return self._release()

    def close(self) -> bytes:
        """Gives the rest of the messages."""
        if self._framer.pending:
            raise Refusal(502, "upstream_uninspectable", "the stream is cut within a message")
        self._events.finish()
        return self._release()

    def _release(self) -> bytes:
        ready = []
        while self._queue and not self._queue[0].undecided:
            ready.append(self._queue.popleft().encode())
        return b"".join(ready)


def _message(message: Message) -> _Event:
    """A message as an event: its headers, and the fields of its JSON."""
    inner, _ = _payload(message.payload.decode()) if message.payload.strip() else ({}, True)
    if not isinstance(inner, dict) or any(name.startswith(":") for name in inner):
        raise ValueError("the payload of a message is no event")
    headers = dict(message.headers)

    def render(value: Json) -> bytes:
        fields = value if isinstance(value, dict) else {}
        said = tuple((name, str(fields.get(name))) for name in headers)
        rest: Json = {name: one for name, one in fields.items() if name not in headers}
        return dump_message(Message(headers=said, payload=dump_json(rest).encode()))

    return _Event({**headers, **inner}, render, message.raw)


class FramesAnswer:
    """The frames that a WebSocket's server says: an event each, and one answer after another.

    Answers that come at once, each in its lane, are filtered apart and keep their order.
    """

    def __init__(self, *, protocol: Protocol, outgoing: Filter, limit: int) -> None:
        self._protocol = protocol
        self._filter = outgoing
        self._limit = limit
        self._queue: deque[_Event] = deque()
        self._held: deque[tuple[int, bool]] = deque()
        self._size = 0
        self._lanes: dict[str, EventAnswer] = {}
        self._made: set[str] = set()

    @property
    def made(self) -> Collection[str]:
        """The answers that were given here, by the ids by which a frame may refer to them."""
        return self._made

    def feed(self, data: bytes, *, binary: bool) -> list[tuple[bytes, bool]]:
        """Takes a frame and gives those that are decided, each with whether it is binary.

        Raises: Refusal (502) for a frame that cannot be read, and where too much has to wait.
        """
        self._held.append((len(data), binary))
        self._size += len(data)
        if self._size > self._limit:
            raise Refusal(502, "upstream_too_large", "the answer is too large to be inspected")
        try:
            event = _line(data, end=b"")
        except UnicodeDecodeError:
            raise Refusal(502, "upstream_uninspectable", "the answer is no text") from None
        payload, protocol = event.payload, self._protocol
        name = _plain(_at(payload, protocol.lane)) if protocol.lane else ""
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                raise Refusal(502, "upstream_uninspectable", "the answer says too much at once")
            lane = self._lanes[name] = self._lane()
        lane.take(event)
        made = _plain(_at(payload, protocol.made)) if protocol.made else ""
        if made and len(made) <= _SHORT * 2 and len(self._made) < _MOST_ENDED:
            self._made.add(made)
        kind = payload if isinstance(payload, str) else _plain(_at(payload, protocol.kind))
        if kind in protocol.answered:
            lane.finish()
            del self._lanes[name]
        return self._release()

    def close(self) -> list[tuple[bytes, bool]]:
        """Gives the rest of the frames."""
        for lane in self._lanes.values():
            lane.finish()
        return self._release()

    def forget(self) -> None:
        """Looks anew at what was seen before: the vault may know it by now."""
        for lane in tuple(self._lanes.values()):
            lane.forget()

    def go_on(self, outgoing: Filter) -> None:
        """Filters by other rules what begins from now on, in answers that have begun, too."""
        self._filter = outgoing
        for lane in self._lanes.values():
            lane.go_on(outgoing)

    def _lane(self) -> EventAnswer:
        return EventAnswer(
            protocol=self._protocol, outgoing=self._filter, lines=True, queue=self._queue
        )

    def _release(self) -> list[tuple[bytes, bool]]:
        ready = []
        while self._queue and not self._queue[0].undecided:
            size, binary = self._held.popleft()
            self._size -= size
            ready.append((self._queue.popleft().encode(), binary))
        return ready


def _line(raw: bytes, *, end: bytes) -> _Event:
    """One JSON value, or a bare text, as an event. Raises ValueError where it is not UTF-8."""
    payload, quoted = _payload(raw.decode())

    def render(value: Json) -> bytes:
        plain = isinstance(value, str) and not quoted
        return (str(value) if plain else dump_json(value)).encode() + end

    return _Event(payload, render, raw + end)


_SHORT = 64
_MOST_LANES = 64
_MOST_ENDED = 1 << 14
"""Channels that may have ended on one connection: they are remembered, for nothing may follow."""
_MOST = 512
"""Channels of an answer that may be open at once."""


def _at(payload: Json, dotted: str) -> Json:
    for name in dotted.split("."):
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload


def _plain(value: Json) -> str:
    if isinstance(value, JsonNumber):
        whole, _, rest = value.lexeme.partition(".")
        return value.lexeme if rest.strip("0") else whole  # 0.0 is the index 0, too
    return value if isinstance(value, str) else ""


def _no_text(payload: Json) -> bytes:
    raise AssertionError("an event without text has nothing to change")


def _payload(data: str) -> tuple[Json, bool]:
    """The payload of an event, and whether it is JSON.

    A bare number or word is text as it stands: a stream of text may be cut into such pieces.
    """
    try:
        value = parse_json(data.encode())
    except Refusal as refusal:
        if refusal.code != "invalid_json":
            raise Refusal(502, "upstream_uninspectable", refusal.message) from None
        return data, False
    return (value, True) if isinstance(value, str | dict | list) else (data, False)


def _stable(payload: Json, path: Path) -> Path:
    """The path with array positions replaced by the `index` their elements carry.

    One event may hold only the second of three choices: its position is 0, its index is 1.
    """
    stable: list[str | int | Step] = []
    for step in path:
        if isinstance(payload, list) and isinstance(step, int):
            payload = payload[step] if step < len(payload) else None
            index = payload.get("index") if isinstance(payload, dict) else None
            stable.append(int(index.lexeme) if isinstance(index, JsonNumber) else step)
        else:
            payload = locate(payload, (step,))
            stable.append(step)
    return tuple(stable)


def _finished(payload: Json, fields: Iterable[str]) -> Iterator[Path]:
    """Paths below which an event says that nothing more will come (`choices[].finish_reason`)."""
    for finish in fields if isinstance(payload, dict) else ():
        holder, _, name = finish.rpartition("[].")
        if not holder:
            if _at(payload, name):
                yield ()
            continue
        elements = _at(payload, holder)
        for position, element in enumerate(elements if isinstance(elements, list) else []):
            if isinstance(element, dict) and element.get(name):
                yield _stable(payload, (*holder.split("."), position))
