"""`guardrail redact`: what is found is gone, the rest stays, and what must stay is not written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from files_world import CSV, MAIL, TEXT, fill, guardrail
from typer.testing import CliRunner, Result

from guardrail.cli import app


def run(*arguments: str | Path, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(app, ["redact", *map(str, arguments)], input=stdin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "data")


REDACTED = "Dear team,\nmy name is [PERSON_1], [EMAIL_1].\nNothing else.\n"


# ── exit codes, by real processes ────────────────────────────────────────────────────────────────


def test_exit_codes(folder: Path) -> None:
    done = guardrail("redact", "-", stdin=TEXT.encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, REDACTED.encode(), b"")
    unnamed = guardrail("redact", folder)
    assert (unnamed.returncode, unnamed.stdout) == (2, b"")
    invalid = guardrail("redact", folder / "a.txt", "-c", folder / "missing.toml")
    assert (invalid.returncode, invalid.stdout) == (3, b"")


def test_what_must_stay_is_refused_with_1_and_nothing_is_written(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    options = ("--config", tmp_path / "guardrail.toml", "--endpoint", "local")
    refused = guardrail("redact", *options, "-", stdin=TEXT.encode())
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"must not leave for local (DE): contact may be processed locally only" in refused.stderr
    assert MAIL.encode() not in refused.stderr


# ── where to ─────────────────────────────────────────────────────────────────────────────────────


def test_several_files_are_written_below_a_folder_and_stay_what_they_are(
    folder: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = run(folder, "-o", tmp_path / "out")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "5 findings in 4 documents; 1 binary file left out\n"
    written = {path.name: path.read_bytes().decode() for path in (tmp_path / "out").iterdir()}
    assert sorted(written) == ["a.txt", "b.json", "c.csv", "none.txt"]
    assert written["a.txt"] == REDACTED
    assert json.loads(written["b.json"]) == {"mail": "[EMAIL_1]", "[EMAIL_2]": [1, 2.5]}
    assert written["c.csv"] == CSV.replace("x@example.com", "[EMAIL_1]")
    assert list(csv.reader(written["c.csv"].splitlines(), delimiter=";"))[1][1] == "[EMAIL_1]"
    assert {path: path.read_bytes() for path in before} == before


def test_in_place_only_when_said(folder: Path) -> None:
    file = folder / "a.txt"
    file.chmod(0o640)
    assert run(file).exit_code == 0
    assert file.read_text() == TEXT
    assert run(file, "--in-place").exit_code == 0
    assert file.read_text() == REDACTED
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in folder.glob(".a*")) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["{}", "-o", "{}"], "would overwrite an input"),
        (["{}", "-o", "x", "--in-place"], "exclude each other"),
        (["{}/a.txt", "{}/a.txt", "-o", "x"], "to one file"),
        (["-", "-o", "x"], "standard input has no name"),
        (["{}"], "several inputs"),
        (["{}/a.txt", "--region", "EU"], "say both --region and --location"),
        (["{}/a.txt", "--endpoint", "cloud"], "--endpoint needs --config"),
        (["{}/a.txt", "--vault", "v", "--number", "record"], "--vault needs --number document"),
        (["{}/missing"], "missing: No such file or directory"),
    ],
)
def test_what_is_asked_wrongly_is_said_and_nothing_is_written(
    options: list[str], complaint: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    asked = run(*(option.format(folder) for option in options))
    assert (asked.exit_code, asked.stdout) == (2, "")
    assert complaint in asked.stderr
    assert (folder / "a.txt").read_text() == TEXT
    assert not {"x", "v"} & {path.name for path in folder.iterdir()}


def test_a_binary_file_by_name_is_a_failure(folder: Path) -> None:
    done = run(folder / "d.png")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is no text and was not treated" in done.stderr


def test_one_failure_does_not_keep_the_others(folder: Path, tmp_path: Path) -> None:
    done = run(folder / "d.png", folder / "a.txt", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert (tmp_path / "out" / "a.txt").read_text() == REDACTED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_encoding_stays(encoding: str) -> None:
    done = guardrail("redact", "-", stdin=f"Grüße, {MAIL}\r\n".encode(encoding))
    assert done.stdout.decode(encoding) == "Grüße, [EMAIL_1]\r\n"


# ── how ──────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_are_of_the_document_or_of_the_row() -> None:
    rows = "mail\na@example.com\nb@example.com\n"
    of_document = run("-", "--format", "csv", stdin=rows).stdout
    assert of_document == "mail\n[EMAIL_1]\n[EMAIL_2]\n"
    of_row = run("-", "--format", "csv", "--number", "record", stdin=rows).stdout
    assert of_row == "mail\n[EMAIL_1]\n[EMAIL_1]\n"


def test_the_vault_says_what_was_replaced_to_its_owner_alone(folder: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault.json"
    options = ("-o", tmp_path / "out", "--vault", vault)
    assert run(folder / "a.txt", folder / "c.csv", *options).exit_code == 0
    entries = json.loads(vault.read_text("utf-8"))
    assert {token: entry["original"] for token, entry in entries.items()} == {
        "[PERSON_1]": "Erika Mustermann",
        "[EMAIL_1]": MAIL,
        "[EMAIL_2]": "x@example.com",
    }
    assert vault.stat().st_mode & 0o777 == 0o600
    again = run(folder / "a.txt", *options)
    assert again.exit_code == 1
    assert "the vault cannot be written: File exists" in again.stderr
    assert json.loads(vault.read_text("utf-8")) == entries


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--region", "EU", "--location", "US"], "[EMAIL REDACTED]"),
        (
            "--region EU --location DE --basis contract --agreement DPA".split(),
            "a@example.com",
        ),
    ],
    ids=["abroad", "at-home"],
)
def test_the_policies_are_asked_what_may_leave(options: list[str], expected: str) -> None:
    done = run("-", *options, stdin="a@example.com")
    assert (done.exit_code, done.stdout) == (0, expected)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--location", "Mars"], "no place 'Mars'"),
        (["--location", "US", "--basis", "whim"], "basis: 'whim' is not one of"),
        (["--location", "US", "--policy", "/no/such"], "no region files"),
    ],
)
def test_a_journey_that_no_policy_knows_is_invalid(options: list[str], complaint: str) -> None:
    done = run("-", "--region", "EU", *options, stdin="a@example.com")
    assert (done.exit_code, done.stdout) == (3, "")
    assert complaint in done.stderr


def test_help_teaches() -> None:
    helped = CliRunner(env={"COLUMNS": "100"}).invoke(app, ["redact", "--help"]).stdout
    assert "Example: guardrail redact" in helped
    assert "Exit codes: 0 ok" in helped
