"""The Anthropic SDK: messages, tools and thinking, whole and streamed."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from servers import EMAIL, user

from clients.doors import BACK, BROKEN, CODED, REFUSED, SCHEMA, TELLING, TEXT, TOOL, Door, wanted
from clients.stand_in import SIGNATURE

pytestmark = pytest.mark.slow

TOOLS = [{"name": TOOL, "description": "Sends a mail", "input_schema": SCHEMA}]
THINKING = {"type": "enabled", "budget_tokens": 1024}


HISTORY = [
    *user("hi"),
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "t", "name": TOOL, "input": {"text": TEXT, EMAIL: [TEXT]}}
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": TEXT}]}
        ],
    },
]
DOCUMENT = {"type": "text", "media_type": "text/plain", "data": TEXT}
CODED_TEXT = {"type": "base64", "media_type": "text/plain", "data": CODED}
PLACES: dict[str, dict[str, Any]] = {
    "system": {"system": [{"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}]},
    "person": {"metadata": {"user_id": EMAIL}},
    "tool": {"tools": [{"name": TOOL, "description": TEXT, "input_schema": TELLING}]},
    "history": {"messages": HISTORY},
    "document": {
        "messages": user([{"type": "document", "title": TEXT, "context": TEXT, "source": DOCUMENT}])
    },
    "file": {"messages": user([{"type": "document", "source": CODED_TEXT}])},
    "search-result": {
        "messages": user(
            [
                {
                    "type": "search_result",
                    "source": f"https://x.example/{EMAIL}",
                    "title": TEXT,
                    "content": [{"type": "text", "text": TEXT}],
                }
            ]
        )
    },
    "stop": {"stop_sequences": [EMAIL]},
}


def connect(anthropic: Any, door: Door) -> Any:
    return anthropic.Anthropic(
        base_url=door.url, api_key="k", max_retries=0, http_client=door.client(httpx2)
    )


@pytest.fixture
def anthropic() -> Any:
    return wanted("anthropic")


@pytest.fixture
def client(anthropic: Any, door: Door) -> Any:
    return connect(anthropic, door)


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "claude-sonnet", "max_tokens": 2048, "messages": user(TEXT), **more}


def test_messages(door: Door, client: Any) -> None:
    answer = client.messages.create(**asked(system=f"Answer. {TEXT}"))
    assert answer.content[0].text == BACK
    assert door.kept()


def test_messages_streamed(door: Door, client: Any) -> None:
    with client.messages.stream(**asked()) as stream:
        deltas = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert (deltas, answer.content[0].text) == (BACK, BACK)
    assert door.kept()


def test_tool(door: Door, client: Any) -> None:
    answer = client.messages.create(**asked(tools=TOOLS))
    text, call = answer.content
    assert (text.text, call.input) == (BACK, {"text": BACK})
    assert door.kept()


def test_tool_streamed(door: Door, client: Any) -> None:
    with client.messages.stream(**asked(tools=TOOLS)) as stream:
        answer = stream.get_final_message()
    text, call = answer.content
    assert (text.text, call.input) == (BACK, {"text": BACK})
    assert door.kept()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_thinking_comes_back_as_it_was_signed(door: Door, client: Any, streamed: bool) -> None:
    request = asked(tools=TOOLS, thinking=THINKING)
    if streamed:
        with client.messages.stream(**request) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**request)
    thought, _, call = answer.content
    result = {"type": "tool_result", "tool_use_id": call.id, "content": f"sent to {TEXT}"}
    request["messages"] = [
        *request["messages"],
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result]},
    ]
    again = client.messages.create(**request)
    assert again.content[-1].text == BACK
    first, second = (seen.json["messages"] for seen in door.upstream.seen)
    replayed = second[1]["content"][0]
    assert (replayed["signature"], replayed["thinking"]) == (SIGNATURE, first[0]["content"])
    assert thought.signature == SIGNATURE
    assert second[0] == first[0]
    assert door.kept()


@pytest.mark.parametrize("place", PLACES)
def test_places(door: Door, client: Any, place: str) -> None:
    client.messages.create(**{**asked(messages=user("hi")), **PLACES[place]})
    assert door.spared()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_refused(door: Door, anthropic: Any, streamed: bool) -> None:
    client = connect(anthropic, door.prohibited)
    with pytest.raises(anthropic.PermissionDeniedError, match=REFUSED):
        client.messages.create(**asked(stream=streamed))
    assert door.shut()


def test_broken_off(anthropic: Any, breaking: Door) -> None:
    client = connect(anthropic, breaking)
    with pytest.raises(anthropic.APIStatusError, match=BROKEN):
        list(client.messages.create(**asked(stream=True)))
