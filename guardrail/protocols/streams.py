"""The ways in which answers stream. Whatever else comes is read whole, an array of JSON, too."""

from __future__ import annotations

from dataclasses import dataclass

from guardrail.protocols.maps import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A way in which an answer streams: its name, and what to do where it must not.

    `ends` says that it is known where its texts end, so that they can be held until then.
    """

    name: str
    ends: bool = True
    mend: str = 'ask without streaming, or set output.streams = "buffer"'


EVENTS = Stream(name="server-sent events")
LINES = Stream(name="JSON lines")
AWS_MESSAGES = Stream(name="messages of AWS")
TEXT = Stream(name="plain text")

STREAMS = (EVENTS, LINES, AWS_MESSAGES, TEXT)
"""How any endpoint's answer to a request may stream."""

_LINES = frozenset(
    f"application/{name}" for name in "x-ndjson ndjson jsonl x-jsonl jsonlines".split()
)
"""Types of answers that are one JSON value a line."""
_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Types that say nothing about what an answer is."""
_TEXTS = frozenset(
    f"application/{name}" for name in "javascript xml xhtml+xml yaml x-subrip".split()
)


def stream_of(media: str, protocol: Protocol) -> Stream | None:
    """Gives how an answer of a media type streams; None for one that is read whole, or not at all.

    >>> from guardrail.protocols.maps import GENERIC
    >>> stream_of("application/x-ndjson", GENERIC).name
    'JSON lines'
    """
    if media == "text/event-stream":
        return EVENTS
    if media in _LINES or (protocol.lines and media in _UNTOLD):
        return LINES
    if media == "application/vnd.amazon.eventstream":
        return AWS_MESSAGES
    if (media.startswith("text/") and media != "text/json") or media in _TEXTS:
        return TEXT
    return None


def socket_at(path: str, protocol: Protocol) -> Stream:
    """Gives how answers stream in the frames of a WebSocket that speaks a protocol."""
    buffer = 'set output.streams = "buffer"'
    ends = bool(protocol.ends or protocol.answered)
    return Stream(
        name=f"frames of the WebSocket {path}",
        ends=ends,
        mend=buffer if ends else f"{buffer}, and list what ends an answer in middleware.websockets",
    )
