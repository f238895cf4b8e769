"""Reads documents in a process of its own, which hostile files may break and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess  # S404: this interpreter, with no shell
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from math import ceil

from guardrail.errors import ConfigError
from guardrail.extraction.formats import DOCUMENTS, PICTURES, Bounds

_KEPT = 32
_PASSED = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TESSDATA_PREFIX")


@dataclass(frozen=True, slots=True)
class Extract:
    """All the text of a file; `picture` says that it was recognised rather than read."""

    text: str = field(repr=False)
    picture: bool = False


class DocumentReader:
    """Gives the text of documents; safe to share among threads. The last few are remembered."""

    def __init__(self, bounds: Bounds, *, timeout_s: float) -> None:
        self._bounds = replace(bounds, seconds=ceil(timeout_s))
        self._timeout_s = timeout_s
        self._known: OrderedDict[bytes, Extract | None] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, raw: bytes) -> Extract | None:
        """Gives the text of a file; None where not all of it can be read, or not in time."""
        digest = hashlib.sha256(raw).digest()
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return self._known[digest]
        found = self._extracted(raw)
        with self._lock:
            self._known[digest] = found
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found

    def _extracted(self, raw: bytes) -> Extract | None:
        picture = not raw.startswith(DOCUMENTS)
        if picture and not (self._bounds.tesseract and raw.startswith(PICTURES)):
            return None
        try:
            child = subprocess.Popen(  # noqa: S603  # this interpreter and a module of its own
                [sys.executable, "-m", "guardrail.extraction.formats", _bounds(self._bounds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        except OSError:
            return None
        with child:
            try:
                said, _ = child.communicate(raw, timeout=self._timeout_s)
            except subprocess.TimeoutExpired:
                _end(child)
                return None
        if child.returncode:
            return None
        text = None
        with suppress(UnicodeDecodeError):
            text = said.decode("utf-8")
        return None if text is None else Extract(text, picture)


def _bounds(bounds: Bounds) -> str:
    return json.dumps(asdict(bounds))


def _environment() -> dict[str, str]:
    """What the child is told: where modules are, and no secret."""
    known = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**known, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and whatever it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.communicate()


def build_reader(
    *, documents: bool, ocr: bool, pages: int, timeout_s: float
) -> DocumentReader | None:
    """Gives the reader of what is to be read; None where that is nothing.

    Raises:
        ConfigError: what reads PDF or pictures is not installed.
    """
    problems = []
    tesseract = shutil.which("tesseract") if ocr else None
    if documents and find_spec("pypdf") is None:
        problems.append("media.documents: needs pypdf: pip install 'guardrail-asgi[documents]'")
    if ocr and not documents:
        problems.append("media.ocr: pictures are read as documents are; set media.documents, too")
    if ocr and tesseract is None:
        problems.append(
            "media.ocr: the program tesseract is not on the path; install tesseract-ocr"
        )
    if problems:
        raise ConfigError(problems)
    if not documents:
        return None
    return DocumentReader(Bounds(pages=pages, tesseract=tesseract or ""), timeout_s=timeout_s)
