"""The gateway as ASGI sees it, without an endpoint behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from asgi_world import AUTHORISED, KEY, Ledger, assemble, call
from exchange_world import JSON, chat
from starlette.types import Message

from guardrail.asgi.gateway import Gateway
from guardrail.config import Built

pytestmark = pytest.mark.anyio

MAIL = "alice@example.com"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def built(ledger: Ledger) -> Iterator[Built]:
    made = assemble(ledger)
    yield made
    made.close()


@pytest.fixture
async def gateway(built: Built) -> AsyncIterator[Gateway]:
    made = Gateway(built)
    yield made
    await made.aclose()


async def test_an_endpoint_that_cannot_be_reached_is_a_bad_gateway(
    gateway: Gateway, ledger: Ledger
) -> None:
    answer = await call(gateway, chat(MAIL))
    assert answer.status == 502
    assert answer.json["error"]["code"] == "upstream_unreachable"
    assert answer.headers[b"retry-after"] == b"1"
    assert [event.kind for event in ledger.events] == ["egress.decision", "egress.outcome"]
    assert [event.code for event in ledger.events] == ["", "upstream_unreachable"]
    assert MAIL.encode() not in answer.body


async def test_health_is_told_to_anybody_and_holds_no_secret(gateway: Gateway) -> None:
    answer = await call(gateway, method="GET", path="/healthz", headers=[])
    assert answer.status == 200
    assert answer.json.keys() == {
        *("status", "audit", "regions", "policies", "policy_digest", "policies_since"),
        *("policy_problems", "candidate_digest", "candidate_share", "shadow_digest"),
        *("policy_problem_codes", "policy_serial", "policy_key", "policy_expires"),
        "policy_days_left",
    }
    assert (answer.json["policies"], answer.json["policy_problems"]) == ("ok", 0)
    assert answer.json["status"] == "ok"
    assert KEY.encode() not in answer.body


async def test_an_audit_log_that_fails_is_an_illness(gateway: Gateway, ledger: Ledger) -> None:
    ledger.room = 0
    assert (await call(gateway, chat(MAIL))).status == 503
    answer = await call(gateway, method="GET", path="/healthz", headers=[])
    assert (answer.status, answer.json["audit"]) == (503, "unavailable")


async def test_models_are_listed_to_those_with_a_key(gateway: Gateway) -> None:
    answer = await call(gateway, method="GET", path="/v1/models", headers=[AUTHORISED])
    assert [model["id"] for model in answer.json["data"]] == ["llama3", "gpt-5"]
    answer = await call(gateway, method="GET", path="/v1/models", headers=[JSON])
    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("presented", "status"),
    [
        (f"Bearer {KEY}", 502),
        (f"bearer  {KEY} ", 502),
        (f"Bearer {KEY}x", 401),
        (f"Bearer {KEY[:-1]}", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        ("", 401),
        (KEY, 401),
        (f"Basic {KEY}", 401),
    ],
)
async def test_a_key_is_presented_whole_as_a_bearer_token(
    presented: str, status: int, gateway: Gateway
) -> None:
    headers = [JSON, (b"authorization", presented.encode())]
    assert (await call(gateway, chat("hi"), headers=headers)).status == status


async def test_an_app_without_a_key_is_served_whatever_key_its_sdk_makes_up(
    ledger: Ledger,
) -> None:
    keyless = {"crm": {"establishment": "DE", "origin": "DE"}}
    built = assemble(ledger, tables={"apps": keyless})
    gateway = Gateway(built)
    made_up = (b"authorization", b"Bearer sk-none")
    assert (await call(gateway, chat("hi"), headers=[JSON])).status == 502
    assert (await call(gateway, chat("hi"), headers=[JSON, made_up])).status == 502
    await gateway.aclose()
    built.close()


async def test_lifespan_closes_the_connections(gateway: Gateway) -> None:
    heard = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    said: list[str] = []

    async def receive() -> Message:
        return heard.pop(0)

    async def send(message: Message) -> None:
        said.append(message["type"])

    await gateway({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_client_that_leaves_while_the_endpoint_works_leaves_an_outcome(
    gateway: Gateway, ledger: Ledger
) -> None:
    await call(gateway, chat(MAIL), then="leaves")
    assert ledger.kinds == ["egress.decision", "egress.outcome"]
