"""The transports inside real clients: the OpenAI SDK, `httpx` and `httpx2`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import openai
import pytest
from servers import (
    CARD,
    EMAIL,
    KEY,
    PICTURE,
    PROMPT,
    SDK_HTTP,
    Act,
    Model,
    async_sdk,
    eventually,
    free_port,
    kinds,
    leaked,
    local_endpoint,
    recorded,
    sdk,
    serve,
    settings,
    user,
)

from guardrail.config import Built, build, load_config
from guardrail.transport import transports

MODULES = [pytest.param(httpx, id="httpx"), pytest.param(httpx2, id="httpx2")]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the transports need, and the models they reach."""

    built: Built
    url: str
    cloud: Model
    local: Model
    audit: Path
    down: str


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[House]:
    cloud, local = Model(), Model()
    with serve(cloud) as cloud_url, serve(local) as local_url:
        config = settings(folder, cloud_url, output={"restore_tools": ["own_tool"]})
        down = f"http://127.0.0.1:{free_port()}"
        config["endpoints"] |= {
            "local": local_endpoint(local_url) | {"api_key": "key-of-the-local-model"},
            "down": {**config["endpoints"]["cloud"], "url": f"{down}/v1"},
        }
        built = build(load_config(config))
        audit = folder / "audit.db"
        yield House(built=built, url=cloud_url, cloud=cloud, local=local, audit=audit, down=down)
        built.close()


@pytest.fixture
def house(running: House) -> House:
    for model in (running.cloud, running.local):
        model.reset()
    return running


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    transport, _ = transports(SDK_HTTP)
    with sdk(house.url, http_client=SDK_HTTP.Client(transport=transport(house.built))) as client:
        yield client


# ── through the SDK ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("cut", [1, 24, 4096])
def test_the_sdk_gets_originals_and_the_model_pseudonyms(
    client: openai.OpenAI, house: House, cut: int, compressed: bool
) -> None:
    house.cloud.act = Act(cut=cut, gzip=compressed)
    answer = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT))
    stream = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT), stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert (answer.choices[0].message.content, streamed) == (PROMPT, PROMPT)
    assert [leaked(seen.everything) for seen in house.cloud.seen] == [[], []]
    assert house.cloud.last.headers["authorization"] == "Bearer k"


def test_a_header_that_names_a_user_reaches_the_model_as_a_digest(
    client: openai.OpenAI, house: House
) -> None:
    said = {"openai-safety-identifier": EMAIL, "x-litellm-tags": f"a,{EMAIL}"}
    client.chat.completions.create(model="gpt-4o", messages=user("hi"), extra_headers=said)
    seen = house.cloud.last
    assert leaked(seen.everything) == []
    assert seen.headers["openai-safety-identifier"].startswith("user-")
    assert seen.headers["x-litellm-tags"] == "a,[EMAIL_1]"


async def test_the_asynchronous_sdk_gets_the_same(house: House) -> None:
    _, transport = transports(SDK_HTTP)
    http_client = SDK_HTTP.AsyncClient(transport=transport(house.built))
    async with async_sdk(house.url, http_client=http_client) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=user(PROMPT))
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=user(PROMPT), stream=True
        )
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert (answer.choices[0].message.content, streamed) == (PROMPT, PROMPT)
    assert [leaked(seen.everything) for seen in house.cloud.seen] == [[], []]


@pytest.mark.parametrize(
    ("expected", "tool"), [pytest.param(PROMPT, "own_tool"), pytest.param(None, "web")]
)
def test_streamed_tool_arguments_are_restored_only_for_declared_tools(
    client: openai.OpenAI, house: House, expected: str | None, tool: str
) -> None:
    house.cloud.act = Act(tool=tool, delta=2)
    arguments = ""
    stream = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT), stream=True)
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or ():
            arguments += (call.function and call.function.arguments) or ""
    assert (json.loads(arguments)["text"] == PROMPT) is (expected is not None)
    assert expected or leaked(arguments.encode()) == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_what_stays_at_home_goes_to_the_local_model_without_the_clouds_credentials(
    house: House, streamed: bool
) -> None:
    transport, _ = transports(SDK_HTTP)
    secrets = {
        "api-key": "secret-azure-key",
        "x-api-key": "secret-anthropic-key",
        "x-goog-api-key": "secret-google-key",
        "cookie": "secret-session",
        "proxy-authorization": "secret-proxy",
        "openai-organization": "secret-organisation",
        "openai-project": "secret-project",
    }
    http_client = SDK_HTTP.Client(transport=transport(house.built))
    with sdk(house.url, api_key="secret-of-the-cloud", http_client=http_client) as client:
        answer: Any = client.chat.completions.create(
            model="gpt-4o", messages=PICTURE, extra_headers=secrets, stream=streamed
        )
        if streamed:
            said = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
        else:
            said = answer.choices[0].message.content
    assert said.strip() == PROMPT
    assert house.cloud.seen == []
    seen = house.local.last
    assert (seen.json["model"], seen.json["messages"]) == ("llama3", PICTURE)
    assert seen.headers["authorization"] == "Bearer key-of-the-local-model"
    assert b"secret-" not in seen.everything


@pytest.mark.parametrize(
    ("expected", "model", "headers"),
    [
        pytest.param(
            openai.PermissionDeniedError,
            "gpt-4o",
            {"x-guardrail-purpose": "social-scoring"},
            id="prohibited",
        ),
        pytest.param(
            openai.BadRequestError, "gpt-4o", {"x-guardrail-purpose": EMAIL}, id="bad-header"
        ),
        pytest.param(openai.BadRequestError, EMAIL, {}, id="personal-model"),
    ],
)
def test_a_refusal_is_the_sdks_own_error(
    client: openai.OpenAI,
    house: House,
    expected: type[openai.APIStatusError],
    model: str,
    headers: dict[str, str],
) -> None:
    with pytest.raises(expected) as caught:
        client.chat.completions.create(
            model=model, messages=user(PROMPT), extra_headers=headers, stream=True
        )
    assert leaked(str(caught.value).encode() + caught.value.response.content) == []
    assert house.cloud.seen == house.local.seen == []
    exchange = caught.value.response.headers["x-guardrail-exchange"]
    assert kinds(house.audit, exchange) == ["request.refused"]


def test_an_unknown_address_is_refused(house: House) -> None:
    transport, _ = transports(SDK_HTTP)
    http_client = SDK_HTTP.Client(transport=transport(house.built))
    with (
        sdk("http://elsewhere.invalid", http_client=http_client) as client,
        pytest.raises(openai.PermissionDeniedError, match=r"endpoints\.<id>\.url"),
    ):
        client.chat.completions.create(model="gpt-4o", messages=user(PROMPT))


@pytest.mark.parametrize("suffix", ["@elsewhere.invalid", ".elsewhere.invalid", "0", "/../v2"])
def test_an_address_that_only_begins_alike_is_refused(house: House, suffix: str) -> None:
    transport, _ = transports(SDK_HTTP)
    with SDK_HTTP.Client(transport=transport(house.built)) as http:
        answer = http.post(f"{house.url}/v1{suffix}", json={"messages": user(PROMPT)})
    assert answer.status_code in (400, 403)
    assert house.cloud.seen == []


def test_a_model_that_is_down_is_the_sdks_connection_error(house: House) -> None:
    transport, _ = transports(SDK_HTTP)
    http_client = SDK_HTTP.Client(transport=transport(house.built))
    before = len(recorded(house.audit))
    with (
        sdk(house.down, http_client=http_client) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.chat.completions.create(model="gpt-4o", messages=user(PROMPT))
    new = recorded(house.audit)[before:]
    assert [event.kind for event in new] == ["egress.decision", "egress.outcome"]


def test_a_stream_that_breaks_off_is_the_sdks_error(client: openai.OpenAI, house: House) -> None:
    house.cloud.act = Act(breaks=900)
    stream = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT), stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        for _ in stream:
            pass


def test_leaving_a_stream_stops_the_model_and_is_recorded(
    client: openai.OpenAI, house: House
) -> None:
    house.cloud.act = Act(stall=True)
    stream = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT), stream=True)
    exchange = stream.response.headers["x-guardrail-exchange"]
    next(stream)
    stream.response.close()
    assert house.cloud.left.wait(5)
    assert kinds(house.audit, exchange) == ["egress.decision", "egress.outcome"]


def test_a_card_and_a_key_never_reach_the_sdk(client: openai.OpenAI, house: House) -> None:
    house.cloud.act = Act(say=f"{CARD} {KEY}", cut=3, delta=2)
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=user("hi"))
    stream = client.chat.completions.create(model="gpt-4o", messages=user("hi"), stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert leaked(raw.content, (CARD, KEY)) == []
    assert streamed == "[CARD REDACTED] [API_KEY REDACTED]"


# ── through the clients below the SDK ────────────────────────────────────────────────────────────


def test_the_list_of_models_passes(client: openai.OpenAI, house: House) -> None:
    house.cloud.act = Act(
        raw=b'{"object":"list","data":[{"id":"gpt-4o","object":"model"}]}',
        content_type="application/json",
    )
    assert [model.id for model in client.models.list()] == ["gpt-4o"]


@pytest.mark.parametrize("module", MODULES)
def test_a_client_of_either_module_is_guarded(house: House, module: ModuleType) -> None:
    transport, _ = transports(module)
    body = {"model": "gpt-4o", "stream": True, "messages": user(PROMPT)}
    with module.Client(transport=transport(house.built)) as http:
        whole = http.post(
            f"{house.url}/v1/chat/completions", json={**body, "stream": False}, params={"a": EMAIL}
        )
        with http.stream("POST", f"{house.url}/v1/chat/completions", json=body) as answer:
            pieces = [json.loads(x[6:]) for x in answer.iter_lines() if x.startswith("data: {")]
    assert whole.json()["choices"][0]["message"]["content"] == PROMPT
    said = "".join(c["delta"].get("content") or "" for p in pieces for c in p["choices"])
    assert said == PROMPT
    assert [leaked(seen.everything) for seen in house.cloud.seen] == [[], []]


@pytest.mark.parametrize("module", MODULES)
async def test_an_asynchronous_client_of_either_module_is_guarded(
    house: House, module: ModuleType
) -> None:
    _, transport = transports(module)
    body = {"model": "gpt-4o", "messages": user(PROMPT)}
    async with module.AsyncClient(transport=transport(house.built)) as http:
        answer = await http.post(f"{house.url}/v1/chat/completions", json=body)
        upload = await http.post(
            f"{house.url}/v1/files", files={"file": ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(64))}
        )
    assert answer.json()["choices"][0]["message"]["content"] == PROMPT
    assert upload.headers["x-guardrail-code"] == "no_permitted_route"
    assert [leaked(seen.everything) for seen in house.cloud.seen] == [[]]


async def test_leaving_an_asynchronous_stream_is_recorded(house: House) -> None:
    _, transport = transports(SDK_HTTP)
    house.cloud.act = Act(stall=True)
    body = {"model": "gpt-4o", "stream": True, "messages": user(PROMPT)}
    async with SDK_HTTP.AsyncClient(transport=transport(house.built)) as http:
        url = f"{house.url}/v1/chat/completions"
        async with http.stream("POST", url, json=body) as answer:
            exchange = answer.headers["x-guardrail-exchange"]
            async for _ in answer.aiter_raw():
                break
    assert eventually(lambda: kinds(house.audit, exchange)[-1:] == ["egress.outcome"])
