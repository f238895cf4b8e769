"""The secret key of a list, and what is hashed under it.

Source: RFC 7693 (BLAKE2, keyed).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from guardrail.errors import ConfigError

START = b"start"
"""The space of words that an entry may begin with."""


def key_of(secret: str) -> bytes:
    """Gives the key that a secret stands for.

    Raises:
        ConfigError: the secret is shorter than 32 characters.
    """
    secret = secret.strip()
    if len(secret) < 32:
        raise ConfigError(["known_key: use a secret of at least 32 characters"])
    encoded = secret.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, digest_size=32, person=b"guardrail-known").digest()


def read_key_file(path: Path) -> str:
    """Gives the secret in a file that nobody but its owner may read.

    Raises:
        ConfigError: it cannot be read, or others may read it.
    """
    try:
        mode = path.stat().st_mode
        secret = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a key file"
        raise ConfigError([f"{path}: the key cannot be read: {reason}"]) from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError([f"{path}: others may read this key; chmod 600 {path}"])
    return secret.strip()


def make_key_file(path: Path, secret: str) -> None:
    """Writes a new secret where there is none yet, for its owner alone.

    Raises:
        ConfigError: it cannot be written, or something is there.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise ConfigError([f"{path}: the key cannot be written: {error.strerror}"]) from None


def fingerprint(key: bytes) -> str:
    """Sixteen hexadecimal digits that tell keys apart and do not tell the key."""
    return hashlib.blake2b(b"fingerprint", key=key, digest_size=8, person=b"known").hexdigest()


def hasher(key: bytes, space: bytes) -> Callable[[str], int]:
    """Gives what hashes a text to 64 bits; the same text has another hash in another space."""
    keyed = hashlib.blake2b(key=key, digest_size=8, person=space)
    keyed.update(b"\0")  # so that the block of the key is hashed here, and not for every word
    copy, from_bytes = keyed.copy, int.from_bytes

    def hashed(text: str) -> int:
        digest = copy()
        try:
            digest.update(text.encode())
        except UnicodeEncodeError:  # half of a surrogate pair
            digest.update(text.encode("utf-8", "surrogatepass"))
        return from_bytes(digest.digest(), "little")

    return hashed
