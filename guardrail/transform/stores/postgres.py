"""Vaults in PostgreSQL, shared by several machines; needs the extra `postgres`.

One table, `guardrail_vaults`, is made where it does not exist. A commit is as durable as the
server's `synchronous_commit` says.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from guardrail.errors import ConfigError, VaultUnavailable
from guardrail.transform.vaults import Row

driver: Any = None
"""The extra `postgres`, where it is installed."""
try:
    import psycopg
except ImportError:
    pass
else:
    driver = psycopg

_LOCK = 0x47524C56  # whoever makes the table holds this advisory lock
_SCHEMA = """
CREATE TABLE IF NOT EXISTS guardrail_vaults (
    name bytea PRIMARY KEY,
    owner bytea NOT NULL,
    version bigint NOT NULL,
    expires bigint NOT NULL,
    key bytea NOT NULL,
    sealed bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS guardrail_vaults_by_owner ON guardrail_vaults (owner);
CREATE INDEX IF NOT EXISTS guardrail_vaults_by_expiry ON guardrail_vaults (expires);
"""
_COLUMNS = "name, owner, version, expires, key, sealed"
_INSERT = f"INSERT INTO guardrail_vaults ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)"  # noqa: S608 constant
_REPLACED = ", ".join(f"{c} = EXCLUDED.{c}" for c in _COLUMNS.split(", ")[1:])
_OPTIONS = "-c statement_timeout=10000 -c lock_timeout=10000"
_SPARE = 8


class PostgresVaults:
    """Rows in the database at `url` (`postgresql://…`); connections are kept for the next caller.

    Raises:
        ConfigError: the extra `postgres` is not installed.
        VaultUnavailable: the database cannot be reached, or the table not be made.
    """

    light = False

    def __init__(self, url: str) -> None:
        if driver is None:
            problem = "vaults.store: PostgreSQL needs `pip install 'guardrail-asgi[postgres]'`"
            raise ConfigError([problem])
        self._url = url
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._closed = False
        with self._transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)

    def load(self, names: Sequence[bytes], *, now: int) -> list[Row]:
        """As `Store.load`."""
        query = f"SELECT {_COLUMNS} FROM guardrail_vaults WHERE name = ANY(%s) AND expires > %s"  # noqa: S608 constant
        with self._transaction() as db:
            rows = db.execute(query, (list(names), now)).fetchall()
        return [_row(values) for values in rows]

    def swap(self, row: Row, *, after: int, instead_of: bytes, now: int) -> bool:
        """As `Store.swap`."""
        with self._transaction() as db:
            expired = "DELETE FROM guardrail_vaults WHERE name = %s AND expires <= %s"
            db.execute(expired, (instead_of, now))
            if after:
                # The row stays locked until the end: whoever wants it, too, then finds it gone.
                found = db.execute(
                    "DELETE FROM guardrail_vaults WHERE name = %s AND version = %s",
                    (instead_of, after),
                )
                if found.rowcount != 1:
                    return False
            insert = _INSERT + " ON CONFLICT (name) DO NOTHING"
            return bool(db.execute(insert, _values(row)).rowcount == 1)

    def put(self, rows: Sequence[Row], *, now: int) -> None:
        """As `Store.put`."""
        upsert = f"{_INSERT} ON CONFLICT (name) DO UPDATE SET {_REPLACED}"
        with self._transaction() as db:
            for row in sorted(rows, key=lambda row: row.name):  # one order for all: no deadlock
                db.execute(upsert, _values(row))
        with self._transaction() as db:
            db.execute(
                "DELETE FROM guardrail_vaults WHERE name IN (SELECT name FROM guardrail_vaults "
                "WHERE expires <= %s LIMIT 1000 FOR UPDATE SKIP LOCKED)",
                (now,),
            )

    def erase(self, owners: Sequence[bytes]) -> int:
        """As `Store.erase`."""
        with self._transaction() as db:
            deleted = db.execute(
                "DELETE FROM guardrail_vaults WHERE owner = ANY(%s)", (list(owners),)
            )
            return int(deleted.rowcount)

    def close(self) -> None:
        """Closes the connections; what is done after this raises `VaultUnavailable`."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __repr__(self) -> str:
        return "PostgresVaults(…)"

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        try:
            connection = self._connection()
            try:
                with connection.transaction():
                    yield connection
            except BaseException:
                connection.close()
                raise
        except driver.Error as error:
            # Only the class of error: a database's message may quote what it was given.
            name = type(error).__name__
            raise VaultUnavailable(f"the store of vaults cannot be used: {name}") from None
        self._give_back(connection)

    def _connection(self) -> Any:
        with self._lock:
            if self._closed:
                raise VaultUnavailable("the store of vaults is closed")
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed and _answers(connection):
                    return connection
        return driver.connect(self._url, autocommit=True, connect_timeout=5, options=_OPTIONS)

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _SPARE:
                self._idle.append(connection)
                return
        connection.close()


def _answers(connection: Any) -> bool:
    """Whether the server is still there: it may have restarted since."""
    try:
        connection.execute("SELECT 1")
    except driver.Error:
        connection.close()
        return False
    return True


def _values(row: Row) -> tuple[object, ...]:
    return (row.name, row.owner, row.version, row.expires, row.key, row.sealed)


def _row(values: Sequence[Any]) -> Row:
    name, owner, version, expires, key, sealed = values
    return Row(
        name=bytes(name),
        owner=bytes(owner),
        version=version,
        expires=expires,
        key=bytes(key),
        sealed=bytes(sealed),
    )
