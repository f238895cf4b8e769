"""AWS' binary event stream: messages of headers and a payload, each with its checksums.

    total length (4), length of headers (4), CRC of these (4), headers, payload, CRC of all (4)

Source: https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html; Bedrock speaks it
in ConverseStream.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from guardrail.protocols.framing import LIMIT

_PRELUDE = 12
_TRAILER = 4
_STRING = 7
_LONGEST_NAME = 255
_LONGEST_VALUE = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. Its headers are strings, whose names begin with a colon; `raw` are its bytes."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    payload: bytes = field(repr=False)
    raw: bytes = field(default=b"", repr=False)


class MessageFramer:
    """Cuts a byte stream into messages.

    >>> message = dump_message(Message(headers=((":event-type", "x"),), payload=b"{}"))
    >>> framer = MessageFramer()
    >>> framer.feed(message[:9]), [one.payload for one in framer.feed(message[9:])], framer.pending
    ([], [b'{}'], False)
    """

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = b""

    @property
    def pending(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._rest)

    def feed(self, chunk: bytes) -> list[Message]:
        """Takes the next bytes and gives the messages they complete.

        Raises: ValueError for what is no message, a wrong checksum, or one over the limit.
        """
        self._rest += chunk
        messages = []
        while len(self._rest) >= _PRELUDE:
            total = int.from_bytes(self._rest[:4])
            if _checksum(self._rest[:8]) != self._rest[8:_PRELUDE]:
                raise ValueError("the checksum of a prelude is wrong")
            if not _PRELUDE + _TRAILER <= total <= self._limit:
                raise ValueError("a message is too short or too long")
            if len(self._rest) < total:
                break
            messages.append(parse_message(self._rest[:total]))
            self._rest = self._rest[total:]
        return messages


def parse_message(raw: bytes) -> Message:
    """Gives the message that these bytes are.

    Raises: ValueError for what is no message, a wrong checksum, or a header that is no string.
    """
    end = _PRELUDE + int.from_bytes(raw[4:8])
    if len(raw) < _PRELUDE + _TRAILER or end > len(raw) - _TRAILER:
        raise ValueError("a message is shorter than it says")
    if _checksum(raw[:-_TRAILER]) != raw[-_TRAILER:]:
        raise ValueError("the checksum of a message is wrong")
    return Message(
        headers=_headers(raw[_PRELUDE:end]), payload=raw[end : len(raw) - _TRAILER], raw=raw
    )


def _headers(data: bytes) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name, at = _text(data, at, width=1)
        if data[at : at + 1] != bytes([_STRING]):
            raise ValueError("a header of a message is no string")
        value, at = _text(data, at + 1, width=2)
        if name in found or not name.startswith(":"):
            raise ValueError("a header of a message comes twice, or is not known")
        found[name] = value
    return tuple(found.items())


def _text(data: bytes, at: int, *, width: int) -> tuple[str, int]:
    begin = at + width
    end = begin + int.from_bytes(data[at:begin])
    if end > len(data):
        raise ValueError("a header of a message is cut")
    try:
        return data[begin:end].decode(), end
    except UnicodeDecodeError:
        raise ValueError("a header of a message is not UTF-8") from None  # it would quote it


def dump_message(message: Message) -> bytes:
    """Gives the bytes of a message, with its checksums.

    Raises: ValueError where a header is too long.
    """
    headers = b"".join(_dumped(name, value) for name, value in message.headers)
    total = _PRELUDE + len(headers) + len(message.payload) + _TRAILER
    prelude = total.to_bytes(4) + len(headers).to_bytes(4)
    body = prelude + _checksum(prelude) + headers + message.payload
    return body + _checksum(body)


def _dumped(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    if len(key) > _LONGEST_NAME or len(text) >= _LONGEST_VALUE:
        raise ValueError("a header of a message is too long")
    return bytes([len(key)]) + key + bytes([_STRING]) + len(text).to_bytes(2) + text


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4)
