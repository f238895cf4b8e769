"""Request headers that repeat what the body says, treated with it: `Mcp-Param-*` and `Mcp-Name`.

A server compares them with the body, so both have to be changed alike; and whoever changes the body
alone leaves the value readable beside it.

Source: Model Context Protocol, SEP-2243 (headers of streamable HTTP, `=?base64?…?=`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from guardrail.errors import Refusal
from guardrail.protocols.bodies import Body
from guardrail.protocols.payload import Json, dump_json, parse_json

Headers = tuple[tuple[bytes, bytes], ...]

_PREFIX, _NAME = b"mcp-param-", b"mcp-name"
_ENCODED = re.compile(r"=\?base64\?([A-Za-z0-9+/_=-]*)\?=")
_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def is_mirrored(name: bytes) -> bool:
    """Whether a header repeats a part of the body."""
    return name.lower().startswith(_PREFIX) or name.lower() == _NAME


def mirrored(headers: Headers) -> Body | None:
    """Gives the values of mirrored headers as one payload, an array, if there are any.

    Its bytes are for `written`; a value that is not changed keeps its own.

    Raises:
        Refusal: 400 for a value that cannot be read.
    """
    return chosen(headers, is_mirrored)


def chosen(headers: Headers, wanted: Callable[[bytes], bool]) -> Body | None:
    """Gives the values of the headers whose names are wanted, as `mirrored` does.

    A header whose value becomes null is left out of what is `written`.

    Raises:
        Refusal: 400 for a value that cannot be read.
    """
    found = [(name, value, _read(value)) for name, value in headers if wanted(name)]
    if not found:
        return None

    def encode(changed: Json) -> bytes:
        values = changed if isinstance(changed, list) else []
        rows: list[Json] = [
            [name.decode("latin-1"), (raw if new == text else _write(str(new))).decode("latin-1")]
            for (name, raw, text), new in zip(found, values, strict=True)
            if new is not None
        ]
        return dump_json(rows).encode()

    payload: list[Json] = [text for _, _, text in found]
    return Body(payload=payload, raw=encode(payload), encode=encode)


def written(part: bytes) -> Headers:
    """The headers behind the bytes of a part that `mirrored` gave."""
    rows = parse_json(part)
    pairs = [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    return tuple((str(name).encode("latin-1"), str(raw).encode("latin-1")) for name, raw in pairs)


def _read(value: bytes) -> str:
    try:
        text = value.decode("utf-8").strip()
    except UnicodeDecodeError:
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
