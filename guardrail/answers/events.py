"""An answer's bytes in, safe bytes out: whole, line by line, event by event, or as plain text.

An event of a stream is released once every string in it is decided, that is, once no later event
can turn its text into part of something to mask or restore. What was cut across events comes out
whole in the first of them. Events are never added, dropped or reordered, so their numbering and
their terminators stay what the model made them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from types import MappingProxyType

from guardrail.answers.channels import Channel, Event, Where
from guardrail.answers.joined import Texts, counts_bytes
from guardrail.answers.leaves import (
    IDENTIFIERS,
    NEVER_CUT,
    SPOKEN_TO_TOOLS,
    UNSHARED,
    changeable,
    is_plain,
    names_tool,
    rules_of,
    sink_of,
    tool_of,
)
from guardrail.answers.offsets import as_index, move_offsets
from guardrail.answers.payloads import (
    finished_paths,
    no_text,
    path_pattern,
    plain_text,
    read_payload,
    stable_path,
    value_at,
)
from guardrail.answers.weaving import MAX_FIELDS, Weave, named_fields
from guardrail.errors import Refusal
from guardrail.guard import Filter
from guardrail.protocols.fields import Action, Leaf, Path, Step, fragments, within
from guardrail.protocols.framing import LineFramer, SseEvent, SseFramer, dump_event, parse_event
from guardrail.protocols.maps import Offsets, Protocol
from guardrail.protocols.payload import Json, dump_json
from guardrail.remembering import Witness
from guardrail.transform.fragments import JsonFragments, TextTransformer


class EventAnswer:
    """A stream of events: server-sent events, or one JSON value a line."""

    def __init__(
        self,
        *,
        protocol: Protocol,
        outgoing: Filter,
        lines: bool = False,
        witness: Witness | None = None,
        queue: deque[Event] | None = None,
    ) -> None:
        self._protocol = protocol
        self._witness = witness
        self._filter = outgoing
        self._framer: SseFramer | LineFramer = LineFramer() if lines else SseFramer()
        self._read = self._read_line if lines else self._read_event
        self._channels: dict[Path, Channel] = {}
        self._weaves: dict[Path, Weave] | None = None if protocol.declares else {}
        self._where: dict[Path, Where] = {}  # where the texts began that numbers point into
        self._tools: dict[Path, str] = {}
        self._known: dict[
            tuple[str, str | None, bool], str
        ] = {}  # short strings that every event repeats
        self._queue: deque[Event] = deque() if queue is None else queue
        self._resting: dict[Path, Channel] = {}  # ended, but what follows may go on with them
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
        events = [Event(payload, no_text, b"") for payload in payloads]
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
            self._queue.append(Event(None, no_text, whole))
            return
        payload, quoted = read_payload(event.data)

        def render(value: Json) -> bytes:
            plain = isinstance(value, str) and not quoted
            data = str(value) if plain else dump_json(value)
            return dump_event(SseEvent(event=event.event, data=data, other=event.other))

        self._take(Event(payload, render, whole))

    def _spoken(self, line: str) -> str:
        """A line that is not data, filtered as a whole: comments and names can carry text, too."""
        return self._transformed(line, "", identifier=True)

    def _transformed(self, text: str, sink: str | None, *, identifier: bool) -> str:
        key = (text, sink, identifier)
        known = self._known.get(key)
        if known is None:
            known = self._filter.transform(text, tool=sink, identifier=identifier)
            if len(text) <= SHORT and len(self._known) < 256:
                self._known[key] = known
        return known

    def _read_line(self, raw: bytes) -> None:
        self._take(line_event(raw, end=b"\n"))

    def take(self, event: Event) -> None:
        """Takes an event that is framed already; whoever owns the queue releases it."""
        if len(self._ended) > MAX_ENDED:
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

    def _take(self, event: Event) -> None:
        self._queue.append(event)
        payload, protocol = event.payload, self._protocol
        kind = plain_text(value_at(payload, protocol.kind))
        found = list(fragments(payload, protocol.kinds.get(kind, protocol.events)))
        if self._witness:
            self._witness.hear_event(payload, found)
        self._name_tool(payload)
        self._leave(payload, kind, found)
        texts = Texts(event, protocol, self._filter)
        fields = dict(islice(named_fields(payload), MAX_FIELDS)) if self._weaves is not None else {}
        # A tool's name decides what may stand in its arguments, wherever in the event it stands.
        for leaf in sorted(found, key=lambda leaf: leaf.path[-1:] != ("name",)):
            if leaf.action is Action.DERIVED:
                event.changes[leaf.path] = None
            elif is_plain(leaf):
                continue
            elif leaf.number or leaf.action in NEVER_CUT or leaf.path[-1:] == (Step.KEY,):
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
                    weave = self._weaves.setdefault(key, Weave(self._filter))
                    weave.feed(event, leaf, fields, channel)
                channel.feed(event, leaf.path, leaf.text)
        texts.flush()

        def find(path: Path, row: Offsets, held: dict[str, Json]) -> Where | None:
            fields = {name: str(as_index(held.get(field))) for name, field in row.channel.items()}
            key = self._key(payload, path, fields)
            return texts.where.get(path) or self._where.get(key)

        move_offsets(event, protocol, find)
        for finished in finished_paths(payload, protocol.finish):
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
        names = any(map(names_tool, found))
        said = (leaf for leaf in found if leaf.declared and leaf.piece and not names_tool(leaf))
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
        name = value_at(payload, tool.name) if tool else None
        if tool and isinstance(name, str):
            said = self._filter.transform(name, tool=None, identifier=True)
            if self._tools.setdefault((plain_text(value_at(payload, tool.id)),), said) != said:
                raise Refusal(502, "upstream_uninspectable", "the answer calls two tools at once")

    def _tool_of(self, payload: Json, leaf: Leaf) -> str | None:
        tool, names = tool_of(payload, leaf), self._protocol.tool
        if tool == "" and names:
            return self._tools.get((plain_text(value_at(payload, names.by)),), "")
        return tool

    def _replace_whole(self, event: Event, leaf: Leaf, tool: str | None) -> None:
        sink = sink_of(leaf, tool, self._protocol)
        text = (
            self._filter.transform(leaf.text, **rules_of(leaf, sink, self._protocol))
            if leaf.action in UNSHARED or sink in self._protocol.code
            else self._transformed(leaf.text, sink, identifier=leaf.action in IDENTIFIERS)
        )
        if text != leaf.text:
            event.changes[leaf.path] = changeable(leaf, text)
        if leaf.text and names_tool(leaf):
            holder = self._path_key(event.payload, leaf.path[:-1])
            if self._tools.get(holder) != text:
                self._flush(holder)
                self._tools[holder] = text

    def _channel(self, payload: Json, leaf: Leaf) -> Channel:
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

    def _new_channel(self, payload: Json, leaf: Leaf) -> Channel:
        is_json = leaf.action is Action.JSON_TEXT
        to_tool = is_json or leaf.action in SPOKEN_TO_TOOLS
        tool = self._tool_of(payload, leaf) if to_tool else None
        if tool == "":
            tool = self._tools.get(self._path_key(payload, leaf.path[:-1]), "")
        rules = rules_of(leaf, sink_of(leaf, tool, self._protocol), self._protocol)
        make = partial(self._filter.transformer, **rules)
        transformer: TextTransformer = JsonFragments(make, keys=True) if is_json else make()
        return Channel(
            transformer,
            counts_input=not is_json,
            keeps=counts_bytes(self._protocol),
            is_read=not to_tool,
        )

    def _key(
        self, payload: Json, path: Path, given: Mapping[str, str] = MappingProxyType({})
    ) -> Path:
        """What tells a channel: the text that a string belongs to.

        Strings of one place are of one channel; elsewhere the path tells. `given` are fields.
        """
        kind, fields = self._protocol.kind, self._protocol.channel
        place = self._protocol.places.get(plain_text(value_at(payload, kind)), {}).get(
            path_pattern(path)
        )
        if place is None:
            key = self._path_key(payload, path)
            told = (given.get(name, said) for name, said in zip(fields, key, strict=False))
            return (*told, *key[len(fields) :])
        said = {
            name: "" if name == kind else plain_text(value_at(payload, name)) for name in fields
        }
        positions = (str(step) for step in path if isinstance(step, int))
        said |= dict(zip(place.fields, positions, strict=False))
        return (*said.values(), place.name)

    def _path_key(self, payload: Json, path: Path) -> Path:
        """The fields by which the protocol tells channels, and a stable path."""
        stable = list(stable_path(payload, path))
        for at, step in enumerate(stable[1:], 1):
            if isinstance(step, int) and stable[at - 1] in self._protocol.joined:
                stable[at] = 0
        return (*(plain_text(value_at(payload, name)) for name in self._protocol.channel), *stable)

    def _flush(self, below: Path) -> None:
        for key in [key for key in self._channels if key[: len(below)] == below]:
            self._channels.pop(key).flush()
        self._flush_resting(below)
        for weave in (self._weaves or {}).values():
            weave.flush()

    def _end(self, payload: Json, kind: str) -> None:
        """Ends the channels that an event ends: those that its fields do not exclude."""
        protocol = self._protocol
        said = [(at, name, value_at(payload, name)) for at, name in enumerate(protocol.channel)]
        told = [(at, name, plain_text(value)) for at, name, value in said if value is not None]
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

    def _rest(self, key: Path, channel: Channel) -> None:
        run = self._run(key)
        if before := self._resting.pop(run, None):
            before.flush()
        self._resting[run] = channel


def line_event(raw: bytes, *, end: bytes) -> Event:
    """One JSON value, or a bare text, as an event. Raises ValueError where it is not UTF-8."""
    payload, quoted = read_payload(raw.decode())

    def render(value: Json) -> bytes:
        plain = isinstance(value, str) and not quoted
        return (str(value) if plain else dump_json(value)).encode() + end

    return Event(payload, render, raw + end)


SHORT = 64


MAX_ENDED = 1 << 14
"""Channels that may have ended on one connection: they are remembered, for nothing may follow."""


_MOST = 512
"""Channels of an answer that may be open at once."""
