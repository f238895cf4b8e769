"""Real servers for the integration tests: a model that records what reached it, and who asks it.

Everything listens on 127.0.0.1 and a free port. The model answers in the worst way it is allowed
to: deltas of one to four characters, bytes cut anywhere, CRLF, comments, choices interleaved.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import anyio
import httpx
import httpx2
import openai
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.audit.event import decode
from guardrail.types import AuditEvent

SDK_HTTP: ModuleType = httpx if issubclass(openai.DefaultHttpxClient, httpx.Client) else httpx2
"""What the installed `openai` sends with: `httpx` before its version 3, `httpx2` since."""

EMAIL = "erika.mustermann@example.com"
PHONE = "+49 30 901820"
IBAN = "DE89370400440532013000"
NAME = "Jörg Süßmilch"
SSN = "536-90-4399"
CARD = "4111 1111 1111 1111"
KEY = "sk-proj-Zq8LkT2vYwXn5RbC7dFhJ3mP"
PLANTED = (EMAIL, IBAN, NAME, "Süßmilch", PHONE)
"""Values of users that may reach no foreign model, no log and no error; the law of the EU."""
PROMPT = f"My name is {NAME}, mail {EMAIL}, call {PHONE}, IBAN {IBAN}."


def user(text: str | list[Any]) -> Any:
    """The messages of a user who says one thing."""
    return [{"role": "user", "content": text}]


PICTURE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": PROMPT},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ],
    }
]
"""The messages of a user who shows a picture, in which nobody can tell what is personal."""


def forms(value: str) -> set[bytes]:
    """The spellings in which a value could have slipped out."""
    escaped = json.dumps(value)[1:-1]
    return {value.encode(), escaped.encode(), json.dumps(escaped)[1:-1].encode()}


def leaked(data: bytes, values: tuple[str, ...] = PLANTED) -> list[str]:
    """Which of the values stand in `data`, in whatever spelling."""
    return [value for value in values if any(form in data for form in forms(value))]


# ── serving ──────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def serve(app: ASGIApp, *, ws: Literal["none", "websockets-sansio"] = "none") -> Iterator[str]:
    """Gives the address under which uvicorn serves an app on a thread of its own.

    Tracebacks of deliberate failures are not logged: Python 3.11 may fail to format two of them at
    once on two threads (cpython#106905).
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)  # queues until uvicorn accepts
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            ws=ws,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


# ── the model ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it reached the model."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes

    @property
    def everything(self) -> bytes:
        """All its bytes."""
        return b"\n".join((self.path.encode(), self.query, repr(self.headers).encode(), self.body))

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """How the model answers. `say` is its text (None: it repeats what it was told).

    `tool` is the tool it calls with `arguments` (None: the text). `delta` is the most code points
    of one delta, `cut` the most bytes of one chunk. `raw` is sent as it is, as `content_type`;
    `compressed` says that it is gzip already. `breaks` cuts the connection after so many bytes;
    `stall` sends no end, until it is left.
    """

    say: str | None = None
    tool: str = ""
    arguments: str | None = None
    status: int = 200
    gzip: bool = False
    compressed: bool = False
    cut: int = 24
    delta: int = 4
    breaks: int = 0
    stall: bool = False
    content_type: str = ""
    raw: bytes | None = None


class Model:
    """An OpenAI-compatible model that records every byte. `act` says how it answers.

    `before_answer` is called once a request has been recorded; `left` is set when a client leaves.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.left = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Makes it as good as new: it has seen nothing and has its manners back."""
        self.act = Act()
        self.before_answer: Callable[[], object] = lambda: None
        self.seen.clear()
        self.left.clear()

    @property
    def last(self) -> Seen:
        """The latest request."""
        return self.seen[-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        self.seen.append(
            Seen(
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"],
                headers=headers,
                body=body,
            )
        )
        self.before_answer()
        await self._answer(json.loads(body) if body else {}, receive, send)

    async def _answer(self, asked: Mapping[str, Any], receive: Receive, send: Send) -> None:
        act = self.act
        said = act.say if act.say is not None else spoken(asked)
        streamed = bool(asked.get("stream")) and act.status < 400
        if act.raw is not None:
            data, kind = act.raw, act.content_type
        elif act.status >= 400:
            error = {"message": f"cannot process: {said}", "type": "invalid_request_error"}
            data, kind = dump({"error": error}), "application/json"
        elif streamed:
            data, kind = stream_of(asked, said, act), "text/event-stream"
        else:
            data, kind = dump(whole(asked, said, act)), "application/json"
        extra = [(b"x-request-id", b"req-1"), (b"set-cookie", b"model=1")]
        if act.gzip:
            data = gzip.compress(data)
        if act.gzip or act.compressed:
            extra.append((b"content-encoding", b"gzip"))
        if act.breaks:
            extra.append((b"content-length", str(len(data)).encode()))
        await send(
            {
                "type": "http.response.start",
                "status": act.status,
                "headers": [(b"content-type", kind.encode()), *extra],
            }
        )
        dice = random.Random(len(data))
        at = 0
        end = act.breaks or len(data)
        while at < end:
            step = dice.randint(1, act.cut)
            await send(
                {
                    "type": "http.response.body",
                    "body": data[at : min(end, at + step)],
                    "more_body": True,
                }
            )
            at += step
        if act.stall:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        if not act.breaks:
            await send({"type": "http.response.body", "body": b""})


def dump(value: object) -> bytes:
    """JSON with its characters unescaped, so that UTF-8 can be cut."""
    return json.dumps(value, ensure_ascii=False).encode()


def spoken(asked: Mapping[str, Any]) -> str:
    """All text of the last message."""
    content = asked["messages"][-1].get("content", "") if asked.get("messages") else ""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


def whole(asked: Mapping[str, Any], said: str, act: Act) -> dict[str, Any]:
    """A chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": said}
    if act.tool:
        arguments = json.dumps({"text": said}) if act.arguments is None else act.arguments
        function = {"name": act.tool, "arguments": arguments}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": asked.get("model", "m"),
        "choices": [
            {"index": i, "message": message, "finish_reason": "tool_calls" if act.tool else "stop"}
            for i in range(asked.get("n", 1))
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def stream_of(asked: Mapping[str, Any], said: str, act: Act) -> bytes:
    """The same completion as a stream of tiny deltas, its choices interleaved."""
    dice = random.Random(said)
    choices = range(asked.get("n", 1))
    deltas: list[tuple[int, dict[str, Any]]] = []
    opening: dict[str, Any] = {"role": "assistant", "content": ""}
    text = said
    if act.tool:
        text = json.dumps({"text": said}) if act.arguments is None else act.arguments
        function = {"name": act.tool, "arguments": ""}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        opening = {"role": "assistant", "content": None, "tool_calls": [call]}
    deltas += [(i, opening) for i in choices]
    at = 0
    while at < len(text):
        step = dice.randint(1, act.delta)
        piece = text[at : at + step]
        at += step
        call = {"index": 0, "function": {"arguments": piece}}
        deltas += [(i, {"tool_calls": [call]} if act.tool else {"content": piece}) for i in choices]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    reason = "tool_calls" if act.tool else "stop"
    events: list[dict[str, Any]] = [
        {**head, "choices": [{"index": i, "delta": delta, "finish_reason": None}]}
        for i, delta in deltas
    ]
    events += [
        {**head, "choices": [{"index": i, "delta": {}, "finish_reason": reason}]} for i in choices
    ]
    if asked.get("stream_options", {}).get("include_usage"):
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        events.append({**head, "choices": [], "usage": usage})
    out = b": hello\n\n"
    for number, event in enumerate(events):
        end = b"\r\n" if number % 3 == 0 else b"\n"
        out += b"data: " + dump(event) + end + end
        if number % 7 == 0:
            out += b": keep-alive" + end + end
    return out + b"data: [DONE]\n\n"


# ── around it ────────────────────────────────────────────────────────────────────────────────────


def settings(folder: Path, upstream: str, **changes: Any) -> dict[str, Any]:
    """A configuration: one app under EU law, a cloud model in the US and, if asked, a local one."""
    return {
        "apps": {
            "default": {
                "establishment": "DE",
                "origin": "DE",
                "basis": "contract",
                "filings": ["TIA"],
                "purpose": "support",
                "trust_headers": True,
            }
        },
        "endpoints": {
            "cloud": {
                "url": f"{upstream}/v1",
                "api_key": "upstream-key-of-the-cloud",
                "provider": "example",
                "location": "US",
                "agreements": ["DPA", "SCC"],
                "models": ["gpt-*"],
                "timeout_s": 5,
            }
        },
        "audit": {"path": str(folder / "audit.db")},
        **changes,
    }


def local_endpoint(upstream: str) -> dict[str, Any]:
    """An `[endpoints.<id>]` table for a model on own premises."""
    return {
        "url": f"{upstream}/v1",
        "provider": "ollama",
        "location": "DE",
        "local": True,
        "models": ["llama*"],
        "model": "llama3",
        "timeout_s": 5,
    }


def sdk(url: str, **options: Any) -> openai.OpenAI:
    """The synchronous OpenAI client; it does not try again and knows no proxy."""
    options.setdefault("http_client", SDK_HTTP.Client(trust_env=False))
    return openai.OpenAI(
        base_url=f"{url}/v1", **{"api_key": "k", "max_retries": 0, "timeout": 20, **options}
    )


def async_sdk(url: str, **options: Any) -> openai.AsyncOpenAI:
    """The asynchronous OpenAI client, alike."""
    options.setdefault("http_client", SDK_HTTP.AsyncClient(trust_env=False))
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1", **{"api_key": "k", "max_retries": 0, "timeout": 20, **options}
    )


@dataclass(slots=True)
class Ask:
    """Drives an ASGI app without a server, where a server could not show what happens."""

    app: ASGIApp
    sent: list[Message] = field(default_factory=list)

    async def __call__(self, scope: Mapping[str, Any], *events: Message) -> list[Message]:
        """Gives the messages that the app sends; after `events` the client stays silent."""
        waiting = list(events)

        async def receive() -> Message:
            if waiting:
                return waiting.pop(0)
            await anyio.sleep_forever()
            raise AssertionError("unreachable")

        async def send(message: Message) -> None:
            self.sent.append(message)

        await self.app(dict(scope), receive, send)
        return self.sent


def http_scope(path: str, *, method: str = "GET", **more: Any) -> dict[str, Any]:
    """A connection scope as a server makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test")],
        **more,
    }


def recorded(path: Path) -> list[AuditEvent]:
    """The audit log's events in order."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT event FROM events ORDER BY seq").fetchall()
    return [decode(row[0]) for row in rows]


def kinds(path: Path, exchange: str) -> list[str]:
    """The kinds of the events of one exchange, in order."""
    return [event.kind for event in recorded(path) if event.exchange == exchange]


def eventually(condition: Callable[[], bool], *, seconds: float = 5.0) -> bool:
    """Whether a condition comes to hold: for what is done after the client has its answer."""
    done = threading.Event()
    for _ in range(int(seconds * 100)):
        if condition():
            return True
        done.wait(0.01)
    return condition()
