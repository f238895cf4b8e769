"""WebSockets over real sockets: uvicorn, the `websockets` client, and OpenAI's Realtime client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from openai import AsyncOpenAI
from servers import EMAIL, PLANTED, PROMPT, eventually, leaked, recorded, serve, settings
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from guardrail.asgi.gateway import Gateway
from guardrail.asgi.middleware import Guardrail
from guardrail.config import build, load_config

websockets = pytest.importorskip("websockets")
connect = pytest.importorskip("websockets.asyncio.client").connect

pytestmark = pytest.mark.anyio


@dataclass
class Realtime:
    """A stand-in for a model behind a WebSocket: it repeats what it is told, letter by letter."""

    got: list[str] = field(default_factory=list)
    left: list[int] = field(default_factory=list)

    async def talk(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            await socket.send_json({"type": "session.created", "event_id": "event_0"})
            while True:
                self.got.append(await socket.receive_text())
                event = json.loads(self.got[-1])
                if event["type"] == "response.create":
                    await self._answer(socket)
                elif event["type"] == "bye":
                    await socket.close(4000, "bye")
                    return
        except WebSocketDisconnect as gone:
            self.left.append(gone.code)

    async def _answer(self, socket: WebSocket) -> None:
        said = json.loads(self.got[-2])["item"]["content"][0]["text"]
        where = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        for letter in said:
            kind = "response.output_text.delta"
            await socket.send_json({"type": kind, "event_id": "e", **where, "delta": letter})
        kind = "response.output_text.done"
        await socket.send_json({"type": kind, "event_id": "e", **where, "text": said})
        await socket.send_json({"type": "response.done", "event_id": "e", "response": {"id": "r"}})


@dataclass
class Place:
    url: str
    model: Realtime
    audit: Path


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    model = Realtime()
    app = Starlette(routes=[WebSocketRoute("/v1/realtime", model.talk)])
    with closing(build(load_config(settings(tmp_path, "http://127.0.0.1:9")))) as built:
        guarded = Guardrail(app, built)
        with serve(guarded, ws="websockets-sansio") as url:
            yield Place(url.replace("http", "ws"), model, tmp_path / "audit.db")


def told(text: str) -> dict[str, object]:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return {"type": "conversation.item.create", "item": item}


async def test_the_realtime_client_of_openai_gets_its_own_words_back(place: Place) -> None:
    client = AsyncOpenAI(api_key="k", websocket_base_url=f"{place.url}/v1")
    text = done = ""
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.send(told(PROMPT))  # type: ignore[arg-type]  # a dict of its shape
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.output_text.done":
                done = event.text
            elif event.type == "response.done":
                break
    assert (text, done) == (PROMPT, PROMPT)
    assert leaked("".join(place.model.got).encode(), PLANTED) == []
    assert "[EMAIL_1]" in place.model.got[0]
    assert eventually(lambda: recorded(place.audit)[-1].kind == "egress.outcome")
    assert leaked(place.audit.read_bytes(), PLANTED) == []


async def test_close_codes_go_both_ways(place: Place) -> None:
    address = f"{place.url}/v1/realtime?model=gpt-realtime"
    async with connect(address) as socket:
        await socket.recv()
        await socket.send(json.dumps({"type": "bye"}))
        with pytest.raises(websockets.exceptions.ConnectionClosedError):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4000, "bye")
    async with connect(address) as socket:
        await socket.recv()
        await socket.close(4001)
    assert eventually(lambda: place.model.left == [4001])


@pytest.mark.parametrize("path", ["/ws", "/v1/chat/completions"])
async def test_a_path_that_nothing_describes_answers_403(path: str, place: Place) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await connect(f"{place.url}{path}")
    assert refused.value.response.status_code == 403
    assert b"websocket_not_inspected" in refused.value.response.body


async def test_the_gateway_says_that_it_serves_none(tmp_path: Path) -> None:
    built = build(load_config(settings(tmp_path, "http://127.0.0.1:9")))
    with (
        closing(built),
        serve(Gateway(built), ws="websockets-sansio") as url,
        pytest.raises(websockets.exceptions.InvalidStatus) as refused,
    ):
        await connect(f"{url.replace('http', 'ws')}/v1/realtime?model=gpt-5&who={EMAIL}")
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["error"]["code"] == "websocket_not_inspected"
