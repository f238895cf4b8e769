from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guardrail.audit.event import Unrecordable, event_id
from guardrail.audit.stores.sqlite import APPLICATION_ID, SCHEMA_VERSION, SqliteStore
from guardrail.errors import AuditUnavailable, ConfigError
from guardrail.types import AuditEvent

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def event(number: int) -> AuditEvent:
    return AuditEvent(
        id=event_id(NOW, number.to_bytes(10)),
        kind="egress.decision",
        at=NOW,
        exchange=f"x{number}",
        counts={"PERSON": 1},
        policies=("eu.eea",),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(path)) as opened:
        yield opened


def numbered(store: SqliteStore) -> list[tuple[int, AuditEvent]]:
    return store.read(limit=1_000_000)


def open_raw(path: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(path, isolation_level=None))


# Reading and writing


def test_what_is_appended_is_there_after_reopening(path: Path) -> None:
    with contextlib.closing(SqliteStore(path)) as first:
        assert first.append([event(1), event(2)]) == [1, 2]
    with contextlib.closing(SqliteStore(str(path))) as second:
        assert second.append([event(3)]) == [3]
        assert numbered(second) == [(1, event(1)), (2, event(2)), (3, event(3))]


def test_nothing_appended_is_nothing_written(store: SqliteStore) -> None:
    assert store.append([]) == []
    assert numbered(store) == []


def test_a_batch_larger_than_one_statement_is_one_transaction(store: SqliteStore) -> None:
    many = [event(i) for i in range(600)]
    assert store.append(many) == list(range(1, 601))
    spoiled = [event(i) for i in range(600, 1200)]
    with pytest.raises(Unrecordable, match="purpose"):
        store.append([*spoiled, replace(event(1200), purpose="free text")])
    with pytest.raises(Unrecordable, match="id"):
        store.append([*spoiled, replace(event(0), status=1)])
    assert [e for _, e in numbered(store)] == many


@pytest.mark.parametrize(
    ("expected", "again"),
    [
        ([1], [1]),
        ([1, 2], [1, 2]),
        ([2, 3, 1, 4], [2, 3, 1, 4]),
        ([3, 3], [3, 3]),
    ],
    ids=["same", "same-batch", "between-new-ones", "twice-in-one-batch"],
)
def test_an_event_offered_again_keeps_its_number(
    store: SqliteStore, expected: list[int], again: list[int]
) -> None:
    assert store.append([event(1), event(2)]) == [1, 2]
    assert store.append([event(i) for i in again]) == expected
    assert [number for number, _ in numbered(store)] == list(range(1, max(2, *expected, 0) + 1))


def test_an_id_that_belongs_to_another_event_is_refused(store: SqliteStore) -> None:
    store.append([event(1)])
    with pytest.raises(Unrecordable) as caught:
        store.append([event(2), replace(event(1), status=500)])
    assert caught.value.field == "id"
    assert numbered(store) == [(1, event(1))]


@pytest.mark.parametrize(
    ("expected", "after", "limit"),
    [([1, 2, 3], 0, 100), ([2, 3], 1, 100), ([2], 1, 1), ([], 3, 100), ([], 0, 0)],
)
def test_read_pages_through_the_log(
    store: SqliteStore, expected: list[int], after: int, limit: int
) -> None:
    store.append([event(i) for i in (1, 2, 3)])
    assert [number for number, _ in store.read(after=after, limit=limit)] == expected


@pytest.mark.parametrize(("expected", "limit"), [([2, 3], 2), ([1, 2, 3], 9), ([], 0)])
def test_last_gives_the_newest_oldest_first(
    store: SqliteStore, expected: list[int], limit: int
) -> None:
    store.append([event(i) for i in (1, 2, 3)])
    assert [number for number, _ in store.last(limit)] == expected


def test_readers_in_other_threads_see_whole_batches(store: SqliteStore) -> None:
    seen: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(len(numbered(store)))

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(50):
        store.append([event(i * 4 + k) for k in range(4)])
    stop.set()
    for reader in readers:
        reader.join()
    assert seen
    assert {count % 4 for count in seen} == {0}


def test_an_event_that_was_altered_in_the_file_is_not_read(store: SqliteStore, path: Path) -> None:
    store.append([event(1)])
    with open_raw(path) as raw:
        raw.execute("DROP TRIGGER events_are_not_changed")
        raw.execute(
            "UPDATE events SET event = CAST(replace(CAST(event AS TEXT), 'x1', 'x 1') AS BLOB)"
        )
    with pytest.raises(ValueError, match="not the bytes of an audit event"):
        store.read()


# The file


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET event = x''",
        "UPDATE events SET seq = 9",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events (id, event) SELECT id, x'' FROM events",
        "INSERT OR REPLACE INTO events (seq, id, event) VALUES (1, randomblob(16), x'')",
    ],
)
def test_what_is_written_is_neither_changed_nor_deleted(
    store: SqliteStore, path: Path, statement: str
) -> None:
    store.append([event(1)])
    with open_raw(path) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(statement)
    assert numbered(store) == [(1, event(1))]


def test_only_the_owner_reads_the_files(store: SqliteStore, path: Path) -> None:
    store.append([event(1)])
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    beside = ("", "-wal", "-shm", ".lock")
    assert modes == {path.name + suffix: 0o600 for suffix in beside}


def test_a_name_with_odd_characters_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%41 d.db"
    with contextlib.closing(SqliteStore(path)) as opened:
        opened.append([event(1)])
        assert path.stat().st_size > 0


def test_the_write_ahead_log_stays_small(path: Path) -> None:
    limit = 256 * 1024
    with contextlib.closing(SqliteStore(path, wal_limit=limit)) as opened:
        for start in range(0, 10_000, 100):
            opened.append([event(i) for i in range(start, start + 100)])
        assert path.with_name(path.name + "-wal").stat().st_size < 3 * limit
        assert path.stat().st_size > 3 * limit


def test_a_checkpoint_does_not_wait_for_a_reader(path: Path) -> None:
    with contextlib.closing(SqliteStore(path, wal_limit=0)) as opened:
        opened.append([event(1)])
        with open_raw(path) as raw:
            raw.execute("BEGIN")
            assert raw.execute("SELECT count(*) FROM events").fetchone() == (1,)
            assert opened.append([event(2)]) == [2]
            assert opened.append([event(3)]) == [3]


def other_database(path: Path) -> None:
    with open_raw(path) as raw:
        raw.execute("CREATE TABLE t (a)")


def text_file(path: Path) -> None:
    path.write_text("these are the minutes of the last meeting\n" * 100)


def newer_schema(path: Path) -> None:
    SqliteStore(path).close()
    with open_raw(path) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


@pytest.mark.parametrize(
    ("expected", "make"),
    [
        ("not an audit log of guardrail; name another file", other_database),
        ("not an audit log of guardrail; name another file", text_file),
        ("written by a newer guardrail .* upgrade guardrail, or name another file", newer_schema),
    ],
)
def test_a_file_that_is_not_ours_is_left_alone(path: Path, expected: str, make: object) -> None:
    assert callable(make)
    make(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=expected):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_the_file_says_what_it_is(store: SqliteStore, path: Path) -> None:
    with open_raw(path) as raw:
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert raw.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(
    ("expected", "pragma"),
    [
        (2, "synchronous"),  # FULL: a commit is on the disk before it returns
        (0, "busy_timeout"),
        (0, "wal_autocheckpoint"),
        (1, "foreign_keys"),
        (1, "secure_delete"),
        (0, "trusted_schema"),
        (1, "cell_size_check"),
    ],
)
def test_the_writing_connection_takes_no_risks(
    store: SqliteStore, expected: int, pragma: str
) -> None:
    # No other connection shows these, and no test here can cut the power.
    assert store._writer.execute(f"PRAGMA {pragma}").fetchone() == (expected,)


# Failing


def test_a_closed_store_is_unavailable_and_closes_twice(path: Path) -> None:
    closed = SqliteStore(path)
    closed.close()
    closed.close()
    with pytest.raises(AuditUnavailable, match="closed"):
        closed.append([event(1)])
    with pytest.raises(AuditUnavailable, match="ProgrammingError"):
        closed.read()


def test_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable, match="FileNotFoundError"):
        SqliteStore(tmp_path / "missing" / "audit.db")


def test_a_folder_in_place_of_the_file_is_unavailable(path: Path) -> None:
    path.mkdir()
    with pytest.raises(AuditUnavailable, match="SQLITE_CANTOPEN"):
        SqliteStore(path)


def test_a_file_that_another_program_holds_cannot_be_opened(path: Path) -> None:
    other_database(path)
    with open_raw(path) as raw:
        raw.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AuditUnavailable, match="SQLITE_BUSY"):
            SqliteStore(path)


def test_a_file_moved_away_takes_no_more_events(store: SqliteStore, path: Path) -> None:
    aside = path.rename(path.with_name("aside.db"))
    with pytest.raises(AuditUnavailable, match="FileNotFoundError"):
        store.append([event(1)])
    path.touch()
    with pytest.raises(AuditUnavailable, match="no longer where it was opened"):
        store.append([event(1)])
    aside.rename(path)
    assert store.append([event(1)]) == [1]


def test_a_foreign_lock_is_unavailable_at_once_and_recovers(store: SqliteStore, path: Path) -> None:
    with open_raw(path) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(AuditUnavailable, match="SQLITE_BUSY"):
            store.append([event(1)])
        raw.execute("ROLLBACK")
    assert store.append([event(1)]) == [1]


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out


COMMON = """
import os, resource, sys
from dataclasses import replace
from datetime import UTC, datetime
from guardrail.audit.event import event_id
from guardrail.audit.log import AuditLog
from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.errors import AuditUnavailable
from guardrail.types import AuditEvent

NOW = datetime(2026, 11, 20, tzinfo=UTC)

def new(count):
    return [
        AuditEvent(id=event_id(NOW, os.urandom(10)), kind="egress.decision", at=NOW, exchange="x1")
        for _ in range(count)
    ]
"""

READ_ONLY_FOLDER = (
    COMMON
    + """
folder = sys.argv[1]
if os.getuid() == 0:  # nothing is read-only for root
    os.chown(folder, 65534, 65534)
    os.setuid(65534)
os.chmod(folder, 0o500)
try:
    SqliteStore(folder + "/audit.db")
except AuditUnavailable as error:
    print(error)
os.chmod(folder, 0o700)
store = SqliteStore(folder + "/audit.db")
print(store.append(new(2)))
store.close()
"""
)


def test_a_read_only_folder_is_unavailable_and_recovers() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is closed to the other user
        out = finish(python(READ_ONLY_FOLDER, folder))
    assert out == "the audit log cannot be used: PermissionError\n[1, 2]\n"


FULL_DISK = (
    COMMON
    + """
path, make_room = sys.argv[1], sys.argv[2]
store = SqliteStore(path)
log = AuditLog(store)
if make_room == "limit":  # a file may not grow beyond this, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
else:  # leave some room on the small disk
    with open(make_room, "wb") as ballast:
        room = os.statvfs(path)
        ballast.write(bytes(room.f_bavail * room.f_bsize - 400_000))
acknowledged, refused = 0, 0
while refused < 20:
    batch = new(50)
    futures = [log.submit(event) for event in batch]
    for future in futures:
        try:
            future.result(10)
        except AuditUnavailable as error:
            assert str(error) == "the audit log cannot write" and not log.healthy
            refused += 1
        else:
            acknowledged += 1
assert log.lost == refused
assert len(store.read(limit=100_000)) == acknowledged > 0
if make_room == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
else:
    os.unlink(make_room)
for event in new(100):
    log.record_blocking(event)
assert log.healthy
log.close()
store = SqliteStore(path)
numbers = [number for number, _ in store.read(limit=100_000)]
assert numbers == list(range(1, acknowledged + 101))
store.close()
"""
)


def test_a_file_that_cannot_grow_loses_nothing_acknowledged_and_recovers(path: Path) -> None:
    process = python(FULL_DISK, path, "limit")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "the audit log cannot write, so nothing leaves" in err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing_acknowledged_and_recovers(small_disk: Path) -> None:
    process = python(FULL_DISK, small_disk / "audit.db", small_disk / "ballast")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "SQLITE_FULL" in err


def test_a_disk_that_turns_read_only_is_unavailable_and_recovers(small_disk: Path) -> None:
    def turn(mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", str(small_disk)], check=True)

    path = small_disk / "audit.db"
    SqliteStore(path).close()
    turn("ro")
    with pytest.raises(AuditUnavailable, match="OSError"):
        SqliteStore(path)
    turn("rw")
    with contextlib.closing(SqliteStore(path)) as opened:
        assert opened.append([event(1)]) == [1]


# Several processes, and their sudden end

APPENDING = (
    COMMON
    + """
store = SqliteStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(60):
    print(*store.append(new(3)))
store.close()
"""
)


def test_two_processes_share_one_sequence_without_gaps(path: Path) -> None:
    processes = [python(APPENDING, path) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    given = [[int(word) for word in finish(process).split()] for process in processes]
    assert sorted(given[0] + given[1]) == list(range(1, 361))
    assert all(part == sorted(part) for part in given)
    with contextlib.closing(SqliteStore(path)) as opened:
        assert [number for number, _ in numbered(opened)] == list(range(1, 361))


ACKNOWLEDGING = (
    COMMON
    + """
log = AuditLog(SqliteStore(sys.argv[1], wal_limit=200_000))
while True:
    batch = [(event, log.submit(event)) for event in new(20)]
    for event, future in batch:
        os.write(1, f"{future.result(30)} {event.id}\\n".encode())
"""
)


def kill_writers(path: Path, *, rounds: int, lines: Sequence[int]) -> None:
    acknowledged: dict[int, str] = {}

    def note(line: str) -> None:
        number, key = line.split()
        acknowledged[int(number)] = key

    for turn in range(rounds):
        processes = [python(ACKNOWLEDGING, path) for _ in range(2)]
        for process in processes:
            assert process.stdout is not None
            for _ in range(lines[turn % len(lines)]):
                note(process.stdout.readline())
        for process in processes:
            process.kill()
        for process in processes:
            with process:
                assert process.stdout is not None
                assert process.stderr is not None
                for line in process.stdout:  # acknowledged between the last look and the kill
                    note(line)
                assert process.stderr.read() == ""
            assert process.returncode == -signal.SIGKILL
        with contextlib.closing(SqliteStore(path)) as opened:
            written = {number: e.id for number, e in numbered(opened)}
        assert list(written) == list(range(1, len(written) + 1))
        assert acknowledged.items() <= written.items()
    with open_raw(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_killed_writer_loses_no_acknowledged_event(path: Path) -> None:
    kill_writers(path, rounds=3, lines=(1, 33, 150))


@pytest.mark.slow
def test_many_killed_writers_lose_no_acknowledged_event(path: Path) -> None:
    kill_writers(path, rounds=60, lines=(1, 7, 20, 21, 150, 400))
