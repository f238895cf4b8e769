"""Bytes of a stream cut into complete events and lines, however they arrive.

Framing works on bytes, before decoding, so that a character of several bytes is never seen in part.
A cut between two chunks changes nothing: the same bytes give the same events.
Source: Server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html;
NDJSON, https://github.com/ndjson/ndjson-spec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LIMIT = 1 << 20
"""Bytes of one event or line, its end not counted, beyond which a stream is refused."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile("\r\n|\n|\r")  # and no other: str.splitlines knows eight more


@dataclass(frozen=True, slots=True, kw_only=True)
class SseEvent:
    """One event of a stream. `other` holds its lines that are neither event nor data, in order.

    `data` joins the event's data lines with newlines; None when it has none, as with comments.
    """

    event: str | None = None
    data: str | None = None
    other: tuple[str, ...] = ()


class SseFramer:
    r"""Cuts a byte stream into the events of a server-sent event stream.

    An event is given without its blank line and with LF as the end of each line, whatever the
    stream uses. A byte order mark at the start of the stream is dropped.

    >>> framer = SseFramer()
    >>> framer.feed(b"data: 1\r\n\r"), framer.feed(b"\ndata: 2"), framer.close()
    ([b'data: 1'], [], [b'data: 2'])
    """

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._frames = _Frames(b"\n\n", limit=limit)
        self._start: bytes | None = b""  # until it is known whether a byte order mark stands there
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Takes the next bytes and gives the events they complete.

        Raises: ValueError when an event is longer than the limit.
        """
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return []
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        return self._frames.feed(chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))

    def close(self) -> list[bytes]:
        """Ends the stream and gives the event that no blank line ended, if there is one.

        The standard drops such an event, clients of model APIs read it; so it must be seen.
        """
        unread, self._start = self._start or b"", None
        return self._frames.feed(unread) + self._frames.close()


class LineFramer:
    r"""Cuts a byte stream into lines that LF or CRLF ends; empty lines are left out.

    >>> framer = LineFramer()
    >>> framer.feed(b'{"a":1}\r\n{"b'), framer.feed(b'":2}'), framer.close()
    ([b'{"a":1}'], [], [b'{"b":2}'])
    """

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._frames = _Frames(b"\n", limit=limit)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Takes the next bytes and gives the lines they complete.

        Raises: ValueError when a line is longer than the limit.
        """
        return _without_cr(self._frames.feed(chunk))

    def close(self) -> list[bytes]:
        """Ends the stream and gives the line that nothing ended, if there is one."""
        return _without_cr(self._frames.close())


def parse_event(raw: bytes) -> SseEvent:
    r"""Gives the fields of one framed event.

    Raises: ValueError when it is not UTF-8.

    >>> parse_event(b": ping\nevent: delta\ndata: a\ndata: b")
    SseEvent(event='delta', data='a\nb', other=(': ping',))
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("an event is not UTF-8") from None  # its own text may quote the event
    event: str | None = None
    data: list[str] = []
    other: list[str] = []
    for line in filter(None, _LINE_END.split(text)):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        else:
            other.append(line)
    return SseEvent(event=event, data="\n".join(data) if data else None, other=tuple(other))


def dump_event(event: SseEvent) -> bytes:
    r"""Gives the bytes of one event with its blank line; nothing in it can begin another field.

    A carriage return in `data` becomes a newline, since the format has no other way to write it.
    Raises: ValueError when the event's name or another line holds a line end, or when a lone
    surrogate, which UTF-8 cannot write, stands anywhere.

    >>> dump_event(SseEvent(event="delta", data="a\nb"))
    b'event: delta\ndata: a\ndata: b\n\n'
    """
    lines = list(event.other)
    if event.event is not None:
        lines.append(f"event: {event.event}")
    if any(map(_LINE_END.search, lines)):
        raise ValueError("a line of an event holds a line end")
    if event.data is not None:
        lines += (f"data: {line}" for line in _LINE_END.split(event.data))
    try:
        return "".join(f"{line}\n" for line in (*lines, "")).encode()
    except UnicodeEncodeError:
        raise ValueError("an event holds a lone surrogate") from None


class _Frames:
    """Cuts bytes at each separator. Refuses a frame over the limit as soon as it is known."""

    def __init__(self, separator: bytes, *, limit: int) -> None:
        self._separator = separator
        self._limit = limit
        self._rest = bytearray()
        self._searched = 0  # bytes of the rest that hold no separator

    def feed(self, chunk: bytes) -> list[bytes]:
        rest = self._rest
        rest += chunk
        frames = []
        begin, search = 0, self._searched
        while True:
            while begin < len(rest) and rest[begin] == 0x0A:  # blank lines between frames
                begin += 1
            end = rest.find(self._separator, max(begin, search))
            if end < 0:
                break
            frames.append(bytes(rest[begin:end]))
            self._check(frames[-1])
            begin = end + len(self._separator)
        del rest[:begin]
        # The separator may have begun already.
        self._searched = max(0, len(rest) - len(self._separator) + 1)
        self._check(rest)
        return frames

    def close(self) -> list[bytes]:
        rest = bytes(self._rest).removesuffix(b"\n")
        self._rest.clear()
        self._searched = 0
        return [rest] if rest else []

    def _check(self, frame: bytes | bytearray) -> None:
        if len(frame) - frame.endswith((b"\r", b"\n")) > self._limit:
            raise ValueError(f"an event or line is longer than {self._limit} bytes")


def _without_cr(lines: list[bytes]) -> list[bytes]:
    return [line for line in (raw.removesuffix(b"\r") for raw in lines) if line]
