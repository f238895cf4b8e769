"""Guardrail around an ASGI app: `app = Guardrail(app, "guardrail.toml")`.

Pure ASGI, as Starlette advises: the app runs in the same task, sees a request that holds only what
may leave, and whatever it sends is filtered before the client gets it. Put it inside a GZip
middleware and outside the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.asgi.shell import (
    Budget,
    Gone,
    Performer,
    Share,
    Torn,
    lowered,
    read_request,
)
from guardrail.asgi.websocket import guard_socket
from guardrail.config import Built, Config, build, load_config
from guardrail.context import PREFIX
from guardrail.errors import ConfigError
from guardrail.exchange import (
    AppFailed,
    ChunkReceived,
    Door,
    EarlyHint,
    Forward,
    PeerGone,
    RequestReceived,
    RequestRefused,
    ResponseEnded,
    ResponseStarted,
    UpstreamFailed,
)
from guardrail.opening import open_exchange

_MARK = "guardrail"
"""Key in the scope by which an inner guardrail sees that an outer one has done its work."""

_REPLACED = frozenset(
    b"content-length content-encoding transfer-encoding content-md5 digest content-digest "
    b"accept-encoding range if-range expect".split()
)
"""Request headers about bytes that are not the ones the app gets, or that defeat rewriting."""

_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
"""What makes an answer empty, where the client has an older one."""

_CHANGES = frozenset({"PUT", "PATCH", "DELETE"})
"""Methods of which a condition says whether they may be performed at all: it has to stay."""

_BYPASSES = frozenset(
    f"http.response.{name}" for name in ("pathsend", "zerocopysend", "trailers", "push")
)
"""Server extensions by which an app could answer past the filter."""

_LAST_WORDS_S = 5.0
"""What a client has to take the news that the app failed."""


class Guardrail:
    """ASGI middleware that guards every request that carries text and every answer.

    `config` is a path, a mapping of the same shape, a `Config`, or what `build` gave (which the
    caller then closes). Everything wrong with it raises `ConfigError` here, before the app starts.
    """

    def __init__(
        self, app: ASGIApp, config: Path | str | Mapping[str, Any] | Config | Built
    ) -> None:
        self._app = app
        self._owned = not isinstance(config, Built)
        if isinstance(config, Built):
            self._built = config
        else:
            self._built = build(config if isinstance(config, Config) else load_config(config))
        name = self._built.config.middleware.app
        if name not in self._built.apps:
            self.close()
            raise ConfigError([f"middleware.app: there is no [apps.{name}]"])
        self._caller = self._built.apps[name]
        self._budget = Budget(self._built.config.limits.inflight_bytes)

    def close(self) -> None:
        """Closes the audit log, if this middleware opened it."""
        if self._owned:
            self._built.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if _MARK in scope:
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "websocket":
            if self._is_unguarded(scope["path"]):
                await self._app(scope, receive, send)
                return
            await guard_socket(
                self._app,
                self._built,
                caller=self._caller,
                scope={**scope, _MARK: True},
                receive=receive,
                send=send,
            )
        elif scope["type"] != "http":
            raise RuntimeError(f"guardrail does not know the scope type {scope['type']!r}")
        elif self._is_unguarded(scope["path"]):
            await self._app(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                self.close()
            await send(message)

        await self._app(scope, receive, watch)

    def _is_unguarded(self, path: str) -> bool:
        """Exact paths, or all below one that ends in `/*`; a path with dots or doubles is not."""
        if "//" in path or "/." in path or "\\" in path or "%" in path or ";" in path:
            return False
        return any(
            path == pattern or (pattern.endswith("/*") and path.startswith(pattern[:-1]))
            for pattern in self._built.config.middleware.unguarded
        )

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._budget.share() as share:
            await self._exchange(scope, receive, send, share)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send, share: Share) -> None:
        limits = self._built.config.limits
        exchange, refusal = open_exchange(
            self._built,
            door=Door.MIDDLEWARE,
            app=self._caller,
            headers=lowered(scope),
            path=scope["path"],
        )
        performer = Performer(self._built, exchange, send)
        request: RequestReceived | RequestRefused
        if refusal:
            request = refusal
        else:
            try:
                request = await read_request(
                    scope,
                    receive,
                    limit=limits.request_bytes,
                    timeout_s=limits.read_timeout_s,
                    share=share,
                )
            except Gone:
                return
        if isinstance(request, RequestReceived):
            segments = tuple(filter(None, scope["path"].split("/")))
            request = replace(request, envelope=segments)
        forward = await performer.feed(request)
        if forward is not None:
            await self._forward(forward, scope, receive, send, performer)

    async def _forward(
        self, forward: Forward, scope: Scope, receive: Receive, send: Send, performer: Performer
    ) -> None:
        delivered = gone = False

        async def receive_protected() -> Message:
            nonlocal delivered, gone
            if not delivered:
                delivered = True
                return {"type": "http.request", "body": forward.body, "more_body": False}
            message = await receive()
            gone = gone or message["type"] == "http.disconnect"
            return message

        async def filter_answer(message: Message) -> None:
            if performer.closed:
                return
            kind = message["type"]
            if kind == "http.response.start":
                headers = tuple((k.lower(), v) for k, v in message.get("headers", ()))
                await performer.feed(ResponseStarted(status=message["status"], headers=headers))
            elif kind == "http.response.body":
                if message.get("body"):
                    await performer.feed(ChunkReceived(bytes(message["body"])))
                if not message.get("more_body", False):
                    await performer.feed(ResponseEnded())
            elif kind == "http.response.early_hint":
                await performer.feed(EarlyHint(tuple(message.get("links", ()))))
            elif kind == "http.response.debug":
                await send(message)  # which no server knows: it tells a test what was rendered
            else:
                await performer.feed(UpstreamFailed(502, "upstream_uninspectable"))
            if performer.aborted:
                stop.cancel()

        with anyio.CancelScope() as stop:
            try:
                await self._app(_protected(scope, forward), receive_protected, filter_answer)
            except BaseException as error:
                gone = gone or performer.gone
                if performer.closed:
                    pass
                elif isinstance(error, Exception) and not gone:
                    with anyio.move_on_after(_LAST_WORDS_S, shield=True), suppress(OSError):
                        await performer.feed(AppFailed())
                else:
                    with anyio.CancelScope(shield=True):
                        await performer.feed(PeerGone("client_gone" if gone else "app_failed"))
                raise
        if not performer.closed:
            broken = UpstreamFailed(502, "upstream_broken")
            await performer.feed(PeerGone() if gone else broken)
        if performer.torn and not gone:
            raise Torn("the answer broke off")


def _protected(scope: Scope, forward: Forward) -> Scope:
    prefix = PREFIX.encode()
    dropped = _REPLACED if scope["method"] in _CHANGES else _REPLACED | _CONDITIONS
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if (name.lower() not in dropped or name.lower() in forward.sealed)
        and not name.lower().startswith(prefix)
    ]
    headers = [(k, v) for k, v in headers if k.lower() not in forward.replaced]
    headers += forward.headers
    if b"accept-encoding" not in forward.sealed:
        headers.append((b"accept-encoding", b"identity"))
    if forward.body or scope["method"] in ("POST", "PUT", "PATCH"):
        headers.append((b"content-length", str(len(forward.body)).encode()))
    extensions = scope.get("extensions") or {}
    return {
        **scope,
        _MARK: True,
        "headers": headers,
        "query_string": forward.query,
        "extensions": {k: v for k, v in extensions.items() if k not in _BYPASSES},
    }
