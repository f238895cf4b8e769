"""Replay: what other policies would have decided on the requests that an audit log recorded.

An event holds no content, only the quantised facts that the policies were asked about. The same
facts put to another set of policies give the decision that it would have made, exactly, as far as
applications and endpoints are still those of the time: their facts are not in the log.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from guardrail.policy.ladder import decide
from guardrail.policy.loader import PolicyStore
from guardrail.types import AuditEvent, Category, Decision, Evidence, RequestContext, Treatment

REPLAYED = frozenset({"egress.decision", "request.refused"})
"""Kinds of events that hold a decision."""
_KEPT = 1 << 16
"""Distinct questions whose decisions are remembered."""


class Change(NamedTuple):
    """One category at one endpoint that other policies treat in another way."""

    principal: str
    endpoint: str
    category: Category
    old: Treatment
    new: Treatment
    policies: tuple[str, ...]

    @property
    def looser(self) -> bool:
        """Whether the other policies let more happen."""
        return self.new < self.old


@dataclass(slots=True)
class Outcome:
    """What came of a replay: numbers of events, and of each change with the first event of it.

    `skipped` counts events that cannot be asked again, by why: `undecided` (refused before any
    policy was asked), `unrecorded` (written before events held the facts), `unknown` (an app or
    endpoint that is no longer there). `asked` are the distinct questions.
    """

    events: int = 0
    asked: int = 0
    same: int = 0
    changed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    changes: Counter[Change] = field(default_factory=Counter)
    examples: dict[Change, str] = field(default_factory=dict)

    def sorted(self) -> list[tuple[Change, int]]:
        """Changes with how many events each concerns: looser ones first, then the most frequent."""
        return sorted(self.changes.items(), key=lambda one: (not one[0].looser, -one[1], one[0]))


class Replay:
    """Puts events, one after another, to a set of policies; `outcome` says what came of them.

    An event's treatments are those at the time: what a fault decided then counts as changed where
    it is decided otherwise now.
    """

    def __init__(self, store: PolicyStore) -> None:
        self.outcome = Outcome()
        self._store = store
        self._decided: OrderedDict[Hashable, tuple[Decision, ...] | None] = OrderedDict()

    def put(self, event: AuditEvent) -> None:
        """Decides again what an event records; events of other kinds change nothing."""
        if event.kind not in REPLAYED:
            return
        self.outcome.events += 1
        reason = _unfit(event)
        decisions = None if reason else self._decisions(event)
        if decisions is None:
            self.outcome.skipped[reason or "unknown"] += 1
        else:
            _compare(event, decisions, self.outcome)

    def _decisions(self, event: AuditEvent) -> tuple[Decision, ...] | None:
        key = _key(event)
        if key not in self._decided:
            self.outcome.asked += 1
            self._decided[key] = _ask(event, self._store)
            if len(self._decided) > _KEPT:
                self._decided.popitem(last=False)
        return self._decided[key]


def _unfit(event: AuditEvent) -> str:
    if not event.treatments:
        return "undecided"
    return "" if event.found and event.judged else "unrecorded"


def _key(event: AuditEvent) -> Hashable:
    """All that a decision depends on; the day, since rules may expire."""
    return (
        event.principal,
        event.purpose,
        event.basis,
        event.origin,
        event.consents,
        event.filings,
        event.age,
        frozenset(event.found.items()),
        frozenset(event.confidences.items()),
        event.residual,
        event.judged,
        event.local,
        event.unalterable,
        event.injected,
        event.at.date(),
    )


def _ask(event: AuditEvent, store: PolicyStore) -> tuple[Decision, ...] | None:
    """One decision per endpoint that was judged; None where somebody is not known any more."""
    principal = store.principals.get(event.principal)
    endpoints = [store.endpoints.get(name) for name in event.judged]
    local = store.endpoints.get(event.local) if event.local else None
    if principal is None or None in endpoints or (event.local and local is None):
        return None
    context = RequestContext(
        exchange=event.exchange,
        principal=principal,
        purpose=event.purpose,
        basis=event.basis,
        origin=event.origin,
        conversation="",
        now=event.at,
        consents=frozenset(event.consents),
        filings=frozenset(event.filings),
        age=event.age,
    )
    evidence = {
        Category(name): Evidence(count=count, score=event.confidences.get(name, 100) / 100)
        for name, count in event.found.items()
    }
    return tuple(
        decide(
            store,
            context,
            evidence,
            endpoint=endpoint,
            local=local,
            residual=None if event.residual is None else event.residual / 100,
            unalterable=frozenset(map(Category, event.unalterable)),
            injected=event.injected,
        )
        for endpoint in endpoints
        if endpoint is not None
    )


def _compare(event: AuditEvent, decisions: tuple[Decision, ...], outcome: Outcome) -> None:
    differs = False
    for name, said in event.treatments.items():
        category, old = Category(name), Treatment[said.upper()]
        strictest = max(decisions, key=lambda one: one.treatments.get(category, old))
        new = strictest.treatments.get(category, old)
        if new is old:
            continue
        differs = True
        reasons = strictest.reasons.get(category, ())
        change = Change(
            event.principal,
            strictest.endpoint,
            category,
            old,
            new,
            tuple(r.policy for r in reasons),
        )
        outcome.changes[change] += 1
        outcome.examples.setdefault(change, event.id)
    outcome.changed += differs
    outcome.same += not differs
