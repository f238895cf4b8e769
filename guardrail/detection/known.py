"""People a controller knows: its customers, employees, patients, found wherever they are named.

A list holds keyed hashes of names, numbers and addresses, and no text. Each value is normalised,
hashed with BLAKE2b under a secret key to 64 bits, and the hashes are sorted. A text is cut into
words; those that may begin an entry are known by a filter in memory, so most cost one hash and no
look-up. Without the key, nothing in a list can be guessed; with it, any value can be tried, so a
list is pseudonymised, and still personal data (GDPR art. 4(5)).

Of a list with n hashes, a value that is not in it is taken for one of them with a probability of
n / 2**64: 5.4e-13 for ten million.

Source: RFC 7693 (BLAKE2, keyed); Unicode Standard Annex 15 (NFKC).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
import struct
import sys
import tempfile
import threading
import unicodedata
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from itertools import chain
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import phonenumbers
import regex

from guardrail.detection.normalize import view
from guardrail.errors import ConfigError, DetectorUnavailable
from guardrail.types import Finding, Span, TextUnit

PERSON, PHONE = "PERSON", "PHONE_NUMBER"


class KnownListUnavailable(DetectorUnavailable):
    """A list of known people is gone, damaged, or made with another key."""


# ── values ───────────────────────────────────────────────────────────────────────────────────────


class Shape(Enum):
    """How values of an entity are read; each shape is hashed in a space of its own.

    `WORDS` are compared word by word, in any order. A `CODE` is letters and digits, whatever
    separates them. An `EMAIL` is compared as a whole, without the part after `+`.
    """

    WORDS = b"words"
    CODE = b"code"
    EMAIL = b"email"


_START = b"start"
_SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        PERSON: Shape.WORDS,
        "STREET_ADDRESS": Shape.WORDS,
        "LOCATION": Shape.WORDS,
        "EMAIL_ADDRESS": Shape.EMAIL,
    }
)
"""Values of other entities are codes where they hold a digit, and words where they hold none."""

_WHOLE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without spaces, of which each letter counts as a word."""
_WORD = regex.compile(
    rf"[{_WHOLE}]\p{{M}}*+|[[\p{{L}}\p{{M}}\p{{N}}]--[{_WHOLE}]]++", regex.V1 | regex.UNICODE
)
_PLAIN_WORD = re.compile(r"[^\W_]+")
_NOT_PLAIN = regex.compile(rf"[\p{{M}}{_WHOLE}]")
_DIGIT = regex.compile(r"\d")
_WORD_GAP = regex.compile(r"""[\s,.;:|/&()"'’‘`´_·\-]{0,16}""")
"""What may stand between two words of one name: `Lovelace, Ada`, `"Lovelace";"Ada"`."""
_CODE_GAP = regex.compile(r"[ \-./_:()+#*|]{0,3}")
_NOBODY = frozenset(
    "|na|none|null|nil|nan|unknown|unbekannt|tbd|test|test test|test user|no name|not available|"
    "not applicable|not known|keine angabe|ka|none none|unknown unknown".split("|")
)
"""What tables hold where they know nothing; to look for it would alarm at every turn."""
_LATIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
)
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}
    | {"Å": "Aa", "Ø": "Oe"}
)
_MARKS = regex.compile("[\u0300-\u036f]++")
_UMLAUT_SPELT = regex.compile(r"([aou])e")
_TITLES = frozenset(
    "mr mrs ms miss mx dr prof sir dame herr frau dipl ing med phil jur rer nat mba phd md jr sr "
    "ii iii m mme mlle sig sra srta dott".split()
)
_STREETS = (("strasse", "str"), ("street", "st"), ("road", "rd"), ("avenue", "ave"))
_LONGEST_CODE, _MOST_PARTS = 64, 16
_LONGEST_NAME = 16
"""Words. Longer entries are not taken, so that a hostile text costs no more than a long one."""


def _words(text: str) -> list[tuple[int, int, str]]:
    """Start, end and folded form of each word of a view."""
    if text.isascii():
        return [(m.start(), m.end(), m[0]) for m in _PLAIN_WORD.finditer(text.lower())]
    if not _NOT_PLAIN.search(text):
        return [
            (m.start(), m.end(), m[0].lower() if m[0].isascii() else _fold(m[0]))
            for m in _PLAIN_WORD.finditer(text)
        ]
    return [(*m.span(), _fold(m.group())) for m in _WORD.finditer(text)]


def _fold(word: str) -> str:
    """Without case and accents: `Müller`, `MULLER` and `muller` are one word."""
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return unicodedata.normalize("NFC", _MARKS.sub("", apart).translate(_LATIN))


def _fold_email(address: str) -> str:
    local, _, domain = unicodedata.normalize("NFKC", address).casefold().rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How values are taken into a list.

    `region` is the country (ISO 3166) of telephone numbers that name none. `variants` adds
    initials, names without the middle ones, `Muller` for `Mueller`, and the first line of an
    address. `least_words` is how many words a name must have, `least_characters` how many letters
    and digits a code.
    """

    region: str = ""
    variants: bool = False
    least_words: int = 2
    least_characters: int = 5


Entry = tuple[Shape, tuple[str, ...]]
"""Shape and parts: the words of a name, or the one part of a code or an e-mail address."""


def entries(entity: str, value: str, spelling: Spelling) -> list[Entry]:
    """Gives every entry that one value of a list becomes; none where it is too short or too long.

    >>> entries("PERSON", "Dr. Lovelace, Ada", Spelling())
    [(<Shape.WORDS: b'words'>, ('ada', 'lovelace'))]
    >>> entries("EMAIL_ADDRESS", "Ada@Example.com", Spelling())
    [(<Shape.EMAIL: b'email'>, ('ada@example.com',))]
    """
    seen = view(value.strip()).text
    said = [word for _, _, word in _words(seen)]
    if not _is_told(said):
        return []
    shape = _SHAPES.get(entity)
    if shape is Shape.EMAIL:
        local, _, domain = seen.rpartition("@")
        return [(Shape.EMAIL, (_fold_email(seen),))] if local and domain else []
    if shape is Shape.WORDS:
        names = _names(seen, spelling) if entity == PERSON else _places(seen, spelling)
        least = spelling.least_words if entity == PERSON else 1
        return _within(names, least=least)
    if entity == PHONE:
        codes = _numbers(seen, spelling.region)
    elif _DIGIT.search(seen):
        codes = iter(["".join(said)])
    else:
        long_enough = sum(map(len, said)) >= spelling.least_characters
        return _within([said] if long_enough else [], least=1)
    return [
        (Shape.CODE, (code,))
        for code in dict.fromkeys(codes)
        if spelling.least_characters <= len(code) <= _LONGEST_CODE
    ]


def _within(names: Iterable[Sequence[str]], *, least: int) -> list[Entry]:
    unique = dict.fromkeys(tuple(name) for name in names)
    return [(Shape.WORDS, name) for name in unique if least <= len(name) <= _LONGEST_NAME]


def _names(name: str, spelling: Spelling) -> Iterator[list[str]]:
    """`Given Family` or `Family, Given`, which words in any order make one entry."""
    spellings = [name]
    if not name.isascii():
        spellings.append(unicodedata.normalize("NFC", name).translate(_UMLAUTS))
    for spelt in spellings:
        family_first, comma, rest = spelt.partition(",")
        family = _without_titles(family_first)
        given = _without_titles(rest)
        if not comma or not given or not family:
            both = [*family, *given]
            given, family = both[:-1], both[-1:]
        yield [*given, *family]
        if spelling.variants:
            yield from _shortened(given, family)


def _shortened(given: list[str], family: list[str]) -> Iterator[list[str]]:
    for kin in (family, [_UMLAUT_SPELT.sub(r"\1", word) for word in family]):
        for own in (given, [_UMLAUT_SPELT.sub(r"\1", word) for word in given]):
            if own:
                first, others = own[0], own[1:]
                yield [*own, *kin]
                yield [first, *kin]
                yield [first, *(word[0] for word in others), *kin]
                yield [first[0], *kin]
                yield [*(word[0] for word in own), *kin]


def _without_titles(name: str) -> list[str]:
    words = [word for _, _, word in _words(name)]
    while len(words) > 1 and words[0] in _TITLES:
        words.pop(0)
    while len(words) > 1 and words[-1] in _TITLES:
        words.pop()
    return words if _is_told(words) else []


def _is_told(words: Sequence[str]) -> bool:
    return not {" ".join(words), "".join(words)} & _NOBODY


def _places(place: str, spelling: Spelling) -> Iterator[list[str]]:
    lines = [place]
    first = regex.split(r"[,\n;]", place, maxsplit=1)[0]
    if spelling.variants and _DIGIT.search(first) and " " in first.strip():
        lines.append(first)
    for line in lines:
        for spelt in dict.fromkeys((line, line.translate(_UMLAUTS))):
            words = [word for _, _, word in _words(spelt)]
            yield words
            yield [_abbreviated(word) for word in words]


def _abbreviated(word: str) -> str:
    for long, short in _STREETS:
        if word.endswith(long):
            return word.removesuffix(long) + short
    return word


def _numbers(number: str, region: str) -> Iterator[str]:
    """Digits of a telephone number as it is written, within its country, and from abroad."""
    digits = "".join(_DIGIT.findall(number))
    yield digits
    international = f"+{digits[2:]}" if digits.startswith("00") else number
    try:
        parsed = phonenumbers.parse(international, region or None)
    except phonenumbers.NumberParseException:
        return
    country = str(parsed.country_code)
    national = phonenumbers.national_significant_number(parsed)
    trunk = _trunk(parsed.country_code or 0)
    yield f"{country}{national}"
    yield f"{trunk}{national}"
    if trunk == "0":
        yield f"{country}0{national}"  # +49 (0)30 …
    else:
        yield national


@lru_cache(maxsize=512)
def _trunk(country: int) -> str:
    region = phonenumbers.region_code_for_country_code(country)
    return phonenumbers.ndd_prefix_for_region(region, True) or ""


# ── hashes ───────────────────────────────────────────────────────────────────────────────────────


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


def _hasher(key: bytes, space: bytes) -> Callable[[str], int]:
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


def _mac(key: bytes) -> Any:
    return hashlib.blake2b(key=key, digest_size=_MAC, person=b"file")


# ── the file ─────────────────────────────────────────────────────────────────────────────────────

_MAGIC = b"GRKNOWN1"
_PREFIX = struct.Struct("<8sI")
_MAC = 32
_BLOCK = 256
"""Hashes of which the first is kept in memory, so that a look-up is one read of two kilobytes."""
_FILTER_BITS = 10
"""Bits of the filter for each hash, at least; two are set. About one in thirty passes unduly."""
_MOST_ENTITIES = 16


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
        self.hashers = {shape: _hasher(key, shape.value) for shape in Shape}
        self.start = _hasher(key, _START)
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


def _write(
    path: Path,
    header: Header,
    *,
    bits: bytes,
    hashes: npt.NDArray[np.uint64],
    masks: npt.NDArray[np.uint16],
    key: bytes,
) -> None:
    """Puts a whole list in place of whatever is at `path`, at once; who may read it stays so."""
    encoded = header.encode()
    mac = _mac(key)
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                there = path.stat()
                os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
                if (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, there.st_uid, there.st_gid)
            for part in (
                _PREFIX.pack(_MAGIC, len(encoded)),
                encoded,
                bits,
                hashes.data.cast("B"),
                masks.data.cast("B"),
            ):
                mac.update(part)
                file.write(part)
            file.write(mac.digest())
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


# ── building ─────────────────────────────────────────────────────────────────────────────────────


class ListBuilder:
    """Gathers the hashes of values, and writes them; a value is forgotten once it is hashed."""

    def __init__(self, key: bytes, spelling: Spelling) -> None:
        self._key = key
        self._spelling = spelling
        self._hashes = array("Q")
        self._masks = array("H")
        self._starts: set[int] = set()
        self._hashed = {shape: _hasher(key, shape.value) for shape in Shape}
        # A name that many share need not be hashed for each of them.
        self._start = lru_cache(maxsize=2**16)(_hasher(key, _START))
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
            self._hashes.append(self._hashed[shape](_joined(parts)))
            self._masks.append(1 << bit)
            if shape is Shape.WORDS:
                self._lengths.add(len(parts))
                # Any word of a name may come first, for they are in any order.
                starts = parts if entity == PERSON else parts[:1]
                self._starts.update(map(self._start, starts))
            elif shape is Shape.CODE:
                digit = _DIGIT.search(parts[0])
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
        bits = _filter_of(hashes, starts)
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
        try:
            _write(path, header, bits=bits, hashes=hashes, masks=masks, key=self._key)
        except OSError as error:
            raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None
        return header


def _joined(words: Sequence[str]) -> str:
    return " ".join(sorted(words))


def _merged(
    hashes: npt.NDArray[np.uint64], masks: npt.NDArray[np.uint16]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint16]]:
    """Sorted, each hash once, with all its entities."""
    order = np.argsort(hashes)
    hashes, masks = hashes[order], masks[order]
    firsts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
    return hashes[firsts], np.bitwise_or.reduceat(masks, firsts)


def _filter_of(*keys: npt.NDArray[np.uint64]) -> bytes:
    count = sum(len(part) for part in keys)
    size = min(2**32, max(2**10, 1 << (_FILTER_BITS * count - 1).bit_length()))
    bits = np.zeros(size // 8, np.uint8)
    for part in keys:
        for start in range(0, len(part), 2**20):
            chunk = part[start : start + 2**20]
            for shift in (0, 32):
                at = (chunk >> np.uint64(shift)) & np.uint64(size - 1)
                bit = np.left_shift(1, (at & np.uint64(7)).astype(np.uint8)).astype(np.uint8)
                np.bitwise_or.at(bits, (at >> np.uint64(3)).astype(np.int64), bit)
    return bits.tobytes()


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
        entity: {hashed[shape](_joined(parts)) for shape, parts in entries(entity, value, spelling)}
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
    told = {name: getattr(header, name) for name in header.__slots__}
    header = Header(**{**told, "hashes": int(kept.sum()), "values": values})
    try:
        _write(path, header, bits=bits, hashes=hashes[kept], masks=masks[kept], key=key)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be written: {error.strerror}"]) from None
    return removed


# ── finding ──────────────────────────────────────────────────────────────────────────────────────

_LOCAL_ENDS = frozenset(' \t\n\r\f\v<>()[],;:"\\@')
_LOCAL_MARKS = regex.compile(r"[^\w.+%-]")
_DOMAIN = regex.compile(r"[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){0,8}")
_LONGEST_LOCAL = 64
_MOST_BEGINNINGS = 4
_CODE_LEAD = 3
"""Words without a digit that may precede the first one with a digit: `KD-NR-12345`."""


class _Watch:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeople:
    """Finds whoever and whatever is in one list; safe to use from several threads.

    The file is looked at before and after each text: a list that is replaced holds from the next
    text on, and one that is gone or damaged stops detection. `timeout` is in seconds, for one text.
    """

    name: str
    exclude: frozenset[str] = frozenset()
    timeout: float = 2.0
    _watch: _Watch = field(repr=False)

    @property
    def entities(self) -> frozenset[str]:
        """What the list holds now. Raises KnownListUnavailable: there is none."""
        return frozenset(self._watch.current().header.entities) - self.exclude

    @property
    def generation(self) -> str:
        """Another one for each content of the list, so that findings of an older one are not kept.

        Raises:
            KnownListUnavailable: there is no list that can be used.
        """
        return self._watch.current().version

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives each entry of the list that stands in the text, at score 1; they may overlap.

        Raises:
            KnownListUnavailable: the list is gone, damaged, or changes all the time.
            TimeoutError: it took too long.
        """
        for _ in range(3):
            snapshot = self._watch.current()
            try:
                found = list(self._find(snapshot, unit.text, monotonic() + self.timeout))
            except TimeoutError:  # which is an OSError
                raise
            except (OSError, ValueError):
                continue  # cut short under our hands: look at what is there now
            if self._watch.current() is snapshot:
                return found
        raise KnownListUnavailable(f"{self.name}: the list changes while it is read")

    def _find(self, snapshot: Snapshot, text: str, deadline: float) -> Iterator[Finding]:
        reader = _Reader(snapshot, text, deadline)
        entities = snapshot.header.entities
        for start, end, mask in chain(reader.names(), reader.codes(), reader.emails()):
            for bit, entity in enumerate(entities):
                if mask >> bit & 1 and entity not in self.exclude:
                    yield Finding(
                        entity=entity,
                        span=Span(start, end),
                        score=1.0,
                        recognizer=f"known:{self.name}",
                    )


Hit = tuple[int, int, int]
"""Start, end, and one bit for each entity."""


class _Reader:
    """Reads one text by one list."""

    def __init__(self, snapshot: Snapshot, text: str, deadline: float) -> None:
        self._list = snapshot
        self._text = text
        self._deadline = deadline
        self._words = _words(text)
        self._codes: dict[str, int] = {}
        entities = snapshot.header.entities
        self._person, self._phone = (
            1 << entities.index(entity) if entity in entities else 0 for entity in (PERSON, PHONE)
        )

    def _in_time(self) -> None:
        if monotonic() > self._deadline:
            raise TimeoutError

    def names(self) -> Iterator[Hit]:
        """Entries of words: the longest one from each word on."""
        lengths = self._list.header.words
        if not lengths:
            return
        may_hold = self._list.may_hold
        start = self._list.start
        begins: dict[str, bool] = {}
        for at, (_, _, word) in enumerate(self._words):
            known = begins.get(word)
            if known is None:
                if not at & 255:
                    self._in_time()
                known = begins[word] = may_hold(start(word))
            if known:
                yield from self._longest_name(at)

    def _longest_name(self, at: int) -> Iterator[Hit]:
        lengths, words, text = self._list.header.words, self._words, self._text
        self._in_time()
        reach = 1
        longest = min(lengths[-1], len(words) - at)
        while reach < longest:
            end, start = words[at + reach - 1][1], words[at + reach][0]
            if text[end:start] != " " and not _WORD_GAP.fullmatch(text, end, start):
                break
            reach += 1
        hashed = self._list.hashers[Shape.WORDS]
        for count in reversed(lengths):
            if count > reach:
                continue
            parts = [word for _, _, word in words[at : at + count]]
            mask = self._list.entities_of(hashed(_joined(parts)))
            if not mask and count > 1 and len(parts[-1]) > 2 and parts[-1][-1] == "s":
                parts[-1] = parts[-1][:-1]  # Lovelaces Brief
                mask = self._list.entities_of(hashed(_joined(parts))) & self._person
            if mask & self._person and not self._is_name(at, count):
                mask &= ~self._person
            if mask:
                yield words[at][0], words[at + count - 1][1], mask
                return

    def _is_name(self, at: int, count: int) -> bool:
        """Not `will` by itself, nor the `a` or `s` of another word for an initial."""
        text = self._text
        for start, end, _ in self._words[at : at + count]:
            alone = count == 1 or end - start == 1
            if alone and text[start:end].islower() and text[end : end + 1] not in ("'", "’"):
                return False
        return True

    def codes(self) -> Iterator[Hit]:
        """Entries of letters and digits: the longest one from each word on."""
        lengths = frozenset(self._list.header.codes)
        if not lengths:
            return
        words, lead = self._words, self._list.header.lead
        numeric = [at for at, (_, _, word) in enumerate(words) if not word.isalpha()]
        hashed = self._list.hashers[Shape.CODE]
        longest = max(lengths) + 2  # the 00 before a country's code
        begun = 0
        for at in numeric:
            self._in_time()
            first, letters = at, 0
            while first > begun and at - first < _CODE_LEAD:
                letters += len(words[first - 1][2])
                if letters > lead:
                    break
                first -= 1
            for start in range(first, at + 1):
                yield from self._longest_code(start, longest, lengths, hashed)
            begun = at + 1

    def _longest_code(
        self, first: int, longest: int, lengths: frozenset[int], hashed: Callable[[str], int]
    ) -> Iterator[Hit]:
        text, words = self._text, self._words
        found: Hit | None = None
        seen = self._codes
        code, end = "", words[first][0]
        for start, stop, word in words[first : first + _MOST_PARTS]:
            if len(code) + len(word) > longest:
                break
            if code and not _CODE_GAP.fullmatch(text, end, start):
                break
            code, end = code + word, stop
            if code.isalpha():
                continue
            mask = seen.get(code)
            if mask is None:
                mask = self._list.entities_of(hashed(code)) if len(code) in lengths else 0
                if not mask and code.startswith("00") and len(code) - 2 in lengths:
                    mask = self._list.entities_of(hashed(code[2:])) & self._phone
                seen[code] = mask
            if mask:
                begin = words[first][0]
                begin -= text[max(0, begin - 1) : begin] == "+"
                found = (begin, end, mask)
        if found:
            yield found

    def emails(self) -> Iterator[Hit]:
        """Entries that are e-mail addresses."""
        text = self._text
        hashed = self._list.hashers[Shape.EMAIL]
        at = text.find("@")
        while at >= 0:
            self._in_time()
            begin = at
            while begin > 0 and at - begin < _LONGEST_LOCAL and text[begin - 1] not in _LOCAL_ENDS:
                begin -= 1
            domain = _DOMAIN.match(text, at + 1)
            if domain and begin < at:
                yield from self._email(begin, at, domain.group(), hashed)
            at = text.find("@", at + 1)

    def _email(
        self, begin: int, at: int, domain: str, hashed: Callable[[str], int]
    ) -> Iterator[Hit]:
        text = self._text
        marks = [begin + m.end() for m in _LOCAL_MARKS.finditer(text[begin:at])]
        labels = domain.rstrip("-").split(".")
        domains = [
            ".".join(labels[:count])
            for count in range(len(labels), 0, -1)
            if count == len(labels) or labels[count][:1].isupper()  # `…@example.com.Then`
        ]
        for start in (begin, *marks[-_MOST_BEGINNINGS:]):
            for name in domains:
                if start < at:
                    mask = self._list.entities_of(hashed(_fold_email(f"{text[start:at]}@{name}")))
                    if mask:
                        yield start, at + 1 + len(name), mask
                        return


def load_known(
    paths: Iterable[Path], secret: str, *, exclude: frozenset[str] = frozenset()
) -> tuple[KnownPeople, ...]:
    """Gives a recognizer for each list, named like its file.

    `secret` is what the lists were built with; `exclude` names entities that are not to be found.

    Raises:
        ConfigError: the secret is too short; each list that cannot be read, is damaged, empty, or
            was built with another key.
    """
    key = key_of(secret)
    problems: list[str] = []
    found: list[KnownPeople] = []
    for path in paths:
        try:
            snapshot = open_list(path, key)
        except ConfigError as error:
            problems += [f"detection.known: {problem}" for problem in error.problems]
        else:
            watch = _Watch(path, key, snapshot)
            found.append(KnownPeople(name=path.stem, exclude=exclude, _watch=watch))
    if problems:
        raise ConfigError(problems)
    return tuple(found)
