"""ASGI without a server: scripted `receive`, collected `send`, an audit log that keeps values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from exchange_world import CHAT, CRM, JSON, deployment
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.audit.event import decode, encode
from guardrail.audit.log import AuditLog
from guardrail.config import Built, Upstream, load_config
from guardrail.context import App
from guardrail.exchange import Deployment, Limits
from guardrail.guard import Guard
from guardrail.live import Folders, Live, Loaded
from guardrail.policy.rollout import Rollout
from guardrail.transform.vaults import Vaults
from guardrail.types import AuditEvent

KEY = "a-key-of-the-crm-app"
AUTHORISED = (b"authorization", f"Bearer {KEY}".encode())
CONFIG: dict[str, Any] = {
    "apps": {"crm": {"establishment": "DE", "origin": "DE", "key": KEY}},
    "endpoints": {"cloud": {"provider": "example", "location": "US", "models": ["gpt-*"]}},
    "middleware": {"app": "crm", "unguarded": ["/static/*", "/health"]},
    "limits": {"request_bytes": 300_000, "answer_bytes": 300_000, "read_timeout_s": 0.05},
}
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens


class Ledger:
    """A store in memory; `full` makes every append fail, `room` how many still succeed."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.room = 1_000_000

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def append(self, events: Sequence[AuditEvent]) -> Sequence[int]:
        if self.room < len(events):
            raise OSError("no space left for alice.planted@example.com")
        self.room -= len(events)
        first = len(self.events)
        self.events += [decode(encode(event)) for event in events]
        return range(first, len(self.events))

    def close(self) -> None:
        """Nothing to let go of."""


def assemble(
    ledger: Ledger,
    *,
    trust_headers: bool = False,
    deployed: Deployment | None = None,
    tables: Mapping[str, Any] | None = None,
) -> Built:
    config = load_config({**CONFIG, **(tables or {})})
    limits = Limits(request=config.limits.request_bytes, answer=config.limits.answer_bytes)
    app = App(
        principal=CRM,
        purpose="support",
        basis="contract",
        origin="DE",
        filings=frozenset({"TIA"}),
        trust_headers=trust_headers,
    )
    known = deployed or deployment(limits=limits)
    return Built(
        live=Live(known),
        config=config,
        deployment=known,
        audit=AuditLog(ledger, timeout_s=5),
        vaults=Vaults(),
        apps={"crm": app},
        upstreams={
            route.endpoint.id: Upstream(url=NOWHERE, key=None, timeout_s=1)
            for route in known.routes
        },
    )


def turning(built: Built, folder: Path) -> tuple[Built, Callable[[Guard], None]]:
    """The same with policies that can be changed while it serves, and what changes them."""
    store = built.deployment.guard.policies
    folders = Folders(
        policies=folder, regions=folder, rollout=None, shadow=None, load=lambda *_: store
    )
    live = Live(built.deployment, folders, Loaded(store, None, None, Rollout()))

    def turn(guard: Guard) -> None:
        nonlocal store
        store = guard.policies
        (folder / f"{len(list(folder.iterdir()))}.cedar").touch()
        live.look()
        live.look()
        assert live.now.stable.guard.policies is store

    return replace(built, live=live), turn


@dataclass
class Answer:
    """What a client got."""

    messages: list[Message] = field(default_factory=list)

    @property
    def begun(self) -> bool:
        return any(m["type"] == "http.response.start" for m in self.messages)

    @property
    def start(self) -> Message:
        (start,) = [m for m in self.messages if m["type"] == "http.response.start"]
        return start

    @property
    def status(self) -> int:
        status: int = self.start["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        headers = self.start["headers"]
        assert len(dict(headers)) == len(headers)
        return dict(headers)

    @property
    def body(self) -> bytes:
        return b"".join(m["body"] for m in self.messages if m["type"] == "http.response.body")

    @property
    def said(self) -> bytes:
        """The body without the exchange's id, which is random and may have any digits."""
        return self.body.replace(self.headers[b"x-guardrail-exchange"], b"")

    @property
    def complete(self) -> bool:
        """Whether exactly one body message, the last one, says that it is the last one."""
        more = [
            m.get("more_body", False) for m in self.messages if m["type"] == "http.response.body"
        ]
        return more[-1:] == [False] and more.count(False) == 1

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: ASGIApp,
    body: bytes | Iterable[bytes] = b"",
    *,
    path: str = CHAT,
    method: str = "POST",
    headers: Iterable[tuple[bytes, bytes]] = (JSON, AUTHORISED),
    query: bytes = b"",
    then: str = "waits",
    **scope: Any,
) -> Answer:
    """One request and its answer. `then`: the client "waits", "leaves", or "stalls" half-way."""
    answer = Answer()
    parts = [body] if isinstance(body, bytes) else list(body)
    script: list[Message] = [
        {"type": "http.request", "body": part, "more_body": n < len(parts) or then == "stalls"}
        for n, part in enumerate(parts, 1)
    ]
    if then == "leaves":
        script.append({"type": "http.disconnect"})

    async def receive() -> Message:
        if not script:
            await anyio.sleep_forever()
        return script.pop(0)

    async def send(message: Message) -> None:
        answer.messages.append(message)

    request = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": list(headers),
        **scope,
    }
    frozen = repr(request)
    with anyio.fail_after(20):
        await app(request, receive, send)
    assert repr(request) == frozen, "the scope belongs to the server"
    return answer


@dataclass
class Scripted:
    """A wrapped app: keeps what it was given, and answers what it is told to."""

    answer: Sequence[Message] = ()
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.requests.append({**scope, "body": message.get("body", b"")})
        for one in self.answer:
            await send(one)


def answering(
    *bodies: bytes, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = (JSON,)
) -> list[Message]:
    parts = bodies or (b"",)
    return [
        {"type": "http.response.start", "status": status, "headers": list(headers)},
        *(
            {"type": "http.response.body", "body": part, "more_body": n < len(parts)}
            for n, part in enumerate(parts, 1)
        ),
    ]
