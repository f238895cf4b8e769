"""What guardrail does to one payload: find, decide, protect, and filter what comes back.

Everything here is a function of its arguments. The guard itself is assembled once and shared by all
exchanges; what belongs to one exchange (its vault, its findings) is passed in and handed back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from itertools import islice
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote_plus

import regex

from guardrail.detection.detector import Detector
from guardrail.detection.engine import Wanted
from guardrail.detection.injection import smuggles
from guardrail.detection.minted import is_by_chance
from guardrail.detection.patterns import Rule
from guardrail.detection.selection import Selection
from guardrail.errors import ConfigError, GuardrailError, Refusal
from guardrail.extraction.reader import DocumentReader
from guardrail.policy.ladder import decide, decide_output, may_process_unaudited, may_restore
from guardrail.policy.loader import PolicyStore
from guardrail.protocols.bodies import Body
from guardrail.protocols.fields import Action, Leaf, Path, Step, file_in, leaves, rewrite
from guardrail.protocols.maps import Protocol, field_names
from guardrail.protocols.streams import Stream
from guardrail.protocols.untrusted import marked, untrusted
from guardrail.spans import resolve
from guardrail.taxonomy import INJECTION, NONE, Taxonomy
from guardrail.transform.known import Index, KnownValues, is_structured
from guardrail.transform.links import ends_in_link, opened
from guardrail.transform.operators import redact
from guardrail.transform.placeholders import PATTERN, Grammar
from guardrail.transform.rewrite import protect, restorer
from guardrail.transform.sentences import HOLD, Reader, Replace, Sentences, Spot, Texts
from guardrail.transform.stream import (
    CompiledRules,
    StreamRule,
    StreamTransformer,
    check_rules,
    compile_rules,
    transform,
)
from guardrail.transform.vault import Entry, Vault
from guardrail.types import (
    Category,
    Decision,
    Endpoint,
    Evidence,
    Finding,
    Kind,
    RequestContext,
    Span,
    TextUnit,
    Treatment,
)

Sink = Literal["text", "tool", "url", "code"]


class Blocked(GuardrailError):
    """The answer holds what policy lets nobody see, in no form."""

    def __init__(self, category: Category) -> None:
        self.category = category
        super().__init__(f"the answer holds {category} data, which policy blocks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The parts every exchange shares. Immutable; a reload makes a new one.

    `restore_tools` names the tools that run inside the trust boundary (`*` for all), so that policy
    may let their arguments be restored. `key` makes digests of user ids and is secret. `hold` is
    how many code points of a sentence an answer waits for at most. With `holds_answers` an answer
    is held to its end where policy masks what only the whole of it shows. `reader` reads documents,
    None where they are not to be read.
    """

    detector: Detector
    policies: PolicyStore
    shadow: PolicyStore | None = None
    taxonomy: Taxonomy
    restore_tools: frozenset[str] = frozenset()
    key: bytes = field(repr=False)
    reader: DocumentReader | None = None
    grammar: Grammar
    stream_rules: Mapping[str, StreamRule] = field(repr=False)
    rules_by_category: Mapping[Category, tuple[Rule, ...]] = field(repr=False)
    hold: int = HOLD
    holds_answers: bool = False


def build_guard(
    *,
    detector: Detector,
    policies: PolicyStore,
    shadow: PolicyStore | None = None,
    taxonomy: Taxonomy,
    key: bytes,
    restore_tools: Iterable[str] = (),
    hold: int = HOLD,
    holds_answers: bool = False,
    reader: DocumentReader | None = None,
) -> Guard:
    """Gives the guard over these parts.

    Raises:
        ConfigError: a rule cannot be enforced on a stream, so what it finds could pass there.
    """
    rules = {rule.name: _stream_rule(rule) for rule in detector.rules}
    try:
        check_rules(rules.values())
    except ValueError as error:
        raise ConfigError([f"detection: {error}"]) from None
    by_category: dict[Category, tuple[Rule, ...]] = {}
    for rule in detector.rules:
        category = taxonomy.category(rule.entity)
        by_category[category] = (*by_category.get(category, ()), rule)
    return Guard(
        detector=detector,
        policies=policies,
        shadow=shadow,
        taxonomy=taxonomy,
        restore_tools=frozenset(restore_tools),
        key=key,
        reader=reader,
        grammar=Grammar(words=taxonomy.vocabulary),
        stream_rules=MappingProxyType(rules),
        rules_by_category=MappingProxyType(by_category),
        hold=hold,
        holds_answers=holds_answers,
    )


def holds_on_streams(rule: Rule) -> bool:
    """Whether a rule can be enforced on a stream."""
    try:
        check_rules([_stream_rule(rule)])
    except ValueError:
        return False
    return True


def _stream_rule(rule: Rule) -> StreamRule:
    return StreamRule(
        name=rule.name,
        pattern=rule.pattern,
        flags=rule.flags,
        # A rule that finds a part of its match owns what the part's own format would also find.
        priority=int(rule.score * 100) + (200 if rule.group else 0),
        escapes=True,
        rewrite=_unbound,
    )


# ── finding ──────────────────────────────────────────────────────────────────────────────────────

_OPAQUE: Mapping[Action, str] = MappingProxyType(
    {
        Action.MEDIA: "MEDIA",
        Action.DOCUMENT: "READ_DOCUMENT",
        Action.PICTURE: "READ_PICTURE",
        Action.REFERENCE: "REMOTE_REFERENCE",
        Action.TOKENS: "TOKENS",
        Action.SECRET: "SECRET",
        Action.PERSON_ID: "USER_ID",
    }
)
"""Leaves that are a finding as a whole, whatever is in them."""
_READ = frozenset({Action.DOCUMENT, Action.PICTURE})
"""Leaves whose text is the leaf after them."""
_FIXED = frozenset({Action.STRUCTURE, Action.THOUGHT, Action.SIGNED})
"""Leaves that cannot be changed: they leave as they are, or the request does not."""
_RETURNING = _FIXED | {Action.REFERENCE}
"""Leaves that may hold what the endpoint made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A body or query string of a request, with its leaves and what was found in each.

    Findings may overlap: which of two decides depends on what policy says of each. The leaves at
    the paths of `returned` tell the endpoint nothing, whatever they hold: they leave as they are.
    """

    body: Body
    leaves: tuple[Leaf, ...]
    findings: tuple[tuple[Finding, ...], ...]
    returned: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found in a request: by part, by category, and by entity.

    `residual` is the expected number of names that were not found, None where it is not known;
    `unalterable` are the categories of what stands in documents, which cannot be written again;
    `earlier` says that something speaks to the model in what the request goes on with.
    """

    parts: tuple[Part, ...]
    evidence: Mapping[Category, Evidence]
    counts: Mapping[str, int]
    residual: float | None = None
    unalterable: frozenset[Category] = frozenset()
    earlier: bool = False

    @property
    def injected(self) -> bool:
        """Whether something from outside speaks to the model, or hides."""
        return self.earlier or INJECTION in self.evidence


def _nothing(part: int, leaf: Leaf) -> bool:
    return False


def inspect(
    guard: Guard,
    bodies: Sequence[tuple[Body, Protocol]],
    *,
    vault: Vault,
    app: str,
    returns: Callable[[int, Leaf], bool] = _nothing,
) -> Inspection:
    """Gives what is personal in a request, as far as it counts for an app.

    Values that this conversation's vault knows are found again wherever they stand. `returns` says
    whether a leaf of a body, which nobody may change, comes from the endpoint itself.

    Raises:
        DetectorUnavailable: a recognizer failed, or all took too long; nothing may leave.
        Refusal: 413 where the request holds more strings than can be read in any time.
    """
    known = KnownValues({entry.original: entry.entity for entry in vault})
    read = [_opened(guard, _leaves(body, protocol)) for body, protocol in bodies]
    units = [_unit(leaf) for found in read for leaf in found if _is_text(leaf)]
    detected = iter(guard.detector.find_all(units, app=app))
    selection = guard.detector.selection(app)
    counts: Counter[str] = Counter()

    def findings(leaf: Leaf) -> Iterator[Finding]:
        if not _is_text(leaf):
            yield from _opaque(leaf)
            return
        for finding in next(detected):
            if leaf.action is Action.LINK and finding.entity == "URL":
                continue  # whether a link may leave is asked of the media it leads to
            if leaf.action in _NAMES and is_by_chance(leaf.text, finding.span):
                continue
            if selection.reviews(finding):
                counts[finding.entity] += 1
            else:
                yield finding
        yield from known.find(leaf.text)

    parts: list[Part] = []
    for at, ((body, _), read_leaves) in enumerate(zip(bodies, read, strict=True)):
        found = [tuple(findings(leaf)) for leaf in read_leaves]
        returned = frozenset(
            leaf.path
            for leaf, one in zip(read_leaves, found, strict=True)
            if one and leaf.action in _RETURNING and returns(at, leaf)
        )
        told = zip(read_leaves, found, strict=True)
        part = Part(
            body=body,
            leaves=read_leaves,
            findings=tuple(() if leaf.path in returned else one for leaf, one in told),
            returned=returned,
        )
        parts.append(part)
    return _summarise(guard, parts, counts, guard.detector.missed(units, app=app))


def _opened(guard: Guard, found: Iterable[Leaf]) -> tuple[Leaf, ...]:
    """The leaves of a body, and after each document that can be read, its text as one more."""
    if guard.reader is None:
        return tuple(found)
    opened: list[Leaf] = []
    left = _MOST_DOCUMENTS
    for leaf in found:
        raw = file_in(leaf.text) if leaf.action is Action.MEDIA and left else b""
        left -= bool(raw)
        extract = guard.reader.read(raw) if raw else None
        if extract is None:
            opened.append(leaf)
            continue
        action = Action.PICTURE if extract.picture else Action.DOCUMENT
        opened.append(replace(leaf, action=action))
        path = (*leaf.path, Step.SAID)
        opened.append(Leaf(path, extract.text, Action.STRUCTURE, declared=True, untrusted=True))
    return tuple(opened)


_MOST_DOCUMENTS = 16
"""Files of a request that are read at most; the others are media."""


def _leaves(body: Body, protocol: Protocol) -> Iterator[Leaf]:
    roots = untrusted(body.payload, protocol.untrusted)
    read = tuple(islice(leaves(body.payload, protocol.request), MAX_LEAVES + 1))
    if len(read) > MAX_LEAVES:
        raise Refusal(413, "body_too_large", f"a request of more than {MAX_LEAVES} strings")
    return marked(read, roots)


MAX_LEAVES = 100_000
"""Strings, long numbers and keys of one part of a request."""


def _is_text(leaf: Leaf) -> bool:
    return leaf.action not in _OPAQUE and bool(leaf.text)


_NAMES = frozenset({Action.IDENTIFIER, Action.STRUCTURE, Action.SIGNED, Action.LINK})
_SPACE = regex.compile(r"\s")


def _unit(leaf: Leaf) -> TextUnit:
    identifier = _is_field(leaf) or (leaf.action in _NAMES and _SPACE.search(leaf.text) is None)
    # What the protocol calls a token is none: only the names that somebody else gave are labels.
    labelled = leaf.action is not Action.STRUCTURE or leaf.path[-1:] not in _fields()
    spaced = leaf.action is Action.PARTICIPANT  # who has to write `Erika_Mustermann`
    return TextUnit(
        pointer=leaf.pointer if labelled else "",
        text=leaf.text.replace("_", " ") if spaced else leaf.text,
        kind=Kind.IDENTIFIER if identifier else Kind.PROSE,
        # What nobody can see, nobody wrote on purpose: it was pasted together with the rest.
        untrusted=leaf.untrusted or smuggles(leaf.text),
    )


def _is_field(leaf: Leaf) -> bool:
    """Whether a text is the name of a field as protocols have it: `uri` is nobody there."""
    path = leaf.path
    names = path[-1:] == (Step.KEY,) or path[-2:-1] == ("required",)
    return names and (leaf.text,) in _fields()


@cache
def _fields() -> frozenset[Path]:
    return frozenset((name,) for name in field_names())


def _opaque(leaf: Leaf) -> Iterator[Finding]:
    entity = _OPAQUE.get(leaf.action)
    if entity and (leaf.text or leaf.action is not Action.PERSON_ID):
        span = Span(0, len(leaf.text))
        yield Finding(entity=entity, span=span, score=1.0, recognizer="protocol")


def _summarise(
    guard: Guard, parts: Sequence[Part], reviewed: Mapping[str, int], residual: float | None
) -> Inspection:
    counts = Counter(reviewed)
    unalterable: set[Category] = set()
    surest: dict[Category, float] = {}
    totals: Counter[Category] = Counter()
    for part in parts:
        for leaf, findings in zip(part.leaves, part.findings, strict=True):
            said = leaf.path[-1:] == (Step.SAID,) and leaf.action is Action.STRUCTURE
            if said or leaf.action in _READ:
                unalterable.update(guard.taxonomy.category(one.entity) for one in findings)
            personal = [f for f in findings if guard.taxonomy.category(f.entity) != INJECTION]
            counts.update(finding.entity for finding in resolve(personal))
            if len(personal) < len(findings):  # which overlap one another, and what they speak of
                spoken = [f for f in findings if guard.taxonomy.category(f.entity) == INJECTION]
                for entity in {finding.entity for finding in spoken}:
                    counts[entity] += len(resolve(f for f in spoken if f.entity == entity))
            for finding in findings:
                category = guard.taxonomy.category(finding.entity)
                totals[category] += 1
                surest[category] = max(surest.get(category, 0.0), finding.score)
    evidence = {c: Evidence(count=n, score=surest[c]) for c, n in totals.items()}
    return Inspection(
        parts=tuple(parts),
        evidence=MappingProxyType(evidence or {NONE: Evidence()}),
        counts=MappingProxyType(dict(counts)),
        residual=residual,
        unalterable=frozenset(unalterable),
    )


# ── deciding ─────────────────────────────────────────────────────────────────────────────────────


def judge(
    guard: Guard,
    context: RequestContext,
    inspection: Inspection,
    *,
    endpoint: Endpoint,
    local: Endpoint | None,
) -> Decision:
    """Gives what policy lets happen to each category at one endpoint.

    Shadow policies are asked the same and decide nothing: where they differ is in `shadow`.
    """

    def asked(policies: PolicyStore) -> Decision:
        return decide(
            policies,
            context,
            inspection.evidence,
            endpoint=endpoint,
            local=local,
            residual=inspection.residual,
            unalterable=inspection.unalterable,
            injected=inspection.injected,
        )

    decision = asked(guard.policies)
    if guard.shadow is None or (guard.shadow.signed and guard.shadow.signed.expired(context.now)):
        return decision
    with suppress(Exception):  # a shadow changes nothing, whatever becomes of it
        others = asked(guard.shadow).treatments
        differs = {c: t for c, t in others.items() if t is not decision.treatments.get(c)}
        return replace(decision, shadow=MappingProxyType(differs))
    return decision


def strictest(decisions: Sequence[Decision], *, endpoint: str) -> Decision:
    """Gives one decision that holds at every endpoint where a request may end up."""
    if len(decisions) == 1:
        return decisions[0]
    worst: dict[Category, Decision] = {}
    for decision in decisions:
        for category, treatment in decision.treatments.items():
            held = worst.get(category)
            if held is None or treatment > held.treatments[category]:
                worst[category] = decision
    return Decision(
        endpoint=endpoint,
        treatments=MappingProxyType({c: d.treatments[c] for c, d in worst.items()}),
        regions=tuple(sorted({r for d in decisions for r in d.regions})),
        reasons=MappingProxyType({c: d.reasons.get(c, ()) for c, d in worst.items()}),
        digest=decisions[0].digest if decisions else "",
        judged=tuple(one for d in decisions for one in d.judged),
        local=decisions[0].local if decisions else "",
        shadow=MappingProxyType({c: t for d in decisions for c, t in d.shadow.items()}),
        errors=tuple(sorted({e for d in decisions for e in d.errors})),
    )


def may_go_unaudited(
    guard: Guard, context: RequestContext, inspection: Inspection, *, endpoint: Endpoint
) -> bool:
    """Whether policy lets the local model answer while the audit log cannot be written."""
    return endpoint.local and may_process_unaudited(
        guard.policies,
        context,
        inspection.evidence,
        endpoint=endpoint,
        injected=inspection.injected,
    )


# ── protecting ───────────────────────────────────────────────────────────────────────────────────


def shield(
    guard: Guard, inspection: Inspection, decision: Decision, *, vault: Vault
) -> tuple[bytes, ...]:
    """Gives each part's bytes as they may leave; unchanged parts keep their very bytes.

    A value found once is treated wherever it stands in the request, whatever stands around it.

    Raises:
        Refusal: personal data stands where the protocol allows no change, or a value above CLEAR
            is still in the bytes that would leave.
    """
    treatments = {
        finding.entity: decision.treatments.get(
            guard.taxonomy.category(finding.entity), Treatment.BLOCKED
        )
        for part in inspection.parts
        for findings in part.findings
        for finding in findings
    }

    def decisive(findings: Iterable[Finding]) -> tuple[Finding, ...]:
        return resolve(findings, weight=lambda f: treatments[f.entity])

    parts = [
        replace(part, findings=tuple(map(decisive, part.findings))) for part in inspection.parts
    ]
    # A sentence that speaks to the model is no value that would have to go wherever it stands.
    personal = [
        replace(
            part,
            findings=tuple(
                tuple(f for f in found if guard.taxonomy.category(f.entity) != INJECTION)
                for found in part.findings
            ),
        )
        for part in parts
    ]
    known, values = _number(guard, personal, treatments, vault, decisive)
    shielded: list[bytes] = []
    looked_at: list[bytes] = []
    for part in parts:
        changes: dict[Path, str | None] = {}
        for leaf, found in zip(part.leaves, part.findings, strict=True):
            if leaf.path in part.returned:
                continue
            repeated = known.find(leaf.text) if leaf.action not in _OPAQUE else []
            findings = decisive((*found, *repeated)) if repeated else found
            text = _protect(guard, leaf, findings, treatments, vault)
            if text is not leaf.text and text != leaf.text:
                changes[leaf.path] = text
        payload = rewrite(part.body.payload, changes)
        shielded.append(part.body.encode(payload) if changes else part.body.raw)
        blank = rewrite(payload, dict.fromkeys(part.returned))
        looked_at.append(part.body.encode(blank) if part.returned else shielded[-1])
    _refuse_residue(values, looked_at)
    return tuple(shielded)


_NAME = regex.compile(r"\p{Lu}[\p{L}\p{M}'’-]{3,}")


def _values_of(
    leaf: Leaf, findings: Iterable[Finding], treatments: Mapping[str, Treatment]
) -> Iterator[tuple[str, str]]:
    """(value, entity) of each finding above CLEAR. Each longer part of a full name is one, too."""
    if leaf.action in _OPAQUE:
        return
    for finding in findings:
        if treatments[finding.entity] is Treatment.CLEAR:
            continue
        value = leaf.text[finding.span.start : finding.span.end]
        yield value, finding.entity
        if finding.entity == "PERSON":
            for name in _NAME.findall(value):
                yield name, finding.entity


def _number(
    guard: Guard,
    parts: Iterable[Part],
    treatments: Mapping[str, Treatment],
    vault: Vault,
    decisive: Callable[[Iterable[Finding]], tuple[Finding, ...]],
) -> tuple[KnownValues, frozenset[str]]:
    """Numbers every value above CLEAR, and gives them all.

    A leaf is numbered by its own findings and by what earlier leaves revealed; what a leaf reveals
    is then numbered in the leaves before it. So a longer history never changes a number.
    """
    inspected = [
        (leaf, findings)
        for part in parts
        for leaf, findings in zip(part.leaves, part.findings, strict=True)
        if leaf.action not in _OPAQUE and leaf.path not in part.returned
    ]
    own = [dict(_values_of(leaf, findings, treatments)) for leaf, findings in inspected]
    values: dict[str, str] = {}
    revealed: dict[str, tuple[int, int]] = {}
    for number, new in enumerate(own):
        for value, entity in new.items():
            values.setdefault(value, entity)
            revealed.setdefault(value, (number, len(revealed)))
    known = KnownValues(values)

    def allocate(entity: str, original: str) -> None:
        if treatments[entity] is Treatment.PSEUDONYMISED:
            word = guard.taxonomy.label(entity)
            vault.allocate(entity=entity, word=word, original=original)

    seen: set[str] = set()
    before: dict[int, set[tuple[int, int, str]]] = {}
    for number, (leaf, findings) in enumerate(inspected):
        seen.update(own[number])
        repeated = known.find(leaf.text, among=seen)
        for finding in decisive((*findings, *repeated)):
            allocate(finding.entity, leaf.text[finding.span.start : finding.span.end])
        for value in known.present(leaf.text):
            by, order = revealed[value]
            if by > number:
                before.setdefault(by, set()).add((number, order, value))
        for _, _, value in sorted(before.pop(number, ())):
            allocate(values[value], value)
    return known, frozenset(values)


def _protect(
    guard: Guard,
    leaf: Leaf,
    findings: tuple[Finding, ...],
    treatments: Mapping[str, Treatment],
    vault: Vault,
) -> str | None:
    if leaf.action is Action.PERSON_ID:
        if not leaf.text:
            return leaf.text
        if treatments["USER_ID"] is Treatment.REDACTED:
            return None
        digest = hmac.new(guard.key, leaf.text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"user-{digest.hexdigest()[:32]}"
    if leaf.action in _OPAQUE:
        if not findings or treatments[_OPAQUE[leaf.action]] is Treatment.CLEAR:
            return leaf.text
        raise Refusal(422, "uninspectable_input", "content that cannot be read cannot be protected")
    if leaf.action in _FIXED:
        if any(treatments[finding.entity] is not Treatment.CLEAR for finding in findings):
            top = leaf.path[0] if leaf.declared and leaf.path else 0
            where = f"{top} holds" if isinstance(top, str) else "the request holds"
            raise Refusal(
                400,
                "personal_data_in_structure",
                f"{where} personal data where the protocol allows no change",
            )
        return leaf.text
    return protect(
        leaf.text,
        findings,
        treatments=treatments,
        labels=guard.taxonomy.labels,
        vault=vault,
        grammar=guard.grammar,
        bare=leaf.action in (Action.IDENTIFIER, Action.PARTICIPANT, Action.LINK),
    )


def _spellings(value: str) -> set[str]:
    if value.isalnum() and value.isascii():
        return {value}
    return {value, json.dumps(value)[1:-1], quote_plus(value)}


def _refuse_residue(values: Iterable[str], shielded: Sequence[bytes]) -> None:
    """A second, independent look at the very bytes that would leave."""
    forms = (form for value in filter(is_structured, values) for form in _spellings(value))
    residue = Index(form.encode("utf-8", "surrogatepass").decode("latin-1") for form in forms)
    if any(True for part in shielded for _ in residue.places(part.decode("latin-1"))):
        raise Refusal(
            400,
            "personal_data_in_structure",
            "personal data stands where the protocol allows no change",
        )


# ── filtering what comes back ────────────────────────────────────────────────────────────────────


Rewrite = Callable[[str, str], str | None]


def _unbound(matched: str, left: str) -> str | None:
    """Stands in a rule until an exchange brings its own rewrite."""
    return None


_RESTORE = StreamRule(
    name="restore", pattern=PATTERN, priority=1000, rewrite=_unbound, trail=opened
)


class Filter:
    """The output rules of one exchange. `masked` counts what was masked, by entity.

    `active` holds the rules that mask or block; `restoring` makes the rule that puts the user's
    own values back, for text or for the arguments of a tool that is declared or not. `readers` make
    what finds in sentences, or in whole texts, what no rule does; they are told whether a text may
    be an identifier and how long it may get. `unenforced` are categories that policy masks and that
    cannot be masked in an answer while it streams, unless that `holds` its texts to their end.
    """

    def __init__(
        self,
        active: Mapping[StreamRule, Rewrite],
        restoring: Callable[[Sink, bool], Rewrite] | None,
        *,
        declared: frozenset[str],
        masked: Counter[str],
        readers: Sequence[Callable[[bool, int], Reader]] = (),
        unenforced: tuple[Category, ...] = (),
        holds: bool = False,
    ) -> None:
        self._readers = readers
        self._unenforced = unenforced
        self._holds = holds
        self._active = active
        self._restoring = restoring
        self._declared = declared
        self._compiled: dict[tuple[Sink, bool, bool], CompiledRules] = {}
        self.masked = masked

    @property
    def slow(self) -> bool:
        """Whether an answer takes too long to be filtered on an event loop."""
        return bool(self._readers)

    def check(self, stream: Stream) -> None:
        """Raises Refusal (403) where not all that policy masks can be masked on such a stream."""
        if self._unenforced and not (self._holds and stream.ends):
            raise Refusal(
                403,
                "answer_not_streamable",
                f"policy masks {', '.join(self._unenforced)} data, which can only be found in "
                f"whole texts, not in {stream.name}; {stream.mend}",
            )

    def transform(
        self,
        text: str,
        *,
        tool: str | None,
        restoring: bool = True,
        identifier: bool = False,
        code: bool = False,
    ) -> str:
        """Gives a whole text of the answer (`tool` is None) or of a tool's arguments, filtered.

        With `code` the tool runs them. Without `restoring` nothing is put back. An `identifier`
        without spaces is not read as prose.

        Raises:
            Blocked: it holds what policy lets nobody see.
            DetectorUnavailable: what is to be found in it cannot be found.
        """
        rules = self._rules(tool, restoring, code)
        return transform(rules, text, self._made(identifier, len(text)))

    def transformer(
        self,
        *,
        tool: str | None,
        restoring: bool = True,
        identifier: bool = False,
        code: bool = False,
    ) -> StreamTransformer:
        """Gives what filters such a text as it streams; the same comes out however it is cut."""
        rules = self._rules(tool, restoring, code)
        return StreamTransformer(rules, self._made(identifier, _HELD))

    def _made(self, identifier: bool, most: int) -> list[Reader]:
        return [make(identifier, most) for make in self._readers]

    def _rules(self, tool: str | None, restoring: bool, code: bool) -> CompiledRules:
        declared = tool is not None and bool({tool, "*"} & self._declared)
        sink: Sink = "code" if code else "text" if tool is None else "tool"
        key = (sink, declared, restoring)
        rules = self._compiled.get(key)
        if rules is None:
            rewrites = dict(self._active)
            if self._restoring and restoring:
                rewrites[_RESTORE] = self._restoring(sink, declared)
            joined = _joined(tuple(rewrites))
            rules = joined.bind({rule.name: rewrite for rule, rewrite in rewrites.items()})
            self._compiled[key] = rules
        return rules


_HELD = 2**20
"""Code points of a text that streams, where it is held to its end."""


@lru_cache(maxsize=64)
def _joined(rules: tuple[StreamRule, ...]) -> CompiledRules:
    """The same few sets of rules serve all exchanges; only their rewrites differ."""
    return compile_rules(rules)


def build_filter(
    guard: Guard,
    context: RequestContext,
    *,
    endpoint: Endpoint,
    vault: Vault,
    injected: bool = False,
    grows: bool = False,
) -> Filter:
    """Gives the rules that mask or block what the model says and restore what the user said.

    Masking looks at what the model wrote; what is restored is the user's own and is not looked at
    again. `injected` says that something from outside in the request speaks to the model; `grows`
    that the vault may get its first value while these rules are in use.

    Raises:
        Unavailable: it cannot be told what there is to mask.
    """
    masked: Counter[str] = Counter()
    active: dict[StreamRule, Rewrite] = {}
    selection = guard.detector.selection(context.principal.id)
    shown = _shown(guard, context, endpoint, injected=injected)
    for category, rules in guard.rules_by_category.items():
        treatment = shown(category)
        if treatment is not Treatment.CLEAR:
            for rule in rules:
                if not selection.ignores(rule.entity, rule.name):
                    masker = _masker(guard, selection, rule, category, treatment, masked)
                    active[guard.stream_rules[rule.name]] = masker
    wanted = _wanted(guard, selection, shown)
    put = _putting(guard, shown, masked)
    readers: list[Callable[[bool, int], Reader]] = []
    if part := guard.detector.beyond(wanted, whole=False):
        look = _looking(guard, part, selection, context.principal.id, shown)
        readers.append(lambda code, _: Sentences(partial(look, code), put, hold=guard.hold))
    if whole := guard.detector.beyond(wanted, whole=True):
        look_at_all = _looking(guard, whole, selection, context.principal.id, shown)
        readers.append(lambda code, most: Texts(partial(look_at_all, code), put, most=most))

    def restoring(sink: Sink, declared: bool) -> Rewrite:
        @cache
        def may(entity: str, sink: Sink) -> bool:
            return may_restore(
                guard.policies,
                context,
                guard.taxonomy.category(entity),
                endpoint=endpoint,
                sink=sink,
                tool_declared=declared,
                injected=injected,
            )

        def allowed(entry: Entry, sink: Sink) -> bool:
            return may(entry.entity, sink)

        return _restoring(guard, vault, sink, allowed)

    return Filter(
        active,
        restoring if len(vault) or grows else None,
        declared=guard.restore_tools,
        masked=masked,
        readers=readers,
        unenforced=(
            tuple(unenforced(guard, context, endpoint=endpoint, injected=injected)) if whole else ()
        ),
        holds=guard.holds_answers,
    )


def unenforced(
    guard: Guard, context: RequestContext, *, endpoint: Endpoint, injected: bool = False
) -> Mapping[Category, tuple[str, ...]]:
    """Gives what policy masks in answers and only a whole text shows: entities, by category.

    Raises:
        Unavailable: it cannot be told what there is to mask.
    """
    selection = guard.detector.selection(context.principal.id)
    shown = _shown(guard, context, endpoint, injected=injected)
    part = guard.detector.beyond(_wanted(guard, selection, shown), whole=True)
    found: dict[Category, tuple[str, ...]] = {}
    for entity in sorted(part.entities) if part else ():
        category = guard.taxonomy.category(entity)
        if shown(category) is not Treatment.CLEAR and not selection.ignores(entity, ""):
            found[category] = (*found.get(category, ()), entity)
    return found


_Shown = Callable[[Category], Treatment]
"""How an answer may show a category."""


def _shown(
    guard: Guard, context: RequestContext, endpoint: Endpoint, *, injected: bool = False
) -> _Shown:
    @cache
    def shown(category: Category) -> Treatment:
        if category == INJECTION:  # is looked for in what comes from outside, never in an answer
            return Treatment.CLEAR
        treatment, _ = decide_output(
            guard.policies, context, category, endpoint=endpoint, injected=injected
        )
        return treatment

    return shown


def _wanted(guard: Guard, selection: Selection, shown: _Shown) -> Wanted:
    """What policy masks, as far as it counts for the app and is more than reviewed."""

    def wanted(entity: str, rule: str) -> bool:
        reviewed = entity in selection.review and rule not in selection.certain
        return (
            not (reviewed or selection.ignores(entity, rule))
            and shown(guard.taxonomy.category(entity)) is not Treatment.CLEAR
        )

    return wanted


def _looking(
    guard: Guard, part: Detector, selection: Selection, app: str, shown: _Shown
) -> Callable[[bool, str], list[Spot]]:
    """Finds in a text, which may be an identifier, what is to be masked: never in a placeholder."""

    def treatment(finding: Finding) -> Treatment:
        return shown(guard.taxonomy.category(finding.entity))

    def look(identifier: bool, text: str) -> list[Spot]:
        named = identifier and _SPACE.search(text) is None
        kind = Kind.PROSE if _LETTER.search(text) and not named else Kind.IDENTIFIER
        (found,) = part.find_all([TextUnit(pointer="", text=text, kind=kind)], app=app)
        kept = resolve(
            (f for f in found if treatment(f) is not Treatment.CLEAR and not selection.reviews(f)),
            weight=treatment,
        )
        tokens = guard.grammar.find(text)
        spots = [Spot(start, end) for start, end in tokens]
        for finding in kept:
            spots += _outside(finding, tokens, text)
        return sorted(spots, key=lambda spot: spot.start)

    return look


def _outside(finding: Finding, tokens: Sequence[tuple[int, int]], text: str) -> Iterator[Spot]:
    """What of a finding is no placeholder, without what is no letter or digit beside one."""
    begin, end = finding.span.start, finding.span.end
    inside = [token for token in tokens if token[0] < end and token[1] > begin]
    if not inside:
        yield Spot(begin, end, finding.entity)
        return
    for start, stop in (*inside, (end, end)):
        if match := _WORDS.search(text, begin, max(begin, start)):
            yield Spot(*match.span(), finding.entity)
        begin = max(begin, stop)


_LETTER = regex.compile(r"\p{L}")
_WORDS = regex.compile(r"[\p{L}\p{N}](?:[\s\S]*[\p{L}\p{N}])?")


def _putting(guard: Guard, shown: _Shown, masked: Counter[str]) -> Replace:
    def put(entity: str, text: str) -> str:
        category = guard.taxonomy.category(entity)
        if shown(category) is Treatment.BLOCKED:
            raise Blocked(category)
        masked[entity] += 1
        return redact(text, word=guard.taxonomy.label(entity))

    return put


def _masker(
    guard: Guard,
    selection: Selection,
    rule: Rule,
    category: Category,
    treatment: Treatment,
    masked: Counter[str],
) -> Rewrite:
    word = guard.taxonomy.label(rule.entity)

    def mask(matched: str, left: str) -> str | None:
        value = matched
        if rule.group:
            match = rule.compiled.match(left + matched, len(left))
            value = match.group(rule.group) if match else matched
        if rule.judge(value, left) < selection.least(rule.entity) or value in selection.allow:
            return None
        if treatment is Treatment.BLOCKED:
            raise Blocked(category)
        masked[rule.entity] += 1
        return matched.replace(value, redact(value, word=word))

    return mask


def _restoring(
    guard: Guard, vault: Vault, sink: Sink, allowed: Callable[[Entry, Sink], bool]
) -> Rewrite:
    in_text = restorer(vault=vault, grammar=guard.grammar, allow=lambda e: allowed(e, sink))
    in_url = restorer(vault=vault, grammar=guard.grammar, allow=lambda e: allowed(e, "url"))

    def restore(token: str, left: str) -> str | None:
        return (in_url if ends_in_link(_as_read(guard, vault, left)) else in_text)(token)

    return restore


def _as_read(guard: Guard, vault: Vault, left: str) -> str:
    """A text with something in the place of each placeholder, an address where that stands for one.

    What follows `[URL_1]` without a space becomes part of that link.
    """
    pieces: list[str] = []
    cursor = 0
    for start, end in guard.grammar.find(left):
        parsed = guard.grammar.parse(left[start:end])
        entry = vault.entry(*parsed) if parsed else None
        links = entry is not None and (entry.entity == "URL" or _ADDRESS.search(entry.original))
        pieces += (left[cursor:start], "https://x" if links else "x")
        cursor = end
    return "".join((*pieces, left[cursor:]))


_ADDRESS = regex.compile(r"://|www\.", regex.IGNORECASE)
