"""Builds a list from values, and takes one out of it that is to be forgotten."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from guardrail.detection.known.file import Header, filter_of, open_list, write_list
from guardrail.detection.known.keys import START, fingerprint, hasher
from guardrail.detection.known.spelling import DIGIT, PERSON, Shape, Spelling, entries, joined
from guardrail.errors import ConfigError

_MOST_ENTITIES = 16


class ListBuilder:
    """Gathers the hashes of values, and writes them; a value is forgotten once it is hashed."""

    def __init__(self, key: bytes, spelling: Spelling) -> None:
        self._key = key
        self._spelling = spelling
        self._hashes = array("Q")
        self._masks = array("H")
        self._starts: set[int] = set()
        self._hashed = {shape: hasher(key, shape.value) for shape in Shape}
        # A name that many share need not be hashed for each of them.
        self._start = lru_cache(maxsize=2**16)(hasher(key, START))
        self._entities: dict[str, int] = {}
        self._lengths: set[int] = set()
        self._codes: set[int] = set()
        self._lead = 0
        self.values: Counter[str] = Counter()
        """How many values of each entity were taken."""
        self.skipped: Counter[str] = Counter()
        """How many were not, since they were too short, too long, or not what they should be."""

    def add(self, entity: str, value: str) -> None:
        """Takes one value into the list.

        Raises:
            ConfigError: it is of a seventeenth entity.
        """
        found = entries(entity, value, self._spelling)
        if not found:
            self.skipped[entity] += 1
            return
        bit = self._entities.setdefault(entity, len(self._entities))
        if bit >= _MOST_ENTITIES:
            raise ConfigError([f"a list holds up to {_MOST_ENTITIES} entities; make two lists"])
        self.values[entity] += 1
        for shape, parts in found:
            self._hashes.append(self._hashed[shape](joined(parts)))
            self._masks.append(1 << bit)
            if shape is Shape.WORDS:
                self._lengths.add(len(parts))
                # Any word of a name may come first, for they are in any order.
                starts = parts if entity == PERSON else parts[:1]
                self._starts.update(map(self._start, starts))
            elif shape is Shape.CODE:
                digit = DIGIT.search(parts[0])
                self._codes.add(len(parts[0]))
                self._lead = max(self._lead, digit.start() if digit else 0)

    def write(self, path: Path, *, now: datetime) -> Header:
        """Writes the list and gives its header.

        Raises:
            ConfigError: no value was taken, or the file cannot be written.
        """
        if not self._hashes:
            raise ConfigError([f"{path}: not written, for there is nobody to list"])
        hashes, masks = _merged(
            np.frombuffer(self._hashes, np.uint64), np.frombuffer(self._masks, np.uint16)
        )
        starts = np.fromiter(self._starts, np.uint64, len(self._starts))
        bits = filter_of(hashes, starts)
        header = Header(
            created=now.isoformat(timespec="seconds"),
            key=fingerprint(self._key),
            entities=tuple(self._entities),
            values=dict(self.values),
            hashes=len(hashes),
            words=tuple(sorted(self._lengths)),
            codes=tuple(sorted(self._codes)),
            lead=self._lead,
            filter_bits=8 * len(bits),
            region=self._spelling.region,
            variants=self._spelling.variants,
        )
        write_list(path, header, bits=bits, hashes=hashes, masks=masks, key=self._key)
        return header


def _merged(
    hashes: npt.NDArray[np.uint64], masks: npt.NDArray[np.uint16]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint16]]:
    """Sorted, each hash once, with all its entities."""
    order = np.argsort(hashes)
    hashes, masks = hashes[order], masks[order]
    firsts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
    return hashes[firsts], np.bitwise_or.reduceat(masks, firsts)


def remove_value(path: Path, key: bytes, value: str) -> int:
    """Takes a value out of a list, as every entity and in every spelling; gives how many hashes.

    Who else has the same name, or is spelt so, is taken out with it. A list that would be empty is
    left as it is. The filter keeps its bits, which tell nothing by themselves; a new build clears
    them.

    Raises:
        ConfigError: the list cannot be read or written, or nobody would be left in it.
    """
    snapshot = open_list(path, key)
    header = snapshot.header
    spelling = Spelling(region=header.region, variants=True, least_words=1, least_characters=1)
    hashed = snapshot.hashers
    wanted: dict[str, set[int]] = {
        entity: {hashed[shape](joined(parts)) for shape, parts in entries(entity, value, spelling)}
        for entity in header.entities
    }
    bits, hashes, masks = snapshot.arrays()
    masks = masks.copy()
    removed = 0
    values = dict(header.values)
    for bit, entity in enumerate(header.entities):
        gone = np.fromiter(wanted[entity], np.uint64, len(wanted[entity]))
        hit = np.isin(hashes, gone) & (masks >> bit & 1).astype(bool)
        masks[hit] &= np.uint16(~(1 << bit) & 0xFFFF)
        removed += int(hit.sum())
        values[entity] = max(0, values[entity] - bool(hit.any()))
    if not removed:
        return 0
    kept = masks != 0
    if not kept.any():
        raise ConfigError(
            [f"{path}: nobody would be left; delete the file and its line in the configuration"]
        )
    header = replace(header, hashes=int(kept.sum()), values=values)
    write_list(path, header, bits=bits, hashes=hashes[kept], masks=masks[kept], key=key)
    return removed
