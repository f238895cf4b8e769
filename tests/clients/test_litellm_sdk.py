"""LiteLLM's SDK, in front of OpenAI's and of Anthropic's protocol."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from servers import SDK_HTTP, user

from clients.doors import BACK, REFUSED, SCHEMA, TEXT, TOOL, Door, wanted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
]

TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it fetches one on import
    return wanted("litellm")


def options(door: Door, provider: str) -> dict[str, Any]:
    """What a completion is asked with, its own client among it."""
    if provider == "openai":
        client: Any = openai.OpenAI(
            base_url=f"{door.url}/v1",
            api_key="k",
            max_retries=0,
            http_client=door.client(SDK_HTTP),
        )
        return {"model": "openai/gpt-4o", "client": client}
    handlers = wanted("litellm.llms.custom_httpx.http_handler")
    client = handlers.HTTPHandler(client=door.client(httpx))
    address = {"api_base": door.url, "api_key": "k"}
    return {"model": "anthropic/claude-sonnet", "client": client, **address}


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_chat(litellm: Any, door: Door, provider: str) -> None:
    answer = litellm.completion(messages=user(TEXT), **options(door, provider))
    assert answer.choices[0].message.content == BACK
    assert door.kept()


def test_chat_streamed(litellm: Any, door: Door, provider: str) -> None:
    stream = litellm.completion(messages=user(TEXT), stream=True, **options(door, provider))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == BACK
    assert door.kept()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_tool(litellm: Any, door: Door, provider: str, streamed: bool) -> None:
    answer = litellm.completion(
        messages=user(TEXT), tools=TOOLS, stream=streamed, **options(door, provider)
    )
    if streamed:
        answer = litellm.stream_chunk_builder(list(answer))
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"text": BACK}
    assert door.kept()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_refused(litellm: Any, door: Door, provider: str, streamed: bool) -> None:
    # LiteLLM maps a 403 of OpenAI's protocol to its most general error, of Anthropic's to none.
    classes = {"openai": litellm.APIError, "anthropic": litellm.APIConnectionError}
    with pytest.raises(classes[provider], match=REFUSED):
        litellm.completion(
            messages=user(TEXT), stream=streamed, **options(door.prohibited, provider)
        )
    assert door.shut()
