"""Files: a folder on the disk or held in memory, read alike; and files written whole or not at all.

What is held in memory was read once: whoever judged its bytes knows that those who read them later
read the same.
"""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import BinaryIO, Literal, Protocol

MAX_FILES = 4096
MAX_BYTES = 1 << 20
"""A file that is held has so many bytes at most."""


class Entry(Protocol):
    """A folder or a file: as much of `pathlib.Path` as loaders need."""

    @property
    def name(self) -> str:
        """Its last part."""

    @property
    def stem(self) -> str:
        """Its last part without suffix."""

    @property
    def parent(self) -> Entry:
        """The folder that it is in."""

    def __truediv__(self, name: str, /) -> Entry:
        """What has a name in this folder, whether or not it exists."""

    def glob(self, pattern: str, /) -> Iterable[Entry]:
        """The files of this folder, and not of those within it, whose names fit."""

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """The bytes. Raises OSError where there is no such file."""

    def is_dir(self) -> bool:
        """Whether it is a folder."""


@dataclass(frozen=True, slots=True)
class Held:
    """A place of a tree whose files were read; `files` are those of the whole tree, by path.

    >>> tree = Held(MappingProxyType({"a/b.txt": b"hello"}))
    >>> [(one.name, one.open("rb").read()) for one in (tree / "a").glob("*.txt")]
    [('b.txt', b'hello')]
    """

    files: Mapping[str, bytes] = field(repr=False)
    path: PurePosixPath = field(default_factory=PurePosixPath)

    @property
    def name(self) -> str:
        """As `Path.name`."""
        return self.path.name

    @property
    def stem(self) -> str:
        """As `Path.stem`."""
        return self.path.stem

    @property
    def parent(self) -> Held:
        """As `Path.parent`."""
        return Held(self.files, self.path.parent)

    def __truediv__(self, name: str, /) -> Held:
        return Held(self.files, self.path / name)

    def glob(self, pattern: str, /) -> Iterator[Held]:
        """As `Path.glob` of a pattern without folders."""
        for file in map(PurePosixPath, self.files):
            if file.parent == self.path and fnmatchcase(file.name, pattern):
                yield Held(self.files, file)

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """As `Path.open`."""
        try:
            return io.BytesIO(self.files[str(self.path)])
        except KeyError:
            raise FileNotFoundError(2, "No such file", str(self.path)) from None

    def is_dir(self) -> bool:
        """As `Path.is_dir`; a folder without files was not held."""
        return any(self.path in PurePosixPath(file).parents for file in self.files)


class Unfit(Exception):
    """A file that cannot be held: which, by its path in the tree, and why."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(file, why)
        self.file = file
        self.why = why


def hold(root: Path, folders: Iterable[str]) -> Held:
    """Reads every file of some folders of a folder, each once.

    Links are not followed and count as no files: what is held stands in these folders itself.

    Raises:
        Unfit: a file is a link, none that can be read, or larger than 1 MiB; a name is not UTF-8;
            or there are too many.
    """
    files: dict[str, bytes] = {}
    for folder in folders:
        for name in sorted(_walk(root, folder)):
            if len(files) == MAX_FILES:
                raise Unfit(folder, f"more than {MAX_FILES} files; move some elsewhere")
            files[name] = read_file(root, name)
    return Held(MappingProxyType(files))


def _walk(root: Path, folder: str) -> Iterator[str]:
    """The paths of all that is no folder, from the root; one that is a link is none."""
    place = root / folder
    try:
        if place.is_symlink():
            raise Unfit(_shown(folder), "a link; put the folder itself there")
        with os.scandir(place) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(root, name)
                else:
                    yield name
    except OSError as error:
        raise Unfit(_shown(folder), f"cannot be read: {error.strerror}") from None


def read_file(root: Path, name: str) -> bytes:
    """The bytes of a file beneath a folder.

    Raises:
        Unfit: as `hold`.
    """
    if _shown(name) != name:
        raise Unfit(_shown(name), "a name that is not UTF-8 or cannot be printed; rename it")
    try:
        # Not to wait for who may write to a pipe; a pipe is refused below.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(root / name, flags)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unfit(name, "no file; remove it")
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        if (root / name).is_symlink():
            raise Unfit(name, "a link; put the file itself there") from None
        raise Unfit(name, f"cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise Unfit(name, "larger than 1 MiB; split it into several files")
    return content


def _shown(name: str) -> str:
    """The name as it may be printed."""
    return "".join(one if one.isprintable() else "?" for one in name)


def write_whole(file: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Writes a file whole, on the disk, or not at all.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    descriptor, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, mode)
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
        Path(made).replace(file)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
