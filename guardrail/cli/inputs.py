"""What `scan` and `redact` read: files, folders and standard input, decoded without loss."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from guardrail.documents import SUFFIXES, Document, Format, open_document

STDIN = "-"
"""How standard input is named among files."""

SKIPPED = frozenset(
    {
        ".git", ".hg", ".svn", ".tox", ".nox", ".venv", "node_modules", "__pycache__",
        ".mypy_cache", ".pytest_cache", ".ruff_cache",
    }
)  # fmt: skip
"""Folders that hold no documents of their own; they are read where they are named themselves."""

_SNIFF = 8192
_MAGIC = (b"%PDF-", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF")
_MARKS: Mapping[bytes, str] = {
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_FEW_ODD = 20
"""Bytes of which nothing can be told."""


class Binary(ValueError):
    """What is no text cannot be inspected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One file, or standard input; `within` is the path below the folder that was named.

    `named` says that the file itself was named, and not a folder above it.
    """

    path: str
    within: str
    format: Format
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read: the document, and the encoding in which it must be written."""

    document: Document
    encoding: str = field(default="utf-8")


def inputs(
    paths: Iterable[str],
    *,
    form: Format | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Iterator[Input]:
    """Gives every file below the paths, folders in order of their names; `-` as it is.

    `form` is the format of all; without it the end of a name says it. `include` and `exclude` are
    globs of paths below a named folder, or of names; they do not hold for files named themselves.

    Raises:
        OSError: a path does not exist or a folder cannot be read.
    """
    for path in paths:
        if path == STDIN or not os.path.isdir(path):
            if path != STDIN:
                os.stat(path)
            yield Input(
                path=path, within=os.path.basename(path), format=_format(path, form), named=True
            )
            continue
        for within in _below(path, ""):
            name = os.path.basename(within)
            if include and not any(_fits(within, name, glob) for glob in include):
                continue
            if any(_fits(within, name, glob) for glob in exclude):
                continue
            yield Input(
                path=os.path.join(path, within),
                within=within,
                format=_format(within, form),
                named=False,
            )


def _format(path: str, form: Format | None) -> Format:
    return form or SUFFIXES.get(Path(path).suffix.lower(), Format.TEXT)


def _fits(within: str, name: str, glob: str) -> bool:
    folder = glob.rstrip("/")
    return fnmatch(within, glob) or fnmatch(name, glob) or within.startswith(f"{folder}/")


def _below(root: str, folder: str) -> Iterator[str]:
    """Paths of files below a folder; links are not followed, since they may lead round or out."""
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            within = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED:
                    yield from _below(root, within)
            elif entry.is_file(follow_symlinks=False):
                yield within


def read(one: Input) -> Read:
    """Gives the document of an input.

    Raises:
        OSError: it cannot be read.
        Binary: it is no text.
    """
    raw = sys.stdin.buffer.read() if one.path == STDIN else Path(one.path).read_bytes()
    text, encoding = decode(raw)
    return Read(document=open_document(text, one.format), encoding=encoding)


def decode(raw: bytes) -> tuple[str, str]:
    """Gives the text of a file, and the encoding by which the very bytes can be had again.

    A file in UTF-8 may hold odd bytes, as a log that was cut does. What is not Unicode is read as
    Latin-1, in which every byte is a character, unless it can hardly be that: no name would be
    found in it.

    Raises:
        Binary: it is no text.
        OSError: it is text in another encoding.
    """
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8")
    if encoding == "utf-8" and (b"\x00" in raw[:_SNIFF] or raw.startswith(_MAGIC)):
        raise Binary
    try:
        return raw.decode(encoding), encoding
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise Binary from None
    text = raw.decode("utf-8", "surrogateescape")
    odd = sum("\udc80" <= character <= "\udcff" for character in text)
    if sum(character > "\x7f" for character in text) >= 2 * odd:
        return text, "utf-8"
    text = raw.decode("latin-1")
    if odd > _FEW_ODD and 3 * odd > sum(map(str.isalpha, text)):
        raise OSError(errno.EILSEQ, "is neither Unicode nor Latin-1; convert it to UTF-8 (iconv)")
    return text, "latin-1"


def encode(text: str, encoding: str) -> bytes:
    """Gives the bytes of a text that `decode` gave, changed or not."""
    return text.encode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
