"""Answers in frames of their own: messages of AWS, and what a WebSocket sends."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from guardrail.answers.channels import Event
from guardrail.answers.events import MAX_ENDED, SHORT, EventAnswer, line_event
from guardrail.answers.payloads import plain_text, read_payload, value_at
from guardrail.errors import Refusal
from guardrail.guard import Filter
from guardrail.protocols.eventstream import Message, MessageFramer, dump_message
from guardrail.protocols.maps import Protocol
from guardrail.protocols.payload import Json, dump_json


class MessageAnswer:
    """A stream of AWS' binary messages, each of which holds one JSON event.

    The headers of a message are fields of its event; their names begin with a colon.
    """

    def __init__(self, *, protocol: Protocol, outgoing: Filter) -> None:
        self._framer = MessageFramer()
        self._queue: deque[Event] = deque()
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


def _message(message: Message) -> Event:
    """A message as an event: its headers, and the fields of its JSON."""
    inner, _ = read_payload(message.payload.decode()) if message.payload.strip() else ({}, True)
    if not isinstance(inner, dict) or any(name.startswith(":") for name in inner):
        raise ValueError("the payload of a message is no event")
    headers = dict(message.headers)

    def render(value: Json) -> bytes:
        fields = value if isinstance(value, dict) else {}
        said = tuple((name, str(fields.get(name))) for name in headers)
        rest: Json = {name: one for name, one in fields.items() if name not in headers}
        return dump_message(Message(headers=said, payload=dump_json(rest).encode()))

    return Event({**headers, **inner}, render, message.raw)


class FramesAnswer:
    """The frames that a WebSocket's server says: an event each, and one answer after another.

    Answers that come at once, each in its lane, are filtered apart and keep their order.
    """

    def __init__(self, *, protocol: Protocol, outgoing: Filter, limit: int) -> None:
        self._protocol = protocol
        self._filter = outgoing
        self._limit = limit
        self._queue: deque[Event] = deque()
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
            event = line_event(data, end=b"")
        except UnicodeDecodeError:
            raise Refusal(502, "upstream_uninspectable", "the answer is no text") from None
        payload, protocol = event.payload, self._protocol
        name = plain_text(value_at(payload, protocol.lane)) if protocol.lane else ""
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                raise Refusal(502, "upstream_uninspectable", "the answer says too much at once")
            lane = self._lanes[name] = self._lane()
        lane.take(event)
        made = plain_text(value_at(payload, protocol.made)) if protocol.made else ""
        if made and len(made) <= SHORT * 2 and len(self._made) < MAX_ENDED:
            self._made.add(made)
        kind = payload if isinstance(payload, str) else plain_text(value_at(payload, protocol.kind))
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


_MOST_LANES = 64
