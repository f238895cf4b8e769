"""The gateway under uvicorn, in front of a cloud model and a local one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from servers import (
    CARD,
    EMAIL,
    KEY,
    NAME,
    PICTURE,
    PROMPT,
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

from guardrail.asgi.gateway import Gateway
from guardrail.config import Built, build, load_config

EU_KEY, US_KEY = "key-of-the-european-app", "key-of-the-american-app"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A served gateway and the models behind it."""

    url: str
    built: Built
    cloud: Model
    local: Model
    audit: Path


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[House]:
    cloud, local = Model(), Model()
    with ExitStack() as stack:
        config = configuration(
            folder, stack.enter_context(serve(cloud)), stack.enter_context(serve(local))
        )
        built = build(load_config(config))
        stack.callback(built.close)
        url = stack.enter_context(serve(Gateway(built)))
        yield House(url=url, built=built, cloud=cloud, local=local, audit=folder / "audit.db")


def configuration(folder: Path, cloud: str, local: str) -> dict[str, Any]:
    config = settings(folder, cloud)
    app = config["apps"]["default"]
    config["apps"] = {
        "eu": {**app, "key": EU_KEY},
        "us": {
            "key": US_KEY,
            "establishment": "US",
            "origin": "US",
            "basis": "contract",
        },
    }
    config["endpoints"] |= {
        "local": local_endpoint(local),
        "down": {**config["endpoints"]["cloud"], "models": ["down-*"]}
        | {"url": f"http://127.0.0.1:{free_port()}/v1"},
        "slow": {**config["endpoints"]["cloud"], "models": ["slow-*"], "timeout_s": 0.2},
    }
    return config


@pytest.fixture
def house(running: House) -> House:
    for model in (running.cloud, running.local):
        model.reset()
    return running


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with sdk(house.url, api_key=EU_KEY) as client:
        yield client


@pytest.fixture
def http(house: House) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {EU_KEY}"}
    with httpx.Client(base_url=house.url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


def asked(model: str, text: str = PROMPT, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": user(text), **more}


# ── where a request goes ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_cloud_model_gets_pseudonyms_and_the_client_originals(
    client: openai.OpenAI, house: House, streamed: bool
) -> None:
    house.cloud.act = Act(gzip=streamed)
    if streamed:
        stream = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT), stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    else:
        answer = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT))
        said = answer.choices[0].message.content or ""
    assert said == PROMPT
    assert leaked(house.cloud.last.everything) == []
    assert house.cloud.last.headers["authorization"] == "Bearer upstream-key-of-the-cloud"
    assert EU_KEY.encode() not in house.cloud.last.everything


async def test_the_asynchronous_client_gets_the_same(house: House) -> None:
    async with async_sdk(house.url, api_key=EU_KEY) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=user(PROMPT), stream=True
        )
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert said == PROMPT
    assert leaked(house.cloud.last.everything) == []


@pytest.mark.parametrize(
    ("expected", "model"),
    [
        pytest.param("llama3", "auto", id="auto"),
        pytest.param("llama3", "llama3", id="local"),
        pytest.param("llama-small", "llama-small", id="other-local"),
    ],
)
def test_the_local_model_gets_the_original(
    client: openai.OpenAI, house: House, expected: str, model: str
) -> None:
    answer = client.chat.completions.create(model=model, messages=user(PROMPT))
    assert answer.choices[0].message.content == PROMPT
    assert house.local.last.json == {"model": expected, "messages": user(PROMPT)}
    assert house.cloud.seen == []
    assert "authorization" not in house.local.last.headers


def test_what_policy_keeps_at_home_is_answered_by_the_local_model_under_its_own_name(
    client: openai.OpenAI, house: House
) -> None:
    answer = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=PICTURE)
    assert answer.headers["x-guardrail-endpoint"] == "local"
    assert answer.headers["x-guardrail-treatment"] == "local"
    assert house.local.last.json == {"model": "llama3", "messages": PICTURE}
    assert house.cloud.seen == []


def test_each_app_has_its_own_law(house: House) -> None:
    for key in (EU_KEY, US_KEY):
        with sdk(house.url, api_key=key) as client:
            client.chat.completions.create(model="gpt-4o", messages=user(f"write to {EMAIL}"))
    european, american = (seen.json["messages"][0]["content"] for seen in house.cloud.seen)
    assert european == "write to [EMAIL_1]"
    assert american == f"write to {EMAIL}"


def test_the_query_string_is_guarded_too(http: httpx.Client, house: House) -> None:
    params = {"customer": EMAIL, "v": "1"}
    http.post("/v1/chat/completions", json=asked("gpt-4o", "hello"), params=params)
    assert leaked(house.cloud.last.everything) == []
    assert b"v=1" in house.cloud.last.query


# ── what the gateway says itself ─────────────────────────────────────────────────────────────────


def test_health_and_models(http: httpx.Client, house: House) -> None:
    health = http.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert [model["id"] for model in http.get("/v1/models").json()["data"]] == ["llama3"]
    assert http.get("/v1/models", headers={"authorization": "Bearer no"}).status_code == 401


@pytest.mark.parametrize(
    ("expected", "method", "path", "body", "key"),
    [
        pytest.param((404, "unknown_route"), "POST", "/v1/files", {}, EU_KEY, id="path"),
        pytest.param((404, "unknown_route"), "GET", "/v1/files", None, EU_KEY, id="get"),
        pytest.param(
            (404, "unknown_route"), "POST", f"/v1/{EMAIL}", {}, EU_KEY, id="personal-path"
        ),
        pytest.param((400, "unknown_model"), "POST", "", asked("claude-4"), EU_KEY, id="model"),
        pytest.param((400, "unknown_model"), "POST", "", asked(EMAIL), EU_KEY, id="personal-model"),
        pytest.param(
            (400, "missing_model"), "POST", "", {"messages": user(PROMPT)}, EU_KEY, id="no-model"
        ),
        pytest.param(
            (401, "invalid_api_key"), "POST", "", asked("gpt-4o"), "wrong", id="wrong-key"
        ),
        pytest.param((401, "invalid_api_key"), "POST", "", asked("gpt-4o"), "", id="no-key"),
        pytest.param(
            (400, "untrusted_header"), "POST", "", asked("gpt-4o"), US_KEY, id="untrusted-header"
        ),
    ],
)
def test_what_is_not_served_is_refused_and_recorded_once(
    house: House, expected: tuple[int, str], method: str, path: str, body: Any, key: str
) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if expected[1] == "untrusted_header":
        headers["x-guardrail-purpose"] = "support"
    with httpx.Client(base_url=house.url, trust_env=False) as http:
        answer = http.request(method, path or "/v1/chat/completions", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == expected
    assert leaked(answer.content + repr(answer.headers).encode()) == []
    assert house.cloud.seen == house.local.seen == []
    assert kinds(house.audit, answer.headers["x-guardrail-exchange"]) == ["request.refused"]


def test_a_refused_caller_is_not_recorded_as_somebody_elses_app(house: House) -> None:
    with httpx.Client(base_url=house.url, trust_env=False) as http:
        answer = http.post("/v1/chat/completions", json=asked("gpt-4o"))
    exchange = answer.headers["x-guardrail-exchange"]
    (event,) = (event for event in recorded(house.audit) if event.exchange == exchange)
    assert event.principal not in ("eu", "us")


# ── when the model fails ─────────────────────────────────────────────────────────────────────────


def test_a_model_that_is_down_is_a_502(client: openai.OpenAI, house: House) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="down-1", messages=user(PROMPT))
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_unreachable")
    exchange = caught.value.response.headers["x-guardrail-exchange"]
    assert eventually(lambda: len(kinds(house.audit, exchange)) == 2)


def test_a_model_that_takes_too_long_is_a_504(client: openai.OpenAI, house: House) -> None:
    house.cloud.act = Act(stall=True)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="slow-1", messages=user(PROMPT))
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_timeout")
    assert house.cloud.left.wait(5)


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_an_error_of_the_model_that_quotes_the_prompt_shows_the_users_own_words(
    http: httpx.Client, house: House, status: int
) -> None:
    house.cloud.act = Act(status=status)
    answer = http.post("/v1/chat/completions", json=asked("gpt-4o"))
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == f"cannot process: {PROMPT}"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json"])
def test_an_error_of_the_model_is_filtered_whatever_it_is(
    http: httpx.Client, house: House, kind: str
) -> None:
    said = json.dumps({"error": CARD}) if kind.endswith("json") else f"<p>{CARD}</p>"
    house.cloud.act = Act(status=500, raw=said.encode(), content_type=kind)
    answer = http.post("/v1/chat/completions", json=asked("gpt-4o"))
    assert answer.status_code == 500
    assert leaked(answer.content, (CARD,)) == []


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        pytest.param(b"\x89PNG" + CARD.encode(), "image/png", id="picture"),
        pytest.param(b'{"a": "' + CARD.encode(), "application/json", id="cut-json"),
        pytest.param(CARD.encode(), "", id="no-type"),
        pytest.param(b'{"a":"x","a":"' + CARD.encode() + b'"}', "application/json", id="twice"),
        pytest.param(b"\xff\xfe" + CARD.encode("utf-16-le"), "application/json", id="utf-16"),
    ],
)
def test_an_answer_that_cannot_be_inspected_is_not_shown(
    http: httpx.Client, house: House, raw: bytes, kind: str
) -> None:
    house.cloud.act = Act(raw=raw, content_type=kind)
    answer = http.post("/v1/chat/completions", json=asked("gpt-4o"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_uninspectable")
    assert leaked(answer.content, (CARD,)) == []


def test_a_stream_that_breaks_off_ends_in_an_error(client: openai.OpenAI, house: House) -> None:
    house.cloud.act = Act(breaks=900)
    stream = client.chat.completions.create(model="gpt-4o", messages=user(PROMPT), stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        for _ in stream:
            pass


def test_a_whole_answer_that_breaks_off_is_a_502(client: openai.OpenAI, house: House) -> None:
    house.cloud.act = Act(breaks=40)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=user(PROMPT))
    assert caught.value.code == "upstream_broken"


def test_a_text_that_breaks_off_does_not_look_complete(http: httpx.Client, house: House) -> None:
    house.cloud.act = Act(raw=b"half an answer and then " * 9, content_type="text/plain", breaks=99)
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/v1/chat/completions", json=asked("gpt-4o"))


def test_a_client_that_leaves_stops_the_model(http: httpx.Client, house: House) -> None:
    house.cloud.act = Act(stall=True)
    body = asked("gpt-4o", stream=True)
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        exchange = answer.headers["x-guardrail-exchange"]
        next(answer.iter_bytes())
    assert house.cloud.left.wait(5)
    assert eventually(lambda: kinds(house.audit, exchange)[-1:] == ["egress.outcome"])


# ── what comes back, and what is kept ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", ["gpt-4o", "llama3"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("cut", [1, 24])
def test_a_card_and_a_key_never_reach_the_client(
    http: httpx.Client, house: House, model: str, streamed: bool, cut: int
) -> None:
    house.cloud.act = house.local.act = Act(say=f"{CARD} {KEY} {NAME}", cut=cut)
    answer = http.post("/v1/chat/completions", json=asked(model, "hi", stream=streamed))
    assert leaked(answer.content, (CARD, KEY, CARD[:9], KEY[8:20])) == []


def test_every_forwarded_exchange_has_one_decision_and_one_outcome(
    http: httpx.Client, house: House
) -> None:
    exchanges = [
        http.post("/v1/chat/completions", json=asked(model, stream=streamed)).headers[
            "x-guardrail-exchange"
        ]
        for model in ("gpt-4o", "llama3", "auto", "down-1")
        for streamed in (False, True)
    ]
    assert eventually(lambda: all(len(kinds(house.audit, one)) == 2 for one in exchanges))
    assert {tuple(kinds(house.audit, one)) for one in exchanges} == {
        ("egress.decision", "egress.outcome")
    }


def test_one_conversation_id_in_two_apps_is_two_conversations(house: House, folder: Path) -> None:
    config = configuration(folder, "http://127.0.0.1:1", "http://127.0.0.1:1")
    config["apps"]["us"] = {**config["apps"]["eu"], "key": US_KEY}
    config["audit"] = {"path": str(folder / "two.db")}
    config["endpoints"] = {
        "cloud": {
            **config["endpoints"]["cloud"],
            "url": house.built.upstreams["cloud"].url,
        }
    }
    built = build(load_config(config))
    headers = {"x-guardrail-conversation": "conversation-of-both"}
    said = []
    with serve(Gateway(built)) as url:
        for key, text in ((EU_KEY, f"mail {EMAIL}"), (US_KEY, "repeat [EMAIL_1] and EMAIL_1")):
            with sdk(url, api_key=key) as client:
                house.cloud.act = Act(say="it is [EMAIL_1]")
                answer = client.chat.completions.create(
                    model="gpt-4o", messages=user(text), extra_headers=headers
                )
                said.append(answer.choices[0].message.content)
    built.close()
    assert said == [f"it is {EMAIL}", "it is [EMAIL_1]"]
