"""Loader: policy files and the data they speak of → one immutable, self-tested `PolicyStore`.

The directory holds `vocabulary.toml` (the words), `schema.cedarschema` (the shape of questions),
`00-base.cedar` (rules that hold everywhere), `<region>.cedar` for each loaded region, and overlays,
any other `*.cedar`, which tighten every law. Each law is a set of its own: base, law and overlays.
Laws are never put into one set: a permit of one would then license what another leaves denied.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from cedarpy import Entities, PolicySet, Schema

from guardrail.endpoints import check_endpoints
from guardrail.errors import ConfigError, PolicyUnavailable
from guardrail.files import Entry
from guardrail.policy.cedar import (
    MAX_BYTES,
    Rule,
    Source,
    ask,
    entity_set,
    parse,
    parse_schema,
    policy_set,
    validate,
)
from guardrail.policy.entities import check_classes, check_principals, check_words, entities
from guardrail.policy.lint import expiring, lint, mentioned
from guardrail.policy.questions import Case, Restoring, facts, keeping, request
from guardrail.policy.signing import Signed
from guardrail.policy.trees import actions
from guardrail.policy.verdicts import Memory
from guardrail.policy.vocabulary import (
    ASKED,
    PURGE,
    REIDENTIFY,
    RETAIN,
    enumerations,
    read_words,
)
from guardrail.problems import Problem
from guardrail.regions import Regions
from guardrail.taxonomy import CATEGORIES, NONE, Taxonomy
from guardrail.types import Category, Endpoint, Principal, Reason

WORDS = "vocabulary.toml"
SCHEMA = "schema.cedarschema"
BASE = "00-base"
EVERYWHERE = ""
"""Key of the set that holds where no law applies: base and overlays."""

MEMO_SIZE = 8192

_RESTORING = Restoring("text", tool_declared=False)

_UNTOLD = frozenset({"unknown-fact", "permit-everything"})
"""Codes that say why the context of a rule lacks an attribute."""

_CANARY = """
@id("canary.permit") @title("p") permit (principal, action, resource);
@id("canary.forbid") @title("f") forbid (principal, action, resource) when { context.stop };
"""


class Slice(NamedTuple):
    """The rules that may apply to one action, and the attributes of the context that they read.

    Other facts need not be told, and make no difference to the answer.
    """

    policies: PolicySet
    mentions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStore:
    """All that deciding needs, parsed once; nothing in it changes but the memory of verdicts.

    `digest` identifies the bytes of policies and regions (SHA-256, hex). `rules` holds the rules of
    each law, and those under `EVERYWHERE` for where none applies; `sets` the same, parsed, by law
    and by the action that is asked about. `vocabulary` has keys purpose, basis, consent, filing,
    agreement, sector; `meanings` says of each word what it means. `schema_text` is the schema as
    the engine has it. `signed` is what the signature of the files says, None where none was asked
    for.
    """

    digest: str
    regions: Regions
    reasons: Mapping[str, Reason]
    vocabulary: Mapping[str, frozenset[str]]
    categories: frozenset[Category]
    principals: Mapping[str, Principal]
    endpoints: Mapping[str, Endpoint]
    rules: Mapping[str, tuple[Rule, ...]] = field(repr=False)
    sets: Mapping[str, Mapping[str, Slice]] = field(repr=False)
    meanings: Mapping[str, Mapping[str, str]] = field(repr=False)
    schema_text: str = field(repr=False)
    schema: Schema = field(repr=False)
    entities: Entities = field(repr=False)
    memo: Memory = field(repr=False, compare=False)
    signed: Signed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a directory holds, read and judged, whether or not it may be loaded.

    `sources` are the files by name, `rules` those of each `*.cedar` file by its stem, as they are
    written. `problems` are what keeps the set from loading.
    """

    sources: Mapping[str, Source]
    rules: Mapping[str, tuple[Rule, ...]]
    meanings: Mapping[str, Mapping[str, str]]
    schema_text: str
    schema: Schema | None
    entities: Entities | None
    problems: tuple[Problem, ...]


def draft_policies(
    directory: Entry,
    *,
    regions: Regions,
    taxonomy: Taxonomy,
    endpoints: Sequence[Endpoint],
    principals: Sequence[Principal],
) -> Draft:
    """Gives what a directory holds, and everything that is wrong with it."""
    sources, problems = _read(directory, regions)
    categories = frozenset((*CATEGORIES, *taxonomy.categories.values()))
    problems += check_endpoints(endpoints, regions)
    problems += check_classes(regions, categories)
    problems += check_principals(principals, regions)
    shape, listed = (sources.get(name, Source(name=name, text="")) for name in (SCHEMA, WORDS))
    meanings, faults = read_words(listed.name, listed.text)
    problems += faults or check_words(meanings, endpoints, principals)
    schema, faults = (None, []) if faults else parse_schema(shape, enumerations(meanings))
    problems += faults
    data = entities(regions, categories, endpoints, principals)
    rules, faults = _rules(sources, schema, data, regions)
    problems += faults
    world = None
    if not problems and schema is not None:
        try:
            world = entity_set(data, schema)
        except ValueError as error:
            problems.append(
                shape.whole("bad-schema", f"{error}; restore the schema that guardrail ships")
            )
    return Draft(
        sources=MappingProxyType({source.name: source for source in sources.values()}),
        rules=MappingProxyType(rules),
        meanings=MappingProxyType(meanings),
        schema_text=f"{shape.text}\n{enumerations(meanings)}\n" if schema is not None else "",
        schema=schema,
        entities=world,
        problems=tuple(problems),
    )


def load_policies(
    directory: Entry,
    *,
    regions: Regions,
    taxonomy: Taxonomy,
    endpoints: Sequence[Endpoint],
    principals: Sequence[Principal],
) -> PolicyStore:
    """Gives the policies of a directory, checked against the data they will be asked about.

    Raises:
        ConfigError: anything at all is wrong; each problem of a rule reads
            `policies/eu.cedar:12:7: message`.
        PolicyUnavailable: the engine fails its self-test.
    """
    draft = draft_policies(
        directory, regions=regions, taxonomy=taxonomy, endpoints=endpoints, principals=principals
    )
    if draft.problems or draft.schema is None or draft.entities is None:
        raise ConfigError(draft.problems)
    rules = {stem: tuple(map(expiring, written)) for stem, written in draft.rules.items()}
    overlays = [one for stem in rules if stem not in (BASE, *regions.ids) for one in rules[stem]]
    laws = {EVERYWHERE: (*rules[BASE], *overlays)}
    laws |= {law: (*rules[BASE], *rules[law], *overlays) for law in regions.ids}
    words = draft.meanings.items()
    store = PolicyStore(
        digest=_digest(tuple(draft.sources.values()), regions),
        regions=regions,
        reasons=MappingProxyType({one.id: _reason(one) for file in rules.values() for one in file}),
        vocabulary=MappingProxyType({kind: frozenset(meanings) for kind, meanings in words}),
        meanings=draft.meanings,
        categories=frozenset((*CATEGORIES, *taxonomy.categories.values())),
        principals=MappingProxyType({principal.id: principal for principal in principals}),
        endpoints=MappingProxyType({endpoint.id: endpoint for endpoint in endpoints}),
        rules=MappingProxyType(laws),
        sets=MappingProxyType({law: slices(members) for law, members in laws.items()}),
        schema_text=draft.schema_text,
        schema=draft.schema,
        entities=draft.entities,
        memo=Memory(MEMO_SIZE),
    )
    selftest(store)
    return store


def policies_digest(directory: Entry, regions: Regions) -> str:
    """The digest that the policies of a directory would have, whether or not they may be loaded.

    Raises:
        ConfigError: a file is missing or cannot be read.
    """
    sources, problems = _read(directory, regions)
    if problems:
        raise ConfigError(problems)
    return _digest(tuple(sources.values()), regions)


def populated(
    store: PolicyStore, *, endpoints: Sequence[Endpoint], principals: Sequence[Principal]
) -> PolicyStore:
    """The same policies, asked about other endpoints and applications.

    Raises:
        ConfigError: an endpoint or an application is not fit to be asked about.
    """
    problems = [
        *check_endpoints(endpoints, store.regions),
        *check_principals(principals, store.regions),
        *check_words(store.meanings, endpoints, principals),
    ]
    if problems:
        raise ConfigError(problems)
    data = entities(store.regions, store.categories, endpoints, principals)
    return replace(
        store,
        principals=MappingProxyType({principal.id: principal for principal in principals}),
        endpoints=MappingProxyType({endpoint.id: endpoint for endpoint in endpoints}),
        entities=_world(data, store.schema, SCHEMA),
        memo=Memory(MEMO_SIZE),
    )


def _world(data: Sequence[Mapping[str, Any]], schema: Schema, name: str) -> Entities:
    try:
        return entity_set(data, schema)
    except ValueError as error:
        raise ConfigError([f"{name}: {error}"]) from None


def selftest(store: PolicyStore) -> None:
    """Proves, on the calling thread, that the engine permits, forbids and evaluates every set.

    An engine short of stack skips rules at random (cedar#1814, cedar#322), so what serves must
    prove itself where it serves.

    Raises:
        PolicyUnavailable: a known permit does not allow, a known forbid does not deny, or a rule
            of a loaded set cannot be evaluated.
    """
    canary = policy_set(parse(Source(name="canary", text=_CANARY))[0])
    for stop in (False, True):
        answer = ask(
            request(principal="a", action="a", endpoint="a", context=json.dumps({"stop": stop})),
            policies=canary,
            entities=store.entities,
            schema=None,
        )
        if answer.fault or answer.allowed is stop:
            raise PolicyUnavailable("the policy engine fails its self-test")
    endpoint, principal = next(iter(store.endpoints), ""), next(iter(store.principals), "")
    if not endpoint or not principal:
        return  # nothing can be asked, so nothing can be allowed
    purpose, basis = min(store.vocabulary["purpose"]), min(store.vocabulary["basis"])
    asked = Case(principal, NONE, "", purpose, basis, (), (), None, 1, 0)
    for law, by_action in store.sets.items():
        for action, one in by_action.items():
            fault = ask(
                _sample(asked, action, endpoint),
                policies=one.policies,
                entities=store.entities,
                schema=store.schema,
            ).fault
            if fault:
                raise PolicyUnavailable(f"the policies of {law or BASE} cannot be asked: {fault}")


def _sample(case: Case, action: str, endpoint: str) -> dict[str, Any]:
    """One question about an action; its answer does not matter."""
    if action in (RETAIN, PURGE):
        purpose, basis = case.purpose, case.basis
        return keeping(
            principal=case.principal,
            action=action,
            kept="audit",
            origin="",
            purpose=purpose,
            basis=basis,
            days=0,
        )
    told = facts(case, _RESTORING if action == REIDENTIFY else None)
    return request(principal=case.principal, action=action, endpoint=endpoint, context=told)


def _read(directory: Entry, regions: Regions) -> tuple[dict[str, Source], list[Problem]]:
    """The files by stem (the schema by its name), base first, and what is missing or unreadable."""
    needed = [WORDS, SCHEMA, f"{BASE}.cedar", *(f"{law}.cedar" for law in regions.ids)]
    names = dict.fromkeys([*needed, *sorted(file.name for file in directory.glob("*.cedar"))])
    sources: dict[str, Source] = {}
    problems: list[Problem] = []
    for name in names:
        source = Source(name=f"{directory.name}/{name}", text="")
        try:
            with (directory / name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            text = content[:MAX_BYTES].decode() if len(content) <= MAX_BYTES else None
        except OSError:
            said = "cannot be read; add it, for every loaded region needs its file"
            problems.append(source.whole("unreadable-file", said))
        except UnicodeDecodeError:
            problems.append(source.whole("unreadable-file", "not UTF-8; save it as UTF-8"))
        else:
            if text is None:
                said = "larger than 1 MiB; split it into several files"
                problems.append(source.whole("too-large", said))
            else:
                sources[name.removesuffix(".cedar")] = replace(source, text=text)
    return sources, problems


def slices(rules: Iterable[Rule]) -> Mapping[str, Slice]:
    """For each action the rules that may apply to it: fewer rules, and facts, cost less to ask."""
    return MappingProxyType(
        {
            action: Slice(policy_set(some), mentioned(some))
            for action, some in concerned(rules).items()
        }
    )


def concerned(rules: Iterable[Rule]) -> Mapping[str, tuple[Rule, ...]]:
    """Each action with the rules that may apply to it; one that names what is not known may."""
    rules = tuple(rules)
    known = {action: {action, *groups} for action, groups in ASKED.items()}
    every = frozenset[str]().union(*known.values())
    scopes = [(rule, actions(rule)) for rule in rules]
    return {
        action: tuple(
            rule
            for rule, named in scopes
            if named is None or not named <= every or not named.isdisjoint(names)
        )
        for action, names in known.items()
    }


def _rules(
    sources: Mapping[str, Source],
    schema: Schema | None,
    data: Sequence[Mapping[str, Any]],
    regions: Regions,
) -> tuple[dict[str, tuple[Rule, ...]], list[Problem]]:
    """The rules of each file, by its stem, and everything that is wrong with them."""
    known: dict[str, set[str]] = defaultdict(set)
    for entity in data:
        known[entity["uid"]["type"]].add(entity["uid"]["id"])
    rules: dict[str, tuple[Rule, ...]] = {}
    problems: list[Problem] = []
    for stem, source in sources.items():
        if stem in (SCHEMA, WORDS):
            continue
        parsed, faults = parse(source)
        problems += faults
        if not parsed and not faults:
            problems.append(
                source.whole("empty-file", "holds no rule; write one or remove the file")
            )
        for rule in parsed:
            said = lint(rule, known=known, overlay=stem not in (BASE, *regions.ids))
            found = validate(rule, schema) if schema else []
            problems += [*said, *(one for one in found if not _implied(one, said))]
        rules[stem] = tuple(parsed)
    problems += _duplicates([rule for file in rules.values() for rule in file])
    return rules, problems


def _implied(problem: Problem, said: Iterable[Problem]) -> bool:
    """Tells whether the engine says again what was said better."""
    codes = {one.code for one in said}
    return (problem.code == "no-question" and "group-equals" in codes) or (
        problem.code == "unknown-attribute" and not codes.isdisjoint(_UNTOLD)
    )


def _duplicates(rules: Sequence[Rule]) -> list[Problem]:
    first: dict[str, Rule] = {}
    problems: list[Problem] = []
    for rule in rules:
        if rule.id and first.setdefault(rule.id, rule) is not rule:
            said = f"the @id is taken by {first[rule.id].line}; give each rule its own"
            problems.append(rule.problem("duplicate-id", said))
    return problems


def _reason(rule: Rule) -> Reason:
    return Reason(
        policy=rule.id,
        effect=rule.effect,
        title=rule.annotations.get("title", ""),
        citation=rule.annotations.get("citation", ""),
        place=rule.line,
    )


def _digest(sources: Sequence[Source], regions: Regions) -> str:
    digest = hashlib.sha256(regions.digest.encode())
    for source in sorted(sources, key=lambda source: source.name):
        content = source.text.encode()
        digest.update(f"{source.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
