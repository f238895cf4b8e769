"""The middleware as ASGI sees it: what the app gets, what the client gets, and when."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from asgi_world import AUTHORISED, CONFIG, Answer, Ledger, Scripted, answering, assemble, call
from exchange_world import (
    CHAT,
    DONE,
    JSON,
    NEVER_SHOW_CARDS,
    SSE,
    chat,
    completion,
    compressed,
    contents,
    delta,
    deployment,
    guard,
    policies_with,
)
from starlette.types import Message, Receive, Scope, Send

from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built, load_config
from guardrail.errors import ConfigError
from guardrail.exchange import Deployment

pytestmark = pytest.mark.anyio

MAIL = "alice@example.com"
ASKED = chat(f"mail {MAIL}")
SENT = {"role": "user", "content": "mail [EMAIL_1]"}


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def built(ledger: Ledger) -> Iterator[Built]:
    made = assemble(ledger)
    yield made
    made.close()


# ── what the app gets ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_body_in_pieces_reaches_the_app_whole_and_protected(
    size: int, built: Built
) -> None:
    app = Scripted(answering(completion("hi")))
    parts = [ASKED[at : at + size] for at in range(0, len(ASKED), size)]
    answer = await call(Guardrail(app, built), parts)
    (seen,) = app.requests
    assert json.loads(seen["body"])["messages"] == [SENT]
    headers = dict(seen["headers"])
    assert headers[b"content-length"] == str(len(seen["body"])).encode()
    assert answer.status == 200
    assert answer.complete


async def test_a_large_body_is_inspected_off_the_event_loop(built: Built) -> None:
    app = Scripted(answering(completion("[EMAIL_1]")))
    answer = await call(Guardrail(app, built), chat(f"{'word ' * 20_000} {MAIL}"))
    assert MAIL.encode() not in app.requests[0]["body"]
    assert answer.json["choices"][0]["message"]["content"] == MAIL


async def test_headers_about_other_bytes_do_not_reach_the_app(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    dropped = [
        *((b"Content-Encoding", b"gzip"), (b"content-md5", b"x")),
        *((b"range", b"bytes=0-1"), (b"if-range", b"x")),
        *((b"if-none-match", b"x"), (b"if-modified-since", b"x"), (b"expect", b"100-continue")),
        (b"accept-encoding", b"br"),
    ]
    kept = [JSON, AUTHORISED, (b"x-other", b"1"), (b"cookie", b"a=b"), (b"cookie", b"c=d")]
    await call(Guardrail(app, built), compressed(ASKED), headers=[*kept, *dropped])
    headers = app.requests[0]["headers"]
    length = str(len(app.requests[0]["body"])).encode()
    assert headers == [*kept, (b"accept-encoding", b"identity"), (b"content-length", length)]


async def test_headers_to_guardrail_do_not_reach_the_app(ledger: Ledger) -> None:
    built = assemble(ledger, trust_headers=True)
    app = Scripted(answering(b"{}"))
    headers = [JSON, (b"X-Guardrail-Origin", b"FR"), (b"x-guardrail-age", b"44")]
    await call(Guardrail(app, built), ASKED, headers=headers)
    assert not any(b"guardrail" in name.lower() for name, _ in app.requests[0]["headers"])
    assert ledger.events[0].origin == "FR"
    built.close()


async def test_the_app_keeps_all_else_of_the_scope(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    state: dict[str, Any] = {"db": object()}
    await call(Guardrail(app, built), ASKED, state=state, root_path="/api", client=("::1", 1))
    seen = app.requests[0]
    assert seen["state"] is state
    assert (seen["root_path"], seen["client"], seen["path"]) == ("/api", ("::1", 1), CHAT)


async def test_ways_past_the_filter_are_hidden_from_the_app(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    names = "pathsend zerocopysend trailers early_hint debug".split()
    offered: dict[str, object] = {"tls": {}}
    offered.update((f"http.response.{name}", {}) for name in names)
    await call(Guardrail(app, built), ASKED, extensions=offered)
    assert app.requests[0]["extensions"].keys() == {
        "http.response.early_hint",
        "http.response.debug",
        "tls",
    }


async def test_after_its_body_the_app_hears_from_the_client_itself(built: Built) -> None:
    heard: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(await receive())
        heard.append(await receive())

    await call(Guardrail(app, built), ASKED, then="leaves")
    assert [message["type"] for message in heard] == ["http.request", "http.disconnect"]
    assert heard[0]["more_body"] is False


VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


async def test_the_app_runs_in_the_task_of_the_server(built: Built) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert VARIABLE.get() == "outside"
        VARIABLE.set("inside")

    VARIABLE.set("outside")
    await call(Guardrail(app, built), ASKED)
    assert VARIABLE.get() == "inside"


# ── what the client gets ─────────────────────────────────────────────────────────────────────────


async def test_an_answer_is_restored_and_its_length_is_right(built: Built, ledger: Ledger) -> None:
    body = completion("hi [EMAIL_1]")
    head = [JSON, (b"Content-Length", str(len(body)).encode()), (b"X-Other", b"1")]
    app = Scripted(answering(body[:20], body[20:], headers=head))
    answer = await call(Guardrail(app, built), ASKED)
    assert answer.json["choices"][0]["message"]["content"] == f"hi {MAIL}"
    assert answer.headers[b"content-length"] == str(len(answer.body)).encode()
    assert answer.headers[b"x-other"] == b"1"
    assert answer.complete
    assert ledger.kinds == ["egress.decision", "egress.outcome"]


async def test_a_stream_is_passed_on_as_it_comes(built: Built) -> None:
    got: list[int] = []
    answer = Answer()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        start, *bodies = answering(*map(delta, ("one ", "two ", "three ")), DONE, headers=[SSE])
        await send(start)
        got.append(len(answer.messages))
        for body in bodies:
            await send(body)
            got.append(answer.body.count(b"\n\n"))

    async def collect(scope: Scope, receive: Receive, send: Send) -> None:
        async def spy(message: Message) -> None:
            answer.messages.append(message)
            await send(message)

        await Guardrail(app, built)(scope, receive, spy)

    passed = await call(collect, ASKED)
    assert contents(passed.body) == {0: "one two three "}
    assert got[0] == 1
    assert got[1] >= 0
    assert got[1:] == sorted(got[1:])
    assert got[3] >= 1
    assert got[-1] == 5
    assert passed.complete


@pytest.mark.parametrize(
    ("method", "status", "body"), [("HEAD", 200, b""), ("GET", 204, b""), ("GET", 304, b"")]
)
async def test_an_answer_without_a_body_has_none(
    method: str, status: int, body: bytes, built: Built
) -> None:
    app = Scripted(answering(body, status=status))
    answer = await call(Guardrail(app, built), method=method, path="/x", headers=[])
    assert (answer.status, answer.body) == (status, b"")
    assert b"content-length" not in answer.headers
    assert answer.complete


async def test_a_page_or_picture_nobody_asked_text_for_is_not_touched(
    built: Built, ledger: Ledger
) -> None:
    head = [(b"content-type", b"image/png"), (b"content-length", b"4"), (b"etag", b"x")]
    app = Scripted(answering(b"\x89PNG", headers=head))
    answer = await call(Guardrail(app, built), method="GET", path="/logo.png", headers=[])
    assert answer.body == b"\x89PNG"
    assert answer.headers[b"etag"] == b"x"
    assert ledger.events == []


# ── an app that fails ────────────────────────────────────────────────────────────────────────────


class Broken(Exception):
    """The app's own error."""


@pytest.mark.parametrize("before", [0, 1, 2], ids=["at once", "after its head", "half-way"])
@pytest.mark.parametrize("head", [JSON, SSE], ids=["held", "streamed"])
async def test_an_error_of_the_app_reaches_the_server_and_nothing_held_the_client(
    before: int, head: tuple[bytes, bytes], built: Built, ledger: Ledger
) -> None:
    script = answering(delta("4111 1111 1111 11"), b"", headers=[head])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in script[:before]:
            await send(message)
        raise Broken

    sent: list[Message] = []

    async def collect(scope: Scope, receive: Receive, send: Send) -> None:
        async def keep(message: Message) -> None:
            sent.append(message)

        await Guardrail(app, built)(scope, receive, keep)

    with pytest.raises(Broken):
        await call(collect, ASKED)
    assert [event.code for event in ledger.events] == ["", "app_failed"]
    assert b"4111" not in b"".join(m.get("body", b"") for m in sent)
    assert not any(
        m["type"] == "http.response.body" and not m.get("more_body", False) for m in sent
    ), "a broken answer must not look whole"


async def test_an_app_that_says_nothing_is_a_broken_endpoint(built: Built, ledger: Ledger) -> None:
    answer = await call(Guardrail(Scripted(), built), ASKED)
    assert answer.status == 502
    assert answer.json["error"]["code"] == "upstream_broken"
    assert ledger.events[-1].code == "upstream_broken"


async def test_an_app_that_never_ends_its_answer_is_a_broken_endpoint(built: Built) -> None:
    app = Scripted(answering(completion("hi"), b"more")[:2])
    answer = await call(Guardrail(app, built), ASKED)
    assert (answer.status, answer.complete) == (502, True)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.pathsend", "path": "/etc/passwd"},
        {"type": "http.response.zerocopysend", "file": 3},
        {"type": "http.response.trailers", "headers": []},
        {"type": "http.response.push", "path": "/x", "headers": []},
    ],
    ids=lambda message: message["type"],
)
async def test_an_answer_past_the_filter_is_refused(
    message: Message, built: Built, ledger: Ledger
) -> None:
    app = Scripted([answering()[0], message])
    answer = await call(Guardrail(app, built), ASKED)
    assert answer.status == 502
    assert ledger.events[-1].code == "upstream_uninspectable"


async def test_a_server_that_is_cancelled_leaves_an_outcome(built: Built, ledger: Ledger) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.05):
        await call(Guardrail(app, built), ASKED)
    assert ledger.kinds == ["egress.decision", "egress.outcome"]


# ── policy, half-way ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def no_cards(tmp_path: Any) -> Deployment:
    return deployment(guard=guard(policies_with(tmp_path, {"house.cedar": NEVER_SHOW_CARDS})))


async def test_a_blocked_stream_stops_the_app(ledger: Ledger, no_cards: Deployment) -> None:
    built = assemble(ledger, deployed=no_cards)
    went_on = []

    async def stream() -> AsyncIterator[bytes]:
        for text in ("try ", "4111 1111 1111 1111", " now ", "or later "):
            yield delta(text)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(answering(headers=[SSE])[0])
        async for body in stream():
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await checkpoint()
        await checkpoint()
        went_on.append(True)

    answer = await call(Guardrail(app, built), ASKED)
    assert went_on == []
    assert b"4111" not in answer.said
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert ledger.events[-1].code == "answer_blocked"
    built.close()


# ── the audit log ────────────────────────────────────────────────────────────────────────────────


async def test_an_outcome_that_cannot_be_written_does_not_cut_the_answer(
    built: Built, ledger: Ledger
) -> None:
    ledger.room = 1
    app = Scripted(answering(completion("hi [EMAIL_1]")))
    answer = await call(Guardrail(app, built), ASKED)
    assert answer.json["choices"][0]["message"]["content"] == f"hi {MAIL}"
    assert answer.complete
    assert built.audit.lost == 1


async def test_nothing_reaches_the_app_while_nothing_can_be_written(
    built: Built, ledger: Ledger
) -> None:
    ledger.room = 0
    app = Scripted(answering(b"{}"))
    answer = await call(Guardrail(app, built), ASKED)
    assert (answer.status, app.requests) == (503, [])
    ledger.room = 9
    assert (await call(Guardrail(app, built), ASKED)).status == 200


# ── paths, scopes, lifespan ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "guarded"),
    [
        ("/health", False),
        ("/static/a.css", False),
        ("/static/", False),
        ("/static", True),
        ("/health/", True),
        ("/healthy", True),
        ("/staticx/a", True),
        ("/static/../v1/chat/completions", True),
        ("/static/./a", True),
        ("/static//a", True),
        ("//static/a", True),
        ("/static/..\\v1", True),
        ("/static/.hidden", True),
        ("/Static/a", True),
        ("/v1/chat/completions", True),
    ],
)
async def test_only_the_listed_paths_go_unguarded(path: str, guarded: bool, built: Built) -> None:
    app = Scripted(answering(b"{}"))
    await call(Guardrail(app, built), ASKED, path=path)
    assert (app.requests[0]["body"] != ASKED) is guarded


async def test_the_raw_path_does_not_decide(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    await call(Guardrail(app, built), ASKED, path=CHAT, raw_path=b"/static/x")
    assert app.requests[0]["body"] != ASKED


async def test_one_guardrail_around_another_guards_once(built: Built, ledger: Ledger) -> None:
    app = Scripted(answering(completion("[EMAIL_1]")))
    answer = await call(Guardrail(Guardrail(app, built), built), ASKED)
    assert json.loads(app.requests[0]["body"])["messages"] == [SENT]
    assert answer.json["choices"][0]["message"]["content"] == MAIL
    assert ledger.kinds == ["egress.decision", "egress.outcome"]


async def test_no_header_says_that_guarding_is_done(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    headers = [JSON, (b"guardrail", b"true"), (b"guardrail.done", b"1")]
    await call(Guardrail(app, built), ASKED, headers=headers)
    assert MAIL.encode() not in app.requests[0]["body"]


async def test_lifespan_goes_through_untouched(built: Built) -> None:
    said: list[str] = []
    heard = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    async def receive() -> Message:
        return heard.pop(0)

    async def send(message: Message) -> None:
        said.append(message["type"])

    await Guardrail(app, built)({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert built.audit.healthy, "what was built elsewhere is closed elsewhere"


async def test_a_configuration_that_names_no_known_app_does_not_start(built: Built) -> None:
    silent = load_config({name: t for name, t in CONFIG.items() if name != "middleware"})
    with pytest.raises(ConfigError, match=r"middleware\.app: there is no"):
        Guardrail(Scripted(), replace(built, config=silent))


async def test_exchanges_at_once_do_not_mix(built: Built, ledger: Ledger) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await anyio.sleep(0.001)
        text = json.loads(message["body"])["messages"][0]["content"]
        for one in answering(completion(text)):
            await send(one)

    guarded = Guardrail(app, built)
    answers: dict[int, str] = {}

    async def one(number: int) -> None:
        answer = await call(guarded, chat(f"mail user{number}@example.com"))
        answers[number] = answer.json["choices"][0]["message"]["content"]

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(one, number)
    assert answers == {n: f"mail user{n}@example.com" for n in range(12)}
    assert len(ledger.events) == 24
