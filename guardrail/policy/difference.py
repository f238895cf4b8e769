"""Difference: every request that two sets of policies treat otherwise, in sentences.

All requests that either set's rules can tell apart are compared, for the same applications and
endpoints (`guardrail.policy.domain`). So nothing found means that nothing changes for them, however
the files differ. What changes is said in as few sentences as there are; each names exactly the
requests that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guardrail.policy.domain import (
    TOPICS,
    Axis,
    Topic,
    Treatments,
    Value,
    World,
    axes,
    deciding,
    treatments,
)
from guardrail.policy.facts import FACTS
from guardrail.policy.loader import EVERYWHERE, PolicyStore
from guardrail.types import Treatment

_ORDER = (
    *(
        "category",
        "endpoint",
        "source",
        "store",
        "app",
        "basis",
        "purpose",
        "consents",
        "filings",
        "age",
    ),
    *("sink", "toolDeclared", "residual", "injected", "count", "confidence", "origin", "home"),
    *("days", "day"),
)
"""In which order requests are divided: first by what people ask first."""


class Condition(NamedTuple):
    """Values of one fact, of all that `among` lists."""

    name: str
    values: tuple[Value, ...]
    among: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Requests of one topic that were treated in one way and would be in another.

    `laws` say so alike, `""` standing for where no law applies. `where` are conditions that all
    these requests meet, leaving out what every request meets that is not blocked; `cases` are
    exactly these requests, each all combinations of its conditions' values. `was` and `now` are the
    rules that decide the first of them. `requests` of `compared` are concerned, those that rules
    cannot tell apart being one.
    """

    laws: tuple[str, ...]
    topic: Topic
    old: Treatment
    new: Treatment
    where: tuple[Condition, ...]
    cases: tuple[tuple[Condition, ...], ...]
    was: tuple[str, ...]
    now: tuple[str, ...]
    requests: int
    compared: int

    @property
    def looser(self) -> bool:
        """Whether more may happen than before."""
        return self.new < self.old


class Note(NamedTuple):
    """A change that is not one of treatment: of what rules may say, or of whom laws protect."""

    text: str
    looser: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changes from one set to another; changes that loosen come first.

    `edited` are the rules whose meaning is another, `added` and `removed` those of one set only,
    each by its id. `compared` is how many requests were compared, of all laws.
    """

    changes: tuple[Change, ...]
    notes: tuple[Note, ...]
    edited: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    compared: int

    @property
    def looser(self) -> bool:
        """Whether anything is looser."""
        return any(one.looser for one in self.changes) or any(one.looser for one in self.notes)

    @property
    def empty(self) -> bool:
        """Whether every request is treated as before."""
        return not (self.changes or self.notes)


def laws_of(old: PolicyStore, new: PolicyStore) -> tuple[str, ...]:
    """The laws that both sets have, then what holds where none applies."""
    return (*(law for law in old.regions.ids if law in new.regions.ids), EVERYWHERE)


class Comparison:
    """Two sets of policies about the same applications and endpoints, compared law by law."""

    def __init__(self, old: PolicyStore, new: PolicyStore) -> None:
        self._worlds = World(old), World(new)
        self._found: list[Change] = []
        self._compared = 0

    def compare(self, law: str) -> None:
        """Compares all requests under a law; `""`: where none applies.

        Raises:
            ConfigError: the rules tell too many requests apart.
        """
        old, new = self._worlds
        for topic in TOPICS:
            told = axes(self._worlds, [law], topic)
            before = treatments(old, law, topic, told)
            after = treatments(new, law, topic, told)
            self._compared += before.size
            for one in _pairs(before, after):
                self._found.append(self._change(law, topic, told, one))

    def _change(self, law: str, topic: Topic, told: Sequence[Axis], pair: _Pair) -> Change:
        old, new = self._worlds
        first = [int(numbers[0]) for numbers in np.nonzero(pair.where)]
        common, usual = _projections(pair.where), _projections(pair.usual)
        return Change(
            laws=(law,),
            topic=topic,
            old=pair.old,
            new=pair.new,
            where=tuple(_conditions(told, common, usual)),
            cases=tuple(tuple(_conditions(told, box, usual)) for box in boxes(pair.where, told)),
            was=deciding(old, law, topic, told, first),
            now=deciding(new, law, topic, told, first),
            requests=int(pair.where.sum()),
            compared=pair.where.size,
        )

    def difference(self) -> Difference:
        """What the laws that were compared have come to, and what changes beside."""
        old, new = (world.store for world in self._worlds)
        before, after = _meanings(old), _meanings(new)
        both = before.keys() & after.keys()
        return Difference(
            changes=tuple(sorted(_joined(self._found), key=_rank)),
            notes=tuple(_notes(old, new)),
            edited=tuple(sorted(name for name in both if before[name] != after[name])),
            added=tuple(sorted(after.keys() - both)),
            removed=tuple(sorted(before.keys() - both)),
            compared=self._compared,
        )


def _rank(change: Change) -> tuple[bool, int, int, tuple[str, ...]]:
    """Looser first, what leaves before what stays, great steps before small ones."""
    step = change.new - change.old
    return not change.looser, TOPICS.index(change.topic), -abs(step), change.laws


def _meanings(store: PolicyStore) -> Mapping[str, object]:
    """What each rule says, whatever it is called and wherever it stands."""
    parts = ("effect", "principal", "action", "resource", "conditions")
    return {
        rule.id: [rule.tree[part] for part in parts]
        for members in store.rules.values()
        for rule in members
    }


# ---- from points to sentences


class _Pair(NamedTuple):
    """Where one treatment becomes another, and which requests are not blocked in both sets."""

    old: Treatment
    new: Treatment
    where: NDArray[np.bool_]
    usual: NDArray[np.bool_]


def _pairs(before: Treatments, after: Treatments) -> Iterator[_Pair]:
    if np.array_equal(before, after):
        return
    usual = (before < Treatment.BLOCKED) | (after < Treatment.BLOCKED)
    for old in Treatment:
        for new in Treatment:
            where = (before == old) & (after == new)
            if old is not new and where.any():
                yield _Pair(old, new, where, usual)


_Box = tuple[tuple[int, ...], ...]
"""For each axis the numbers of its classes; all combinations of them."""


def boxes(where: NDArray[np.bool_], told: Sequence[Axis]) -> list[_Box]:
    """The requests as few products of values, together exactly those where it holds."""
    order = sorted(range(len(told)), key=lambda number: _ORDER.index(told[number].name))
    boxes = []
    for box in _divided(where.transpose(order)):
        placed = dict(zip(order, box, strict=True))
        boxes.append(tuple(placed[number] for number in range(len(told))))
    return boxes


def _divided(where: NDArray[np.bool_]) -> list[_Box]:
    """Values of the first dimension that have the same requests after them go together."""
    if where.ndim == 0:
        return [()]
    alike: dict[bytes, list[int]] = {}
    for number, part in enumerate(where):
        if part.any():
            alike.setdefault(np.packbits(part).tobytes(), []).append(number)
    return [
        (tuple(numbers), *rest)
        for numbers in alike.values()
        for rest in _divided(where[numbers[0]])
    ]


def _projections(where: NDArray[np.bool_]) -> _Box:
    """For each axis the classes that any of the requests is of."""
    axes = range(where.ndim)
    return tuple(
        tuple(map(int, np.flatnonzero(where.any(axis=tuple(n for n in axes if n != axis)))))
        for axis in axes
    )


def _conditions(told: Sequence[Axis], box: _Box, usual: _Box) -> Iterator[Condition]:
    """What requests meet, of which all are in a box; not what the usual ones meet as well."""
    for axis, numbers, possible in zip(told, box, usual, strict=True):
        if len(numbers) < len(possible):
            among = tuple(value for members in axis.classes for value in members)
            values = tuple(value for number in numbers for value in axis.classes[number])
            yield Condition(axis.name, values, among)


def _joined(found: Sequence[Change]) -> Iterator[Change]:
    """One change for all laws that say the same."""
    alike: dict[object, list[Change]] = {}
    for one in found:
        key = (one.topic, one.old, one.new, one.cases, one.was, one.now)
        alike.setdefault(key, []).append(one)
    for same in alike.values():
        first = same[0]
        yield replace(
            first,
            laws=tuple(law for one in same for law in one.laws),
            requests=sum(one.requests for one in same),
            compared=sum(one.compared for one in same),
        )


# ---- beside rules


def _notes(old: PolicyStore, new: PolicyStore) -> Iterator[Note]:
    before, after = set(old.regions.ids), set(new.regions.ids)
    for law in sorted(before - after):
        yield Note(f"the law {law} is gone: nobody is protected by it any more", looser=True)
    for law in sorted(after - before):
        yield Note(f"the law {law} is new: it holds beside the others")
    for law in sorted(before & after):
        gone, come = _covered(old, law, new), _covered(new, law, old)
        if gone:
            yield Note(f"{law} no longer applies in {_listed(gone)}", looser=True)
        if come:
            yield Note(f"{law} now applies in {_listed(come)}, too")
    for kind in sorted(old.vocabulary):
        words, others = old.vocabulary[kind], new.vocabulary[kind]
        gone, come = sorted(words - others), sorted(others - words)
        if gone:
            yield Note(f"{kind}: {_listed(gone)} may no longer be said; what says it is refused")
        if come:
            may = kind in ("purpose", "basis")
            said = "may now be said, and was refused before" if may else "is a new word"
            yield Note(f"{kind}: {_listed(come)} {said}", looser=may)


def _covered(store: PolicyStore, law: str, other: PolicyStore) -> list[str]:
    """The places that a law covers in one set and not in the other."""

    def covers(one: PolicyStore, place: str) -> bool:
        return law in one.regions.applicable(origin=place, establishment="")

    places = store.regions.parents
    return sorted(one for one in places if covers(store, one) and not covers(other, one))


# ---- in words


_TOPICS: Mapping[Topic, str] = {
    "send": "{category}{endpoint}: {old} → {new}",
    "stay": "{category} on the local model: {old} → {new}",
    "show": "{category} in answers{source}: {old} → {new}",
    "restore": "originals of {category} in answers{source}: {old} → {new}",
    "unaudited": "{category}{source} while the audit log is down: {old} → {new}",
    "retain": "keeping{store}{days}: {old} → {new}",
    "purge": "destroying{store}{days}: {old} → {new}",
}
_SAID: Mapping[Topic, Mapping[Treatment, str]] = {
    "send": {one: one.name.lower() for one in Treatment},
    "stay": {Treatment.LOCAL: "allowed", Treatment.BLOCKED: "blocked"},
    "show": {
        Treatment.CLEAR: "clear",
        Treatment.REDACTED: "masked",
        Treatment.BLOCKED: "blocked",
    },
}
_ALLOWED = {Treatment.CLEAR: "allowed", Treatment.BLOCKED: "not allowed"}
_LISTED = 12


def headline(change: Change) -> str:
    """What happens to what, in one line: `health to fr: pseudonymised → clear`."""
    told = {one.name: one for one in change.where}
    said = _SAID.get(change.topic, _ALLOWED)
    return _TOPICS[change.topic].format(
        category=_some(told.get("category"), "every category"),
        endpoint=" to " + _some(told.get("endpoint"), "every endpoint"),
        source=" from " + _some(told.get("source"), "every endpoint"),
        store=" " + _some(told.get("store"), "everything"),
        days=f" for {_range(told['days'])} days" if "days" in told else "",
        old=said[change.old],
        new=said[change.new],
    )


def _some(condition: Condition | None, every: str) -> str:
    """The values of a fact, or which they are not if that is shorter."""
    if condition is None:
        return every
    others = [value for value in condition.among if value not in condition.values]
    if len(others) * 2 < len(condition.values):
        return f"{every} but {_listed(others)}"
    return _listed(condition.values)


def conditions(change: Change) -> list[str]:
    """What else all its requests meet, each as a phrase: `basis is consent`."""
    return [phrase_of(one) for one in change.where if one.name not in _headed(change.topic)]


def cases(change: Change) -> list[str]:
    """Its requests exactly, each case in one line."""
    return ["; ".join(map(phrase_of, one)) or "always" for one in change.cases]


def _headed(topic: Topic) -> frozenset[str]:
    """The facts that the headline names."""
    kept = topic in ("retain", "purge")
    return frozenset({"store", "days"} if kept else {"category", "endpoint", "source"})


def phrase_of(condition: Condition) -> str:
    """A condition in words: `basis is not none`."""
    name, values, among = condition
    if name in ("consents", "filings"):
        return _of_sets(name, values, among)
    if name in ("injected", "toolDeclared"):
        said = {"injected": "a text from outside speaks to the model", "toolDeclared": "declared"}
        return said[name] if True in values else f"not: {said[name]}"
    if any(isinstance(value, int) for value in among):
        return f"{name} is {_range(condition)}"
    others = [value for value in among if value not in values]
    if len(others) < len(values):
        return f"{name} is not {_listed(others)}"
    return f"{name} is {_listed(values)}"


def _of_sets(name: str, values: Sequence[Value], among: Sequence[Value]) -> str:
    """Which of the sets that rules can tell apart: by a word that all have, or none has."""
    sets = [value for value in values if isinstance(value, frozenset)]
    every = [value for value in among if isinstance(value, frozenset)]
    words = sorted(frozenset[str]().union(*every))
    needed = [word for word in words if all(word in one for one in sets)]
    absent = [word for word in words if not any(word in one for one in sets)]
    fitting = [one for one in every if one.issuperset(needed) and one.isdisjoint(absent)]
    if len(fitting) == len(sets):
        parts = [f"with {' and '.join(needed)}"] if needed else []
        parts += [f"without {' or '.join(absent)}"] if absent else []
        return f"{name} {', '.join(parts)}"
    any_of = [word for word in words if all(one in sets for one in every if word in one)]
    if any_of and all(one.intersection(any_of) for one in sets):
        return f"{name} with {' or '.join(any_of)}"
    shown = (" and ".join(sorted(one)) or "none" for one in sets)
    return f"{name} are {'; or '.join(shown)}"


def _range(condition: Condition) -> str:
    """Numbers as ranges, as far as rounding tells them."""
    fact = FACTS.get(f"context.{condition.name}")
    steps = [value for value in condition.among if isinstance(value, int)]
    steps.sort()
    chosen = {value for value in condition.values if isinstance(value, int)}
    parts = ["not known"] if None in condition.values else []
    start = 0
    while start < len(steps):
        if steps[start] not in chosen:
            start += 1
            continue
        end = start
        while end + 1 < len(steps) and steps[end + 1] in chosen:
            end += 1
        parts.append(_run(steps, start, end, fact.rounded if fact else "exact"))
        start = end + 1
    return " or ".join(parts)


def _run(steps: Sequence[int], start: int, end: int, rounded: str) -> str:
    low, high = steps[start], steps[end]
    last = end == len(steps) - 1
    if last and start == 0:
        return "known"
    if rounded == "up":
        if start == 0:
            return f"up to {high}"
        return f"over {steps[start - 1]}" + ("" if last else f" up to {high}")
    if last:
        return f"{low} or more"
    if rounded == "down":
        upto = f"below {steps[end + 1]}"
        return upto if start == 0 else f"{low} or more and {upto}"
    return f"up to {high}" if start == 0 else str(low) if start == end else f"{low} to {high}"


def _listed(values: Sequence[Value]) -> str:
    names = sorted(str(value) or "an unknown place" for value in values)
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
