"""The fail-closed table: each thing that can go wrong, in the words of each protocol.

In every cell nothing reaches the app or the model, the status and code are the table's, the body
has the protocol's own shape, one audit event says so, and no value is quoted.

A row for budgets and rates (429) is missing, for guardrail has none yet; so are files of policies
that are wrong, which end at start (`tests/policy`), and WebSockets (`docs/asgi.md`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asgi_world import Answer, Ledger, Scripted, answering, assemble, call
from exchange_world import CLOUD, JSON, SSE, deployment, guard, policies_with
from starlette.types import Message

from guardrail.asgi.gateway import Gateway
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built
from guardrail.detection.detector import Detector
from guardrail.errors import DetectorUnavailable, PolicyUnavailable
from guardrail.exchange import Deployment
from guardrail.guard import Guard
from guardrail.protocols.maps import load_protocols
from guardrail.types import Finding, TextUnit

pytestmark = pytest.mark.anyio

MAIL = "alice.planted@example.com"
CARD = "4111 1111 1111 1111"
PICTURE = "data:image/png;base64,iVBORw0KGgo="


# ── each protocol's request and the shape of its errors ──────────────────────────────────────────


def _openai(body: Any, status: int, code: str) -> bool:
    error = body["error"]
    return (error["type"], error["param"], error["code"]) == ("guardrail_error", None, code)


def _anthropic(body: Any, status: int, code: str) -> bool:
    kinds = {400: "invalid_request_error", 403: "permission_error", 413: "request_too_large"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
    error = body["error"]
    return body["type"] == "error" and (error["type"], error["code"]) == (kind, code)


def _google(body: Any, status: int, code: str) -> bool:
    error = body["error"]
    return (error["code"], error["details"][0]["reason"]) == (status, code.upper())


def _ollama(body: Any, status: int, code: str) -> bool:
    return isinstance(body["error"], str) and body["code"] == code


def _cohere(body: Any, status: int, code: str) -> bool:
    return isinstance(body["message"], str) and body["code"] == code


def _jsonrpc(body: Any, status: int, code: str) -> bool:
    error = body["error"]
    return (
        body["jsonrpc"] == "2.0"
        and body["id"] in (7, None)
        and error["code"] == -32000
        and error["data"]["code"] == code
    )


def _problem(body: Any, status: int, code: str) -> bool:
    return (body["type"], body["status"], body["code"]) == ("about:blank", status, code)


@dataclass(frozen=True, slots=True)
class Caller:
    """A client of one protocol: where it posts, how it says a text, how it reads an error."""

    path: str
    says: Callable[[str], dict[str, Any]]
    reads: Callable[[Any, int, str], bool]
    content_type: bytes = b"application/json"

    def body(self, text: str = MAIL, **more: Any) -> bytes:
        return json.dumps({**self.says(text), **more}).encode()


def _messages(text: str, model: str = "gpt-5") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


CALLERS = {
    "openai": Caller("/v1/chat/completions", _messages, _openai),
    "responses": Caller("/v1/responses", lambda t: {"model": "gpt-5", "input": t}, _openai),
    "anthropic": Caller("/v1/messages", _messages, _anthropic),
    "google": Caller(
        "/v1beta/models/gpt-5:generateContent",
        lambda t: {"contents": [{"parts": [{"text": t}]}]},
        _google,
    ),
    "ollama": Caller("/api/chat", _messages, _ollama),
    "cohere": Caller("/v2/chat", _messages, _cohere),
    "jsonrpc": Caller(
        "/mcp",
        lambda t: {
            "jsonrpc": "2.0",
            "id": 7,
            "method": "tools/call",
            "params": {"name": "send", "arguments": {"to": t}},
        },
        _jsonrpc,
    ),
    "problem": Caller("/app", lambda t: {"text": t}, _problem, b"application/problem+json"),
}


def test_every_style_of_error_has_its_caller() -> None:
    """But frames of a WebSocket and signed requests, which tests of their own refuse."""
    styles = {p.errors for p in load_protocols().values()} | {"problem"}
    assert styles - {"realtime", "aws"} == set(CALLERS)


# ── what goes wrong before anything leaves ───────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Row:
    """One condition of the table. `sent` makes the body, `world` the deployment it meets."""

    status: int
    code: str
    sent: Callable[[Caller], bytes] = Caller.body
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)
    world: Callable[[Path], Deployment] = lambda folder: deployment()
    retry: bool = False
    then: str = "waits"
    not_for: frozenset[str] = field(default=frozenset())


class Crashing:
    """A detector that fails as a recognizer or a model of names would."""

    def __init__(self, detector: Detector, error: Exception) -> None:
        self._detector, self._error = detector, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def find_all(self, units: Any, *, app: str = "") -> list[list[Finding]]:
        raise self._error

    def find(self, unit: TextUnit, *, app: str = "") -> list[Finding]:
        raise self._error


def _crashing(error: Exception, folder: Path) -> Deployment:
    known = guard()
    broken: Guard = replace(known, detector=Crashing(known.detector, error))  # type: ignore[arg-type]  # stands in
    return deployment(guard=broken)


BLOCK_ALL = """
@id("house.nothing") @title("Nothing leaves") @reason("Test.")
forbid (principal, action, resource);
"""


def _blocking(folder: Path) -> Deployment:
    return deployment(guard=guard(policies_with(folder, {"house.cedar": BLOCK_ALL})))


def _cloud_only(folder: Path) -> Deployment:
    return deployment(routes=(CLOUD,))


def _encoded(encoding: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (JSON, (b"content-encoding", encoding))


def _quoted(raw: bytes) -> Callable[[Caller], bytes]:
    return lambda caller: raw


ROWS = {
    "policy blocks": Row(403, "policy_violation", world=_blocking),
    "unknown media type": Row(
        415, "unsupported_media_type", _quoted(MAIL.encode()), ((b"content-type", b"image/png"),)
    ),
    "no content type": Row(415, "unsupported_media_type", _quoted(MAIL.encode()), ()),
    "unknown charset": Row(
        415,
        "unsupported_charset",
        headers=((b"content-type", b"application/json; charset=utf-16"),),
    ),
    "utf-16": Row(415, "unsupported_charset", lambda c: c.body().decode().encode("utf-16")),
    "unknown encoding": Row(415, "unsupported_content_encoding", headers=_encoded(b"br")),
    "malformed JSON": Row(400, "invalid_json", lambda c: c.body()[:-1]),
    "ambiguous JSON": Row(
        400, "ambiguous_json", lambda c: c.body()[:-1] + f',"a":"{MAIL}","a":1}}'.encode()
    ),
    "ambiguous header": Row(400, "ambiguous_header", headers=(JSON, JSON)),
    "length said twice over": Row(
        400,
        "ambiguous_header",
        headers=(JSON, (b"content-length", b"9"), (b"transfer-encoding", b"chunked")),
    ),
    "invalid unicode": Row(400, "invalid_unicode", lambda c: c.body()[:-1] + b',"a":"\\ud800"}'),
    "invalid UTF-8": Row(400, "invalid_unicode", lambda c: c.body()[:-1] + b',"a":"\xff"}'),
    "too deep": Row(
        400, "json_too_deep", lambda c: c.body()[:-1] + b',"a":' + b"[" * 65 + b"]" * 65 + b"}"
    ),
    "corrupt compression": Row(400, "invalid_compression", headers=_encoded(b"gzip")),
    "too large": Row(413, "body_too_large", lambda c: c.body(MAIL + " " * 300_000)),
    "announced as too large": Row(
        413, "body_too_large", headers=(JSON, (b"content-length", b"99999999"))
    ),
    "inflates too far": Row(
        413,
        "body_too_large",
        lambda c: gzip.compress(c.body(MAIL + " " * 300_000)),
        _encoded(b"gzip"),
    ),
    "too many strings": Row(
        413, "body_too_large", lambda c: c.body()[:-1] + b',"a":[' + b'"",' * 99_999 + b'"",""]}'
    ),
    "headers too large": Row(431, "headers_too_large", headers=(JSON, (b"x-a", b"a" * 65_536))),
    "too slow": Row(408, "request_timeout", then="stalls"),
    "names its own endpoint": Row(
        400,
        "endpoint_in_request",
        lambda c: c.body(api_base="https://elsewhere.example"),
        not_for=frozenset({"problem"}),
    ),
    "unknown model": Row(
        400,
        "unknown_model",
        lambda c: c.body(model="nobody"),
        not_for=frozenset({"google", "jsonrpc"}),
    ),
    "data where nothing may change": Row(
        400,
        "personal_data_in_structure",
        lambda c: c.body(model="gpt-5", stream_options={}).replace(
            b'"role": "user"', f'"role": "{MAIL}"'.encode()
        ),
        not_for=frozenset({"responses", "google", "jsonrpc", "problem"}),
    ),
    "what cannot be read, no local model": Row(
        403,
        "policy_violation",
        lambda c: c.body(f"{PICTURE}"),
        world=_cloud_only,
    ),
    "local only, and the app decides": Row(
        503,
        "no_permitted_route",
        lambda c: c.body(PICTURE),
        not_for=frozenset({"openai", "responses", "anthropic", "ollama", "cohere"}),
    ),
    "detector crashes": Row(
        503,
        "guardrail_unavailable",
        world=partial(_crashing, RuntimeError(MAIL)),
        retry=True,
    ),
    "detector too slow": Row(
        503,
        "guardrail_unavailable",
        world=partial(_crashing, DetectorUnavailable("detection failed (TimeoutError)")),
        retry=True,
    ),
    "policy engine down": Row(
        503,
        "guardrail_unavailable",
        world=partial(_crashing, PolicyUnavailable("no policies")),
        retry=True,
    ),
}
CELLS = [
    pytest.param(row, caller, id=f"{condition}, {style}")
    for condition, row in ROWS.items()
    for style, caller in CALLERS.items()
    if style not in row.not_for
]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.mark.parametrize(("row", "caller"), CELLS)
async def test_a_request_fails_closed_in_the_callers_words(
    row: Row, caller: Caller, ledger: Ledger, tmp_path: Path
) -> None:
    built = assemble(ledger, deployed=replace(row.world(tmp_path), limits=deployment_limits()))
    app = Scripted(answering(b"{}"))
    answer = await call(
        Guardrail(app, built),
        row.sent(caller),
        path=caller.path,
        headers=row.headers,
        then=row.then,
    )
    built.close()
    assert app.requests == [], "nothing is forwarded"
    check(answer, caller, row.status, row.code)
    assert [(e.kind, e.code, e.status) for e in ledger.events] == [
        ("request.refused", row.code, row.status)
    ]
    assert (b"retry-after" in answer.headers) is row.retry
    assert (answer.headers.get(b"x-should-retry") == b"false") is not row.retry


def deployment_limits() -> Any:
    return replace(deployment().limits, request=300_000, answer=300_000)


def check(answer: Answer, caller: Caller, status: int, code: str) -> None:
    """Status, code, shape and headers of a refusal, and that it quotes nothing."""
    assert answer.status == status, answer.body
    assert answer.headers[b"x-guardrail-code"] == code.encode()
    assert caller.reads(answer.json, status, code), answer.json
    assert answer.headers[b"content-type"] == caller.content_type
    assert answer.headers[b"content-length"] == str(len(answer.body)).encode()
    assert answer.headers[b"cache-control"] == b"no-store"
    assert b"x-guardrail-exchange" in answer.headers
    assert answer.complete
    headers = {name: one for name, one in answer.headers.items() if name != b"x-guardrail-exchange"}
    for value in (MAIL, "alice", CARD, "4111", "iVBOR"):
        assert value.encode() not in answer.said + repr(headers).encode()


@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
async def test_an_unwritable_audit_log_fails_closed(caller: Caller, ledger: Ledger) -> None:
    ledger.room = 0
    built = assemble(ledger)
    app = Scripted(answering(b"{}"))
    answer = await call(Guardrail(app, built), caller.body(), path=caller.path)
    built.close()
    assert (app.requests, ledger.events) == ([], [])
    check(answer, caller, 503, "audit_unavailable")
    assert answer.headers[b"retry-after"] == b"1"


@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
async def test_too_many_bytes_at_once_fail_closed(caller: Caller, ledger: Ledger) -> None:
    limits = {"request_bytes": 2_000, "inflight_bytes": 2_000}
    built = assemble(ledger, tables={"limits": limits})
    app = Scripted(answering(b"{}"))
    guarded = Guardrail(app, built)
    with guarded._budget.share() as share:
        assert share.grow(1_990)
        answer = await call(guarded, caller.body(), path=caller.path)
    built.close()
    assert app.requests == []
    check(answer, caller, 503, "guardrail_busy")
    assert ledger.kinds == ["request.refused"]


# ── what goes wrong with the answer ──────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reverse:
    """One condition of the answer: what the app sends, and what becomes of it."""

    status: int
    code: str
    script: tuple[Message, ...]
    world: Callable[[Path], Deployment] = lambda folder: deployment()


NO_CARDS = """
@id("house.card.hidden") @title("Answers with card numbers are blocked") @reason("Test.")
forbid (principal, action in Action::"output", resource)
when { context.category in Category::"card" };
"""


def _no_cards(folder: Path) -> Deployment:
    return deployment(guard=guard(policies_with(folder, {"house.cedar": NO_CARDS})))


def _said(*bodies: bytes, headers: Any = (JSON,)) -> tuple[Message, ...]:
    return tuple(answering(*bodies, headers=headers))


ANSWERS = {
    "no answer": Reverse(502, "upstream_broken", ()),
    "an answer without end": Reverse(502, "upstream_broken", _said(b"{}", b"x")[:2]),
    "an unknown encoding": Reverse(
        502,
        "upstream_uninspectable",
        _said(CARD.encode(), headers=(JSON, (b"content-encoding", b"br"))),
    ),
    "an unknown media type": Reverse(
        502,
        "upstream_uninspectable",
        _said(CARD.encode(), headers=((b"content-type", b"application/octet-stream"),)),
    ),
    "malformed": Reverse(502, "upstream_uninspectable", _said(f'{{"{CARD}'.encode())),
    "too large": Reverse(502, "upstream_too_large", _said(b'{"a":"' + b"4111 " * 60_001)),
    "pathsend": Reverse(
        502,
        "upstream_uninspectable",
        (_said()[0], {"type": "http.response.pathsend", "path": "/etc/passwd"}),
    ),
    "policy blocks": Reverse(
        403, "answer_blocked", _said(json.dumps({"text": CARD}).encode()), _no_cards
    ),
}


@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize("row", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_fails_closed_in_the_callers_words(
    row: Reverse, caller: Caller, ledger: Ledger, tmp_path: Path
) -> None:
    built = assemble(ledger, deployed=replace(row.world(tmp_path), limits=deployment_limits()))
    answer = await call(Guardrail(Scripted(row.script), built), caller.body(), path=caller.path)
    built.close()
    check(answer, caller, row.status, row.code)
    assert [(event.kind, event.code) for event in ledger.events] == [
        ("egress.decision", ""),
        ("egress.outcome", row.code),
    ]


MIDSTREAM: Mapping[str, tuple[bytes, str]] = {
    # what a stream goes on with, and what becomes of it
    "blocked": (f'data: {{"text":"{CARD} "}}\n\n'.encode(), "answer_blocked"),
    "malformed": (b'data: {"a":1,"a":2}\n\n', "upstream_uninspectable"),
    "not UTF-8": (b"data: \xff\n\n", "upstream_uninspectable"),
    "without end": (b"data: " + b"4111 " * 220_000, "upstream_uninspectable"),
}


@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize("condition", MIDSTREAM)
async def test_a_stream_that_has_begun_ends_with_the_protocols_own_error(
    condition: str, caller: Caller, ledger: Ledger, tmp_path: Path
) -> None:
    bad, code = MIDSTREAM[condition]
    built = assemble(ledger, deployed=_no_cards(tmp_path))
    went_on = b'data: {"text":"later"}\n\n'
    app = Scripted(_said(b": hello\n\n", bad, went_on, headers=(SSE,)))
    answer = await call(Guardrail(app, built), caller.body(), path=caller.path)
    built.close()
    assert (answer.status, answer.complete) == (200, True)
    hello, error, *rest = answer.body.split(b"\n\n")
    assert hello == b": hello"
    assert code.encode() in error.lower(), "Google's reasons are capitals"
    assert rest in ([b""], [b"data: [DONE]", b""])
    assert b"4111" not in answer.said
    assert b"later" not in answer.body
    assert ledger.events[-1].code == code


# ── the gateway's own ────────────────────────────────────────────────────────────────────────────

SERVED = {name: caller for name, caller in CALLERS.items() if name in ("openai", "responses")}
BEARER = (b"authorization", b"Bearer a-key-of-the-crm-app")


@pytest.fixture
def built(ledger: Ledger) -> Iterator[Built]:
    made = assemble(ledger)
    yield made
    made.close()


@pytest.mark.parametrize("caller", SERVED.values(), ids=SERVED)
async def test_an_endpoint_that_cannot_be_reached_fails_closed(
    caller: Caller, built: Built, ledger: Ledger
) -> None:
    gateway = Gateway(built)
    answer = await call(gateway, caller.body(), path=caller.path, headers=[JSON, BEARER])
    await gateway.aclose()
    check(answer, caller, 502, "upstream_unreachable")
    assert [event.code for event in ledger.events] == ["", "upstream_unreachable"]


@pytest.mark.parametrize("caller", SERVED.values(), ids=SERVED)
async def test_a_caller_without_a_key_fails_closed(
    caller: Caller, built: Built, ledger: Ledger
) -> None:
    gateway = Gateway(built)
    answer = await call(gateway, caller.body(), path=caller.path, headers=[JSON])
    await gateway.aclose()
    check(answer, caller, 401, "invalid_api_key")
    (event,) = ledger.events
    assert (event.kind, event.code) == ("request.refused", "invalid_api_key")
