from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from guardrail.errors import ConfigError
from guardrail.regions import COUNTRIES, Region, Regions, load_regions
from guardrail.taxonomy import PERSONAL

SHIPPED = load_regions(Path(__file__).parents[1] / "regions")

MINIMAL = """
id = "xx"
name = "Somewhere"
jurisdictions = ["CH"]
statutes = ["Act"]
child_age = 16
dsar_days = 30
min_log_days = 0
sources = ["https://example.org"]
last_reviewed = 2026-01-01
reviewer = "nobody"
"""


def region(tmp_path: Path, text: str, *, name: str = "xx") -> Regions:
    directory = tmp_path / "regions"
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.toml").write_text(text)
    return load_regions(directory)


def test_shipped_regions_load() -> None:
    assert SHIPPED.ids == tuple("ae au br ca ch cn eu id in jp kr ru sa sg uk us vn".split())
    assert all(one.id == key for key, one in SHIPPED.regions.items())
    assert SHIPPED.regions["eu"].last_reviewed >= date(2026, 1, 1)


@pytest.mark.parametrize(
    ("laws", "origin", "establishment"),
    [
        (("eu",), "DE", "DE"),
        (("eu",), "NO", ""),
        (("eu",), "RE", ""),
        (("br", "eu"), "BR", "FR"),
        (("eu",), "MX", "FR"),
        (("ca",), "CA-QC", "CA-ON"),
        (("cn",), "CN", "HK"),
        (("uk",), "GB", "GB"),
        (("br", "uk"), "GB-SCT", "BR"),
        (("us",), "US-CA", ""),
        (("us",), "PR", ""),
        (("eu", "us"), "US", "DE"),
        (("eu", "uk"), "GB", "IE"),
        (("br", "ch"), "BR", "CH"),
        ((), "MX", "HK"),
        ((), "", ""),
        ((), "UK", "Germany"),
    ],
)
def test_laws_apply_to_people_and_companies_in_their_territory(
    laws: tuple[str, ...], origin: str, establishment: str
) -> None:
    assert laws == SHIPPED.applicable(origin=origin, establishment=establishment)


@pytest.mark.parametrize("place", ["DE", "GB", "BR", "EU", "EEA", "US-CA", "GB-WLS"])
def test_place_is_known(place: str) -> None:
    assert SHIPPED.known(place)


@pytest.mark.parametrize("place", ["", "UK", "de", "Germany", "DE-BY", "XX", "DE,FR"])
def test_place_is_not_known(place: str) -> None:
    assert not SHIPPED.known(place)


def test_all_countries_of_iso_3166_are_known() -> None:
    assert len(COUNTRIES) == 249


def test_union_has_27_members_and_the_area_three_more() -> None:
    assert len(SHIPPED.regions["eu"].groups["EU"]) == 27
    assert len(SHIPPED.regions["eu"].groups["EEA"]) == 4


def test_classes_are_made_of_personal_categories() -> None:
    for one in SHIPPED.regions.values():
        for members in one.classes.values():
            assert set(members) <= set(PERSONAL)


@pytest.mark.parametrize("one", SHIPPED.regions.values(), ids=SHIPPED.ids)
def test_every_law_says_what_counsel_must_verify(one: Region) -> None:
    assert one.verify
    for sentence in (*one.certain, *one.verify):
        assert sentence.endswith("."), sentence
    assert all(source.startswith(("https://", "http://pravo.gov.ru/")) for source in one.sources)
    assert one.last_reviewed >= date(2026, 11, 30)


def test_what_is_certain_and_what_to_verify_may_be_left_out(tmp_path: Path) -> None:
    told = MINIMAL + 'certain = ["It applies."]\nverify = ["Since when.", "To whom."]\n'
    loaded = region(tmp_path, told).regions["xx"]
    assert (loaded.certain, loaded.verify) == (("It applies.",), ("Since when.", "To whom."))
    loaded = region(tmp_path, MINIMAL).regions["xx"]
    assert (loaded.certain, loaded.verify) == ((), ())


def test_minimal_region_loads_and_is_frozen(tmp_path: Path) -> None:
    loaded = region(tmp_path, MINIMAL).regions["xx"]
    assert loaded.breach_hours is None
    with pytest.raises(ValidationError):
        loaded.child_age = 3


def test_digest_changes_with_any_byte(tmp_path: Path) -> None:
    assert (
        region(tmp_path, MINIMAL).digest
        == region(tmp_path, MINIMAL).digest
        != region(tmp_path, MINIMAL + "#").digest
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            "regions/xx.toml:12:1: verify: Input should be a valid tuple",
            MINIMAL + 'verify = "all"',
        ),
        ("regions/xx.toml:12:1: certain.0: String should have", MINIMAL + 'certain = [""]'),
        (
            "regions/xx.toml:12:1: surprise: unknown key; use one of adequacy,",
            MINIMAL + "surprise = 1",
        ),
        ("regions/xx.toml: name: missing; add it", MINIMAL.replace("name", "# name")),
        ("regions/xx.toml:6:1: child_age: Input should be a valid", MINIMAL.replace("16", '"16"')),
        ("regions/xx.toml:7:1: dsar_days: Input should be", MINIMAL.replace("30", "0")),
        ("regions/xx.toml:12:1: not a TOML file: ", MINIMAL + "="),
        ("regions/xx.toml:2:1: id: is 'yy'; name the file yy.toml", MINIMAL.replace("xx", "yy")),
        (
            "regions/xx.toml:4:18: jurisdictions: no place 'UK'; write GB, the ISO 3166-1 code",
            MINIMAL.replace("CH", "UK"),
        ),
        (
            "regions/xx.toml:12:13: adequacy: no place 'de'; write DE, in capitals",
            MINIMAL + 'adequacy = ["de"]',
        ),
        (
            "regions/xx.toml:12:13: adequacy: no place 'EEA'; write an ISO 3166-1 code such as DE, "
            "or declare it under [groups] of a region file",
            MINIMAL + 'adequacy = ["EEA"]',
        ),
        (
            "regions/xx.toml:13:1: groups.A1: contains itself; remove it from what it contains",
            MINIMAL + '[groups]\nA1 = ["B1"]\nB1 = ["A1"]',
        ),
        (
            "regions/xx.toml:13:7: groups.A1: no place 'B1'; write",
            MINIMAL + '[groups]\nA1 = ["B1"]',
        ),
    ],
)
def test_problem_names_file_and_path(tmp_path: Path, problem: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        region(tmp_path, text)
    assert any(one.startswith(problem) for one in caught.value.problems), caught.value.problems


def test_group_is_declared_once(tmp_path: Path) -> None:
    text = MINIMAL + '[groups]\nBENELUX = ["BE", "NL", "LU"]'
    region(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        region(tmp_path, text.replace('"xx"', '"zz"'), name="zz")
    assert caught.value.problems == (
        "regions/zz.toml:13:1: groups.BENELUX: declared in regions/xx.toml too; keep one",
    )


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        region(tmp_path, MINIMAL.replace("30", "0").replace("16", "99"))
    assert len(caught.value.problems) == 2


def test_no_region_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no region files"):
        load_regions(tmp_path)
    with pytest.raises(ConfigError, match="no region files"):
        load_regions(tmp_path / "absent")
