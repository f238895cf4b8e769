"""Pydantic AI's agents, on the OpenAI and the Anthropic SDK: they call tools, and go on."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel
from servers import SDK_HTTP

from clients.doors import BACK, REFUSED, TEXT, TOOL, Door, wanted

pytestmark = pytest.mark.slow


class Letter(BaseModel):
    """What the agent is to answer with."""

    text: str


@pytest.fixture
def pydantic_ai() -> Any:
    return wanted("pydantic_ai")


def chat_model(http: Any, door: Door) -> Any:
    client = openai.AsyncOpenAI(
        base_url=f"{door.url}/v1", api_key="k", max_retries=0, http_client=http
    )
    provider = wanted("pydantic_ai.providers.openai").OpenAIProvider(openai_client=client)
    return wanted("pydantic_ai.models.openai").OpenAIChatModel("gpt-4o", provider=provider)


def messages_model(http: Any, door: Door) -> Any:
    client = wanted("anthropic").AsyncAnthropic(
        base_url=door.url, api_key="k", max_retries=0, http_client=http
    )
    provider = wanted("pydantic_ai.providers.anthropic").AnthropicProvider(anthropic_client=client)
    return wanted("pydantic_ai.models.anthropic").AnthropicModel("claude-sonnet", provider=provider)


@pytest.fixture(params=[chat_model, messages_model], ids=["openai", "anthropic"])
def model(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_run(pydantic_ai: Any, door: Door, model: Any) -> None:
    async with door.async_client(SDK_HTTP) as http:
        answer = await pydantic_ai.Agent(model(http, door)).run(TEXT)
    assert answer.output == BACK
    assert door.kept()


async def test_run_streamed(pydantic_ai: Any, door: Door, model: Any) -> None:
    async with (
        door.async_client(SDK_HTTP) as http,
        pydantic_ai.Agent(model(http, door)).run_stream(TEXT) as answer,
    ):
        deltas = [delta async for delta in answer.stream_text(delta=True)]
    assert "".join(deltas) == BACK
    assert door.kept()


async def test_tool(pydantic_ai: Any, door: Door, model: Any) -> None:
    sent: list[str] = []
    async with door.async_client(SDK_HTTP) as http:
        agent = pydantic_ai.Agent(model(http, door))

        def send_mail(text: str) -> str:
            sent.append(text)
            return f"sent: {TEXT}"

        agent.tool_plain(send_mail, name=TOOL)
        answer = await agent.run(TEXT)
    assert (sent, answer.output) == ([BACK], BACK)
    assert len(door.upstream.seen) == 2
    assert door.kept()


async def test_structured(pydantic_ai: Any, door: Door, model: Any) -> None:
    async with door.async_client(SDK_HTTP) as http:
        output = pydantic_ai.ToolOutput(Letter, name=TOOL)
        answer = await pydantic_ai.Agent(model(http, door), output_type=output).run(TEXT)
    assert answer.output == Letter(text=BACK)
    assert door.kept()


async def test_refused(pydantic_ai: Any, door: Door, model: Any) -> None:
    refused = pydantic_ai.exceptions.ModelHTTPError
    async with door.prohibited.async_client(SDK_HTTP) as http:
        with pytest.raises(refused, match=REFUSED) as caught:
            await pydantic_ai.Agent(model(http, door)).run(TEXT)
    assert caught.value.status_code == 403
    assert door.shut()
