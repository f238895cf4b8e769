"""Regions: profiles of law, the places each covers, and what it treats as adequate or sensitive.

Each `regions/<id>.toml` is one profile. Lists live here as data and rules live in `policies/`, so
that a country joins an adequacy list by editing one word of one file, which the digest records.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from guardrail.errors import ConfigError
from guardrail.files import Entry
from guardrail.problems import Problem, toml_place, toml_problem

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
    files' bytes (SHA-256, hex). `texts` holds each region's file: what problems call it, its text.
    """

    ids: tuple[str, ...]
    regions: Mapping[str, Region]
    digest: str
    parents: Mapping[str, tuple[str, ...]] = field(repr=False)
    texts: Mapping[str, tuple[str, str]] = field(repr=False)
    _covered_by: Mapping[str, frozenset[str]] = field(repr=False)

    def problem(
        self, region: str, code: str, message: str, path: Sequence[str], value: str = ""
    ) -> Problem:
        """A problem of a region's file, where a key stands, or a value of it."""
        return _problem(*self.texts[region], code, message, path, value)

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


def load_regions(directory: Entry) -> Regions:
    """Gives the regions of every `*.toml` file in a directory, checked against one another.

    Raises:
        ConfigError: anything is wrong, each as `file:line:column: path: what and how to mend`.
    """
    files = sorted(directory.glob("*.toml"), key=lambda file: file.name)
    if not files:
        raise ConfigError([f"{directory.name}: no region files; add one such as eu.toml"])
    problems: list[Problem] = []
    profiles: list[_Profile] = []
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            content = opened.read()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + content)
        profile, faults = _read(f"{directory.name}/{file.name}", file.stem, content)
        profiles += [profile] if profile else []
        problems += faults
    parents, faults = _hierarchy(profiles)
    if len(profiles) == len(files):  # else places may be unknown for want of the file they are in
        problems += faults
    if problems:
        raise ConfigError(problems)
    regions = {one.region.id: one.region for one in profiles}
    return Regions(
        ids=tuple(sorted(regions)),
        regions=MappingProxyType(regions),
        digest=digest.hexdigest(),
        parents=MappingProxyType(parents),
        texts=MappingProxyType({one.region.id: (one.name, one.text) for one in profiles}),
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


class _Profile(NamedTuple):
    """A region, and the file that it is read from."""

    name: str
    text: str
    region: Region

    def problem(self, code: str, message: str, path: Sequence[str], value: str = "") -> Problem:
        return _problem(self.name, self.text, code, message, path, value)


def _problem(
    name: str, text: str, code: str, message: str, path: Sequence[str], value: str = ""
) -> Problem:
    line, column = toml_place(text, path, value)
    return Problem(file=name, line=line, column=column, code=code, message=message)


def _read(name: str, stem: str, content: bytes) -> tuple[_Profile | None, list[Problem]]:
    """One profile, if there is one, and what is wrong with its file."""
    text = content.decode(errors="replace")
    try:
        region = Region.model_validate(_tuples(tomllib.loads(content.decode())))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return None, [toml_problem(name, text, error)]
    except ValidationError as error:
        return None, list(_faults(name, text, error))
    profile = _Profile(name, text, region)
    if region.id == stem:
        return profile, []
    said = f"id: is {region.id!r}; name the file {region.id}.toml"
    return profile, [profile.problem("bad-profile", said, ("id",))]


def _faults(name: str, text: str, error: ValidationError) -> Iterator[Problem]:
    mends = {
        "extra_forbidden": f"unknown key; use one of {', '.join(sorted(Region.model_fields))}",
        "missing": "missing; add it",
    }
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        path = [str(part) for part in fault["loc"]]
        keys = [part for part in path if not part.isdecimal() and part != "[key]"]
        said = mends.get(fault["type"], f"{fault['msg']}; correct the value")
        yield _problem(name, text, "bad-profile", f"{'.'.join(path)}: {said}", keys)


def _hierarchy(
    profiles: Sequence[_Profile],
) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Direct groups of every place, and what is wrong with the places that the profiles name."""
    problems: list[Problem] = []
    declared: dict[str, str] = {}
    groups: dict[str, list[str]] = {country: [] for country in COUNTRIES}
    for profile in profiles:
        for group in profile.region.groups:
            if group in declared:
                said = f"groups.{group}: declared in {declared[group]} too; keep one"
                problems.append(profile.problem("bad-profile", said, ("groups", group)))
            declared[group] = profile.name
            groups.setdefault(group, [])
    for profile in profiles:
        for group, members in profile.region.groups.items():
            for member in members:
                # A member such as US-CA exists by being declared part of something.
                if member.partition("-")[0] in COUNTRIES or member in declared:
                    groups.setdefault(member, []).append(group)
    for profile in profiles:
        region = profile.region
        lists: dict[tuple[str, ...], tuple[str, ...]]
        lists = {("groups", group): members for group, members in region.groups.items()}
        lists |= {("jurisdictions",): region.jurisdictions, ("adequacy",): region.adequacy}
        problems += [
            profile.problem(
                "unknown-place",
                f"{'.'.join(path)}: no place {place!r}; {misnamed(place)}",
                path,
                place,
            )
            for path, places in lists.items()
            for place in places
            if place not in groups
        ]
        problems += [
            profile.problem(
                "bad-profile",
                f"groups.{group}: contains itself; remove it from what it contains",
                ("groups", group),
            )
            for group in region.groups
            if any(group in within(outer, groups) for outer in groups[group])
        ]
    return {place: tuple(sorted(set(outer))) for place, outer in groups.items()}, problems
