"""Requests that are signed over their body, and Amazon Bedrock behind the middleware."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from asgi_world import Ledger, Scripted, answering, assemble, call
from exchange_world import CHAT, CLOUD, HOME, JSON, chat, deployment

from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built
from guardrail.protocols.eventstream import Message, MessageFramer, dump_message
from guardrail.routing.routes import Route
from guardrail.transport import GuardrailTransport

pytestmark = pytest.mark.anyio

MAIL = "alice@example.com"
CARD = "4111 1111 1111 1111"
MODEL = "/model/anthropic.claude-v1:0"
BEDROCK = Route(endpoint=CLOUD.endpoint, models=("anthropic.*", "gpt-*"), model="gpt-5")
SIGNED = (
    b"authorization",
    b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/bedrock/aws4_request, "
    b"SignedHeaders=accept-encoding;content-type;host;x-amz-date, Signature=" + b"0a" * 32,
)
TOKEN = "IQoJb3JpZ2luX2VjEJr" + "Fw0A9zYk3LmQ" * 20
TRACE = ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793")  # looks like a licence
GZIP = (b"accept-encoding", b"gzip")
STREAM = (b"content-type", b"application/vnd.amazon.eventstream")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def built(ledger: Ledger) -> Iterator[Built]:
    made = assemble(ledger, deployed=deployment(routes=(BEDROCK,)))
    yield made
    made.close()


def converse(text: str, **more: Any) -> bytes:
    messages = [{"role": "user", "content": [{"text": text}]}]
    return json.dumps({"messages": messages, **more}, indent=1).encode()


# ── what is signed ───────────────────────────────────────────────────────────────────────────────

SEALS: Mapping[str, tuple[bytes, bytes]] = {
    "SigV4": SIGNED,
    "x-amz-content-sha256": (b"x-amz-content-sha256", b"0a" * 32),
    "content-digest": (
        b"content-digest",
        b"sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
    ),
    "digest": (b"digest", b"SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="),
    "GitHub": (b"x-hub-signature-256", b"sha256=" + b"0a" * 32),
    "Standard Webhooks": (b"webhook-signature", b"v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
    "Shopify": (b"x-shopify-hmac-sha256", b"XWmrwMey6OsLMeiZKwP4FppHH3cmAiiJJAweH5Jo4bM="),
    "cavage": (b"authorization", b'Signature keyId="k",signature="0a"'),
}


@pytest.mark.parametrize("seal", SEALS.values(), ids=SEALS)
async def test_a_signed_request_passes_as_it_came_or_not_at_all(
    seal: tuple[bytes, bytes], built: Built
) -> None:
    app = Scripted(answering(b"{}"))
    whole = b' {"model": "gpt-4o",  "messages": []}'
    answer = await call(Guardrail(app, built), whole, headers=[JSON, seal, GZIP])
    assert answer.status == 200
    assert app.requests[0]["body"] == whole
    assert seal in app.requests[0]["headers"]
    refused = await call(Guardrail(app, built), chat(f"mail {MAIL}"), headers=[JSON, seal])
    assert (refused.status, refused.headers[b"x-guardrail-code"]) == (400, b"signed_request")
    assert b"alice" not in refused.body
    assert len(app.requests) == 1


async def test_what_the_signature_covers_stays(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    body = converse("hello")
    await call(Guardrail(app, built), body, path=f"{MODEL}/converse", headers=[JSON, SIGNED, GZIP])
    (seen,) = app.requests
    assert seen["body"] == body
    assert [v for k, v in seen["headers"] if k == b"accept-encoding"] == [b"gzip"]
    packed = gzip.compress(body)
    encoded = [JSON, SIGNED, GZIP, (b"content-encoding", b"gzip")]
    await call(Guardrail(app, built), packed, path=f"{MODEL}/converse", headers=encoded)
    assert app.requests[1]["body"] == packed
    assert (b"content-encoding", b"gzip") in app.requests[1]["headers"]


async def test_a_signature_that_covers_what_goes_no_further_is_refused(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    covers = (SIGNED[0], SIGNED[1].replace(b"host", b"host;range"))
    answer = await call(Guardrail(app, built), converse("hi"), headers=[JSON, covers])
    assert (answer.status, app.requests) == (400, [])
    assert answer.json["code"] == "signed_request"


async def test_a_signed_address_is_not_changed(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    query = b"who=" + MAIL.encode() + b"&X-Amz-Signature=" + b"0a" * 32
    answer = await call(Guardrail(app, built), b"", method="GET", path="/x", query=query)
    assert (answer.status, app.requests) == (400, [])


async def test_a_signed_request_is_not_led_to_a_local_model(ledger: Ledger) -> None:
    built = assemble(ledger, deployed=deployment(routes=(HOME, BEDROCK)))
    app = Scripted(answering(b"{}"))
    body = chat("hi", previous=[{"image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}])
    answer = await call(Guardrail(app, built), body, path=CHAT, headers=[JSON, SIGNED])
    assert (answer.status, app.requests) == (400, [])
    built.close()


def test_a_transport_keeps_what_is_signed(ledger: Ledger) -> None:
    built = assemble(ledger, deployed=deployment(routes=(BEDROCK,)))
    own = replace(built.upstreams["cloud"], url="https://bedrock.example.com")
    built = replace(built, upstreams={"cloud": own})
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    transport = GuardrailTransport(built, app="crm", inner=httpx.MockTransport(answer))
    signed = {k.decode(): v.decode() for k, v in (JSON, SIGNED, GZIP)}
    signed |= {"x-amz-date": "20260101T123456Z", "x-amz-security-token": TOKEN, TRACE[0]: TRACE[1]}
    with httpx.Client(transport=transport, base_url=own.url, headers=signed) as client:
        passed = client.post(f"{MODEL}/converse", content=converse("hello"))
        refused = client.post(f"{MODEL}/converse", content=converse(f"mail {MAIL}"))
    assert (passed.status_code, refused.status_code) == (200, 400)
    assert refused.headers["x-amzn-errortype"] == "ValidationException"
    (sent,) = seen
    assert sent.content == converse("hello")
    assert {name: sent.headers[name] for name in signed} == signed
    built.close()


# ── Bedrock ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path", ["/converse", "/converse-stream", "/invoke", "/invoke-with-response-stream"]
)
async def test_a_refusal_is_in_the_words_of_aws(path: str, built: Built, ledger: Ledger) -> None:
    app = Scripted(answering(b"{}"))
    headers = [JSON, SIGNED]
    answer = await call(Guardrail(app, built), converse(MAIL), path=MODEL + path, headers=headers)
    assert (answer.status, app.requests) == (400, [])
    assert answer.headers[b"x-amzn-errortype"] == b"ValidationException"
    assert "signed" in answer.json["message"]
    assert ledger.events[0].code == "signed_request"
    assert ledger.events[0].protocol.startswith("bedrock.")


async def test_what_is_not_signed_is_treated(built: Built) -> None:
    tool = {"toolUseId": "t1", "name": "send", "input": {"to": [MAIL]}}
    more = [{"role": "assistant", "content": [{"toolUse": tool}]}]
    said = {"role": "assistant", "content": [{"text": f"to [EMAIL_1], card {CARD}"}]}
    app = Scripted(answering(json.dumps({"output": {"message": said}}).encode()))
    body = json.loads(converse(f"mail {MAIL}"))
    body["messages"] += more
    body["system"] = [{"text": f"You serve {MAIL}"}]
    answer = await call(
        Guardrail(app, built), json.dumps(body).encode(), path=f"{MODEL}/converse", headers=[JSON]
    )
    assert MAIL.encode() not in app.requests[0]["body"]
    assert json.loads(app.requests[0]["body"])["system"] == [{"text": "You serve [EMAIL_1]"}]
    text = answer.json["output"]["message"]["content"][0]["text"]
    assert text.startswith(f"to {MAIL}, card ")
    assert "4111" not in text


PICTURE = {"image": {"format": "png", "source": {"bytes": base64.b64encode(b"\x89PNG\0").decode()}}}


async def test_a_picture_does_not_leave(built: Built) -> None:
    app = Scripted(answering(b"{}"))
    messages = [{"role": "user", "content": [PICTURE]}]
    body = json.dumps({"messages": messages}).encode()
    answer = await call(Guardrail(app, built), body, path=f"{MODEL}/converse", headers=[JSON])
    assert (answer.status, app.requests) == (403, [])
    assert answer.headers[b"x-amzn-errortype"] == b"AccessDeniedException"


def event(kind: str, **fields: Any) -> bytes:
    headers = (
        (":event-type", kind),
        (":content-type", "application/json"),
        (":message-type", "event"),
    )
    return dump_message(Message(headers=headers, payload=json.dumps(fields).encode()))


def delta(text: str, index: int = 0) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta={"text": text}, p="abcdef")


async def streamed(built: Built, *chunks: bytes, path: str = "/converse-stream") -> Any:
    app = Scripted(answering(*chunks, headers=[STREAM]))
    body = converse(f"mail {MAIL}")
    return await call(Guardrail(app, built), body, path=MODEL + path, headers=[JSON])


@pytest.mark.parametrize("cut", [1, 50, 10_000])
@pytest.mark.parametrize("size", [1, 5, 100])
async def test_the_binary_stream_is_filtered(size: int, cut: int, built: Built) -> None:
    text = f"Pay {CARD}, tell [EMAIL_1] of it"
    arguments = json.dumps({"to": "[EMAIL_1]", "card": CARD})
    tool = {"toolUse": {"toolUseId": "t1", "name": "send"}}
    events = [
        event("messageStart", role="assistant"),
        *(delta(text[at : at + size]) for at in range(0, len(text), size)),
        event("contentBlockStop", contentBlockIndex=0),
        event("contentBlockStart", contentBlockIndex=1, start=tool),
        *(
            event(
                "contentBlockDelta",
                contentBlockIndex=1,
                delta={"toolUse": {"input": arguments[at : at + size]}},
            )
            for at in range(0, len(arguments), size)
        ),
        event("contentBlockStop", contentBlockIndex=1),
        event("messageStop", stopReason="tool_use"),
        event("metadata", usage={"inputTokens": 12345678}, metrics={"latencyMs": 10}),
    ]
    stream = b"".join(events)
    chunks = [stream[at : at + cut] for at in range(0, len(stream), cut)]
    answer = await streamed(built, *chunks)
    got = MessageFramer().feed(answer.body)
    assert [m.headers for m in got] == [m.headers for m in MessageFramer().feed(stream)]
    payloads = [json.loads(m.payload) for m in got]
    deltas = [one for one in payloads if "delta" in one]
    said = "".join(one["delta"].get("text", "") for one in deltas)
    called = "".join(one["delta"].get("toolUse", {}).get("input", "") for one in deltas)
    assert said.endswith(f", tell {MAIL} of it")
    assert json.loads(called)["to"] == "[EMAIL_1]"
    assert "4111" not in said + called
    assert MAIL not in called
    assert got[-1].raw == events[-1]


@pytest.mark.parametrize(
    ("path", "chunk"),
    [
        ("/invoke-with-response-stream", event("chunk", bytes="e30=")),
        ("/converse-stream", b"no message, and nothing like one"),
        ("/converse-stream", delta("hi")[:-1] + b"x"),
        ("/converse-stream", dump_message(Message(headers=(), payload=b"[1]"))),
        ("/converse-stream", dump_message(Message(headers=(), payload=b'{":event-type": 1}'))),
        ("/converse-stream", dump_message(Message(headers=(), payload=b'{"a": 1, "a": 2}'))),
        ("/converse-stream", dump_message(Message(headers=(), payload=b"\xff"))),
        ("/converse-stream", delta("4111 1111")[:-1]),
    ],
    ids=["invoke", "garbage", "checksum", "array", "colon", "ambiguous", "no UTF-8", "cut"],
)
async def test_messages_that_cannot_be_read_are_not_passed_on(
    path: str, chunk: bytes, built: Built, ledger: Ledger
) -> None:
    answer = await streamed(built, chunk, path=path)
    assert ledger.events[-1].code == "upstream_uninspectable"
    if path.startswith("/invoke"):
        assert answer.status == 502
        assert answer.headers[b"x-amzn-errortype"] == b"ModelErrorException"
        return
    (last,) = MessageFramer().feed(answer.body)
    assert dict(last.headers)[":message-type"] == "exception"
    assert json.loads(last.payload)["code"] == "upstream_uninspectable"
    assert b"4111" not in answer.body
