"""Domain: every request that rules can tell from another, and what they answer to each of them.

A rule compares facts with what it names and with nothing else; lint refuses the rest (`like`,
arithmetic, one fact compared with another). So each fact has a few values that rules can tell
apart, and their combinations are all requests there are, for the applications and endpoints at
hand. A rule reads a few facts. It is put to the engine once for each combination of those, and the
answers to all requests follow from that: allowed where a permit holds and no forbid does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, product
from math import prod
from operator import or_
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from guardrail.errors import ConfigError
from guardrail.policy.cedar import Rule, ask, policy_set
from guardrail.policy.entities import entities
from guardrail.policy.lint import HOLDS, comparison, read
from guardrail.policy.loader import PolicyStore, concerned
from guardrail.policy.questions import Case, Restoring, facts, keeping, request
from guardrail.policy.trees import attribute, is_literal, nodes
from guardrail.policy.vocabulary import (
    AGES,
    CONFIDENCES,
    COUNTS,
    DAYS,
    PROCESS_LOCALLY,
    PROCESS_UNAUDITED,
    PURGE,
    REIDENTIFY,
    RESIDUALS,
    RETAIN,
    SEND,
    SHOW,
)
from guardrail.types import Category, Treatment

Value: TypeAlias = str | int | bool | frozenset[str] | None
"""One value of a fact. None: not known, of a number; a set: the consents or filings on record."""

Topic = Literal["send", "stay", "show", "restore", "unaudited", "retain", "purge"]

MAX_REQUESTS = 1 << 26
"""Requests that one law's rules may tell apart: far more than the shipped ones do."""

_ABOUT = ("category", "origin", "purpose", "basis", "consents", "filings", "age", "count")
_FOUND = ("confidence", "residual", "injected", "day")
_ANSWERED = ("confidence", "injected", "day")
_ASKED: Mapping[Topic, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "send": ((*SEND, PROCESS_LOCALLY), ("app", "endpoint", "home", *_ABOUT, *_FOUND)),
    "stay": ((PROCESS_LOCALLY,), ("app", "home", *_ABOUT, *_FOUND)),
    "show": (tuple(SHOW), ("app", "source", *_ABOUT, *_ANSWERED)),
    "restore": ((REIDENTIFY,), ("app", "source", *_ABOUT, *_ANSWERED, "sink", "toolDeclared")),
    "unaudited": ((PROCESS_UNAUDITED,), ("app", "source", *_ABOUT, *_ANSWERED)),
    "retain": ((RETAIN,), ("app", "store", "origin", "purpose", "basis", "days")),
    "purge": ((PURGE,), ("app", "store", "origin", "purpose", "basis", "days")),
}
"""The actions that a topic asks about, and the facts that its requests consist of.

`endpoint` is one that is not local, `home` one that is, `source` any, of an answer."""

TOPICS: tuple[Topic, ...] = tuple(_ASKED)
"""`send`: leaving for a model abroad, or else staying; `stay`: the local model; `show` and
`restore`: what comes back; `unaudited`: going on without a log; `retain` and `purge`: stores."""

_ENTITIES: Mapping[str, str] = {
    "category": "Category",
    "origin": "Jurisdiction",
    "purpose": "Purpose",
    "basis": "Basis",
    "sink": "Sink",
    "store": "Store",
}
_SETS: Mapping[str, str] = {"consents": "Consent", "filings": "Filing"}
_HOLDERS: Mapping[str, tuple[str, str]] = {
    "app": ("App", "principal"),
    "endpoint": ("Endpoint", "resource"),
    "home": ("Endpoint", "resource"),
    "source": ("Endpoint", "resource"),
}
_NUMBERS: Mapping[str, tuple[int | None, ...]] = {
    "age": (None, *AGES),
    "count": COUNTS,
    "confidence": CONFIDENCES,
    "residual": (None, *RESIDUALS),
    "days": DAYS,
}
_FLAGS = frozenset({"injected", "toolDeclared"})
_RESOURCES = frozenset({"endpoint", "home", "source", "store"})
_MEMBERSHIP = frozenset({"contains", "containsAll", "containsAny"})
USUAL_DAY = 20261201
"""The day of requests where no rule tells days apart."""
_SINKS: tuple[Literal["text", "tool", "url", "code"], ...] = ("text", "tool", "url", "code")

_Uid: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Axis:
    """A fact and its values that rules can tell apart: the first of each class, and all of it."""

    name: str
    classes: tuple[tuple[Value, ...], ...]

    @property
    def values(self) -> tuple[Value, ...]:
        """One value of each class."""
        return tuple(members[0] for members in self.classes)


Treatments: TypeAlias = NDArray[np.int8]
"""A `Treatment` for each request; one dimension for each axis, in their order."""


class _Named(NamedTuple):
    """What rules name: entities, the attributes that they read, how they compare numbers.

    `loose` are attributes that are read in another way than by the usual comparisons; of those
    every value is a class of its own.
    """

    entities: frozenset[_Uid] = frozenset()
    reads: frozenset[str] = frozenset()
    compared: frozenset[tuple[str, str, int]] = frozenset()
    loose: frozenset[str] = frozenset()

    def __or__(self, other: tuple[Any, ...]) -> _Named:
        return _Named(*(one | two for one, two in zip(self, other, strict=True)))

    def words(self, kind: str) -> list[str]:
        """The names of entities of a kind, sorted."""
        return sorted(name for one, name in self.entities if one == kind)


def named_entities(rule: Rule) -> frozenset[_Uid]:
    """The entities that a rule names, each as its type and its id."""
    return frozenset(
        (node["type"], node["id"])
        for node in nodes(rule)
        if isinstance(node.get("type"), str) and isinstance(node.get("id"), str)
    )


def _named(rule: Rule) -> _Named:
    compared: set[tuple[str, str, int]] = set()
    loose: Counter[str] = Counter()
    for node in nodes(rule):
        loose[attribute(node)] += 1
        for one, sign, number in filter(None, [comparison(node)]):
            compared.add((one.name, sign, number))
            loose[one.name] -= 1
        for sign in _MEMBERSHIP & node.keys():
            if is_literal(node[sign]["right"]):
                loose[attribute(node[sign]["left"])] -= 1
    return _Named(
        named_entities(rule),
        frozenset(read(rule)),
        frozenset(compared),
        frozenset(name for name, count in loose.items() if count > 0),
    )


class World:
    """Policies with the applications and endpoints that they are asked about, and what is in what.

    Those of the store; several worlds that are compared have the same ones.
    """

    def __init__(self, store: PolicyStore) -> None:
        self.store = store
        data = entities(
            store.regions,
            store.categories,
            [*store.endpoints.values()],
            [*store.principals.values()],
        )
        parents = {_uid(one["uid"]): [_uid(above) for above in one["parents"]] for one in data}
        self.data = {_uid(one["uid"]): one for one in data}
        self.homes = tuple(one.id for one in store.endpoints.values() if one.local)
        self._parents = parents
        self._above: dict[_Uid, frozenset[_Uid]] = {}
        self._rules: dict[str, Mapping[str, tuple[Rule, ...]]] = {}
        self._tables: dict[tuple[str, str], tuple[Rule, _Table]] = {}

    def above(self, uid: _Uid) -> frozenset[_Uid]:
        """An entity and everything that it is in."""
        if uid not in self._above:
            found = (self.above(parent) for parent in self._parents.get(uid, ()))
            self._above[uid] = frozenset({uid}).union(*found)
        return self._above[uid]

    def values(self, name: str, named: _Named) -> Iterator[Value]:
        """All values of a fact; of sets, those of the words that rules name."""
        store = self.store
        if name == "app":
            yield from store.principals
        elif name == "endpoint":
            yield from (one.id for one in store.endpoints.values() if not one.local)
        elif name == "home":
            yield from self.homes
        elif name == "source":
            yield from store.endpoints
        elif name == "category":
            yield from sorted(store.categories)
        elif name == "origin":
            yield from sorted(store.regions.parents)
            yield ""
        elif name in ("purpose", "basis"):
            yield from sorted(store.vocabulary[name])
        elif name == "sink":
            yield from _SINKS
        elif name == "store":
            yield from ("audit", "vault")
        elif name in _SETS:
            words = named.words(_SETS[name])
            if f"context.{name}" in named.loose:
                words += sorted(store.vocabulary[_SETS[name].lower()] - set(words))[:1]
            for size in range(len(words) + 1):
                yield from map(frozenset, combinations(words, size))
        elif name == "day":
            yield from _days(number for fact, _, number in named.compared if fact == "context.day")
        elif name in _FLAGS:
            yield from (False, True)
        else:
            yield from _NUMBERS[name]

    def class_of(self, name: str, value: Value, named: _Named) -> object:
        """What rules that name these can know of a value; equal for values they cannot tell."""
        if name in _HOLDERS:
            return self._holder(name, str(value), named)
        if name == "store":
            return (("Store", value),) if ("Store", str(value)) in named.entities else ()
        if f"context.{name}" not in named.reads:
            return ()
        if name in _ENTITIES:
            return self.above((_ENTITIES[name], str(value))) & named.entities
        if f"context.{name}" in named.loose or value is None or isinstance(value, bool):
            return value
        if isinstance(value, frozenset):
            return value.intersection(named.words(_SETS[name]))
        return tuple(
            HOLDS[sign](int(value), number)
            for fact, sign, number in sorted(named.compared)
            if fact == f"context.{name}"
        )

    def _holder(self, name: str, value: str, named: _Named) -> object:
        """An application or an endpoint, by what it is in and by the attributes that are read."""
        kind, variable = _HOLDERS[name]
        one = self.data[kind, value]
        told: list[object] = [self.above((kind, value)) & named.entities]
        for key in sorted(one["attrs"]):
            if f"{variable}.{key}" in named.reads:
                loose = f"{variable}.{key}" in named.loose
                told.append(self._attribute(one["attrs"][key], named, loose))
        return tuple(told)

    def _attribute(self, value: Any, named: _Named, loose: bool) -> object:
        if isinstance(value, dict):
            return self.above(_uid(value["__entity"])) & named.entities
        if isinstance(value, list):
            uids = frozenset(_uid(one["__entity"]) for one in value)
            return uids if loose else uids & named.entities
        return value

    def rules(self, law: str, action: str) -> tuple[Rule, ...]:
        """The rules of a law that may apply to an action."""
        if law not in self._rules:
            self._rules[law] = concerned(self.store.rules[law])
        return self._rules[law][action]

    def table(self, rule: Rule, action: str) -> _Table:
        """What a rule says to an action, for all values of the facts that it reads."""
        known = self._tables.get((rule.id, action))
        if known is None or known[0] is not rule:
            known = self._tables[rule.id, action] = (rule, _Table(self, rule, action))
        return known[1]


def _uid(told: Mapping[str, str]) -> _Uid:
    return told["type"], told["id"]


def _days(numbers: Iterable[int]) -> list[int]:
    """Days around those that rules name, and a usual one where they name none."""
    around = {number + step for number in numbers for step in (-1, 0, 1)}
    return sorted(around) or [USUAL_DAY]


# ---- what one rule says


class _Table:
    """Where one rule applies: the facts that it reads, their classes, and whether it holds.

    `holds` has a dimension for each of `names`. A rule that cannot be evaluated is in `faulty`.
    """

    __slots__ = ("_keys", "_named", "_world", "faulty", "holds", "names")

    def __init__(self, world: World, rule: Rule, action: str) -> None:
        self._world = world
        self._named = _named(rule)
        told: list[tuple[str, dict[object, Value]]] = []
        for name in _facts(action, world):
            classes: dict[object, Value] = {}
            for value in world.values(name, self._named):
                classes.setdefault(world.class_of(name, value, self._named), value)
            told.append((name, classes))
        self.names = tuple(name for name, classes in told if len(classes) > 1)
        self._keys = {
            name: {key: number for number, key in enumerate(classes)} for name, classes in told
        }
        kept = [[*classes.values()] for name, classes in told if len(classes) > 1]
        usual = {name: next(iter(classes.values()), "") for name, classes in told}
        shape = tuple(map(len, kept))
        self.holds = np.zeros(shape, np.bool_)
        self.faulty = np.zeros(shape, np.bool_)
        policies = policy_set([rule])
        only = frozenset(
            name.partition(".")[2] for name in self._named.reads if name.startswith("context.")
        )
        for place, values in zip(np.ndindex(*shape), product(*kept), strict=True):
            answer = ask(
                _question(action, {**usual, **dict(zip(self.names, values, strict=True))}, only),
                policies=policies,
                entities=world.store.entities,
                schema=None,
            )
            self.holds[place] = bool(answer.policies)
            self.faulty[place] = bool(answer.fault)

    def over(self, axes: Sequence[Axis], *, faulty: bool = False) -> NDArray[np.bool_]:
        """Where it holds, with a dimension for each axis; of length one for what it cannot tell."""
        places: dict[str, list[int]] = {}
        for axis in axes:
            if axis.name in self.names:
                keys = self._keys[axis.name]
                told = (self._world.class_of(axis.name, one, self._named) for one in axis.values)
                places[axis.name] = [keys[key] for key in told]
        table = self.faulty if faulty else self.holds
        if self.names:
            table = table[np.ix_(*(places[name] for name in self.names))]
        order = [self.names.index(axis.name) for axis in axes if axis.name in self.names]
        shape = [len(axis.classes) if axis.name in self.names else 1 for axis in axes]
        return table.transpose(order).reshape(shape)


def _resource(action: str, world: World) -> str:
    if action in (RETAIN, PURGE):
        return "store"
    if action == PROCESS_LOCALLY:
        return "home" if world.homes else "endpoint"
    return "endpoint" if action in SEND else "source"


def _facts(action: str, world: World) -> tuple[str, ...]:
    """The facts that a question of an action holds."""
    named = next(names for actions, names in _ASKED.values() if action in actions)
    resource = _resource(action, world)
    return tuple(one for one in named if one not in _RESOURCES or one == resource)


def _question(action: str, told: Mapping[str, Any], only: frozenset[str]) -> dict[str, Any]:
    if action in (RETAIN, PURGE):
        return keeping(
            principal=told["app"],
            action=action,
            kept=told["store"],
            origin=told["origin"],
            purpose=told["purpose"],
            basis=told["basis"],
            days=told["days"],
        )
    case = Case(
        principal=told["app"],
        category=Category(told["category"]),
        origin=told["origin"],
        purpose=told["purpose"],
        basis=told["basis"],
        consents=tuple(sorted(told["consents"])),
        filings=tuple(sorted(told["filings"])),
        age=told["age"],
        findings=told["count"],
        confidence=told["confidence"],
        residual=told.get("residual"),
        injected=told["injected"],
        day=told["day"],
    )
    where = Restoring(told["sink"], told["toolDeclared"]) if action == REIDENTIFY else None
    return request(
        principal=told["app"],
        action=action,
        endpoint=next(told[name] for name in ("home", "source", "endpoint") if name in told),
        context=facts(case, where, only=only),
    )


# ---- what all rules say


def axes(worlds: Sequence[World], laws: Sequence[str], topic: Topic) -> tuple[Axis, ...]:
    """The facts of a topic and their values that any of some laws' rules can tell apart.

    Of the values, those that all worlds know. Values that no rule tells apart are one class.

    Raises:
        ConfigError: the rules tell more requests apart than `MAX_REQUESTS`.
    """
    actions, names = _ASKED[topic]
    told = [
        reduce(
            or_,
            (_named(rule) for law in laws for one in actions for rule in world.rules(law, one)),
            _Named(),
        )
        for world in worlds
    ]
    every = reduce(or_, told)
    found = []
    for name in names:
        first, *others = (list(world.values(name, every)) for world in worlds)
        classes: dict[object, list[Value]] = {}
        for value in first:
            if all(value in one for one in others):
                each = zip(worlds, told, strict=True)
                key = tuple(world.class_of(name, value, named) for world, named in each)
                classes.setdefault(key, []).append(value)
        found.append(Axis(name, tuple(map(tuple, classes.values()))))
    size = prod(len(axis.classes) for axis in found)
    if size > MAX_REQUESTS:
        widest = ", ".join(
            f"{axis.name} {len(axis.classes)}"
            for axis in sorted(found, key=lambda axis: -len(axis.classes))[:4]
        )
        raise ConfigError(
            [f"the rules of {laws[0]} tell {size:,} requests apart ({widest}); name fewer words"]
        )
    return tuple(found)


def treatments(world: World, law: str, topic: Topic, axes: Sequence[Axis]) -> Treatments:
    """How a law treats each request of a topic, by the real engine's answers to each rule.

    What is not allowed is BLOCKED; what is allowed is CLEAR where there are no degrees of it. A
    rule that cannot be evaluated denies, as it does when requests are decided.
    """
    shape = tuple(len(axis.classes) for axis in axes)
    if topic in ("send", "stay"):
        at_home, barred = _answers(world, law, PROCESS_LOCALLY, axes)
        stays = at_home & bool(world.homes)
        result = np.where(barred, Treatment.BLOCKED, np.where(stays, Treatment.LOCAL, 4))
        result = np.broadcast_to(result, shape).astype(np.int8)
        for action, treatment in reversed([*SEND.items()]) if topic == "send" else ():
            result[allowed(world, law, action, axes) & ~barred] = treatment
        return result
    result = np.full(shape, Treatment.BLOCKED, np.int8)
    actions = SHOW if topic == "show" else {_ASKED[topic][0][0]: Treatment.CLEAR}
    for action, treatment in reversed([*actions.items()]):
        result[allowed(world, law, action, axes)] = treatment
    return result


def allowed(world: World, law: str, action: str, axes: Sequence[Axis]) -> NDArray[np.bool_]:
    """Where a law allows an action; one dimension for each axis, in their order."""
    shape = tuple(len(axis.classes) for axis in axes)
    return np.broadcast_to(_answers(world, law, action, axes)[0], shape)


def _answers(
    world: World, law: str, action: str, axes: Sequence[Axis]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where an action is allowed, and where a rule forbids it or cannot be evaluated."""
    one = np.zeros((1,) * len(axes), np.bool_)
    permitted, forbidden = one, one
    for rule in world.rules(law, action):
        table = world.table(rule, action)
        if rule.effect == "permit":
            permitted = permitted | table.over(axes)
        else:
            forbidden = forbidden | table.over(axes)
        if table.faulty.any():
            forbidden = forbidden | table.over(axes, faulty=True)
    return permitted & ~forbidden, forbidden


def deciding(
    world: World, law: str, topic: Topic, axes: Sequence[Axis], place: Sequence[int]
) -> tuple[str, ...]:
    """Ids of the rules that decide one request: forbids of milder treatments, then permits."""

    def holding(action: str, effect: str) -> list[str]:
        return [
            rule.id
            for rule in world.rules(law, action)
            if rule.effect == effect and _at(world.table(rule, action).over(axes), place)
        ]

    at_home: list[str] = []
    if topic in ("send", "stay"):
        barred = holding(PROCESS_LOCALLY, "forbid")
        if barred or topic == "stay":
            return tuple(barred or holding(PROCESS_LOCALLY, "permit"))
        at_home = holding(PROCESS_LOCALLY, "permit") if world.homes else []
    denied: list[str] = []
    for action in SEND if topic == "send" else _ASKED[topic][0]:
        forbids = holding(action, "forbid")
        permits = [] if forbids else holding(action, "permit")
        denied += forbids
        if permits:
            return tuple(dict.fromkeys((*denied, *permits)))
    return tuple(dict.fromkeys((*denied, *at_home)))


def _at(table: NDArray[np.bool_], place: Sequence[int]) -> bool:
    """A table's value for a request; its dimensions of length one hold for all."""
    sizes = zip(place, table.shape, strict=True)
    return bool(table[tuple(number if size > 1 else 0 for number, size in sizes)])
