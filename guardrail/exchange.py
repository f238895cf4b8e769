"""One exchange as a state machine: events in, commands out; no socket, clock or file in here.

A shell feeds events and performs the commands in order. The one rule a shell must keep: a `Record`
has to be durable before the next command is performed. If it cannot be made durable, the shell
drops the commands that follow it and feeds `RecordFailed` instead.

    new ──RequestReceived──▶ decided ──ResponseStarted──▶ answering ──ResponseEnded──▶ closed
     │                         │  ▲                          │
     └──▶ refused ◀────────────┴──┘ RecordFailed             └──Blocked, PeerGone──▶ closed
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from math import ceil
from types import MappingProxyType
from typing import Any, TypeVar

from guardrail.answers.events import EventAnswer
from guardrail.answers.frames import MessageAnswer
from guardrail.answers.whole import Answer, TextAnswer, UntouchedAnswer, WholeAnswer
from guardrail.errors import GuardrailError, Refusal, Unavailable
from guardrail.guard import (
    Blocked,
    Filter,
    Guard,
    Inspection,
    build_filter,
    inspect,
    judge,
    may_go_unaudited,
    shield,
    strictest,
)
from guardrail.policy.vocabulary import quantised_age, quantised_confidence, quantised_count
from guardrail.protocols.bodies import Body, Inflater, inflate, read_body, read_form, read_frame
from guardrail.protocols.errors import (
    Told,
    error_headers,
    render_error,
    render_frame_error,
    render_message_error,
    render_stream_error,
)
from guardrail.protocols.eventstream import dump_message
from guardrail.protocols.fields import Action, FieldMap, Leaf, compile_map, rewrite
from guardrail.protocols.framing import SseEvent, dump_event
from guardrail.protocols.headers import NO_HEADERS, HeaderNames, is_person
from guardrail.protocols.jobs import read_job
from guardrail.protocols.maps import GENERIC, Protocol, protocol_at, protocol_of
from guardrail.protocols.mirrored import chosen, is_mirrored, written
from guardrail.protocols.payload import Json, JsonNumber
from guardrail.protocols.sealed import Seal, seal_of
from guardrail.protocols.streams import AWS_MESSAGES, EVENTS, LINES, TEXT, Stream, stream_of
from guardrail.remembering import Case, Leaving, Memory, Witness, keeps, recall
from guardrail.routing.routes import AUTO, Choice, Route, choose, local_route, serving
from guardrail.taxonomy import UNINSPECTABLE
from guardrail.transform.vault import Vault
from guardrail.transform.vaults import Vaults
from guardrail.types import AuditEvent, Decision, Endpoint, RequestContext, Treatment

Headers = tuple[tuple[bytes, bytes], ...]


# ── events ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReceived:
    """A whole request. `path` is the raw path; header names are lower-case.

    `envelope` holds texts of the address and headers that leave as they are.
    """

    method: str = "POST"
    path: str = field(repr=False)
    query: bytes = field(default=b"", repr=False)
    headers: Headers = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    envelope: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused:
    """The shell cannot take this request: unknown path, bad credentials, too large, too slow.

    Or it cannot send on what was decided.
    """

    status: int
    code: str
    message: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """The last `Record` could not be made durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseStarted:
    """Status and headers of the answer; header names are lower-case."""

    status: int
    headers: Headers = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ChunkReceived:
    """Bytes of the answer's body."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """The answer's body is complete."""


@dataclass(frozen=True, slots=True)
class UpstreamFailed:
    """The endpoint did not answer, or broke off. `code` is `upstream_timeout` or the like."""

    status: int
    code: str


@dataclass(frozen=True, slots=True)
class EarlyHint:
    """Links that a client may fetch while it waits for the answer."""

    links: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppFailed:
    """The wrapped app raised, which its server is told; what was begun cannot be ended well."""


@dataclass(frozen=True, slots=True)
class PeerGone:
    """Nobody waits for the answer any more; `code` says why."""

    code: str = "client_gone"


Event = (
    RequestReceived
    | RequestRefused
    | RecordFailed
    | ResponseStarted
    | ChunkReceived
    | ResponseEnded
    | UpstreamFailed
    | EarlyHint
    | AppFailed
    | PeerGone
)


# ── commands ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Record:
    """Make this audit event durable before going on."""

    event: AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Send the request on. `route` is None where the wrapped app decides where it goes.

    `headers` take the place of those whose names are `replaced`. Those that are `sealed` stay as
    they came, with the body, since a signature covers them.
    """

    body: bytes = field(repr=False)
    query: bytes = field(default=b"", repr=False)
    headers: Headers = field(default=(), repr=False)
    replaced: frozenset[bytes] = frozenset()
    route: Route | None = None
    diverted: bool = False
    sealed: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer the client with this and nothing else."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hint:
    """Send these links to the client, ahead of the answer."""

    links: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Send status and headers of the answer to the client."""

    status: int
    headers: Headers = field(repr=False)


@dataclass(frozen=True, slots=True)
class Emit:
    """Send these bytes of the answer's body to the client."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Close:
    """The answer is over. `aborted`: stop the endpoint, which is still talking; unless that was
    `explained` to the client, it must not take what it has for the whole answer.

    Only the outcome's `Record` may follow: no client waits for it.
    """

    aborted: bool = False
    explained: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep this for later requests before going on; where it cannot be, they do without."""

    leaving: Leaving


Command = Record | Forward | Reply | Hint | Start | Emit | Keep | Close


# ── the machine ──────────────────────────────────────────────────────────────────────────────────


class Door(Enum):
    """How requests come in, hence who decides where they go."""

    GATEWAY = "gateway"
    """Guardrail does: it chooses among the endpoints that serve the model."""
    MIDDLEWARE = "middleware"
    """The wrapped app does: every endpoint it might mean has to be permitted."""
    TRANSPORT = "transport"
    """The app's client already did: one endpoint."""
    SOCKET = "socket"
    """As `MIDDLEWARE`, for a frame of a connection that is open and cannot lead elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes of a request (as sent and inflated) and of an answer that is held to be inspected."""

    request: int = 8 * 2**20
    answer: int = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What all exchanges share: the guard, where requests can go, and how large they may be.

    `destination` is the endpoint a request means that names no model, where it is known. `headers`
    names the request headers that are treated with the body.
    """

    guard: Guard
    routes: tuple[Route, ...]
    destination: str = ""
    headers: HeaderNames = NO_HEADERS
    limits: Limits = field(default_factory=Limits)


class State(Enum):
    """Where an exchange stands."""

    NEW = "new"
    REFUSED = "refused"
    DECIDED = "decided"
    ANSWERING = "answering"
    CLOSED = "closed"


_SINGLE = (
    b"content-length content-type content-encoding transfer-encoding host authorization".split()
)
"""Request headers that two readers might read differently if they came twice."""

_REWRITTEN = frozenset(
    b"content-length content-encoding transfer-encoding etag last-modified content-md5 digest "
    b"content-digest repr-digest accept-ranges".split()
)
"""Answer headers that describe bytes which are not the ones that are sent on."""

_MECHANICAL = frozenset(
    b"content-type content-length cache-control connection date server vary retry-after allow "
    b"x-request-id x-accel-buffering".split()
)
"""Answer headers that carry nothing a model or an app would say."""

_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "guardrail_unavailable": "the request could not be inspected, so it was not sent",
        "audit_unavailable": "the audit log cannot be written, so the request was not sent",
        "no_permitted_route": (
            "policy keeps this request on a local model, and none is configured for it"
        ),
        "astray": (
            "what the request adds to may be elsewhere than where the request goes; "
            "middleware.endpoint says where requests go that name no model"
        ),
        "conversation_busy": "too many requests add to this conversation at once; send it again",
        "media_stays": (
            "policy keeps what cannot be read or changed (a picture, a sound, a document, a part "
            "of a file, a file at the provider) on a local model, and none can take this request"
        ),
        "signed_request": (
            "something in this request has to be changed before it may leave, and a signature or "
            "digest covers it: let it pass guardrail before it is signed"
        ),
        "signed_header": "the signature covers a header that guardrail does not pass on",
        "no_other_route": (
            "policy keeps this on a local model, to which an open connection cannot be led"
        ),
        "upstream_unreachable": "the model endpoint did not answer",
        "upstream_timeout": "the model endpoint took too long",
        "upstream_broken": "the model endpoint broke off its answer",
        "app_failed": "the app broke off its answer",
    }
)


class Exchange:
    """One request and its answer. Holds state; belongs to one shell task.

    `context` says who asks, `vault` holds the conversation's placeholders, `clock` gives the time
    of audit events and `new_id` their ids (UUIDv7 hex). `target` is the route of a `TRANSPORT`,
    `models` are those that the connection of a `SOCKET` names, `made` the answers given on it.
    `vaults` has what earlier exchanges left: the conversation's placeholders, too. `injected` says
    that something spoke to the model on the same connection. `stream` is how the answer streams,
    where that is known before it begins.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        door: Door,
        context: RequestContext,
        vault: Vault,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        target: Route | None = None,
        vaults: Vaults | None = None,
        models: frozenset[str] = frozenset(),
        made: Collection[str] = (),
        injected: bool = False,
        stream: Stream | None = None,
    ) -> None:
        self._deployment = deployment
        self._door = door
        self._stream = stream
        self._context = context
        self._vault = vault
        self._vaults = vaults
        self._memory = Memory(vaults=None, context=context, base=vault)
        self._case = Case(vault=vault)
        self._endpoints: frozenset[str] = frozenset()
        self._witness: Witness | None = None
        self._keeps = False
        self._is_inspected = False
        self._clock = clock
        self._new_id = new_id
        self._target = target
        self._models = models
        self._made = made
        self._earlier = injected
        self._seal: Seal | None = None
        self._state = State.NEW
        self._protocol: Protocol = GENERIC
        self._inspection: Inspection | None = None
        self._decision = Decision(endpoint="")
        self._route: Route | None = None
        self._fallback: Sequence[Command] = ()
        self._answer: Answer | None = None
        self._filter: Filter | None = None
        self._inflater: Inflater | None = None
        self._held_start: ResponseStarted | None = None
        self._streams_events = False
        self._streams_lines = False
        self._streams_messages = False
        self._started = False
        self._method = "POST"
        self._request_id: str | int | None = None
        self._path = ""
        self._status = 0
        self._bytes_in = 0
        self._bytes_out = 0

    @property
    def state(self) -> State:
        """Where the exchange stands."""
        return self._state

    @property
    def decision(self) -> Decision:
        """What policy decided; blocked until it has."""
        return self._decision

    @property
    def _policies(self) -> str:
        """The digest of the policies that decide."""
        return self._deployment.guard.policies.digest

    def is_slow(self, event: Event) -> bool:
        """Whether an event of the answer takes too long to be handled on an event loop."""
        slow = self._filter is not None and self._filter.slow
        return slow and isinstance(event, ChunkReceived | ResponseEnded)

    @property
    def injected(self) -> bool:
        """Whether something from outside in the request, or in what it goes on with, speaks to the
        model, or hides.
        """
        found = self._inspection is not None and self._inspection.injected
        return found or self._earlier or self._case.injected

    @property
    def models(self) -> frozenset[str]:
        """The models that the request names elsewhere than in a field of its protocol."""
        return self._models

    @property
    def route(self) -> Route | None:
        """Where the request goes, as far as that was decided."""
        return self._route

    def receive(self, event: Event) -> list[Command]:
        """Gives what has to be done about an event, in order. Never raises: a fault refuses."""
        handler = _TABLE.get((self._state, type(event)))
        if handler is None:
            return []
        try:
            return list(handler(self, event))
        except Exception as error:
            return list(self._break(error))

    # request

    def _on_request(self, event: RequestReceived) -> Sequence[Command]:
        self._method = event.method
        self._bytes_in = len(event.body)
        self._protocol, self._path = protocol_at(event.path), event.path
        try:
            return self._decide(event)
        except Refusal as refusal:
            return self._refuse(refusal.status, refusal.code, refusal.message)
        except Exception as error:
            message = _MESSAGES["guardrail_unavailable"]
            errors = (_class_of(error),)
            return self._refuse(503, "guardrail_unavailable", message, errors=errors)

    def _on_refused(self, event: RequestRefused) -> Sequence[Command]:
        self._protocol = protocol_at(event.path)
        return self._refuse(event.status, event.code, event.message)

    def _decide(self, event: RequestReceived) -> Sequence[Command]:
        headers = _single_headers(event.headers)
        limit = self._deployment.limits.request
        if len(event.body) > limit:
            raise Refusal(413, "body_too_large", f"the body is larger than {limit} bytes")
        if self._door in (Door.MIDDLEWARE, Door.TRANSPORT):
            self._seal = seal_of(event.headers, query=event.query)
            if self._seal and self._seal.breaks:
                raise Refusal(400, "signed_request", _MESSAGES["signed_header"])
        bodies: list[tuple[Body, Protocol]] = []
        arrived = b""
        if event.body:
            encoding = headers.get(b"content-encoding", "").lower()
            arrived = raw = inflate(event.body, encoding=encoding, limit=limit)
            read = read_frame if self._door is Door.SOCKET else read_body
            body = read(raw, content_type=headers.get(b"content-type", ""))
            self._protocol = protocol_of(body.payload, event.path)
            self._request_id = _id_of(body.payload)
            _refuse_other_endpoint(body.payload, self._protocol)
            bodies.append(read_job(body, self._protocol))
        if event.query:
            bodies.append((read_form(event.query), GENERIC))
        queried = len(bodies)
        with_body = self._headers(event.headers)
        bodies += with_body
        sent = len(bodies)
        if event.envelope:
            bodies.append((_envelope(event.envelope), ENVELOPE))
        payload = bodies[0][0].payload if event.body else None
        self._keeps = event.method == "POST" and keeps(self._protocol.state, payload)
        if not bodies:
            return self._pass(event, self._recall(payload).at(self._targets()))
        named = _models(bodies[0], self._protocol, event.path) if event.body else _Named()
        if event.query:
            named = _Named(named.field, named.others | _models(bodies[queried - 1], GENERIC).others)
        named = _Named(named.field, named.others | self._models)
        self._models = named.others
        guard = self._deployment.guard
        for _ in range(_ATTEMPTS):
            app = self._context.principal.id
            memory = self._recall(payload)
            cases = _Cases(
                guard,
                bodies,
                memory,
                app=app,
                sent=sent,
                made=self._made,
                injected=self._earlier,
            )
            if not sent and not cases.inspection(self._targets()).counts:
                return self._pass(event, cases.case(self._targets()))
            choice = self._choose(cases, named)
            self._decision, self._route = choice.decision, choice.route
            inspection, case = cases.inspection(self._endpoints), cases.case(self._endpoints)
            self._case, self._vault = case, case.vault
            self._is_inspected = UNINSPECTABLE not in inspection.evidence
            self._inspection = inspection
            if choice.route and choice.route.endpoint.id != choice.decision.endpoint:
                # What is told of a request that stays is what kept it from leaving.
                self._inspection = cases.inspection(frozenset({choice.decision.endpoint}))
            if self._memory.is_astray(case, self._endpoints):
                raise Refusal(422, "uninspectable_input", _MESSAGES["astray"])
            if choice.decision.treatment is Treatment.BLOCKED or choice.route is None:
                return self._deny(choice.decision)
            if choice.decision.treatment is Treatment.LOCAL:
                parts = [body.raw for body, _ in bodies[:sent]]
            else:
                shielded = shield(guard, inspection, choice.decision, vault=case.vault)
                parts = list(shielded[:sent])
            seen, spoken = self._is_inspected, inspection.injected
            if self._memory.save(case, self._endpoints, inspected=seen, injected=spoken):
                break
        else:
            raise Refusal(503, "conversation_busy", _MESSAGES["conversation_busy"])
        headers_too = [pair for part in parts[sent - len(with_body) :] for pair in written(part)]
        body_out = parts.pop(0) if event.body else b""
        if event.body:
            body_out = self._renamed(body_out, named)
        forward = Forward(
            body=body_out,
            query=parts[0] if event.query else b"",
            headers=tuple(headers_too),
            replaced=frozenset(name for name, _ in event.headers if self._treats(name)),
            route=self._route,
            diverted=self._target is not None and self._route is not self._target,
        )
        if self._seal and not forward.diverted:
            forward = self._as_signed(event, forward, same=body_out == arrived)
        self._check_stream()
        return self._go(forward)

    def _check_stream(self) -> None:
        """Refuses a request whose answer can only stream, where that cannot be masked."""
        if self._stream:
            self._outgoing().check(self._stream)

    def _untouched(self, event: RequestReceived) -> Forward:
        """A request in which nothing is to be inspected, as it came."""
        sealed = self._seal.headers if self._seal else frozenset()
        return Forward(body=event.body, query=event.query, route=self._target, sealed=sealed)

    def _as_signed(self, event: RequestReceived, forward: Forward, *, same: bool) -> Forward:
        """What leaves of a signed request: what came, `same` in its body, or nothing."""
        assert self._seal is not None
        kept = all(header in event.headers for header in forward.headers)
        if not (same and kept and forward.query == event.query):
            raise Refusal(400, "signed_request", _MESSAGES["signed_request"])
        return replace(forward, body=event.body, sealed=self._seal.headers)

    def _recall(self, payload: Json) -> Memory:
        """What is remembered of what the request names; read anew for each attempt."""
        base = self._memory.base
        self._memory = recall(
            self._vaults, self._context, self._protocol, payload=payload, path=self._path, base=base
        )
        return self._memory

    def _targets(self) -> frozenset[str]:
        """Where a request goes that carries nothing: where what its address names is kept."""
        if self._target:
            return frozenset({self._target.endpoint.id})
        known = [one.kept.endpoints for one in self._memory.named if one.kept]
        return frozenset.intersection(*known) if known else frozenset()

    def _pass(self, event: RequestReceived, case: Case) -> Sequence[Command]:
        """Sends on a request in which nothing is to be decided."""
        self._state = State.DECIDED
        self._route, self._case, self._vault = self._target, case, case.vault
        self._endpoints = self._targets()
        self._check_stream()
        return (self._untouched(event),)

    def _headers(self, headers: Headers) -> list[tuple[Body, Protocol]]:
        """The headers that are treated with the body: what they say, and whom they name."""
        said = chosen(headers, lambda name: self._treats(name) and not self._names(name))
        whom = chosen(headers, self._names)
        return [(body, map_) for body, map_ in ((said, GENERIC), (whom, _WHOM)) if body]

    def _treats(self, name: bytes) -> bool:
        """Whether a header is treated with the body.

        What an app asks of its own service says who signed in, which it must know; what is asked
        of a model goes on to one. A gateway passes no header on.
        """
        if is_mirrored(name):
            return True
        to_model = self._protocol is not GENERIC or self._door is Door.TRANSPORT
        return self._door is not Door.GATEWAY and to_model and name in self._deployment.headers

    def _names(self, name: bytes) -> bool:
        return self._treats(name) and not is_mirrored(name) and is_person(name)

    def _choose(self, cases: _Cases, named: _Named) -> Choice:
        routes = self._deployment.routes
        local = local_route(routes)
        guard, context = self._deployment.guard, self._context

        def decide(endpoint: Endpoint, *others: str) -> Decision:
            home = local.endpoint if local else None
            inspection = cases.inspection(frozenset({endpoint.id, *others}))
            return judge(guard, context, inspection, endpoint=endpoint, local=home)

        if self._door is Door.GATEWAY:
            if not named.field:
                raise Refusal(400, "missing_model", "the request names no model")
            choice = choose(_served(routes, named.field), local=local, decide=decide)
            self._endpoints = frozenset({choice.route.endpoint.id} if choice.route else ())
            return choice
        if self._target:
            targets, elsewhere = [self._target], False
        else:
            targets, elsewhere = self._meant(cases.inspection(frozenset()), named)
        # What may reach a cloud endpoint among them is judged by the cloud endpoints alone.
        judged = [t for t in targets if not t.endpoint.local] or targets
        self._endpoints = frozenset(t.endpoint.id for t in targets)
        decisions = [decide(target.endpoint, *self._endpoints) for target in judged]
        decision = strictest(decisions, endpoint=judged[0].endpoint.id)
        if decision.treatment is not Treatment.LOCAL or all(t.endpoint.local for t in judged):
            return Choice(route=judged[0], decision=decision)
        if self._door is Door.SOCKET:
            raise Refusal(503, "no_permitted_route", _MESSAGES["no_other_route"])
        if local is None or not local.model or not named.field or elsewhere:
            found = cases.inspection(self._endpoints).counts
            unread = bool(_UNREAD & found.keys())
            message = _MESSAGES["media_stays" if unread else "no_permitted_route"]
            raise Refusal(503, "no_permitted_route", message)
        self._endpoints = frozenset({local.endpoint.id})
        at_home = decide(local.endpoint)
        return Choice(
            route=local, decision=decision if at_home.treatment <= Treatment.LOCAL else at_home
        )

    def _meant(self, inspection: Inspection, named: _Named) -> tuple[list[Route], bool]:
        """Every endpoint a wrapped app may send this request to, and whether it names models
        elsewhere than in the protocol's own field: as a fallback that the app or a library takes.
        """
        routes = self._deployment.routes
        names = named.others | ({named.field} if named.field else set())
        meant = [route for name in sorted(names) for route in _served(routes, name)]
        texts = {
            leaf.text
            for part in inspection.parts
            for leaf in part.leaves
            if leaf.path != (self._protocol.model,) and _MODEL.fullmatch(leaf.text)
        }
        mentioned = [r for r in routes if not r.endpoint.local and any(map(r.names, texts))]
        meant += mentioned
        if not meant and not self._bytes_in:
            meant = [r for r in routes if r.endpoint.id in self._targets()]
        if not meant and self._deployment.destination:
            meant = [_route_to(routes, self._deployment.destination)]
        if not meant:
            meant = [r for r in routes if not r.endpoint.local] or list(routes)
        unique = {route.endpoint.id: route for route in meant}
        return list(unique.values()), bool(mentioned or named.others)

    def _renamed(self, body: bytes, named: _Named) -> bytes:
        """The body with the model's name as the chosen endpoint, and no other, knows it."""
        route, routes = self._route, self._deployment.routes
        if route is None or not named.field:
            return body
        if named.field != AUTO:
            if not route.endpoint.local:
                return body  # the caller's own choice, which policy permits
            strangers = (r for r in routes if not r.endpoint.local)
            if route.serves(named.field) and not any(r.serves(named.field) for r in strangers):
                return body
        if not route.model:
            raise Refusal(503, "no_permitted_route", _MESSAGES["no_permitted_route"])
        read = read_body(body, content_type="application/json")
        addressed = self._protocol.lives_at(self._path)
        if (addressed and "model" in addressed.groupdict()) or not isinstance(read.payload, dict):
            raise Refusal(503, "no_permitted_route", _MESSAGES["no_permitted_route"])
        return read.encode(rewrite(read.payload, {(self._protocol.model,): route.model}))

    def _go(self, forward: Forward) -> Sequence[Command]:
        self._state = State.DECIDED
        self._fallback = self._without_audit(forward)
        if self._inspection:  # what was read is of no more use, and large
            self._inspection = replace(self._inspection, parts=())
        if self._door is Door.SOCKET and not (self._inspection and self._inspection.counts):
            return (forward,)  # one of very many, and nothing in it: the connection has its record
        return (Record(self._event("egress.decision")), forward)

    def _without_audit(self, forward: Forward) -> Sequence[Command]:
        if (
            self._route is not None
            and self._inspection is not None
            and may_go_unaudited(
                self._deployment.guard,
                self._context,
                self._inspection,
                endpoint=self._route.endpoint,
            )
        ):
            return (forward,)
        return ()

    def _deny(self, decision: Decision) -> Sequence[Command]:
        if decision.errors:
            message = _MESSAGES["guardrail_unavailable"]
            return self._refuse(503, "guardrail_unavailable", message, errors=decision.errors)
        because = [
            f"{reason.title} ({reason.citation or reason.policy})"
            for category, reasons in decision.reasons.items()
            for reason in reasons
            if decision.treatments[category] is decision.treatment and reason.effect == "forbid"
        ]
        message = "policy blocks this request"
        if because:
            message += ": " + "; ".join(dict.fromkeys(because))
        if local_route(self._deployment.routes) is None:
            message += " (no local endpoint is configured)"
        return self._refuse(403, "policy_violation", message)

    def _refuse(
        self, status: int, code: str, message: str, *, errors: tuple[str, ...] = ()
    ) -> Sequence[Command]:
        self._state = State.REFUSED
        self._status = status
        reply = self._reply(status, code, message)
        self._fallback = (reply, Close())
        event = self._event("request.refused", code=code, status=status, errors=errors)
        return (Record(event), reply, Close())

    def _reply(self, status: int, code: str, message: str) -> Reply:
        told = self._told(status, code, message)
        if self._door is Door.SOCKET:
            event = render_frame_error(self._protocol.errors, told)
            return Reply(status=status, headers=((b"x-guardrail-code", code.encode()),), body=event)
        style = "aws" if self._seal and self._seal.aws else self._protocol.errors
        content_type, body = render_error(style, told)
        headers = [
            *error_headers(style, told),
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-guardrail-exchange", self._context.exchange.encode()),
            (b"x-guardrail-code", code.encode()),
        ]
        if status in (429, 502, 503, 504) and code != "no_permitted_route":
            headers.append((b"retry-after", b"1"))
        else:
            headers.append((b"x-should-retry", b"false"))
        return Reply(status=status, headers=tuple(headers), body=body)

    def _told(self, status: int, code: str, message: str) -> Told:
        return Told(
            status=status,
            code=code,
            message=message,
            exchange=self._context.exchange,
            policies=self._decision.policies if code == "policy_violation" else (),
            request=self._request_id,
        )

    def _on_record_failed(self, event: RecordFailed) -> Sequence[Command]:
        if self._fallback:
            commands, self._fallback = self._fallback, ()
            if self._state is State.REFUSED:
                self._state = State.CLOSED
            return commands
        self._state = State.CLOSED
        message = _MESSAGES["audit_unavailable"]
        return (self._reply(503, "audit_unavailable", message), Close())

    def _on_left(self, event: PeerGone) -> Sequence[Command]:
        self._state = State.CLOSED
        return (Close(aborted=True),)

    # answer

    def _on_start(self, event: ResponseStarted) -> Sequence[Command]:
        self._state = State.ANSWERING
        self._status = event.status
        headers = dict(event.headers)
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        try:
            self._answer = self._open_answer(content_type)
            if not isinstance(self._answer, UntouchedAnswer):
                limit = self._deployment.limits.answer
                self._inflater = _upstreams(lambda: Inflater(encoding, limit=limit))
        except Exception as error:
            return self._break(error)
        self._held_start = event
        if isinstance(self._answer, WholeAnswer):
            return ()
        return (self._start(),)

    def _open_answer(self, content_type: str) -> Answer:
        limit = self._deployment.limits.answer
        media = content_type.partition(";")[0].strip().lower()
        self._witness = self._hearing()
        outgoing = self._outgoing()
        options = content_type.lower()
        if "charset" in options and not _UTF8.search(options):
            raise Refusal(502, "upstream_uninspectable", "the answer is not UTF-8")
        stream = stream_of(media, self._protocol)
        if stream:
            outgoing.check(stream)
        if stream is EVENTS:
            self._streams_events = True
            return EventAnswer(protocol=self._protocol, outgoing=outgoing, witness=self._witness)
        if stream is LINES:
            self._streams_events = self._streams_lines = True
            return EventAnswer(
                protocol=self._protocol, outgoing=outgoing, lines=True, witness=self._witness
            )
        if stream is AWS_MESSAGES:
            if not self._protocol.messages:
                raise Refusal(502, "upstream_uninspectable", "nothing describes these messages")
            self._streams_messages = True
            return MessageAnswer(protocol=self._protocol, outgoing=outgoing)
        if stream is TEXT:
            return TextAnswer(outgoing)
        quiet = self._inspection is None or self._protocol.media
        if quiet and media.startswith(_PICTURES):
            return UntouchedAnswer()
        return WholeAnswer(
            content_type=content_type,
            protocol=self._protocol,
            outgoing=outgoing,
            limit=limit,
            witness=self._witness,
        )

    def _answering(self) -> Endpoint:
        """The endpoint whose rules hold for the answer."""
        routes = self._deployment.routes
        if self._route:
            return self._route.endpoint
        here = (route.endpoint for route in routes if route.endpoint.id in self._endpoints)
        return next(here, routes[0].endpoint)

    def _hearing(self) -> Witness | None:
        """Hears what later requests may name, where this one was sent on as policy lets it."""
        if self._vaults is None or self._inspection is None or not 200 <= self._status < 300:
            return None
        return Witness(
            self._protocol,
            context=self._context,
            entries=tuple(self._vault),
            endpoints=self._endpoints,
            inspected=self._is_inspected,
            injected=self.injected,
            named=(one.reference for one in self._memory.named),
            keeps=self._keeps,
        )

    def _leave(self) -> Sequence[Command]:
        leaving = self._witness.leave() if self._witness else None
        return (Keep(leaving),) if leaving else ()

    def _outgoing(self) -> Filter:
        self._filter = build_filter(
            self._deployment.guard,
            self._context,
            endpoint=self._answering(),
            vault=self._vault,
            injected=self.injected,
        )
        return self._filter

    def _on_hint(self, event: EarlyHint) -> Sequence[Command]:
        """A hint that cannot be filtered is left out: nobody is owed one."""
        with suppress(Exception):
            self._outgoing()
            return (Hint(tuple(map(self._spoken, event.links))),)
        return ()

    def _start(self, length: int | None = None) -> Start:
        held = self._held_start
        assert held is not None
        self._started = True
        rewritten = frozenset() if isinstance(self._answer, UntouchedAnswer) else _REWRITTEN
        headers = [
            (name, value if name in _MECHANICAL else self._spoken(value))
            for name, value in held.headers
            if name not in rewritten
        ]
        if length is not None and self._method != "HEAD" and held.status not in (204, 304):
            headers.append((b"content-length", str(length).encode()))
        headers.append((b"x-guardrail-exchange", self._context.exchange.encode()))
        if self._inspection is not None:
            treatment = self._decision.treatment.name.lower()
            headers.append((b"x-guardrail-treatment", treatment.encode()))
            if self._route:
                headers.append((b"x-guardrail-endpoint", self._route.endpoint.id.encode()))
        return Start(status=held.status, headers=tuple(headers))

    def _spoken(self, value: bytes) -> bytes:
        """A header's value, filtered: an address or a cookie can carry what the body may not."""
        assert self._filter is not None
        text = value.decode("latin-1")
        return self._filter.transform(text, tool="", identifier=True).encode("latin-1", "replace")

    def _on_chunk(self, event: ChunkReceived) -> Sequence[Command]:
        assert self._answer is not None
        try:
            data = event.data
            if inflater := self._inflater:
                data = _upstreams(lambda: inflater.feed(event.data))
            data = self._answer.feed(data)
        except Exception as error:
            return self._break(error)
        return (*self._leave(), *self._emit(data))

    def _on_end(self, event: ResponseEnded) -> Sequence[Command]:
        assert self._answer is not None
        try:
            if inflater := self._inflater:
                _upstreams(inflater.close)
            data = self._answer.close()
        except Exception as error:
            return self._break(error)
        start = () if self._started else (self._start(length=len(data)),)
        emit = self._emit(data)
        self._state = State.CLOSED
        return (*self._leave(), *start, *emit, Close(), *self._outcome())

    def _emit(self, data: bytes) -> Sequence[Command]:
        self._bytes_out += len(data)
        return (Emit(data),) if data else ()

    def _break(self, error: Exception) -> Sequence[Command]:
        if isinstance(error, Blocked):
            return self._fail(403, "answer_blocked", str(error))
        if isinstance(error, Refusal):
            return self._fail(error.status, error.code, error.message)
        return self._fail(503, "guardrail_unavailable", "", errors=(_class_of(error),))

    def outcome(
        self,
        *,
        code: str,
        status: int,
        counts: Mapping[str, int],
        sizes: tuple[int, int],
        errors: tuple[str, ...] = (),
    ) -> Record:
        """How a connection went that this exchange opened.

        `sizes` are bytes from and to the client, `status` is the code with which it was closed.
        """
        self._bytes_in, bytes_out = sizes
        event = self._event(
            "egress.outcome",
            code=code,
            status=status,
            errors=errors,
            counts=counts,
            bytes_out=bytes_out,
        )
        return Record(event)

    def _outcome(self, code: str = "", errors: tuple[str, ...] = ()) -> Sequence[Command]:
        masked = dict(self._filter.masked) if self._filter else {}
        if self._inspection is None and not masked and not code:
            return ()
        event = self._event(
            "egress.outcome",
            code=code,
            status=self._status,
            errors=errors,
            counts=masked,
            bytes_out=self._bytes_out,
        )
        return (Record(event),)

    def _fail(
        self, status: int, code: str, message: str, *, errors: tuple[str, ...] = ()
    ) -> Sequence[Command]:
        """Ends an exchange whose answer must not go on; nothing that is held is released."""
        self._state = State.CLOSED
        message = message or _MESSAGES["guardrail_unavailable"]
        self._status = status
        if not self._started:
            reply = self._reply(status, code, message)
            return (reply, Close(aborted=True, explained=True), *self._outcome(code, errors))
        last: list[Command] = []
        if self._streams_events:
            name, data = render_stream_error(
                self._protocol.errors, self._told(status, code, message)
            )
            if self._streams_lines:
                last.append(Emit(data + b"\n"))
            else:
                last.append(Emit(dump_event(SseEvent(event=name, data=data.decode()))))
            if self._protocol.done:
                last.append(Emit(dump_event(SseEvent(data=self._protocol.done))))
        if self._streams_messages:
            told = self._told(status, code, message)
            last.append(Emit(dump_message(render_message_error(self._protocol.errors, told))))
        over = Close(aborted=True, explained=bool(last))
        return (*last, over, *self._outcome(code, errors))

    def _on_upstream_failed(self, event: UpstreamFailed) -> Sequence[Command]:
        return self._fail(event.status, event.code, _MESSAGES.get(event.code, event.code))

    def _on_app_failed(self, event: AppFailed) -> Sequence[Command]:
        """A stream of events says so before it is torn; whatever else was begun is only torn."""
        if not (self._started and self._streams_events):
            return self._on_peer_gone(PeerGone("app_failed"))
        torn = [
            Close(aborted=True) if isinstance(command, Close) else command
            for command in self._fail(502, "app_failed", _MESSAGES["app_failed"])
        ]
        return sorted(torn, key=lambda command: not isinstance(command, Record))

    def _on_peer_gone(self, event: PeerGone) -> Sequence[Command]:
        self._state = State.CLOSED
        return (Close(aborted=True), *self._outcome(event.code))

    # audit

    def _event(self, kind: str, **fields: Any) -> AuditEvent:
        context, decision = self._context, self._decision
        decided = self._inspection is not None
        return AuditEvent(
            id=self._new_id(),
            kind=kind,
            at=self._clock(),
            exchange=context.exchange,
            principal=context.principal.id,
            tenant=context.principal.tenant,
            purpose=context.purpose,
            basis=context.basis,
            origin=context.origin,
            regions=decision.regions,
            protocol=self._protocol.name,
            endpoint=self._route.endpoint.id if self._route else decision.endpoint,
            location=self._route.endpoint.location if self._route else "",
            treatment=decision.treatment.name.lower() if decided and decision.treatments else "",
            treatments=MappingProxyType(
                {category: t.name.lower() for category, t in decision.treatments.items()}
            ),
            counts=fields.pop("counts", self._inspection.counts if self._inspection else {}),
            policies=decision.policies,
            policy_digest=decision.digest or (self._policies if self._filter else ""),
            bytes_in=self._bytes_in,
            **(self._asked() if kind != "egress.outcome" else {}),
            **fields,
        )

    def _asked(self) -> dict[str, Any]:
        """What the policies were asked, by which they may be asked again."""
        inspection, context = self._inspection, self._context
        if inspection is None:
            return {}
        evidence, missed = inspection.evidence, inspection.residual
        return {
            "residual": None if missed is None else ceil(missed * 100),
            "consents": tuple(sorted(context.consents)),
            "filings": tuple(sorted(context.filings)),
            "age": None if context.age is None else quantised_age(max(context.age, 0)),
            "found": MappingProxyType({c: quantised_count(e.count) for c, e in evidence.items()}),
            "confidences": MappingProxyType(
                {c: quantised_confidence(e.score) for c, e in evidence.items()}
            ),
            "judged": self._decision.judged,
            "local": self._decision.local,
            "shadow": MappingProxyType(
                {category: t.name.lower() for category, t in self._decision.shadow.items()}
            ),
            "unalterable": tuple(sorted(inspection.unalterable & evidence.keys())),
            "injected": inspection.injected,
        }


_TABLE: Mapping[tuple[State, type], Callable[[Exchange, Any], Sequence[Command]]] = {
    (State.NEW, RequestReceived): Exchange._on_request,
    (State.NEW, RequestRefused): Exchange._on_refused,
    (State.NEW, PeerGone): Exchange._on_left,
    (State.REFUSED, RecordFailed): Exchange._on_record_failed,
    (State.DECIDED, RecordFailed): Exchange._on_record_failed,
    (State.DECIDED, RequestRefused): Exchange._on_refused,
    (State.DECIDED, ResponseStarted): Exchange._on_start,
    (State.DECIDED, UpstreamFailed): Exchange._on_upstream_failed,
    (State.DECIDED, EarlyHint): Exchange._on_hint,
    (State.DECIDED, AppFailed): Exchange._on_app_failed,
    (State.DECIDED, PeerGone): Exchange._on_peer_gone,
    (State.ANSWERING, ChunkReceived): Exchange._on_chunk,
    (State.ANSWERING, ResponseEnded): Exchange._on_end,
    (State.ANSWERING, UpstreamFailed): Exchange._on_upstream_failed,
    (State.ANSWERING, AppFailed): Exchange._on_app_failed,
    (State.ANSWERING, PeerGone): Exchange._on_peer_gone,
}
"""The legal life of an exchange; an event that is not in it changes nothing."""


_ATTEMPTS = 32
"""How often a request is decided anew because others added to its conversation meanwhile."""


class _Cases:
    """How a request looks to each set of endpoints that it may go to.

    The first `sent` bodies are those that leave; one more may hold the address. What was `made` on
    the same connection leads to nothing that guardrail has not seen.
    """

    def __init__(
        self,
        guard: Guard,
        bodies: Sequence[tuple[Body, Protocol]],
        memory: Memory,
        *,
        app: str,
        sent: int,
        made: Collection[str] = (),
        injected: bool = False,
    ) -> None:
        self._guard = guard
        self._bodies = bodies
        self._memory = memory
        self._app = app
        self._sent = sent
        self._made = made
        self._injected = injected
        self._cases: dict[frozenset[str], Case] = {}
        self._inspections: dict[frozenset[str], Inspection] = {}
        self._alike: Inspection | None = None

    def case(self, endpoints: frozenset[str]) -> Case:
        """What these endpoints hold of what the request names."""
        if endpoints not in self._cases:
            self._cases[endpoints] = self._memory.at(endpoints)
        return self._cases[endpoints]

    def inspection(self, endpoints: frozenset[str]) -> Inspection:
        """What is found in the request that is news to these endpoints."""
        if self._alike is not None:
            return self._alike
        if endpoints not in self._inspections:
            self._inspections[endpoints] = self._inspect(endpoints)
        return self._inspections[endpoints]

    def _inspect(self, endpoints: frozenset[str]) -> Inspection:
        case, asked = self.case(endpoints), False

        def returns(part: int, leaf: Leaf) -> bool:
            nonlocal asked
            asked = True
            if part >= self._sent:
                return leaf.text in case.address
            made = leaf.action is Action.REFERENCE and leaf.text in self._made
            known = made or (part == 0 and leaf.path in case.given)
            return known or self._memory.wrote(endpoints, leaf)

        inspection = inspect(
            self._guard, self._bodies, vault=case.vault, app=self._app, returns=returns
        )
        inspection = replace(inspection, earlier=self._injected or case.injected)
        if not asked and not self._memory.named:
            self._alike = inspection  # no endpoint makes a difference
        return inspection


_UNREAD = frozenset("MEDIA REMOTE_REFERENCE TOKENS READ_DOCUMENT READ_PICTURE".split())
"""Entities of what cannot be changed, and mostly not be read."""
_UTF8 = re.compile(r"charset\s*=\s*\"?(?:utf-?8|us-ascii)\"?\s*(?:;|$)")
_PICTURES = ("image/", "audio/", "video/", "font/")
"""Types of answers that hold no text, to requests that carried nothing or asked for one."""


def _single_headers(headers: Headers) -> dict[bytes, str]:
    names = Counter(name for name, _ in headers)
    for name in _SINGLE:
        if names[name] > 1:
            raise Refusal(400, "ambiguous_header", f"the {name.decode()} header came twice")
    if names[b"content-length"] and names[b"transfer-encoding"]:
        raise Refusal(400, "ambiguous_header", "the length of the body is said in two ways")
    return {name: value.decode("latin-1").strip() for name, value in headers}


_T = TypeVar("_T")


def _upstreams(step: Callable[[], _T]) -> _T:
    """What a step gives; its refusal is the endpoint's fault, not the caller's."""
    try:
        return step()
    except Refusal as refusal:
        raise Refusal(502, "upstream_uninspectable", refusal.message) from None


ENVELOPE = Protocol(
    name="envelope",
    request=compile_map({"**": "structure"}),
    response=FieldMap(),
    events=FieldMap(),
)
"""The address and headers of a request that leaves as they are: inspected, never changed."""


_WHOM = Protocol(
    name="headers",
    request=compile_map({"[]": "person_id"}),
    response=FieldMap(),
    events=FieldMap(),
)
"""Request headers whose whole value says who is asking."""


def _envelope(parts: Sequence[str]) -> Body:
    payload: Json = list(parts)
    return Body(payload=payload, raw=b"", encode=lambda value: b"")


@dataclass(frozen=True, slots=True)
class _Named:
    """Models a request names: in the protocol's own field, and in forms and query strings."""

    field: str | None = None
    others: frozenset[str] = frozenset()


def _models(read: tuple[Body, Protocol], protocol: Protocol, path: str = "") -> _Named:
    """Raises Refusal where two readers might see two models."""
    payload, name = read[0].payload, protocol.model
    address = protocol.lives_at(path)
    if address and "model" in address.groupdict():
        said = payload.get("model") if isinstance(payload, dict) else None
        if said not in (None, address["model"], f"models/{address['model']}"):
            raise Refusal(400, "ambiguous_json", "the body names another model than the address")
        return _Named(address["model"])
    if not name:
        return _Named()
    if isinstance(payload, dict):
        if sum(key.lower() == name for key in payload) > 1:
            raise Refusal(400, "ambiguous_json", "the model is named twice")
        value = payload.get(name)
        if value is not None and not isinstance(value, str):
            raise Refusal(400, "invalid_model", "the model must be a string")
        return _Named(value)
    pairs = payload if isinstance(payload, list) else []
    listed = (p[1] for p in pairs if isinstance(p, list) and len(p) > 1 and p[0] == "model")
    parts = (part.get("model") for part in pairs if isinstance(part, dict))
    named = frozenset(value for value in (*listed, *parts) if isinstance(value, str))
    return _Named(None, named)


def _id_of(payload: Json) -> str | int | None:
    """The id that a JSON-RPC request or an event bears, for its caller to know the refusal by."""
    found = payload.get("event_id", payload.get("id")) if isinstance(payload, dict) else None
    if isinstance(found, JsonNumber) and found.lexeme.isdigit() and len(found.lexeme) < 16:
        return int(found.lexeme)
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


_ENDPOINTS = frozenset("api_base base_url custom_llm_provider extra_headers user_config".split())
"""Fields by which a caller of a proxy says where a request goes, past what policy decided on."""


def _refuse_other_endpoint(payload: Json, protocol: Protocol) -> None:
    if protocol is GENERIC:
        return
    parts = payload if isinstance(payload, list) else [payload]  # of a form
    names = {name for part in parts if isinstance(part, dict) for name in part}
    pairs = (part for part in parts if isinstance(part, list) and part)
    names |= {pair[0] for pair in pairs if isinstance(pair[0], str)}
    if said := _ENDPOINTS & names:
        raise Refusal(
            400,
            "endpoint_in_request",
            f"the request says where it goes ({min(said)}); only the configuration does",
        )


_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_MODEL = re.compile(r"[\w.:/@+-]{1,200}", re.ASCII)


def _served(routes: Sequence[Route], model: str) -> list[Route]:
    found = serving(routes, model) if _MODEL.fullmatch(model) else []
    if not found:
        raise Refusal(
            400,
            "unknown_model",
            "no endpoint is configured for this model; list it under endpoints.<id>.models",
        )
    return found


def _route_to(routes: Sequence[Route], endpoint: str) -> Route:
    return next(route for route in routes if route.endpoint.id == endpoint)


def _class_of(error: Exception) -> str:
    return type(error).__name__ if isinstance(error, GuardrailError | Unavailable) else "Internal"
