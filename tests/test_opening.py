"""Opening an exchange: ids, vaults, and what becomes of headers that must be refused."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import anyio.to_thread
import httpx
import pytest
from asgi_world import NOWHERE, Ledger, assemble
from exchange_world import (
    CLOUD,
    JSON,
    ask,
    chat,
    compressed,
    deployment,
    detector,
    guard,
    tell,
)

from guardrail.config import Built
from guardrail.exchange import Door, Exchange, Forward, Headers, RequestReceived
from guardrail.opening import advance_async, new_id, now, open_exchange
from guardrail.transport import AsyncGuardrailTransport
from guardrail.types import Finding, TextUnit

ONE = (b"x-guardrail-conversation", b"conversation-1")
MAIL = "mail alice@example.com"


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    made = assemble(Ledger(), trust_headers=True)
    yield made
    made.close()


def opened(built: Built, *headers: tuple[bytes, bytes], door: Door = Door.GATEWAY) -> Exchange:
    exchange, refusal = open_exchange(built, door=door, app=built.apps["crm"], headers=headers)
    assert refusal is None
    return exchange


def sent(exchange: Exchange, text: str) -> bytes:
    return tell(exchange, ask(text)).forwarded


def test_ids_are_fresh_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(200)]
    assert all(re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", one) for one in ids)
    assert len(set(ids)) == 200
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)


def test_the_time_has_a_zone() -> None:
    assert now().utcoffset() is not None


def test_every_exchange_has_an_id_of_its_own(built: Built) -> None:
    first, second = (tell(opened(built), ask("hi")).records[0] for _ in range(2))
    assert first.exchange != second.exchange
    assert first.id != first.exchange


def test_an_exchange_without_a_conversation_shares_nothing(built: Built) -> None:
    assert b"[EMAIL_1]" in sent(opened(built), "mail bob@example.com")
    assert b"[EMAIL_1]" in sent(opened(built), MAIL)


def test_a_conversation_shares_its_pseudonyms(built: Built) -> None:
    assert b"[EMAIL_1]" in sent(opened(built, ONE), "mail bob@example.com")
    assert b"[EMAIL_2]" in sent(opened(built, ONE), MAIL)
    assert b"[EMAIL_1]" in sent(opened(built, ONE), "mail bob@example.com")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param(((b"x-guardrail-purpose", b"planted"),), "invalid_header", id="nonsense"),
        pytest.param(((b"x-guardrail-purpose", b"\xff\x00"),), "invalid_header", id="no text"),
        pytest.param(((b"x-guardrail-\xff", b"a"),), "invalid_header", id="no name"),
        pytest.param(((b"x-guardrail-", b"a"),), "invalid_header", id="empty name"),
        pytest.param(
            ((b"x-guardrail-age", b"12"), (b"x-guardrail-age", b"40")),
            "ambiguous_header",
            id="twice",
        ),
    ],
)
def test_a_refusal_still_opens_an_exchange_that_can_record_it(
    headers: Headers, code: str, built: Built
) -> None:
    exchange, refusal = open_exchange(
        built, door=Door.GATEWAY, app=built.apps["crm"], headers=headers
    )
    assert refusal is not None
    assert (refusal.status, refusal.code) == (400, code)
    assert "planted" not in refusal.message
    assert tell(exchange, ask("hi")).records[0].purpose == "support"


def test_a_transport_names_its_target(built: Built) -> None:
    exchange, refusal = open_exchange(
        built, door=Door.TRANSPORT, app=built.apps["crm"], headers=(), target=CLOUD
    )
    assert refusal is None
    story = tell(exchange, ask("hi"))
    assert [forward.route for forward in story.forwards] == [CLOUD]


# ── where a request is read ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Where:
    """Finds nothing, and keeps the threads that it was asked on."""

    light: int = 64 * 1024
    threads: list[int] = field(default_factory=list)
    entities: frozenset[str] = frozenset()
    before: Callable[[], object] = lambda: None

    def find(self, unit: TextUnit) -> list[Finding]:
        self.before()
        self.threads.append(threading.get_ident())
        return []


def reading(where: Where) -> Built:
    one = replace(detector(), recognizers=(where,))
    return assemble(Ledger(), deployed=deployment(guard=replace(guard(), detector=one)))


PACKED = replace(
    ask("hi"), body=compressed(chat("hi")), headers=(JSON, (b"content-encoding", b"gzip"))
)


@pytest.mark.parametrize(
    ("event", "light", "elsewhere"),
    [
        pytest.param(ask("hi"), 64 * 1024, False, id="little"),
        pytest.param(ask("word " * 20_000), 64 * 1024, True, id="much"),
        pytest.param(ask("hi"), 0, True, id="a slow recognizer"),
        pytest.param(
            replace(ask("hi"), body=b"", query=b"q=" + b"x" * 100), 64, True, id="a long query"
        ),
        pytest.param(PACKED, 64 * 1024, True, id="packed"),
    ],
)
async def test_what_takes_long_is_read_off_the_event_loop(
    event: RequestReceived, light: int, elsewhere: bool
) -> None:
    where = Where(light=light)
    with closing(reading(where)) as built:
        commands = await advance_async(built, opened(built, door=Door.MIDDLEWARE), event)
    assert any(isinstance(command, Forward) for command in commands)
    assert where.threads
    assert (threading.get_ident() not in where.threads) is elsewhere


async def test_the_asynchronous_transport_reads_off_the_event_loop_too() -> None:
    where = Where(light=0)
    inner = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
    with closing(reading(where)) as built:
        transport = AsyncGuardrailTransport(built, app="crm", inner=inner)
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.post(f"{NOWHERE}/chat/completions", content=chat("hi"))
    assert answer.status_code == 200
    assert where.threads
    assert threading.get_ident() not in where.threads


async def test_only_so_many_requests_are_read_at_once() -> None:
    entered, gate = threading.Semaphore(0), threading.Semaphore(0)
    lock, reading_now, peak = threading.Lock(), [0], [0]

    def before() -> None:
        with lock:
            reading_now[0] += 1
            peak[0] = max(peak[0], reading_now[0])
        entered.release()
        assert gate.acquire(timeout=30)
        with lock:
            reading_now[0] -= 1

    most = max(2, os.cpu_count() or 2)
    with closing(reading(Where(light=0, before=before))) as built:
        async with anyio.create_task_group() as group:
            for number in range(3 * most):
                group.start_soon(advance_async, built, opened(built), ask(f"hi {number}"))
            for _ in range(most):
                assert await anyio.to_thread.run_sync(partial(entered.acquire, timeout=30))
            assert not entered.acquire(blocking=False)
            gate.release(100 * most)
    assert peak[0] == most
