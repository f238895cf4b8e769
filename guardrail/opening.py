"""How every shell opens an exchange: who asks, under which id, with which vault."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime

from guardrail.audit.event import event_id
from guardrail.config import Built
from guardrail.context import App, derive_context
from guardrail.errors import Refusal
from guardrail.exchange import Door, Exchange, Headers
from guardrail.policy.loader import selftest
from guardrail.routing.routes import Route
from guardrail.transform.vault import Vault


def now() -> datetime:
    """The time of audit events."""
    return datetime.now(UTC)


def new_id() -> str:
    """A fresh UUIDv7 in hex."""
    return event_id(now(), secrets.token_bytes(10))


_threads = threading.local()


def prove_thread(built: Built) -> None:
    """Makes sure that the policy engine can deny on this thread, once per thread.

    The engine's depth limit depends on the stack it runs on; where that is too small, it skips
    rules. Raises PolicyUnavailable.
    """
    if not getattr(_threads, "proven", False):
        selftest(built.deployment.guard.policies)
        _threads.proven = True


def open_exchange(
    built: Built,
    *,
    door: Door,
    app: App,
    headers: Headers,
    target: Route | None = None,
) -> tuple[Exchange, Refusal | None]:
    """Gives a new exchange, and why its headers must be refused, if they must."""
    exchange_id, at = new_id(), now()
    named = [(k.decode("latin-1"), v.decode("latin-1").strip()) for k, v in headers]
    vocabulary = built.deployment.guard.policies.vocabulary
    refusal = None
    try:
        context = derive_context(
            app, headers=named, vocabulary=vocabulary, exchange=exchange_id, now=at
        )
    except Refusal as error:
        refusal = error
        context = derive_context(
            app, headers=(), vocabulary=vocabulary, exchange=exchange_id, now=at
        )
    # An exchange on its own gets a vault of its own, which nobody can name and which ends with it.
    shared = context.conversation != exchange_id
    vault = (
        built.vaults.open(principal=app.principal.id, conversation=context.conversation, now=at)
        if shared
        else Vault()
    )
    exchange = Exchange(
        built.deployment,
        door=door,
        context=context,
        vault=vault,
        clock=now,
        new_id=new_id,
        target=target,
    )
    return exchange, refusal
