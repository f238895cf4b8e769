"""A header that repeats an argument says the same as the body, whatever is done to that."""

from __future__ import annotations

import json

import anyio
from asgi_world import AUTHORISED, Answer, Ledger, assemble, call
from exchange_world import JSON
from starlette.types import Receive, Scope, Send

from guardrail.asgi.middleware import Guardrail

MAIL = "alice@example.com"


def asked(to: str, header: bytes) -> tuple[Answer, list[tuple[dict[bytes, bytes], bytes]]]:
    """What a client got, and what the app behind the middleware saw."""
    seen: list[tuple[dict[bytes, bytes], bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((dict(scope["headers"]), (await receive())["body"]))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    body = {
        "jsonrpc": "2.0",
        "id": 3,
        "method": "tools/call",
        "params": {"name": "send", "arguments": {"to": to}},
    }
    headers = (JSON, AUTHORISED, (b"mcp-method", b"tools/call"), (b"Mcp-Param-To", header))

    async def run() -> Answer:
        guarded = Guardrail(app, assemble(Ledger()))
        return await call(guarded, json.dumps(body).encode(), path="/mcp", headers=headers)

    return anyio.run(run), seen


def test_a_mirrored_argument_is_treated_as_the_argument_is() -> None:
    answer, ((headers, body),) = asked(MAIL, MAIL.encode())
    assert answer.status == 200
    said = json.loads(body)["params"]["arguments"]["to"]
    assert MAIL not in said
    assert headers[b"mcp-param-to"].decode() == said
    assert headers[b"mcp-method"] == b"tools/call"


def test_what_is_not_personal_stays_as_it_was() -> None:
    _, ((headers, body),) = asked("the team", b"the team")
    assert headers[b"mcp-param-to"] == b"the team"
    assert json.loads(body)["params"]["arguments"] == {"to": "the team"}


def test_a_header_that_hides_its_value_is_read() -> None:
    _, ((headers, _),) = asked(MAIL, b"=?base64?YWxpY2VAZXhhbXBsZS5jb20=?=")
    assert b"YWxpY2VAZXhhbXBsZS5jb20" not in headers[b"mcp-param-to"]


def test_a_header_that_cannot_be_read_stops_the_request_in_its_protocol() -> None:
    answer, seen = asked("x", b"=?base64?/w==?=")
    assert seen == []
    assert answer.status == 400
    assert answer.json["id"] == 3
    assert answer.json["error"]["data"]["code"] == "invalid_header"
