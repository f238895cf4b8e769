"""Ladder: the least protective treatment of each category that the policies permit.

For each category, and each law that applies, the rungs are asked in turn: send in clear, send
pseudonymised, send redacted, process locally. The first that is allowed, without error, is that
law's treatment; the strictest law wins. A category that a rule forbids to process even locally is
blocked. Nothing here has effects but on the store's memory of verdicts, and nothing raises for a
fault of policy, data or engine: a fault is a denial with a class of error.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from guardrail.policy.cedar import Answer, ask
from guardrail.policy.loader import EVERYWHERE, PolicyStore
from guardrail.policy.questions import (
    Case,
    Restoring,
    case,
    day,
    facts,
    known_age,
    narrowed,
    request,
)
from guardrail.policy.verdicts import Verdict
from guardrail.policy.vocabulary import (
    PROCESS_LOCALLY,
    PROCESS_UNAUDITED,
    REIDENTIFY,
    SEND,
    SHOW,
    quantised_confidence,
    quantised_count,
    quantised_residual,
)
from guardrail.taxonomy import NONE, UNKNOWN
from guardrail.types import (
    Category,
    Decision,
    Endpoint,
    Evidence,
    Reason,
    RequestContext,
    Treatment,
)

_Inquire: TypeAlias = Callable[[str, Endpoint], Answer]
"""Puts one action at one endpoint to one set of policies."""

_Climb: TypeAlias = Callable[[_Inquire], Verdict]
"""Asks as many actions as it needs for a verdict."""


class _Sitting(NamedTuple):
    """What all questions of one call share: the laws, the sets to ask, and why none may be."""

    laws: tuple[str, ...]
    sets: tuple[str, ...]
    origin: str
    fault: str


def decide(
    store: PolicyStore,
    context: RequestContext,
    evidence: Mapping[Category, Evidence],
    *,
    endpoint: Endpoint,
    local: Endpoint | None,
    residual: float | None = None,
    unalterable: frozenset[Category] = frozenset(),
    injected: bool = False,
) -> Decision:
    """What may happen to each category found, were the request sent to this endpoint.

    Nothing found is a category of its own, `none`. At a local endpoint the only treatments are
    LOCAL and BLOCKED; at others LOCAL is given only where `local` may have the request. The reasons
    of a category are the forbids that denied milder treatments, then the permits of the one given.
    `residual` is the expected number of names that were not found, None where it is not known.
    What is `unalterable` stands in something that cannot be written again: it leaves in clear or
    not at all. `injected` says that something from outside in the request speaks to the model, or
    hides.
    """
    home = endpoint if endpoint.local else local
    asked = (endpoint, home) if home else (endpoint,)
    sitting = _sit(store, context, *asked)
    subject = ("egress", *(one.id for one in asked))
    key = None
    if not sitting.fault and evidence.keys() <= store.categories:
        key = _key(subject, context, sitting, evidence, residual, unalterable, injected)
    known = store.memo.decisions.get(key) if key else None
    if known:
        return known
    climbs = {
        fixed: partial(_climb, endpoint=endpoint, home=home, rungs=_CLEAR if fixed else SEND)
        for fixed in (False, True)
    }
    verdicts = {
        category: _verdict(
            store,
            context,
            sitting,
            category,
            proof,
            (*subject, category in unalterable),
            climbs[category in unalterable],
            residual=residual,
            injected=injected,
        )
        for category, proof in (evidence or {NONE: Evidence()}).items()
    }
    decision = Decision(
        endpoint=endpoint.id,
        treatments=MappingProxyType({name: one.treatment for name, one in verdicts.items()}),
        regions=sitting.laws,
        reasons=MappingProxyType({name: _reasons(store, one) for name, one in verdicts.items()}),
        digest=store.digest,
        judged=(endpoint.id,),
        local=home.id if home else "",
        errors=tuple(sorted({error for one in verdicts.values() for error in one.errors})),
    )
    if key:
        store.memo.decisions.put(key, decision)
    return decision


def _key(
    subject: tuple[str, ...],
    context: RequestContext,
    sitting: _Sitting,
    evidence: Mapping[Category, Evidence],
    residual: float | None,
    unalterable: frozenset[Category],
    injected: bool,
) -> Hashable:
    """All that a decision depends on, quantised; None where a fact is not one."""
    try:
        return (
            subject,
            sitting.sets,
            sitting.origin,
            context.principal.id,
            context.purpose,
            context.basis,
            context.consents,
            context.filings,
            known_age(context),
            day(context.now),
            None if residual is None else quantised_residual(residual),
            unalterable,
            injected,
            *(
                (category, quantised_count(one.count), quantised_confidence(one.score))
                for category, one in evidence.items()
            ),
        )
    except (TypeError, ValueError):  # what each category then says for itself
        return None


def decide_output(
    store: PolicyStore,
    context: RequestContext,
    category: Category,
    *,
    endpoint: Endpoint,
    injected: bool = False,
) -> tuple[Treatment, tuple[Reason, ...]]:
    """How an answer may show a category: CLEAR, REDACTED (masked) or BLOCKED, and why."""
    sitting = _sit(store, context, endpoint)
    climb = partial(_first, rungs=SHOW, endpoint=endpoint)
    subject = ("output", endpoint.id)
    verdict = _verdict(
        store, context, sitting, category, Evidence(), subject, climb, injected=injected
    )
    return verdict.treatment, _reasons(store, verdict)


def may_restore(
    store: PolicyStore,
    context: RequestContext,
    category: Category,
    *,
    endpoint: Endpoint,
    sink: Literal["text", "tool", "url", "code"],
    tool_declared: bool = False,
    injected: bool = False,
) -> bool:
    """Tells whether originals of a category may replace pseudonyms where the sink says.

    `tool_declared` states that the deployment declares the tool as inside its trust boundary,
    `injected` that something from outside in the request speaks to the model, or hides.
    """
    sitting = _sit(store, context, endpoint)
    climb = partial(_first, rungs={REIDENTIFY: Treatment.CLEAR}, endpoint=endpoint)
    subject = ("restore", endpoint.id)
    restoring = Restoring(sink, tool_declared)
    verdict = _verdict(
        store, context, sitting, category, Evidence(), subject, climb, restoring, injected=injected
    )
    return verdict.treatment is Treatment.CLEAR


def may_process_unaudited(
    store: PolicyStore,
    context: RequestContext,
    evidence: Mapping[Category, Evidence],
    *,
    endpoint: Endpoint,
    injected: bool = False,
) -> bool:
    """Tells whether a request may go on at an endpoint although it cannot be recorded."""
    sitting = _sit(store, context, endpoint)
    climb = partial(_first, rungs={PROCESS_UNAUDITED: Treatment.CLEAR}, endpoint=endpoint)
    subject = ("unaudited", endpoint.id)
    return all(
        _verdict(
            store, context, sitting, category, proof, subject, climb, injected=injected
        ).treatment
        is Treatment.CLEAR
        for category, proof in (evidence or {NONE: Evidence()}).items()
    )


def _sit(store: PolicyStore, context: RequestContext, *endpoints: Endpoint) -> _Sitting:
    laws = store.regions.applicable(
        origin=context.origin, establishment=context.principal.establishment
    )
    origin = context.origin if store.regions.known(context.origin) else ""
    # Where the origin is not known, a rule that tests it cannot be relied on, and some law that was
    # not asked may protect the person: what leaves must be permitted everywhere as well.
    sets = laws if laws and origin else (*laws, EVERYWHERE)
    return _Sitting(laws, sets, origin, _unfit(store, context, endpoints))


def _unfit(store: PolicyStore, context: RequestContext, endpoints: tuple[Endpoint, ...]) -> str:
    """Class of error of a context that policies cannot be asked about; empty when they can.

    Principals and endpoints must equal those that were loaded, since rules judge the loaded facts.
    """
    words = store.vocabulary
    if store.signed and store.signed.expired(context.now):
        return "ExpiredPolicies"
    if store.principals.get(context.principal.id) != context.principal:
        return "UnknownPrincipal"
    if any(store.endpoints.get(endpoint.id) != endpoint for endpoint in endpoints):
        return "UnknownEndpoint"
    if context.purpose not in words["purpose"]:
        return "UnknownPurpose"
    if context.basis not in words["basis"]:
        return "UnknownBasis"
    if not context.consents <= words["consent"]:
        return "UnknownConsent"
    if not context.filings <= words["filing"]:
        return "UnknownFiling"
    return ""


def _verdict(
    store: PolicyStore,
    context: RequestContext,
    sitting: _Sitting,
    category: Category,
    evidence: Evidence,
    subject: tuple[Hashable, ...],
    climb: _Climb,
    restoring: Restoring | None = None,
    *,
    residual: float | None = None,
    injected: bool = False,
) -> Verdict:
    """The strictest verdict of all the sets that hold; remembered by its subject."""
    if sitting.fault:
        return Verdict(Treatment.BLOCKED, (), (sitting.fault,))
    classified = category if category in store.categories else UNKNOWN
    try:
        this = case(
            context,
            classified,
            evidence,
            origin=sitting.origin,
            residual=residual,
            injected=injected,
        )
    except (TypeError, ValueError):
        return Verdict(Treatment.BLOCKED, (), ("InvalidFacts",))
    read = (one.mentions for law in sitting.sets for one in store.sets[law].values())
    this = narrowed(this, frozenset[str]().union(*read))
    key = (subject, sitting.sets, this, restoring)
    known = store.memo.verdicts.get(key)
    if known:
        return known
    told = cache(partial(_facts, this, restoring))
    each = [climb(partial(_inquire, store, law, this.principal, told)) for law in sitting.sets]
    strictest = max(one.treatment for one in each)
    deciding = [policy for one in each if one.treatment is strictest for policy in one.policies]
    verdict = Verdict(
        strictest,
        tuple(dict.fromkeys(deciding)),
        tuple(sorted({error for one in each for error in one.errors})),
    )
    store.memo.verdicts.put(key, verdict)
    return verdict


def _facts(this: Case, restoring: Restoring | None, only: frozenset[str]) -> str:
    return facts(this, restoring, only=only)


def _inquire(
    store: PolicyStore,
    law: str,
    principal: str,
    told: Callable[[frozenset[str]], str],
    action: str,
    endpoint: Endpoint,
) -> Answer:
    """One law's answer about one action, told no more than its rules about that action read.

    The schema is left out here, since it would ask for every attribute. Words and entities were
    checked before, and what is missing all the same is an error, which is a denial.
    """
    policies, mentions = store.sets[law][action]
    return ask(
        request(principal=principal, action=action, endpoint=endpoint.id, context=told(mentions)),
        policies=policies,
        entities=store.entities,
        schema=None,
    )


_CLEAR: Mapping[str, Treatment] = {"sendClear": Treatment.CLEAR}
"""The one rung of what cannot be changed."""


def _climb(
    inquire: _Inquire,
    *,
    endpoint: Endpoint,
    home: Endpoint | None,
    rungs: Mapping[str, Treatment],
) -> Verdict:
    """One law's verdict on sending to an endpoint, or else staying at home."""
    at_home = inquire(PROCESS_LOCALLY, home or endpoint)
    if at_home.fault:
        return Verdict(Treatment.BLOCKED, (), (at_home.fault,))
    if at_home.policies and not at_home.allowed:
        return Verdict(Treatment.BLOCKED, at_home.policies)
    sent = Verdict(Treatment.BLOCKED)
    if not endpoint.local:
        sent = _first(inquire, rungs=rungs, endpoint=endpoint)
    if sent.treatment is Treatment.BLOCKED and home and at_home.allowed:
        return Verdict(Treatment.LOCAL, (*sent.policies, *at_home.policies), sent.errors)
    return sent


def _first(inquire: _Inquire, *, rungs: Mapping[str, Treatment], endpoint: Endpoint) -> Verdict:
    """The first rung that is allowed without error; BLOCKED when none is."""
    denied: list[str] = []
    faults: list[str] = []
    for action, treatment in rungs.items():
        answer = inquire(action, endpoint)
        denied += answer.policies
        if answer.fault:
            faults.append(answer.fault)
        if answer.allowed:
            return Verdict(treatment, tuple(dict.fromkeys(denied)), tuple(faults))
    return Verdict(Treatment.BLOCKED, tuple(dict.fromkeys(denied)), tuple(faults))


def _reasons(store: PolicyStore, verdict: Verdict) -> tuple[Reason, ...]:
    return tuple(store.reasons[policy] for policy in verdict.policies)
