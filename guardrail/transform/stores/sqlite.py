"""Vaults in one SQLite file on a local disk, shared safely by the processes of one machine.

A commit is on the disk before it is acknowledged (WAL with synchronous=FULL), and what is deleted
is overwritten (secure_delete). Do not carry an open store over a fork.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from guardrail.errors import ConfigError, VaultUnavailable
from guardrail.transform.vaults import Row

APPLICATION_ID = 0x47524C56
"""What marks a SQLite file as a store of vaults (`GRLV`)."""

SCHEMA_VERSION = 1
"""The schema that this release writes."""

_SCHEMA = f"""
CREATE TABLE vaults (
    name BLOB PRIMARY KEY,
    owner BLOB NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    key BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX vaults_by_owner ON vaults (owner);
CREATE INDEX vaults_by_expiry ON vaults (expires);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_PRAGMAS = """
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
"""

_PATIENCE_S = 10.0
_COLUMNS = "name, owner, version, expires, key, sealed"
_WRITE = f"INSERT OR REPLACE INTO vaults ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 constant


class SqliteVaults:
    """Rows in the file at `path`, made with mode 0600 if it does not exist; its folder must.

    Raises:
        ConfigError: the file is something else, or a newer release wrote it.
        VaultUnavailable: the file cannot be opened or made.
    """

    light = False

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path).absolute()
        self._lock = threading.Lock()
        self._closed = False
        with _storage_errors():
            with suppress(FileExistsError):  # never another handle on a file that SQLite has open
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(self._path, flags, 0o600))
            self._db = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                timeout=_PATIENCE_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise self._foreign() from None
            raise
        self._db.executescript(_PRAGMAS)
        with self._transaction() as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            (objects,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if objects and application != APPLICATION_ID:
                raise self._foreign()
            if version > SCHEMA_VERSION:
                problem = (
                    f"{self._path}: written by a newer guardrail (schema {version}, this release "
                    f"knows {SCHEMA_VERSION}); upgrade guardrail, or name another file"
                )
                raise ConfigError([problem])
            if not objects:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)

    def _foreign(self) -> ConfigError:
        return ConfigError([f"{self._path}: not a store of vaults; name another file"])

    def load(self, names: Sequence[bytes], *, now: int) -> list[Row]:
        """As `Store.load`."""
        marks = ", ".join("?" * len(names))
        query = f"SELECT {_COLUMNS} FROM vaults WHERE name IN ({marks}) AND expires > ?"  # noqa: S608 marks
        with _storage_errors(), self._opened() as db:
            rows = db.execute(query, (*names, now)).fetchall()
        return [_row(values) for values in rows]

    def swap(self, row: Row, *, after: int, instead_of: bytes, now: int) -> bool:
        """As `Store.swap`."""
        with _storage_errors(), self._opened(), self._transaction() as db:
            there = db.execute(
                "SELECT version FROM vaults WHERE name = ? AND expires > ?", (instead_of, now)
            ).fetchone()
            if (there[0] if there else 0) != after:
                return False
            db.execute("DELETE FROM vaults WHERE name = ?", (instead_of,))
            db.execute(_WRITE, _values(row))
        return True

    def put(self, rows: Sequence[Row], *, now: int) -> None:
        """As `Store.put`."""
        with _storage_errors(), self._opened(), self._transaction() as db:
            db.executemany(_WRITE, map(_values, rows))
            db.execute("DELETE FROM vaults WHERE expires <= ?", (now,))

    def erase(self, owners: Sequence[bytes]) -> int:
        """As `Store.erase`."""
        with _storage_errors(), self._opened() as db:
            with self._transaction():
                deleted = sum(
                    db.execute("DELETE FROM vaults WHERE owner = ?", (owner,)).rowcount
                    for owner in owners
                )
            # What was deleted still stands in the log of writes until that is emptied.
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return deleted

    def close(self) -> None:
        """Closes the file; what is done after this raises `VaultUnavailable`."""
        with _storage_errors(), self._lock:
            self._closed = True
            self._db.close()

    def __repr__(self) -> str:
        return f"SqliteVaults({str(self._path)!r})"

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._closed:
                raise VaultUnavailable("the store of vaults is closed")
            yield self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise


def _values(row: Row) -> tuple[object, ...]:
    return (row.name, row.owner, row.version, row.expires, row.key, row.sealed)


def _row(values: tuple[bytes, bytes, int, int, bytes, bytes]) -> Row:
    name, owner, version, expires, key, sealed = values
    return Row(name=name, owner=owner, version=version, expires=expires, key=key, sealed=sealed)


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        # Only the class of error: a database's message may quote what it was given.
        code = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise VaultUnavailable(f"the store of vaults cannot be used: {code}") from None
