"""Documents made of nothing: small PDF and office files with what a test puts into them."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R %s >>"
_FONT = b"/Resources << /Font << /F1 5 0 R >> %s >>"
HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def pdf(
    text: str = "hello",
    *,
    font: bytes = HELVETICA,
    page: bytes = b"",
    resources: bytes = b"",
    drawn: bytes = b"",
    root: bytes = b"",
    trailer: bytes = b"",
    more: tuple[bytes, ...] = (),
    count: int = 1,
) -> bytes:
    """A PDF of one page that shows a text; `more` objects are numbered from 6."""
    shown = b"BT /F1 12 Tf 20 200 Td (" + text.encode("latin-1") + b") Tj ET\n" + drawn
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R " + root + b" >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count %d >>" % count,
        _PAGE % (_FONT % resources + page),
        stream(shown),
        font,
        *more,
    ]
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % at for at in places)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n" % size
        + table
        + b"trailer\n<< /Size %d /Root 1 0 R " % size
        + trailer
        + b" >>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    )


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object, deflated."""
    packed = zlib.compress(data)
    head = b"<< /Filter /FlateDecode /Length %d " % len(packed) + entries
    return head + b" >>\nstream\n" + packed + b"\nendstream"


_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'


def paragraphs(*runs: tuple[str, ...]) -> str:
    """The main part of a Word document: each paragraph of runs of text."""
    body = "".join(
        "<w:p>" + "".join(f"<w:r><w:t>{run}</w:t></w:r>" for run in one) + "</w:p>" for one in runs
    )
    return f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>'


def docx(
    document: str, *, members: Mapping[str, str | bytes] | None = None, comment: bytes = b""
) -> bytes:
    """A Word document with this main part, and these members beside it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("word/document.xml", document)
        for name, data in (members or {}).items():
            archive.writestr(name, data)
    return out.getvalue()
