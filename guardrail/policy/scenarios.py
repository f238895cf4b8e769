"""Scenarios: `policies/tests/`, where people write down what the policies shall decide.

`world.yaml` names applications and endpoints; each other file holds scenarios, and is named after
the law that they are about, or after nothing in particular (`together.yaml`). Whatever is not
understood is a problem with its line: a scenario that is passed over would seem to pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Literal

from guardrail.endpoints import MAX_SOVEREIGNTY
from guardrail.errors import ConfigError
from guardrail.files import Entry
from guardrail.policy.loader import PolicyStore
from guardrail.policy.marked import (
    Field,
    Marked,
    Wrong,
    by,
    day,
    fields,
    instead,
    listed,
    meant,
    number,
    one_of,
    read_marked,
    set_of,
    table,
    text,
    truth,
    whole,
)
from guardrail.policy.questions import MAX_AGE
from guardrail.policy.vocabulary import DAYS
from guardrail.regions import misnamed
from guardrail.types import Category, Endpoint, Principal, Treatment

WORLD = "world.yaml"
LOCAL = "local"
"""The endpoint that always exists, where the application is established."""
USUAL_APP = "general"
USUAL_DAY = date(2026, 12, 1)
"""The day on which a scenario takes place that names none."""

SENT: Mapping[str, Treatment] = MappingProxyType({one.name.lower(): one for one in Treatment})
SHOWN: Mapping[str, Treatment] = MappingProxyType(
    {"clear": Treatment.CLEAR, "masked": Treatment.REDACTED, "blocked": Treatment.BLOCKED}
)
SINKS: tuple[Literal["text", "tool", "url", "code"], ...] = ("text", "tool", "url", "code")
STORES: tuple[Literal["audit", "vault"], ...] = ("audit", "vault")
NEVER = "never"
"""In place of days: may not be kept at all, or may never be destroyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Applications by name, established nowhere yet, and endpoints by name."""

    apps: Mapping[str, Principal]
    endpoints: Mapping[str, Endpoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One request, and what is expected of the policies; `place` is `file:line`.

    `expect` is how each category leaves, `show` how an answer shows it, `restore` which sinks get
    its originals, `because` which rules must be among those that decide about its leaving.
    `retain` is for how many days a store may keep, and `purge` from which on it may destroy; None
    stands for never.
    """

    title: str
    place: str
    app: str
    origin: str
    established: str
    endpoint: str
    expect: Mapping[Category, Treatment]
    purpose: str = "general"
    basis: str = "contract"
    consents: frozenset[str] = frozenset()
    filings: frozenset[str] = frozenset()
    age: int | None = None
    residual: float = 0.0
    injected: bool = False
    on: date = USUAL_DAY
    show: Mapping[Category, Treatment] = field(default_factory=dict)
    restore: Mapping[Category, frozenset[str]] = field(default_factory=dict)
    retain: Mapping[str, int | None] = field(default_factory=dict)
    purge: Mapping[str, int | None] = field(default_factory=dict)
    because: Mapping[Category, frozenset[str]] = field(default_factory=dict)


def load_scenarios(directory: Entry, store: PolicyStore) -> tuple[World, tuple[Scenario, ...]]:
    """The world and the scenarios of a folder, in the order of its files, checked by the policies.

    The store's own applications and endpoints belong to the world, too, unless it names others so.

    Raises:
        ConfigError: anything is wrong; a problem reads `policies/tests/jp.yaml:12: what and how`.
    """
    label = f"{directory.parent.name}/{directory.name}"
    found = sorted(directory.glob("*.yaml"), key=lambda file: file.name)
    files = [file for file in found if file.name != WORLD]
    if not files:
        raise ConfigError([f"{label}: no scenarios; write some, e.g. {label}/eu.yaml"])
    pages: dict[str, Marked] = {}
    problems: list[str] = []
    for file in (directory / WORLD, *files):
        try:
            pages[file.name] = read_marked(file, f"{label}/{file.name}")
        except ConfigError as error:
            problems += error.problems
    reader = _Reader(store, f"{label}/{WORLD}")
    world = reader.world(pages.pop(WORLD)) if WORLD in pages else None
    problems += reader.problems
    scenarios: list[Scenario] = []
    for name, page in pages.items() if world else ():
        reader = _Reader(store, f"{label}/{name}", world)
        scenarios += reader.scenarios(page)
        problems += reader.problems
    if problems or world is None:
        raise ConfigError(problems)
    return world, tuple(scenarios)


def load_world(directory: Entry, store: PolicyStore) -> World:
    """The applications and endpoints that a folder's `world.yaml` names, beside the store's own.

    Raises:
        ConfigError: the file is not there, or anything in it is wrong.
    """
    label = f"{directory.parent.name}/{directory.name}/{WORLD}"
    reader = _Reader(store, label)
    world = reader.world(read_marked(directory / WORLD, label))
    if reader.problems:
        raise ConfigError(reader.problems)
    return world


class _Reader:
    """Reads one file; what is wrong is gathered in `problems`."""

    def __init__(self, store: PolicyStore, name: str, world: World | None = None) -> None:
        self.problems: list[str] = []
        self._store = store
        self._name = name
        self._world = world or World(apps=store.principals, endpoints=store.endpoints)
        self._law = store.regions.regions.get(PurePath(name).stem)

    def world(self, page: Marked) -> World:
        """The applications and endpoints that the file names, beside the store's own."""
        apps, endpoints = dict(self._world.apps), dict(self._world.endpoints)
        tables = self._read(page, {"apps": table, "endpoints": table})
        for name, told in tables.get("apps", {}).items():
            apps[name] = Principal(id=name, **self._read(told, _app(self._store)))
        for name, told in tables.get("endpoints", {}).items():
            if name == LOCAL:
                self._say(told.line, f"`{LOCAL}` is always there; give this one another name")
            facts = self._read(told, _endpoint(self._store), needed=("location",))
            endpoints[name] = Endpoint(id=name, **{"provider": "provider", "location": "", **facts})
        return World(apps=apps, endpoints=endpoints)

    def scenarios(self, page: Marked) -> Iterator[Scenario]:
        """The scenarios of the file, but for those in which something is wrong."""
        known = _scenario(self._store, self._world)
        for one in self._list(page):
            for told in self._each(one):
                before = len(self.problems)
                facts = self._read(told, known, needed=("title", "endpoint", "expect"))
                self._complete(facts, told.line)
                if len(self.problems) == before:
                    yield Scenario(place=f"{self._name}:{told.line}", **facts)

    def _each(self, one: Marked) -> Iterator[Marked]:
        """The scenario itself, or one for each of the changes that its `each` lists."""
        if not isinstance(one.value, Mapping) or "each" not in one.value:
            yield one
            return
        usual = {key: value for key, value in one.value.items() if key != "each"}
        for change in self._list(one.value["each"]):
            try:
                told = {**usual, **table(change)}
            except Wrong as wrong:
                self._say(wrong.line, f"each: {wrong.message}")
                continue
            if "title" in usual and "title" not in table(change):
                told["title"] = Marked(
                    f"{usual['title'].value} ({_differing(change)})", change.line
                )
            yield Marked(told, change.line)

    def _complete(self, facts: dict[str, Any], line: int) -> None:
        """Adds what a scenario need not say."""
        if "origin" not in facts and self._law:
            facts["origin"] = self._law.jurisdictions[0]
        if "origin" not in facts:
            self._say(line, "no `origin`, and the file is not named after a law; add one")
        elif not facts.setdefault("established", facts["origin"]):
            self._say(line, "no `established`; say where the application's controller is")
        if facts.setdefault("app", USUAL_APP) not in self._world.apps:
            self._say(line, f"no `app`; {instead(USUAL_APP, self._world.apps)}")
        for category in sorted(facts.get("because", {}).keys() - facts.get("expect", {}).keys()):
            self._say(line, f"because: `expect` says nothing of {category}; add it there")

    def _list(self, told: Marked) -> tuple[Marked, ...]:
        try:
            return listed(told)
        except Wrong as wrong:
            self._say(wrong.line, wrong.message)
            return ()

    def _read(
        self, told: Marked, known: Mapping[str, Field], needed: Collection[str] = ()
    ) -> dict[str, Any]:
        found, faults = fields(told, known, needed)
        for fault in faults:
            self._say(fault.line, fault.message)
        return found

    def _say(self, line: int, message: str) -> None:
        self.problems.append(f"{self._name}:{line}: {message}")


def _differing(change: Marked) -> str:
    """What tells one of several variants from the others: `endpoint: gb`."""
    return ", ".join(
        f"{key}: {value.value}" if isinstance(value.value, str) else key
        for key, value in table(change).items()
    )


def _app(store: PolicyStore) -> Mapping[str, Field]:
    return {
        "tenant": text,
        "sector": one_of(store.vocabulary["sector"], "sector"),
        "high_risk": truth,
        "critical_infrastructure": truth,
    }


def _endpoint(store: PolicyStore) -> Mapping[str, Field]:
    return {
        "provider": text,
        "location": _place(store),
        "agreements": set_of(store.vocabulary["agreement"], "agreement"),
        "zero_retention": truth,
        "trains_on_data": truth,
        "controlled_by": _place(store),
        "sovereignty": whole(MAX_SOVEREIGNTY),
        "cost": number,
    }


def _scenario(store: PolicyStore, world: World) -> Mapping[str, Field]:
    words, categories = store.vocabulary, store.categories
    place = _place(store)
    return {
        "title": text,
        "app": one_of(world.apps, "app"),
        "origin": lambda told: "" if told.value == "" else place(told),
        "established": place,
        "endpoint": one_of({LOCAL, *world.endpoints}, "endpoint"),
        "purpose": one_of(words["purpose"], "purpose"),
        "basis": one_of(words["basis"], "basis"),
        "consents": set_of(words["consent"], "consent"),
        "filings": set_of(words["filing"], "filing"),
        "age": whole(MAX_AGE),
        "residual": number,
        "injected": truth,
        "on": day,
        "expect": by(categories, "category", meant(SENT, "treatment")),
        "show": by(categories, "category", meant(SHOWN, "way to show")),
        "restore": by(categories, "category", set_of(SINKS, "sink")),
        "because": by(categories, "category", set_of(store.reasons, "rule")),
        "retain": by(STORES, "store", _days),
        "purge": by(STORES, "store", _days),
    }


def _place(store: PolicyStore) -> Field:
    def read(told: Marked) -> str:
        place = text(told)
        if not store.regions.known(place):
            raise Wrong(told.line, f"no place {place!r}; {misnamed(place)}")
        return place

    return read


def _days(told: Marked) -> int | None:
    words = {**{str(days): days for days in DAYS}, NEVER: None}
    found: int | None = meant(words, "number of days")(told)
    return found
