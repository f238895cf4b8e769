"""LiteLLM's proxy, wrapped: its users speak to guardrail, which speaks to the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from servers import SDK_HTTP, serve, user

from clients.doors import BACK, PROHIBITED, REFUSED, SCHEMA, TEXT, TOOL, Door, wanted
from clients.stand_in import StandIn
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # it warns of its own code

KEY = "sk-of-the-proxy"
"""What the proxy's users show; it refuses to start without one."""

TOOLS: Any = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]


@pytest.fixture(scope="module")
def proxy(
    stand_in: tuple[StandIn, str], built: Built, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the wrapped proxy."""
    model = {
        "model_name": "gpt-4o",
        "litellm_params": {
            "model": "openai/gpt-4o",
            "api_base": f"{stand_in[1]}/v1",
            "api_key": "k",
        },
    }
    file: Path = tmp_path_factory.mktemp("proxy") / "litellm.yaml"
    file.write_text(json.dumps({"model_list": [model]}), "utf-8")  # JSON is YAML, too
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONFIG_FILE_PATH", str(file))
        patch.setenv("LITELLM_MASTER_KEY", KEY)
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it fetches one on import
        wanted("fastapi_sso", why="scripts/clients --litellm-proxy installs it")
        app = wanted("litellm.proxy.proxy_server").app
        with serve(Guardrail(app, built)) as url:
            yield url


@pytest.fixture
def asked(proxy: str, stand_in: tuple[StandIn, str]) -> Iterator[tuple[openai.OpenAI, Door]]:
    model, _ = stand_in
    model.reset()
    with (
        ExitStack() as closing,
        SDK_HTTP.Client(trust_env=False) as http,
        openai.OpenAI(
            base_url=f"{proxy}/v1", api_key=KEY, max_retries=0, timeout=60, http_client=http
        ) as client,
    ):
        yield client, Door(url=proxy, upstream=model, closing=closing)


Asked = tuple[openai.OpenAI, Door]


def test_chat(asked: Asked) -> None:
    client, door = asked
    answer = client.chat.completions.create(model="gpt-4o", messages=user(TEXT))
    assert answer.choices[0].message.content == BACK
    assert door.kept()


def test_chat_streamed(asked: Asked) -> None:
    client, door = asked
    stream = client.chat.completions.create(model="gpt-4o", messages=user(TEXT), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == BACK
    assert door.kept()


def test_tool(asked: Asked) -> None:
    client, door = asked
    answer = client.chat.completions.create(model="gpt-4o", messages=user(TEXT), tools=TOOLS)
    calls: Any = answer.choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"text": BACK}]
    assert door.kept()


def test_refused(asked: Asked) -> None:
    client, door = asked
    with pytest.raises(openai.PermissionDeniedError, match=REFUSED):
        client.chat.completions.create(
            model="gpt-4o", messages=user(TEXT), extra_headers=PROHIBITED
        )
    assert door.shut()
