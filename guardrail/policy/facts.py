"""Facts: every attribute that a rule may read, where it comes from and what it is worth.

A rule is worth no more than the facts that it tests. An attribute that stands in the schema and not
here is supplied by nothing: a rule about it would look like a guard and never apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from guardrail.endpoints import MAX_SOVEREIGNTY
from guardrail.policy.vocabulary import AGES, CONFIDENCES, COUNTS, DAYS, RESIDUALS

Need = Literal["", "trusted-headers", "names-model"]

NEEDS: Mapping[Need, str] = MappingProxyType(
    {
        "trusted-headers": "no app of this configuration has trust_headers = true",
        "names-model": 'detection.names of this configuration lacks "builtin"',
    }
)
"""What a deployment must have to supply a fact: said of one that lacks it."""

Rounding = Literal["down", "up", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One attribute. `name` is how rules write it, `type` what the schema says.

    `source` says where the value comes from, `worth` how far it can be relied on. `example` is a
    condition of a rule about `action`. `steps` are the only values of a number, `rounded` how it
    gets there: a rule may compare it only in ways that rounding leaves exact.
    """

    name: str
    type: str
    source: str
    worth: str
    example: str
    action: str = "sendClear"
    steps: tuple[int, ...] = ()
    rounded: Rounding = "exact"
    need: Need = ""


_CONFIGURED = "as good as the configuration"
_TOLD = "as good as the configuration, and as what a trusted app says of its requests"

_ALL = (
    # What was found.
    Fact(
        name="context.category",
        type="Category",
        source="detection: what a finding is of; each category of a request is asked about alone",
        worth="as good as the recognizers: docs/evaluation.md has what they miss",
        example='context.category in Category::"health"',
    ),
    Fact(
        name="context.count",
        type="Long",
        source="detection: findings of the category in the request",
        worth="at least so many, rounded down",
        example="context.count >= 10",
        steps=COUNTS,
        rounded="down",
    ),
    Fact(
        name="context.confidence",
        type="Long",
        source="detection: the score of the surest finding, in per cent",
        worth="the recognizer's own score, calibrated for built-in names alone; rounded down",
        example="context.confidence >= 80",
        steps=CONFIDENCES,
        rounded="down",
    ),
    Fact(
        name="context.residual",
        type="Long, optional",
        source='the built-in names model ("builtin" in detection.names): names left in the text',
        worth="an expectation in hundredths of a name, rounded up; absent where nothing can tell, "
        "and in questions about answers: docs/residual-risk.md",
        example="context has residual && context.residual <= 25",
        steps=RESIDUALS,
        rounded="up",
        need="names-model",
    ),
    Fact(
        name="context.injected",
        type="Bool",
        source="detection of text from outside that speaks to the model, anywhere in the request",
        worth="patterns find what is written as such texts usually are: docs/untrusted-content.md",
        example="context.injected",
    ),
    # Why, and about whom.
    Fact(
        name="context.origin",
        type="Jurisdiction",
        source="the app's `origin`, or the header x-guardrail-origin of an app that is trusted",
        worth=_TOLD,
        example='context.origin in Jurisdiction::"EU"',
    ),
    Fact(
        name="context.purpose",
        type="Purpose",
        source="the app's `purpose`, or x-guardrail-purpose",
        worth=_TOLD,
        example='context.purpose == Purpose::"support"',
    ),
    Fact(
        name="context.basis",
        type="Basis",
        source="the app's `basis`, or x-guardrail-basis",
        worth=_TOLD,
        example='context.basis != Basis::"none"',
    ),
    Fact(
        name="context.consents",
        type="Set<Consent>",
        source="the app's `consents`, or x-guardrail-consents",
        worth=f"{_TOLD}; no consent is verified",
        example='context.consents.contains(Consent::"explicit")',
    ),
    Fact(
        name="context.filings",
        type="Set<Filing>",
        source="the app's `filings`, or x-guardrail-filings",
        worth=f"{_TOLD}; no filing is verified",
        example='context.filings.contains(Filing::"TIA")',
    ),
    Fact(
        name="context.age",
        type="Long, optional",
        source="the header x-guardrail-age of an app that is trusted; no other source",
        worth="as the app says; at least so many years, rounded down; absent where not said",
        example="context has age && context.age < 16",
        steps=AGES,
        rounded="down",
        need="trusted-headers",
    ),
    Fact(
        name="context.day",
        type="Long",
        source="the clock of the machine, as UTC date",
        worth="as good as the clock; @expires is the better way to end a rule",
        example="context.day < 20270101",
    ),
    # Where an original would stand; what is kept.
    Fact(
        name="context.sink",
        type="Sink",
        source="where in an answer the pseudonym stands; only in questions of `reidentify`",
        worth="from the structure of the answer; a link or code in prose is recognised by its form",
        example='context.sink == Sink::"text"',
        action="reidentify",
    ),
    Fact(
        name="context.toolDeclared",
        type="Bool",
        source="output.restore_tools of the configuration; only in questions of `reidentify`",
        worth=_CONFIGURED,
        example="context.toolDeclared",
        action="reidentify",
    ),
    Fact(
        name="context.days",
        type="Long",
        source="how long a thing was kept; only in questions of `retain` and `purge`",
        worth="exact: every step is asked about",
        example="context.days <= 731",
        action="retain",
        steps=DAYS,
    ),
    # Who asks.
    Fact(
        name="principal.sector",
        type="Sector",
        source="the app's `sector`",
        worth=_CONFIGURED,
        example='principal.sector == Sector::"health"',
    ),
    Fact(
        name="principal.highRisk",
        type="Bool",
        source="the app's `high_risk`",
        worth=_CONFIGURED,
        example="principal.highRisk",
    ),
    Fact(
        name="principal.criticalInfrastructure",
        type="Bool",
        source="the app's `critical_infrastructure`",
        worth=_CONFIGURED,
        example="principal.criticalInfrastructure",
    ),
    # Where data would go.
    Fact(
        name="resource.local",
        type="Bool",
        source="the endpoint's `local`",
        worth=_CONFIGURED,
        example="resource.local",
    ),
    Fact(
        name="resource.agreements",
        type="Set<Agreement>",
        source="the endpoint's `agreements`",
        worth="as good as the contracts on file; none is verified",
        example='resource.agreements.contains(Agreement::"DPA")',
    ),
    Fact(
        name="resource.zeroRetention",
        type="Bool",
        source="the endpoint's `zero_retention`",
        worth="the provider's promise",
        example="resource.zeroRetention",
    ),
    Fact(
        name="resource.trainsOnData",
        type="Bool",
        source="the endpoint's `trains_on_data`",
        worth="the provider's promise",
        example="resource.trainsOnData",
    ),
    Fact(
        name="resource.controlledBy",
        type="Jurisdiction",
        source="the endpoint's `controlled_by`",
        worth='as the deployment found out; Jurisdiction::"", which is in no place, where unknown',
        example='resource.controlledBy in Jurisdiction::"US"',
    ),
    Fact(
        name="resource.sovereignty",
        type="Long",
        source="the endpoint's `sovereignty`",
        worth="an assessment of the deployment; 0 where nobody classed it",
        example="resource.sovereignty >= 3",
        steps=tuple(range(MAX_SOVEREIGNTY + 1)),
    ),
)

FACTS: Mapping[str, Fact] = MappingProxyType({fact.name: fact for fact in _ALL})
"""By name, in the order in which people learn them."""

_HEAD = """\
# Facts

What a rule may ask, where the answer comes from, and what it is worth. A rule is worth no more than
the facts it tests. Written by `scripts/policy-docs` from `guardrail/policy/facts.py`; `guardrail
policy schema` prints the same as Cedar's schema.

Beside these attributes a rule's scope names who asks (`principal == App::"crm"`, `principal in
Tenant::"acme"`), what would be done (`action in Action::"send"`), and where data would go
(`resource in Jurisdiction::"EEA"`, `resource in Adequacy::"EU"`, `resource in Provider::"acme"`,
`resource == Store::"audit"`). They come from the configuration and from `regions/`, and are worth
as much.

A number has only the values listed. Where it was rounded, a rule may compare it only so that
rounding changes nothing: down, by `>=` and `<`; up, by `<=` and `>`. An optional fact is asked for
with `has`. `guardrail policy check` refuses every other comparison.
"""


def facts_page() -> str:
    """The text of docs/facts.md.

    >>> print(facts_page().splitlines()[0])
    # Facts
    """
    lines = [_HEAD]
    for holder, about in (
        ("context", "the request"),
        ("principal", "who asks"),
        ("resource", "where data would go"),
    ):
        lines += [f"## `{holder}`: {about}", ""]
        lines += ["| fact | type | where it comes from | what it is worth | a rule writes |"]
        lines += ["|---|---|---|---|---|"]
        lines += [_row(fact) for name, fact in FACTS.items() if name.startswith(f"{holder}.")]
        lines += [""]
    return "\n".join(lines)


def _row(fact: Fact) -> str:
    steps = f": {', '.join(map(str, fact.steps))}" if fact.steps else ""
    cells = (
        f"`{fact.name}`",
        f"{fact.type}{steps}",
        fact.source,
        fact.worth,
        f"`{fact.example}`",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
