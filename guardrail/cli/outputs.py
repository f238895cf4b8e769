"""How a command writes a file: the whole of it, or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Gives a file for its owner alone, which takes the target's place once all is written."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def rewriting(target: Path) -> Iterator[Path]:
    """As `replacing`, in a folder that may be new, and for whom the target was until now."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as path:
        yield path
        if target.exists():
            shutil.copymode(target, path)
