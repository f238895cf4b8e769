"""A WebSocket of a wrapped app: its opening request as any other, then frames both ways.

The app gets what may leave of each frame of the client; what may not is answered by an error event
and never reaches it. What the app sends is filtered as one stream. A path whose frames nothing
describes is refused before it opens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.asgi.shell import Performer, lowered
from guardrail.config import Built
from guardrail.context import PREFIX, App
from guardrail.exchange import (
    ChunkReceived,
    Forward,
    Record,
    RecordFailed,
    RequestReceived,
    RequestRefused,
    ResponseEnded,
    ResponseStarted,
)
from guardrail.opening import advance_session_async, new_id, open_session
from guardrail.protocols.errors import Told, render_error
from guardrail.protocols.maps import protocol_at, sockets_of
from guardrail.protocols.mirrored import is_mirrored
from guardrail.session import (
    Accept,
    ClientFrame,
    Command,
    Deliver,
    Event,
    Gone,
    HangUp,
    ServerAccepted,
    ServerFrame,
    ServerLeft,
    Session,
    State,
    Tell,
)

_REPLY = "websocket.http.response"
"""The extension of servers that can answer an opening request with something else."""

_CREDENTIAL = "openai-insecure-api-key."
"""How browsers present a key, which cannot set headers: as a subprotocol."""

_UNKNOWN = "guardrail does not inspect WebSockets on this path; list it under middleware.websockets"


async def guard_socket(
    app: ASGIApp, built: Built, *, caller: App, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serves one WebSocket; `scope` is what the app would get, its headers as they came."""
    await receive()  # websocket.connect
    protocol = sockets_of(built.config.middleware.websockets).get(scope["path"])
    session, refusal = open_session(
        built,
        app=caller,
        headers=lowered(scope),
        path=scope["path"],
        protocol=protocol or protocol_at(scope["path"]),
    )
    if protocol is None:
        refusal = RequestRefused(
            status=403, code="websocket_not_inspected", message=_UNKNOWN, path=scope["path"]
        )
    performer = Performer(built, session.opening, _denying(scope, send))
    forward = await performer.feed(refusal or _asked(scope))
    if forward is None:
        return
    socket = _Socket(built, session, performer, receive, send)
    try:
        await app(_protected(scope, forward), socket.receive, socket.send)
    except BaseException as error:
        hung_up = socket.hung_up > 0 and isinstance(error, Exception)
        if not performer.closed:
            with anyio.CancelScope(shield=True):
                await socket.perform(Gone("client_gone" if socket.gone else "app_failed"))
        if hung_up:  # whatever it trips over, it is because nobody is there
            return
        raise
    if not performer.closed:  # else it never opened, and the exchange has told how it went
        await socket.perform(Gone("client_gone" if socket.gone else "", status=1005))


def _asked(scope: Scope) -> RequestReceived:
    said = (name for name in scope.get("subprotocols", ()) if not name.startswith(_CREDENTIAL))
    return RequestReceived(
        method="GET",
        path=scope["path"],
        query=scope.get("query_string", b""),
        headers=lowered(scope),
        envelope=(*filter(None, scope["path"].split("/")), *said),
    )


def _denying(scope: Scope, send: Send) -> Send:
    """Answers the opening request: by a response where the server can, else by closing."""
    replies = _REPLY in (scope.get("extensions") or {})
    code = b""

    async def deny(message: Message) -> None:
        nonlocal code
        if replies:
            await send({**message, "type": message["type"].replace("http.response", _REPLY)})
        elif message["type"] == "http.response.start":
            code = dict(message["headers"]).get(b"x-guardrail-code", b"refused")
        elif not message.get("more_body", False):
            await send({"type": "websocket.close", "code": 1008, "reason": code.decode("ascii")})

    return deny


async def refuse_socket(scope: Scope, receive: Receive, send: Send, *, message: str) -> None:
    """Refuses a WebSocket before it opens, where nothing is to be decided or recorded."""
    await receive()  # websocket.connect
    code = "websocket_not_inspected"
    told = Told(status=403, code=code, message=message, exchange=new_id())
    content_type, body = render_error(protocol_at(scope["path"]).errors, told)
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-guardrail-code", code.encode()),
    ]
    deny = _denying(scope, send)
    await deny({"type": "http.response.start", "status": 403, "headers": headers})
    await deny({"type": "http.response.body", "body": body})


def _protected(scope: Scope, forward: Forward) -> Scope:
    prefix = PREFIX.encode()
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if not name.lower().startswith(prefix)
        and not is_mirrored(name)
        and name.lower() not in forward.replaced
    ]
    extensions = scope.get("extensions") or {}
    return {
        **scope,
        "headers": headers + list(forward.headers),
        "query_string": forward.query,
        "extensions": {k: v for k, v in extensions.items() if k == _REPLY},
    }


class HungUp(OSError):
    """The app says something on a connection that is closed."""


@dataclass(slots=True)
class _Socket:
    """One connection between a client and the wrapped app."""

    built: Built
    session: Session
    performer: Performer
    client: Receive
    answer: Send
    connected: bool = False
    gone: bool = False
    hung_up: int = 0
    opened_at: float = field(default_factory=anyio.current_time)
    last_at: float = field(default_factory=anyio.current_time)
    delivered: deque[Message] = field(default_factory=deque)
    speaking: anyio.Lock = field(default_factory=anyio.Lock)
    deciding: anyio.Lock = field(default_factory=anyio.Lock)

    # what the app gets

    async def receive(self) -> Message:
        """The next message for the app: one that may reach it, or that the client is gone."""
        if not self.connected:
            self.connected = True
            return {"type": "websocket.connect"}
        while not self.delivered:
            if self.hung_up:
                return {"type": "websocket.disconnect", "code": self.hung_up, "reason": ""}
            message = await self._next()
            if message is None:
                continue
            if message["type"] == "websocket.disconnect":
                self.gone = True
                await self.perform(Gone("client_gone", status=message.get("code") or 1005))
                return message
            if message["type"] == "websocket.receive":
                self.last_at = anyio.current_time()
                text = message.get("text")
                data = text.encode("utf-8", "surrogatepass") if text is not None else b""
                binary = text is None
                if binary:
                    data = message.get("bytes") or b""
                await self.perform(ClientFrame(data=data, binary=binary))
        return self.delivered.popleft()

    async def _next(self) -> Message | None:
        """What the client sends next; None when the connection has lasted too long instead."""
        limits = self.built.config.limits
        idle = self.last_at + limits.socket_idle_s
        over = self.opened_at + limits.socket_open_s
        with anyio.CancelScope(deadline=min(idle, over)):
            return await self.client()
        if self.last_at + limits.socket_idle_s <= anyio.current_time() or over <= idle:
            reason = "open for too long" if over <= idle else "nothing was said for too long"
            await self.perform(ServerLeft(code=1001, reason=reason))
        return None

    # what the app says

    async def send(self, message: Message) -> None:
        """Takes a message of the app; the client gets of it what it may."""
        kind = message["type"]
        if kind.startswith(_REPLY):
            await self._reply(kind, message)
            return
        if self.session.state is State.CLOSED:
            raise HungUp("the connection is closed")
        if kind == "websocket.accept":
            headers = tuple((k.lower(), v) for k, v in message.get("headers", ()))
            accepted = ServerAccepted(subprotocol=message.get("subprotocol"), headers=headers)
            await self.perform(accepted)
        elif kind == "websocket.send":
            self.last_at = anyio.current_time()
            text = message.get("text")
            data = text.encode("utf-8", "surrogatepass") if text is not None else message["bytes"]
            await self.perform(ServerFrame(data=data, binary=text is None))
        elif kind == "websocket.close":
            code, reason = message.get("code", 1000), message.get("reason") or ""
            await self.perform(ServerLeft(code=code, reason=reason))
        else:
            raise RuntimeError(f"guardrail does not know the message {kind!r}")

    async def _reply(self, kind: str, message: Message) -> None:
        """The app answers the opening request with something else than a connection."""
        feed = self.performer.feed
        if kind == f"{_REPLY}.start":
            headers = tuple((k.lower(), v) for k, v in message.get("headers", ()))
            await feed(ResponseStarted(status=message["status"], headers=headers))
        elif kind == f"{_REPLY}.body":
            if message.get("body"):
                await feed(ChunkReceived(bytes(message["body"])))
            if not message.get("more_body", False):
                await feed(ResponseEnded())

    # performing

    async def perform(self, event: Event) -> None:
        """Does what an event leads to, in order."""
        if isinstance(event, ClientFrame):
            await self._perform(await self._advance(event))
            return
        async with self.speaking:  # frames of the app keep their order, whoever sends them
            await self._perform(await self._advance(event))

    async def _advance(self, event: Event) -> deque[Command]:
        """What an event leads to. The two directions take turns; the event loop waits for none.

        Once a frame has been taken it is decided, also for one who does not wait any more.
        """
        commands: deque[Command] = deque()
        with anyio.CancelScope(shield=True):
            async with self.deciding:
                commands += await advance_session_async(self.built, self.session, event)
        return commands

    async def _perform(self, commands: deque[Command]) -> None:
        while commands:
            match commands.popleft():
                case Record() as record:
                    try:
                        with anyio.CancelScope(shield=self.session.state is State.CLOSED):
                            await self.built.audit.record(record.event)
                    except Exception:  # whatever keeps the log from being written
                        commands = await self._advance(RecordFailed())
                case Accept() as accept:
                    await self.answer(
                        {
                            "type": "websocket.accept",
                            "subprotocol": accept.subprotocol,
                            "headers": list(accept.headers),
                        }
                    )
                case Deliver() as deliver:
                    self.delivered.append(
                        _message("websocket.receive", deliver.data, binary=deliver.binary)
                    )
                case Tell() as tell:
                    if not (self.gone or self.hung_up):
                        message = _message("websocket.send", tell.data, binary=tell.binary)
                        await self.answer(message)
                case HangUp() as hang_up:
                    self.hung_up = hang_up.code
                    if not self.gone:
                        await self.answer(
                            {
                                "type": "websocket.close",
                                "code": hang_up.code,
                                "reason": hang_up.reason,
                            }
                        )


def _message(kind: str, data: bytes, *, binary: bool) -> Message:
    if binary:
        return {"type": kind, "bytes": data}
    return {"type": kind, "text": data.decode("utf-8", "surrogatepass")}
