"""Headers that repeat the body are read, and written again, as the protocol does."""

from __future__ import annotations

import pytest

from guardrail.errors import Refusal
from guardrail.protocols.mirrored import is_mirrored, mirrored, written


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("alice@example.com", b"alice@example.com"),
        ("Zoë", b"=?base64?Wm/Dqw==?="),
        (" spaced ", b"=?base64?IHNwYWNlZCA=?="),
        ("", b""),
        ("Jürgen", "Jürgen".encode()),
        ("Jürgen", "Jürgen".encode("latin-1")),
    ],
)
def test_a_value_is_read_as_it_was_meant_and_written_the_same(expected: str, value: bytes) -> None:
    body = mirrored(((b"mcp-param-to", value), (b"accept", b"*/*")))
    assert body
    assert body.payload == [expected]
    assert written(body.raw) == ((b"mcp-param-to", value),)
    ((_, again),) = written(body.encode([f"{expected}!"]))
    changed = mirrored(((b"mcp-param-to", again),))
    assert changed
    assert changed.payload == [f"{expected}!"]


def test_what_looks_encoded_and_is_not_is_written_encoded() -> None:
    body = mirrored(((b"mcp-param-x", b"=?base64?PT9iYXNlNjQ/YWE9PT89?="),))
    assert body
    assert written(body.raw) == ((b"mcp-param-x", b"=?base64?PT9iYXNlNjQ/YWE9PT89?="),)


def test_other_headers_are_not_mirrored() -> None:
    assert mirrored(((b"mcp-method", b"tools/call"), (b"x-mcp-param-a", b"b"))) is None
    assert is_mirrored(b"MCP-Param-To")
    assert is_mirrored(b"mcp-name")


@pytest.mark.parametrize("value", [b"=?base64?/w==?=", b"=?base64?YQ?="])
def test_a_value_that_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(Refusal):
        mirrored(((b"mcp-param-x", value),))
