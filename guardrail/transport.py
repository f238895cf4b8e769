"""Guardrail inside a provider's SDK: an httpx transport that guards what the SDK sends.

    client = OpenAI(http_client=httpx.Client(transport=GuardrailTransport(built, app="crm")))

SDKs are split over `httpx` and its successor `httpx2`, which have the same shape; `transports`
makes the pair of classes for either module.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import httpx

from guardrail.config import Built
from guardrail.context import PREFIX
from guardrail.exchange import (
    ChunkReceived,
    Close,
    Door,
    Emit,
    Event,
    Exchange,
    Forward,
    Headers,
    Keep,
    PeerGone,
    Record,
    RecordFailed,
    Reply,
    RequestReceived,
    RequestRefused,
    ResponseEnded,
    ResponseStarted,
    Start,
    UpstreamFailed,
)
from guardrail.opening import advance_async, keep, keep_async, open_exchange, prove_thread
from guardrail.protocols.maps import GENERIC, protocol_at
from guardrail.protocols.mirrored import is_mirrored
from guardrail.routing.routes import Route

_REPLACED = frozenset(
    {"host", "content-length", "content-encoding", "transfer-encoding", "accept-encoding"}
)

_DIVERTED = frozenset({"content-type", "accept", "user-agent"})
"""Headers that go along to the local model; the rest was meant for the endpoint of the address."""

_MECHANICAL = _REPLACED | frozenset(
    (
        "authorization api-key x-api-key x-goog-api-key accept accept-language connection "
        "content-type user-agent openai-organization openai-project anthropic-version "
        "anthropic-beta x-stainless-lang x-stainless-package-version x-stainless-os "
        "x-stainless-arch x-stainless-runtime x-stainless-runtime-version x-stainless-async "
        "x-stainless-retry-count x-stainless-read-timeout x-stainless-raw-response "
        "x-stainless-helper-method idempotency-key x-amz-date x-amz-security-token "
        "x-amz-content-sha256 amz-sdk-invocation-id amz-sdk-request x-amzn-trace-id"
    ).split()
)
"""Headers that SDKs make of themselves, and credentials for the endpoint."""

_UNKNOWN = RequestRefused(
    status=403,
    code="unknown_endpoint",
    message="no endpoint is configured at this address; set endpoints.<id>.url to its base URL",
)


class _Outgoing:
    """What both transports share: opening an exchange, and a request that may leave."""

    def __init__(self, built: Built, app: str) -> None:
        self.built = built
        self.app = built.apps[app]

    def open(self, request: Any) -> tuple[Exchange, Route | None, RequestRefused | None]:
        """Gives the exchange, the route behind the request's address, and why it is refused."""
        prove_thread(self.built)
        target = self._target(str(request.url))
        path = _known_path(request.url.path)
        headers = tuple((k.lower(), v) for k, v in request.headers.raw)
        exchange, refusal = open_exchange(
            self.built, door=Door.TRANSPORT, app=self.app, headers=headers, path=path, target=target
        )
        return exchange, target, refusal if target else replace(_UNKNOWN, path=path)

    def _target(self, url: str) -> Route | None:
        """The endpoint with the longest base URL that the address begins with."""
        path = httpx.URL(url).raw_path.partition(b"?")[0].lower()
        if b"/." in path or b"%2e" in path or b"%2f" in path or b"\\" in path:
            return None
        matching = [
            (len(base), route)
            for route in self.built.deployment.routes
            if (base := self.built.upstreams[route.endpoint.id].url)
            and (url == base or url.startswith((base + "/", base + "?")))
        ]
        return max(matching, key=lambda found: found[0])[1] if matching else None

    def received(self, request: Any, target: Route, body: bytes) -> RequestReceived:
        """The request as an event; its path is what follows the endpoint's base URL."""
        base = httpx.URL(self.built.upstreams[target.endpoint.id].url).path.rstrip("/")
        path = request.url.path.removeprefix(base)
        spoken = (
            value
            for name, value in request.headers.multi_items()
            if name.lower() not in _MECHANICAL and not self._treats(name)
        )
        return RequestReceived(
            method=request.method,
            path=path,
            query=request.url.query,
            headers=tuple((k.lower(), v) for k, v in request.headers.raw),
            body=body,
            envelope=(*filter(None, path.split("/")), *spoken),
        )

    def _treats(self, name: str) -> bool:
        raw = name.lower().encode()
        return is_mirrored(raw) or raw in self.built.deployment.headers

    def onward(self, hx: Any, request: Any, target: Route, forward: Forward) -> Any:
        """The request as it may leave: to its address, or to the local model when diverted."""
        upstream = self.built.upstreams[target.endpoint.id]
        suffix = str(request.url.copy_with(query=None)).removeprefix(upstream.url)
        headers = [
            (k, v)
            for k, v in request.headers.multi_items()
            if (k.lower() not in _REPLACED or k.lower().encode() in forward.sealed)
            and not k.lower().startswith(PREFIX)
            and (not forward.diverted or k.lower() in _DIVERTED)
            and k.lower().encode() not in forward.replaced
        ]
        headers += [(k.decode(), v.decode()) for k, v in forward.headers]
        if b"accept-encoding" not in forward.sealed:
            headers.append(("accept-encoding", "identity"))
        if forward.diverted and forward.route:
            upstream = self.built.upstreams[forward.route.endpoint.id]
            if upstream.key:
                headers.append(("authorization", f"Bearer {upstream.key.get_secret_value()}"))
        query = f"?{forward.query.decode('ascii')}" if forward.query else ""
        return hx.Request(
            request.method,
            f"{upstream.url}{suffix}{query}",
            headers=headers,
            content=forward.body or None,
            extensions=request.extensions,
        )


def _known_path(path: str) -> str:
    """The path of a known protocol that an address ends with, so that a refusal speaks it."""
    starts = (at for at, character in enumerate(path) if character == "/")
    ends = (path[at:] for at in starts if protocol_at(path[at:]) is not GENERIC)
    return next(ends, "")


class _Collected:
    """What an exchange tells the client so far: a status, headers, and bytes to hand over."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = ()
        self.data: deque[bytes] = deque()
        self.closed = False
        self.aborted = False

    def take(self, command: Any) -> None:
        """Applies a command that speaks to the client."""
        match command:
            case Reply():
                self.status, self.headers = command.status, command.headers
                self.data.append(command.body)
            case Start():
                self.status, self.headers = command.status, command.headers
            case Emit():
                self.data.append(command.data)
            case Close():
                self.closed, self.aborted = True, command.aborted


def _feed(built: Built, exchange: Exchange, event: Event, said: _Collected) -> Forward | None:
    """Performs what an event leads to; gives the request to send on when it comes to that."""
    commands = deque(exchange.receive(event))
    while commands:
        command = commands.popleft()
        if isinstance(command, Forward):
            return command
        if isinstance(command, Record):
            try:
                built.audit.record_blocking(command.event)
            except Exception:  # whatever keeps the log from being written
                commands = deque(exchange.receive(RecordFailed()))
        elif isinstance(command, Keep):
            keep(built, command)
        else:
            said.take(command)
    return None


async def _feed_async(
    built: Built, exchange: Exchange, event: Event, said: _Collected
) -> Forward | None:
    """`_feed` without blocking the event loop."""
    commands = deque(await advance_async(built, exchange, event))
    while commands:
        command = commands.popleft()
        if isinstance(command, Forward):
            return command
        if isinstance(command, Record):
            try:
                await built.audit.record(command.event)
            except Exception:  # whatever keeps the log from being written
                commands = deque(exchange.receive(RecordFailed()))
        elif isinstance(command, Keep):
            await keep_async(built, command)
        else:
            said.take(command)
    return None


def transports(module: ModuleType) -> tuple[type[Any], type[Any]]:
    """Gives the (sync, async) transport classes for `httpx`, or a module of the same shape.

    Each takes what `guardrail.config.build` gave, the app that sends, and optionally the transport
    that does the sending.
    """
    hx: Any = module

    class _Stream(hx.SyncByteStream):  # type: ignore[misc]  # the base comes from the module
        def __init__(self, built: Built, exchange: Exchange, inner: Any, said: _Collected) -> None:
            self._built, self._exchange, self._inner, self._said = built, exchange, inner, said

        def __iter__(self) -> Iterator[bytes]:
            said = self._said
            try:
                for chunk in self._inner.stream:
                    _feed(self._built, self._exchange, ChunkReceived(chunk), said)
                    while said.data:
                        yield said.data.popleft()
                    if said.closed:
                        return
                _feed(self._built, self._exchange, ResponseEnded(), said)
            except hx.TransportError:
                failed = UpstreamFailed(502, "upstream_broken")
                _feed(self._built, self._exchange, failed, said)
            while said.data:
                yield said.data.popleft()

        def close(self) -> None:
            self._inner.close()
            if not self._said.closed:
                _feed(self._built, self._exchange, PeerGone(), self._said)

    class GuardrailTransport(hx.BaseTransport):  # type: ignore[misc]  # as above
        """Guards the requests of a synchronous client."""

        def __init__(self, built: Built, *, app: str = "default", inner: Any = None) -> None:
            self._shared = _Outgoing(built, app)
            self._built = built
            self._inner = inner or hx.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            """Sends what may leave and gives the filtered answer, or a refusal as an answer."""
            exchange, target, refused = self._shared.open(request)
            said = _Collected()
            if target is None or refused:
                _feed(self._built, exchange, refused or _UNKNOWN, said)
                return _response(hx, said)
            event = self._shared.received(request, target, request.read())
            forward = _feed(self._built, exchange, event, said)
            if forward is None:
                return _response(hx, said)
            onward = self._shared.onward(hx, request, target, forward)
            try:
                answer = self._inner.handle_request(onward)
            except hx.TransportError:
                _feed(self._built, exchange, PeerGone("upstream_unreachable"), said)
                raise
            _feed(self._built, exchange, _started(answer), said)
            stream = _Stream(self._built, exchange, answer, said)
            if said.status:
                return _response(hx, said, stream=stream)
            content = b"".join(stream)
            stream.close()
            return _response(hx, said, content=content)

        def close(self) -> None:
            """Closes the transport that does the sending."""
            self._inner.close()

    class _AsyncStream(hx.AsyncByteStream):  # type: ignore[misc]  # as above
        def __init__(self, built: Built, exchange: Exchange, inner: Any, said: _Collected) -> None:
            self._built, self._exchange, self._inner, self._said = built, exchange, inner, said

        async def __aiter__(self) -> AsyncIterator[bytes]:
            said = self._said
            try:
                async for chunk in self._inner.stream:
                    await _feed_async(self._built, self._exchange, ChunkReceived(chunk), said)
                    while said.data:
                        yield said.data.popleft()
                    if said.closed:
                        return
                await _feed_async(self._built, self._exchange, ResponseEnded(), said)
            except hx.TransportError:
                failed = UpstreamFailed(502, "upstream_broken")
                await _feed_async(self._built, self._exchange, failed, said)
            while said.data:
                yield said.data.popleft()

        async def aclose(self) -> None:
            await self._inner.aclose()
            if not self._said.closed:
                await _feed_async(self._built, self._exchange, PeerGone(), self._said)

    class AsyncGuardrailTransport(hx.AsyncBaseTransport):  # type: ignore[misc]  # as above
        """Guards the requests of an asynchronous client."""

        def __init__(self, built: Built, *, app: str = "default", inner: Any = None) -> None:
            self._shared = _Outgoing(built, app)
            self._built = built
            self._inner = inner or hx.AsyncHTTPTransport()

        async def handle_async_request(self, request: Any) -> Any:
            """Sends what may leave and gives the filtered answer, or a refusal as an answer."""
            exchange, target, refused = self._shared.open(request)
            said = _Collected()
            if target is None or refused:
                await _feed_async(self._built, exchange, refused or _UNKNOWN, said)
                return _response(hx, said)
            event = self._shared.received(request, target, await request.aread())
            forward = await _feed_async(self._built, exchange, event, said)
            if forward is None:
                return _response(hx, said)
            onward = self._shared.onward(hx, request, target, forward)
            try:
                answer = await self._inner.handle_async_request(onward)
            except hx.TransportError:
                await _feed_async(self._built, exchange, PeerGone("upstream_unreachable"), said)
                raise
            await _feed_async(self._built, exchange, _started(answer), said)
            stream = _AsyncStream(self._built, exchange, answer, said)
            if said.status:
                return _response(hx, said, stream=stream)
            content = b"".join([chunk async for chunk in stream])
            await stream.aclose()
            return _response(hx, said, content=content)

        async def aclose(self) -> None:
            """Closes the transport that does the sending."""
            await self._inner.aclose()

    return GuardrailTransport, AsyncGuardrailTransport


def _started(answer: Any) -> ResponseStarted:
    headers = tuple((k.lower(), v) for k, v in answer.headers.raw)
    return ResponseStarted(status=answer.status_code, headers=headers)


def _response(
    hx: Any, said: _Collected, *, content: bytes | None = None, stream: Any = None
) -> Any:
    if stream is not None:
        return hx.Response(said.status, headers=list(said.headers), stream=stream)
    if content is None:
        content = b"".join(said.data)
    return hx.Response(said.status, headers=list(said.headers), content=content)


if TYPE_CHECKING:

    class GuardrailTransport(httpx.BaseTransport):
        """Guards the requests of a synchronous `httpx` client."""

        def __init__(
            self, built: Built, *, app: str = "default", inner: httpx.BaseTransport | None = None
        ) -> None: ...

    class AsyncGuardrailTransport(httpx.AsyncBaseTransport):
        """Guards the requests of an asynchronous `httpx` client."""

        def __init__(
            self,
            built: Built,
            *,
            app: str = "default",
            inner: httpx.AsyncBaseTransport | None = None,
        ) -> None: ...
else:
    GuardrailTransport, AsyncGuardrailTransport = transports(httpx)
