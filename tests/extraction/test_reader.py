from __future__ import annotations

import importlib.util
import os
import shutil
import time

import pytest
from documents_world import docx, paragraphs, pdf

from guardrail.errors import ConfigError
from guardrail.extraction.formats import Bounds
from guardrail.extraction.reader import DocumentReader, build_reader

BOUNDS = Bounds()
NEEDS_PYPDF = pytest.mark.skipif(
    importlib.util.find_spec("pypdf") is None, reason="pypdf is not installed"
)


def test_a_document_is_read_in_a_process_of_its_own() -> None:
    found = DocumentReader(BOUNDS, timeout_s=60).read(docx(paragraphs(("to alice@example.com",))))
    assert found is not None
    assert "to alice@example.com" in found.text
    assert not found.picture
    assert "alice" not in repr(found)


@NEEDS_PYPDF
def test_a_pdf_is_read() -> None:
    found = DocumentReader(BOUNDS, timeout_s=60).read(pdf("to alice@example.com"))
    assert found is not None
    assert "to alice@example.com" in found.text


@pytest.mark.parametrize("raw", [b"%PDF-1.7 x", b"PK\x03\x04x", b"\x89PNG\r\n\x1a\nx", b"", b"x"])
def test_what_cannot_be_read_gives_nothing(raw: bytes) -> None:
    assert DocumentReader(BOUNDS, timeout_s=60).read(raw) is None


def test_what_takes_too_long_gives_nothing() -> None:
    begun = time.monotonic()
    assert DocumentReader(BOUNDS, timeout_s=0.001).read(docx(paragraphs(("hello",)))) is None
    assert time.monotonic() - begun < 30


def test_what_takes_too_much_memory_gives_nothing() -> None:
    small = Bounds(memory=2**20)
    raw = docx(paragraphs((" ".join(map(str, range(700_000))),)))
    assert DocumentReader(small, timeout_s=60).read(raw) is None


def test_a_document_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, raw = DocumentReader(BOUNDS, timeout_s=60), docx(paragraphs(("hello",)))
    first = reader.read(raw)
    monkeypatch.setattr("sys.executable", os.devnull)
    assert first is not None
    assert reader.read(raw) is first


def test_no_interpreter_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", os.devnull)
    assert DocumentReader(BOUNDS, timeout_s=60).read(docx(paragraphs(("hello",)))) is None


def test_what_is_not_asked_for_is_not_read() -> None:
    assert build_reader(documents=False, ocr=False, pages=1, timeout_s=1) is None


def test_what_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardrail.extraction.reader.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError) as caught:
        build_reader(documents=True, ocr=True, pages=1, timeout_s=1)
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "media.documents",
        "media.ocr",
    ]


def test_pictures_are_read_only_where_documents_are() -> None:
    with pytest.raises(ConfigError, match=r"set media\.documents"):
        build_reader(documents=False, ocr=True, pages=1, timeout_s=1)


LETTERS = {
    # five by seven dots each
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "O": "01110 10001 10001 10001 10001 10001 01110",
}


def picture(word: str, *, dot: int = 12) -> bytes:
    """A word in black on white, as an uncompressed TIFF."""
    rows = [" ".join(LETTERS[letter].split()[y] for letter in word) for y in range(7)]
    wide, high = (len(rows[0]) + 4) * dot, 11 * dot
    body = bytearray(b"\xff" * wide * high)
    for y, row in enumerate(rows):
        for x, sign in enumerate(row):
            for line in range(dot) if sign == "1" else ():
                at = ((y + 2) * dot + line) * wide + (x + 2) * dot
                body[at : at + dot] = bytes(dot)
    tags = [
        *((256, wide), (257, high), (258, 8), (259, 1), (262, 1), (273, 8)),
        *((277, 1), (278, high), (279, len(body))),
    ]
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\x04\x00\x01\x00\x00\x00" + value.to_bytes(4, "little")
        for tag, value in tags
    )
    start = 8 + len(body)
    directory = len(tags).to_bytes(2, "little") + entries + bytes(4)
    return b"II*\x00" + start.to_bytes(4, "little") + bytes(body) + directory


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_the_text_of_a_picture_is_recognised() -> None:
    reader = DocumentReader(Bounds(tesseract=shutil.which("tesseract") or ""), timeout_s=120)
    found = reader.read(picture("HELLO"))
    assert found is not None
    assert found.picture
    assert "HELL" in found.text
