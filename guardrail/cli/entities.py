"""`guardrail entities`: what can be found, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from guardrail.cli.detecting import Detecting, MaybeConfig, load_detector
from guardrail.cli.terminal import Code, fail, out, told, write_json
from guardrail.config import default_directory
from guardrail.detection.detector import RuleDetector
from guardrail.regions import load_regions, within
from guardrail.taxonomy import Taxonomy
from guardrail.transform.placeholders import placeholder


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One entity. `countries` is empty where it is not one country's; `recognizers` find it."""

    entity: str
    category: str
    placeholder: str
    countries: tuple[str, ...]
    recognizers: tuple[str, ...]


def entities(
    config: MaybeConfig = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Only what is found there: a region such as EU, or what belongs to no country.",
        ),
    ] = None,
    country: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only one country's own, such as DE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """List what can be found: each entity, its category, its placeholder, and what finds it.

    Policies speak of categories; `--entity` and `detection.exclude` of entities. A configuration
    with a trained pipeline, or with entities of its own, finds more.

    Where no placeholder is shown it carries the entity's own name. With --json, every rule.

    Example: **guardrail entities --country DE**
    """
    with told():
        detector, taxonomy = load_detector(Detecting(config))
        places = _places(region) if region else None
    rows = [
        row
        for row in catalogue(detector, taxonomy)
        if (country is None or country.upper() in row.countries)
        and (places is None or not row.countries or not places.isdisjoint(row.countries))
    ]
    if as_json:
        write_json([asdict(row) for row in rows])
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    widest = max((len(row.entity) for row in rows), default=0)
    for title, width in (("entity", widest), ("category", 11), ("placeholder", 13), ("in", 2)):
        table.add_column(title, no_wrap=True, min_width=width)
    table.add_column("found by", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(
            row.entity,
            row.category,
            Text("" if row.placeholder == placeholder(row.entity, 1) else row.placeholder),
            " ".join(row.countries),
            Text(", ".join(dict.fromkeys(name.partition(":")[0] for name in row.recognizers))),
        )
    out().print(table)


def _places(region: str) -> frozenset[str]:
    """Every place in a region or group, or in a country."""
    regions = load_regions(default_directory("regions"))
    profile = regions.regions.get(region.lower())
    heads = set(profile.jurisdictions) if profile else {region.upper()}
    places = frozenset(
        place for place in regions.parents if not heads.isdisjoint(within(place, regions.parents))
    )
    if not places:
        known = ", ".join((*(one.upper() for one in regions.ids), "or an ISO 3166 code"))
        fail(f"--region: there is no {region!r}; use {known}", code=Code.USAGE)
    return places


_PREFIX = {"UK": "GB"}


def catalogue(detector: RuleDetector, taxonomy: Taxonomy) -> list[Listed]:
    """What a detector can find, in order of category and entity."""
    finders: dict[str, list[str]] = {}
    for rule in detector.rules:
        finders.setdefault(rule.entity, []).append(rule.name)
    for name, found in _recognized(detector):
        finders.setdefault(found, []).append(name)
    rows = (
        Listed(
            entity=entity,
            category=taxonomy.category(entity),
            placeholder=placeholder(taxonomy.label(entity), 1),
            countries=_countries(entity),
            recognizers=tuple(sorted(set(names))),
        )
        for entity, names in finders.items()
    )
    return sorted(rows, key=lambda row: (row.category, row.entity))


def _recognized(detector: RuleDetector) -> Iterable[tuple[str, str]]:
    """(recognizer, entity) of what is found without a rule."""
    for recognizer in detector.recognizers:
        for entity in sorted(getattr(recognizer, "entities", ())):
            yield getattr(recognizer, "name", type(recognizer).__name__), entity


def _countries(entity: str) -> tuple[str, ...]:
    head, _, rest = entity.partition("_")
    return (_PREFIX.get(head, head),) if rest and len(head) == 2 and head != "IP" else ()
