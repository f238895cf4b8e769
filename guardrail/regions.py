"""Regions: profiles of law, the places each covers, and what it treats as adequate or sensitive.

Each `regions/<id>.toml` is one profile. Lists live here as data and rules live in `policies/`, so
that a country joins an adequacy list by editing one word of one file, which the digest records.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from guardrail.errors import ConfigError

COUNTRIES: frozenset[str] = frozenset(
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR "
    "BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ "
    "EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW "
    "GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY "
    "KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV "
    "MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY "
    "QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG "
    "TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM "
    "ZW".split()
)
"""Every country code of ISO 3166-1 alpha-2.

Source: https://www.iso.org/obp/ui/#search/code/
"""

_MISNAMED: Mapping[str, str] = {"UK": "GB", "EL": "GR"}
"""Codes that people and the Commission write, and what ISO 3166-1 has instead."""

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
_Place = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/-]{2,64}$")]


class Region(BaseModel):
    """One profile of law. Days are calendar days; places are ISO 3166 codes or declared groups.

    `jurisdictions` are the places whose people and companies it protects or binds. `groups`
    declares places by what they contain (`EU`, `US`). `adequacy` lists the places that this law
    lets data flow to as at home. `classes` names sets of categories (`special`), which policies
    know as `Category::"<id>/<class>"`. `breach_hours` is None where the law sets no number.
    `certain` says what was checked in public sources, `verify` what counsel must check before
    anybody relies on the profile and its rules: whole sentences for people, which no rule reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: _Name
    name: _Text
    jurisdictions: tuple[_Place, ...] = Field(min_length=1)
    statutes: tuple[_Text, ...] = Field(min_length=1)
    child_age: int = Field(ge=0, le=21)
    dsar_days: int = Field(ge=1, le=365)
    breach_hours: int | None = Field(default=None, ge=1, le=8760)
    min_log_days: int = Field(ge=0, le=36525)
    adequacy: tuple[_Place, ...] = ()
    groups: Mapping[_Place, tuple[_Place, ...]] = Field(default_factory=dict)
    classes: Mapping[_Name, tuple[_Name, ...]] = Field(default_factory=dict)
    certain: tuple[_Text, ...] = ()
    verify: tuple[_Text, ...] = ()
    sources: tuple[_Text, ...] = Field(min_length=1)
    last_reviewed: date
    reviewer: _Text

    @property
    def adequacy_list(self) -> str:
        """Name of this law's adequacy list in policies: `EU` in `Adequacy::"EU"`."""
        return self.id.upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """Every loaded region and the places they know.

    `parents` maps each known place to the groups that directly contain it. `digest` identifies the
    files' bytes (SHA-256, hex).
    """

    ids: tuple[str, ...]
    regions: Mapping[str, Region]
    digest: str
    parents: Mapping[str, tuple[str, ...]] = field(repr=False)
    _covered_by: Mapping[str, frozenset[str]] = field(repr=False)

    def known(self, jurisdiction: str) -> bool:
        """Tells whether this is an ISO 3166-1 code or a place that a region file declares."""
        return jurisdiction in self.parents

    def applicable(self, *, origin: str, establishment: str) -> tuple[str, ...]:
        """Ids, sorted, of regions whose jurisdictions contain either place; none for unknown ones.

        A law applies to people who are in its territory and to controllers established there.

        Source: GDPR Art. 3, https://eur-lex.europa.eu/eli/reg/2016/679/oj
        """
        nowhere: frozenset[str] = frozenset()
        covering = self._covered_by.get(origin, nowhere)
        return tuple(sorted(covering | self._covered_by.get(establishment, nowhere)))


def load_regions(directory: Path) -> Regions:
    """Gives the regions of every `*.toml` file in a directory, checked against one another.

    Raises:
        ConfigError: anything is wrong, one problem a line as `file: path: what and how to mend`.
    """
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise ConfigError([f"{directory.name}: no region files; add one such as eu.toml"])
    problems: list[str] = []
    profiles: list[tuple[str, Region]] = []
    digest = hashlib.sha256()
    for file in files:
        name = f"{directory.name}/{file.name}"
        content = file.read_bytes()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
        try:
            region = Region.model_validate(_tuples(tomllib.loads(content.decode())))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(f"{name}: not a TOML file: {error}")
        except ValidationError as error:
            problems.extend(f"{name}: {fault}" for fault in _faults(error))
        else:
            if region.id != file.stem:
                problems.append(f"{name}: id: is {region.id!r}; name the file {region.id}.toml")
            profiles.append((name, region))
    parents, faults = _hierarchy(profiles)
    problems += faults
    if problems:
        raise ConfigError(problems)
    regions = {region.id: region for _, region in profiles}
    return Regions(
        ids=tuple(sorted(regions)),
        regions=MappingProxyType(regions),
        digest=digest.hexdigest(),
        parents=MappingProxyType(parents),
        _covered_by=MappingProxyType(
            {
                place: frozenset(
                    region.id
                    for region in regions.values()
                    if not within(place, parents).isdisjoint(region.jurisdictions)
                )
                for place in parents
            }
        ),
    )


def within(place: str, parents: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The place itself and every group that contains it, directly or through another."""
    seen = {place}
    todo = [place]
    while todo:
        for group in parents.get(todo.pop(), ()):
            if group not in seen:
                seen.add(group)
                todo.append(group)
    return frozenset(seen)


def misnamed(place: str) -> str:
    """What to write instead of a place that is not known."""
    if place in _MISNAMED:
        return f"write {_MISNAMED[place]}, the ISO 3166-1 code"
    if place.upper() in COUNTRIES:
        return f"write {place.upper()}, in capitals"
    return "write an ISO 3166-1 code such as DE, or declare it under [groups] of a region file"


def _tuples(value: object) -> object:
    """The value with every list made a tuple, which strict validation asks for."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(inner) for inner in value)
    return value


def _faults(error: ValidationError) -> list[str]:
    mends = {
        "extra_forbidden": f"unknown key; use one of {', '.join(sorted(Region.model_fields))}",
        "missing": "missing; add it",
    }
    return [
        f"{'.'.join(str(part) for part in fault['loc'])}: "
        + mends.get(fault["type"], f"{fault['msg']}; correct the value")
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _hierarchy(
    profiles: Sequence[tuple[str, Region]],
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Direct groups of every place, and what is wrong with the places that the profiles name."""
    problems: list[str] = []
    declared: dict[str, str] = {}
    groups: dict[str, list[str]] = {country: [] for country in COUNTRIES}
    for name, region in profiles:
        for group in region.groups:
            if group in declared:
                where = declared[group]
                problems.append(f"{name}: groups.{group}: declared in {where} too; keep one")
            declared[group] = name
            groups.setdefault(group, [])
    for _, region in profiles:
        for group, members in region.groups.items():
            for member in members:
                # A member such as US-CA exists by being declared part of something.
                if member.partition("-")[0] in COUNTRIES or member in declared:
                    groups.setdefault(member, []).append(group)
    for name, region in profiles:
        lists = {f"groups.{group}": members for group, members in region.groups.items()}
        lists |= {"jurisdictions": region.jurisdictions, "adequacy": region.adequacy}
        problems += [
            f"{name}: {path}: no place {place!r}; {misnamed(place)}"
            for path, places in lists.items()
            for place in places
            if place not in groups
        ]
        problems += [
            f"{name}: groups.{group}: contains itself; remove it from what it contains"
            for group in region.groups
            if any(group in within(outer, groups) for outer in groups[group])
        ]
    return {place: tuple(sorted(set(outer))) for place, outer in groups.items()}, problems
