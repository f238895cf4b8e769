"""What the options of a command say of a request → the policies, and the question to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from guardrail.cli.stores import folder_policies, policies_of, rehearsed, tests_of, written
from guardrail.cli.terminal import DEFAULT, Code, fail
from guardrail.config import default_directory, load_config
from guardrail.policy.explain import Question
from guardrail.policy.loader import PolicyStore, populated
from guardrail.policy.marked import instead
from guardrail.policy.scenarios import Scenario, load_scenarios
from guardrail.policy.trials import Stage
from guardrail.regions import misnamed
from guardrail.types import Endpoint, Evidence, Principal, RequestContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the options say of a request, each named as its option; None where they say nothing."""

    app: str | None
    endpoint: str | None
    location: str | None
    origin: str | None
    established: str | None
    purpose: str | None
    basis: str | None
    consent: list[str] | None
    filing: list[str] | None
    agreement: list[str] | None
    sector: str | None
    age: int | None
    count: int | None
    residual: float | None
    injected: bool | None
    on: datetime


_CONFIGURED = frozenset({"app", "endpoint"})
_HYPOTHETICAL = frozenset({"location", "established", "agreement", "sector"})


def of_scenario(
    directory: Path | None, file: Path, text: str, facts: Facts
) -> tuple[PolicyStore, Question, Scenario]:
    """The one scenario that has a text as its title or at the end of its place, or in its title."""
    _refuse(facts, {one.name for one in fields(Facts)} - {"on"}, "--scenario says it all")
    store = policies_of(directory, file)
    world, scenarios = load_scenarios(tests_of(directory, file), store)
    found = [one for one in scenarios if one.title == text or one.place.endswith(f"/{text}")]
    found = found or [one for one in scenarios if text.lower() in one.title.lower()]
    if not found:
        _wrong("--scenario", f"no scenario has {text!r} in its title")
    if len(found) > 1:
        places = ", ".join(one.place.rpartition("/")[2] for one in found[:8])
        _wrong("--scenario", f"{len(found)} scenarios fit: say which by its place: {places}")
    changed, question = Stage(store, world).put(found[0])
    return changed, question, found[0]


def of_configuration(file: Path, facts: Facts) -> tuple[PolicyStore, Question]:
    """A request of one of a configuration's apps to one of its endpoints."""
    _refuse(facts, _HYPOTHETICAL, "only where --location says where it goes")
    settings = load_config(file)
    store = rehearsed(written(settings))
    name = chosen_name("--app", facts.app, list(settings.apps), list(settings.apps))
    clouds = [one.id for one in store.endpoints.values() if not one.local]
    where = chosen_name("--endpoint", facts.endpoint, list(store.endpoints), clouds)
    app = settings.apps[name]
    told = replace(
        facts,
        origin=app.origin if facts.origin is None else facts.origin,
        purpose=facts.purpose or app.purpose,
        basis=facts.basis or app.basis,
        consent=sorted(app.consents) if facts.consent is None else facts.consent,
        filing=sorted(app.filings) if facts.filing is None else facts.filing,
    )
    local = next((one for one in store.endpoints.values() if one.local), None)
    return store, _question(store, told, store.principals[name], store.endpoints[where], local)


def of_places(directory: Path | None, file: Path, facts: Facts) -> tuple[PolicyStore, Question]:
    """A request from one place to another, whatever apps and endpoints are configured.

    The policies are those of the folder, or of the configuration where there is one, or the shipped
    ones.
    """
    _refuse(facts, _CONFIGURED, "not with --location, which is for places alone")
    if directory is None and file == DEFAULT and not file.exists():
        directory = default_directory("policies").parent
    store = folder_policies(directory) if directory else policies_of(None, file)
    if facts.origin is None:
        _wrong("--origin", "say where the people are, such as --origin FR")
    origin = _place("--origin", facts.origin, store)
    established = _place("--established", facts.established or facts.origin, store)
    location = _place("--location", facts.location or "", store)
    for word in facts.agreement or ():
        known_word("--agreement", word, store.vocabulary["agreement"])
    sector = facts.sector or "general"
    known_word("--sector", sector, store.vocabulary["sector"])
    endpoint = Endpoint(
        id="destination",
        provider="provider",
        location=location,
        agreements=frozenset(facts.agreement or ()),
    )
    local = Endpoint(id="local", provider="own", location=established, local=True)
    app = Principal(id="sender", sector=sector, establishment=established)
    world = populated(store, endpoints=[endpoint, local], principals=[app])
    return world, _question(world, replace(facts, origin=origin), app, endpoint, local)


def _question(
    store: PolicyStore, facts: Facts, app: Principal, endpoint: Endpoint, local: Endpoint | None
) -> Question:
    purpose, basis = facts.purpose or "general", facts.basis or "none"
    for option, kind, words in (
        ("--purpose", "purpose", [purpose]),
        ("--basis", "basis", [basis]),
        ("--consent", "consent", facts.consent or ()),
        ("--filing", "filing", facts.filing or ()),
    ):
        for word in words:
            known_word(option, word, store.vocabulary[kind])
    context = RequestContext(
        exchange="explained",
        principal=app,
        purpose=purpose,
        basis=basis,
        origin=_place("--origin", facts.origin or "", store),
        conversation="",
        now=facts.on,
        consents=frozenset(facts.consent or ()),
        filings=frozenset(facts.filing or ()),
        age=facts.age,
    )
    return Question(
        context=context,
        endpoint=endpoint,
        local=local,
        residual=facts.residual or 0.0,
        injected=bool(facts.injected),
        evidence=Evidence(count=facts.count or 1),
    )


def known_category(name: str, store: PolicyStore) -> None:
    """Ends the command where there is no such category."""
    known_word("--category", name, store.categories)


def _refuse(facts: Facts, names: Collection[str], why: str) -> None:
    """Ends the command where an option is said that would count for nothing."""
    for name in sorted(names):
        if getattr(facts, name) is not None:
            _wrong(f"--{name}", why)


def chosen_name(
    option: str, name: str | None, known: Collection[str], usual: Collection[str]
) -> str:
    """The name that an option says, or the only usual one."""
    if not name and len(usual) == 1:
        return next(iter(usual))
    if not name:
        _wrong(option, f"say which: {', '.join(sorted(usual or known))}")
    known_word(option, name, known)
    return name


def known_word(option: str, word: str, known: Collection[str]) -> None:
    """Ends the command where an option says a word that is not one of those known."""
    if word not in known:
        _wrong(option, f"no {word!r}; {instead(word, known)}")


def _place(option: str, place: str, store: PolicyStore) -> str:
    """A place, which the id of a region file stands for too."""
    region = store.regions.regions.get(place.lower())
    if not region and not store.regions.known(place):
        _wrong(option, f"no place {place!r}; {misnamed(place)}")
    return place if store.regions.known(place) or not region else region.jurisdictions[0]


def _wrong(option: str, message: str) -> NoReturn:
    fail(f"{option}: {message}", code=Code.USAGE)
