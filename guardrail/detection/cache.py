"""What was read of texts seen before: a chat re-sends its history with every turn.

Keys are keyed digests of the text, values are findings and doubts; no text is kept.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from guardrail.detection.names import Doubt
from guardrail.types import Finding


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a text, and where a name may begin, found or not."""

    findings: tuple[Finding, ...] = ()
    doubts: tuple[Doubt, ...] = ()


class FindingCache:
    """Least-recently-used map from a text to its reading; safe to use from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        # Copying a digest that has its key is quicker than making one.
        self._keyed = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=16)
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, Reading] = OrderedDict()

    def key(self, *parts: str) -> bytes:
        """The digest under which the reading of these texts is kept."""
        digest = self._keyed.copy()
        told_apart = "".join([f"{len(part)}:{part}" for part in parts])
        digest.update(told_apart.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def get(self, key: bytes) -> Reading | None:
        """The reading kept under `key`, or None."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: bytes, reading: Reading) -> None:
        """Keeps a reading, dropping the least recently used beyond the size."""
        with self._lock:
            self._entries[key] = reading
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
