"""A small world for exchanges: real engine, real detector, shipped policies; no socket, no disk."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from guardrail.audit.event import decode, encode
from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.exchange import (
    ChunkReceived,
    Close,
    Command,
    Deployment,
    Door,
    Emit,
    Event,
    Exchange,
    Forward,
    Hint,
    Keep,
    Limits,
    Record,
    Reply,
    RequestReceived,
    ResponseEnded,
    ResponseStarted,
    Start,
)
from guardrail.guard import Guard, build_guard
from guardrail.policy.loader import load_policies
from guardrail.regions import load_regions
from guardrail.routing.routes import Route
from guardrail.taxonomy import load_taxonomy
from guardrail.transform.vault import Vault
from guardrail.types import AuditEvent, Endpoint, Principal, RequestContext

ROOT = Path(__file__).parents[1]
POLICIES = ROOT / "policies"
REGIONS = load_regions(ROOT / "regions")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHAT = "/v1/chat/completions"
JSON = (b"content-type", b"application/json")
SSE = (b"content-type", b"text/event-stream")
NDJSON = (b"content-type", b"application/x-ndjson")

CRM = Principal(id="crm", establishment="DE")

HOME = Route(
    endpoint=Endpoint(id="home", provider="own", location="DE", local=True),
    models=("llama*",),
    model="llama3",
)
CLOUD = Route(
    endpoint=Endpoint(
        id="cloud", provider="example", location="US", agreements=frozenset({"DPA", "SCC"})
    ),
    models=("gpt-*",),
    model="gpt-5",
)
PARIS = Route(
    endpoint=Endpoint(id="paris", provider="example", location="FR", agreements=frozenset({"DPA"})),
    models=("mistral-*",),
)
ROUTES = (HOME, CLOUD, PARIS)


@lru_cache(maxsize=1)
def detector() -> RuleDetector:
    return build_detector()


@lru_cache(maxsize=16)
def guard(
    policies: Path = POLICIES,
    routes: tuple[Route, ...] = ROUTES,
    restore_tools: frozenset[str] = frozenset(),
) -> Guard:
    taxonomy = load_taxonomy()
    store = load_policies(
        policies,
        regions=REGIONS,
        taxonomy=taxonomy,
        endpoints=[route.endpoint for route in routes],
        principals=[CRM],
    )
    return build_guard(
        detector=detector(),
        policies=store,
        taxonomy=taxonomy,
        key=b"k" * 32,
        restore_tools=restore_tools,
    )


def deployment(routes: tuple[Route, ...] = ROUTES, **changes: Any) -> Deployment:
    """The usual deployment; `changes` are fields of `Deployment`."""
    known = {"guard": guard(routes=routes), "routes": routes, **changes}
    return Deployment(**known)


def usual(**facts: Any) -> RequestContext:
    context = RequestContext(
        exchange="exchange-1",
        principal=CRM,
        purpose="support",
        basis="contract",
        origin="DE",
        conversation="conversation-1",
        now=NOW,
        filings=frozenset({"TIA"}),
    )
    return replace(context, **facts)


def open_exchange(
    deployed: Deployment | None = None,
    *,
    door: Door = Door.GATEWAY,
    vault: Vault | None = None,
    target: Route | None = None,
    **facts: Any,
) -> Exchange:
    numbers = count(1)
    return Exchange(
        deployed or deployment(),
        door=door,
        context=usual(**facts),
        vault=Vault() if vault is None else vault,
        clock=lambda: NOW,
        new_id=lambda: f"{next(numbers):032x}",
        target=target,
    )


# ── events ───────────────────────────────────────────────────────────────────────────────────────


def chat(*texts: str, model: str = "gpt-4o", **more: Any) -> bytes:
    messages = [{"role": "user", "content": text} for text in texts]
    return json.dumps({"model": model, "messages": messages, **more}).encode()


def post(
    body: bytes,
    *,
    path: str = CHAT,
    headers: Iterable[tuple[bytes, bytes]] = (JSON,),
    query: bytes = b"",
    method: str = "POST",
) -> RequestReceived:
    return RequestReceived(method=method, path=path, headers=tuple(headers), body=body, query=query)


def ask(*texts: str, **more: Any) -> RequestReceived:
    return post(chat(*texts, **more))


def started(*headers: tuple[bytes, bytes], status: int = 200) -> ResponseStarted:
    return ResponseStarted(status=status, headers=headers or (JSON,))


def said(text: str) -> ChunkReceived:
    """A whole chat answer in one chunk."""
    return ChunkReceived(completion(text))


def completion(text: str, **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}}
    return json.dumps({"id": "x", "choices": [{**choice, "finish_reason": "stop"}]}).encode()


def delta(text: str, *, choice: int = 0) -> bytes:
    value = {"id": "x", "choices": [{"index": choice, "delta": {"content": text}}]}
    return f"data: {json.dumps(value)}\n\n".encode()


DONE = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ENDED = ResponseEnded()


# ── what became of it ────────────────────────────────────────────────────────────────────────────


@dataclass
class Story:
    """What an exchange commanded, in order, as values and as words."""

    commands: list[Command] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[AuditEvent]:
        return [c.event for c in self.commands if isinstance(c, Record)]

    @property
    def forwards(self) -> list[Forward]:
        return [c for c in self.commands if isinstance(c, Forward)]

    @property
    def forwarded(self) -> bytes:
        (forward,) = self.forwards
        return forward.body

    @property
    def reply(self) -> Reply:
        (reply,) = [c for c in self.commands if isinstance(c, Reply)]
        return reply

    @property
    def start(self) -> Start:
        (start,) = [c for c in self.commands if isinstance(c, Start)]
        return start

    @property
    def answer(self) -> bytes:
        return b"".join(c.data for c in self.commands if isinstance(c, Emit))

    @property
    def text(self) -> str:
        """The content of a whole chat answer."""
        content: str = json.loads(self.answer)["choices"][0]["message"]["content"]
        return content


def tell(exchange: Exchange, *events: Event) -> Story:
    """Feeds the events; one line of words for each, empty where it led to nothing."""
    story = Story()
    for event in events:
        commands = exchange.receive(event)
        story.commands += commands
        story.lines.append(", ".join(map(_words, commands)))
    return story


def play(exchange: Exchange, *events: Event) -> list[str]:
    return tell(exchange, *events).lines


def _words(command: Command) -> str:
    match command:
        case Record():
            assert decode(encode(command.event)) == command.event
            code = f" {command.event.code}" if command.event.code else ""
            return f"record {command.event.kind}{code}"
        case Forward():
            return f"forward {command.route.endpoint.id if command.route else 'app'}"
        case Reply():
            return f"reply {command.status} {dict(command.headers)[b'x-guardrail-code'].decode()}"
        case Hint():
            return "hint"
        case Start():
            return f"start {command.status}"
        case Emit():
            return "emit"
        case Keep():
            return "keep"
        case Close():
            return "close aborted" if command.aborted else "close"


def forwarded(body: bytes, *, vault: Vault | None = None, **facts: Any) -> bytes:
    """The bytes that leave for the cloud."""
    return tell(open_exchange(vault=vault, **facts), post(body)).forwarded


def contents(stream: bytes, *, done: str = "[DONE]") -> dict[int, str]:
    """Joined content of each choice of a streamed chat answer."""
    joined: dict[int, str] = {}
    for line in stream.decode().splitlines():
        data = line.removeprefix("data: ")
        if not line.startswith("data: ") or data == done:
            continue
        for choice in json.loads(data).get("choices", ()):
            text = (choice.get("delta") or {}).get("content") or ""
            joined[choice["index"]] = joined.get(choice["index"], "") + text
    return joined


# ── policies ─────────────────────────────────────────────────────────────────────────────────────


def policies_with(folder: Path, changes: Mapping[str, Callable[[str], str] | str | None]) -> Path:
    """A copy of the shipped policies: a file changed by a function, replaced, added or left out."""
    target = folder / "policies"
    target.mkdir()
    texts: dict[str, str | None] = {
        f.name: f.read_text() for f in POLICIES.iterdir() if f.is_file()
    }
    for name, change in changes.items():
        texts[name] = change(texts.get(name) or "") if callable(change) else change
    for name, text in texts.items():
        if text is not None:
            (target / name).write_text(text)
    return target


UNAUDITED = """
@id("base.unaudited.local") @title("The local model keeps running while the audit log is down")
@reason("Test.")
permit (principal, action == Action::"processUnaudited", resource) when { resource.local };
"""

NEVER_SHOW_CARDS = """
@id("house.card.hidden") @title("Answers with card numbers are blocked") @reason("Test.")
forbid (principal, action in Action::"output", resource)
when { context.category in Category::"card" };
"""


def compressed(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def limited(request: int = 8 * 2**20, answer: int = 32 * 2**20) -> Limits:
    return Limits(request=request, answer=answer)


def joined(pieces: Sequence[bytes]) -> bytes:
    return b"".join(pieces)
