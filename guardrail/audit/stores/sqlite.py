"""Audit events in one SQLite file on a local disk, shared safely by the processes of one machine.

A commit is on the disk before it is acknowledged (WAL with synchronous=FULL). Writers queue on a
lock file of their own, because SQLite's busy handler polls and starves whoever polls last; the
checkpoint runs under the same lock. A batch is written by one statement, so that Python's lock is
given up once per batch and not once per event: beside a busy event loop each return costs 5 ms.

The triggers stop mistakes, not an administrator. Do not carry an open store over a fork.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from guardrail.audit.event import Unrecordable, decode, encode
from guardrail.errors import AuditUnavailable, ConfigError
from guardrail.types import AuditEvent

APPLICATION_ID = 0x47524C41
"""What marks a SQLite file as an audit log (`GRLA`); `file(1)` shows it."""

SCHEMA_VERSION = 1
"""The schema that this release writes."""

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    event BLOB NOT NULL
) STRICT;
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- INSERT OR REPLACE deletes without firing the trigger above.
CREATE TRIGGER events_are_not_replaced BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id OR seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""  # noqa: S608 both values are constants of this module

_PRAGMAS = """
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 0;
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
"""

_ROWS_PER_STATEMENT = 256
_PAGE = 4096
_READ_PATIENCE_S = 1.0  # a reader may meet another that rebuilds the WAL index after a crash


class SqliteStore:
    """The audit log in the file at `path`: one thread appends, any thread reads.

    The file is made with mode 0600 if it does not exist; its folder must exist. Beside it stand
    SQLite's `-wal` and `-shm` and our `.lock`. `wal_limit` is in bytes, and approximate.

    Raises:
        ConfigError: the file is something else, or a newer release wrote it.
        AuditUnavailable: the file cannot be opened or made.
    """

    def __init__(self, path: Path | str, *, wal_limit: int = 16 * 2**20) -> None:
        self._path = Path(path).absolute()
        self._wal_limit = wal_limit
        self._wal_bytes = 0
        self._closed = False
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        with _storage_errors(), ExitStack() as opened:
            self._lock_file = _open_private(self._path.with_name(self._path.name + ".lock"))
            opened.callback(os.close, self._lock_file)
            with self._locked():
                # Only a file that is not there yet: to close another handle on one that SQLite has
                # open would drop SQLite's locks (https://sqlite.org/howtocorrupt.html, 2.2).
                with suppress(FileExistsError):
                    os.close(_open_private(self._path, os.O_EXCL))
                self._writer = opened.enter_context(closing(_connect(self._path)))
                _prepare(self._writer, self._path)
                self._reader = opened.enter_context(
                    closing(_connect(self._path, timeout=_READ_PATIENCE_S))
                )
                self._reader.executescript(_PRAGMAS + "PRAGMA query_only = ON;")
                self._identity = _identity(self._path)
            self._opened = opened.pop_all()

    def append(self, events: Sequence[AuditEvent]) -> list[int]:
        """Gives the sequence numbers of events once all of them are on the disk.

        All are written or none. Numbers start at 1 and have no gaps. An event that is already
        there keeps its number and is not written again.

        Raises:
            Unrecordable: an event does not encode, or its id belongs to another event.
            AuditUnavailable: nothing was acknowledged; the same events may be offered again.
        """
        rows = [(encode(event), bytes.fromhex(event.id)) for event in events]
        with _storage_errors(), self._writing, self._locked():
            if _identity(self._path) != self._identity:
                raise AuditUnavailable("the audit log's file is no longer where it was opened")
            with _transaction(self._writer):
                numbers = [
                    number
                    for start in range(0, len(rows), _ROWS_PER_STATEMENT)
                    for number in self._insert(rows[start : start + _ROWS_PER_STATEMENT])
                ]
            # A transaction writes three pages besides its events, more or less.
            self._wal_bytes += 3 * _PAGE + sum(len(data) for data, _ in rows)
            if self._wal_bytes >= self._wal_limit:
                self._checkpoint()
        return numbers

    def read(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Gives up to `limit` numbered events that follow number `after`, oldest first.

        Raises:
            ValueError: an event is not as it was written.
            AuditUnavailable: the file cannot be read.
        """
        return self._select("WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)

    def last(self, limit: int) -> list[tuple[int, AuditEvent]]:
        """Gives the newest events, up to `limit` of them, oldest first; raises as `read` does."""
        return self._select("ORDER BY seq DESC LIMIT ?", limit)[::-1]

    def close(self) -> None:
        """Closes the file; what is appended or read after this raises `AuditUnavailable`."""
        with _storage_errors(), self._writing, self._reading:
            if not self._closed:
                # The last connection to close checkpoints, so it waits for its turn like a writer.
                # The lock goes with its file, which is the last to be closed.
                fcntl.flock(self._lock_file, fcntl.LOCK_EX)
                self._closed = True
                self._opened.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._closed:
            raise AuditUnavailable("the audit log is closed")
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _insert(self, rows: Sequence[tuple[bytes, bytes]]) -> Sequence[int]:
        values = ", ".join(["(?, ?)"] * len(rows))
        statement = f"INSERT INTO events (event, id) VALUES {values}"  # noqa: S608 only "(?, ?)"
        try:
            cursor = self._writer.execute(statement, [value for row in rows for value in row])
        except sqlite3.IntegrityError:  # some are there already
            return [self._insert_once(data, key) for data, key in rows]
        assert cursor.lastrowid is not None
        return range(cursor.lastrowid - len(rows) + 1, cursor.lastrowid + 1)

    def _insert_once(self, data: bytes, key: bytes) -> int:
        known = self._writer.execute("SELECT seq, event FROM events WHERE id = ?", (key,))
        for number, written in known.fetchall():
            if written != data:
                raise Unrecordable("id")
            return int(number)
        return self._insert([(data, key)])[0]

    def _checkpoint(self) -> None:
        # What is in the WAL is durable, so a checkpoint that fails costs no event: the next batch
        # tries again. It waits for no reader; the next writer then starts the WAL from its head.
        with suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._wal_bytes = 0

    def _select(self, clause: str, *values: int) -> list[tuple[int, AuditEvent]]:
        statement = f"SELECT seq, event FROM events {clause}"  # noqa: S608 clause is a constant
        with _storage_errors(), self._reading:
            rows = self._reader.execute(statement, values).fetchall()
        return [(number, decode(data)) for number, data in rows]


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        # Only the class of error: a database's message may quote what it was given.
        code = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise AuditUnavailable(f"the audit log cannot be used: {code}") from None


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # nothing to do where SQLite did it itself, as on a full disk
        raise


def _open_private(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _connect(path: Path, *, timeout: float = 0) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw",  # never makes the file: it would not be private
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.executescript(_PRAGMAS)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        application, version, objects = None, 0, 1
    if objects and application != APPLICATION_ID:
        raise ConfigError([f"{path}: not an audit log of guardrail; name another file"])
    if version > SCHEMA_VERSION:
        raise ConfigError(
            [
                f"{path}: written by a newer guardrail (schema {version}, this release knows "
                f"{SCHEMA_VERSION}); upgrade guardrail, or name another file"
            ]
        )
    connection.execute("PRAGMA journal_mode = WAL")
    if not objects:
        connection.executescript(_SCHEMA)
