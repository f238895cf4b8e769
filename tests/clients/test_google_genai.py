"""The Google Gen AI SDK: generate_content, whole, streamed and asynchronous."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from servers import EMAIL

from clients.doors import BACK, BROKEN, REFUSED, TELLING, TEXT, TOOL, Door, wanted

pytestmark = pytest.mark.slow

MODEL = "gemini-3-pro"
DECLARED = {
    "name": TOOL,
    "description": "Sends a mail",
    "parameters": {
        "type": "OBJECT",
        "properties": {"text": {"type": "STRING"}},
        "required": ["text"],
    },
}
ASK_TOOL = {
    "tools": [{"function_declarations": [DECLARED]}],
    "automatic_function_calling": {"disable": True},
}


PLACES: dict[str, Any] = {
    "text": {"text": TEXT},
    "file": {"inline_data": {"data": TEXT.encode(), "mime_type": "text/plain"}},
    "link": {"file_data": {"file_uri": f"https://x.example/{EMAIL}", "mime_type": "text/plain"}},
    "call": {"function_call": {"name": TOOL, "args": {"text": TEXT, EMAIL: [TEXT]}}},
    "result": {"function_response": {"name": TOOL, "response": {"found": [TEXT], EMAIL: 1}}},
    "code": {"executable_code": {"code": f"print('{TEXT}')", "language": "PYTHON"}},
    "output": {"code_execution_result": {"outcome": "OUTCOME_OK", "output": TEXT}},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "system": {"system_instruction": TEXT},
    "tool": {
        "tools": [
            {
                "function_declarations": [
                    {"name": TOOL, "description": TEXT, "parameters_json_schema": TELLING}
                ]
            }
        ]
    },
    "schema": {"response_mime_type": "application/json", "response_json_schema": TELLING},
    "stop": {"stop_sequences": [EMAIL]},
    "unknown": {"http_options": {"extra_body": {"labels": {"who": EMAIL}}}},
}


def connect(genai: Any, door: Door, **clients: Any) -> Any:
    clients = clients or {"httpx_client": door.client(httpx2)}
    options = genai.types.HttpOptions(base_url=door.url, **clients)
    return genai.Client(api_key="k", http_options=options)


@pytest.fixture
def genai() -> Any:
    return wanted("google.genai")


@pytest.fixture
def client(genai: Any, door: Door) -> Any:
    return connect(genai, door)


def test_content(door: Door, client: Any) -> None:
    config = {"system_instruction": f"Answer. {TEXT}", "temperature": 0.5}
    answer = client.models.generate_content(model=MODEL, contents=TEXT, config=config)
    assert answer.text == BACK
    assert door.kept()


def test_content_streamed(door: Door, client: Any) -> None:
    stream = client.models.generate_content_stream(model=MODEL, contents=TEXT)
    assert "".join(chunk.text or "" for chunk in stream) == BACK
    assert door.kept()


async def test_content_asynchronous(door: Door, genai: Any) -> None:
    async with door.async_client(httpx2) as http:
        client = connect(genai, door, httpx_async_client=http)
        answer = await client.aio.models.generate_content(model=MODEL, contents=TEXT)
    assert answer.text == BACK
    assert door.kept()


def test_tool(door: Door, client: Any) -> None:
    answer = client.models.generate_content(model=MODEL, contents=TEXT, config=ASK_TOOL)
    assert [call.args for call in answer.function_calls] == [{"text": BACK}]
    assert door.kept()


def test_tool_streamed(door: Door, client: Any) -> None:
    stream = client.models.generate_content_stream(model=MODEL, contents=TEXT, config=ASK_TOOL)
    calls = [call for chunk in stream for call in chunk.function_calls or ()]
    assert [call.args for call in calls] == [{"text": BACK}]
    assert door.kept()


def test_chat_goes_on(door: Door, client: Any) -> None:
    chat = client.chats.create(model=MODEL)
    said = "".join(chunk.text or "" for chunk in chat.send_message_stream(TEXT))
    again = chat.send_message(TEXT)
    assert (said, again.text) == (BACK, BACK)
    assert door.kept()


@pytest.mark.parametrize("place", PLACES)
def test_places(door: Door, client: Any, place: str) -> None:
    contents = [{"role": "user", "parts": [{"text": "hi"}, PLACES[place]]}]
    client.models.generate_content(model=MODEL, contents=contents)
    assert door.spared()


@pytest.mark.parametrize("place", SETTINGS)
def test_settings(door: Door, client: Any, place: str) -> None:
    client.models.generate_content(model=MODEL, contents="hi", config=SETTINGS[place])
    assert door.spared()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_refused(door: Door, genai: Any, streamed: bool) -> None:
    models = connect(genai, door.prohibited).models
    with pytest.raises(genai.errors.ClientError, match=REFUSED) as caught:
        if streamed:
            list(models.generate_content_stream(model=MODEL, contents=TEXT))
        else:
            models.generate_content(model=MODEL, contents=TEXT)
    assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")
    assert door.shut()


def test_broken_off(genai: Any, breaking: Door) -> None:
    models = connect(genai, breaking).models
    with pytest.raises(genai.errors.ServerError, match=BROKEN):
        list(models.generate_content_stream(model=MODEL, contents=TEXT))
