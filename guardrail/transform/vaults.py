"""Vaults that outlive an exchange: found by a provider's id or a conversation's, sealed where kept.

A stateful API keeps what it was sent, placeholders and all, under an id that later requests name.
So the vault behind those placeholders is kept under the same id, for the principal that asked and
for nobody else. A store sees neither the id nor a value: a row's name is a keyed digest of
principal and id, its content is AES-256-GCM under a key of its own (HKDF-SHA256, RFC 5869), bound
to the row. A row that cannot be opened is as good as none.

Each row has a version, and a change names the version that it follows. So two processes that
number new values of one conversation at once cannot both succeed: one of them reads again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from guardrail.transform.vault import Entry
from guardrail.types import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What exchanges are found again by: an id, and whose ids it is one of."""

    space: str
    id: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept under a reference: a vault, and what lies at the endpoint under that id.

    `endpoints` are those that hold it: each was permitted to. `facts` are those of the request that
    sent it. `inspected` says that there is nothing else there, `injected` that something there
    speaks to the model. `version` is what a change of it has to follow, 0 where there is nothing
    yet.
    """

    entries: tuple[Entry, ...] = ()
    endpoints: frozenset[str] = frozenset()
    facts: tuple[str, ...] = ()
    inspected: bool = False
    injected: bool = False
    version: int = 0
    expires: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a store keeps. `expires` is in seconds of Unix time, `key` tells the deployment's keys
    apart; nothing is in clear.
    """

    name: bytes
    owner: bytes
    version: int
    expires: int
    key: bytes = b""
    sealed: bytes = field(default=b"", repr=False)


class Store(Protocol):
    """Rows by name, for several threads; raises VaultUnavailable where it cannot be used.

    `light` says that it answers at once, so that an event loop need not fear it.
    """

    light: bool

    def load(self, names: Sequence[bytes], *, now: int) -> list[Row]:
        """Gives those of the named rows that have not expired."""
        ...

    def swap(self, row: Row, *, after: int, instead_of: bytes, now: int) -> bool:
        """Puts a row in the place of the named one of version `after`; 0: of none.

        Gives False, and changes nothing, where that is not what is there.
        """
        ...

    def put(self, rows: Sequence[Row], *, now: int) -> None:
        """Writes rows, whatever was there, and drops what has expired."""
        ...

    def erase(self, owners: Sequence[bytes]) -> int:
        """Deletes all rows of these owners and gives how many there were."""
        ...

    def close(self) -> None:
        """Lets go of what is open."""
        ...


class MemoryStore:
    """Rows of one process; beyond `size` the least recently used is dropped."""

    light = True

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._rows: OrderedDict[bytes, Row] = OrderedDict()

    def load(self, names: Sequence[bytes], *, now: int) -> list[Row]:
        """As `Store.load`."""
        with self._lock:
            found = [self._rows[name] for name in names if name in self._rows]
            for row in found:
                self._rows.move_to_end(row.name)
            return [row for row in found if row.expires > now]

    def swap(self, row: Row, *, after: int, instead_of: bytes, now: int) -> bool:
        """As `Store.swap`."""
        with self._lock:
            there = self._rows.get(instead_of)
            version = there.version if there and there.expires > now else 0
            if version != after:
                return False
            self._rows.pop(instead_of, None)
            self._write(row)
            return True

    def put(self, rows: Sequence[Row], *, now: int) -> None:
        """As `Store.put`."""
        with self._lock:
            for row in rows:
                self._write(row)

    def _write(self, row: Row) -> None:
        self._rows[row.name] = row
        self._rows.move_to_end(row.name)
        while len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def erase(self, owners: Sequence[bytes]) -> int:
        """As `Store.erase`."""
        with self._lock:
            doomed = [name for name, row in self._rows.items() if row.owner in owners]
            for name in doomed:
                del self._rows[name]
            return len(doomed)

    def close(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._rows.clear()

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._rows)} rows)"


@dataclass(frozen=True, slots=True)
class _Key:
    """What one secret of the deployment gives: its public id, and keys for names and contents."""

    id: bytes
    naming: bytes = field(repr=False)
    sealing: bytes = field(repr=False)


def _key(secret: bytes) -> _Key:
    return _Key(*(_derived(secret, b"guardrail vaults " + use, 32) for use in _USES))


_USES = (b"id", b"name", b"seal")


def _derived(secret: bytes, info: bytes, length: int, salt: bytes | None = None) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


class Vaults:
    """The vaults that are kept, each for one principal alone, and what endpoints said.

    `keys` are the deployment's secrets: the first seals, all of them open. Without any, nothing can
    be opened after this object is gone. `said` is where digests of answers are kept, if elsewhere.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        keys: Sequence[bytes] = (),
        ttl: timedelta = timedelta(minutes=30),
        said: Store | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store: Store = MemoryStore() if store is None else store
        self._said: Store = said or (MemoryStore(100_000) if store is None else store)
        self._keys = tuple(map(_key, keys or (random(32),)))
        self._ttl = int(ttl.total_seconds())
        self._random = random

    @property
    def light(self) -> bool:
        """Whether the store answers at once."""
        return self._store.light

    def open(self, owner: Principal, reference: Reference, *, now: datetime) -> Kept | None:
        """Gives what a principal has under a reference, None if nothing.

        What cannot be opened is given as it may be replaced: empty, at no endpoint.

        Raises:
            VaultUnavailable: the store does not answer.
        """
        names = [_name(key, owner, reference.space, reference.id) for key in self._keys]
        for row in self._store.load(names, now=_seconds(now)):
            return self._opened(row)
        return None

    def keep(self, owner: Principal, reference: Reference, kept: Kept, *, now: datetime) -> bool:
        """Keeps this instead of the version it follows; False if that is no longer there.

        Raises:
            VaultUnavailable: nothing was kept.
        """
        row = self._sealed(owner, reference, kept, now)
        names = [_name(key, owner, reference.space, reference.id) for key in self._keys]
        there = self._store.load(names, now=_seconds(now)) if len(names) > 1 else []
        instead_of = next((row.name for row in there), row.name)
        return self._store.swap(row, after=kept.version, instead_of=instead_of, now=_seconds(now))

    def put(
        self,
        owner: Principal,
        kept: Iterable[tuple[Reference, Kept]],
        *,
        endpoint: str,
        said: Iterable[bytes],
        now: datetime,
    ) -> None:
        """Keeps what an answer begins, whatever was there, and digests of what it said.

        Raises:
            VaultUnavailable: nothing was kept, or only a part.
        """
        rows = [self._sealed(owner, reference, each, now) for reference, each in kept]
        if rows:
            self._store.put(rows, now=_seconds(now))
        digests = [
            Row(
                name=_name(self._keys[0], owner, _SAID, endpoint, digest.hex()),
                owner=_owner(self._keys[0], owner),
                version=1,
                expires=_seconds(now) + self._ttl,
            )
            for digest in said
        ]
        if digests:
            self._said.put(digests, now=_seconds(now))

    def recalls(self, owner: Principal, endpoint: str, digest: bytes, *, now: datetime) -> bool:
        """Whether an endpoint said this to a principal.

        Raises:
            VaultUnavailable: the store does not answer.
        """
        names = [_name(key, owner, _SAID, endpoint, digest.hex()) for key in self._keys]
        return bool(self._said.load(names, now=_seconds(now)))

    def is_ageing(self, kept: Kept, *, now: datetime) -> bool:
        """Whether half of its time is over, so that what is still used should be kept anew."""
        return kept.version > 0 and kept.expires - _seconds(now) < self._ttl // 2

    def erase(self, owner: Principal) -> int:
        """Deletes all that is kept for a principal and gives how many rows that were.

        Raises:
            VaultUnavailable: the store does not answer.
        """
        owners = [_owner(key, owner) for key in self._keys]
        stores = [self._store] if self._said is self._store else [self._store, self._said]
        return sum(store.erase(owners) for store in stores)

    def close(self) -> None:
        """Closes the store."""
        self._store.close()
        self._said.close()

    def __repr__(self) -> str:
        return f"Vaults({self._store!r})"

    def _sealed(self, owner: Principal, reference: Reference, kept: Kept, now: datetime) -> Row:
        key = self._keys[0]
        row = Row(
            name=_name(key, owner, reference.space, reference.id),
            owner=_owner(key, owner),
            # A row that was deleted and made anew must not look like the one before.
            version=max(kept.version + 1, int(now.timestamp() * 1_000_000)),
            expires=_seconds(now) + self._ttl,
            key=key.id,
        )
        salt, nonce = self._random(_SALT), self._random(_NONCE)
        cipher = AESGCM(_derived(key.sealing, row.name, 32, salt))
        sealed = cipher.encrypt(nonce, _written(kept), _bound(row))
        return replace(row, sealed=salt + nonce + sealed)

    def _opened(self, row: Row) -> Kept:
        nothing = Kept(version=row.version, expires=row.expires)
        key = next((key for key in self._keys if hmac.compare_digest(key.id, row.key)), None)
        if key is None or len(row.sealed) < _SALT + _NONCE:
            return nothing
        salt, rest = row.sealed[:_SALT], row.sealed[_SALT:]
        cipher = AESGCM(_derived(key.sealing, row.name, 32, salt))
        try:
            plain = cipher.decrypt(rest[:_NONCE], rest[_NONCE:], _bound(row))
            return replace(_read(plain), version=row.version, expires=row.expires)
        except (InvalidTag, ValueError, KeyError, TypeError, OverflowError):
            return nothing


_SALT, _NONCE = 16, 12
_SAID = "said"


def _seconds(now: datetime) -> int:
    return int(now.timestamp())


def _name(key: _Key, owner: Principal, *parts: str) -> bytes:
    return _digest(key, "row", owner.tenant, owner.id, *parts)


def _owner(key: _Key, owner: Principal) -> bytes:
    return _digest(key, "owner", owner.tenant, owner.id)


def _digest(key: _Key, *parts: str) -> bytes:
    mac = hmac.new(key.naming, digestmod=hashlib.sha256)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        mac.update(len(data).to_bytes(8, "big") + data)
    return mac.digest()


def _bound(row: Row) -> bytes:
    """What a row's content belongs to, so that it opens nowhere else, and for no longer."""
    numbers = row.version.to_bytes(8, "big") + row.expires.to_bytes(8, "big")
    return b"".join((row.key, row.name, row.owner, numbers))


def _written(kept: Kept) -> bytes:
    content = {
        "entries": [[e.entity, e.word, e.number, e.original] for e in kept.entries],
        "endpoints": sorted(kept.endpoints),
        "facts": list(kept.facts),
        "inspected": kept.inspected,
        "injected": kept.injected,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _read(plain: bytes) -> Kept:
    content: dict[str, Any] = json.loads(plain)
    return Kept(
        entries=tuple(Entry(*entry) for entry in content["entries"]),
        endpoints=frozenset(content["endpoints"]),
        facts=tuple(content["facts"]),
        inspected=content["inspected"] is True,
        injected=content["injected"] is not False,
    )
