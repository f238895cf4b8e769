"""A body of any inspectable content type, as one payload and the way back to bytes."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode

from guardrail.errors import Refusal
from guardrail.protocols.multipart import FormPart, boundary_of, parse_form, write_form
from guardrail.protocols.payload import Json, decode_utf8, dump_json, parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A decoded body. `raw` is what arrived, inflated; unchanged payloads leave as `raw`."""

    payload: Json = field(repr=False)
    raw: bytes = field(repr=False)
    encode: Callable[[Json], bytes] = field(repr=False)


_CONTENT_TYPE = re.compile(r"\s*([\w.+-]+/[\w.+-]+)\s*(?:;(.*))?", re.DOTALL)
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.-]+)\"?", re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def read_body(raw: bytes, *, content_type: str) -> Body:
    """Gives the body of a request or response.

    Raises:
        Refusal: 415 for a content type or charset that cannot be inspected, 400 for a body that
            is not what its content type says.
    """
    match = _CONTENT_TYPE.fullmatch(content_type)
    if content_type and match is None:
        raise Refusal(415, "unsupported_media_type", "the content type is not a valid one")
    media, options = (match[1].lower(), match[2] or "") if match else ("", "")
    charsets = {name.lower() for name in _CHARSET.findall(options)}
    if options.lower().count("charset") > len(_CHARSET.findall(options)):
        raise Refusal(
            415, "unsupported_charset", "the charset cannot be read; the body must be UTF-8"
        )
    if len(charsets) > 1:
        raise Refusal(400, "ambiguous_header", "the content type names two charsets")
    if charsets - _UTF8:
        raise Refusal(415, "unsupported_charset", "the body must be UTF-8")
    if media == "multipart/form-data":
        return _read_multipart(raw, content_type)
    if not _is_json(media) and raw.lstrip()[:1] in (b"{", b"["):
        # Apps parse a JSON body whatever its content type says, so it is read as what it is.
        try:
            return _read_json(raw)
        except Refusal as refusal:
            if refusal.code != "invalid_json":
                raise
    reader = _READERS.get(media) or (_read_json if _is_json(media) else None)
    if reader is None and media.startswith("text/"):
        reader = _read_text
    if reader is None:
        raise Refusal(
            415,
            "unsupported_media_type",
            "this content type cannot be inspected; send JSON, text or a form",
        )
    return reader(raw)


def read_frame(raw: bytes, *, content_type: str) -> Body:
    """Gives the payload of one frame of a WebSocket: as a body, or bytes that nobody can read.

    Raises: Refusal as `read_body` does.
    """
    if content_type != BINARY:
        return read_body(raw, content_type=content_type)
    return Body(payload=_FILE, raw=raw, encode=lambda value: raw)


BINARY = "application/octet-stream"
"""The content type of a frame that is no text."""


def _is_json(media: str) -> bool:
    return media in ("application/json", "text/json") or media.endswith("+json")


def _read_json(raw: bytes) -> Body:
    return Body(payload=parse_json(raw), raw=raw, encode=lambda value: dump_json(value).encode())


def _read_multipart(raw: bytes, content_type: str) -> Body:
    """A form as an array of `{name: text}` and `{name: file}`, written anew in any case.

    A file is `{"filename": …, "type": …, "content": …}`, its content a `data:` address.
    """
    boundary = boundary_of(content_type)
    parts = parse_form(raw, boundary)
    payload: list[Json] = [{part.name: _value_of(part)} for part in parts]

    def encode(value: Json) -> bytes:
        fields = value if isinstance(value, list) else []
        return write_form(
            [
                _rewritten(part, old, new)
                for part, old, new in zip(parts, payload, fields, strict=True)
            ],
            boundary,
        )

    return Body(payload=payload, raw=encode(payload), encode=encode)


def _value_of(part: FormPart) -> Json:
    if not part.is_file:
        return decode_utf8(part.data)
    content = _FILE + base64.b64encode(part.data).decode()
    shown: dict[str, Json] = {"content": content}
    if part.filename is not None:
        shown["filename"] = part.filename
    if not _PLAIN_TYPE.fullmatch(part.content_type):
        shown["type"] = part.content_type
    return shown


_FILE = "data:application/octet-stream;base64,"
_PLAIN_TYPE = re.compile(r"(?!.*\d{5})(?:[a-z]{1,16}/[a-z0-9.+-]{1,80})?", re.IGNORECASE)
"""Types that can name nobody."""


def _rewritten(part: FormPart, old: Json, new: Json) -> FormPart:
    if new is old or not isinstance(new, dict):
        return part
    ((name, value),) = new.items()
    if not isinstance(value, dict):
        text = str(value)
        return replace(part, name=_quotable(name), data=text.encode("utf-8", "surrogatepass"))
    content, filename, kind = (value.get(key) for key in ("content", "filename", "type"))
    same = isinstance(old, dict) and old.get(part.name) is value
    data = part.data if same else base64.b64decode(str(content).partition(",")[2])
    return replace(
        part,
        name=_quotable(name),
        filename=None if filename is None else _quotable(str(filename)),
        content_type=part.content_type if kind is None else _quotable(str(kind)),
        data=data,
    )


def _quotable(value: str) -> str:
    if _BREAKS.search(value):
        raise Refusal(400, "invalid_form", "a name in the form holds a quote or a line end")
    return value


_BREAKS = re.compile(r'(?<!\\)"|[\r\n]')


def _read_text(raw: bytes) -> Body:
    if b"\x00" in raw:
        raise Refusal(415, "unsupported_charset", "the body must be UTF-8")
    return Body(payload=decode_utf8(raw), raw=raw, encode=lambda value: str(value).encode())


def read_form(raw: bytes) -> Body:
    """Gives a URL-encoded form or query string as an array of [name, value] arrays."""
    pairs: list[tuple[str, str]] | None = None
    with suppress(ValueError):
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=1000,
        )
    if pairs is None:
        raise Refusal(400, "invalid_form", "the form is not valid URL-encoded UTF-8")
    return Body(payload=[[name, value] for name, value in pairs], raw=raw, encode=_encode_form)


def _encode_form(value: Json) -> bytes:
    pairs = value if isinstance(value, list) else []
    return urlencode([(str(p[0]), str(p[1])) for p in pairs if isinstance(p, list)]).encode()


_READERS: Mapping[str, Callable[[bytes], Body]] = MappingProxyType(
    {
        "application/json": _read_json,
        "text/json": _read_json,
        "application/x-www-form-urlencoded": read_form,
    }
)


def inflate(raw: bytes, *, encoding: str, limit: int) -> bytes:
    """Gives the bytes behind a content encoding, at most `limit` of them.

    Raises:
        Refusal: 415 for an encoding other than identity, gzip and deflate; 400 for a stream that
            is corrupt, cut or followed by more; 413 where it inflates beyond `limit`.
    """
    stream = Inflater(encoding, limit=limit)
    return stream.feed(raw) + stream.close()


class Inflater:
    """Undoes a content encoding piece by piece, never giving more than `limit` bytes in all."""

    def __init__(self, encoding: str, *, limit: int) -> None:
        if encoding not in ("", "identity", *_WBITS):
            raise Refusal(415, "unsupported_content_encoding", "use identity, gzip or deflate")
        self._stream = zlib.decompressobj(_WBITS[encoding]) if encoding in _WBITS else None
        self._left = limit
        self._limit = limit
        self._fed = False

    def feed(self, data: bytes) -> bytes:
        """Gives what these bytes inflate to."""
        if self._stream is None or not data:
            return data
        self._fed = True
        try:
            inflated = self._stream.decompress(data, self._left + 1)
        except zlib.error:
            raise Refusal(400, "invalid_compression", "the compressed body is corrupt") from None
        self._left -= len(inflated)
        if self._left < 0 or self._stream.unconsumed_tail:
            raise Refusal(
                413, "body_too_large", f"the body inflates to more than {self._limit} bytes"
            )
        if self._stream.unused_data:
            raise Refusal(400, "invalid_compression", "the compressed body goes on after its end")
        return inflated

    def close(self) -> bytes:
        """Ends the stream; a cut one is refused, for its end is unknown."""
        if self._stream is not None and self._fed and not self._stream.eof:
            raise Refusal(400, "invalid_compression", "the compressed body is cut")
        return b""


_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
