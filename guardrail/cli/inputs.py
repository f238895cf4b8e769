"""What `scan` and `redact` read: files, folders and standard input, decoded without loss."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
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
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


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

    What is not UTF-8 or UTF-16 is read as Latin-1, in which every byte is a character.

    Raises:
        Binary: it is no text.
    """
    if raw.startswith(_UTF16):
        encoding = "utf-16-le" if raw.startswith(_UTF16[0]) else "utf-16-be"
    elif b"\x00" in raw[:_SNIFF] or raw.startswith(_MAGIC):
        raise Binary
    else:
        encoding = "utf-8"
    try:
        return raw.decode(encoding), encoding
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise Binary from None
        return raw.decode("latin-1"), "latin-1"


def encode(text: str, encoding: str) -> bytes:
    """Gives the bytes of a text that `decode` gave, changed or not."""
    return text.encode(encoding, "replace")
