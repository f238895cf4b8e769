"""The audit log as the rest of guardrail uses it: an event in, and back once it is on the disk.

Events from any thread or event loop wait in one bounded queue. One writer thread takes whatever has
gathered and writes it in one transaction (group commit): it never waits for company, so a lone
event costs one commit, and under load the batch grows by itself. An event that is not acknowledged
in time counts as not recorded, and what depended on it must not happen.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Protocol

from guardrail.audit.event import Unrecordable
from guardrail.errors import AuditUnavailable
from guardrail.types import AuditEvent

_logger = logging.getLogger(__name__)

_Entry = tuple[AuditEvent, "Future[int]"]


class Store(Protocol):
    """Where events are kept. One thread appends; `close` comes last."""

    def append(self, events: Sequence[AuditEvent]) -> Sequence[int]:
        """Gives one sequence number per event, in order, once all are durable; all or none."""
        ...

    def close(self) -> None:
        """Lets go of files and connections."""
        ...


class AuditLog:
    """Writes events to a store, many at a time; safe to use from several threads and event loops.

    `queue_limit` is how many events may wait, `batch_limit` how many one transaction takes,
    `timeout_s` how long `record` and `record_blocking` wait. The log owns its store and closes it.
    Make one per process, after any fork.
    """

    def __init__(
        self,
        store: Store,
        *,
        queue_limit: int = 2048,
        batch_limit: int = 256,
        timeout_s: float = 2.0,
    ) -> None:
        self._store = store
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._timeout_s = timeout_s
        self._queue: deque[_Entry] = deque()
        self._ready = threading.Condition()
        self._closed = False
        self._lost = 0
        self._healthy = True
        self._writer = threading.Thread(target=self._run, name="guardrail-audit", daemon=True)
        self._writer.start()

    @property
    def lost(self) -> int:
        """How many events were refused or could not be written since the log was made."""
        return self._lost

    @property
    def healthy(self) -> bool:
        """Whether the store took the last batch, and in time."""
        return self._healthy

    def submit(self, event: AuditEvent) -> Future[int]:
        """Gives the event's sequence number to come: the future resolves only once it is durable.

        The future raises `AuditUnavailable` if the event cannot be written; cancelling it drops the
        event if the writer has not taken it yet. Nothing here waits for the disk.

        Raises:
            AuditUnavailable: the queue is full or the log is closed.
        """
        future: Future[int] = Future()
        with self._ready:
            if self._closed or not self._writer.is_alive():
                problem = "the audit log is closed"
            elif len(self._queue) >= self._queue_limit:
                problem = "too many events wait for the audit log"
            else:
                self._queue.append((event, future))
                self._ready.notify()
                return future
        self._lose(1)
        raise AuditUnavailable(problem)

    async def record(self, event: AuditEvent) -> None:
        """Returns once the event is durable, without blocking the event loop.

        A task that is cancelled meanwhile leaves its event to be written.

        Raises:
            AuditUnavailable: the event is not durable, or not known to be within `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def wake(_: Future[int]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set_result, None)

        future = self.submit(event)
        future.add_done_callback(wake)
        await asyncio.wait((done,), timeout=self._timeout_s)
        self._require(future)

    def record_blocking(self, event: AuditEvent) -> None:
        """Returns once the event is durable; raises as `record` does. Not for an event loop."""
        future = self.submit(event)
        wait((future,), timeout=self._timeout_s)
        self._require(future)

    def close(self) -> None:
        """Writes what is queued, then closes the store. Takes no more events; may be repeated."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._writer.join()
        self._store.close()

    def _require(self, future: Future[int]) -> None:
        if not future.done():
            self._healthy = False
            if future.cancel():
                self._lose(1)
            raise AuditUnavailable("the audit log took too long")
        future.result()

    def _lose(self, count: int) -> None:
        with self._ready:
            self._lost += count

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._write([entry for entry in batch if entry[1].set_running_or_notify_cancel()])

    def _next_batch(self) -> list[_Entry] | None:
        with self._ready:
            while not self._queue:
                if self._closed:
                    return None
                self._ready.wait()
            size = min(len(self._queue), self._batch_limit)
            return [self._queue.popleft() for _ in range(size)]

    def _write(self, batch: list[_Entry]) -> None:
        if not batch:
            return
        events = [event for event, _ in batch]
        futures = [future for _, future in batch]
        try:
            written = list(zip(futures, self._store.append(events), strict=True))
        except Unrecordable as error:
            if len(batch) == 1:
                self._fail(futures, str(error))
            else:  # one event's fault is not its neighbours': halve the batch until it stands alone
                half = len(batch) // 2
                self._write(batch[:half])
                self._write(batch[half:])
        except Exception as error:
            # The text of an error that is not ours may quote data.
            cause = error if isinstance(error, AuditUnavailable) else type(error).__name__
            if self._healthy:
                _logger.error("the audit log cannot write, so nothing leaves: %s", cause)
            self._healthy = False
            self._fail(futures, "the audit log cannot write")
        else:
            if not self._healthy:
                _logger.warning("the audit log writes again; events lost so far: %d", self._lost)
            self._healthy = True
            for future, number in written:
                future.set_result(number)

    def _fail(self, futures: Sequence[Future[int]], problem: str) -> None:
        self._lose(len(futures))
        for future in futures:
            future.set_exception(AuditUnavailable(problem))
