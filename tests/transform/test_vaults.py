"""Vaults that outlive an exchange, in every store: whose they are, how long, and sealed."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaults_world import opened, postgres_url

from guardrail.errors import ConfigError, VaultUnavailable
from guardrail.transform.stores.postgres import PostgresVaults
from guardrail.transform.stores.sqlite import SqliteVaults
from guardrail.transform.vault import Entry, Vault
from guardrail.transform.vaults import Kept, MemoryStore, Reference, Row, Store, Vaults
from guardrail.types import Principal

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CRM = Principal(id="crm")
KEY = b"a key of the deployment, 32 bytes or more"
OTHER = b"another key of the deployment, 32 bytes"
REFERENCE = Reference(space="openai", id="resp_canary-id")
ENTRIES = (
    Entry("EMAIL_ADDRESS", "EMAIL", 1, "canary@example.com"),
    Entry("PERSON", "PERSON", 1, "Erika Kanarienvogel"),
)
KEPT = Kept(entries=ENTRIES, endpoints=frozenset({"cloud"}), facts=("support",), inspected=True)

Opener = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opened(request.param, tmp_path) as open_one:
        yield open_one


@pytest.fixture(params=["sqlite", "postgres"])
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opened(request.param, tmp_path) as open_one:
        yield open_one


def vaults_of(opener: Opener, *keys: bytes, ttl: timedelta = timedelta(days=1)) -> Vaults:
    return Vaults(opener(), keys=keys or (KEY,), ttl=ttl)


def put(vaults: Vaults, kept: Kept = KEPT, *, owner: Principal = CRM, now: datetime = NOON) -> None:
    vaults.put(owner, [(REFERENCE, kept)], endpoint="cloud", said=(), now=now)


def content(kept: Kept | None) -> Kept | None:
    return replace(kept, version=0, expires=0) if kept else None


def test_what_is_kept_is_there_for_who_kept_it(opener: Opener) -> None:
    vaults = vaults_of(opener)
    assert vaults.open(CRM, REFERENCE, now=NOON) is None
    put(vaults)
    assert content(vaults_of(opener).open(CRM, REFERENCE, now=NOON)) == KEPT


@pytest.mark.parametrize(
    ("owner", "reference"),
    [
        pytest.param(Principal(id="shop"), REFERENCE, id="principal"),
        pytest.param(Principal(id="crm", tenant="other"), REFERENCE, id="tenant"),
        pytest.param(CRM, replace(REFERENCE, id="resp_canary-ie"), id="id"),
        pytest.param(CRM, replace(REFERENCE, space="anthropic"), id="space"),
        pytest.param(Principal(id="m", tenant="defaultcr"), REFERENCE, id="where parts join"),
    ],
)
def test_nobody_else_gets_it(opener: Opener, owner: Principal, reference: Reference) -> None:
    vaults = vaults_of(opener)
    put(vaults)
    assert vaults.open(owner, reference, now=NOON) is None


def test_it_is_gone_when_its_time_is_over(opener: Opener) -> None:
    vaults = vaults_of(opener, ttl=timedelta(minutes=10))
    put(vaults)
    assert vaults.open(CRM, REFERENCE, now=NOON + timedelta(minutes=9, seconds=59))
    later = NOON + timedelta(minutes=10)
    assert vaults.open(CRM, REFERENCE, now=later) is None
    assert vaults.keep(CRM, REFERENCE, Kept(), now=later)  # and another may take its place


def test_what_has_expired_is_dropped_from_the_store(durable: Opener) -> None:
    store = durable()
    vaults = Vaults(store, keys=(KEY,), ttl=timedelta(minutes=10))
    put(vaults)
    vaults.put(CRM, [(replace(REFERENCE, id="b"), KEPT)], endpoint="", said=(), now=NOON)
    put(vaults, now=NOON + timedelta(hours=1))
    assert vaults.erase(CRM) == 1


@pytest.mark.parametrize("keys", [(OTHER,), (OTHER, b"x" * 32)], ids=["one", "several"])
def test_without_its_key_there_is_nothing(opener: Opener, keys: tuple[bytes, ...]) -> None:
    put(vaults_of(opener))
    assert vaults_of(opener, *keys).open(CRM, REFERENCE, now=NOON) is None


def test_a_new_key_opens_what_the_old_one_sealed_and_seals_it_anew(opener: Opener) -> None:
    put(vaults_of(opener))
    rotated = vaults_of(opener, OTHER, KEY)
    kept = rotated.open(CRM, REFERENCE, now=NOON)
    assert content(kept) == KEPT
    assert kept is not None
    assert rotated.keep(CRM, REFERENCE, kept, now=NOON)
    assert content(vaults_of(opener, OTHER).open(CRM, REFERENCE, now=NOON)) == KEPT
    assert vaults_of(opener).open(CRM, REFERENCE, now=NOON) is None  # no second copy is left


class Tampered(MemoryStore):
    """A store that somebody else has written to."""

    def __init__(self, change: Callable[[Row], Row]) -> None:
        super().__init__()
        self._change = change

    def load(self, names: object, *, now: int) -> list[Row]:
        return [self._change(row) for row in super().load(names, now=now)]  # type: ignore[arg-type]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda row: replace(row, sealed=flipped(row.sealed, 0)), id="salt"),
        pytest.param(lambda row: replace(row, sealed=flipped(row.sealed, 16)), id="nonce"),
        pytest.param(lambda row: replace(row, sealed=flipped(row.sealed, 40)), id="content"),
        pytest.param(lambda row: replace(row, sealed=flipped(row.sealed, -1)), id="tag"),
        pytest.param(lambda row: replace(row, sealed=row.sealed[:20]), id="cut"),
        pytest.param(lambda row: replace(row, sealed=b""), id="empty"),
        pytest.param(lambda row: replace(row, expires=row.expires + 1), id="expiry"),
        pytest.param(lambda row: replace(row, version=row.version + 1), id="version"),
        pytest.param(lambda row: replace(row, version=-1), id="version below 0"),
        pytest.param(lambda row: replace(row, owner=b"x" * 32), id="owner"),
        pytest.param(lambda row: replace(row, key=b"x" * 32), id="key"),
        pytest.param(lambda row: replace(row, name=flipped(row.name, 3)), id="moved"),
    ],
)
def test_a_row_that_somebody_changed_holds_nothing(change: Callable[[Row], Row]) -> None:
    vaults = Vaults(Tampered(change), keys=(KEY,))
    put(vaults)
    kept = vaults.open(CRM, REFERENCE, now=NOON)
    assert kept is not None
    assert (kept.entries, kept.endpoints, kept.inspected) == ((), frozenset(), False)


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_no_changed_byte_is_read(at: int, by: int) -> None:
    def change(row: Row) -> Row:
        place = at % len(row.sealed)
        changed = bytes([row.sealed[place] ^ by])
        return replace(row, sealed=row.sealed[:place] + changed + row.sealed[place + 1 :])

    vaults = Vaults(Tampered(change), keys=(KEY,))
    put(vaults)
    kept = vaults.open(CRM, REFERENCE, now=NOON)
    assert kept is not None
    assert kept.entries == ()


def test_a_change_that_does_not_follow_what_is_there_is_not_made(opener: Opener) -> None:
    one, two = vaults_of(opener), vaults_of(opener)
    assert one.keep(CRM, REFERENCE, KEPT, now=NOON)
    assert not two.keep(CRM, REFERENCE, Kept(), now=NOON)
    seen = [vaults.open(CRM, REFERENCE, now=NOON) for vaults in (one, two)]
    assert seen[0] is not None
    assert seen[0] == seen[1]
    assert one.keep(CRM, REFERENCE, seen[0], now=NOON)
    assert not two.keep(CRM, REFERENCE, replace(seen[0], entries=()), now=NOON)
    assert content(two.open(CRM, REFERENCE, now=NOON)) == KEPT


def test_threads_that_number_at_once_give_no_number_twice(opener: Opener) -> None:
    handles = [vaults_of(opener) for _ in range(4)]
    given_out: dict[str, set[int]] = {}
    lock = threading.Lock()

    def work(vaults: Vaults, turn: int) -> None:
        for number in range(8):
            value = f"{number + 4 * turn}@example.com"
            while True:
                kept = vaults.open(CRM, REFERENCE, now=NOON) or Kept()
                vault = Vault(kept.entries)
                entry = vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=value)
                if vaults.keep(CRM, REFERENCE, replace(kept, entries=tuple(vault)), now=NOON):
                    break
            with lock:
                given_out.setdefault(value, set()).add(entry.number)

    threads = [threading.Thread(target=work, args=(v, t)) for t, v in enumerate(handles)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for numbers in given_out.values() for n in numbers) == list(range(1, 21))
    assert len(given_out) == 20


PROCESS = """
import sys
from dataclasses import replace
from datetime import UTC, datetime
from guardrail.transform.stores.postgres import PostgresVaults
from guardrail.transform.stores.sqlite import SqliteVaults
from guardrail.transform.vault import Vault
from guardrail.transform.vaults import Kept, Reference, Vaults
from guardrail.types import Principal

kind, where, who = sys.argv[1:]
store = SqliteVaults(where) if kind == "sqlite" else PostgresVaults(where)
vaults, crm = Vaults(store, keys=(b"k" * 32,)), Principal(id="crm")
reference, now = Reference(space="openai", id="conv_1"), datetime(2026, 1, 1, tzinfo=UTC)
for turn in range(15):
    while True:
        kept = vaults.open(crm, reference, now=now) or Kept()
        vault = Vault(kept.entries)
        entry = vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=f"{who}{turn}")
        if vaults.keep(crm, reference, replace(kept, entries=tuple(vault)), now=now):
            break
    print(entry.original, entry.number)
store.close()
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_processes_that_number_at_once_give_no_number_twice(kind: str, tmp_path: Path) -> None:
    with opened(kind, tmp_path) as open_one:
        where = str(tmp_path / "vaults.db") if kind == "sqlite" else postgres_url()
        crowd = [
            subprocess.Popen(
                [sys.executable, "-c", PROCESS, kind, where, who],
                stdout=subprocess.PIPE,
                text=True,
            )
            for who in "abc"
        ]
        lines = [line.split() for one in crowd for line in one.communicate()[0].splitlines()]
        assert [one.returncode for one in crowd] == [0, 0, 0]
        assert sorted(int(number) for _, number in lines) == list(range(1, 46))
        kept = Vaults(open_one(), keys=(b"k" * 32,)).open(
            CRM, Reference(space="openai", id="conv_1"), now=datetime(2026, 1, 1, tzinfo=UTC)
        )
    assert kept is not None
    assert {(e.original, str(e.number)) for e in kept.entries} == {(o, n) for o, n in lines}


def test_all_of_a_principal_can_be_erased(opener: Opener) -> None:
    vaults, shop = vaults_of(opener), Principal(id="shop")
    put(vaults)
    put(vaults, owner=shop)
    vaults.put(CRM, [], endpoint="cloud", said=[b"d" * 32], now=NOON)
    assert vaults.erase(CRM) == 2
    assert vaults.open(CRM, REFERENCE, now=NOON) is None
    assert not vaults.recalls(CRM, "cloud", b"d" * 32, now=NOON)
    assert vaults.open(shop, REFERENCE, now=NOON)


def test_what_is_erased_is_in_no_file_any_more(tmp_path: Path) -> None:
    with closing(SqliteVaults(tmp_path / "vaults.db")) as store:
        vaults = Vaults(store, keys=(KEY,))
        put(vaults)
        with closing(sqlite3.connect(tmp_path / "vaults.db")) as db:
            ((sealed,),) = db.execute("SELECT sealed FROM vaults").fetchall()
        vaults.erase(CRM)
        assert not [p.name for p in tmp_path.iterdir() if sealed in p.read_bytes()]


def test_what_an_endpoint_said_is_known_of_that_endpoint_alone(opener: Opener) -> None:
    vaults = vaults_of(opener)
    vaults.put(CRM, [], endpoint="cloud", said=[b"d" * 32], now=NOON)
    assert vaults.recalls(CRM, "cloud", b"d" * 32, now=NOON)
    assert not vaults.recalls(CRM, "paris", b"d" * 32, now=NOON)
    assert not vaults.recalls(CRM, "cloud", b"e" * 32, now=NOON)
    assert not vaults.recalls(Principal(id="shop"), "cloud", b"d" * 32, now=NOON)
    assert not vaults.recalls(CRM, "cloud", b"d" * 32, now=NOON + timedelta(days=2))


def test_only_what_is_still_used_is_kept_anew() -> None:
    vaults = Vaults(ttl=timedelta(minutes=10))
    put(vaults)
    kept = vaults.open(CRM, REFERENCE, now=NOON)
    assert kept is not None
    assert not vaults.is_ageing(kept, now=NOON + timedelta(minutes=5))
    assert vaults.is_ageing(kept, now=NOON + timedelta(minutes=6))


def test_the_least_recently_used_row_makes_room() -> None:
    vaults = Vaults(MemoryStore(size=2), keys=(KEY,))
    for name in "aba c".replace(" ", ""):
        reference = Reference(space="openai", id=name)
        if vaults.open(CRM, reference, now=NOON) is None:
            assert vaults.keep(CRM, reference, KEPT, now=NOON)
    left = [n for n in "abc" if vaults.open(CRM, Reference(space="openai", id=n), now=NOON)]
    assert left == ["a", "c"]


def test_nothing_is_in_clear(tmp_path: Path) -> None:
    path = tmp_path / "vaults.db"
    vaults = Vaults(SqliteVaults(path), keys=(KEY,))
    put(vaults)
    shown = f"{vaults!r} {vaults.open(CRM, REFERENCE, now=NOON)!r} {REFERENCE!r}"
    vaults.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (b"canary", b"Kanarienvogel", b"crm", b"EMAIL", b"cloud", b"support"):
        assert secret not in written
    assert "canary" not in shown
    assert "Kanarienvogel" not in shown


def test_a_restart_finds_what_was_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(Vaults(SqliteVaults(tmp_path / "vaults.db"), keys=(KEY,))) as vaults:
            put(vaults)
    with closing(Vaults(SqliteVaults(tmp_path / "vaults.db"), keys=(KEY,))) as vaults:
        assert content(vaults.open(CRM, REFERENCE, now=NOON)) == KEPT


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with closing(SqliteVaults(tmp_path / "vaults.db")):
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (x)")


def newer(path: Path) -> None:
    SqliteVaults(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(foreign, "not a store of vaults", id="another database"),
        pytest.param(lambda path: path.write_bytes(b"x" * 5000), "not a store", id="no database"),
        pytest.param(newer, "newer guardrail", id="newer"),
    ],
)
def test_a_file_of_something_else_is_left_alone(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    path = tmp_path / "vaults.db"
    make(path)
    with pytest.raises(ConfigError, match=says):
        SqliteVaults(path)


def test_a_store_that_cannot_be_used_says_so_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(VaultUnavailable, match=r"SQLITE|Error"):
        SqliteVaults(tmp_path / "nowhere" / "vaults.db")
    store = SqliteVaults(tmp_path / "vaults.db")
    vaults = Vaults(store, keys=(KEY,))
    store.close()
    with pytest.raises(VaultUnavailable, match="closed"):
        put(vaults)


def test_a_server_that_cannot_be_reached_says_so_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(VaultUnavailable) as caught:
        PostgresVaults("postgresql://me:canary@127.0.0.1:9/none")
    assert "canary" not in str(caught.value)


def test_a_connection_that_broke_is_replaced(tmp_path: Path) -> None:
    with opened("postgres", tmp_path) as open_one:
        import psycopg

        vaults = Vaults(open_one(), keys=(KEY,))
        put(vaults)
        with psycopg.connect(postgres_url(), autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        assert content(vaults.open(CRM, REFERENCE, now=NOON)) == KEPT


@pytest.mark.skipif("CI" not in os.environ, reason="on a developer's machine it may be absent")
def test_there_is_a_server_to_test_with() -> None:
    assert postgres_url()
