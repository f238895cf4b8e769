"""Request headers that repeat what the body says, treated with it: `Mcp-Param-*`.

A server compares them with the body, so both have to be changed alike; and whoever changes the body
alone leaves the value readable beside it.

Source: Model Context Protocol, SEP-2243 (headers of streamable HTTP, `=?base64?…?=`).
"""

from __future__ import annotations

import base64
import re

from guardrail.errors import Refusal
from guardrail.protocols.bodies import Body
from guardrail.protocols.payload import Json, dump_json, parse_json

Headers = tuple[tuple[bytes, bytes], ...]

_PREFIX = b"mcp-param-"
_ENCODED = re.compile(r"=\?base64\?([A-Za-z0-9+/_=-]*)\?=")
_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def mirrored(headers: Headers) -> Body | None:
    """Gives the values of mirrored headers as one payload `[[name, value], …]`, if there are any.

    Raises:
        Refusal: 400 for a value that cannot be read.
    """
    found: list[Json] = [
        [name.decode("latin-1"), _read(value)] for name, value in headers if is_mirrored(name)
    ]
    if not found:
        return None
    return Body(
        payload=found,
        raw=dump_json(found).encode(),
        encode=lambda value: dump_json(value).encode(),
    )


def written(part: bytes) -> Headers:
    """The headers behind the bytes of a part that `mirrored` gave."""
    rows = parse_json(part)
    pairs = [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    return tuple((str(name).encode("latin-1"), _write(str(value))) for name, value in pairs)


def is_mirrored(name: bytes) -> bool:
    """Whether a header repeats a part of the body."""
    return name.lower().startswith(_PREFIX)


def _read(value: bytes) -> str:
    text = value.decode("latin-1").strip()
    encoded = _ENCODED.fullmatch(text)
    if encoded is None:
        return text
    try:
        return base64.b64decode(encoded[1], validate=True).decode("utf-8")
    except ValueError:
        reason = "a mirrored header is not what it says"
    raise Refusal(400, "invalid_header", reason)


def _write(value: str) -> bytes:
    if _PLAIN.fullmatch(value) and not _ENCODED.fullmatch(value):
        return value.encode()
    encoded = base64.b64encode(value.encode("utf-8", "surrogatepass"))
    return b"=?base64?" + encoded + b"?="
