"""What bytes hold that a string carries in base64: text, something that is known by how it begins,
or nobody knows what.

Text is UTF-8, or UTF-16 or UTF-32 with a byte order mark, and may be compressed once. What is
written again is written as it was read.

Source: RFC 1952 (gzip), RFC 1950 (zlib), RFC 1951 (deflate); the file formats' own specifications
for how each begins.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

INFLATED = 8 * 2**20
"""Bytes that compressed text may be; more is not read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, and how to write another one in the same form."""

    text: str = field(repr=False)
    write: Callable[[str], bytes] = field(repr=False)


def read_text(raw: bytes) -> Reading | None:
    """Gives the text that bytes are; None where they are none, or hold more than text."""
    if read := _read_plain(raw):
        return read
    for wbits, pack in _PACKED.get(raw[:1], ()):
        inflated = _inflated(raw, wbits)
        if inflated is not None and (inner := _read_plain(inflated)):
            return Reading(inner.text, partial(_write_packed, inner.write, pack))
    return None


def _write_packed(
    write: Callable[[str], bytes], pack: Callable[[bytes], bytes], text: str
) -> bytes:
    return pack(write(text))


def _read_plain(raw: bytes) -> Reading | None:
    mark, charset = next(
        ((m, name) for m, name in _MARKS.items() if raw.startswith(m)), (b"", "utf-8")
    )
    text = ""
    with suppress(UnicodeDecodeError):
        text = raw[len(mark) :].decode(charset)
    if not text or any(map(_is_odd, text)):
        return None
    return Reading(text, lambda new: mark + new.encode(charset, "surrogatepass"))


def _is_odd(character: str) -> bool:
    return not (character.isprintable() or (character.isspace() and character not in _SEPARATORS))


_SEPARATORS = "\x1c\x1d\x1e\x1f"
_MARKS: Mapping[bytes, str] = MappingProxyType(
    {
        # mark: what follows it; the longer of two that begin alike comes first
        codecs.BOM_UTF8: "utf-8",
        codecs.BOM_UTF32_LE: "utf-32-le",
        codecs.BOM_UTF32_BE: "utf-32-be",
        codecs.BOM_UTF16_LE: "utf-16-le",
        codecs.BOM_UTF16_BE: "utf-16-be",
    }
)


def _gzipped(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)


_PACKED: Mapping[bytes, tuple[tuple[int, Callable[[bytes], bytes]], ...]] = MappingProxyType(
    {
        # first byte: how many bits of window and which header, and what packs again
        b"\x1f": ((31, _gzipped),),
        b"\x78": ((15, zlib.compress),),
    }
)
_NAMED = 0x1E
"""Flags of a gzip header that carries more than the data: a name, a comment."""


def _inflated(raw: bytes, wbits: int) -> bytes | None:
    """What a compressed stream holds; None if it is cut, corrupt, long or not all there is."""
    if wbits == 31 and len(raw) > 3 and raw[3] & _NAMED:
        return None
    stream = zlib.decompressobj(wbits)
    data = b""
    with suppress(zlib.error):
        data = stream.decompress(raw, INFLATED)
    return data if stream.eof and not stream.unused_data else None


_BEGINNINGS = re.compile(
    b"|".join(
        (
            rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....|\x00\x00\x01\x00[\x01-\x20]\x00",
            rb"II\*\x00|MM\x00\*|8BPS|\x00\x00\x00\x0cJXL |\xff\x0a[\x00-\xff]{2}JXL",
            rb"OggS|fLaC|ID3|FORM....AIF|MThd\x00|\xff[\xfb\xf3\xf2][\x10-\xef][\x00-\xff]"
            rb"(?=[\x00-\xff]{0,60}(?:Xing|Info|LAME|VBRI))",
            rb"[\x00-\xff]{4}ftyp|\x1aE\xdf\xa3|\x00\x00\x01\xba|FLV\x01|0&\xb2u\x8ef\xcf\x11",
            rb"[\s\x00]{0,16}%PDF-|%!PS|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|SQLite format 3\x00|PAR1",
            rb"\x1f\x8b[\x08]|PK(?:\x03\x04|\x05\x06|\x07\x08)|BZh[1-9]1AY&SY|\xfd7zXZ\x00",
            rb"\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x04\x22M\x18|wOF[F2]|\x00asm",
            rb"\x93NUMPY|ARROW1|\x89HDF\r\n|DICM",
        )
    ),
    re.DOTALL,
)
"""How pictures, sound, films, documents, archives and data files begin."""
_ZLIB = re.compile(rb"[\x08\x18\x28\x38\x48\x58\x68\x78]", re.DOTALL)
_PROBE = 64 * 2**10
_NO_ID = 45
"""Bytes from which something is longer than an id, of which streams are full."""
_PADDED = 3
"""Bytes that may follow a stream, as padding or a sign too many leave them."""


def is_file(raw: bytes) -> bool:
    """Whether bytes are known to be of some format, rather than random: a file or compressed data.

    >>> is_file(b"%PDF-1.7 ..."), is_file(bytes(range(64)))
    (True, False)
    """
    return _BEGINNINGS.match(raw) is not None or _is_deflated(raw) or _is_marked(raw)


def _is_marked(raw: bytes) -> bool:
    """Whether bytes are text in UTF-16 or UTF-32."""
    return raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\0\0") and bool(_read_plain(raw))


def _is_deflated(raw: bytes) -> bool:
    """Whether bytes inflate; random ones end in an error, or before their end."""
    if len(raw) > 2 and _ZLIB.match(raw) and int.from_bytes(raw[:2], "big") % 31 == 0:
        with suppress(zlib.error):
            zlib.decompressobj().decompress(raw, _PROBE)
            return True
    if len(raw) < _NO_ID:
        return False
    stream = zlib.decompressobj(-15)
    with suppress(zlib.error):
        said = stream.decompress(raw, _PROBE)
        return bool(said) and (
            bool(stream.unconsumed_tail) or (stream.eof and len(stream.unused_data) <= _PADDED)
        )
    return False
