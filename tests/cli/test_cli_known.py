"""`guardrail known`: from a table to a list, and to what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli import app

TABLE = "name,email,customer_id\nAda Lovelace,ada@example.com,KD-00123\nn/a,,12\n"
SECRET = "a secret that is long enough for anybody"


def run(
    *arguments: str | Path, said: str | bytes = "", env: dict[str, str] | None = None
) -> Result:
    return CliRunner().invoke(
        app, ["known", *(str(argument) for argument in arguments)], input=said, env=env
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARDRAIL_KNOWN_KEY", raising=False)
    (tmp_path / "customers.csv").write_text(TABLE, "utf-8")
    return tmp_path


@pytest.fixture
def built(home: Path) -> Path:
    """The same, with the list of that table."""
    assert run("build", "customers.csv").exit_code == 0
    return home


def test_build_writes_a_list_and_makes_a_key_for_its_owner(home: Path) -> None:
    first = run("build", "customers.csv")
    assert first.exit_code == 0, first.stderr
    assert "made a key: known.key" in first.stderr
    assert 'known = ["people.known"]' in first.stdout
    assert "1 of PERSON were not taken" in first.stdout
    key = home / "known.key"
    assert key.stat().st_mode & 0o777 == 0o600
    again = run("build", "customers.csv")
    assert "made a key" not in again.stderr
    said = first.output + again.output
    assert key.read_text("ascii").strip() not in said
    assert "Ada" not in said


def test_build_has_a_document(home: Path) -> None:
    document = json.loads(run("build", "customers.csv", "--json").stdout)
    assert document["ok"] is True
    assert document["entities"] == {"PERSON": 1, "EMAIL_ADDRESS": 1, "USER_ID": 1}
    assert document["skipped"] == {"PERSON": 1, "USER_ID": 1}
    assert document["bytes"] == (home / "people.known").stat().st_size


def test_build_reads_a_table_from_standard_input(home: Path) -> None:
    assert run("build", "-", "-o", "x.known", said=TABLE).exit_code == 0
    assert (home / "x.known").exists()


def test_build_takes_its_key_from_the_environment(home: Path) -> None:
    env = {"GUARDRAIL_KNOWN_KEY": SECRET}
    assert run("build", "customers.csv", env=env).exit_code == 0
    assert not (home / "known.key").exists()
    assert "KD-00123" in run("test", "people.known", "--show", said="KD-00123", env=env).stdout
    other = run("check", "people.known", env={"GUARDRAIL_KNOWN_KEY": SECRET[::-1]})
    assert other.exit_code == 3
    assert "built with another key" in other.stderr


def test_build_says_that_an_entity_has_no_category(home: Path) -> None:
    built = run("build", "customers.csv", "--column", "customer_id=BADGE")
    assert "BADGE has no category" in built.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        pytest.param((), 2, "give a SOURCE", id="nothing"),
        pytest.param(("customers.csv", "--sql", "select 1"), 2, "give a SOURCE", id="half a query"),
        pytest.param(("none.csv",), 3, "none.csv: cannot be read", id="no file"),
        pytest.param(("known.key.bak",), 3, "say what it is: --format", id="no format"),
        pytest.param(("customers.csv", "--format", "xml"), 3, "use one of", id="format"),
        pytest.param(("customers.csv", "--column", "name"), 3, "write HEADER=ENTITY", id="column"),
        pytest.param(
            ("customers.csv", "--key", "env:NO_SUCH_KEY"), 3, "NO_SUCH_KEY is not set", id="key"
        ),
        pytest.param(
            ("customers.csv", "-o", "none/people.known"), 1, "there is no folder none", id="folder"
        ),
    ],
)
def test_build_says_what_is_wrong(
    arguments: tuple[str, ...], code: int, expected: str, home: Path
) -> None:
    failed = run("build", *arguments)
    assert failed.exit_code == code
    assert expected in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_build_that_fails_leaves_the_list_as_it_was(built: Path) -> None:
    before = (built / "people.known").read_bytes()
    (built / "customers.csv").write_text('name\n"Ada', "utf-8")
    assert run("build", "customers.csv").exit_code == 3
    assert (built / "people.known").read_bytes() == before


def test_check_tells_what_a_list_holds_and_verifies_it_with_the_key(built: Path) -> None:
    checked = run("check", "people.known", "--json")
    assert json.loads(checked.stdout)["verified"] is True
    (built / "known.key").unlink()
    unverified = run("check", "people.known")
    assert unverified.exit_code == 0
    assert "not verified: there is no key here" in unverified.stdout
    assert "EMAIL_ADDRESS" in unverified.stdout


def test_test_tells_where_entries_stand_and_what_they_say_only_if_asked(built: Path) -> None:
    text = "Écrire à LOVELACE, Ada <ada@example.com>"
    hidden = run("test", "people.known", "-", said=text)
    assert hidden.stdout == "9-22  PERSON\n24-39  EMAIL_ADDRESS\n"
    shown = run("test", "people.known", "--show", "--json", said=text)
    assert [one["text"] for one in json.loads(shown.stdout)] == ["LOVELACE, Ada", "ada@example.com"]
    assert run("test", "people.known", said="no").stdout == "nothing in this text is on the list\n"


def test_remove_reads_the_value_from_standard_input_alone(built: Path) -> None:
    refused = run("remove", "people.known", "--value", "Ada Lovelace")
    assert refused.exit_code == 2
    assert "Ada" not in refused.stderr
    removed = run("remove", "people.known", "--value", "-", said="Ada Lovelace\n")
    assert removed.exit_code == 0
    assert "Ada" not in removed.output
    assert "PERSON" not in run("test", "people.known", said="Ada Lovelace").stdout
    assert run("remove", "people.known", "--value", "-", said="Ada Lovelace\n").exit_code == 1


@pytest.mark.parametrize("command", ["build", "check", "test", "remove"])
def test_every_help_has_an_example_and_the_exit_codes(command: str) -> None:
    helped = run(command, "--help", env={"COLUMNS": "100"})
    assert helped.exit_code == 0
    assert "Example:" in helped.stdout
    assert f"guardrail known {command}" in " ".join(helped.stdout.split())
    assert "Exit codes: 0 ok" in helped.stdout
