"""How every shell opens an exchange: who asks, under which id, with which vault."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from guardrail.audit.event import event_id
from guardrail.config import Built
from guardrail.context import App, derive_context
from guardrail.errors import PolicyUnavailable, Refusal, VaultUnavailable
from guardrail.exchange import (
    Command,
    Deployment,
    Door,
    Event,
    Exchange,
    Headers,
    Keep,
    RequestReceived,
    RequestRefused,
)
from guardrail.guard import Guard
from guardrail.policy.loader import PolicyStore, selftest
from guardrail.protocols.maps import Protocol
from guardrail.routing.routes import Route
from guardrail.session import ClientFrame, Session
from guardrail.session import Command as SessionCommand
from guardrail.session import Event as SessionEvent
from guardrail.transform.vault import Vault
from guardrail.types import RequestContext


def now() -> datetime:
    """The time of audit events."""
    return datetime.now(UTC)


def new_id() -> str:
    """A fresh UUIDv7 in hex."""
    return event_id(now(), secrets.token_bytes(10))


_threads = threading.local()


def prove_thread(built: Built) -> None:
    """Makes sure that the policy engine can deny on this thread, once per thread and policies.

    The engine's depth limit depends on the stack it runs on; where that is too small, it skips
    rules. Raises PolicyUnavailable.
    """
    now = built.live.now
    for deployment in filter(None, (now.stable, now.candidate)):
        _prove(deployment.guard.policies)


def _prove(policies: PolicyStore) -> None:
    if policies.digest not in getattr(_threads, "proven", ()):
        selftest(policies)
        _threads.proven = (*getattr(_threads, "proven", ())[-7:], policies.digest)


def open_exchange(
    built: Built,
    *,
    door: Door,
    app: App,
    headers: Headers,
    path: str = "",
    target: Route | None = None,
) -> tuple[Exchange, RequestRefused | None]:
    """Gives a new exchange, and the refusal of a request to `path` whose headers are wrong."""
    context, refusal = _who(built, app, headers, path)
    exchange = Exchange(
        built.live.deployment(context.conversation),
        door=door,
        context=context,
        # What callers name is in `vaults`; this one ends with the exchange.
        vault=Vault(),
        clock=now,
        new_id=new_id,
        target=target,
        vaults=built.vaults,
    )
    return exchange, refusal


def open_session(
    built: Built, *, app: App, headers: Headers, path: str, protocol: Protocol
) -> tuple[Session, RequestRefused | None]:
    """Gives a new session for a WebSocket, and the refusal of one whose headers are wrong.

    A connection is a conversation of its own: its vault ends with it.
    """
    context, refusal = _who(built, app, headers, path)

    def in_force() -> Deployment:
        deployment = built.live.deployment(context.conversation)
        _prove(deployment.guard.policies)  # they may have changed since the thread was proven
        return deployment

    session = Session(
        built.live.deployment(context.conversation),
        in_force=in_force,
        path=path,
        protocol=protocol,
        context=context,
        vault=Vault(),
        clock=now,
        new_id=new_id,
    )
    return session, refusal


def _who(
    built: Built, app: App, headers: Headers, path: str
) -> tuple[RequestContext, RequestRefused | None]:
    """Who asks, and why their headers are refused."""
    exchange_id, at = new_id(), now()
    named = [(k.decode("latin-1"), v.decode("latin-1").strip()) for k, v in headers]
    vocabulary = built.live.now.stable.guard.policies.vocabulary
    refusal = None
    try:
        context = derive_context(
            app, headers=named, vocabulary=vocabulary, exchange=exchange_id, now=at
        )
    except Refusal as error:
        refusal = RequestRefused(
            status=error.status, code=error.code, message=error.message, path=path
        )
        context = derive_context(
            app, headers=(), vocabulary=vocabulary, exchange=exchange_id, now=at
        )
    return context, refusal


_UNPROVEN = RequestRefused(
    status=503,
    code="guardrail_unavailable",
    message="the policy engine fails its self-test on this thread",
)


_EXPIRED = RequestRefused(
    status=503,
    code="guardrail_unavailable",
    message="the signature of the policies has expired, so nothing is sent",
)


def advance(built: Built, exchange: Exchange, event: Event) -> list[Command]:
    """Gives what an event leads to, on a thread on which the policy engine is proven.

    After the signature of the policies has expired no request goes anywhere; answers to those that
    went before still come back.
    """
    try:
        prove_thread(built)
    except PolicyUnavailable:
        path = event.path if isinstance(event, RequestReceived | RequestRefused) else ""
        event = replace(_UNPROVEN, path=path)
    if isinstance(event, RequestReceived) and built.live.now.expired:
        event = replace(_EXPIRED, path=event.path)
    return exchange.receive(event)


async def advance_async(built: Built, exchange: Exchange, event: Event) -> list[Command]:
    """Gives what an event leads to; what takes long to read is read on another thread: a large
    request, and an answer in which names are looked for.

    Only so many are at once: the others wait, so that they neither starve the event loop nor take
    memory without end.
    """
    heavy = isinstance(event, RequestReceived) and not _is_light(built, event)
    if heavy or exchange.is_slow(event):
        return await to_thread.run_sync(advance, built, exchange, event, limiter=_readers())
    return advance(built, exchange, event)


def keep(built: Built, command: Keep) -> None:
    """Keeps what an answer leaves to later requests; where that fails, they do without."""
    with suppress(VaultUnavailable):
        command.leaving.keep(built.vaults)


async def keep_async(built: Built, command: Keep) -> None:
    """`keep` without blocking the event loop."""
    if built.vaults.light:
        keep(built, command)
    else:
        await to_thread.run_sync(keep, built, command)


def advance_session(built: Built, session: Session, event: SessionEvent) -> list[SessionCommand]:
    """`advance` for a session."""
    try:
        prove_thread(built)
        _prove(session.policies)
    except PolicyUnavailable:
        event = _UNPROVEN
    if isinstance(event, ClientFrame) and built.live.now.expired:
        event = _EXPIRED
    return session.receive(event)


async def advance_session_async(
    built: Built, session: Session, event: SessionEvent
) -> list[SessionCommand]:
    """`advance_async` for a session: a large frame of the client is read on another thread, and
    what the server says where names are looked for in it.

    Whoever calls it waits for one event before the next.
    """
    heavy = isinstance(event, ClientFrame) and len(event.data) > _light(built.deployment.guard)
    if heavy or session.is_slow(event):
        return await to_thread.run_sync(advance_session, built, session, event, limiter=_readers())
    return advance_session(built, session, event)


def _is_light(built: Built, event: RequestReceived) -> bool:
    if not built.vaults.light:
        return False
    encodings = {v.strip().lower() for k, v in event.headers if k == b"content-encoding"}
    if encodings - {b"", b"identity"}:
        return False  # who knows how much it is
    size = len(event.body) + len(event.query) + sum(map(len, event.envelope))
    return size <= _light(built.deployment.guard)


def _light(guard: Guard) -> int:
    """Bytes of a request up to which it is read quickly enough for an event loop."""
    return 0 if guard.reader else guard.detector.light


_limiter: RunVar[CapacityLimiter] = RunVar("guardrail readers")


def _readers() -> CapacityLimiter:
    """The limiter of this event loop: as many threads as can be busy at once, two at least."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(max(2, os.cpu_count() or 2))
        _limiter.set(limiter)
        return limiter
