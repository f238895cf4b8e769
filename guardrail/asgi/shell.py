"""What the ASGI shells share: reading a request, and performing an exchange's commands in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from starlette.types import Message, Receive, Scope, Send

from guardrail.config import Built
from guardrail.errors import GuardrailError
from guardrail.exchange import (
    Close,
    Emit,
    Event,
    Exchange,
    Forward,
    Headers,
    Hint,
    Keep,
    Record,
    RecordFailed,
    Reply,
    RequestReceived,
    RequestRefused,
    Start,
)
from guardrail.opening import advance_async, keep_async


class Gone(Exception):
    """The client disconnected before its request was complete."""


def lowered(scope: Scope) -> Headers:
    """The headers of a request, their names in lower case."""
    return tuple((k.lower(), v) for k, v in scope["headers"])


class Budget:
    """The bytes that all requests of a shell may hold at once, so that memory has an end."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Gives a request's share, and takes it back when the request is over."""
        share = Share(self)
        try:
            yield share
        finally:
            self._left += share.held

    def take(self, size: int) -> bool:
        """Takes so many bytes, if there are as many left."""
        if size > self._left:
            return False
        self._left -= size
        return True


@dataclass(slots=True)
class Share:
    """What one request holds of a budget."""

    budget: Budget
    held: int = 0

    def grow(self, size: int) -> bool:
        """Takes so many bytes more, if there are as many left."""
        taken = self.budget.take(size)
        self.held += size if taken else 0
        return taken


_HEADER_BYTES = 64 * 1024
"""Of all header names and values together; servers mostly take less."""


async def read_request(
    scope: Scope, receive: Receive, *, limit: int, timeout_s: float, share: Share
) -> RequestReceived | RequestRefused:
    """Gives the whole request, or why it must be refused.

    Raises:
        Gone: the client disconnected.
    """
    path: str = scope["path"]
    headers = lowered(scope)
    busy = RequestRefused(
        status=503,
        code="guardrail_busy",
        message="too many bytes of requests are being read at once; try again",
        path=path,
    )
    if sum(len(name) + len(value) for name, value in headers) > _HEADER_BYTES:
        return RequestRefused(
            status=431,
            code="headers_too_large",
            message=f"the headers are larger than {_HEADER_BYTES} bytes",
            path=path,
        )
    too_large = RequestRefused(
        status=413,
        code="body_too_large",
        message=f"the body is larger than {limit} bytes",
        path=path,
    )
    for name, value in headers:
        if name == b"content-length" and (not value.isdigit() or len(value) > 15):
            return RequestRefused(
                status=400,
                code="ambiguous_header",
                message="the content-length header is not a number",
                path=path,
            )
        if name == b"content-length" and int(value) > limit:
            return too_large
    parts: list[bytes] = []
    size = 0
    with anyio.move_on_after(timeout_s):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                return too_large
            if not share.grow(len(part)):
                return busy
            parts.append(part)
            if not message.get("more_body", False):
                return RequestReceived(
                    method=scope["method"],
                    path=path,
                    query=scope.get("query_string", b""),
                    headers=headers,
                    body=b"".join(parts),
                )
    return RequestRefused(
        status=408,
        code="request_timeout",
        message=f"the request did not arrive within {timeout_s:g} seconds",
        path=path,
    )


class Torn(GuardrailError):
    """The answer broke off after it had begun; the server must close the connection."""


class Performer:
    """Performs the commands of one exchange towards one client."""

    def __init__(self, built: Built, exchange: Exchange, send: Send) -> None:
        self._built = built
        self._exchange = exchange
        self._send = send
        self.started = False
        self.closed = False
        self.aborted = False
        self.torn = False
        self.gone = False

    async def feed(self, event: Event) -> Forward | None:
        """Performs what an event leads to; gives the request to forward when it comes to that."""
        commands = deque(await advance_async(self._built, self._exchange, event))
        while commands:
            command = commands.popleft()
            match command:
                case Record():
                    try:
                        await self._built.audit.record(command.event)
                    except Exception:  # whatever keeps the log from being written
                        commands = deque(self._exchange.receive(RecordFailed()))
                case Forward():
                    return command
                case Reply():
                    await self._start(command.status, command.headers)
                    await self._body(command.body, more=False)
                case Hint():
                    await self._tell(
                        {"type": "http.response.early_hint", "links": list(command.links)}
                    )
                case Start():
                    await self._start(command.status, command.headers)
                case Emit():
                    await self._body(command.data, more=True)
                case Keep():
                    await keep_async(self._built, command)
                case Close():
                    self.aborted = command.aborted
                    self.torn = self.started and command.aborted and not command.explained
                    if self.started and not self.closed and not self.torn:
                        await self._body(b"", more=False)
                    self.closed = True
        return None

    async def _start(self, status: int, headers: Headers) -> None:
        self.started = True
        await self._tell(
            {"type": "http.response.start", "status": status, "headers": list(headers)}
        )

    async def _body(self, data: bytes, *, more: bool) -> None:
        if self.closed:
            return
        self.closed = not more
        message: Message = {"type": "http.response.body", "body": data, "more_body": more}
        await self._tell(message)

    async def _tell(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # as a server says it: the client is not there any more
            self.gone = True
            raise
