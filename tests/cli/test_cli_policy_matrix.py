"""`guardrail policy matrix`: what an auditor reads is what the ladder decides."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from policies_world import folder, run
from typer.testing import CliRunner

from guardrail.cli import app
from guardrail.taxonomy import CATEGORIES

ROOT = Path(__file__).parents[2]
EXCEPTION = """
@id("acme.pilot") @title("The pilot may send addresses in clear")
@approved("dpo, DPIA-7") @expires("2027-01-31")
permit (principal, action == Action::"sendClear", resource == Endpoint::"us-clauses")
when { context.category in Category::"contact" };
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with policies; no configuration where the command runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    return folder(tmp_path / "set")


def cells(home: Path, *options: str) -> dict[tuple[str, str, str], dict[str, str]]:
    """Each line of the CSV form by law, endpoint and category."""
    result = run("matrix", home, "--format", "csv", *options)
    assert result.exit_code == 0, result.stderr
    rows = csv.DictReader(io.StringIO(result.stdout))
    return {(row["law"], row["endpoint"], row["category"]): row for row in rows}


class Page(HTMLParser):
    """The tables of a page, and what a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.add(tag)
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        if tag == "td" and told.get("title"):
            self.cells.append((told["class"] or "", told["title"] or ""))


def test_cells_are_what_the_laws_decide(home: Path) -> None:
    found = cells(home, "--law", "eu", "--law", "us")
    assert len(found) == 2 * 3 * len(CATEGORIES)
    assert found["eu", "fr", "contact"]["treatment"] == "clear"
    assert found["eu", "fr", "contact"]["rules"] == "eu.home"
    assert found["eu", "fr", "contact"]["citations"] == "GDPR Art. 6, 28"
    assert found["eu", "fr", "health"]["treatment"] == "pseudonymised"
    assert found["eu", "us-clauses", "contact"]["treatment"] == "redacted"
    assert found["us", "us-clauses", "contact"]["treatment"] == "clear"
    assert found["eu", "local", "contact"]["treatment"] == "local"
    assert found["eu", "local", "contact"]["location"] == "EEA"
    assert found["us", "local", "contact"]["location"] == "US"
    assert {row["treatment"] for key, row in found.items() if key[2] == "unknown"} == {"local"}


def test_people_whose_place_is_not_known_are_asked_about_as_well(home: Path) -> None:
    laws = {law for law, _, _ in cells(home)}
    assert "" in laws
    assert len(laws) == 18


def test_what_is_assumed_can_be_changed(home: Path) -> None:
    key = ("eu", "us-clauses", "contact")
    assert cells(home, "--law", "eu", "--filing", "TIA")[key]["treatment"] == "pseudonymised"
    assert cells(home, "--law", "eu", "--basis", "none")[key]["treatment"] == "redacted"
    special = ("eu", "fr", "health")
    explicit = cells(home, "--law", "eu", "--consent", "explicit")
    assert explicit[special]["treatment"] == "clear"
    assert cells(home, "--law", "eu", "--residual", "3")[special]["treatment"] == "local"
    child = cells(home, "--law", "us", "--age", "9")["us", "us-clauses", "contact"]
    assert (child["treatment"], child["rules"]) == (
        "redacted",
        "us.child; us.contract; us.removed",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--law", "xx"], "--law: no 'xx'; use one of"),
        (["--basis", "contrat"], "--basis: no 'contrat'; did you mean 'contract'?"),
        (["--filing", "tia"], "--filing: no 'tia'"),
        (["--app", "crm"], "--app: no 'crm'; use one of general"),
        (["--json", "--format", "csv"], "--json and --format csv: give one"),
        (["-o", "matrix.txt"], "matrix.txt: name a file that ends in .html"),
        (["-o", "matrix.md", "--format", "text"], "--format text goes to the terminal"),
    ],
)
def test_wrong_options_are_told(home: Path, options: list[str], said: str) -> None:
    result = run("matrix", home, *options)
    assert result.exit_code == 2
    start = said.partition(";")[0]
    assert start in result.stderr


def test_a_page_needs_nothing_else_and_says_why_in_every_cell(home: Path) -> None:
    result = run("matrix", home, "-o", "residency.html")
    assert (result.exit_code, result.stdout) == (0, "wrote residency.html\n")
    text = Path("residency.html").read_text("utf-8")
    page = Page()
    page.feed(text)
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "form"})
    assert all(link.startswith("#") for link in page.links)
    told = {why: treatment for treatment, why in page.cells}
    assert told["health at fr: pseudonymised, by eu.special, eu.home"] == "pseudonymised"
    # Two tables of all laws beside one for each law.
    assert len(page.cells) == 18 * 3 * (len(CATEGORIES) + 2)
    assert all(f": {treatment}, by " in why for treatment, why in page.cells)


def test_markdown_puts_together_what_is_alike(home: Path) -> None:
    text = run("matrix", home, "--format", "markdown", "--law", "eu").stdout
    assert "## European Union and European Economic Area" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    (head,) = [line for line in rows if line.startswith("| endpoint | name, contact")]
    (us,) = [line for line in rows if line.startswith("| us-clauses | redacted")]
    assert head.count("|") == us.count("|") < len(CATEGORIES)
    assert "`eu.special`" in text


def test_a_terminal_gets_a_line_for_endpoints_that_are_alike(home: Path) -> None:
    shown = run("matrix", home, "--law", "eu").stdout
    assert shown.startswith("application: general; purpose: general; basis: contract")
    assert re.search(r"^ fr .*name, contact, online-id", shown, re.MULTILINE)


def test_json_has_all_cells_and_the_digest(home: Path) -> None:
    told = json.loads(run("matrix", home, "--json", "--law", "eu").stdout)
    assert re.fullmatch("[0-9a-f]{64}", told["digest"])
    assert told["assumed"]["basis"] == "contract"
    cell = next(
        one
        for one in told["cells"]
        if (one["endpoint"], one["category"]) == ("us-clauses", "health")
    )
    assert (cell["treatment"], cell["laws"]) == ("redacted", ["eu"])


def test_exceptions_are_listed_marked_and_end(home: Path) -> None:
    (home / "policies" / "acme.cedar").write_text(EXCEPTION, "utf-8")
    key = ("eu", "us-clauses", "contact")
    assert cells(home, "--law", "eu", "--on", "2027-01-30")[key]["treatment"] == "clear"
    assert cells(home, "--law", "eu", "--on", "2027-01-31")[key]["treatment"] == "redacted"
    before = run("matrix", home, "--law", "eu", "--format", "html", "--on", "2027-01-30").stdout
    after = run("matrix", home, "--law", "eu", "--format", "html", "--on", "2027-01-31").stdout
    assert "until 2027-01-31" in before
    assert ">clear *</td>" in before
    assert "over since 2027-01-31" in after
    assert ">clear *</td>" not in after
    assert "exception acme.pilot: dpo, DPIA-7; until 2027-01-31" in (
        run("matrix", home, "--law", "eu", "--on", "2027-01-30").stdout
    )


def test_a_file_that_is_out_of_date_is_found(home: Path) -> None:
    assert run("matrix", home, "-o", "residency.md").exit_code == 0
    assert run("matrix", home, "--check", "residency.md").exit_code == 0
    rules = home / "policies" / "eu.cedar"
    rules.write_text(rules.read_text("utf-8").replace("sendClear", "sendRedacted", 1), "utf-8")
    stale = run("matrix", home, "--check", "residency.md")
    assert stale.exit_code == 1
    assert "residency.md: out of date; write it with --output residency.md" in stale.stderr
    assert run("matrix", home, "--check", "missing.md").exit_code == 1


def test_a_configuration_gives_its_apps_and_endpoints(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    file = tmp_path / "guardrail.toml"
    cloud = '\n[endpoints.cloud]\nprovider = "p"\nlocation = "US"\nagreements = ["DPA"]\n'
    file.write_text(file.read_text("utf-8") + cloud + 'models = ["m"]\n', "utf-8")
    result = run("matrix", "--config", file, "--json", "--law", "us")
    told = json.loads(result.stdout)
    assert {one["endpoint"] for one in told["cells"]} == {"local", "cloud"}
    # The application's own establishment counts beside the people's place.
    (laws,) = {tuple(one["laws"]) for one in told["cells"]}
    assert "us" in laws
    second = '\n[apps.other]\nestablishment = "FR"\norigin = "FR"\nkey = "0123456789abcdef"\n'
    file.write_text(file.read_text("utf-8") + second, "utf-8")
    assert "--app: say which" in run("matrix", "--config", file).stderr
    other = json.loads(run("matrix", "-c", file, "--app", "other", "--law", "us", "--json").stdout)
    assert {tuple(one["laws"]) for one in other["cells"]} == {("eu", "us")}


def test_the_shipped_matrix_is_up_to_date() -> None:
    result = run("matrix", ROOT, "--check", ROOT / "docs" / "residency.md")
    assert result.exit_code == 0, result.stderr
