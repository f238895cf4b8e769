"""One WebSocket as a state machine: frames in, commands out; no socket, clock or file in here.

Each frame of the client is a request of its own, in one conversation: an `Exchange` decides it, by
the policies that are in force when it comes. The frames of the server are one stream that is
filtered as long as the connection lasts: each text by the policies that let the last frame leave
before it began. As with an exchange, a `Record` has to be durable before the next command is
performed; else the shell drops the commands that follow it and feeds `RecordFailed`.

    opening ──ServerAccepted──▶ open ──ServerLeft, ClientLeft, a refused answer──▶ closed
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from threading import Lock
from typing import Any

from guardrail.answers.frames import FramesAnswer
from guardrail.errors import GuardrailError, Refusal, Unavailable
from guardrail.exchange import (
    Deployment,
    Door,
    Exchange,
    Forward,
    Headers,
    Record,
    RecordFailed,
    Reply,
    RequestReceived,
    RequestRefused,
)
from guardrail.guard import Blocked, Filter, build_filter
from guardrail.policy.loader import PolicyStore
from guardrail.policy.questions import day
from guardrail.protocols.bodies import BINARY
from guardrail.protocols.content import read_text
from guardrail.protocols.errors import Told, render_frame_error
from guardrail.protocols.maps import Protocol
from guardrail.protocols.streams import socket_at
from guardrail.transform.vault import Vault
from guardrail.types import AuditEvent, Endpoint, RequestContext

# ── events ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFrame:
    """A message of the client. The bytes of a text are UTF-8."""

    data: bytes = field(repr=False)
    binary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFrame:
    """A message of the server. The bytes of a text are UTF-8."""

    data: bytes = field(repr=False)
    binary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccepted:
    """The server takes the connection; header names are lower-case."""

    subprotocol: str | None = field(default=None, repr=False)
    headers: Headers = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLeft:
    """The server closes the connection, in order."""

    code: int = 1000
    reason: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Gone:
    """Nobody is there any more on one side: `client_gone`, `app_failed`; `status` closed it."""

    code: str
    status: int = 1006


Event = (
    ClientFrame | ServerFrame | ServerAccepted | ServerLeft | Gone | RequestRefused | RecordFailed
)

# ── commands ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """Tell the client that the connection is open."""

    subprotocol: str | None = field(repr=False)
    headers: Headers = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Hand this message to the server."""

    data: bytes = field(repr=False)
    binary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Send this message to the client."""

    data: bytes = field(repr=False)
    binary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp:
    """Close the connection with the client. Only the outcome's `Record` may follow."""

    code: int
    reason: str


Command = Record | Accept | Deliver | Tell | HangUp


class State(Enum):
    """Where a session stands."""

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


POLICY, TOO_LARGE, FAILED = 1008, 1009, 1011
"""Close codes. Source: RFC 6455, section 7.4.1, and the IANA registry of close codes."""

_CLOSING: Mapping[str, int] = {"upstream_too_large": TOO_LARGE, "answer_not_streamable": POLICY}
"""How a connection is closed whose answer is refused, where it is not that it failed."""

_MOST_REFUSED = 100
"""Frames that may be refused in a row: a client that goes on does not read what it is told."""

_LONGEST_REASON = 123
"""Bytes that a close frame has room for. Source: RFC 6455, section 5.5."""

_OTHER_ENDPOINT = "this connection was opened for another endpoint; open a new one for this model"


def _refused(refusal: Refusal, path: str) -> RequestRefused:
    return RequestRefused(
        status=refusal.status, code=refusal.code, message=refusal.message, path=path
    )


class Session:
    """One WebSocket, once its opening request was let through by the exchange `opening`.

    `deployment` decides the opening request, and each frame of the client what `in_force` gives
    then, which is asked once. `protocol` is what the frames speak; `vault` is that of the context's
    conversation.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        in_force: Callable[[], Deployment],
        path: str,
        protocol: Protocol,
        context: RequestContext,
        vault: Vault,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._in_force = in_force
        self._deployment = deployment
        self._path = path
        self._protocol = protocol
        self._stream = socket_at(path, protocol)
        self._context = context
        self._vault = vault
        self._clock = clock
        self._new_id = new_id
        self._injected = False
        self.opening = self._exchange(Door.MIDDLEWARE, self._deployment)
        self._decided = self.opening  # by it the policies of what the server says are known
        self._before: dict[str, _Past] = {}
        self._state = State.OPENING
        self._alone = Lock()
        self._endpoint: Endpoint | None = None
        self._frame: Exchange | None = None
        self._binary = False
        self._filter: Filter | None = None
        self._filters: list[Filter] = []  # all by the same policies: each counts what it masks
        self._day = 0
        self._answer: FramesAnswer | None = None
        self._refused = 0
        self._bytes_in = 0
        self._bytes_out = 0

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def policies(self) -> PolicyStore:
        """The policies by which what the server says is filtered."""
        return self._deployment.guard.policies

    def is_slow(self, event: Event) -> bool:
        """Whether an event takes too long to be handled on an event loop.

        That is what the server says where names are looked for in it, or may be. Whoever is
        cancelled may leave a thread behind that is not done: it is not waited for there, either.
        """
        said = isinstance(event, ServerAccepted | ServerFrame | ServerLeft)
        slow = said and (self._filter is None or self._filter.slow)
        return slow or self._alone.locked()

    def receive(self, event: Event) -> list[Command]:
        """Gives what has to be done about an event, in order. Never raises: a fault closes.

        Threads may share a session: one event is handled at a time.
        """
        with self._alone:
            handler = _TABLE.get((self._state, type(event)))
            if handler is None:
                return []
            try:
                return list(handler(self, event))
            except Exception as error:
                return list(self._break(error))

    def _exchange(self, door: Door, deployment: Deployment) -> Exchange:
        opened = door is Door.SOCKET
        return Exchange(
            deployment,
            door=door,
            context=self._context,
            vault=self._vault,
            clock=self._clock,
            new_id=self._new_id,
            models=self.opening.models if opened else frozenset(),
            made=self._answer.made if opened and self._answer else (),
            injected=self._injected,
            stream=None if opened else self._stream,
        )

    # what the client says

    def _on_client(self, event: ClientFrame) -> Sequence[Command]:
        self._bytes_in += len(event.data)
        self._binary = event.binary
        request = RequestReceived(
            path=self._path,
            headers=((b"content-type", self._kind_of(event).encode()),),
            body=event.data,
        )
        return self._decide(request)

    def _kind_of(self, event: ClientFrame) -> str:
        if event.binary and read_text(event.data) is None:
            return BINARY
        return "application/json" if self._protocol.declares else "text/plain"

    def _decide(self, event: RequestReceived | RequestRefused) -> Sequence[Command]:
        asks = isinstance(event, RequestReceived)
        deployment = self._in_force() if asks else self._deployment
        self._context = replace(self._context, now=self._clock())
        self._frame = frame = self._exchange(Door.SOCKET, deployment)
        commands = frame.receive(event)
        if any(isinstance(command, Forward) for command in commands):
            try:
                self._follow(frame, deployment)
            except Refusal as refusal:
                commands = frame.receive(_refused(refusal, self._path))
        return self._translated(commands)

    def _follow(self, frame: Exchange, deployment: Deployment) -> None:
        """Filters what the server says by what is known since a frame that leaves.

        Raises Refusal where such a frame must not leave on this connection.
        """
        if frame.route is None:
            return
        endpoint = frame.route.endpoint
        if self._endpoint is not None and endpoint.id != self._endpoint.id:
            raise Refusal(400, "endpoint_changed", _OTHER_ENDPOINT)
        changed = deployment is not self._deployment or day(self._context.now) != self._day
        if self._filter is None or changed or (frame.injected and not self._injected):
            outgoing = self._outgoing(deployment, endpoint, injected=frame.injected)
            self._turn_to(frame, deployment)
            self._begin(outgoing, endpoint, injected=frame.injected)
        elif self._answer is not None:
            self._answer.forget()

    def _on_refused(self, event: RequestRefused) -> Sequence[Command]:
        return self._decide(replace(event, path=self._path))

    def _on_record_failed(self, event: RecordFailed) -> Sequence[Command]:
        return self._translated(self._frame.receive(event)) if self._frame else ()

    def _translated(self, commands: Sequence[object]) -> list[Command]:
        """An exchange's commands, as they are performed on a connection."""
        translated: list[Command] = []
        for command in commands:
            match command:
                case Record():
                    translated.append(command)
                case Forward():
                    translated.append(Deliver(data=command.body, binary=self._binary))
                    self._refused = 0
                case Reply():
                    translated += self._tell([(command.body, False)])
                    self._refused += 1
        if self._refused >= _MOST_REFUSED:
            self._state = State.CLOSED
            reason = "too_many_refused"
            translated += (HangUp(code=POLICY, reason=reason), *self._outcome(reason, POLICY))
        return translated

    # what the server says

    def _on_accepted(self, event: ServerAccepted) -> Sequence[Command]:
        self._state = State.OPEN
        if self.opening.models and self.opening.route:
            self._endpoint = self.opening.route.endpoint
        headers = tuple(
            (name, self._spoken(value.decode("latin-1")).encode("latin-1", "replace"))
            for name, value in event.headers
        )
        own = (b"x-guardrail-exchange", self._context.exchange.encode())
        subprotocol = self._spoken(event.subprotocol) if event.subprotocol else None
        return (Accept(subprotocol=subprotocol, headers=(*headers, own)),)

    def _turn_to(self, frame: Exchange, deployment: Deployment) -> None:
        """What the server says is from now on filtered by the policies that decided a frame."""
        digest = self.policies.digest
        if digest != deployment.guard.policies.digest:
            ended = self._decided.outcome(
                code="policies_changed", status=0, counts={}, sizes=(0, 0)
            )
            past = self._before.setdefault(digest, _Past(ended.event))
            past.masked += [one.masked for one in self._filters]
            self._filters, self._decided = [], frame
        self._deployment = deployment

    def _outgoing(self, deployment: Deployment, endpoint: Endpoint, *, injected: bool) -> Filter:
        """Raises Refusal where what the server says could not be masked."""
        outgoing = build_filter(
            deployment.guard,
            self._context,
            endpoint=endpoint,
            vault=self._vault,
            injected=injected,
            grows=True,
        )
        outgoing.check(self._stream)
        return outgoing

    def _likely(self) -> Endpoint:
        """The endpoint behind the connection, as far as the client has named one."""
        return self._endpoint or (self.opening.route or self._deployment.routes[0]).endpoint

    def _spoken(self, text: str) -> str:
        """A header or a reason, filtered: it can carry what a frame may not."""
        if not text:
            return text
        outgoing = self._outgoing(self._deployment, self._likely(), injected=self._injected)
        self._filters.append(outgoing)
        return outgoing.transform(text, tool="")

    def _begin(self, outgoing: Filter, endpoint: Endpoint, *, injected: bool) -> FramesAnswer:
        """The frames of the server, from now on by what is known of the client's."""
        self._filter, self._endpoint, self._injected = outgoing, endpoint, injected
        self._filters.append(outgoing)
        self._day = day(self._context.now)
        if self._answer is None:
            limit = self._deployment.limits.answer
            self._answer = FramesAnswer(protocol=self._protocol, outgoing=self._filter, limit=limit)
        else:
            self._answer.go_on(self._filter)
        return self._answer

    def _on_server(self, event: ServerFrame) -> Sequence[Command]:
        return self._tell(self._said().feed(event.data, binary=event.binary))

    def _said(self) -> FramesAnswer:
        if self._answer:
            return self._answer
        endpoint, injected = self._likely(), self._injected
        outgoing = self._outgoing(self._deployment, endpoint, injected=injected)
        return self._begin(outgoing, endpoint, injected=injected)

    def _tell(self, frames: Sequence[tuple[bytes, bool]]) -> list[Command]:
        self._bytes_out += sum(len(data) for data, _ in frames)
        return [Tell(data=data, binary=binary) for data, binary in frames]

    # the end

    def _on_left(self, event: ServerLeft) -> Sequence[Command]:
        rest = self._tell(self._answer.close()) if self._answer else []
        reason = self._spoken(event.reason)
        if len(reason.encode()) > _LONGEST_REASON:
            reason = ""
        self._state = State.CLOSED
        return (*rest, HangUp(code=event.code, reason=reason), *self._outcome("", event.code))

    def _on_gone(self, event: Gone) -> Sequence[Command]:
        self._state = State.CLOSED
        return self._outcome(event.code, event.status)

    def _break(self, error: Exception) -> Sequence[Command]:
        """Ends a connection whose answer must not go on; nothing that is held is released."""
        opened = self._state is State.OPEN
        self._state = State.CLOSED
        status, code, message = 503, "guardrail_unavailable", "the answer could not be inspected"
        errors: tuple[str, ...] = ()
        closing = FAILED
        if isinstance(error, Blocked):
            status, code, message, closing = 403, "answer_blocked", str(error), POLICY
        elif isinstance(error, Refusal):
            status, code, message = error.status, error.code, error.message
            closing = _CLOSING.get(code, FAILED)
        else:
            known = isinstance(error, GuardrailError | Unavailable)
            errors = (type(error).__name__ if known else "Internal",)
        told = Told(status=status, code=code, message=message, exchange=self._context.exchange)
        last = render_frame_error(self._protocol.errors, told)
        tell = self._tell([(last, False)]) if opened else []
        return (*tell, HangUp(code=closing, reason=code), *self._outcome(code, closing, errors))

    def _outcome(self, code: str, status: int, errors: tuple[str, ...] = ()) -> tuple[Record, ...]:
        """How it went: what was masked by policies that are no more in force, then the rest."""
        last = self._decided.outcome(
            code=code,
            status=status,
            counts=_sum(one.masked for one in self._filters),
            sizes=(self._bytes_in, self._bytes_out),
            errors=errors,
        )
        before = ((past.ended, _sum(past.masked)) for past in self._before.values())
        return (*(Record(replace(event, counts=c)) for event, c in before if c), last)


@dataclass(slots=True)
class _Past:
    """What was masked by policies that were in force until `ended`, the event that says so."""

    ended: AuditEvent
    masked: list[Counter[str]] = field(default_factory=list)


def _sum(counters: Iterable[Counter[str]]) -> Mapping[str, int]:
    return dict(sum(counters, Counter()))


_TABLE: Mapping[tuple[State, type], Callable[[Session, Any], Sequence[Command]]] = {
    (State.OPENING, ServerAccepted): Session._on_accepted,
    (State.OPENING, ServerLeft): Session._on_left,
    (State.OPENING, Gone): Session._on_gone,
    (State.OPEN, ClientFrame): Session._on_client,
    (State.OPEN, RequestRefused): Session._on_refused,
    (State.OPEN, RecordFailed): Session._on_record_failed,
    (State.OPEN, ServerFrame): Session._on_server,
    (State.OPEN, ServerLeft): Session._on_left,
    (State.OPEN, Gone): Session._on_gone,
}
"""The legal life of a session; an event that is not in it changes nothing."""
