"""The data that flows through guardrail: frozen, keyword-only values and nothing else.

Offsets are half-open and count Unicode code points of the text they belong to. No value here holds
an open file, a clock or a connection, and none but `TextUnit` and `Vault` entries holds user text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import NewType

Category = NewType("Category", str)
"""What policies speak about (`contact`, `health`, …); the taxonomy maps each entity to one."""


class Treatment(IntEnum):
    """What happens to one category of data, from least to most protective; `max` is strictest.

    `CLEAR`, `PSEUDONYMISED` and `REDACTED` leave for the endpoint in that form; `LOCAL` keeps the
    whole request on a local model; `BLOCKED` refuses it.
    """

    CLEAR = 0
    PSEUDONYMISED = 1
    REDACTED = 2
    LOCAL = 3
    BLOCKED = 4


class Kind(StrEnum):
    """What sort of text a unit is, so that a recognizer may skip what it cannot judge."""

    PROSE = "prose"
    JSON = "json"
    CODE = "code"
    IDENTIFIER = "identifier"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of code points: `text[start:end]`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextUnit:
    """One string leaf of a payload. `pointer` is its JSON Pointer (RFC 6901).

    `untrusted`: neither the user nor the application wrote it, but a tool, a document or a page.
    """

    pointer: str
    text: str = field(repr=False)
    role: str = ""
    kind: Kind = Kind.PROSE
    untrusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where something personal stands and what it is; never the text itself.

    `score` is in [0, 1]; `recognizer` names what found it.
    """

    entity: str
    span: Span
    score: float
    recognizer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The application that calls a model: the principal of every policy question.

    `establishment` is the jurisdiction (ISO 3166) of the controller behind it.
    """

    id: str
    tenant: str = "default"
    sector: str = "general"
    high_risk: bool = False
    critical_infrastructure: bool = False
    establishment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Who asks, from where, and why: the facts that policies judge besides the data itself.

    `origin` is where the data subject is (ISO 3166); `age` is the data subject's, in years, where
    known. `conversation` scopes placeholders; it is never shared between principals.
    """

    exchange: str
    principal: Principal
    purpose: str
    basis: str
    origin: str
    conversation: str
    now: datetime
    consents: frozenset[str] = frozenset()
    filings: frozenset[str] = frozenset()
    age: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A model endpoint as policies see it, with exactly one processing location (ISO 3166).

    A model that a provider routes to several places is several endpoints. `controlled_by` is where
    the company sits that controls the provider, empty where it is not known; `sovereignty` is its
    class from 1 to 4, 0 where nobody has classed it. `cost` is relative and only orders endpoints
    that policy treats alike.
    """

    id: str
    provider: str
    location: str
    local: bool = False
    agreements: frozenset[str] = frozenset()
    zero_retention: bool = False
    trains_on_data: bool = False
    controlled_by: str = ""
    sovereignty: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found of one category in one request: how many findings, and the surest of them."""

    count: int = 1
    score: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A policy that decided, as its annotations present it to people.

    `effect` is `permit` or `forbid`; `place` is `file:line` of the policy.
    """

    policy: str
    effect: str
    title: str = ""
    citation: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What may happen to each category at one endpoint, and which policies said so.

    `judged` are the endpoints that were asked about, of which it is the strictest, and `local` the
    one that may have the request instead; ids. `shadow` are the treatments that shadow policies
    would have given otherwise. `errors` holds classes of error (`PolicyEvaluation`,
    `Timeout`), never their texts, because an engine's error text may quote the data it failed on.
    """

    endpoint: str
    treatments: Mapping[Category, Treatment] = field(default_factory=lambda: MappingProxyType({}))
    regions: tuple[str, ...] = ()
    reasons: Mapping[Category, tuple[Reason, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    digest: str = ""
    judged: tuple[str, ...] = ()
    local: str = ""
    shadow: Mapping[Category, Treatment] = field(default_factory=lambda: MappingProxyType({}))
    errors: tuple[str, ...] = ()

    @property
    def treatment(self) -> Treatment:
        """The strictest treatment of any category; `BLOCKED` when nothing was decided."""
        return max(self.treatments.values(), default=Treatment.BLOCKED)

    @property
    def policies(self) -> tuple[str, ...]:
        """Ids of the determining policies, sorted, each once."""
        return tuple(sorted({r.policy for rs in self.reasons.values() for r in rs}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """One replacement in one unit: `placeholder` stands where `span` stood."""

    pointer: str
    span: Span
    placeholder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One entry of the audit log: ids, counts, categories and digests. Never text, never a name.

    `kind` is `egress.decision` (before anything leaves), `egress.outcome` (after the answer) or
    `request.refused`. `exchange` joins the events of one exchange. `counts` is findings by entity;
    `residual` the expected number of names not found, in hundredths, None where it is not known.
    What the policies were asked is there too, quantised as they know it, so that others may be
    asked the same: `consents`, `filings` and `age`, `found` and `confidences` by category, `judged`
    and `local` as in a `Decision`, `unalterable` categories, and whether anything was `injected`.
    `shadow` holds the treatments that shadow policies would have given otherwise.
    """

    id: str
    kind: str
    at: datetime
    exchange: str
    principal: str = ""
    tenant: str = ""
    purpose: str = ""
    basis: str = ""
    origin: str = ""
    regions: tuple[str, ...] = ()
    protocol: str = ""
    endpoint: str = ""
    location: str = ""
    treatment: str = ""
    treatments: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    residual: int | None = None
    consents: tuple[str, ...] = ()
    filings: tuple[str, ...] = ()
    age: int | None = None
    found: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    confidences: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    judged: tuple[str, ...] = ()
    local: str = ""
    unalterable: tuple[str, ...] = ()
    injected: bool = False
    shadow: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    policies: tuple[str, ...] = ()
    policy_digest: str = ""
    code: str = ""
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    errors: tuple[str, ...] = ()
