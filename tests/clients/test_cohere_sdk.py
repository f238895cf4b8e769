"""The Cohere SDK, version 2 of its API: chat, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from servers import EMAIL, user

from clients.doors import BACK, BROKEN, REFUSED, SCHEMA, TELLING, TEXT, TOOL, Door, wanted

pytestmark = pytest.mark.slow

MODEL = "command-a"
TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]


PLACES: dict[str, dict[str, Any]] = {
    "documents": {"documents": [{"data": {"text": TEXT, EMAIL: TEXT}, "id": "d"}, TEXT]},
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
                "tool_plan": TEXT,
                "tool_calls": [
                    {
                        "id": "t",
                        "type": "function",
                        "function": {"name": TOOL, "arguments": json.dumps({"text": TEXT})},
                    }
                ],
            },
            {
                "role": "tool",
                "tool_call_id": "t",
                "content": [{"type": "document", "document": {"data": {"x": TEXT}, "id": "1"}}],
            },
        ]
    },
    "schema": {"response_format": {"type": "json_object", "json_schema": TELLING}},
    "stop": {"stop_sequences": [EMAIL]},
}


def connect(cohere: Any, door: Door) -> Any:
    return cohere.ClientV2(api_key="k", base_url=door.url, httpx_client=door.client(httpx))


@pytest.fixture
def cohere() -> Any:
    return wanted("cohere")


@pytest.fixture
def client(cohere: Any, door: Door) -> Any:
    return connect(cohere, door)


def test_chat(door: Door, client: Any) -> None:
    answer = client.chat(model=MODEL, messages=user(TEXT))
    assert answer.message.content[0].text == BACK
    assert door.kept()


def test_chat_streamed(door: Door, client: Any) -> None:
    said = ""
    for event in client.chat_stream(model=MODEL, messages=user(TEXT)):
        if event.type == "content-delta":
            said += event.delta.message.content.text
    assert said == BACK
    assert door.kept()


def test_tool(door: Door, client: Any) -> None:
    answer = client.chat(model=MODEL, messages=user(TEXT), tools=TOOLS)
    (call,) = answer.message.tool_calls
    assert (answer.message.tool_plan, json.loads(call.function.arguments)) == (BACK, {"text": BACK})
    assert door.kept()


def test_tool_streamed(door: Door, client: Any) -> None:
    plan = arguments = ""
    for event in client.chat_stream(model=MODEL, messages=user(TEXT), tools=TOOLS):
        if event.type == "tool-plan-delta":
            plan += event.delta.message.tool_plan
        if event.type == "tool-call-delta":
            arguments += event.delta.message.tool_calls.function.arguments
    assert (plan, json.loads(arguments)) == (BACK, {"text": BACK})
    assert door.kept()


@pytest.mark.parametrize("place", PLACES)
def test_places(door: Door, client: Any, place: str) -> None:
    client.chat(**{"model": MODEL, "messages": user("hi"), **PLACES[place]})
    assert door.spared()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_refused(door: Door, cohere: Any, streamed: bool) -> None:
    client = connect(cohere, door.prohibited)
    ask = client.chat_stream if streamed else client.chat
    with pytest.raises(cohere.errors.ForbiddenError, match=REFUSED):
        list(ask(model=MODEL, messages=user(TEXT)))
    assert door.shut()


def test_broken_off(cohere: Any, breaking: Door) -> None:
    *_, last = connect(cohere, breaking).chat_stream(model=MODEL, messages=user(TEXT))
    assert (last.type, last.delta.finish_reason) == ("message-end", "ERROR")
    assert BROKEN in last.delta.error
