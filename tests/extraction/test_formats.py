"""Of a document all is read, or nothing."""

from __future__ import annotations

import io
import zipfile

import pytest
from documents_world import docx, paragraphs, pdf, stream

from guardrail.extraction.formats import Bounds, Unreadable, read

pypdf = pytest.importorskip("pypdf")
WHO = "alice@example.com"
NOTE = b"(alice@example.com)"

SHOWN = {
    "on a page": pdf(f"to {WHO}"),
    "in its properties": pdf(trailer=b"/Info << /Author " + NOTE + b" >>"),
    "in a comment": pdf(page=b"/Annots [<< /Type /Annot /Subtype /Text /Contents " + NOTE + b">>]"),
    "behind a link": pdf(page=b"/Annots [<< /Subtype /Link /A << /S /URI /URI " + NOTE + b">> >>]"),
    "in a form field": pdf(root=b"/AcroForm << /Fields [<< /T (who) /V " + NOTE + b" >>] >>"),
    "in a bookmark": pdf(root=b"/Outlines << /First << /Title " + NOTE + b" >> >>"),
    "in a script": pdf(root=b"/OpenAction << /S /JavaScript /JS " + NOTE + b" >>"),
    "in an object that nothing refers to": pdf(more=(b"<< /Old " + NOTE + b" >>",)),
    "in XMP": pdf(
        root=b"/Metadata 6 0 R",
        more=(stream(b"<x>alice@example.com</x>", b"/Type /Metadata /Subtype /XML"),),
    ),
    "in a form that no page shows": pdf(
        more=(
            stream(
                b"BT /F1 9 Tf (alice@example.com) Tj ET",
                b"/Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 5 0 R >> >>",
            ),
        )
    ),
    "in a paragraph": docx(paragraphs((f"to {WHO}",))),
    "cut over runs": docx(paragraphs(("to ali", "ce@exam", "ple.com"))),
    "in a header": docx(paragraphs(), members={"word/header1.xml": paragraphs((WHO,))}),
    "in an alternative text": docx(paragraphs().replace("<w:body>", f'<w:body descr="{WHO}">')),
    "in a relation": docx(paragraphs(), members={"word/x.rels": f'<R Target="mailto:{WHO}"/>'}),
    "in a comment of the XML": docx(f"<!-- {WHO} -->{paragraphs(('hello',))}"),
    "in an instruction of the XML": docx(paragraphs().replace("<w:body>", f"<w:body><?to {WHO}?>")),
    "in a member's name": docx(paragraphs(), members={f"word/{WHO}.xml": "<a/>"}),
    "in an archive's comment": docx(paragraphs(), comment=WHO.encode()),
}


@pytest.mark.parametrize("raw", SHOWN.values(), ids=SHOWN.keys())
def test_whatever_stands_in_a_document_is_read(raw: bytes) -> None:
    assert WHO in read(raw, Bounds())


def test_words_of_two_paragraphs_are_kept_apart() -> None:
    assert "one\ntwo" in read(docx(paragraphs(("one",), ("two",))), Bounds())


def test_what_only_names_the_format_is_left_out() -> None:
    text = read(docx(paragraphs(("hello",))), Bounds())
    assert "schemas.openxmlformats.org" not in text


IMAGE = stream(b"\x00", b"/Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /Gray")
EMBEDDED = (
    b"<< /Type /Font /Subtype /TrueType /BaseFont /X /FontDescriptor << /FontFile2 6 0 R >> >>"
)


def encrypted() -> bytes:
    writer = pypdf.PdfWriter()
    writer.append(io.BytesIO(pdf(WHO)))
    writer.encrypt("secret", algorithm="RC4-40")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def locked() -> bytes:
    raw = bytearray(docx(paragraphs((WHO,))))
    for at in range(len(raw) - 4):
        if raw[at : at + 4] == b"PK\x01\x02":
            raw[at + 8] |= 1
    return bytes(raw)


def twice() -> bytes:
    out = io.BytesIO(docx(paragraphs()))
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("word/document.xml", paragraphs((WHO,)))
    return out.getvalue()


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'
UNREAD = {
    "a picture on a page": pdf(resources=b"/XObject << /I 6 0 R >>", more=(IMAGE,)),
    "a picture that no page shows": pdf(more=(IMAGE,)),
    "a picture in a page's own words": pdf(drawn=b"BI /W 1 /H 1 /BPC 8 /CS /G ID \x00 EI\n"),
    "letters that are drawn": pdf(drawn=b"0 0 m 1 1 2 2 3 3 c " * 400),
    "an attachment": pdf(more=(stream(b"x", b"/Type /EmbeddedFile"),)),
    "a stream of no known kind": pdf(more=(stream(b"x"),)),
    "a font that draws": pdf(font=b"<< /Type /Font /Subtype /Type3 >>"),
    "a font of its own": pdf(font=EMBEDDED, more=(stream(b"font"),)),
    "an earlier revision": pdf(WHO) + pdf("hello"),
    "XFA": pdf(root=b"/AcroForm << /XFA (x) >>"),
    "a PDF that is encrypted": encrypted(),
    "a PDF that is cut": pdf(WHO)[:-40],
    "a PDF of 10 000 pages": pdf(count=10_000),
    "a PDF in name alone": b"%PDF-1.7 " + b"x" * 100,
    "a picture in an archive": docx(paragraphs(), members={"word/media/image1.png": b"\x89PNG"}),
    "a program in an archive": docx(paragraphs(), members={"word/vbaProject.bin": b"x"}),
    "an archive that is encrypted": locked(),
    "an archive that is cut": docx(paragraphs())[:-30],
    "an archive with a member twice": twice(),
    "an archive with more in front": b"PK\x03\x04" + b"x" * 4000 + docx(paragraphs()),
    "an archive that is no document": docx(paragraphs()).replace(
        b"Content_Types", b"content_types"
    ),
    "an archive that grows": docx(paragraphs(("a" * 10_000_000,))),
    "a document that defines entities": docx(BOMB),
    "XML in another charset": docx('<?xml version="1.0" encoding="utf-7"?><x/>'),
    "XML that is cut": docx(paragraphs((WHO,))[:-20]),
    "a picture": b"\x89PNG\r\n\x1a\n" + b"x" * 50,
    "nobody knows what": b"nobody knows what",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", UNREAD.values(), ids=UNREAD.keys())
def test_what_cannot_all_be_read_is_not_read(raw: bytes) -> None:
    with pytest.raises((Unreadable, pypdf.errors.PyPdfError, zipfile.BadZipFile, SyntaxError)):
        read(raw, Bounds())


@pytest.mark.parametrize(
    "bounds",
    [Bounds(characters=3), Bounds(inflated=50), Bounds(members=1), Bounds(ratio=0)],
    ids=str,
)
def test_what_is_too_large_is_not_read(bounds: Bounds) -> None:
    with pytest.raises(Unreadable):
        read(docx(paragraphs(("hello",))), bounds)
