from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from guardrail.audit.event import event_id
from guardrail.audit.log import AuditLog
from guardrail.audit.stores.sqlite import SqliteStore
from guardrail.errors import AuditUnavailable
from guardrail.types import AuditEvent

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def event(number: int) -> AuditEvent:
    return AuditEvent(
        id=event_id(NOW, number.to_bytes(10)), kind="egress.decision", at=NOW, exchange=f"x{number}"
    )


class Gated:
    """A store whose `append` waits at a gate, and fails while `broken` holds an error."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.open = threading.Event()
        self.reached = threading.Event()
        self.broken: Exception | None = None
        self.batches: list[int] = []

    def append(self, events: Sequence[AuditEvent]) -> Sequence[int]:
        self.batches.append(len(events))
        self.reached.set()
        assert self.open.wait(30)
        if self.broken:
            raise self.broken
        return self.store.append(events)

    def close(self) -> None:
        self.store.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def gated(path: Path) -> Iterator[Gated]:
    store = Gated(SqliteStore(path))
    yield store
    store.open.set()
    store.close()


def written(path: Path) -> list[AuditEvent]:
    with contextlib.closing(SqliteStore(path)) as store:
        return [e for _, e in store.read(limit=1_000_000)]


def failure(future: Future[int]) -> str:
    error = future.exception(30)
    assert isinstance(error, AuditUnavailable)
    assert error.__cause__ is None
    return str(error)


async def test_a_recorded_event_is_durable(path: Path) -> None:
    with contextlib.closing(AuditLog(SqliteStore(path))) as log:
        await log.record(event(1))
        assert written(path) == [event(1)]
        assert (log.healthy, log.lost) == (True, 0)


def test_a_blocking_record_is_durable(path: Path) -> None:
    with contextlib.closing(AuditLog(SqliteStore(path))) as log:
        log.record_blocking(event(1))
        assert written(path) == [event(1)]


def test_a_submitted_event_gives_its_number(path: Path) -> None:
    with contextlib.closing(AuditLog(SqliteStore(path))) as log:
        assert [log.submit(event(i)).result(30) for i in (1, 2, 1)] == [1, 2, 1]


def test_a_future_resolves_only_after_the_commit(gated: Gated) -> None:
    with contextlib.closing(AuditLog(gated)) as log:
        future = log.submit(event(1))
        assert gated.reached.wait(30)
        assert not future.done()
        assert gated.store.read() == []
        gated.open.set()
        assert future.result(30) == 1


def test_events_that_gather_during_a_commit_go_together(gated: Gated) -> None:
    with contextlib.closing(AuditLog(gated, batch_limit=5)) as log:
        first = log.submit(event(0))
        assert gated.reached.wait(30)
        rest = [log.submit(event(i)) for i in range(1, 8)]
        gated.open.set()
        assert [f.result(30) for f in [first, *rest]] == list(range(1, 9))
        assert gated.batches == [1, 5, 2]


async def test_many_tasks_and_threads_record_at_once(path: Path) -> None:
    with contextlib.closing(AuditLog(SqliteStore(path))) as log:
        async with anyio.create_task_group() as group:
            for i in range(100):
                group.start_soon(log.record, event(i))
            for i in range(100, 120):
                group.start_soon(anyio.to_thread.run_sync, log.record_blocking, event(i))
    assert {e.exchange for e in written(path)} == {f"x{i}" for i in range(120)}


def test_several_event_loops_share_a_log(path: Path) -> None:
    with contextlib.closing(AuditLog(SqliteStore(path))) as log:
        loops = [
            threading.Thread(target=partial(anyio.run, log.record, event(i))) for i in range(4)
        ]
        for loop in loops:
            loop.start()
        for loop in loops:
            loop.join()
    assert len(written(path)) == 4


def test_a_failed_batch_fails_its_events_and_the_writer_goes_on(
    gated: Gated, caplog: pytest.LogCaptureFixture
) -> None:
    gated.open.set()
    gated.broken = RuntimeError("Maria Garcia")
    with contextlib.closing(AuditLog(gated)) as log:
        assert failure(log.submit(event(1))) == "the audit log cannot write"
        assert failure(log.submit(event(2))) == "the audit log cannot write"
        assert (log.healthy, log.lost) == (False, 2)
        gated.broken = None
        assert log.submit(event(3)).result(30) == 1
        assert (log.healthy, log.lost) == (True, 2)
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, "the audit log cannot write, so nothing leaves: RuntimeError"),
        (logging.WARNING, "the audit log writes again; events lost so far: 2"),
    ]


async def test_a_failed_write_is_unavailable_to_a_task(gated: Gated) -> None:
    gated.open.set()
    gated.broken = AuditUnavailable("the audit log cannot be used: SQLITE_FULL")
    with contextlib.closing(AuditLog(gated)) as log:
        with pytest.raises(AuditUnavailable, match=r"^the audit log cannot write$"):
            await log.record(event(1))
        with pytest.raises(AuditUnavailable, match=r"^the audit log cannot write$"):
            log.record_blocking(event(2))


def test_a_store_that_miscounts_acknowledges_nothing() -> None:
    class Miscounting:
        def append(self, events: Sequence[AuditEvent]) -> Sequence[int]:
            return [1] * (len(events) + 1)

        def close(self) -> None: ...

    with contextlib.closing(AuditLog(Miscounting())) as log:
        assert failure(log.submit(event(1))) == "the audit log cannot write"


def test_an_event_with_free_text_fails_alone(gated: Gated) -> None:
    with contextlib.closing(AuditLog(gated)) as log:
        log.submit(event(0))
        assert gated.reached.wait(30)
        batch = [event(i) for i in range(1, 20)]
        batch[6] = replace(batch[6], purpose="call Maria Garcia back")
        batch[12] = replace(event(1), status=500)
        futures = [log.submit(e) for e in batch]
        gated.open.set()
        assert failure(futures[6]) == "audit event: purpose cannot be recorded"
        assert failure(futures[12]) == "audit event: id cannot be recorded"
        good = [f.result(30) for i, f in enumerate(futures) if i not in (6, 12)]
        assert good == list(range(2, 19))
        assert (log.healthy, log.lost) == (True, 2)


async def test_a_full_queue_is_unavailable_at_once(gated: Gated) -> None:
    with contextlib.closing(AuditLog(gated, queue_limit=2)) as log:
        taken = [log.submit(event(0))]
        assert gated.reached.wait(30)
        taken += [log.submit(event(i)) for i in (1, 2)]
        with pytest.raises(AuditUnavailable, match="too many events wait"):
            log.submit(event(3))
        with pytest.raises(AuditUnavailable, match="too many events wait"):
            await log.record(event(4))
        with pytest.raises(AuditUnavailable, match="too many events wait"):
            log.record_blocking(event(5))
        assert log.lost == 3
        gated.open.set()
        assert [f.result(30) for f in taken] == [1, 2, 3]


async def test_a_store_that_hangs_is_unavailable_in_time(gated: Gated) -> None:
    with contextlib.closing(AuditLog(gated, timeout_s=0.01)) as log:
        log.submit(event(1))
        assert gated.reached.wait(30)
        with pytest.raises(AuditUnavailable, match="took too long"):
            await log.record(event(2))
        with pytest.raises(AuditUnavailable, match="took too long"):
            log.record_blocking(event(3))
        assert not log.healthy
        gated.open.set()
        assert log.submit(event(4)).result(30) == 2
        assert (log.healthy, log.lost) == (True, 2)
        # What was refused while it still waited is not written afterwards.
        assert [e for _, e in gated.store.read()] == [event(1), event(4)]


def test_an_event_that_takes_too_long_is_written_or_lost_but_not_both(gated: Gated) -> None:
    log = AuditLog(gated, timeout_s=0.1)  # by then the writer has it, as a rule
    with pytest.raises(AuditUnavailable, match="took too long"):
        log.record_blocking(event(1))
    gated.open.set()
    log.submit(event(2)).result(30)
    assert len(gated.store.read()) + log.lost == 2
    log.close()


async def test_a_cancelled_task_leaves_its_event_to_be_written(gated: Gated) -> None:
    with contextlib.closing(AuditLog(gated)) as log:
        log.submit(event(1))
        with anyio.move_on_after(0.01) as scope:
            await log.record(event(2))
        assert scope.cancelled_caught
        gated.open.set()
        assert log.submit(event(3)).result(30) == 3
        assert log.lost == 0


def test_a_loop_that_closed_meanwhile_does_not_stop_the_writer(
    gated: Gated, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> None:
        with anyio.move_on_after(0.01):
            await log.record(event(1))

    with contextlib.closing(AuditLog(gated)) as log:
        asyncio.run(leave())
        gated.open.set()
        assert log.submit(event(2)).result(30) == 2
    assert caplog.records == []


def test_closing_writes_what_waits(gated: Gated, path: Path) -> None:
    log = AuditLog(gated, batch_limit=3)
    futures = [log.submit(event(i)) for i in range(10)]
    closing = threading.Thread(target=log.close)
    closing.start()
    gated.open.set()
    closing.join()
    assert [f.result(0) for f in futures] == list(range(1, 11))
    assert len(written(path)) == 10


async def test_a_closed_log_is_unavailable_and_closes_twice(path: Path) -> None:
    log = AuditLog(SqliteStore(path))
    log.close()
    log.close()
    with pytest.raises(AuditUnavailable, match="the audit log is closed"):
        await log.record(event(1))
    assert log.lost == 1
    assert written(path) == []


def test_a_cancelled_future_is_not_written(gated: Gated) -> None:
    with contextlib.closing(AuditLog(gated, batch_limit=1)) as log:
        log.submit(event(1))
        assert gated.reached.wait(30)
        assert log.submit(event(2)).cancel()
        gated.open.set()
        assert log.submit(event(3)).result(30) == 2
        assert [e for _, e in gated.store.read()] == [event(1), event(3)]
