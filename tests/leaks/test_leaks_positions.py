"""No place of a request or an answer leaks, in any protocol; the published tables say what does."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from leaks_main import PAGES, filled, main
from leaks_oracle import shows
from leaks_positions import PEERS, POSITIONS
from leaks_probes import (
    PIECE,
    PROBES,
    is_bad,
    judge_request,
    try_position,
    try_probe,
    worst,
)
from leaks_speech import VOICES
from leaks_table import STEPS, Report, Row, measure, summary, tables
from leaks_world import PLANTED, Seen, ask

MAIN = Path(__file__).parent / "leaks_main.py"


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("position", POSITIONS)
def test_a_value_leaves_from_no_position_of_a_request(position: str, planted: str) -> None:
    assert not is_bad(try_position(POSITIONS[position], planted))


@pytest.mark.parametrize("position", POSITIONS)
def test_without_the_guard_every_position_leaks(position: str) -> None:
    at = POSITIONS[position]
    for value, text in PLANTED.values():
        assert judge_request(ask(at.body(text), path=at.path, bare=True), value) == "LEAK"


@pytest.mark.parametrize(
    ("probe", "size"), [(probe.id, size) for probe in PROBES.values() for size in probe.sizes]
)
def test_an_answer_leaks_nothing_and_says_what_it_should(probe: str, size: int) -> None:
    assert not is_bad(try_probe(PROBES[probe], size))


# ── the instrument ───────────────────────────────────────────────────────────────────────────────

HIDDEN = {
    "as it stands": "to alice@example.com",
    "other case": "TO ALICE@EXAMPLE.COM",
    "JSON escape": r"alice\u0040example.com",
    "JSON in JSON": json.dumps(json.dumps({"to": "alice@example.com"})).replace("@", "\\\\u0040"),
    "address": "q=alice%40example.com",
    "HTML": "alice&#64;example.com",
    "base64": "eCBhbGljZUBleGFtcGxlLmNvbQ==",
    "base64 in an address": "data:text/plain;base64,eCBhbGljZUBleGFtcGxlLmNvbQ%3D%3D",
    "gzip in base64": base64.b64encode(gzip.compress(b"x alice@example.com")).decode(),
    "UTF-16 in base64": base64.b64encode("x alice@example.com".encode("utf-16")).decode(),
    "full-width": "ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍ",
    "zero-width": "a\u200bl\u200bi\u200bc\u200be@example.com",
    "spaced": "a l i c e @ example . com",
}


@pytest.mark.parametrize("how", HIDDEN)
def test_the_oracle_reads_what_somebody_with_patience_could(how: str) -> None:
    assert shows("alice@example.com", HIDDEN[how].encode())


def test_the_oracle_sees_nothing_in_what_is_protected() -> None:
    sent = b'{"content":"write to [EMAIL_1], card [CARD REDACTED]"}'
    assert not any(shows(value, sent) for value, _ in PLANTED.values())


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize(
    ("size", "woven"), [(0, False), (PIECE, False), (1, True), (PIECE, True)], ids=str
)
def test_without_the_guard_a_client_hears_every_word(voice: str, size: int, woven: bool) -> None:
    speaker = VOICES[voice]
    said = json.dumps({"note": "pay with 4111 1111 1111 1111 now"})
    beside = json.dumps({"x": "lorem ipsum"}) if woven else ""
    answer = b"".join(speaker.answer(said, size=size, beside=beside))
    assert speaker.heard(answer, size=size) == said
    events = [event for event in answer.split(b"\n\n") if re.search(rb'index": 1\b', event)]
    assert bool(events) == woven


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (Seen(status=403), "refused 403"),
        (Seen(status=200), "WRONG"),
        (Seen(status=200, sent=b"4111111111111111"), "LEAK"),
        (Seen(status=502, sent=b"[CARD_1]"), "WRONG"),
        (Seen(status=200, sent=b"[CARD_1]"), "ok"),
        (Seen(status=200, query=b"c=4111%201111+1111%201111", sent=b""), "LEAK"),
    ],
    ids="refused nothing-sent leak failed fine query".split(),
)
def test_a_verdict_follows_from_what_was_seen(seen: Seen, verdict: str) -> None:
    assert judge_request(seen, "4111 1111 1111 1111") == verdict


@pytest.mark.parametrize(("model", "verdict"), [("llama3", "local"), ("gpt-4o", "LEAK")])
def test_only_what_the_local_model_gets_is_local(model: str, verdict: str) -> None:
    headers = {b"x-guardrail-treatment": b"local"}
    sent = json.dumps({"model": model, "x": "4111 1111 1111 1111"}).encode()
    seen = Seen(status=200, headers=headers, sent=sent)
    assert judge_request(seen, "4111 1111 1111 1111") == verdict


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        (["ok", "LEAK", "WRONG"], "LEAK"),
        (["local", "WRONG", "ok"], "WRONG"),
        (["refused 400", "ok", "ok"], "ok, refused 400"),
        (["ok", "ok"], "ok"),
    ],
)
def test_one_leak_is_never_outvoted(verdicts: list[str], told: str) -> None:
    assert worst(verdicts) == told


# ── the tables ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def report() -> Report:
    steps: list[int] = []
    measured = measure(lambda: steps.append(1))
    assert len(steps) == STEPS
    return measured


@pytest.mark.parametrize(("page", "told"), PAGES, ids=["README", "docs"])
def test_the_published_table_is_what_is_measured(
    page: Path, told: Callable[[Report], str], report: Report
) -> None:
    text = page.read_text("utf-8")
    assert told(report) in text, "run: scripts/leaks --write"
    assert filled(text, told(report)) == text


def test_the_peers_leak_as_often_as_was_recorded_of_them(report: Report) -> None:
    leaking = [
        sum(row.peers[at] == "LEAK" for row in report.requests if row.peers)
        for at in range(len(PEERS))
    ]
    assert leaking == [19, 17, 2, 8]


def test_a_leak_is_shown_and_counted_whether_or_not_peers_were_measured() -> None:
    peers = ("ok", "LEAK / ok", "one-way", "WRONG person")
    rows = (
        Row(protocol="chat", name="user", verdicts=("LEAK",), peers=peers),
        Row(protocol="chat", name="note", verdicts=("ok", "WRONG"), peers=()),
        Row(protocol="chat", name="key", verdicts=("ok", "ok"), peers=()),
    )
    told = Report(requests=rows, answers=())
    assert [row.name for row in told.bad] == ["user", "note"]
    assert told.document()["ok"] is False
    assert "| places of a request | 1 | **1** | 0 | 1 | 0 | 1 |" in summary(told)
    assert (
        "in 2 more places and by 0 more questions. 1 of them leak or come out wrong, in chat."
        in summary(told)
    )
    assert "| chat | user | **LEAK** | ok | **LEAK** / ok | one-way | **WRONG** person |" in tables(
        told
    )
    assert "| chat | ok / **WRONG** | note |\n| chat | ok | key |" in tables(told)


LEAKY = Report(
    requests=(Row(protocol="chat", name="user", verdicts=("LEAK",), peers=()),), answers=()
)
TIGHT = Report(
    requests=(Row(protocol="chat", name="user", verdicts=("ok",), peers=()),), answers=()
)


@pytest.mark.parametrize(("report", "status"), [(LEAKY, 1), (TIGHT, 0)], ids=["leaky", "tight"])
@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]], ids=str)
def test_the_exit_status_says_whether_something_leaked(
    form: list[str], report: Report, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(form, measured=lambda: report) == status
    told = capsys.readouterr().out
    assert ("LEAK" in told) == bool(status)
    assert "user" in told
    if form == ["--json"]:
        assert json.loads(told)["ok"] is not bool(status)


def test_colour_is_left_out_where_it_is_not_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for plain in (False, True):
        monkeypatch.setenv("FORCE_COLOR", "1")
        if plain:
            monkeypatch.setenv("NO_COLOR", "1")
        main([], measured=lambda: LEAKY)
        told.append("\x1b[1;31m" in capsys.readouterr().out)
    assert told == [True, False]


@pytest.mark.slow
def test_the_script_measures_what_the_tests_measure(report: Report) -> None:
    run = subprocess.run(
        [sys.executable, MAIN, "--markdown"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == (1 if report.bad else 0), run.stderr
    assert run.stdout == tables(report) + "\n"


def test_help_says_what_the_script_does() -> None:
    run = subprocess.run(
        [sys.executable, MAIN, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--markdown" in run.stdout
    assert "Exit codes" in run.stdout
