"""Opening an exchange: ids, vaults, and what becomes of headers that must be refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from asgi_world import Ledger, assemble
from exchange_world import CLOUD, ask, tell

from guardrail.config import Built
from guardrail.exchange import Door, Exchange, Headers
from guardrail.opening import new_id, now, open_exchange

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
