"""The Ollama SDK: chat, whole and streamed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from servers import EMAIL, user

from clients.doors import BACK, BROKEN, REFUSED, SCHEMA, TELLING, TEXT, TOOL, Door, wanted

pytestmark = pytest.mark.slow

TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]


PLACES: dict[str, dict[str, Any]] = {
    "system": {"messages": [{"role": "system", "content": TEXT}, *user("hi")]},
    "schema": {"format": TELLING},
    "tool": {
        "tools": [
            {
                "type": "function",
                "function": {"name": TOOL, "description": TEXT, "parameters": TELLING},
            }
        ]
    },
    "history": {
        "messages": [
            *user("hi"),
            {
                "role": "assistant",
                "thinking": TEXT,
                "tool_calls": [
                    {"function": {"name": TOOL, "arguments": {"text": TEXT, EMAIL: [TEXT]}}}
                ],
            },
            {"role": "tool", "tool_name": TOOL, "content": TEXT},
        ]
    },
    "stop": {"options": {"stop": [EMAIL]}},
}


def connect(ollama: Any, door: Door) -> Any:
    client = ollama.Client(host=door.url, **door.options(httpx))
    door.closing.callback(client._client.close)
    return client


@pytest.fixture
def ollama() -> Any:
    return wanted("ollama")


@pytest.fixture
def client(ollama: Any, door: Door) -> Any:
    return connect(ollama, door)


def test_chat(door: Door, client: Any) -> None:
    answer = client.chat(model="llama3", messages=user(TEXT), options={"temperature": 0.5})
    assert answer.message.content == BACK
    assert door.kept()


def test_chat_streamed(door: Door, client: Any) -> None:
    stream = client.chat(model="llama3", messages=user(TEXT), stream=True)
    assert "".join(part.message.content or "" for part in stream) == BACK
    assert door.kept()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_tool(door: Door, client: Any, streamed: bool) -> None:
    answer = client.chat(model="llama3", messages=user(TEXT), tools=TOOLS, stream=streamed)
    parts = answer if streamed else [answer]
    calls = [call for part in parts for call in part.message.tool_calls or ()]
    assert [call.function.arguments for call in calls] == [{"text": BACK}]
    assert door.kept()


@pytest.mark.parametrize("place", PLACES)
def test_places(door: Door, client: Any, place: str) -> None:
    client.chat(**{"model": "llama3", "messages": user("hi"), **PLACES[place]})
    assert door.spared()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_refused(door: Door, ollama: Any, streamed: bool) -> None:
    client = connect(ollama, door.prohibited)
    with pytest.raises(ollama.ResponseError, match=REFUSED) as caught:
        list(client.chat(model="llama3", messages=user(TEXT), stream=streamed))
    assert caught.value.status_code == 403
    assert door.shut()


def test_broken_off(ollama: Any, breaking: Door) -> None:
    with pytest.raises(ollama.ResponseError, match=BROKEN):
        list(connect(ollama, breaking).chat(model="llama3", messages=user(TEXT), stream=True))
