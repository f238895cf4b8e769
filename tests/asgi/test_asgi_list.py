"""The list of what ASGI middleware gets wrong, row by row; `docs/asgi.md` names a test for each.

Most rows need no server: `receive` is scripted and `send` collected.
"""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from asgi_world import AUTHORISED, Answer, Ledger, Scripted, answering, assemble, call
from exchange_world import (
    CHAT,
    JSON,
    SSE,
    chat,
    completion,
    compressed,
    contents,
    delta,
    deployment,
    limited,
)
from servers import Model, free_port, serve
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.asgi.gateway import Gateway
from guardrail.asgi.middleware import Guardrail
from guardrail.asgi.shell import Budget
from guardrail.config import Built, Upstream
from guardrail.protocols.headers import DEFAULT_HEADERS, HeaderNames

pytestmark = pytest.mark.anyio

BIG = 300_000  # the limit of this world
MAIL = "alice@example.com"
ASKED = chat(f"mail {MAIL}")
TORN_CARD = "4111 1111 1111 11"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def built(ledger: Ledger) -> Iterator[Built]:
    named = HeaderNames(DEFAULT_HEADERS)
    limits = limited(request=BIG, answer=BIG)
    made = assemble(ledger, deployed=deployment(headers=named, limits=limits))
    yield made
    made.close()


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.headers[b"x-guardrail-code"].decode()


async def refused(built: Built, body: bytes, **request: Any) -> tuple[int, str]:
    """Status and code of a request that must not reach the app."""
    app = Scripted(answering(b"{}"))
    answer = await call(Guardrail(app, built), body, **request)
    assert app.requests == []
    assert MAIL.encode() not in answer.body
    return code_of(answer)


def seen_by(built: Built) -> tuple[Guardrail, Scripted]:
    app = Scripted(answering(b"{}"))
    return Guardrail(app, built), app


# ── the server's side: lifespan, scopes, messages ────────────────────────────────────────────────


@contextmanager
def uvicorn_with(app: ASGIApp, lifespan: Any) -> Iterator[str]:
    port = free_port()
    config = uvicorn.Config(app, port=port, lifespan=lifespan, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize(("lifespan", "heard"), [("on", ["up", "down"]), ("off", [])])
def test_lifespan_goes_through_where_the_server_has_one_and_is_not_needed(
    lifespan: str, heard: list[str], built: Built
) -> None:
    said: list[str] = []

    @asynccontextmanager
    async def events(app: Starlette) -> AsyncIterator[None]:
        said.append("up")
        yield
        said.append("down")

    async def echo(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    app = Starlette(routes=[Route("/echo", echo, methods=["POST"])], lifespan=events)
    with uvicorn_with(Guardrail(app, built), lifespan) as url:
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=transport, trust_env=False) as client:
            for _ in range(100):
                try:
                    answer = client.post(f"{url}/echo", json={"a": f"mail {MAIL}"})
                    break
                except httpx.ConnectError:
                    threading.Event().wait(0.05)
    assert answer.json() == {"a": f"mail {MAIL}"}
    assert said == heard


async def test_lifespan_that_the_app_does_not_know_is_the_servers_to_hear_of(built: Built) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await Scripted(answering(completion("[EMAIL_1]")))(scope, receive, send)

    async def never() -> Message:
        raise AssertionError("unreachable")

    async def nothing(message: Message) -> None:
        raise AssertionError("unreachable")

    guarded = Guardrail(app, built)
    with pytest.raises(NotImplementedError):
        await guarded({"type": "lifespan"}, never, nothing)
    assert (await call(guarded, ASKED)).json["choices"][0]["message"]["content"] == MAIL


async def test_an_unknown_scope_type_raises(built: Built) -> None:
    app = Scripted()
    with pytest.raises(RuntimeError, match="scope type 'webtransport'"):
        await call(Guardrail(app, built), type="webtransport")
    assert app.requests == []


async def test_early_hints_are_sent_ahead_and_filtered(built: Built) -> None:
    link = b'</style.css?card=4111111111111111>; rel="preload"'
    hint = {"type": "http.response.early_hint", "links": [link, b"</a.js>; rel=preload"]}
    app = Scripted([hint, *answering(completion("hi"))])
    answer = await call(Guardrail(app, built), ASKED)
    first, start, *_ = answer.messages
    assert first["type"] == "http.response.early_hint"
    assert first["links"][1] == b"</a.js>; rel=preload"
    assert b"4111" not in b"".join(first["links"])
    assert start["type"] == "http.response.start"
    assert answer.complete


async def test_what_a_test_client_is_told_of_a_rendering_passes(built: Built) -> None:
    debug = {"type": "http.response.debug", "info": {"template": object()}}
    app = Scripted([debug, *answering(completion("hi"))])
    assert (await call(Guardrail(app, built), ASKED)).messages[0] is debug


async def test_server_push_is_not_offered_to_the_app(built: Built) -> None:
    guarded, app = seen_by(built)
    await call(guarded, ASKED, extensions={"http.response.push": {}, "tls": {}})
    assert app.requests[0]["extensions"].keys() == {"tls"}


async def test_trailers_are_neither_offered_nor_passed(built: Built) -> None:
    script = answering(b"hi", headers=[SSE])
    script[0]["trailers"] = True
    trailers = {"type": "http.response.trailers", "headers": [(b"x-user", MAIL.encode())]}
    answer = await call(Guardrail(Scripted([*script, trailers]), built), ASKED)
    assert "trailers" not in answer.start
    assert answer.messages[-1]["type"] == "http.response.body"
    assert answer.complete


async def test_start_is_held_for_json_and_sent_at_once_for_a_stream(built: Built) -> None:
    for head, at_once in ((JSON, False), (SSE, True)):
        begun: list[bool] = []
        answer = Answer()

        async def app(
            scope: Scope,
            receive: Receive,
            send: Send,
            head: tuple[bytes, bytes] = head,
            begun: list[bool] = begun,
            answer: Answer = answer,
        ) -> None:
            await send(answering(headers=[head])[0])
            begun.append(answer.begun)

        async def keep(message: Message, answer: Answer = answer) -> None:
            answer.messages.append(message)

        async def outer(
            scope: Scope, receive: Receive, send: Send, app: ASGIApp = app, keep: Send = keep
        ) -> None:
            await Guardrail(app, built)(scope, receive, keep)

        with anyio.CancelScope():
            await call(outer, ASKED)
        assert begun == [at_once]


# ── the body ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("length", "sent"),
    [
        pytest.param(b"300001", [b"{"], id="announced"),
        pytest.param(b"", [b"a" * 65_536] * 6, id="counted"),
        pytest.param(b"2", [b"a" * 65_536] * 6, id="announced as less"),
    ],
)
async def test_a_body_over_the_limit_is_refused(
    length: bytes, sent: list[bytes], built: Built
) -> None:
    headers = [JSON, *([(b"content-length", length)] if length else [])]
    app = Scripted()
    answer = await call(Guardrail(app, built), sent, headers=headers)
    assert code_of(answer) == (413, "body_too_large")
    assert app.requests == []


async def test_a_body_that_trickles_in_is_given_up(built: Built) -> None:
    app = Scripted()
    answer = await call(Guardrail(app, built), b"{", then="stalls")
    assert code_of(answer) == (408, "request_timeout")
    assert app.requests == []


async def test_bodies_at_once_share_one_budget_of_bytes(ledger: Ledger) -> None:
    limits = {"request_bytes": 3000, "inflight_bytes": 4000, "read_timeout_s": 5}
    built = assemble(ledger, tables={"limits": limits}, deployed=deployment())
    entered, go = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await go.wait()
        for message in answering(completion("hi")):
            await send(message)

    guarded = Guardrail(app, built)
    answers: list[Answer] = []

    async def one() -> None:
        answers.append(await call(guarded, chat("word " * 500)))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await entered.wait()
        busy = await call(guarded, chat("word " * 500))
        small = chat("hi")
        group.start_soon(lambda: call(guarded, small))
        go.set()
    assert code_of(busy) == (503, "guardrail_busy")
    assert busy.headers[b"retry-after"] == b"1"
    assert [answer.status for answer in answers] == [200]
    assert (await call(guarded, chat("word " * 500))).status == 200, "the bytes were given back"
    assert ledger.kinds.count("request.refused") == 1
    built.close()


def test_a_budget_gives_back_what_a_failed_request_held() -> None:
    budget = Budget(10)
    with pytest.raises(ZeroDivisionError), budget.share() as share:
        assert share.grow(8)
        assert not share.grow(3)
        raise ZeroDivisionError
    with budget.share() as share:
        assert share.grow(10)


async def test_the_app_receives_the_body_once_and_then_waits_for_the_client(built: Built) -> None:
    heard: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(await receive())
        with anyio.move_on_after(0.05):
            heard.append(await receive())
        for message in answering(b"{}"):
            await send(message)

    await call(Guardrail(app, built), [ASKED[:9], ASKED[9:]])
    (only,) = heard
    assert (only["type"], only["more_body"]) == ("http.request", False)
    assert MAIL.encode() not in only["body"]


@pytest.mark.parametrize("spec", ["2.0", "2.3", "2.4"])
async def test_an_app_that_listens_for_the_clients_leaving_streams_to_its_end(
    spec: str, built: Built
) -> None:
    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for text in ("one ", "two "):
                assert not await request.is_disconnected()
                yield delta(text)
            yield b"data: [DONE]\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    app = Starlette(routes=[Route(CHAT, stream, methods=["POST"])])
    versions = {"version": "3.0", "spec_version": spec}
    answer = await call(Guardrail(app, built), ASKED, asgi=versions)
    assert contents(answer.body) == {0: "one two "}
    assert answer.complete


async def test_a_client_that_leaves_before_its_body_is_whole_never_reaches_the_app(
    built: Built, ledger: Ledger
) -> None:
    app = Scripted()
    answer = Answer()

    async def receive() -> Message:
        return script.pop(0)

    script: list[Message] = [
        {"type": "http.request", "body": ASKED[:10], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def outer(scope: Scope, _: Receive, send: Send) -> None:
        await Guardrail(app, built)(scope, receive, send)

    answer = await call(outer)
    assert (app.requests, answer.messages, ledger.events) == ([], [], [])


async def test_the_scope_is_copied_and_repeated_headers_are_kept(built: Built) -> None:
    guarded, app = seen_by(built)
    state: dict[str, Any] = {}
    cookies = [(b"cookie", b"a=b"), (b"Cookie", b"c=d")]
    given = [JSON, AUTHORISED, *cookies]
    await call(guarded, ASKED, headers=given, state=state, root_path="/r", path_params={"a": "b"})
    (seen,) = app.requests
    assert [h for h in seen["headers"] if h[0].lower() == b"cookie"] == cookies
    assert seen["state"] is state
    assert (seen["root_path"], seen["path_params"]) == ("/r", {"a": "b"})


# ── exceptions, tasks, other middleware ──────────────────────────────────────────────────────────


class Broken(Exception):
    """The app's own error."""


async def failing(built: Built, *script: Message) -> Answer:
    """What a client got of an app that raises after these messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in script:
            await send(message)
        raise Broken

    got = Answer()

    async def outer(scope: Scope, receive: Receive, _: Send) -> None:
        async def keep(message: Message) -> None:
            got.messages.append(message)

        await Guardrail(app, built)(scope, receive, keep)

    with pytest.raises(Broken):
        await call(outer, ASKED)
    return got


async def test_an_exception_before_the_answer_is_the_servers_to_answer(
    built: Built, ledger: Ledger
) -> None:
    assert (await failing(built)).messages == []
    assert [event.code for event in ledger.events] == ["", "app_failed"]


async def test_an_exception_after_the_start_of_a_stream_is_told_as_an_event_and_tears_it(
    built: Built, ledger: Ledger
) -> None:
    start, _ = answering(b"", headers=[SSE])
    said = {"type": "http.response.body", "body": delta("so "), "more_body": True}
    held = {"type": "http.response.body", "body": delta(TORN_CARD), "more_body": True}
    got = await failing(built, start, said, held)
    first, error, *_ = got.body.split(b"\n\n")
    assert contents(first + b"\n\n") == {0: "so "}
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "app_failed"
    assert b"4111" not in got.said
    assert all(m["more_body"] for m in got.messages if m["type"] == "http.response.body")
    assert ledger.events[-1].code == "app_failed"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (CHAT, b""),
        ("/v1/messages", b"error"),
        ("/v1/responses", b"error"),
        ("/v2/chat", b"message-end"),
        ("/anything", b""),
    ],
)
async def test_an_exception_in_a_stream_is_told_in_the_protocols_words(
    path: str, name: bytes, built: Built
) -> None:
    start, _ = answering(b"", headers=[SSE])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        raise Broken

    got = Answer()

    async def outer(scope: Scope, receive: Receive, _: Send) -> None:
        async def keep(message: Message) -> None:
            got.messages.append(message)

        await Guardrail(app, built)(scope, receive, keep)

    with pytest.raises(Broken):
        await call(outer, ASKED, path=path)
    event = got.body.split(b"\n\n")[0]
    assert b"app_failed" in event
    assert event.startswith(b"event: " + name if name else b"data: ")


async def test_a_client_that_is_gone_when_the_app_sends_is_no_failure_of_the_app(
    built: Built, ledger: Ledger
) -> None:
    async def outer(scope: Scope, receive: Receive, _: Send) -> None:
        async def send(message: Message) -> None:
            raise OSError

        await Guardrail(Scripted(answering(delta("a"), headers=[SSE])), built)(scope, receive, send)

    with pytest.raises(OSError):
        await call(outer, ASKED)
    assert [event.code for event in ledger.events] == ["", "client_gone"]


async def test_a_background_task_runs_after_the_answer_with_what_the_request_had(
    built: Built,
) -> None:
    done: list[str] = []

    async def later(request: Request) -> None:
        done.append(json.loads(await request.body())["messages"][0]["content"])

    async def answer(request: Request) -> Response:
        text = json.loads(await request.body())["messages"][0]["content"]
        return JSONResponse(json.loads(completion(text)), background=BackgroundTask(later, request))

    app = Starlette(routes=[Route(CHAT, answer, methods=["POST"])])
    got = await call(Guardrail(app, built), ASKED)
    assert got.json["choices"][0]["message"]["content"] == f"mail {MAIL}"
    assert got.complete
    assert done == ["mail [EMAIL_1]"]


VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


class Passing(BaseHTTPMiddleware):
    """Reads the body, as middleware of this kind may, and passes the request on."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        assert MAIL.encode() not in await request.body()
        VARIABLE.set("in the middleware")
        return await call_next(request)


async def test_context_variables_and_base_http_middleware_inside_see_what_is_protected(
    built: Built,
) -> None:
    async def answer(request: Request) -> Response:
        assert VARIABLE.get() == "in the middleware"
        text = json.loads(await request.body())["messages"][0]["content"]
        return JSONResponse(json.loads(completion(text)))

    app = Starlette(
        routes=[Route(CHAT, answer, methods=["POST"])], middleware=[Middleware(Passing)]
    )
    got = await call(Guardrail(app, built), ASKED)
    assert got.json["choices"][0]["message"]["content"] == f"mail {MAIL}"


class Outer(BaseHTTPMiddleware):
    """Around guardrail, in a task of its own."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


async def test_base_http_middleware_outside_changes_nothing(built: Built) -> None:
    app = Outer(Guardrail(Scripted(answering(completion("[EMAIL_1]"))), built))
    got = await call(app, ASKED)
    assert got.json["choices"][0]["message"]["content"] == MAIL


# ── where it applies ─────────────────────────────────────────────────────────────────────────────


async def test_a_mounted_app_that_is_guarded_twice_is_guarded_once(
    built: Built, ledger: Ledger
) -> None:
    inner = Scripted(answering(completion("[EMAIL_1]")))
    app = Starlette(routes=[Mount("/api", app=Guardrail(inner, built))])
    answer = await call(Guardrail(app, built), ASKED, path=f"/api{CHAT}")
    assert MAIL.encode() not in inner.requests[0]["body"]
    assert answer.json["choices"][0]["message"]["content"] == MAIL
    assert ledger.kinds == ["egress.decision", "egress.outcome"]


async def test_a_path_that_the_outer_one_leaves_alone_is_guarded_by_the_inner_one(
    ledger: Ledger,
) -> None:
    built = assemble(ledger)
    strict = assemble(ledger, tables={"middleware": {"app": "crm"}})
    app = Scripted(answering(b"{}"))
    await call(Guardrail(Guardrail(app, strict), built), ASKED, path="/health")
    assert MAIL.encode() not in app.requests[0]["body"]
    built.close()
    strict.close()


DISGUISED = [
    "/foo//chat/completions",
    "/v1/chat/completions;x",
    "/v1/chat%2fcompletions",
    "/v1/%63hat/completions",
    "/health;x/v1/chat/completions",
    "/static/..%2fv1/chat/completions",
    "/static/%2e%2e/v1",
    "/health/../v1/chat/completions",
    "/HEALTH",
    "/health\\..\\v1",
    "",
]


@pytest.mark.parametrize("path", DISGUISED)
async def test_no_spelling_of_a_path_goes_round_inspection(path: str, built: Built) -> None:
    guarded, app = seen_by(built)
    await call(guarded, ASKED, path=path)
    assert MAIL.encode() not in app.requests[0]["body"]


@pytest.mark.parametrize("host", [b"example.com/health?", b"example.com/static/x#", b"/health"])
async def test_the_host_header_does_not_change_the_path(host: bytes, built: Built) -> None:
    guarded, app = seen_by(built)
    await call(guarded, ASKED, headers=[JSON, (b"host", host)])
    assert MAIL.encode() not in app.requests[0]["body"]


# ── request headers ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "twice",
    [
        *(
            [(name, b"1"), (name, b"1")]
            for name in (
                *(b"content-length", b"content-encoding", b"transfer-encoding"),
                *(b"host", b"authorization"),
            )
        ),
        [(b"content-type", b"text/plain")],
        [(b"content-length", b"9"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"+9")],
        [(b"content-length", b"9, 9")],
    ],
    ids=lambda twice: "+".join(name.decode() for name, _ in twice),
)
async def test_headers_that_two_readers_may_read_differently_are_refused(
    twice: list[tuple[bytes, bytes]], built: Built
) -> None:
    assert await refused(built, ASKED, headers=[JSON, *twice]) == (400, "ambiguous_header")


@pytest.mark.parametrize(
    "kind",
    [
        b"text/plain; charset=utf-8; charset=utf-16",
        b"multipart/form-data; boundary=a; boundary=b",
    ],
)
async def test_a_content_type_of_two_minds_is_refused(kind: bytes, built: Built) -> None:
    status, _ = await refused(built, b"--a\r\n", headers=[(b"content-type", kind)])
    assert status == 400


async def test_headers_beyond_all_measure_are_refused(built: Built) -> None:
    many = [(b"x-a", b"a" * 1000)] * 66
    assert await refused(built, ASKED, headers=[JSON, *many]) == (431, "headers_too_large")


async def test_ranges_and_conditions_do_not_reach_the_app_on_a_reading(built: Built) -> None:
    conditions = [(b"if-none-match", b'"a"'), (b"if-modified-since", b"x"), (b"if-range", b"x")]
    given = [*conditions, (b"range", b"bytes=0-9"), (b"expect", b"100-continue")]
    guarded, app = seen_by(built)
    await call(guarded, method="GET", headers=given, path="/page")
    assert app.requests[0]["headers"] == [(b"accept-encoding", b"identity")]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_condition_under_which_something_is_changed_stays(
    method: str, built: Built
) -> None:
    only_new = (b"if-none-match", b"*")
    guarded, app = seen_by(built)
    await call(guarded, b"{}", method=method, headers=[JSON, only_new], path="/notes/1")
    assert only_new in app.requests[0]["headers"]


async def test_no_header_of_a_caller_reaches_the_model(built: Built) -> None:
    model = Model()
    given = [
        *((b"connection", b"keep-alive, x-hop"), (b"x-hop", b"1"), (b"te", b"trailers")),
        *((b"x-forwarded-for", b"192.0.2.7"), (b"x-litellm-tags", b"a"), (b"cookie", b"a=b")),
        *((b"x-user-email", MAIL.encode()), (b"referer", b"https://app.example/")),
    ]
    with serve(model) as url:
        cloud = Upstream(url=f"{url}/v1", key=None, timeout_s=5)
        gateway = Gateway(replace(built, upstreams={"cloud": cloud}))
        answer = await call(gateway, chat("hi"), headers=[JSON, AUTHORISED, *given])
        await gateway.aclose()
    assert answer.status == 200
    own = {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert model.last.headers.keys() - own == {"content-type", "content-length"}
    assert model.last.headers["connection"] == "keep-alive"


WHO = [
    (b"x-user-email", MAIL.encode()),
    (b"X-Forwarded-User", b"alice"),
    (b"openai-safety-identifier", b"user-4711"),
    (b"helicone-user-id", b"alice"),
    (b"x-litellm-end-user-id", b"alice"),
    (b"x-openwebui-user-name", b"Alice Example"),
]


@pytest.mark.parametrize("header", WHO, ids=lambda header: header[0].decode())
async def test_a_header_that_says_who_asks_reaches_a_model_as_a_digest(
    header: tuple[bytes, bytes], built: Built
) -> None:
    guarded, app = seen_by(built)
    other = (header[0], b"bob")
    for one in (header, header, other):
        await call(guarded, chat("hi"), headers=[JSON, one])
    first, again, others = (dict(seen["headers"])[header[0].lower()] for seen in app.requests)
    assert first.startswith(b"user-")
    assert first == again != others


async def test_a_header_of_words_is_treated_like_the_body(built: Built) -> None:
    guarded, app = seen_by(built)
    tags = (b"x-litellm-tags", f"team-a,{MAIL}".encode())
    trace = (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    await call(guarded, ASKED, headers=[JSON, tags, trace, (b"baggage", b"plan=free")])
    headers = dict(app.requests[0]["headers"])
    assert headers[b"x-litellm-tags"] == b"team-a,[EMAIL_1]"
    assert headers[b"baggage"] == b"plan=free"
    assert headers[b"traceparent"] == trace[1]
    assert json.loads(app.requests[0]["body"])["messages"][0]["content"] == "mail [EMAIL_1]"


async def test_what_a_browser_and_a_sign_in_send_to_an_apps_own_pages_stays(
    built: Built, ledger: Ledger
) -> None:
    browser = [
        (b"cookie", f"session={MAIL}".encode()),
        (b"referer", f"https://app.example/?q={MAIL}".encode()),
        (b"x-forwarded-user", MAIL.encode()),
        (b"x-user-email", MAIL.encode()),
    ]
    guarded, app = seen_by(built)
    await call(guarded, method="GET", path="/inbox", headers=browser)
    await call(guarded, b'{"q":"hi"}', path="/search", headers=[JSON, *browser])
    assert all(set(browser) <= set(seen["headers"]) for seen in app.requests)
    assert len(app.requests) == 2
    assert [event.counts for event in ledger.events if event.kind == "egress.decision"] == [{}]


# ── what a body may be ───────────────────────────────────────────────────────────────────────────

BOMB = gzip.compress(bytes(50_000_000), 9)
GZIP = (b"content-encoding", b"gzip")


@pytest.mark.parametrize(
    ("status", "code", "encoding", "body"),
    [
        (413, "body_too_large", b"gzip", BOMB),
        (400, "invalid_compression", b"gzip", compressed(ASKED)[:-4]),
        (400, "invalid_compression", b"gzip", compressed(ASKED) * 2),
        (400, "invalid_compression", b"gzip", ASKED),
        (415, "unsupported_content_encoding", b"br", ASKED),
        (415, "unsupported_content_encoding", b"zstd", ASKED),
        (415, "unsupported_content_encoding", b"gzip, gzip", compressed(ASKED)),
    ],
    ids=["bomb", "cut", "two members", "plain", "br", "zstd", "twice"],
)
async def test_an_encoding_is_undone_strictly_or_refused(
    status: int, code: str, encoding: bytes, body: bytes, built: Built
) -> None:
    headers = [JSON, (b"content-encoding", encoding)]
    assert await refused(built, body, headers=headers) == (status, code)


async def test_a_gzip_bomb_does_not_unfold(built: Built) -> None:
    await refused(built, compressed(b"{"), headers=[JSON, GZIP])
    tracemalloc.start()
    await refused(built, BOMB, headers=[JSON, GZIP])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * BIG


REFUSED_BODIES = {
    "charset utf-16": (415, "unsupported_charset", ASKED.decode().encode("utf-16")),
    "charset utf-32 without a mark": (415, "unsupported_charset", "{}".encode("utf-32-be")),
    "duplicate keys": (400, "ambiguous_json", b'{"a":1,"a":2}'),
    "duplicate keys by escape": (400, "ambiguous_json", b'{"a":1,"\\u0061":2}'),
    "NaN": (400, "invalid_json", b'{"a":NaN}'),
    "Infinity": (400, "invalid_json", b'{"a":-Infinity}'),
    "lone surrogate": (400, "invalid_unicode", b'{"a":"\\ud800"}'),
    "overlong UTF-8": (400, "invalid_unicode", b'{"a":"\xc0\xaf"}'),
    "depth": (400, "json_too_deep", b"[" * 100_000),
    "depth of objects": (400, "json_too_deep", b'{"a":' * 65 + b"1" + b"}" * 65),
    "rubbish": (400, "invalid_json", b"mail alice@example.com"),
}


@pytest.mark.parametrize(
    ("status", "code", "body"), REFUSED_BODIES.values(), ids=REFUSED_BODIES.keys()
)
async def test_json_that_parsers_disagree_about_is_refused(
    status: int, code: str, body: bytes, built: Built
) -> None:
    assert await refused(built, body) == (status, code)


async def test_a_declared_charset_other_than_utf_8_is_refused(built: Built) -> None:
    headers = [(b"content-type", b"application/json; charset=utf-16")]
    assert await refused(built, ASKED, headers=headers) == (415, "unsupported_charset")


@pytest.mark.parametrize("number", [b"1.0", b"1e400", b"-0", b"3" * 30])
async def test_a_number_keeps_its_spelling(number: bytes, built: Built) -> None:
    guarded, app = seen_by(built)
    await call(guarded, ASKED[:-1] + b', "seed": ' + number + b"}")
    assert b'"seed":' + number + b"}" in app.requests[0]["body"]


async def test_a_number_that_no_app_can_read_is_refused(built: Built) -> None:
    assert await refused(built, b'{"seed":' + b"7" * 4301 + b"}") == (400, "invalid_json")


async def test_a_body_in_which_nothing_is_found_keeps_its_very_bytes(built: Built) -> None:
    guarded, app = seen_by(built)
    body = b'{ "b" : [1.0,  "h\xc3\xa9" ], "a": "\\u0041" }\n'
    signed = (b"x-hub-signature-256", b"sha256=00")
    await call(guarded, body, headers=[JSON, signed], path="/hook")
    assert app.requests[0]["body"] == body
    assert signed in app.requests[0]["headers"]


@pytest.mark.parametrize(
    ("status", "code", "body"),
    [
        (
            413,
            "body_too_large",
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 1001,
        ),
        (400, "invalid_form", b"--b\r\n" + b"x-a: " + b"a" * 2000 + b"\r\n\r\nx\r\n"),
        (400, "invalid_form", b'--c\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'),
    ],
    ids=["parts", "header", "boundary"],
)
async def test_a_form_beyond_its_limits_is_refused(
    status: int, code: str, body: bytes, built: Built
) -> None:
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    assert await refused(built, body + b"--b--\r\n", headers=headers) == (status, code)


async def test_a_form_is_written_anew_with_its_own_boundary(built: Built) -> None:
    guarded, app = seen_by(built)
    body = f'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\nmail {MAIL}\r\n--b--\r\n'
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    await call(guarded, body.encode(), headers=headers, path="/form")
    (seen,) = app.requests
    assert b"mail [EMAIL_1]\r\n--b--" in seen["body"]
    assert dict(seen["headers"])[b"content-length"] == str(len(seen["body"])).encode()


async def test_a_url_encoded_form_is_written_anew(built: Built) -> None:
    guarded, app = seen_by(built)
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    await call(guarded, b"q=mail+alice%40example.com&n=1", headers=headers, path="/form")
    assert app.requests[0]["body"] == b"q=mail+%5BEMAIL_1%5D&n=1"


async def test_a_query_is_treated_and_personal_data_in_a_path_is_refused(built: Built) -> None:
    guarded, app = seen_by(built)
    await call(guarded, method="GET", path="/search", query=b"q=alice%40example.com", headers=[])
    assert app.requests[0]["query_string"] == b"q=%5BEMAIL_1%5D"
    answer = await call(guarded, method="GET", path=f"/users/{MAIL}", headers=[])
    assert code_of(answer) == (400, "personal_data_in_structure")
    assert MAIL.encode() not in answer.body
    assert len(app.requests) == 1


@pytest.mark.parametrize(
    "card",
    [
        "４１１１ １１１１ １１１１ １１１１",
        "4111\u200b1111\u200b1111\u200b1111",
        "4111–1111–1111–1111",
    ],
    ids=["fullwidth", "zero-width", "dashes"],
)
async def test_what_is_written_in_other_characters_is_found(card: str, built: Built) -> None:
    app = Scripted(answering(b"{}"))
    await call(Guardrail(app, built), chat(f"my card is {card}"))
    assert (
        not app.requests
        or card not in json.loads(app.requests[0]["body"])["messages"][0]["content"]
    )


@pytest.mark.parametrize(
    "field",
    ["api_base", "base_url", "custom_llm_provider", "extra_headers", "user_config"],
)
async def test_a_caller_cannot_say_where_a_request_goes(field: str, built: Built) -> None:
    body = chat("hi", **{field: "https://elsewhere.example"})
    assert await refused(built, body) == (400, "endpoint_in_request")


async def test_an_apps_own_field_may_be_called_as_it_likes(built: Built) -> None:
    guarded, app = seen_by(built)
    body = b'{"base_url":"here","n":1}'
    await call(guarded, body, path="/links")
    assert app.requests[0]["body"] == body
