"""Multipart forms, read strictly and written anew, so that no other parser reads them differently.

Parts with a file name, or of a type other than plain text, are files. A file name that is written
as `filename*` goes before one that is not, and is written anew as the only one.

Source: RFC 7578 (multipart/form-data); RFC 2046, section 5.1.1 (boundaries); RFC 8187 (filename*).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from guardrail.errors import Refusal
from guardrail.protocols.payload import decode_utf8

MAX_PARTS = 1000

_BOUNDARY = re.compile(
    r"boundary=(?:\"([\w'()+,./:=? -]{1,70})\"|([\w'()+./:=?-]{1,70}))(?:\s*;|\s*$)"
)
_HEADER = re.compile(r"([!-9;-~]{1,64}):[ \t]*([^\r\n]{0,1024})")
_DISPOSITION = re.compile(
    r'form-data;[ \t]*name="((?:[^"\\\r\n]|\\.){0,256})"'
    r'(?:;[ \t]*filename="((?:[^"\\\r\n]|\\.){0,256})")?'
    r"(?:;[ \t]*filename\*=utf-8'[a-z-]{0,20}'((?:[\w.!#$&+^`|~-]|%[0-9a-f]{2}){1,768}))?",
    re.IGNORECASE | re.ASCII,
)
_PLAIN = re.compile(r"text/plain(?:\s*;\s*charset=\"?(?:utf-8|us-ascii)\"?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPart:
    """One part: a named text, or a file."""

    name: str = field(repr=False)
    filename: str | None = field(default=None, repr=False)
    content_type: str = ""
    data: bytes = field(repr=False)

    @property
    def is_file(self) -> bool:
        """Whether the part is a file, rather than a text."""
        return self.filename is not None or bool(
            self.content_type and not _PLAIN.fullmatch(self.content_type)
        )


def boundary_of(options: str) -> bytes:
    """The boundary among the parameters of a content type.

    Raises:
        Refusal: there is none, or more than one.
    """
    found = _BOUNDARY.findall(options)
    if len(found) != 1 or options.lower().count("boundary") != 1:
        raise _invalid("the content type needs exactly one boundary")
    return "".join(found[0]).encode()


def parse_form(raw: bytes, boundary: bytes) -> list[FormPart]:
    """Gives the parts of a multipart form.

    Raises:
        Refusal: 400 for anything that two parsers might read differently.
    """
    delimiter = b"--" + boundary
    head, *chunks = (b"\r\n" + raw).split(b"\r\n" + delimiter)
    if head or not chunks or chunks.pop().rstrip(b"\r\n") != b"--":
        raise _invalid("the form does not begin and end with its boundary")
    if len(chunks) > MAX_PARTS:
        raise Refusal(413, "body_too_large", f"a form of more than {MAX_PARTS} parts")
    return [_part(chunk) for chunk in chunks]


def _part(chunk: bytes) -> FormPart:
    header, separator, data = chunk.partition(b"\r\n\r\n")
    if not header.startswith(b"\r\n") or not separator:
        raise _invalid("a part has no headers")
    headers: dict[str, str] = {}
    for line in decode_utf8(header[2:]).split("\r\n"):
        match = _HEADER.fullmatch(line)
        if match is None or match[1].lower() in headers:
            raise _invalid("a part has a malformed or repeated header")
        headers[match[1].lower()] = match[2].strip()
    disposition = _DISPOSITION.fullmatch(headers.pop("content-disposition", ""))
    content_type = headers.pop("content-type", "")
    if disposition is None or headers:
        raise _invalid("a part may have Content-Disposition and Content-Type only")
    named = _written(disposition[3]) if disposition[3] else disposition[2]
    return FormPart(name=disposition[1], filename=named, content_type=content_type, data=data)


def _written(extended: str) -> str:
    """The name that a `filename*` spells, as a quoted string holds it."""
    name = decode_utf8(unquote_to_bytes(extended))
    if _CONTROL.search(name):
        raise _invalid("a file name holds a control character")
    return name.replace("\\", "\\\\").replace('"', '\\"')


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def write_form(parts: list[FormPart], boundary: bytes) -> bytes:
    """Gives the form's bytes.

    Raises:
        Refusal: 400 where a part holds the boundary.
    """
    lines = []
    for part in parts:
        if b"--" + boundary in part.data:
            raise _invalid("a part holds the boundary")
        disposition = f'form-data; name="{part.name}"'
        if part.filename is not None:
            disposition += f'; filename="{part.filename}"'
        lines += [b"--" + boundary, f"Content-Disposition: {disposition}".encode()]
        if part.content_type:
            lines.append(f"Content-Type: {part.content_type}".encode())
        lines += [b"", part.data]
    return b"\r\n".join([*lines, b"--" + boundary + b"--", b""])


def _invalid(message: str) -> Refusal:
    return Refusal(400, "invalid_form", message)
