"""A guarded echo: what an app behind the middleware gets to see, byte for byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from leaks_oracle import shows
from starlette.types import Message, Receive, Scope, Send

from guardrail.asgi.middleware import Guardrail
from guardrail.asgi.shell import Torn
from guardrail.config import Built, build, load_config

CHAT = "/v1/chat/completions"
JSON = b"application/json"
SSE = b"text/event-stream"
Pairs = tuple[tuple[bytes, bytes], ...]
Model = Iterable[bytes] | Callable[[bytes], Iterable[bytes]]
"""The pieces of an answer, or what makes them of the body that the app got."""

PLANTED: Mapping[str, tuple[str, str]] = {
    # id: (value that must not leave, text that holds it)
    "email": ("alice@example.com", "write to alice@example.com today"),
    "card": ("4111 1111 1111 1111", "pay with 4111 1111 1111 1111 now"),
    "phone": ("+49 30 901820", "ring me on +49 30 901820 tonight"),
    "iban": ("DE89370400440532013000", "transfer to DE89370400440532013000 please"),
    "ssn": ("536-90-4399", "her SSN is 536-90-4399 I think"),
    "name": ("Mustermann", "My name is Erika Mustermann."),
    "key": ("sk-Abcd1234Efgh5678Ijkl9012Mnop", "use sk-Abcd1234Efgh5678Ijkl9012Mnop here"),
}


def tables(**changes: Any) -> dict[str, Any]:
    """A deployment with a local model, one in the US, and one in the EEA where much is clear."""
    return {
        "apps": {
            "default": {
                "establishment": "DE",
                "origin": "DE",
                "purpose": "support",
                "basis": "contract",
                "filings": ["TIA"],
            }
        },
        "endpoints": {
            "local": {
                "url": "http://local.test/v1",
                "provider": "own",
                "location": "DE",
                "local": True,
                "models": ["llama*"],
                "model": "llama3",
            },
            "us": {
                "url": "https://us.test/v1",
                "provider": "example",
                "location": "US",
                "agreements": ["DPA", "SCC"],
                "models": ["gpt-*"],
            },
            "eea": {
                "url": "https://eea.test/v1",
                "provider": "example",
                "location": "FR",
                "agreements": ["DPA"],
                "models": ["eu-*"],
            },
        },
        "audit": {"path": str(Path(mkdtemp()) / "audit.db")},
        **changes,
    }


def built(**changes: Any) -> Built:
    return build(load_config(tables(**changes)))


@lru_cache(maxsize=1)
def usual() -> Built:
    """The usual deployment, built once; the process takes it down."""
    return built()


@dataclass(kw_only=True)
class Seen:
    """What the app was given, if it was, and what the client got."""

    sent: bytes | None = None
    query: bytes = b""
    path: str = ""
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    answer: bytes = b""
    ended: bool = False

    def left(self, value: str) -> bool:
        """Whether `value` went anywhere but to the local model."""
        return self.headers.get(b"x-guardrail-treatment") != b"local" and self.reached(value)

    def reached(self, value: str) -> bool:
        """Whether the app can read `value`, however it is written."""
        return shows(value, self.sent or b"", self.query, self.path)


def ask(body: object = None, **options: Any) -> Seen:
    """Puts one request through the middleware; `options` are those of `pass_through`."""
    return asyncio.run(pass_through(body, **options))


async def pass_through(
    body: object = None,
    *,
    raw: bytes | None = None,
    content_type: bytes = JSON,
    path: str = CHAT,
    query: bytes = b"",
    method: str = "POST",
    headers: Pairs = (),
    answer: Model = (b"{}",),
    answer_headers: Pairs = ((b"content-type", JSON),),
    guarded: Built | None = None,
    bare: bool = False,
) -> Seen:
    """Puts one request through the middleware to an app that gives `answer`.

    `bare`: to the app alone, with no guard around it.
    """
    seen = Seen()
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.path, seen.query, seen.sent = scope["path"], scope["query_string"], b""
        seen.sent += (await receive())["body"]
        start = {"type": "http.response.start", "status": 200, "headers": list(answer_headers)}
        await send(start)
        for chunk in answer(seen.sent) if callable(answer) else answer:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.status, seen.headers = message["status"], dict(message["headers"])
        else:
            seen.answer += message.get("body", b"")
            seen.ended = not message.get("more_body", False)

    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(b"content-type", content_type), *headers],
    }
    with suppress(Torn):  # the server closes the connection: the client sees no end
        await (app if bare else Guardrail(app, guarded or usual()))(scope, receive, send)
    return seen


def chat(content: object, model: str = "gpt-4o", **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **fields}
