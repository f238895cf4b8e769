"""AWS' binary messages: what they are, however they arrive, and what is none."""

from __future__ import annotations

import zlib

import pytest

from guardrail.protocols.eventstream import Message, MessageFramer, dump_message, parse_message

# The message without headers and payload, as AWS' own test vectors have it.
EMPTY = bytes.fromhex("000000100000000005c248eb7d98c8ff")
JSON = Message(
    headers=((":event-type", "contentBlockDelta"), (":message-type", "event")),
    payload=b'{"delta":{"text":"hi"}}',
)
RAW = dump_message(JSON)


def test_the_checksums_are_those_of_aws() -> None:
    assert dump_message(Message(headers=(), payload=b"")) == EMPTY
    assert parse_message(EMPTY).payload == b""


@pytest.mark.parametrize("size", [1, 2, 7, 12, 13, 1000])
def test_a_stream_gives_the_same_messages_however_it_is_cut(size: int) -> None:
    stream = RAW + EMPTY + RAW
    framer = MessageFramer()
    got = [m for at in range(0, len(stream), size) for m in framer.feed(stream[at : at + size])]
    assert [m.raw for m in got] == [RAW, EMPTY, RAW]
    assert (got[0].headers, got[0].payload) == (JSON.headers, JSON.payload)
    assert not framer.pending


def test_what_is_cut_is_pending() -> None:
    framer = MessageFramer()
    assert framer.feed(RAW[:-1]) == []
    assert framer.pending


@pytest.mark.parametrize("at", range(len(RAW)))
def test_a_bit_that_flips_is_noticed(at: int) -> None:
    wrong = bytearray(RAW)
    wrong[at] ^= 1
    with pytest.raises(ValueError, match=r"checksum|too short"):
        MessageFramer().feed(bytes(wrong) + RAW)


def header(name: bytes, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + len(value).to_bytes(2) + value


@pytest.mark.parametrize(
    "headers",
    [
        header(b":a", 6, b"bytes"),
        header(b"a", 7, b"x"),
        header(b":a", 7, b"x") * 2,
        header(b":a", 7, b"\xff"),
        header(b":a", 7, b"x")[:-1],
        b"\x05:a",
    ],
    ids=["bytes", "unknown", "twice", "no UTF-8", "cut", "name cut"],
)
def test_headers_that_cannot_be_read_are_refused(headers: bytes) -> None:
    prelude = (16 + len(headers)).to_bytes(4) + len(headers).to_bytes(4)
    body = prelude + zlib.crc32(prelude).to_bytes(4) + headers
    with pytest.raises(ValueError, match="header"):
        MessageFramer().feed(body + zlib.crc32(body).to_bytes(4))


def test_a_message_over_the_limit_is_refused_before_it_is_whole() -> None:
    with pytest.raises(ValueError, match="too long"):
        MessageFramer(limit=20).feed(RAW[:12])


def test_a_header_that_is_too_long_is_not_written() -> None:
    with pytest.raises(ValueError, match="too long"):
        dump_message(Message(headers=((":a", "x" * 40_000),), payload=b""))
