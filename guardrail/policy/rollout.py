"""Rollout: which policies are in force, and which share of conversations tries others.

One small file says so, written whole and in one step, so that all processes that read it agree. It
points at folders; nothing is copied, so that going back is as quick as going forward.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError
from guardrail.files import write_whole

MAX_BYTES = 1 << 16
_BUCKETS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder with policies/ and regions/, as they were when they were chosen (`digest`)."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What is in force. `stable` is None while the configuration's own folders are.

    `candidate` decides for `share` in a hundred conversations. `previous` is what was stable
    before; `promoted` that there is a way back, be it to the configuration's folders.
    """

    stable: Folder | None = None
    candidate: Folder | None = None
    share: int = 0
    previous: Folder | None = None
    promoted: bool = False

    def start(self, candidate: Folder, share: int) -> Rollout:
        """The candidate decides for a share of conversations."""
        return replace(self, candidate=candidate, share=share)

    def promote(self) -> Rollout:
        """The candidate decides for everybody.

        Raises:
            ConfigError: there is no candidate.
        """
        if self.candidate is None:
            raise ConfigError(["rollout: no candidate; begin with `policy rollout start`"])
        return Rollout(stable=self.candidate, previous=self.stable, promoted=True)

    def rollback(self) -> Rollout:
        """Drops the candidate; without one, goes back to what was stable before.

        Raises:
            ConfigError: there is nothing to go back to.
        """
        if self.candidate is not None:
            return replace(self, candidate=None, share=0)
        if not self.promoted:
            raise ConfigError(["rollout: nothing to go back to; nothing was promoted"])
        return Rollout(stable=self.previous)

    def tries(self, conversation: str) -> bool:
        """Whether a conversation is among those that try the candidate; always the same answer."""
        if self.candidate is None:
            return False
        said = f"{self.candidate.digest}\0{conversation}".encode()
        return int.from_bytes(hashlib.sha256(said).digest()[:4]) % _BUCKETS < self.share


def read_rollout(file: Path) -> Rollout:
    """What a file says; where there is none, the configuration's own folders are in force.

    Raises:
        ConfigError: the file cannot be read or is not one of these.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Rollout()
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from None
    try:
        if len(content) > MAX_BYTES:
            raise ValueError
        return _rollout(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ConfigError(
            [f"{file}: not written by `guardrail policy rollout`; restore it, or remove it"]
        ) from None


def _rollout(said: dict[str, Any]) -> Rollout:
    share, promoted = said["share"], said["promoted"]
    if type(share) is not int or not 0 <= share <= _BUCKETS or type(promoted) is not bool:
        raise TypeError
    named = {name: _folder(said[name]) for name in ("stable", "candidate", "previous")}
    return Rollout(**named, share=share, promoted=promoted)


def _folder(said: dict[str, Any] | None) -> Folder | None:
    if said is None:
        return None
    path, digest = said["path"], said["digest"]
    if not (isinstance(path, str) and isinstance(digest, str)):
        raise TypeError
    return Folder(path=path, digest=digest)


def write_rollout(file: Path, rollout: Rollout) -> None:
    """Writes the file whole, on the disk, or not at all.

    Raises:
        ConfigError: it cannot be written; what was there is as it was.
    """
    content = json.dumps(asdict(rollout), indent=2, sort_keys=True).encode() + b"\n"
    try:
        write_whole(file, content)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be written: {error.strerror}"]) from None
