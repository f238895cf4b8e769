"""The file of a list: its header, a filter, sorted hashes with their entities, and a digest."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import struct
import sys
import tempfile
import threading
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from guardrail.detection.known.keys import START, fingerprint, hasher
from guardrail.detection.known.spelling import Shape
from guardrail.errors import ConfigError, DetectorUnavailable


class KnownListUnavailable(DetectorUnavailable):
    """A list of known people is gone, damaged, or made with another key."""


_MAGIC = b"GRKNOWN1"
_PREFIX = struct.Struct("<8sI")
_MAC = 32
_BLOCK = 256
"""Hashes of which the first is kept in memory, so that a look-up is one read of two kilobytes."""
_FILTER_BITS = 10
"""Bits of the filter for each hash, at least; two are set. About one in thirty passes unduly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a list tells about itself: counts, and nothing of what it holds.

    `values` is how many values of each entity were taken, `hashes` how many they became. `words`
    and `codes` are the lengths of its entries; `lead` is how many letters stand before the first
    digit of a code, at most. `key` is the fingerprint of the key.
    """

    created: str
    key: str
    entities: tuple[str, ...]
    values: Mapping[str, int]
    hashes: int
    words: tuple[int, ...]
    codes: tuple[int, ...]
    lead: int
    filter_bits: int
    region: str = ""
    variants: bool = False
    order: str = sys.byteorder

    def encode(self) -> bytes:
        """The header as it stands in the file."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        shown["values"] = dict(self.values)
        return json.dumps(shown).encode()


def read_header(path: Path) -> Header:
    """Gives what a list tells about itself, without the key and without looking at the rest.

    Raises:
        ConfigError: the file cannot be read, or is no complete list.
    """
    try:
        with path.open("rb") as file:
            return _parse_header(file.fileno())[0]
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: {_reason(error)}"]) from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


_DAMAGED = "is not a complete list of known people; build it again"


def _parse_header(descriptor: int) -> tuple[Header, int]:
    """Header and where it ends. Raises ValueError: the file is not a list, or not all of one."""
    beginning = os.pread(descriptor, _PREFIX.size, 0)
    if len(beginning) < _PREFIX.size:
        raise ValueError(_DAMAGED)
    magic, length = _PREFIX.unpack(beginning)
    if magic != _MAGIC or length > 2**20:
        raise ValueError(_DAMAGED)
    try:
        told = json.loads(os.pread(descriptor, length, _PREFIX.size))
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
        }
        header = Header(**fields)
        size = _PREFIX.size + length + header.filter_bits // 8 + header.hashes * 10 + _MAC
    except (ValueError, TypeError):
        raise ValueError(_DAMAGED) from None
    if os.fstat(descriptor).st_size != size:
        raise ValueError(_DAMAGED)
    if header.order != sys.byteorder:
        raise ValueError("was built on a machine with another byte order; build it on this one")
    return header, _PREFIX.size + length


Signature = tuple[int, int, int, int]
"""Device, inode, size and time of change: equal for a file that is the same."""


def _signature(status: os.stat_result) -> Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Snapshot:
    """One list, opened and verified; look-ups read the file, which is never mapped.

    A mapped file that somebody truncates kills the process; a read that falls short is an error.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        """Opens a list. Raises OSError or ValueError: it cannot be read, or is not to be used."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self.signature = _signature(os.fstat(self._descriptor))
        self.header, start = _parse_header(self._descriptor)
        if self.header.key != fingerprint(key):
            raise ValueError(
                f"was built with another key (its fingerprint is {self.header.key}, "
                f"that of this key {fingerprint(key)})"
            )
        if not self.header.hashes:
            raise ValueError("holds nobody; build it again, or take it out of the configuration")
        filter_bytes = self.header.filter_bits // 8
        self.hashers = {shape: hasher(key, shape.value) for shape in Shape}
        self.start = hasher(key, START)
        self._hashes = start + filter_bytes
        self._masks = self._hashes + 8 * self.header.hashes
        self._firsts = array("Q")
        self.version = self._verify(key, start)
        self._filter = self._read(start, filter_bytes)
        self._filter_mask = self.header.filter_bits - 1

    def _read(self, start: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, start)
        if len(data) != length:
            raise ValueError(_DAMAGED)
        return data

    def _verify(self, key: bytes, start: int) -> str:
        """The digest of the whole file; gathers the first hash of each block on the way."""
        mac = _mac(key)
        mac.update(self._read(0, self._hashes))
        step = _BLOCK * 8 * 512
        for at in range(self._hashes, self._masks, step):
            data = self._read(at, min(step, self._masks - at))
            mac.update(data)
            self._firsts.extend(memoryview(data).cast("Q")[::_BLOCK])
        end = self._masks + 2 * self.header.hashes
        for at in range(self._masks, end, step):
            mac.update(self._read(at, min(step, end - at)))
        if not hmac.compare_digest(mac.digest(), self._read(end, _MAC)):
            raise ValueError("was changed since it was built; build it again")
        digest: str = mac.hexdigest()
        return digest

    def may_hold(self, hashed: int) -> bool:
        """False for a hash that was certainly not added."""
        bits, mask = self._filter, self._filter_mask
        at = hashed & mask
        if not bits[at >> 3] >> (at & 7) & 1:
            return False
        at = hashed >> 32 & mask
        return bool(bits[at >> 3] >> (at & 7) & 1)

    def entities_of(self, hashed: int) -> int:
        """One bit for each entity, in the order of the header; 0 for what is not in the list."""
        if not self.may_hold(hashed):
            return 0
        block = bisect_right(self._firsts, hashed) - 1
        if block < 0:
            return 0
        start = block * _BLOCK
        count = min(_BLOCK, self.header.hashes - start)
        hashes = memoryview(self._read(self._hashes + 8 * start, 8 * count)).cast("Q")
        at = bisect_left(hashes, hashed)
        if at == count or hashes[at] != hashed:
            return 0
        return int.from_bytes(self._read(self._masks + 2 * (start + at), 2), sys.byteorder)

    def arrays(self) -> tuple[bytes, npt.NDArray[np.uint64], npt.NDArray[np.uint16]]:
        """The filter, the hashes and their entities, all in memory."""
        count = self.header.hashes
        hashes = np.frombuffer(self._read(self._hashes, 8 * count), np.uint64)
        masks = np.frombuffer(self._read(self._masks, 2 * count), np.uint16)
        return self._filter, hashes, masks


def open_list(path: Path, key: bytes) -> Snapshot:
    """Gives a list, verified from end to end.

    Raises:
        ConfigError: it cannot be read, is damaged, empty, or was built with another key.
    """
    try:
        return Snapshot(path, key)
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: {_reason(error)}"]) from None


class Watch:
    """The list as it is now: read again whenever the file is another one."""

    def __init__(self, path: Path, key: bytes, snapshot: Snapshot) -> None:
        self._path = path
        self._key = key
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = snapshot
        self._failed: tuple[Signature, str] | None = None

    def current(self) -> Snapshot:
        """The list in the file. Raises KnownListUnavailable: there is none that can be used."""
        try:
            signature = _signature(os.stat(self._path))
        except OSError as error:
            raise self._unavailable(_reason(error)) from None
        snapshot = self._snapshot
        if snapshot is not None and snapshot.signature == signature:
            return snapshot
        with self._lock:
            if self._snapshot is not None and self._snapshot.signature == signature:
                return self._snapshot
            if self._failed is not None and self._failed[0] == signature:
                raise self._unavailable(self._failed[1])
            self._snapshot = None
            try:
                self._snapshot = Snapshot(self._path, self._key)
            except (OSError, ValueError) as error:
                self._failed = (signature, _reason(error))
                raise self._unavailable(_reason(error)) from None
            return self._snapshot

    def _unavailable(self, reason: str) -> KnownListUnavailable:
        return KnownListUnavailable(f"{self._path.name}: {reason}")


def filter_of(*hashes: npt.NDArray[np.uint64]) -> bytes:
    """Gives a filter that lets every one of these hashes pass, and few others."""
    count = sum(len(part) for part in hashes)
    size = min(2**32, max(2**10, 1 << (_FILTER_BITS * count - 1).bit_length()))
    bits = np.zeros(size // 8, np.uint8)
    for part in hashes:
        for start in range(0, len(part), 2**20):
            chunk = part[start : start + 2**20]
            for shift in (0, 32):
                at = (chunk >> np.uint64(shift)) & np.uint64(size - 1)
                bit = np.left_shift(1, (at & np.uint64(7)).astype(np.uint8)).astype(np.uint8)
                np.bitwise_or.at(bits, (at >> np.uint64(3)).astype(np.int64), bit)
    return bits.tobytes()


def write_list(
    path: Path,
    header: Header,
    *,
    bits: bytes,
    hashes: npt.NDArray[np.uint64],
    masks: npt.NDArray[np.uint16],
    key: bytes,
) -> None:
    """Puts a whole list in place of whatever is at `path`; `bits` is its filter.

    Raises:
        ConfigError: it cannot be written.
    """
    encoded = header.encode()
    parts: list[bytes | memoryview] = [
        _PREFIX.pack(_MAGIC, len(encoded)),
        encoded,
        bits,
        hashes.data.cast("B"),
        masks.data.cast("B"),
    ]
    mac = _mac(key)
    for part in parts:
        mac.update(part)
    try:
        _put(path.resolve(), [*parts, mac.digest()])
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None


def _put(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Puts a file in place of the one that is there, at once; who may read it stays so."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                there = path.stat()
                os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
                if (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, there.st_uid, there.st_gid)
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _mac(key: bytes) -> Any:
    return hashlib.blake2b(key=key, digest_size=_MAC, person=b"file")
