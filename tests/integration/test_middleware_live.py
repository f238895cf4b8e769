"""The middleware around a FastAPI app, asked by real clients over real sockets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import openai
import pytest
from apps import AppFailed, support_app
from fastapi import FastAPI
from servers import (
    CARD,
    EMAIL,
    IBAN,
    KEY,
    NAME,
    PHONE,
    PLANTED,
    PROMPT,
    Act,
    Ask,
    Model,
    async_sdk,
    dump,
    eventually,
    http_scope,
    kinds,
    leaked,
    sdk,
    serve,
    settings,
    user,
)
from starlette.types import ASGIApp

from guardrail.asgi.middleware import Guardrail

MODEL = "gpt-4o"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A served model and its address."""

    model: Model
    url: str


@pytest.fixture(scope="module")
def served_model() -> Iterator[Upstream]:
    model = Model()
    with serve(model) as url:
        yield Upstream(model=model, url=url)


@pytest.fixture
def upstream(served_model: Upstream) -> Upstream:
    """The module's model, with nothing seen and its manners restored."""
    served_model.model.reset()
    return served_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """A served application with guardrail around it."""

    app: FastAPI
    guarded: ASGIApp
    url: str
    audit: Path


def around(app: FastAPI, config: dict[str, Any]) -> ASGIApp:
    return Guardrail(app, config)


def added(app: FastAPI, config: dict[str, Any]) -> ASGIApp:
    app.add_middleware(Guardrail, config=config)
    return app


@pytest.fixture(scope="module", params=[around, added], ids=["around", "added"])
def wrapped(
    request: pytest.FixtureRequest, served_model: Upstream, folder: Path
) -> Iterator[Wrapped]:
    wrap: Callable[[FastAPI, dict[str, Any]], ASGIApp] = request.param
    config = settings(
        folder,
        served_model.url,
        audit={"path": str(folder / f"{wrap.__name__}.db")},
        middleware={"unguarded": ["/plain/*"]},
        output={"restore_tools": ["own_tool"]},
    )
    app = support_app(served_model.url)
    guarded = wrap(app, config)
    with serve(guarded) as url:
        yield Wrapped(app=app, guarded=guarded, url=url, audit=folder / f"{wrap.__name__}.db")
    assert app.state.log[-1] == "stopped"


@pytest.fixture
def client(wrapped: Wrapped) -> Iterator[openai.OpenAI]:
    with sdk(wrapped.url) as client:
        yield client


@pytest.fixture
def http(wrapped: Wrapped) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=wrapped.url, trust_env=False, timeout=20) as client:
        yield client


# ── the OpenAI client ────────────────────────────────────────────────────────────────────────────


def test_a_whole_answer_holds_what_the_user_said_and_the_model_never_saw_it(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=user(PROMPT))
    assert answer.choices[0].message.content == PROMPT
    assert leaked(upstream.model.last.everything) == []
    assert "[EMAIL_1]" in upstream.model.last.json["messages"][0]["content"]


@pytest.mark.parametrize(
    ("delta", "cut"), [(1, 1), (4, 24), (3, 4096), (64, 7)], ids=["1-1", "4-24", "3-4096", "64-7"]
)
def test_a_streamed_answer_is_the_whole_answer(
    client: openai.OpenAI, upstream: Upstream, delta: int, cut: int
) -> None:
    upstream.model.act = Act(delta=delta, cut=cut)
    stream = client.chat.completions.create(model=MODEL, messages=user(PROMPT), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == PROMPT
    assert leaked(upstream.model.last.everything) == []


async def test_the_asynchronous_client_gets_the_same(wrapped: Wrapped, upstream: Upstream) -> None:
    async with async_sdk(wrapped.url) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=user(PROMPT))
        stream = await client.chat.completions.create(
            model=MODEL, messages=user(PROMPT), stream=True
        )
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert (answer.choices[0].message.content, streamed) == (PROMPT, PROMPT)
    assert [leaked(seen.everything) for seen in upstream.model.seen] == [[], []]


def test_a_compressed_answer_is_read_and_restored(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    upstream.model.act = Act(gzip=True)
    answer = client.chat.completions.create(model=MODEL, messages=user(PROMPT))
    stream = client.chat.completions.create(model=MODEL, messages=user(PROMPT), stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert (answer.choices[0].message.content, streamed) == (PROMPT, PROMPT)


def test_several_choices_are_restored_each_for_itself(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=user(PROMPT), n=2)
    assert [choice.message.content for choice in answer.choices] == [PROMPT, PROMPT]
    upstream.model.act = Act(delta=2)
    streamed = ["", ""]
    for chunk in client.chat.completions.create(
        model=MODEL,
        messages=user(PROMPT),
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    ):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
        usage = chunk.usage
    assert streamed == [PROMPT, PROMPT]
    assert usage is not None
    assert usage.total_tokens == 2


def test_nothing_leaves_by_any_field_of_a_request(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": f"You help {EMAIL}."},
            {"role": "developer", "content": [{"type": "text", "text": f"Account {IBAN}"}]},
            {"role": "user", "name": "erika", "content": [{"type": "text", "text": PROMPT}]},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "find", "arguments": json.dumps({"mail": EMAIL})},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": f'{{"iban": "{IBAN}"}}'},
            {"role": "user", "content": "And now?"},
        ],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "find",
                    "description": f"Finds {EMAIL}",
                    "parameters": {
                        "type": "object",
                        "properties": {"mail": {"type": "string", "description": EMAIL}},
                    },
                },
            }
        ],
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "description": f"for {EMAIL}",
                "schema": {"type": "object", "properties": {"to": {"enum": [EMAIL, IBAN]}}},
            },
        },
        stop=[PHONE, EMAIL],
        metadata={"customer": EMAIL},
        user=EMAIL,
        prediction={"type": "content", "content": f"Dear {NAME}, {EMAIL}"},
        safety_identifier=EMAIL,
        extra_body={"x_own_field": {"deep": [PROMPT, {EMAIL: 1}]}, "number": 4111111111111111},
        extra_query={"trace": EMAIL},
        extra_headers={"x-guardrail-purpose": "support"},
    )
    seen = upstream.model.last
    assert leaked(seen.everything, (*PLANTED, "4111111111111111")) == []
    sent = seen.json
    assert sent["user"].startswith("user-")
    assert json.loads(sent["messages"][3]["tool_calls"][0]["function"]["arguments"]) == {
        "mail": "[EMAIL_1]"
    }
    assert "x-guardrail-purpose" not in seen.headers


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("expected", "tool"),
    [pytest.param(PROMPT, "own_tool", id="declared"), pytest.param("", "web", id="foreign")],
)
def test_a_tool_gets_originals_only_where_it_is_declared(
    client: openai.OpenAI, upstream: Upstream, expected: str, tool: str, streamed: bool
) -> None:
    upstream.model.act = Act(tool=tool, delta=3)
    arguments = ""
    if streamed:
        for chunk in client.chat.completions.create(
            model=MODEL, messages=user(PROMPT), stream=True
        ):
            for call in chunk.choices[0].delta.tool_calls or ():
                arguments += (call.function and call.function.arguments) or ""
    else:
        answer = client.chat.completions.create(model=MODEL, messages=user(PROMPT))
        called = (answer.choices[0].message.tool_calls or [])[0]
        assert called.type == "function"
        arguments = called.function.arguments
    text = json.loads(arguments)["text"]
    if expected:
        assert text == expected
    else:
        assert leaked(text.encode()) == []
        assert "[EMAIL_1]" in text


def test_a_second_turn_with_its_history_keeps_every_number(
    wrapped: Wrapped, client: openai.OpenAI, upstream: Upstream
) -> None:
    headers = {"x-guardrail-conversation": "conversation-1"}
    first = client.chat.completions.create(
        model=MODEL, messages=user(PROMPT), extra_headers=headers
    )
    said = first.choices[0].message.content or ""
    second = client.chat.completions.create(
        model=MODEL,
        messages=[*user(PROMPT), {"role": "assistant", "content": said}, *user(f"not {EMAIL}?")],
        extra_headers=headers,
    )
    one, two = (seen.json["messages"] for seen in upstream.model.seen)
    assert two[0] == one[0]
    assert two[1]["content"] == one[0]["content"]
    assert two[2]["content"] == "not [EMAIL_1]?"
    assert second.choices[0].message.content == f"not {EMAIL}?"


def test_a_typed_placeholder_reveals_nothing(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.model.act = Act(say="[EMAIL_1] and [EMAIL_2], [LITERAL_1]")
    answer = client.chat.completions.create(
        model=MODEL, messages=user(f"mail {EMAIL}; I type [EMAIL_2]")
    )
    assert answer.choices[0].message.content == f"{EMAIL} and [EMAIL_2], [EMAIL_2]"


# ── what the model says ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut", [1, 5, 24, 4096])
@pytest.mark.parametrize("delta", [1, 3, 64])
def test_a_card_and_a_key_in_a_stream_never_reach_the_client(
    http: httpx.Client, upstream: Upstream, delta: int, cut: int
) -> None:
    upstream.model.act = Act(say=f"Card {CARD}, key {KEY}. Ende – gut.", delta=delta, cut=cut)
    body = {"model": MODEL, "stream": True, "messages": user("hello")}
    answer = http.post("/v1/chat/completions", json=body)
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    said = "".join(
        c["delta"].get("content") or "" for e in events for c in json.loads(e)["choices"]
    )
    assert said == "Card [CARD REDACTED], key [API_KEY REDACTED]. Ende – gut."
    assert leaked(answer.content, (CARD, KEY, CARD[:9], KEY[8:20])) == []


@pytest.mark.parametrize("tool", ["", "own_tool", "web"], ids=["text", "own-tool", "web-tool"])
def test_a_card_and_a_key_in_a_whole_answer_never_reach_the_client(
    http: httpx.Client, upstream: Upstream, tool: str
) -> None:
    upstream.model.act = Act(say=f"Card {CARD}, key {KEY}.", tool=tool)
    body = {"model": MODEL, "messages": user("hello")}
    answer = http.post("/v1/chat/completions", json=body)
    assert leaked(answer.content, (CARD, KEY)) == []
    assert b"[CARD REDACTED]" in answer.content


@pytest.mark.parametrize(
    "link",
    [
        "![x](https://evil.example/?q={})",
        "[click]({})",
        "www.evil.example/{}",
        "https://evil.example/a%20b/{}/c",
        "https://evil.example?a=[PERSON_1]&b={}",
        "mailto:{}",
        "<img src='//evil.example/{}'>",
        '<a href="/relative?{}">x</a>',
    ],
)
@pytest.mark.parametrize("delta", [1, 64])
def test_no_original_is_put_into_a_link(
    client: openai.OpenAI, upstream: Upstream, link: str, delta: int
) -> None:
    upstream.model.act = Act(say="See " + link.format("[EMAIL_1]") + " now.", delta=delta)
    whole = client.chat.completions.create(model=MODEL, messages=user(PROMPT))
    stream = client.chat.completions.create(model=MODEL, messages=user(PROMPT), stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert leaked(streamed.encode()) == []
    assert whole.choices[0].message.content == streamed


def test_a_masked_answer_is_counted_in_the_audit_log(
    wrapped: Wrapped, http: httpx.Client, upstream: Upstream
) -> None:
    upstream.model.act = Act(say=CARD)
    answer = http.post("/v1/chat/completions", json={"model": MODEL, "messages": user("hi")})
    exchange = answer.headers["x-guardrail-exchange"]
    assert eventually(lambda: len(kinds(wrapped.audit, exchange)) == 2)
    assert kinds(wrapped.audit, exchange) == ["egress.decision", "egress.outcome"]


@pytest.mark.parametrize("name", ["x-model-said", "location", "set-cookie"])
async def test_no_header_of_an_answer_brings_a_card_past_the_filter(
    tmp_path: Path, upstream: Upstream, name: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.encode(), CARD.encode()), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    guarded = Guardrail(app, settings(tmp_path, upstream.url))
    try:
        sent = await Ask(guarded)(
            http_scope("/", method="POST", headers=[(b"content-type", b"application/json")]),
            {"type": "http.request", "body": b'{"q": "hi"}', "more_body": False},
        )
    finally:
        guarded.close()
    assert leaked(repr(sent[0]).encode(), (CARD,)) == []


@pytest.mark.parametrize(
    "line", [": {}", "id: {}", "event: {}", "retry: {}", "data: {}", "x: {}"], ids=lambda v: v[:3]
)
def test_no_line_of_an_event_brings_a_card_past_the_filter(
    http: httpx.Client, upstream: Upstream, line: str
) -> None:
    raw = (line.format(CARD) + "\ndata: {}\n\n").encode()
    upstream.model.act = Act(raw=raw, content_type="text/event-stream")
    body = {"model": MODEL, "stream": True, "messages": user("hello")}
    assert leaked(http.post("/v1/chat/completions", json=body).content, (CARD,)) == []


@pytest.mark.parametrize("finish", [None, "stop"], ids=["running", "finished"])
@pytest.mark.parametrize("between", [b"", b": ping\n\n", b"data: [DONE]\n\n", b"event: x\n\n"])
def test_no_sign_of_an_end_lets_the_rest_of_a_card_pass(
    http: httpx.Client, upstream: Upstream, finish: str | None, between: bytes
) -> None:
    first = {"index": 0, "delta": {"content": CARD[:9]}, "finish_reason": finish}
    second = {"index": 0, "delta": {"content": CARD[9:]}, "finish_reason": None}
    raw = between.join(b"data: %s\n\n" % dump({"choices": [one]}) for one in (first, second))
    upstream.model.act = Act(raw=raw, content_type="text/event-stream")
    body = {"model": MODEL, "stream": True, "messages": user("hello")}
    text = http.post("/v1/chat/completions", json=body).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in event.get("choices", ())]
    assert CARD not in "".join(choice["delta"].get("content") or "" for choice in choices)


def test_a_compressed_answer_of_several_members_is_not_shown_in_part(
    http: httpx.Client, upstream: Upstream
) -> None:
    raw = gzip.compress(b'{"answer": "one') + gzip.compress(b', two"}')
    upstream.model.act = Act(raw=raw, content_type="application/json", compressed=True)
    body = {"model": MODEL, "messages": user("hello")}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 502 or answer.json() == {"answer": "one, two"}


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-7"])
@pytest.mark.parametrize("media", ["text/plain", "text/event-stream", "application/json"])
def test_no_other_charset_brings_a_card_past_the_filter(
    http: httpx.Client, upstream: Upstream, media: str, charset: str
) -> None:
    said = json.dumps({"content": CARD}) if media.endswith("json") else f"data: {CARD}\n\n"
    raw = said.encode(charset)
    upstream.model.act = Act(raw=raw, content_type=f"{media}; charset={charset}", cut=4096)
    answer = http.post("/v1/chat/completions", json={"model": MODEL, "messages": user("hello")})
    assert CARD not in answer.content.decode(charset, "replace")


# ── the application's own formats ────────────────────────────────────────────────────────────────


def test_the_apps_own_json_is_guarded(http: httpx.Client, upstream: Upstream) -> None:
    answer = http.post("/chat", json={"question": PROMPT})
    assert answer.json() == {"answer": PROMPT}
    assert leaked(upstream.model.last.everything) == []


def test_a_query_string_is_guarded(http: httpx.Client, upstream: Upstream) -> None:
    answer = http.get("/ask", params={"question": PROMPT})
    assert answer.json() == {"answer": PROMPT}
    assert leaked(upstream.model.last.everything) == []


@pytest.mark.parametrize("query", ["", "?lang=en"], ids=["bare", "query"])
def test_a_path_is_guarded(http: httpx.Client, upstream: Upstream, query: str) -> None:
    http.get(f"/ask/{quote(PROMPT)}{query}")
    assert [leaked(seen.everything) for seen in upstream.model.seen] in ([], [[]])


def test_a_form_is_guarded(http: httpx.Client, upstream: Upstream) -> None:
    answer = http.post("/form", data={"question": PROMPT})
    assert httpx.QueryParams(answer.text)["answer"] == PROMPT
    assert leaked(upstream.model.last.everything) == []


def test_a_multipart_form_is_guarded(http: httpx.Client, wrapped: Wrapped) -> None:
    answer = http.post("/keep", files={"question": (None, PROMPT), EMAIL: (None, "x")})
    assert answer.status_code == 200
    body = wrapped.app.state.log[-1]
    assert leaked(body) == []
    assert b"[EMAIL_1]" in body


def test_plain_text_is_guarded(http: httpx.Client, upstream: Upstream) -> None:
    answer = http.post("/text", content=PROMPT, headers={"content-type": "text/plain"})
    assert answer.text == PROMPT
    assert leaked(upstream.model.last.everything) == []


def test_a_bare_json_string_is_guarded(http: httpx.Client, upstream: Upstream) -> None:
    headers = {"content-type": "application/json"}
    answer = http.post("/text", content=json.dumps(PROMPT), headers=headers)
    assert json.loads(answer.text) == PROMPT
    assert leaked(upstream.model.last.everything) == []


def joined(form: str, body: str) -> str:
    if form == "text":
        return body
    if form == "ndjson":
        return "".join(json.loads(line)["token"] for line in body.splitlines())
    lines = [line[6:] for line in body.split("\n") if line.startswith("data: ")]
    return "".join(json.loads(line)["token"] if form == "sse" else line for line in lines)


@pytest.mark.parametrize("form", ["sse", "words", "ndjson", "text"])
@pytest.mark.parametrize(
    ("expected", "said"),
    [
        pytest.param(PROMPT, None, id="restored"),
        pytest.param("card [CARD REDACTED].", f"card {CARD}.", id="masked"),
    ],
)
def test_the_apps_own_streams_are_filtered(
    http: httpx.Client, upstream: Upstream, form: str, expected: str, said: str | None
) -> None:
    upstream.model.act = Act(say=said)
    answer = http.post(f"/stream/{form}", json={"question": PROMPT})
    assert joined(form, answer.text) == expected
    assert leaked(upstream.model.last.everything) == []


def test_an_unguarded_path_is_left_alone(http: httpx.Client, wrapped: Wrapped) -> None:
    body = gzip.compress(PROMPT.encode()) + bytes(range(256))
    answer = http.post("/plain/echo", content=body, headers={"content-type": "x/y"})
    assert answer.content == body
    assert "x-guardrail-exchange" not in answer.headers


@pytest.mark.parametrize("path", ["/plain/../chat", "/plain//echo", "/plain/./echo", "/PLAIN/echo"])
def test_a_disguised_path_is_guarded(wrapped: Wrapped, path: str) -> None:
    host, port = wrapped.url.removeprefix("http://").split(":")
    request = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: x/y\r\nconnection: close\r\n"
    answer = raw_answer(host, int(port), request.encode() + b"content-length: 3\r\n\r\nabc")
    assert b" 415 " in answer.split(b"\r\n")[0]


def raw_answer(host: str, port: int, request: bytes) -> bytes:
    async def ask() -> bytes:
        async with await anyio.connect_tcp(host, port) as stream:
            await stream.send(request)
            return b"".join([chunk async for chunk in stream])

    return anyio.run(ask)


# ── what an application relies on ────────────────────────────────────────────────────────────────


def test_the_lifespan_reaches_the_app(wrapped: Wrapped) -> None:
    assert wrapped.app.state.log[0] == "started"


@pytest.mark.parametrize(
    ("expected", "method", "path"),
    [
        pytest.param((204, b""), "GET", "/empty", id="get-204"),
        pytest.param((204, b""), "HEAD", "/empty", id="head-204"),
        pytest.param((204, b""), "POST", "/empty", id="post-204"),
        pytest.param((200, b"a page"), "GET", "/page", id="get"),
        pytest.param((200, b""), "HEAD", "/page", id="head"),
        pytest.param((307, b""), "GET", "/away", id="redirect"),
        pytest.param((404, b'{"detail":"Not Found"}'), "GET", "/nowhere", id="404"),
        pytest.param((405, b'{"detail":"Method Not Allowed"}'), "GET", "/chat", id="405"),
    ],
)
def test_ordinary_answers_stay_ordinary(
    http: httpx.Client, expected: tuple[int, bytes], method: str, path: str
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.content) == expected


def test_a_background_task_runs(http: httpx.Client, wrapped: Wrapped) -> None:
    wrapped.app.state.log.clear()
    assert http.post("/later", json={}).json() == {"ok": True}
    assert eventually(lambda: "background" in wrapped.app.state.log)


def test_an_app_that_fails_answers_500_itself(http: httpx.Client) -> None:
    assert http.post("/fail", json={"q": "hello"}).status_code == 500


async def test_an_apps_exception_reaches_the_server(wrapped: Wrapped) -> None:
    ask = Ask(wrapped.guarded)
    with pytest.raises(AppFailed, match="own error"):
        await ask(
            http_scope("/fail", method="POST"),
            {"type": "http.request", "body": b"", "more_body": False},
        )


def test_an_answer_that_breaks_off_does_not_look_complete(http: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        http.post("/fail-midway", json={"q": "hello"})


async def test_a_websocket_is_closed_with_1008(wrapped: Wrapped) -> None:
    scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b""}
    sent = await Ask(wrapped.guarded)(scope, {"type": "websocket.connect"})
    assert [(m["type"], m["code"]) for m in sent] == [("websocket.close", 1008)]


async def test_ways_around_the_filter_are_hidden_from_the_app(wrapped: Wrapped) -> None:
    extensions: dict[str, object] = {
        name: {} for name in ("http.response.pathsend", "http.response.debug")
    }
    headers = [(b"host", b"t"), (b"range", b"bytes=0-1"), (b"x-guardrail-purpose", b"support")]
    scope = http_scope("/scope", extensions=extensions, headers=headers)
    sent = await Ask(wrapped.guarded)(
        scope, {"type": "http.request", "body": b"", "more_body": False}
    )
    told = json.loads(b"".join(m.get("body", b"") for m in sent))
    assert told["extensions"] == ["http.response.debug"]
    assert told["headers"] == ["accept-encoding", "host"]


def test_a_client_that_leaves_stops_the_app_and_the_model(
    wrapped: Wrapped, http: httpx.Client, upstream: Upstream
) -> None:
    upstream.model.act = Act(say="one two three four five six seven", stall=True)
    wrapped.app.state.log.clear()
    body = {"model": MODEL, "stream": True, "messages": user(PROMPT)}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        exchange = answer.headers["x-guardrail-exchange"]
        next(answer.iter_bytes())
    assert eventually(lambda: "left" in wrapped.app.state.log)
    assert upstream.model.left.wait(5)
    assert eventually(lambda: "egress.outcome" in kinds(wrapped.audit, exchange))


def test_a_compressed_picture_stays_as_it_is(tmp_path: Path, upstream: Upstream) -> None:
    picture = gzip.compress(b"<svg/>")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"image/svg+xml"), (b"content-encoding", b"gzip")]
        headers.append((b"content-length", str(len(picture)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": picture})

    guarded = Guardrail(app, settings(tmp_path, upstream.url))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(guarded, http_scope("/logo.svg"), receive, send)
    guarded.close()
    assert b"".join(m.get("body", b"") for m in sent) == picture


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expected", "body", "headers"),
    [
        pytest.param(
            (400, "unknown_model"), {"model": "m", "messages": user(PROMPT)}, {}, id="model"
        ),
        pytest.param(
            (403, "policy_violation"),
            {"model": MODEL, "messages": user(PROMPT)},
            {"x-guardrail-purpose": "social-scoring"},
            id="prohibited",
        ),
        pytest.param(
            (400, "invalid_header"),
            {"model": MODEL, "messages": user(PROMPT)},
            {"x-guardrail-purpose": EMAIL},
            id="header",
        ),
        pytest.param(
            (400, "personal_data_in_structure"),
            {"model": MODEL, "messages": [{"role": EMAIL, "content": "x"}]},
            {},
            id="structure",
        ),
    ],
)
def test_a_refusal_is_recorded_once_and_tells_nothing(
    wrapped: Wrapped,
    http: httpx.Client,
    upstream: Upstream,
    expected: tuple[int, str],
    body: object,
    headers: dict[str, str],
) -> None:
    answer = http.post("/v1/chat/completions", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == expected
    assert leaked(answer.content + repr(answer.headers).encode()) == []
    assert upstream.model.seen == []
    exchange = answer.headers["x-guardrail-exchange"]
    assert kinds(wrapped.audit, exchange) == ["request.refused"]


def test_a_picture_without_a_local_model_is_refused(
    client: openai.OpenAI, upstream: Upstream
) -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/face.png"}}
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": [part]}],  # type: ignore[list-item, misc]  # a plain dict stands for the SDK's own
        )
    assert upstream.model.seen == []
