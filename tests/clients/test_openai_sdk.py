"""The OpenAI SDK: chat, responses and embeddings, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from servers import EMAIL, SDK_HTTP, user

from clients.doors import BACK, BROKEN, CODED, REFUSED, SCHEMA, TELLING, TEXT, TOOL, Door
from clients.stand_in import VECTOR

pytestmark = pytest.mark.slow

CHAT_TOOL: Any = {"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}
FLAT_TOOL: Any = {"type": "function", "name": TOOL, "parameters": SCHEMA, "strict": False}


CALL = {"name": TOOL, "arguments": json.dumps({"text": TEXT, EMAIL: [TEXT]})}
CHAT_PLACES: dict[str, dict[str, Any]] = {
    "system": {"messages": [{"role": "system", "content": TEXT}, *user("hi")]},
    "name": {"messages": [{"role": "user", "name": "Jörg_Süßmilch", "content": "hi"}]},
    "tool-history": {
        "messages": [
            *user("hi"),
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": CALL}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"found": [TEXT]})},
        ]
    },
    "tool": {
        "tools": [
            {
                "type": "function",
                "function": {"name": TOOL, "description": TEXT, "parameters": TELLING},
            }
        ]
    },
    "schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "description": TEXT, "schema": TELLING},
        }
    },
    "person": {"user": EMAIL, "safety_identifier": EMAIL, "prompt_cache_key": EMAIL},
    "metadata": {"metadata": {"m": EMAIL, EMAIL: "v"}},
    "stop": {"stop": [EMAIL]},
    "prediction": {"prediction": {"type": "content", "content": TEXT}},
    "unknown": {"extra_body": {"custom": {"deep": [TEXT]}, EMAIL: 1}, "extra_query": {"q": EMAIL}},
    "file": {
        "messages": user(
            [
                {
                    "type": "file",
                    "file": {
                        "filename": f"{EMAIL}.txt",
                        "file_data": f"data:text/plain;base64,{CODED}",
                    },
                }
            ]
        )
    },
}
RESPONSES_PLACES: dict[str, dict[str, Any]] = {
    "instructions": {"instructions": TEXT},
    "items": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": TEXT}]},
            {"type": "function_call", "call_id": "c", **CALL},
            {"type": "function_call_output", "call_id": "c", "output": TEXT},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": TEXT}],
            },
        ]
    },
    "tool": {
        "tools": [
            {
                "type": "function",
                "name": TOOL,
                "description": TEXT,
                "parameters": TELLING,
                "strict": False,
            }
        ]
    },
    "schema": {
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "description": TEXT,
                "schema": TELLING,
            }
        }
    },
    "person": {"metadata": {"a": EMAIL}, "user": EMAIL},
    "file": {
        "input": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "input_file",
                        "filename": "a.txt",
                        "file_data": f"data:text/plain;base64,{CODED}",
                    }
                ],
            }
        ]
    },
}


def connect(door: Door) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{door.url}/v1", api_key="k", max_retries=0, http_client=door.client(SDK_HTTP)
    )


def test_chat(door: Door) -> None:
    answer = connect(door).chat.completions.create(model="gpt-4o", messages=user(TEXT))
    assert answer.choices[0].message.content == BACK
    assert door.kept()


def test_chat_streamed(door: Door) -> None:
    stream = connect(door).chat.completions.create(
        model="gpt-4o", messages=user(TEXT), n=2, stream=True
    )
    said = ["", ""]
    for chunk in stream:
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert said == [BACK, BACK]
    assert door.kept()


def test_chat_tool(door: Door) -> None:
    answer = connect(door).chat.completions.create(
        model="gpt-4o", messages=user(TEXT), tools=[CHAT_TOOL]
    )
    call: Any = (answer.choices[0].message.tool_calls or [])[0]
    assert json.loads(call.function.arguments) == {"text": BACK}
    assert door.kept()


def test_chat_tool_streamed(door: Door) -> None:
    with connect(door).chat.completions.stream(
        model="gpt-4o", messages=user(TEXT), tools=[CHAT_TOOL]
    ) as stream:
        answer = stream.get_final_completion()
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert json.loads(call.function.arguments) == {"text": BACK}
    assert door.kept()


def test_responses(door: Door) -> None:
    answer = connect(door).responses.create(model="gpt-4o", input=TEXT)
    assert answer.output_text == BACK
    assert door.kept()


def test_responses_streamed(door: Door) -> None:
    with connect(door).responses.stream(model="gpt-4o", input=TEXT) as stream:
        deltas = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        answer = stream.get_final_response()
    assert (deltas, answer.output_text) == (BACK, BACK)
    assert door.kept()


def test_responses_tool(door: Door) -> None:
    answer = connect(door).responses.create(model="gpt-4o", input=TEXT, tools=[FLAT_TOOL])
    call: Any = answer.output[0]
    assert json.loads(call.arguments) == {"text": BACK}
    assert door.kept()


def test_responses_tool_streamed(door: Door) -> None:
    with connect(door).responses.stream(model="gpt-4o", input=TEXT, tools=[FLAT_TOOL]) as stream:
        deltas = "".join(
            e.delta for e in stream if e.type == "response.function_call_arguments.delta"
        )
        call: Any = stream.get_final_response().output[0]
    assert [json.loads(deltas), json.loads(call.arguments)] == [{"text": BACK}] * 2
    assert door.kept()


def test_embeddings(door: Door) -> None:
    answer = connect(door).embeddings.create(model="gpt-embed", input=[TEXT, "nothing"])
    assert [tuple(found.embedding) for found in answer.data] == [VECTOR, VECTOR]
    assert door.kept()


@pytest.mark.parametrize("place", CHAT_PLACES)
def test_chat_places(door: Door, place: str) -> None:
    asked = {"model": "gpt-4o", "messages": user("hi"), **CHAT_PLACES[place]}
    connect(door).chat.completions.create(**asked)
    assert door.spared()


@pytest.mark.parametrize("place", RESPONSES_PLACES)
def test_responses_places(door: Door, place: str) -> None:
    asked = {"model": "gpt-4o", "input": "hi", **RESPONSES_PLACES[place]}
    connect(door).responses.create(**asked)
    assert door.spared()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_refused(door: Door, streamed: bool) -> None:
    client = connect(door.prohibited)
    with pytest.raises(openai.PermissionDeniedError, match=REFUSED):
        client.chat.completions.create(model="gpt-4o", messages=user(TEXT), stream=streamed)
    with pytest.raises(openai.PermissionDeniedError, match=REFUSED):
        client.responses.create(model="gpt-4o", input=TEXT, stream=streamed)
    assert door.shut()


def test_own_header(breaking: Door) -> None:
    client = connect(breaking)  # the transport, since the middleware leaves headers to its app
    with pytest.raises(openai.BadRequestError, match="- the request holds personal"):
        client.responses.create(model="gpt-4o", input="hi", extra_headers={"x-user": EMAIL})
    assert breaking.shut()


def test_broken_off(breaking: Door) -> None:
    client = connect(breaking)
    with pytest.raises(openai.APIError, match=BROKEN):
        list(client.chat.completions.create(model="gpt-4o", messages=user(TEXT), stream=True))
    *_, last = client.responses.create(model="gpt-4o", input=TEXT, stream=True)
    assert last.type == "error"
    assert BROKEN in last.message
