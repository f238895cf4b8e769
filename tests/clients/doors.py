"""The two doors through which a client's SDK reaches the model, and what must hold behind each."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import pytest
from servers import CARD, EMAIL, NAME, leaked

from clients.stand_in import StandIn
from guardrail.config import Built
from guardrail.transport import transports

TEXT = f"My name is {NAME}, mail {EMAIL}, card {CARD}. Grüße 😀"
"""What the user of every client says."""

BACK = TEXT.replace(CARD, "[CARD_1]")
"""What the client reads where the model repeats it: a card number is never brought back."""

TOOL = "send_mail"
"""The tool whose arguments the configuration has restored."""

SECRETS = (NAME, "Süßmilch", EMAIL, CARD, CARD.replace(" ", ""))

PROHIBITED = {"x-guardrail-purpose": "social-scoring"}
"""A purpose for which nothing may be asked of any model."""

REFUSED = "policy blocks this request"
"""What the message of every such refusal begins with."""

BROKEN = "broke off its answer"
"""What a client is told of a stream that the model did not end."""

TELLING: dict[str, Any] = {
    "type": "object",
    "description": TEXT,
    "properties": {"text": {"type": "string", "description": TEXT, "examples": [TEXT]}},
}
"""A schema that tells of somebody."""

CODED = base64.b64encode(TEXT.encode()).decode()
"""The same in base64, as files are sent."""

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
"""What the tool takes."""


def wanted(name: str, *, why: str = "scripts/test --all installs it") -> Any:
    """An SDK or a module of one; the test that asks for it is skipped where it is not installed."""
    return pytest.importorskip(name, reason=f"{name} is not installed: {why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One way to the model. Without `built`, the SDK speaks to a guarded app at `url`; with it, to
    the model at `url`, through a client whose transport guards.
    """

    url: str
    upstream: StandIn
    closing: ExitStack
    built: Built | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def prohibited(self) -> Door:
        """The same door for somebody whose purpose is prohibited."""
        return replace(self, headers=PROHIBITED)

    def client(self, module: ModuleType) -> Any:
        """A synchronous client of `httpx` or `httpx2`, as an SDK takes it."""
        return self.closing.enter_context(module.Client(**self.options(module)))

    def options(self, module: ModuleType) -> dict[str, Any]:
        """The same as the options of a client that an SDK makes itself."""
        guarded = {"transport": transports(module)[0](self.built)} if self.built else {}
        return {"trust_env": False, "headers": dict(self.headers), "timeout": 20, **guarded}

    def async_client(self, module: ModuleType) -> Any:
        """An asynchronous client; whoever asks for it closes it."""
        guarded = {"transport": transports(module)[1](self.built)} if self.built else {}
        options = {"trust_env": False, "headers": dict(self.headers), "timeout": 20, **guarded}
        return module.AsyncClient(**options)

    def kept(self) -> bool:
        """Whether the model was asked, got a placeholder, and nothing that was planted."""
        return self.spared() and b"[EMAIL_1]" in self.upstream.received

    def spared(self) -> bool:
        """Whether the model was asked, and got nothing that was planted."""
        received = self.upstream.received
        return bool(received) and leaked(received, (*SECRETS, CODED[:40])) == []

    def shut(self) -> bool:
        """Whether the model was asked nothing at all."""
        return self.upstream.seen == []
