"""A WebSocket without a socket: which policies decide what, and when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from exchange_world import CLOUD, NOW, PARIS, deployment, guard, policies_with, usual

from guardrail.exchange import Deployment, Record, RequestReceived
from guardrail.protocols.maps import protocol_at
from guardrail.session import ClientFrame, Command, Deliver, ServerAccepted, Session, Tell
from guardrail.transform.vault import Vault

UNTIL = f"""
@id("house.until") @title("Not yet") @reason("Test.")
@expires("{NOW + timedelta(days=1):%Y-%m-%d}")
forbid (principal, action in Action::"send", resource)
when {{ context.category in Category::"contact" }};
"""


class Asked:
    """Gives one deployment after the other, the last one for ever, and counts."""

    def __init__(self, *deployments: Deployment) -> None:
        self.left = list(deployments)
        self.times = 0
        self.now: datetime = NOW

    def __call__(self) -> Deployment:
        self.times += 1
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


def opened(asked: Asked, first: Deployment, path: str = "/v1/responses") -> Session:
    numbers = count(1)
    session = Session(
        first,
        in_force=asked,
        path=path,
        protocol=protocol_at(path),
        context=usual(),
        vault=Vault(),
        clock=lambda: asked.now,
        new_id=lambda: f"{next(numbers):032x}",
    )
    session.opening.receive(RequestReceived(method="GET", path=path))
    session.receive(ServerAccepted())
    return session


def said(text: str, model: str = "gpt-5") -> ClientFrame:
    frame = {"type": "response.create", "model": model, "input": text}
    return ClientFrame(data=json.dumps(frame).encode())


def code(commands: Sequence[Command]) -> str:
    """The code of the error that is told; empty where the frame is delivered."""
    told = [json.loads(one.data)["error"]["code"] for one in commands if isinstance(one, Tell)]
    assert bool(told) is not any(isinstance(one, Deliver) for one in commands)
    return told[0] if told else ""


def test_what_is_in_force_is_asked_once_for_a_frame() -> None:
    one = deployment((CLOUD, PARIS))
    asked = Asked(one)
    session = opened(asked, one)
    assert asked.times == 0
    assert code(session.receive(said("mail bob@example.com"))) == ""
    assert asked.times == 1
    commands = session.receive(said("mail bob@example.com", model="mistral-1"))
    assert code(commands) == "endpoint_changed"
    assert asked.times == 2
    (record,) = [one for one in commands if isinstance(one, Record)]
    assert record.event.kind == "request.refused"
    assert record.event.policy_digest == one.guard.policies.digest


def test_a_rule_that_ends_while_a_connection_lasts_has_ended(tmp_path: Path) -> None:
    one = deployment((CLOUD,), guard=guard(policies_with(tmp_path, {"u.cedar": UNTIL}), (CLOUD,)))
    asked = Asked(one)
    session = opened(asked, one)
    assert code(session.receive(said("mail bob@example.com"))) == "policy_violation"
    asked.now += timedelta(days=1)
    assert code(session.receive(said("mail bob@example.com"))) == ""
