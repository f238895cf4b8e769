"""Trials: scenarios put to the policies, what came of each, and which rules had a say in any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import NamedTuple

from guardrail.policy.explain import Climb, Question, egress, output, restoring
from guardrail.policy.ladder import decide, decide_output, may_restore
from guardrail.policy.loader import PolicyStore, populated
from guardrail.policy.obligations import Keeping, retention
from guardrail.policy.scenarios import LOCAL, NEVER, SENT, SHOWN, SINKS, STORES, Scenario, World
from guardrail.types import Endpoint, Evidence, Reason, RequestContext, Treatment

_OWN = "own"
"""Provider of the endpoint that always exists."""


class Outcome(NamedTuple):
    """One thing that a scenario expects, and what came.

    `key` is that of the scenario (`expect`, `show`, ...), `subject` a category or a store.
    `policies` are the rules that decided; `climbs` shows every rung of every law, where there are
    rungs. What comes with an error is not what was expected.
    """

    key: str
    subject: str
    expected: str
    came: str
    policies: tuple[str, ...]
    climbs: tuple[Climb, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether what came is what was expected."""
        return self.expected == self.came


class Trial(NamedTuple):
    """What came of a scenario; `exercised` are the rules in answers to all that it asked."""

    scenario: Scenario
    outcomes: tuple[Outcome, ...]
    exercised: frozenset[str]

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return all(one.passed for one in self.outcomes)


class Coverage(NamedTuple):
    """How many rules there are, and those that no scenario exercised."""

    rules: int
    uncovered: tuple[Reason, ...]

    @property
    def percent(self) -> float:
        """How many of a hundred rules were exercised."""
        return 100 * (self.rules - len(self.uncovered)) / self.rules if self.rules else 100.0


class Stage:
    """The policies with a scenario's world around them, made once for each place of establishment.

    Applications and endpoints keep the names of the world, so that rules may speak of them by name.
    """

    def __init__(self, store: PolicyStore, world: World) -> None:
        self._store = store
        self._world = world
        self._stores: dict[str, PolicyStore] = {}

    def put(self, scenario: Scenario) -> tuple[PolicyStore, Question]:
        """The policies to ask about a scenario, and the question that it is."""
        place = scenario.established
        local = Endpoint(id=LOCAL, provider=_OWN, location=place, local=True)
        endpoints = {**self._world.endpoints, LOCAL: local}
        if place not in self._stores:
            apps = [replace(app, establishment=place) for app in self._world.apps.values()]
            self._stores[place] = populated(
                self._store, endpoints=[*endpoints.values()], principals=apps
            )
        store = self._stores[place]
        context = RequestContext(
            exchange="scenario",
            principal=store.principals[scenario.app],
            purpose=scenario.purpose,
            basis=scenario.basis,
            origin=scenario.origin,
            conversation="",
            now=datetime.combine(scenario.on, time(), tzinfo=UTC),
            consents=scenario.consents,
            filings=scenario.filings,
            age=scenario.age,
        )
        return store, Question(
            context=context,
            endpoint=endpoints[scenario.endpoint],
            local=local,
            residual=scenario.residual,
            injected=scenario.injected,
        )

    def trial(self, scenario: Scenario) -> Trial:
        """What comes of a scenario."""
        store, question = self.put(scenario)
        asking = _Asking(store, question)
        outcomes = (
            *asking.sent(scenario),
            *asking.shown(scenario),
            *asking.restored(scenario),
            *asking.kept(scenario),
        )
        return Trial(scenario, outcomes, frozenset(asking.exercised))


def coverage(store: PolicyStore, trials: Iterable[Trial]) -> Coverage:
    """Which of the store's rules no trial exercised, in the order of their files."""
    exercised = frozenset(policy for trial in trials for policy in trial.exercised)
    uncovered = [reason for name, reason in store.reasons.items() if name not in exercised]
    return Coverage(len(store.reasons), tuple(uncovered))


class _Asking:
    """Asks all that a scenario wants to know, and remembers which rules answered."""

    def __init__(self, store: PolicyStore, question: Question) -> None:
        self.exercised: set[str] = set()
        self._store = store
        self._question = question

    def sent(self, scenario: Scenario) -> Iterator[Outcome]:
        question = self._question
        decision = decide(
            self._store,
            question.context,
            {category: Evidence() for category in scenario.expect},
            endpoint=question.endpoint,
            local=question.local,
            residual=question.residual,
            injected=question.injected,
        )
        for category, expected in scenario.expect.items():
            climbs = self._seen(egress(self._store, question, category))
            came = _said(SENT, decision.treatments[category], *decision.errors)
            policies = tuple(one.policy for one in decision.reasons[category])
            yield Outcome("expect", category, _said(SENT, expected), came, policies, climbs)
            because = sorted(scenario.because.get(category, ()))
            if because:
                named = ", ".join(one for one in because if one in policies)
                wanted = ", ".join(because)
                yield Outcome("because", category, wanted, named or "other rules", policies, climbs)

    def shown(self, scenario: Scenario) -> Iterator[Outcome]:
        question = self._question
        for category, expected in scenario.show.items():
            treatment, reasons = decide_output(
                self._store,
                question.context,
                category,
                endpoint=question.endpoint,
                injected=question.injected,
            )
            climbs = self._seen(output(self._store, question, category))
            came = _said(SHOWN, treatment, *_faults(climbs))
            policies = tuple(one.policy for one in reasons)
            yield Outcome("show", category, _said(SHOWN, expected), came, policies, climbs)

    def restored(self, scenario: Scenario) -> Iterator[Outcome]:
        question = self._question
        for category, expected in scenario.restore.items():
            climbs: tuple[Climb, ...] = ()
            sinks = []
            for sink in SINKS:
                climbs += self._seen(restoring(self._store, question, category, sink))
                if may_restore(
                    self._store,
                    question.context,
                    category,
                    endpoint=question.endpoint,
                    sink=sink,
                    tool_declared=sink == "tool",
                    injected=question.injected,
                ):
                    sinks.append(sink)
            wanted = _listed(sink for sink in SINKS if sink in expected)
            came = ", ".join((_listed(sinks), *_faults(climbs)))
            policies = tuple(sorted({name for one in climbs for name in one.policies}))
            yield Outcome("restore", category, wanted, came, policies, climbs)

    def kept(self, scenario: Scenario) -> Iterator[Outcome]:
        context = self._question.context
        for kept in STORES:
            if kept not in scenario.retain and kept not in scenario.purge:
                continue
            keeping = retention(
                self._store,
                kept,
                principal=context.principal.id,
                origin=context.origin,
                purpose=context.purpose,
                basis=context.basis,
            )
            self.exercised.update(keeping.policies)
            if kept in scenario.retain:
                yield _of_days("retain", kept, scenario.retain[kept], _limit(keeping), keeping)
            if kept in scenario.purge:
                yield _of_days("purge", kept, scenario.purge[kept], keeping.duty, keeping)

    def _seen(self, climbs: tuple[Climb, ...]) -> tuple[Climb, ...]:
        self.exercised.update(name for one in climbs for name in one.policies)
        return climbs


def _said(words: Mapping[str, Treatment], treatment: Treatment, *errors: str) -> str:
    """A treatment in the words of a scenario, with what went wrong."""
    return ", ".join((next(word for word, one in words.items() if one is treatment), *errors))


def _faults(climbs: tuple[Climb, ...]) -> tuple[str, ...]:
    return tuple(sorted({fault for one in climbs for fault in one.faults}))


def _listed(sinks: Iterable[str]) -> str:
    return ", ".join(sinks) or "nothing"


def _limit(keeping: Keeping) -> int | None:
    return None if keeping.limit < 0 else keeping.limit


def _of_days(
    key: str, kept: str, expected: int | None, came: int | None, keeping: Keeping
) -> Outcome:
    said = [NEVER if days is None else f"{days} days" for days in (expected, came)]
    return Outcome(key, kept, said[0], said[1], keeping.policies)
