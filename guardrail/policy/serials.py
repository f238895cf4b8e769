"""Serials: the highest that was in force, so that an older set, though well signed, is refused.

One small file says so. It only ever grows: what it says is compared and replaced under a lock, so
that of two processes neither undoes what the other wrote. A file that cannot be understood is never
begun anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from guardrail.errors import ConfigError
from guardrail.files import Held, write_whole
from guardrail.policy.signing import (
    MANIFEST,
    MAX_SERIAL,
    SIGNATURE,
    Signed,
    check_expiry,
    check_succession,
    root_of,
    verify,
)
from guardrail.problems import Problem

MAX_BYTES = 1 << 12
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_highest(file: Path) -> tuple[int, str] | None:
    """The highest serial that was in force, and the digest of its policies; None: there was none.

    Raises:
        ConfigError: the file cannot be read, or is not one of these.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        said = f"cannot be read: {error.strerror}; let the user that guardrail runs as read it"
        raise _broken(file, said) from None
    try:
        if len(content) > MAX_BYTES:
            raise ValueError
        told = json.loads(content)
        serial, digest = told["serial"], told["digest"]
        if told["format"] != 1 or type(serial) is not int or not 1 <= serial <= MAX_SERIAL:
            raise ValueError
        if not _SHA256.fullmatch(digest):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _broken(
            file,
            "not what guardrail wrote, so an older set could not be told from a newer one; restore "
            "it from a backup. Remove it only if you know that the set which starts next is the "
            "newest: its serial then counts",
        ) from None
    return serial, digest


def advance(file: Path, signed: Signed) -> None:
    """Notes that a set is in force, on the disk; a set that is noted already is not written again.

    Raises:
        ConfigError: a later set was in force meanwhile, or the file cannot be read or written.
    """
    now = (signed.serial, signed.digest)
    if read_highest(file) == now:
        return
    try:
        with _locked(file):
            highest = read_highest(file)
            if highest:
                check_succession(signed, highest)
            content = {"format": 1, "serial": signed.serial, "digest": signed.digest}
            write_whole(file, json.dumps(content, indent=2).encode() + b"\n")
    except OSError as error:
        said = f"cannot be written: {error.strerror}; the highest serial must be kept there"
        raise _broken(file, said) from None


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Keeps other processes out; the lock ends with this one, whatever becomes of it."""
    lock = os.open(
        file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _broken(file: Path, said: str) -> ConfigError:
    return ConfigError([Problem(file=str(file), code="bad-state", message=said)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who may sign policies, by key id, and the file with the highest serial that was in force."""

    keys: Mapping[str, Ed25519PublicKey] = field(repr=False)
    state: Path

    def open(self, policies: Path, regions: Path, *, at: datetime) -> tuple[Held, Signed]:
        """The files of two folders beside their manifest, signed by one who may, not expired.

        Raises:
            ConfigError: they are not.
        """
        root = root_of(policies, regions)
        # Where the folder is a link that deployments turn, all is read behind the same one.
        tree, signed = verify(root.resolve(), self.keys)
        check_expiry(signed, at)
        return tree, signed

    def marks(self, policies: Path) -> tuple[Path, ...]:
        """The files, besides policies and regions, by which it is seen that a set may be new."""
        return policies.parent / MANIFEST, policies.parent / SIGNATURE, self.state

    def check(self, signed: Signed) -> None:
        """Refuses a set that is older than one that was in force.

        Raises:
            ConfigError: it is, or the state cannot be read.
        """
        highest = read_highest(self.state)
        if highest:
            check_succession(signed, highest)

    def advance(self, signed: Signed) -> None:
        """Notes that a set is in force.

        Raises:
            ConfigError: as `advance`.
        """
        advance(self.state, signed)
