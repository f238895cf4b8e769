from __future__ import annotations

import gzip
import os
import zlib

import pytest

from guardrail.protocols.content import INFLATED, is_file, read_text

TEXTS = {
    "text": b"hello",
    "text with a mark": b"\xef\xbb\xbfhello",
    "UTF-16": "\ufeffhello".encode("utf-16-le"),
    "gzip": gzip.compress(b"hello", mtime=0),
    "zlib": zlib.compress(b"hello"),
}


@pytest.mark.parametrize("raw", TEXTS.values(), ids=TEXTS.keys())
def test_text_is_read_and_written_again(raw: bytes) -> None:
    read = read_text(raw)
    assert read is not None
    assert read.text == "hello"
    again = read_text(read.write("bye"))
    assert again is not None
    assert again.text == "bye"
    assert read.write("bye")[:2] == (raw[:2] if raw != b"hello" else b"by")


UNREAD = {
    "nothing": b"",
    "a control character": b"hel\x00lo",
    "Latin-1": "h\u00e9llo".encode("latin-1"),
    "UTF-16 without a mark": "hello".encode("utf-16-le"),
    "half a character": "\ufeffhello".encode("utf-16-le")[:-1],
    "a cut stream": gzip.compress(b"hello")[:-1],
    "a stream that is followed by more": gzip.compress(b"hello") + b"more",
    "two streams": gzip.compress(b"hello") * 2,
    "a stream with a name": b"\x1f\x8b\x08\x08"
    + bytes(6)
    + b"alice\x00"
    + b"\xcbH\xcd\xc9\xc9\x07\x00"
    + gzip.compress(b"hello")[-8:],
    "a stream in a stream": gzip.compress(gzip.compress(b"hello")),
    "a stream of no text": gzip.compress(bytes(100)),
    "a bomb": gzip.compress(b"a" * (INFLATED + 1)),
}


@pytest.mark.parametrize("raw", UNREAD.values(), ids=UNREAD.keys())
def test_what_is_no_text_is_not_read(raw: bytes) -> None:
    assert read_text(raw) is None


def test_a_stream_with_a_name_is_one_but_for_its_name() -> None:
    raw = UNREAD["a stream with a name"]
    assert gzip.decompress(raw) == b"hello"


def test_random_bytes_are_no_file() -> None:
    assert not any(is_file(os.urandom(64)) for _ in range(2000))


def test_a_repr_shows_no_text() -> None:
    assert "canary" not in repr(read_text(b"canary"))
