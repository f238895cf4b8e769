"""Whatever a client sends: the right refusal, one audit event, and nothing of it shown anywhere."""

from __future__ import annotations

import json
import logging
import traceback
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgi_world import AUTHORISED, Answer, Ledger, Scripted, assemble, call
from exchange_world import CHAT, JSON, chat, compressed, open_exchange, post, tell
from starlette.types import ASGIApp, Message

from guardrail.asgi.gateway import Gateway
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built
from guardrail.errors import Refusal
from guardrail.exchange import Door
from guardrail.protocols.bodies import inflate, read_body
from guardrail.protocols.payload import parse_json

pytestmark = pytest.mark.anyio

PLANTED = "alice.planted@example.com"
NEEDLES = ("planted", "4111111111111111", "hunter2")


@dataclass(frozen=True)
class Bad:
    """One bad request: what is sent, and the refusal it gets."""

    status: int
    code: str
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)
    query: bytes = b""
    then: str = "waits"


GOOD = chat(f"mail {PLANTED}")
DEEP = b'{"model":"gpt-4o","planted":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BOMB = compressed(bytes(20_000_000))


def media(content_type: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-type", content_type),)


def encoded(encoding: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (JSON, (b"content-encoding", encoding))


BAD: dict[str, Bad] = {
    # JSON
    "malformed JSON": Bad(400, "invalid_json", GOOD[:-1]),
    "JSON and more": Bad(400, "invalid_json", GOOD + b" planted"),
    "two values": Bad(400, "invalid_json", GOOD + GOOD),
    "no JSON at all": Bad(400, "invalid_json", PLANTED.encode()),
    "only space": Bad(400, "invalid_json", b"   "),
    "a control character": Bad(400, "invalid_json", b'{"a":"planted \x01"}'),
    "NaN": Bad(400, "invalid_json", b'{"model":"gpt-4o","planted":NaN}'),
    "Infinity": Bad(400, "invalid_json", b'{"model":"gpt-4o","planted":-Infinity}'),
    "a key twice": Bad(400, "ambiguous_json", b'{"planted":1,"model":"gpt-4o","planted":2}'),
    "a key twice, escaped": Bad(400, "ambiguous_json", b'{"planted":1,"pl\\u0061nted":2}'),
    "a key twice, deep": Bad(400, "ambiguous_json", b'{"a":[{"planted":1,"planted":2}]}'),
    "too deep": Bad(400, "json_too_deep", DEEP),
    "too deep, never closed": Bad(400, "json_too_deep", b"[" * 100_000),
    # text
    "UTF-16": Bad(415, "unsupported_charset", GOOD.decode().encode("utf-16-le")),
    "UTF-16 with a mark": Bad(415, "unsupported_charset", GOOD.decode().encode("utf-16")),
    "UTF-32": Bad(415, "unsupported_charset", GOOD.decode().encode("utf-32-be")),
    "Latin-1": Bad(400, "invalid_unicode", '{"planted":"é"}'.encode("latin-1")),
    "overlong UTF-8": Bad(400, "invalid_unicode", b'{"planted":"\xc0\xaf"}'),
    "half a surrogate pair": Bad(400, "invalid_unicode", b'{"planted":"\\ud800"}'),
    "half a surrogate in a key": Bad(400, "invalid_unicode", b'{"planted\\udfff":1}'),
    "a surrogate as UTF-8": Bad(400, "invalid_unicode", b'{"planted":"\xed\xa0\x80"}'),
    "binary in text": Bad(400, "invalid_unicode", b"planted \xff", media(b"text/plain")),
    # forms
    "a broken form": Bad(
        400, "invalid_form", b"planted=%ff%fe", media(b"application/x-www-form-urlencoded")
    ),
    "a form that is not ASCII": Bad(
        400, "invalid_form", "planted=é".encode(), media(b"application/x-www-form-urlencoded")
    ),
    "a form with too many fields": Bad(
        400,
        "invalid_form",
        b"planted=1&" * 2000,
        media(b"application/x-www-form-urlencoded"),
    ),
    "a broken query": Bad(400, "invalid_form", GOOD, query=b"planted=%ff"),
    "a query that is not ASCII": Bad(400, "invalid_form", GOOD, query=b"planted=\xff"),
    # size
    "too large": Bad(413, "body_too_large", b'"planted' + b"x" * 300_000 + b'"'),
    "announced too large": Bad(
        413, "body_too_large", GOOD, (JSON, (b"content-length", b"99999999"))
    ),
    "a gzip bomb": Bad(413, "body_too_large", BOMB, encoded(b"gzip")),
    "a deflate bomb": Bad(
        413, "body_too_large", zlib.compress(bytes(20_000_000)), encoded(b"deflate")
    ),
    # compression
    "corrupt gzip": Bad(400, "invalid_compression", b"planted", encoded(b"gzip")),
    "cut gzip": Bad(400, "invalid_compression", compressed(GOOD)[:-9], encoded(b"gzip")),
    "gzip with a wrong sum": Bad(
        400, "invalid_compression", compressed(GOOD)[:-8] + bytes(8), encoded(b"gzip")
    ),
    "gzip and more": Bad(
        400, "invalid_compression", compressed(GOOD) + b"planted", encoded(b"gzip")
    ),
    "gzip twice": Bad(400, "invalid_compression", compressed(GOOD) * 2, encoded(b"gzip")),
    "gzip that is none": Bad(400, "invalid_compression", GOOD, encoded(b"gzip")),
    "brotli": Bad(415, "unsupported_content_encoding", GOOD, encoded(b"br")),
    "two encodings": Bad(415, "unsupported_content_encoding", GOOD, encoded(b"gzip, gzip")),
    "an unknown encoding": Bad(415, "unsupported_content_encoding", GOOD, encoded(b"planted")),
    # content type
    "an unknown content type": Bad(
        415, "unsupported_media_type", b"planted \x00", media(b"application/octet-stream")
    ),
    "a form in parts that are none": Bad(
        400, "invalid_form", GOOD, media(b"multipart/form-data; boundary=planted")
    ),
    "no valid content type": Bad(415, "unsupported_media_type", GOOD, media(b"planted")),
    "two content types in one": Bad(
        415, "unsupported_media_type", GOOD, media(b"application/json, text/planted")
    ),
    "no content type and no JSON": Bad(415, "unsupported_media_type", b"planted", ()),
    "an unknown charset": Bad(
        415, "unsupported_charset", GOOD, media(b"application/json; charset=planted")
    ),
    "another charset": Bad(
        415, "unsupported_charset", GOOD, media(b"application/json; charset=UTF-16")
    ),
    "two charsets": Bad(
        400, "ambiguous_header", GOOD, media(b"application/json; charset=utf-8; charset=planted")
    ),
    # headers
    "two content types": Bad(400, "ambiguous_header", GOOD, (JSON, JSON)),
    "two encodings, apart": Bad(
        400,
        "ambiguous_header",
        GOOD,
        (*encoded(b"identity"), (b"content-encoding", b"planted")),
    ),
    "two lengths": Bad(
        400, "ambiguous_header", GOOD, (JSON, (b"content-length", b"7"), (b"content-length", b"8"))
    ),
    "two hosts": Bad(400, "ambiguous_header", GOOD, (JSON, (b"host", b"planted"), (b"host", b"b"))),
    "two hosts, cased apart": Bad(
        400, "ambiguous_header", GOOD, (JSON, (b"Host", b"planted"), (b"hOsT", b"b"))
    ),
    "two framings": Bad(
        400,
        "ambiguous_header",
        GOOD,
        (JSON, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"planted")),
    ),
    "a length that is no number": Bad(
        400, "ambiguous_header", GOOD, (JSON, (b"content-length", b"planted"))
    ),
    "a negative length": Bad(400, "ambiguous_header", GOOD, (JSON, (b"content-length", b"-1"))),
    "a length beyond all numbers": Bad(
        400, "ambiguous_header", GOOD, (JSON, (b"content-length", b"9" * 5000))
    ),
    "an untrusted header": Bad(
        400, "untrusted_header", GOOD, (JSON, (b"x-guardrail-purpose", b"planted"))
    ),
    "an untrusted header nobody knows": Bad(
        400, "untrusted_header", GOOD, (JSON, (b"X-Guardrail-Planted", b"planted"))
    ),
    # meaning
    "an unknown model": Bad(400, "unknown_model", GOOD.replace(b"gpt-4o", PLANTED.encode())),
    "an unknown model, in Unicode": Bad(400, "unknown_model", b'{"model":"planted \\u2028"}'),
    "data in structure": Bad(
        400, "personal_data_in_structure", GOOD.replace(b'"user"', f'"{PLANTED}"'.encode())
    ),
    # time
    "a body that stops coming": Bad(408, "request_timeout", GOOD[:20], then="stalls"),
}

GATEWAY_ONLY: dict[str, Bad] = {
    "no model": Bad(400, "missing_model", b'{"planted":1}'),
    "a model that is a number": Bad(400, "invalid_model", b'{"model":4111111111111111}'),
    "a model that is a list": Bad(400, "invalid_model", b'{"model":["planted"]}'),
    "an array": Bad(400, "missing_model", b'["planted"]'),
    "a text": Bad(400, "missing_model", b'"planted"'),
    "null": Bad(400, "missing_model", b"null"),
}


@dataclass
class World:
    """The two doors over one audit log, and the app behind the first."""

    ledger: Ledger
    app: Scripted
    middleware: ASGIApp
    gateway: Gateway
    built: Built


@pytest.fixture(scope="module")
def parts() -> Iterator[tuple[Built, Ledger]]:
    ledger = Ledger()
    built = assemble(ledger)
    yield built, ledger
    built.close()


@pytest.fixture
async def world(parts: tuple[Built, Ledger], caplog: pytest.LogCaptureFixture) -> Any:
    built, ledger = parts
    ledger.events.clear()
    caplog.set_level(logging.DEBUG)
    app = Scripted()
    gateway = Gateway(built)
    yield World(ledger, app, Guardrail(app, built), gateway, built)
    await gateway.aclose()


def refused(answer: Answer, world: World, bad: Bad, logs: str, *, style: str = "openai") -> None:
    assert answer.status == bad.status
    assert answer.complete
    headers = answer.headers
    if style == "openai":
        assert headers[b"content-type"] == b"application/json"
        error = answer.json["error"]
        assert (error["code"], error["type"]) == (bad.code, "guardrail_error")
        assert error["param"] is None
        assert error["message"]
    else:
        assert headers[b"content-type"] == b"application/problem+json"
        problem = answer.json
        assert (problem["status"], problem["code"]) == (bad.status, bad.code)
        assert problem["title"]
        assert problem["detail"]
    assert headers[b"content-length"] == str(len(answer.body)).encode()
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-guardrail-code"] == bad.code.encode()
    if bad.status in (429, 502, 503, 504):
        assert headers[b"retry-after"].isdigit()
    else:
        assert headers[b"x-should-retry"] == b"false"
    (event,) = world.ledger.events
    assert (event.kind, event.code, event.status) == ("request.refused", bad.code, bad.status)
    assert headers[b"x-guardrail-exchange"] == event.exchange.encode()
    assert world.app.requests == []
    for needle in NEEDLES:
        for shown in (repr(answer.messages), repr(world.ledger.events), logs):
            assert needle not in shown.lower()


@pytest.mark.parametrize("name", BAD)
async def test_the_middleware_refuses(
    name: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bad = BAD[name]
    answer = await call(
        world.middleware, bad.body, headers=bad.headers, query=bad.query, then=bad.then
    )
    refused(answer, world, bad, caplog.text)


@pytest.mark.parametrize("name", BAD)
async def test_the_middleware_refuses_on_any_path_with_a_problem(
    name: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bad = BAD[name]
    answer = await call(
        world.middleware, bad.body, path="/planted", headers=bad.headers, query=bad.query,
        then=bad.then,
    )  # fmt: skip
    spoken = b'"messages"' in bad.body and bad.code in ("unknown_model",)
    spoken |= bad.code in ("personal_data_in_structure",)
    if spoken or bad.query:
        refused(answer, world, bad, caplog.text, style="openai")
    else:
        refused(answer, world, bad, caplog.text, style="problem")


@pytest.mark.parametrize("name", [*BAD, *GATEWAY_ONLY])
async def test_the_gateway_refuses(
    name: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {**BAD, **GATEWAY_ONLY}[name]
    answer = await call(
        world.gateway,
        bad.body,
        headers=(*bad.headers, AUTHORISED),
        query=bad.query,
        then=bad.then,
    )
    refused(answer, world, bad, caplog.text)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((JSON,), id="no key"),
        pytest.param((JSON, (b"authorization", b"Bearer hunter2")), id="wrong key"),
        pytest.param((JSON, (b"authorization", b"Basic hunter2")), id="another scheme"),
        pytest.param((JSON, (b"authorization", b"Bearer \xff")), id="no text"),
        pytest.param((JSON, AUTHORISED, (b"x-api-key", b"x")), id="right"),
    ],
)
async def test_the_gateway_wants_a_key(
    headers: tuple[tuple[bytes, bytes], ...], world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Bad(401, "invalid_api_key")
    if AUTHORISED in headers:
        bad = Bad(400, "invalid_json")
    answer = await call(world.gateway, GOOD[:-1], headers=headers)
    refused(answer, world, bad, caplog.text)


async def test_two_credentials_are_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    headers = (JSON, (b"authorization", b"Bearer hunter2"), AUTHORISED)
    answer = await call(world.gateway, GOOD, headers=headers)
    assert answer.status in (400, 401)
    bad = Bad(answer.status, answer.json["error"]["code"])
    refused(answer, world, bad, caplog.text)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/planted"), ("GET", CHAT), ("POST", f"{CHAT}/"), ("DELETE", "/healthz")],
    ids=str,
)
async def test_the_gateway_serves_no_other_route(
    method: str, path: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await call(world.gateway, GOOD, path=path, method=method)
    refused(answer, world, Bad(404, "unknown_route"), caplog.text)


@pytest.mark.parametrize("door", ["middleware", "gateway"])
async def test_a_client_that_leaves_before_its_request_is_whole_gets_nothing(
    door: str, world: World
) -> None:
    script: list[Message] = [
        {"type": "http.request", "body": GOOD[:9], "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return script.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    app: ASGIApp = getattr(world, door)
    scope = {"type": "http", "method": "POST", "path": CHAT, "headers": [JSON, AUTHORISED]}
    await app({**scope, "query_string": b""}, receive, send)
    assert sent == []
    assert world.app.requests == []


@pytest.mark.parametrize("door", ["middleware", "gateway"])
async def test_an_unknown_scope_is_refused(door: str, world: World) -> None:
    with pytest.raises(RuntimeError, match="does not know the scope type"):
        await call(getattr(world, door), type="quic")
    assert world.app.requests == []


@pytest.mark.parametrize("door", ["middleware", "gateway"])
async def test_a_websocket_is_closed_before_it_opens(door: str, world: World) -> None:
    answer = await call(getattr(world, door), GOOD, type="websocket", subprotocols=[])
    (message,) = answer.messages
    assert (message["type"], message["code"]) == ("websocket.close", 1008)
    assert world.app.requests == []


@pytest.mark.parametrize("name", ["purpose", "basis", "origin", "consents", "filings", "age"])
async def test_a_trusted_header_that_says_nonsense_is_refused(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ledger, app = Ledger(), Scripted()
    built = assemble(ledger, trust_headers=True)
    middleware = Guardrail(app, built)
    world = World(ledger, app, middleware, Gateway(built), built)
    headers = (JSON, (f"x-guardrail-{name}".encode(), b"planted"))
    refused(
        await call(middleware, GOOD, headers=headers),
        world,
        Bad(400, "invalid_header"),
        caplog.text,
    )
    built.close()


async def test_a_trusted_header_that_comes_twice_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    ledger, app = Ledger(), Scripted()
    built = assemble(ledger, trust_headers=True)
    world = World(ledger, app, Guardrail(app, built), Gateway(built), built)
    headers = (
        JSON,
        (b"x-guardrail-purpose", b"social-scoring"),
        (b"x-guardrail-purpose", b"support"),
    )
    answer = await call(world.middleware, GOOD, headers=headers)
    refused(answer, world, Bad(400, "ambiguous_header"), caplog.text)
    built.close()


# ── odd, and yet no error ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("7" * 4300, id="as many digits as a number may have"),
        pytest.param("1e400", id="beyond floats"),
        pytest.param("-0.0", id="minus zero"),
        pytest.param("1.10", id="a zero at the end"),
        pytest.param("1E+2", id="an exponent"),
        pytest.param("123456789012345678901234567890", id="thirty digits"),
        pytest.param('"' + "word " * 40_000 + '"', id="a huge string"),
        pytest.param('"\\u0000\\u001f\\u2028\\ud83d\\ude00"', id="odd characters"),
        pytest.param("{}", id="an empty object"),
        pytest.param('{"":{"":""}}', id="empty keys"),
        pytest.param("[" * 60 + "]" * 60, id="deep, not too deep"),
    ],
)
def test_odd_values_survive_a_rewrite_around_them(value: str) -> None:
    body = f'{{"odd":{value},"model":"gpt-4o","messages":[{{"content":"{PLANTED}"}}]}}'.encode()
    story = tell(open_exchange(), post(body))
    (forward,) = story.forwards
    if forward.route and forward.route.endpoint.local:
        return  # so many digits look like something, and stay
    assert b"planted" not in forward.body
    assert forward.body.startswith(f'{{"odd":{value}'.encode()) or "[" in forward.body.decode()
    json.loads(forward.body, parse_int=str)


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (b"", "application/json"),
        (b"\xef\xbb\xbf{}", "application/json"),
        (b"{}", ""),
        (b"[]", ""),
        (b"{}", 'Application/JSON; charset="UTF-8"'),
        (b"{}", "application/vnd.api+json"),
        (b"hi", "text/markdown; charset=us-ascii"),
        (b"a=b", "application/x-www-form-urlencoded"),
    ],
    ids=str,
)
def test_what_can_be_read_is_read(raw: bytes, content_type: str) -> None:
    headers = ((b"content-type", content_type.encode()),) if content_type else ()
    event = post(raw, path="/x", headers=headers)
    story = tell(open_exchange(door=Door.MIDDLEWARE), event)
    assert [forward.body for forward in story.forwards] == [raw]


def chain(error: BaseException | None) -> str:
    """All that a traceback of this error shows, and all its arguments."""
    shown = "".join(traceback.format_exception(error)) if error else ""
    while error is not None:
        shown += repr(error.args)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return shown


@pytest.mark.parametrize("name", BAD)
def test_no_exception_carries_what_was_sent(name: str) -> None:
    bad = BAD[name]
    headers = dict(bad.headers)
    encoding = headers.get(b"content-encoding", b"").decode()
    content_type = headers.get(b"content-type", b"").decode()
    for read in (
        lambda: inflate(bad.body, encoding=encoding, limit=300_000),
        lambda: read_body(bad.body, content_type=content_type),
        lambda: parse_json(bad.body),
    ):
        try:
            read()
        except Refusal as error:
            # The source lines of this module are not what was sent.
            shown = chain(error).replace("carries_what_was_sent", "")
            assert not any(needle in shown for needle in NEEDLES)


@pytest.mark.parametrize("door", ["middleware", "gateway"])
async def test_an_unwritable_audit_log_denies_at_the_door(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ledger, app = Ledger(), Scripted()
    ledger.room = 0
    built = assemble(ledger)
    doors: dict[str, ASGIApp] = {"middleware": Guardrail(app, built), "gateway": Gateway(built)}
    answer = await call(doors[door], GOOD)
    assert answer.status == 503
    assert answer.json["error"]["code"] == "audit_unavailable"
    assert answer.headers[b"retry-after"] == b"1"
    assert app.requests == []
    assert "planted" not in caplog.text + repr(answer.messages)
    built.close()
