"""LangChain's chat model on the OpenAI SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from servers import SDK_HTTP

from clients.doors import BACK, REFUSED, SCHEMA, TEXT, TOOL, Door, wanted

pytestmark = pytest.mark.slow

TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]


@pytest.fixture
def langchain_openai() -> Any:
    return wanted("langchain_openai")


def connect(langchain_openai: Any, door: Door, **more: Any) -> Any:
    return langchain_openai.ChatOpenAI(
        model="gpt-4o",
        base_url=f"{door.url}/v1",
        api_key="k",
        max_retries=0,
        http_client=door.client(SDK_HTTP),
        **more,
    )


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
def test_invoke(langchain_openai: Any, door: Door, responses: bool) -> None:
    answer = connect(langchain_openai, door, use_responses_api=responses).invoke(TEXT)
    assert answer.text == BACK
    assert door.kept()


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
def test_stream(langchain_openai: Any, door: Door, responses: bool) -> None:
    chunks = list(connect(langchain_openai, door, use_responses_api=responses).stream(TEXT))
    assert "".join(chunk.text for chunk in chunks) == BACK
    assert door.kept()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_tool(langchain_openai: Any, door: Door, streamed: bool) -> None:
    model = connect(langchain_openai, door, streaming=streamed).bind_tools(TOOLS)
    answer = model.invoke(TEXT)
    assert [call["args"] for call in answer.tool_calls] == [{"text": BACK}]
    assert door.kept()


def test_embed(langchain_openai: Any, door: Door) -> None:
    embeddings = langchain_openai.OpenAIEmbeddings(
        model="gpt-embed",
        base_url=f"{door.url}/v1",
        api_key="k",
        max_retries=0,
        http_client=door.client(SDK_HTTP),
        check_embedding_ctx_length=False,  # else it sends token ids, which nobody can read
    )
    assert len(embeddings.embed_documents([TEXT])) == 1
    assert door.kept()


def test_refused(langchain_openai: Any, door: Door) -> None:
    with pytest.raises(openai.PermissionDeniedError, match=REFUSED):
        connect(langchain_openai, door.prohibited).invoke(TEXT)
    assert door.shut()
