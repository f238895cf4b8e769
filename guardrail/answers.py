"""An answer's bytes in, safe bytes out: whole, line by line, event by event, or as plain text.

An event of a stream is released once every string in it is decided, that is, once no later event
can turn its text into part of something to mask or restore. What was cut across events comes out
whole in the first of them. Events are never added, dropped or reordered, so their numbering and
their terminators stay what the model made them.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol as Interface

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
from guardrail.protocols.maps import Protocol
from guardrail.protocols.payload import Json, JsonNumber, dump_json, parse_json
from guardrail.transform.fragments import JsonFragments, TextTransformer
from guardrail.transform.stream import CompiledRules, StreamTransformer, transform

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
        self, *, content_type: str, protocol: Protocol, outgoing: Filter, limit: int
    ) -> None:
        self._content_type = content_type
        self._protocol = protocol
        self._filter = outgoing
        self._limit = limit
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
        changes = _filtered(body.payload, self._protocol, self._filter)
        return body.encode(rewrite(body.payload, changes)) if changes else raw


def _filtered(payload: Json, protocol: Protocol, outgoing: Filter) -> dict[Path, str | None]:
    """The leaves of a whole payload that filtering changes."""
    changes: dict[Path, str | None] = {}
    for leaf in leaves(payload, protocol.response):
        if leaf.action is Action.DERIVED:
            changes[leaf.path] = None
            continue
        if _is_plain(leaf):
            continue
        sink = _sink(leaf, _tool(payload, leaf), protocol)
        text = transform(_rules(outgoing, leaf, sink), leaf.text)
        if text != leaf.text:
            changes[leaf.path] = _changeable(leaf, text)
    return changes


def _is_plain(leaf: Leaf) -> bool:
    """Whether a word of the protocol (`assistant`, `stop`) is too short for a number or a key."""
    text = leaf.text
    return leaf.action is Action.SIGNED or (
        leaf.action is Action.STRUCTURE
        and len(text) < 16
        and sum(map(str.isdigit, text)) < _LONG_NUMBER
    )


_LONG_NUMBER = 5


def _rules(outgoing: Filter, leaf: Leaf, sink: str | None) -> CompiledRules:
    """What is done to a leaf; what was signed is masked, and stays as it is where nothing is."""
    return outgoing.rules(tool=sink, restoring=leaf.action not in _UNRESTORED)


_UNRESTORED = frozenset({Action.THOUGHT, Action.LINK})


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
    if leaf.action is Action.ARGUMENT:
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


_ARGUMENTS = frozenset({"input", "args", "arguments"})
"""Fields that hold what a tool is called with, beside its name."""


class TextAnswer:
    """Plain text as it streams; UTF-8 may be cut anywhere."""

    def __init__(self, outgoing: Filter) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._transformer = StreamTransformer(outgoing.rules(tool=None))

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


@dataclass(slots=True)
class _Event:
    """A framed event that waits until all its strings are decided."""

    payload: Json
    render: Callable[[Json], bytes]
    raw: bytes
    undecided: int = 0
    changes: dict[Path, str | None] = field(default_factory=dict)

    def encode(self) -> bytes:
        return self.render(rewrite(self.payload, self.changes)) if self.changes else self.raw


@dataclass(slots=True)
class _Slot:
    """One string of one event: how much of it is undecided, and what is decided."""

    event: _Event
    path: Path
    original: str = field(repr=False)
    remaining: int
    text: str = field(default="", repr=False)


class _Channel:
    """The strings of one field across events, joined, filtered and handed back to their events."""

    def __init__(self, transformer: TextTransformer, *, counts_input: bool) -> None:
        self._transformer = transformer
        self._counts_input = counts_input
        self._slots: deque[_Slot] = deque()
        self._waiting = ""
        self._out = ""

    def feed(self, slot: _Slot) -> None:
        self._slots.append(slot)
        slot.event.undecided += 1
        self._waiting += slot.original
        self._out += self._transformer.feed(slot.original)
        held = self._transformer.held
        if self._counts_input or not held:
            self._settle(len(self._waiting) - held)

    def flush(self) -> None:
        self._out += self._transformer.flush()
        self._settle(len(self._waiting))

    def _settle(self, decided: int) -> None:
        """Hands the decided text to the strings it came from; changed text to the first of them."""
        before, self._waiting = self._waiting[:decided], self._waiting[decided:]
        out, self._out = self._out, ""
        same = out == before
        if not same and self._slots:
            self._slots[0].text += out
        at = 0
        while self._slots:
            slot = self._slots[0]
            taken = min(slot.remaining, decided - at)
            if same:
                slot.text += before[at : at + taken]
            at += taken
            slot.remaining -= taken
            if slot.remaining:
                return
            self._slots.popleft()
            slot.event.undecided -= 1
            if slot.text != slot.original:
                slot.event.changes[slot.path] = slot.text


class EventAnswer:
    """A stream of events: server-sent events, or one JSON value a line."""

    def __init__(
        self,
        *,
        protocol: Protocol,
        outgoing: Filter,
        lines: bool = False,
        queue: deque[_Event] | None = None,
    ) -> None:
        self._protocol = protocol
        self._filter = outgoing
        self._framer: SseFramer | LineFramer = LineFramer() if lines else SseFramer()
        self._read = self._read_line if lines else self._read_event
        self._channels: dict[Path, _Channel] = {}
        self._tools: dict[Path, str] = {}
        self._known: dict[
            tuple[str, str | None], str
        ] = {}  # short strings that every event repeats
        self._queue: deque[_Event] = deque() if queue is None else queue
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
        return self._transformed(line, "")

    def _transformed(self, text: str, sink: str | None) -> str:
        known = self._known.get((text, sink))
        if known is None:
            known = transform(self._filter.rules(tool=sink), text)
            if len(text) <= _SHORT and len(self._known) < 256:
                self._known[text, sink] = known
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

    def _take(self, event: _Event) -> None:
        self._queue.append(event)
        payload, protocol = event.payload, self._protocol
        kind = _plain(_at(payload, protocol.kind))
        found = list(fragments(payload, protocol.kinds.get(kind, protocol.events)))
        self._name_tool(payload)
        # A tool's name decides what may stand in its arguments, wherever in the event it stands.
        for leaf in sorted(found, key=lambda leaf: leaf.path[-1:] != ("name",)):
            if leaf.action is Action.DERIVED:
                event.changes[leaf.path] = None
            elif _is_plain(leaf):
                continue
            elif leaf.number or leaf.action in _WHOLE or leaf.path[-1:] == (Step.KEY,):
                self._replace_whole(event, leaf, None)
            elif not leaf.piece:
                for inner in within(leaf):
                    self._replace_whole(event, inner, self._tool_of(payload, inner))
            elif leaf.text:
                self._channel(payload, leaf).feed(
                    _Slot(event, leaf.path, leaf.text, len(leaf.text))
                )
        for finished in _finished(payload, protocol.finish):
            self._flush(finished)
            self._over.add(finished)
        if kind in protocol.ends:
            self._end(payload)

    def _name_tool(self, payload: Json) -> None:
        """Remembers which tool a channel speaks to, where an event of its own says so."""
        tool = self._protocol.tool
        name = _at(payload, tool.name) if tool else None
        if tool and isinstance(name, str):
            said = transform(self._filter.rules(tool=None), name)
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
            transform(_rules(self._filter, leaf, sink), leaf.text)
            if leaf.action in _UNRESTORED
            else self._transformed(leaf.text, sink)
        )
        if text != leaf.text:
            event.changes[leaf.path] = _changeable(leaf, text)
        if leaf.path[-1:] == ("name",) and leaf.text and leaf.action is Action.IDENTIFIER:
            holder = self._key(event.payload, leaf.path[:-1])
            if self._tools.get(holder) != text:
                self._flush(holder)
                self._tools[holder] = text

    def _channel(self, payload: Json, leaf: Leaf) -> _Channel:
        key = self._key(payload, leaf.path)
        channel = self._channels.get(key)
        if channel is None:
            # A client joins what follows an end to what came before it; we no longer could.
            if key in self._ended or any(key[: len(over)] == over for over in self._over):
                raise Refusal(502, "upstream_uninspectable", "the answer goes on after its end")
            is_json = leaf.action is Action.JSON_TEXT
            to_tool = is_json or leaf.action is Action.ARGUMENT
            tool = self._tool_of(payload, leaf) if to_tool else None
            if tool == "":
                tool = self._tools.get(key[:-1], "")
            if len(self._channels) >= _MOST:
                raise Refusal(502, "upstream_uninspectable", "the answer says too much at once")
            rules = _rules(self._filter, leaf, _sink(leaf, tool, self._protocol))
            transformer: TextTransformer = (
                JsonFragments(lambda: StreamTransformer(rules), keys=True)
                if is_json
                else StreamTransformer(rules)
            )
            channel = self._channels[key] = _Channel(transformer, counts_input=not is_json)
        return channel

    def _key(self, payload: Json, path: Path) -> Path:
        """What tells a channel: the fields by which the protocol does so, and a stable path."""
        stable = list(_stable(payload, path))
        for at, step in enumerate(stable[1:], 1):
            if isinstance(step, int) and stable[at - 1] in self._protocol.joined:
                stable[at] = 0
        return (*(_plain(_at(payload, name)) for name in self._protocol.channel), *stable)

    def _flush(self, below: Path) -> None:
        for key in [key for key in self._channels if key[: len(below)] == below]:
            self._channels.pop(key).flush()

    def _end(self, payload: Json) -> None:
        """Flushes the channels that an event ends: those that its fields do not exclude."""
        fields = self._protocol.channel
        said = [_at(payload, name) for name in fields]
        for key in list(self._channels):
            if all(
                value is None or name == self._protocol.kind or key[at] == _plain(value)
                for at, (name, value) in enumerate(zip(fields, said, strict=True))
            ):
                self._channels.pop(key).flush()
                self._ended.add(key)


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
        if kind in protocol.rests:
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
            payload = payload[step]
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
