"""`guardrail scan`: what it finds in which input, what it shows where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from files_world import CSV, JSON, MAIL, TEXT, fill, guardrail
from typer.testing import CliRunner, Result

from guardrail.cli import app
from guardrail.cli.inputs import decode, encode
from guardrail.cli.scan import chunk


def run(*arguments: str | Path, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["scan", *map(str, arguments)], input=stdin, env=env)


def documents(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "data")


# ── exit codes, by real processes ────────────────────────────────────────────────────────────────


def test_exit_codes(folder: Path) -> None:
    assert guardrail("scan", folder / "none.txt").returncode == 0
    found = guardrail("scan", "-", stdin=TEXT.encode())
    assert (found.returncode, MAIL.encode() in found.stdout) == (1, False)
    missing = guardrail("scan", folder / "missing")
    assert (missing.returncode, missing.stdout) == (2, b"")
    assert b"missing: No such file or directory" in missing.stderr
    invalid = guardrail("scan", folder, "--config", folder / "missing.toml")
    assert (invalid.returncode, b"Traceback" in invalid.stderr) == (3, False)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--entity", "NO_SUCH"], 3, "--entity: there is no 'NO_SUCH'"),
        (["--without", "NO_SUCH"], 3, "nothing finds 'NO_SUCH'"),
        (["--threshold", "2"], 2, "threshold"),
        (["--format", "pdf"], 2, "format"),
        (["--html", "/no/such/folder/x.html"], 2, "cannot be written"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    arguments: list[str], code: int, complaint: str, folder: Path
) -> None:
    asked = run(folder, *arguments)
    assert (asked.exit_code, complaint in asked.stderr) == (code, True)


# ── what is read ─────────────────────────────────────────────────────────────────────────────────


def test_what_may_have_been_missed_is_told_of_each_input(folder: Path) -> None:
    told = documents(run(folder, "--json"))
    assert [0 <= one["missed"] < 1 for one in told] == [True] * 4
    alone = documents(run(folder, "--json", "--entity", "EMAIL_ADDRESS"))
    assert [one for one in alone if "missed" in one] == []


def test_each_input_is_one_line_of_json(folder: Path) -> None:
    scanned = run(folder, "--json")
    by_name = {Path(one["input"]).name: one["findings"] for one in documents(scanned)}
    assert list(by_name) == ["a.txt", "b.json", "c.csv", "none.txt"]
    assert by_name["none.txt"] == []
    name, mail = by_name["a.txt"]
    assert (name["entity"], TEXT[name["start"] : name["end"]]) == ("PERSON", "Erika Mustermann")
    assert {key: mail[key] for key in ("entity", "category", "line", "column")} == {
        "entity": "EMAIL_ADDRESS",
        "category": "contact",
        "line": 2,
        "column": 30,
    }
    assert [(one["pointer"], one["start"], one["end"]) for one in by_name["b.json"]] == [
        ("/mail", 0, 15),
        ("/[EMAIL]/~key", 0, 13),
    ]
    assert [(one["pointer"], one["line"]) for one in by_name["c.csv"]] == [("/1/1", 2)]
    assert MAIL not in scanned.stdout
    assert "example.com" not in scanned.stdout


def test_offsets_count_code_points(tmp_path: Path) -> None:
    text = f"😀 é {MAIL}"
    (tmp_path / "x.txt").write_text(text, "utf-8")
    (found,) = documents(run(tmp_path, "--json"))[0]["findings"]
    assert (found["start"], text[found["start"] : found["end"]]) == (4, MAIL)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--include", "*.txt"], ["a.txt", "none.txt"]),
        (["--exclude", "*.txt", "--exclude", "c.*"], ["b.json"]),
        (["--include", "*.csv", "--exclude", "c*"], []),
    ],
)
def test_globs_choose_among_what_a_folder_holds(
    options: list[str], names: list[str], folder: Path
) -> None:
    found = documents(run(folder, "--json", *options))
    assert [Path(one["input"]).name for one in found] == names


def test_folders_are_read_with_all_below_them_in_order(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/1.txt", "a.txt", "node_modules/x.txt", "b/c/3.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(MAIL)
    (tmp_path / "link").symlink_to(tmp_path)
    found = [
        one["input"].removeprefix(f"{tmp_path}/") for one in documents(run(tmp_path, "--json"))
    ]
    assert found == ["a.txt", "b/1.txt", "b/2.txt", "b/c/3.txt"]
    pruned = documents(run(tmp_path, "--json", "--exclude", "b/c"))
    assert len(pruned) == 3


def test_a_binary_file_is_skipped_in_a_folder_and_a_problem_by_name(folder: Path) -> None:
    assert "1 binary file skipped" in run(folder).stderr
    named = run(folder / "d.png", folder / "none.txt")
    assert named.exit_code == 2
    assert "d.png: is no text and was not inspected" in named.stderr


def test_json_lines(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text(f'{{"a": 1}}\n{{"b": "{MAIL}"}}\n')
    (found,) = documents(run(tmp_path / "x.log", "--jsonl", "--json"))[0]["findings"]
    assert (found["line"], found["pointer"]) == (2, "/b")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_any_encoding_is_read_and_can_be_written_again(encoding: str, tmp_path: Path) -> None:
    raw = f"Grüße, {MAIL}".encode(encoding)
    (tmp_path / "x.txt").write_bytes(raw)
    assert len(documents(run(tmp_path, "--json"))[0]["findings"]) == 1
    assert encode(*decode(raw)) == raw


def test_an_odd_byte_does_not_hide_who_stands_around_it(tmp_path: Path) -> None:
    people = "Меня зовут Иван Петров.\nMein Name ist Jürgen Müller.\n"
    raw = people.encode() + b"caf\xe9, and \xd0"
    assert encode(*decode(raw)) == raw
    (tmp_path / "x.txt").write_bytes(raw)
    (found,) = documents(run(tmp_path, "--json"))
    assert {one["line"] for one in found["findings"]} == {1, 2}


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "shift-jis"])
def test_an_encoding_that_cannot_be_told_is_a_problem(encoding: str, tmp_path: Path) -> None:
    text = "私は山田太郎です。" if encoding == "shift-jis" else "Меня зовут Иван Петров."
    (tmp_path / "x.txt").write_bytes((text * 3).encode(encoding))
    scanned = run(tmp_path)
    assert scanned.exit_code not in (0, 1)
    assert "convert it to UTF-8" in scanned.stderr


def test_standard_input_is_answered_line_by_line() -> None:
    command = [sys.executable, "-m", "guardrail", "scan", "--format", "lines", "--json", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(f"write to {MAIL}\n".encode())
            process.stdin.flush()
            (found,) = json.loads(process.stdout.readline())["findings"]
            assert (found["line"], found["start"]) == (number, 9)
        process.stdin.write(b"\x00 \xff nothing\n")
        process.stdin.close()
        assert json.loads(process.stdout.readline())["findings"] == []
    assert process.returncode == 1


def test_many_files_by_many_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    for number in range(40):
        mails = "".join(f"write to u{n}@example.com. " for n in range(number % 5))
        (tmp_path / f"{number:02}.txt").write_text(mails + "Nothing.\n")
    alone = guardrail("scan", "--json", "--jobs", "1", tmp_path)
    shared = guardrail("scan", "--json", "--jobs", "3", tmp_path)
    assert (alone.returncode, shared.returncode, shared.stderr) == (1, 1, b"")
    assert alone.stdout == shared.stdout
    assert alone.stdout.count(b"EMAIL_ADDRESS") == 80


@pytest.mark.parametrize(
    ("files", "processes", "size"),
    [(2, 2, 1), (8, 2, 1), (40, 2, 5), (40, 16, 1), (10_000, 16, 8)],
    ids=["two", "few", "some", "many processes", "many"],
)
def test_files_are_shared_by_all_processes(files: int, processes: int, size: int) -> None:
    assert chunk(files, processes) == size


# ── what is found ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "entities"),
    [
        ([], {"PERSON", "EMAIL_ADDRESS"}),
        (["--entity", "PERSON"], {"PERSON"}),
        (["--without", "PERSON"], {"EMAIL_ADDRESS"}),
    ],
)
def test_what_to_find_can_be_said(options: list[str], entities: set[str], folder: Path) -> None:
    found = documents(run(folder / "a.txt", "--json", *options))[0]["findings"]
    assert {one["entity"] for one in found} == entities


def test_a_configuration_says_what_to_find(folder: Path) -> None:
    CliRunner().invoke(app, ["init", str(folder)])
    file = folder / "guardrail.toml"
    file.write_text(file.read_text().replace('# exclude = ["DE_PLZ"]', 'exclude = ["PERSON"]'))
    found = documents(run(folder / "a.txt", "--json", env={"GUARDRAIL_CONFIG": str(file)}))
    assert [one["entity"] for one in found[0]["findings"]] == ["EMAIL_ADDRESS"]


# ── what is shown ────────────────────────────────────────────────────────────────────────────────

COLOUR = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100"}


def test_away_from_a_terminal_no_text_is_written(folder: Path) -> None:
    shown = run(folder)
    assert f"{folder}/a.txt:2:30: EMAIL_ADDRESS (contact) 1.00 email\n" in shown.stdout
    assert "example.com" not in shown.stdout
    assert "5 findings in 3 of 4 inputs; 1 binary file skipped" in shown.stderr


def test_in_a_terminal_findings_are_highlighted_in_their_lines(folder: Path) -> None:
    shown = run(folder, env=COLOUR)
    assert f"{MAIL}\x1b[0m" in shown.stdout
    assert "my name is " in shown.stdout
    assert "Nothing else" not in shown.stdout
    assert "category" in shown.stdout  # the table of sums
    assert "example.com" not in run(folder, "--no-text", env=COLOUR).stdout


def test_no_color_means_no_colour(folder: Path) -> None:
    shown = run(folder, env={**COLOUR, "NO_COLOR": "1"})
    assert MAIL in shown.stdout
    assert "\x1b[3" not in shown.stdout
    assert "\x1b[4" not in shown.stdout


def test_a_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(f"\x1b[2J\x1b]0;title\x07 {MAIL} \u202egpj\n")
    shown = run(tmp_path, "--text")
    assert MAIL in shown.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.stdout)


def test_of_a_long_line_only_what_surrounds_a_finding_is_shown(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1 " * 500 + MAIL + " 2" * 500 + f" {MAIL}")
    lines = [line for line in run(tmp_path, "--text").stdout.splitlines() if MAIL in line]
    assert len(lines) == 2
    assert max(map(len, lines)) < 200


def test_a_finding_over_two_lines_is_shown_in_both(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"
    (tmp_path / "x.txt").write_text(f"one\n{key}\nfour\n")
    shown = run(tmp_path, "--text").stdout
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["2", "3", "4"]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.marked: list[str] = []
        self.text = ""
        self._in_mark = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}
        self._in_mark = tag == "mark"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_mark:
            self.marked.append(data)
        self._in_mark = False


def test_the_page_is_escaped_and_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "<b>.txt").write_text(f'<script>alert("1")</script> {MAIL} <img src=x>\n')
    page = tmp_path / "report.html"
    page.write_text("an older report, for all to read")
    assert run(tmp_path / "<b>.txt", "--html", page).exit_code == 1
    parsed = _Page()
    parsed.feed(page.read_text("utf-8"))
    assert not {"script", "img", "b", "link", "iframe"} & parsed.tags
    assert MAIL in parsed.marked
    assert '<script>alert("1")</script>' in parsed.text
    assert page.stat().st_mode & 0o777 == 0o600


def test_with_a_page_no_text_is_written_elsewhere(folder: Path, tmp_path: Path) -> None:
    shown = run(folder, "--html", tmp_path / "report.html")
    assert "example.com" not in shown.stdout + shown.stderr


def test_help_teaches() -> None:
    helped = run("--help", env={"COLUMNS": "100"}).stdout
    assert "Example: guardrail scan" in helped
    assert "Exit codes: 0 nothing found, 1 something found" in helped


def test_the_fixtures_are_what_they_say() -> None:
    assert json.loads(JSON)
    assert CSV.count(";") == 2
