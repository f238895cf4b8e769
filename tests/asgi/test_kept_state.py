"""Threads at a provider, through the shells: what is kept is there before the client knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi_world import NOWHERE, Ledger, assemble, call
from exchange_world import JSON
from starlette.types import Receive, Scope, Send

from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built
from guardrail.transform.stores.sqlite import SqliteVaults
from guardrail.transform.vaults import Store, Vaults
from guardrail.transport import AsyncGuardrailTransport, GuardrailTransport

ANN = "ann.ash@example.com"
FIRST = {"model": "gpt-4o", "input": f"I am {ANN}"}
SECOND = {"model": "gpt-4o", "input": "Who?", "previous_response_id": "resp_1"}


@pytest.fixture(params=["memory", "sqlite"])
def built(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Built]:
    store: Store | None = SqliteVaults(tmp_path / "v.db") if request.param == "sqlite" else None
    vaults = Vaults(store, keys=(b"k" * 32,))
    usual = assemble(Ledger())
    upstreams = {
        name: replace(one, url=f"{NOWHERE}/{name}") for name, one in usual.upstreams.items()
    }
    with closing(replace(usual, vaults=vaults, upstreams=upstreams)) as everything:
        yield everything


def answer(asked: Any) -> bytes:
    """What a provider says that keeps responses: the first is `resp_1`, all others name Ann."""
    first = isinstance(asked, dict) and "previous_response_id" not in asked
    said = "ok" if first else "[EMAIL_1]"
    content: list[Any] = [{"type": "output_text", "text": said, "annotations": []}]
    output = [{"type": "message", "id": "msg_1", "role": "assistant", "content": content}]
    id_ = "resp_1" if first else "resp_2"
    return json.dumps({"id": id_, "object": "response", "output": output}).encode()


def text(body: bytes) -> str:
    said: str = json.loads(body)["output"][0]["content"][0]["text"]
    return said


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = (await receive())["body"]
    data = answer(json.loads(body) if body else None)
    await send({"type": "http.response.start", "status": 200, "headers": [JSON]})
    await send({"type": "http.response.body", "body": data})


async def test_a_thread_goes_on_behind_the_middleware(built: Built) -> None:
    guarded = Guardrail(app, built)
    for body, said in ((FIRST, "ok"), (SECOND, ANN)):
        got = await call(guarded, json.dumps(body).encode(), path="/v1/responses", headers=(JSON,))
        assert (got.status, text(got.body)) == (200, said)
    got = await call(guarded, path="/v1/responses/resp_1", method="GET", headers=())
    assert text(got.body) == ANN


def provider(request: httpx.Request) -> httpx.Response:
    data = answer(json.loads(request.content) if request.content else None)
    return httpx.Response(200, content=data, headers={"content-type": "application/json"})


def test_a_thread_goes_on_through_the_transport(built: Built) -> None:
    inner = httpx.MockTransport(provider)
    with httpx.Client(transport=GuardrailTransport(built, app="crm", inner=inner)) as client:
        said = [
            text(client.post(f"{NOWHERE}/cloud/responses", json=body).content)
            for body in (FIRST, SECOND)
        ]
        said.append(text(client.get(f"{NOWHERE}/cloud/responses/resp_1").content))
    assert said == ["ok", ANN, ANN]


async def test_a_thread_goes_on_through_the_asynchronous_transport(built: Built) -> None:
    inner = httpx.MockTransport(provider)
    transport = AsyncGuardrailTransport(built, app="crm", inner=inner)
    async with httpx.AsyncClient(transport=transport) as client:
        said = [
            text((await client.post(f"{NOWHERE}/cloud/responses", json=body)).content)
            for body in (FIRST, SECOND)
        ]
        said.append(text((await client.get(f"{NOWHERE}/cloud/responses/resp_1")).content))
    assert said == ["ok", ANN, ANN]


async def test_a_store_that_fails_after_the_answer_costs_the_thread_alone(tmp_path: Path) -> None:
    store = SqliteVaults(tmp_path / "v.db")
    with closing(replace(assemble(Ledger()), vaults=Vaults(store))) as everything:
        guarded = Guardrail(app, everything)
        store.close()
        body = json.dumps(FIRST).encode()
        got = await call(guarded, body, path="/v1/responses", headers=(JSON,))
        assert (got.status, text(got.body)) == (200, "ok")
        body = json.dumps(SECOND).encode()
        got = await call(guarded, body, path="/v1/responses", headers=(JSON,))
        assert got.status == 503
