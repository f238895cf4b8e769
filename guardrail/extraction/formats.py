"""Reads one file from standard input and writes its text, or nothing: `DocumentReader`'s child.

A file counts as read only where all of it was: a picture in a document, an attachment, a drawing,
a font whose letters cannot be told, an earlier revision, or a member of an archive that is no XML
make it unreadable. Strings that no page shows (properties, comments, names, alternative texts,
links) are read, too. Nothing is fetched, no entity is expanded, nothing is written to disk.

Source: ISO 32000-2 (PDF); ECMA-376 and ISO/IEC 26300 (office documents in ZIP archives of XML).
"""

from __future__ import annotations

import io
import json
import re
import subprocess  # S404: tesseract, with no shell
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree  # S405: nothing with a document type is parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of a file is read at most; beyond that it is unreadable."""

    pages: int = 200
    characters: int = 2_000_000
    inflated: int = 64 * 2**20
    ratio: int = 200
    members: int = 2000
    memory: int = 2**30
    seconds: int = 10
    tesseract: str = ""


class Unreadable(Exception):
    """Not all of a file can be read; the message says why, and quotes nothing of it."""


def read(raw: bytes, bounds: Bounds) -> str:
    """Gives all the text of a file.

    Raises:
        Unreadable: the format is none of those that are read, or something in it is not text.
    """
    reader = next((read for begin, read in _FORMATS.items() if raw.startswith(begin)), None)
    if reader is None:
        raise Unreadable("no known format")
    text = reader(raw, bounds)
    if len(text) > bounds.characters:
        raise Unreadable("too much text")
    return text


# ── PDF ──────────────────────────────────────────────────────────────────────────────────────────

_CURVES = 300
"""Curves of a page from which they may be letters that were drawn."""
_LISTED = {
    # keys under which a dictionary holds a stream that carries no text of its own
    *"/FontFile /FontFile2 /FontFile3 /ToUnicode /CIDToGIDMap /CIDSet /Contents /Metadata".split(),
    *"/DestOutputProfile /ColorSpace /Function /Shading /Encoding".split(),
}


def _read_pdf(raw: bytes, bounds: Bounds) -> str:
    from pypdf import PdfReader
    from pypdf.generic import StreamObject

    ends = raw.count(b"%%EOF")
    if ends > 1 + (b"/Linearized" in raw[:1024]):
        raise Unreadable("earlier revisions")
    pdf: Any = PdfReader(io.BytesIO(raw), strict=True)
    if pdf.is_encrypted:
        raise Unreadable("encrypted")
    if pdf.root_object["/Pages"]["/Count"] > bounds.pages or len(pdf.pages) > bounds.pages:
        raise Unreadable("too many pages")
    texts: list[str] = []
    streams: dict[int, StreamObject] = {}
    known: set[int] = set()
    for number, value in _objects(pdf):
        texts += _strings(value, known)
        if isinstance(value, StreamObject):
            streams[number] = value
    for number, stream in streams.items():
        if stream.get("/Type") == "/Metadata":
            texts.append(stream.get_data().decode("utf-8"))
        elif stream.get("/Subtype") == "/Form":
            texts.append(pdf.pages[0].extract_xform_text(stream, (0, 90, 180, 270), 200.0, None))
            _check_drawing(stream, pdf)
        elif stream.get("/Type") not in ("/ObjStm", "/XRef") and number not in known:
            raise Unreadable("a picture, an attachment or another stream")
    for page in pdf.pages:
        texts.append(page.extract_text())
        if (contents := page.get_contents()) is not None:
            _check_drawing(contents, pdf)
        if sum(map(len, texts)) > bounds.characters:
            raise Unreadable("too much text")
    text = "\n".join(texts)
    if _NO_LETTERS.search(text):
        raise Unreadable("characters that stand for nothing known")
    return text


_NO_LETTERS = re.compile("[\x00\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")


def _objects(pdf: Any) -> Iterator[tuple[int, Any]]:
    from pypdf.generic import IndirectObject

    numbers = {
        (number, generation) for generation, at in pdf.xref.items() for number in at if number
    }
    numbers |= {(number, 0) for number in pdf.xref_objStm}
    yield 0, pdf.trailer
    for number, generation in sorted(numbers):
        yield number, pdf.get_object(IndirectObject(number, generation, pdf))


def _strings(value: Any, known: set[int]) -> Iterator[str]:
    """The strings of an object, and into `known` the numbers of streams that need no reading."""
    from pypdf.generic import ArrayObject, ByteStringObject, DictionaryObject, TextStringObject

    if isinstance(value, TextStringObject):
        yield str(value)
    elif isinstance(value, ByteStringObject):
        yield bytes(value).decode("latin-1")
    elif isinstance(value, ArrayObject):
        if value and value[0] == "/ICCBased":
            _list(value, known)
        for each in value:
            yield from _strings(each, known)
    elif isinstance(value, DictionaryObject):
        _check_dictionary(value)
        for key in value:
            inner = value.raw_get(key)
            if key in _LISTED:
                _list(inner, known)
            if key not in _DIGESTS:
                yield from _strings(inner, known)


_DIGESTS = {"/ID", "/Panose", "/CharSet"}
"""Keys of strings that are no text."""


def _list(value: Any, known: set[int]) -> None:
    from pypdf.generic import ArrayObject, IndirectObject

    for one in value if isinstance(value, ArrayObject) else [value]:
        if isinstance(one, IndirectObject):
            known.add(one.idnum)
            inner = one.get_object()
            if isinstance(inner, ArrayObject):
                _list(inner, known)


def _check_dictionary(value: Any) -> None:
    if value.get("/Subtype") in ("/Image", "/Type3", "/RichMedia", "/3D", "/Movie", "/Sound"):
        raise Unreadable("a picture or a font that draws")
    if value.get("/Type") in ("/EmbeddedFile", "/Filespec") or "/XFA" in value:
        raise Unreadable("an attachment or a form of another kind")
    if value.get("/Type") == "/Font" and not _is_legible(value):
        raise Unreadable("a font whose letters cannot be told")


def _is_legible(font: Any) -> bool:
    """Whether it can be told which letters a font shows: it says so, or it is not embedded."""
    if "/ToUnicode" in font or str(font.get("/Subtype", "")).startswith("/CIDFont"):
        return True
    descriptor = font.get("/FontDescriptor")
    embedded = descriptor is not None and any(
        key in descriptor.get_object() for key in ("/FontFile", "/FontFile2", "/FontFile3")
    )
    return not embedded and font.get("/Subtype") != "/Type0"


def _check_drawing(stream: Any, pdf: Any) -> None:
    from pypdf.generic import ContentStream

    content = stream if isinstance(stream, ContentStream) else ContentStream(stream, pdf)
    curves = 0
    for _, operator in content.operations:
        curves += operator in (b"c", b"v", b"y")
        if operator in (b"INLINE IMAGE", b"BI") or curves > _CURVES:
            raise Unreadable("a picture or a drawing")


# ── office documents ─────────────────────────────────────────────────────────────────────────────

_XML = (".xml", ".rels", ".vml")
_MIMETYPE = re.compile(rb"application/vnd\.oasis\.opendocument\.[a-z-]{1,40}")
_NOISE = re.compile(
    r"(?:rsid\w*|paraId|textId|Type|ContentType|PartName|Extension|schemaLocation|uri|"
    r"Requires|Ignorable)"
)
"""Attributes that hold numbers and names of the format."""
_NAMESPACE = re.compile(r"https?://(?:schemas\.|purl\.org/|www\.w3\.org/|openoffice\.org/)|urn:")
_INLINE = frozenset("r t span s a rPr br tab hyperlink proofErr bookmarkStart bookmarkEnd".split())
"""Elements within a paragraph, between which a word may be cut."""


def _read_office(raw: bytes, bounds: Bounds) -> str:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = archive.infolist()
        names = [one.filename for one in members]
        if len(members) > bounds.members or len(set(names)) < len(names):
            raise Unreadable("too many members, or one twice")
        if len(raw) > sum(map(_room, members)) + len(archive.comment) + _TAIL:
            raise Unreadable("bytes that belong to no member")
        if not {"[Content_Types].xml", "mimetype"} & set(names):
            raise Unreadable("an archive that is no document")
        if sum(one.file_size for one in members) > bounds.inflated:
            raise Unreadable("too large once it is inflated")
        texts = [archive.comment.decode("utf-8"), *names]
        for one in members:
            if one.flag_bits & 1 or one.file_size > bounds.ratio * max(one.compress_size, 512):
                raise Unreadable("encrypted, or packed more tightly than documents are")
            texts.append(one.comment.decode("utf-8"))
            if not one.is_dir():
                texts += _member(archive, one)
    return "\n".join(filter(None, texts))


_TAIL = 256
"""Bytes of an archive's end records."""


def _room(one: zipfile.ZipInfo) -> int:
    """The most bytes that a member takes with its headers, its name and what is beside it twice."""
    return one.compress_size + 128 + 2 * (len(one.filename.encode()) + len(one.extra) + 32)


def _member(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> Iterator[str]:
    with archive.open(one) as file:
        data = file.read(one.file_size + 1)
    if len(data) != one.file_size:
        raise Unreadable("a member of another size than it says")
    if one.filename == "mimetype":
        if not _MIMETYPE.fullmatch(data):
            raise Unreadable("an archive that is no document")
        return
    if not one.filename.endswith(_XML):
        raise Unreadable("a picture or something else that is no text")
    # A document type could define entities. Where nothing but UTF-8 is read, none can hide.
    text = data.decode("utf-8-sig")
    if "<!DOCTYPE" in text or "<!ENTITY" in text or _OTHER_CHARSET.match(text):
        raise Unreadable("a document type or another charset")
    aside = _Aside()
    parser = ElementTree.XMLParser(target=aside)  # noqa: S314  # see above
    parser.feed(text)
    yield from _texts(parser.close())
    yield from aside.said


_OTHER_CHARSET = re.compile(r"\s*<\?xml[^>]*encoding\s*=\s*[\"'](?!utf-8[\"'])", re.IGNORECASE)


class _Aside(ElementTree.TreeBuilder):
    """Builds the tree, and keeps what stands in comments and processing instructions."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def comment(self, text: str | None, /) -> ElementTree.Element[Any]:
        self.said.append(text or "")
        return super().comment(text)

    def pi(self, target: str, text: str | None = None, /) -> ElementTree.Element[Any]:
        self.said.append(f"{target} {text or ''}")
        return super().pi(target, text)


def _texts(root: ElementTree.Element) -> Iterator[str]:
    words: list[str] = []
    beside: dict[str, None] = {}
    stack: list[tuple[ElementTree.Element, bool]] = [(root, False)]
    while stack:
        element, done = stack.pop()
        if done:
            words.append(("" if _local(element.tag) in _INLINE else "\n") + (element.tail or ""))
            continue
        name = _local(element.tag)
        words.append({"tab": "\t", "br": "\n"}.get(name, "") + (element.text or ""))
        for key, value in element.attrib.items():
            if not _NOISE.fullmatch(_local(key)) and not _NAMESPACE.match(value):
                beside[value] = None
        stack.append((element, True))
        stack += [(child, False) for child in reversed(element)]
    yield re.sub(r"\n{2,}", "\n", "".join(words))
    yield "\n".join(beside)


def _local(name: Any) -> str:
    return str(name).rpartition("}")[2]


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────


def _read_picture(raw: bytes, bounds: Bounds) -> str:
    if not bounds.tesseract:
        raise Unreadable("pictures are not read")
    done = subprocess.run(  # noqa: S603  # a fixed command; the picture is its input
        [bounds.tesseract, "stdin", "stdout"],
        input=raw,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        env={"OMP_THREAD_LIMIT": "1"},
    )
    if done.returncode:
        raise Unreadable("the picture cannot be read")
    return done.stdout.decode("utf-8").replace("\x0c", "")


DOCUMENTS = (b"%PDF-", b"PK\x03\x04")
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
"""How each format begins that is read: PDF, ZIP; PNG, JPEG, TIFF of either byte order."""
_FORMATS: Mapping[tuple[bytes, ...], Callable[[bytes, Bounds], str]] = MappingProxyType(
    {DOCUMENTS[:1]: _read_pdf, DOCUMENTS[1:]: _read_office, PICTURES: _read_picture}
)


def main() -> int:
    """Reads standard input within the bounds of the first argument; exit status 1: unreadable."""
    bounds = Bounds(**json.loads(sys.argv[1]))
    _confine(bounds)
    try:
        text = read(sys.stdin.buffer.read(), bounds)
        sys.stdout.buffer.write(text.encode("utf-8"))
    except BaseException:  # whatever a hostile file does to a parser, it was not read
        return 1
    return 0


def _confine(bounds: Bounds) -> None:
    """Takes from this process what it does not need: memory, time, writing to disk."""
    with suppress(ImportError):
        resource = import_module("resource")  # Windows has none
        for limit, most in (
            (resource.RLIMIT_AS, bounds.memory),
            (resource.RLIMIT_CPU, bounds.seconds),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    sys.exit(main())
