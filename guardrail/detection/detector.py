"""The detector a configuration describes, put together and checked as a whole."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from guardrail.detection.cues import OPTIONAL_ENTITIES, cue_rules
from guardrail.detection.custom import load_custom_rules
from guardrail.detection.engine import Detector, RuleDetector, field_name
from guardrail.detection.identifiers import identifier_rules, without_loopback
from guardrail.detection.injection import Injections
from guardrail.detection.known.finder import load_known
from guardrail.detection.labels import ORGANIZATION
from guardrail.detection.lists import AllowList, deny_rules
from guardrail.detection.ner import NameOptions, load_recognizers
from guardrail.detection.patterns import Rule
from guardrail.detection.presidio import presidio_rules
from guardrail.detection.recognizer import Recognizer
from guardrail.detection.secrets import secret_rules
from guardrail.detection.selection import Preferences, select
from guardrail.detection.special import special_lexicon, special_rules
from guardrail.errors import ConfigError
from guardrail.taxonomy import Taxonomy, load_taxonomy

__all__ = ["NAMES", "TIMEOUT", "Detector", "RuleDetector", "build_detector", "field_name"]

SOURCES: tuple[Callable[[], Iterable[Rule]], ...] = (
    identifier_rules,
    presidio_rules,
    secret_rules,
    cue_rules,
    special_rules,
)
"""Where the built-in rules come from."""

RECOGNIZERS: tuple[Callable[[], Recognizer], ...] = (special_lexicon, Injections)
"""Recognizers that are always at work, beside those that the configuration names."""

NAMES = ("builtin",)
"""Who finds names where nobody says otherwise."""
TIMEOUT = 10.0
"""Seconds for all texts of one request."""


def _any(rule: Rule) -> bool:
    return True


def build_detector(
    *,
    names: Sequence[str] = NAMES,
    languages: tuple[str, ...] = (),
    recall: str = "balanced",
    labels: Mapping[str, str] = MappingProxyType({}),
    organizations: str = "review",
    allow_download: bool = False,
    recognizers: Sequence[Path] = (),
    known: Sequence[Path] = (),
    known_key: str = "",
    threshold: float = 0.4,
    thresholds: Mapping[str, float] = MappingProxyType({}),
    timeout: float = TIMEOUT,
    exclude: Iterable[str] = (),
    include: Iterable[str] = (),
    allow: tuple[str, ...] = (),
    deny: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    apps: Mapping[str, Preferences] = MappingProxyType({}),
    taxonomy: Taxonomy | None = None,
    streams: Callable[[Rule], bool] = _any,
) -> RuleDetector:
    """Gives the detector with every built-in rule and what the configuration adds to them.

    See `[detection]` for what each setting means; `apps` are the settings of single apps.
    `streams` says whether a rule can be enforced on a stream: one of a file that cannot is applied
    to whole texts alone. `include` lists those of `OPTIONAL_ENTITIES` that shall be found.

    Raises:
        ConfigError: a recognizer cannot be had, a list or file is wrong, a setting names an entity
            that nothing finds, or something finds an entity that has no category.
    """
    general = Preferences(thresholds=thresholds, exclude=frozenset(exclude), allow=allow, deny=deny)
    problems: list[str] = []
    named: list[Recognizer] = []
    own: list[Rule] = []
    try:
        options = NameOptions(
            languages=languages,
            recall=recall,
            labels=labels,
            allow_download=allow_download,
            timeout=timeout,
        )
        named = [*(make() for make in RECOGNIZERS), *load_recognizers(names, options)]
    except ConfigError as error:
        problems += error.problems
    try:
        named += load_known(known, known_key) if known else ()
    except ConfigError as error:
        problems += error.problems
    try:
        own = load_custom_rules(recognizers)
    except ConfigError as error:
        problems += error.problems
    denied = {app: _denied(app, one, problems) for app, one in {"": general, **apps}.items()}
    built_in = [rule for source in SOURCES for rule in source()]
    rules = [without_loopback(r) if r.entity == "IP_ADDRESS" else r for r in built_in]
    rules += [rule for rules_of_app in denied.values() for rule in rules_of_app]
    rules += filter(streams, own)
    whole = [rule for rule in own if not streams(rule)]

    detector = RuleDetector(
        rules=tuple(rules),
        whole=tuple(whole),
        recognizers=tuple(one for one in named if one.entities),
        ignored=frozenset({ORGANIZATION} if organizations == "off" else ()),
    )
    if not problems:
        found = detector.entities
        problems += _unclassified(found - general.exclude, (taxonomy or load_taxonomy()).categories)
        for app, one in {"": general, **apps}.items():
            problems += _unknown(app, one, found)
        for entity in sorted(frozenset(include) - found):
            problems.append(
                f"detection.include: nothing finds {entity!r}{_meant(entity, found)}; "
                f"optional entities: {', '.join(sorted(OPTIONAL_ENTITIES))}"
            )
        if organizations == "on" and ORGANIZATION not in found:
            problems.append("detection.organizations: no recognizer in detection.names finds them")

    allowed = {app: _allowed(app, one, problems) for app, one in {"": general, **apps}.items()}
    if problems:
        raise ConfigError(problems)
    selections = {
        app: select(
            general,
            one,
            threshold=threshold,
            review=frozenset({ORGANIZATION} if organizations == "review" else ()),
            certain=frozenset(r.name for r in (*rules, *whole) if r.entity == ORGANIZATION),
            foreign=frozenset(
                rule.name for other in denied.keys() - {"", app} for rule in denied[other]
            ),
            allow=allowed[""] | allowed[app],
        )
        for app, one in {"": Preferences(), **apps}.items()
    }
    left_out = general.exclude | OPTIONAL_ENTITIES.difference(include)
    return replace(
        detector,
        rules=tuple(rule for rule in rules if rule.entity not in left_out),
        whole=tuple(rule for rule in whole if rule.entity not in general.exclude),
        threshold=min(selection.floor for selection in selections.values()),
        timeout=timeout,
        selections=MappingProxyType(selections),
    )


def _table(app: str) -> str:
    return f"apps.{app}.detection" if app else "detection"


def _denied(app: str, preferences: Preferences, problems: list[str]) -> list[Rule]:
    rules: list[Rule] = []
    for entity, texts in preferences.deny.items():
        try:
            rules += deny_rules(entity, texts, name=f"deny:{app}:{entity}")
        except ValueError as error:
            problems.append(f"{_table(app)}.deny.{entity}: {error}")
    return rules


def _allowed(app: str, preferences: Preferences, problems: list[str]) -> AllowList:
    try:
        return AllowList.of(preferences.allow)
    except ValueError as error:
        problems.append(f"{_table(app)}.allow: {error}")
        return AllowList()


def _unclassified(entities: Iterable[str], categories: Mapping[str, object]) -> Iterator[str]:
    for entity in sorted(set(entities) - categories.keys()):
        yield (
            f"detection.entities: {entity!r} can be found and has no category; "
            f'add {entity} = "…" here, or exclude it{_meant(entity, categories)}'
        )


def _unknown(app: str, preferences: Preferences, entities: frozenset[str]) -> Iterator[str]:
    """Entities that a setting names and nothing finds: a misspelling would protect nobody."""
    for setting, named in (
        ("exclude", preferences.exclude),
        ("only", preferences.only),
        ("thresholds", preferences.thresholds.keys()),
    ):
        for entity in sorted(set(named) - entities):
            known = ", ".join(sorted(entities))
            yield (
                f"{_table(app)}.{setting}: nothing finds {entity!r}{_meant(entity, entities)}; "
                f"known entities: {known}"
            )


def _meant(entity: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(entity.upper(), known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
