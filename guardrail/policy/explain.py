"""Explain: every rung of the ladder with the rules that answered, and what would be milder.

`guardrail.policy.ladder` decides; here the same questions are asked one by one, those that it did
not need among them, so that people see why a category is treated as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

from guardrail.policy.cedar import Answer, ask
from guardrail.policy.ladder import decide
from guardrail.policy.loader import EVERYWHERE, PolicyStore, populated
from guardrail.policy.questions import Restoring, case, facts, request
from guardrail.policy.vocabulary import PROCESS_LOCALLY, REIDENTIFY, SEND, SHOW
from guardrail.taxonomy import UNKNOWN
from guardrail.types import Category, Endpoint, Evidence, RequestContext, Treatment

_FOUND = Evidence()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request as policies are asked about it, at an endpoint; `local` may have it instead.

    `residual`, `injected` and `evidence` are as in `guardrail.policy.ladder.decide`, `evidence`
    that of each category. All words in it, the application and the endpoints are the store's.
    """

    context: RequestContext
    endpoint: Endpoint
    local: Endpoint | None
    residual: float | None = None
    injected: bool = False
    evidence: Evidence = _FOUND


class Rung(NamedTuple):
    """One action at one endpoint, what it does to a category, and what a law's rules answer.

    `reached` tells whether the ladder asks so far: not above a rung that is allowed, and nothing
    but the local model where a rule forbids even that.
    """

    action: str
    endpoint: str
    treatment: Treatment
    answer: Answer
    reached: bool


class Climb(NamedTuple):
    """The rungs of one law, mildest first, and where it ends; `law` is empty for the base alone."""

    law: str
    treatment: Treatment
    rungs: tuple[Rung, ...]

    @property
    def policies(self) -> frozenset[str]:
        """Ids of the rules in the answers to all that the ladder asked."""
        return frozenset(name for one in self.rungs if one.reached for name in one.answer.policies)

    @property
    def faults(self) -> tuple[str, ...]:
        """Why answers that the ladder asked for cannot be trusted."""
        return tuple(one.answer.fault for one in self.rungs if one.reached and one.answer.fault)


class Help(NamedTuple):
    """One change to a request, of one word, under which a category is treated more mildly.

    `kind` is what changes: a vocabulary (`filing`), `endpoint` for another one of those configured,
    or `provider` for a fact about it. `policies` are the permits that would then decide.
    """

    kind: str
    word: str
    meaning: str
    treatment: Treatment
    policies: tuple[str, ...]


class Explanation(NamedTuple):
    """How one category is treated and why; `errors` are the classes of error of the decision."""

    category: Category
    treatment: Treatment
    errors: tuple[str, ...]
    climbs: tuple[Climb, ...]
    help: tuple[Help, ...]

    @property
    def strictest(self) -> tuple[str, ...]:
        """The laws that treat it no milder than the result is."""
        return tuple(one.law for one in self.climbs if one.treatment is self.treatment)


_Inquire: TypeAlias = Callable[[str, Endpoint], Answer]


# ── every rung ───────────────────────────────────────────────────────────────────────────────────


def egress(store: PolicyStore, question: Question, category: Category) -> tuple[Climb, ...]:
    """Each law's rungs of sending a category to the endpoint, and of the local model."""
    endpoint = question.endpoint
    home = endpoint if endpoint.local else question.local
    told = _told(store, question, category, residual=question.residual)
    return tuple(
        _egress(law, partial(_inquire, store, law, question, told), endpoint, home)
        for law in _sets(store, question.context)
    )


def output(store: PolicyStore, question: Question, category: Category) -> tuple[Climb, ...]:
    """Each law's rungs of showing a category in the endpoint's answer."""
    told = _told(store, replace(question, evidence=Evidence()), category)
    return _simple(store, question, told, SHOW)


def restoring(
    store: PolicyStore,
    question: Question,
    category: Category,
    sink: Literal["text", "tool", "url", "code"],
) -> tuple[Climb, ...]:
    """Each law's one rung of restoring originals of a category; a tool is taken to be declared."""
    where = Restoring(sink, tool_declared=sink == "tool")
    told = _told(store, replace(question, evidence=Evidence()), category, where)
    climbs = _simple(store, question, told, {REIDENTIFY: Treatment.CLEAR})
    return tuple(
        one._replace(
            rungs=tuple(rung._replace(action=f"{rung.action} {sink}") for rung in one.rungs)
        )
        for one in climbs
    )


def _sets(store: PolicyStore, context: RequestContext) -> tuple[str, ...]:
    """The sets of rules that the ladder asks: each law that applies; the base where none does."""
    laws = store.regions.applicable(
        origin=context.origin, establishment=context.principal.establishment
    )
    return laws if laws and store.regions.known(context.origin) else (*laws, EVERYWHERE)


def _told(
    store: PolicyStore,
    question: Question,
    category: Category,
    where: Restoring | None = None,
    *,
    residual: float | None = None,
) -> str:
    origin = question.context.origin
    this = case(
        question.context,
        category if category in store.categories else UNKNOWN,
        question.evidence,
        origin=origin if store.regions.known(origin) else "",
        residual=residual,
        injected=question.injected,
    )
    return facts(this, where)


def _inquire(
    store: PolicyStore, law: str, question: Question, told: str, action: str, endpoint: Endpoint
) -> Answer:
    return ask(
        request(
            principal=question.context.principal.id,
            action=action,
            endpoint=endpoint.id,
            context=told,
        ),
        policies=store.sets[law][action].policies,
        entities=store.entities,
        schema=store.schema,
    )


def _egress(law: str, inquire: _Inquire, endpoint: Endpoint, home: Endpoint | None) -> Climb:
    at_home = inquire(PROCESS_LOCALLY, home or endpoint)
    barred = bool(at_home.fault or (at_home.policies and not at_home.allowed))
    sent = () if endpoint.local else _rungs(inquire, SEND, endpoint, reached=not barred)
    treatment = _end(sent)
    if treatment is Treatment.BLOCKED and home and at_home.allowed:
        treatment = Treatment.LOCAL
    stay = Rung(PROCESS_LOCALLY, (home or endpoint).id, Treatment.LOCAL, at_home, reached=True)
    return Climb(law, treatment, (*sent, stay))


def _simple(
    store: PolicyStore, question: Question, told: str, actions: Mapping[str, Treatment]
) -> tuple[Climb, ...]:
    climbs = []
    for law in _sets(store, question.context):
        inquire = partial(_inquire, store, law, question, told)
        rungs = _rungs(inquire, actions, question.endpoint, reached=True)
        climbs.append(Climb(law, _end(rungs), rungs))
    return tuple(climbs)


def _rungs(
    inquire: _Inquire, actions: Mapping[str, Treatment], endpoint: Endpoint, *, reached: bool
) -> tuple[Rung, ...]:
    rungs = []
    for action, treatment in actions.items():
        answer = inquire(action, endpoint)
        rungs.append(Rung(action, endpoint.id, treatment, answer, reached))
        reached = reached and not answer.allowed
    return tuple(rungs)


def _end(rungs: tuple[Rung, ...]) -> Treatment:
    """The treatment of the first rung that is reached and allowed."""
    return next(
        (one.treatment for one in rungs if one.reached and one.answer.allowed), Treatment.BLOCKED
    )


# ── what would help ──────────────────────────────────────────────────────────────────────────────


def explained(
    store: PolicyStore, question: Question, categories: tuple[Category, ...]
) -> tuple[Explanation, ...]:
    """How each category is treated, every law's rungs, and which single changes would be milder.

    Raises:
        ValueError: the facts are none that policies can be asked about, such as an age below 0.
    """
    decided = {one: _decide(store, question, one) for one in categories}
    unclear = tuple(one for one in categories if decided[one][0] is not Treatment.CLEAR)
    helps: dict[Category, list[Help]] = {one: [] for one in categories}
    for kind, word, meaning, changed, other in _changes(store, question) if unclear else ():
        for category in unclear:
            treatment, permits, _ = _decide(changed, other, category)
            if treatment < decided[category][0]:
                helps[category].append(Help(kind, word, meaning, treatment, permits))
    return tuple(
        Explanation(
            category,
            decided[category][0],
            decided[category][2],
            egress(store, question, category),
            tuple(sorted(helps[category], key=lambda one: one.treatment)),
        )
        for category in categories
    )


def _decide(
    store: PolicyStore, question: Question, category: Category
) -> tuple[Treatment, tuple[str, ...], tuple[str, ...]]:
    """The treatment, the permits that decided, and classes of error."""
    decision = decide(
        store,
        question.context,
        {category: question.evidence},
        endpoint=question.endpoint,
        local=question.local,
        residual=question.residual,
        injected=question.injected,
    )
    permits = tuple(one.policy for one in decision.reasons[category] if one.effect == "permit")
    return decision.treatments[category], permits, decision.errors


_Changed: TypeAlias = tuple[str, str, str, PolicyStore, Question]
"""Kind, word and meaning of a change, and who would then be asked what."""


def _changes(store: PolicyStore, question: Question) -> Iterator[_Changed]:
    context = question.context
    for kind, word, other in _words(store, context):
        if other != context:
            yield kind, word, store.meanings[kind][word], store, replace(question, context=other)
    for kind, word, meaning, endpoint in _contracts(store, question.endpoint):
        if endpoint != question.endpoint and not endpoint.local:
            # The endpoint keeps its name, since rules may speak of it by that.
            there = {**store.endpoints, endpoint.id: endpoint}
            world = populated(
                store, endpoints=[*there.values()], principals=[*store.principals.values()]
            )
            yield kind, word, meaning, world, replace(question, endpoint=endpoint)
    for endpoint in store.endpoints.values():
        if endpoint.id not in (question.endpoint.id, question.local and question.local.id):
            meaning = f"in {endpoint.location}"
            yield "endpoint", endpoint.id, meaning, store, replace(question, endpoint=endpoint)


def _words(
    store: PolicyStore, context: RequestContext
) -> Iterator[tuple[str, str, RequestContext]]:
    for word in store.meanings["filing"]:
        yield "filing", word, replace(context, filings=context.filings | {word})
    for word in store.meanings["consent"]:
        yield "consent", word, replace(context, consents=context.consents | {word})
    for word in store.meanings["basis"]:
        yield "basis", word, replace(context, basis=word)
    for word in store.meanings["purpose"]:
        yield "purpose", word, replace(context, purpose=word)


def _contracts(store: PolicyStore, endpoint: Endpoint) -> Iterator[tuple[str, str, str, Endpoint]]:
    for word, meaning in store.meanings["agreement"].items():
        signed = replace(endpoint, agreements=endpoint.agreements | {word})
        yield "agreement", word, meaning, signed
    without = replace(endpoint, trains_on_data=False)
    yield "provider", "no training", "it trains no model on what it receives", without
    forgetting = replace(endpoint, zero_retention=True)
    yield "provider", "zero retention", "it keeps nothing that it receives", forgetting
