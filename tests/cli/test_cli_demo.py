"""`guardrail demo`: what it shows is true, and it notices when something leaks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from guardrail.cli import app
from guardrail.cli.demo import play
from guardrail.cli.demo.claims import About, check, check_all, occurs
from guardrail.cli.demo.play import Outcome
from guardrail.cli.demo.prompts import PROMPTS, configuration
from guardrail.cli.demo.standins import Seen, answer
from guardrail.types import AuditEvent


def processor_time_of_children() -> float:
    """Seconds, which do not tell how busy the machine is with something else."""
    times = os.times()
    return times.children_user + times.children_system


def test_the_demo_holds_what_it_claims(tmp_path: Path) -> None:
    elsewhere = tmp_path / "must-not-be-made.db"
    env = {
        **os.environ,
        "GUARDRAIL_AUDIT__PATH": str(elsewhere),
        "HTTP_PROXY": "http://203.0.113.1:3128",
        "OPENAI_BASE_URL": "http://203.0.113.1/v1",
    }
    command = [sys.executable, "-m", "guardrail", "demo", "--once", "--json"]
    before = processor_time_of_children()
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert processor_time_of_children() - before < 30  # it waits for nothing by turning in circles
    document = json.loads(done.stdout)
    assert document["ok"] is True
    claims = [claim for one in document["exchanges"] for claim in one["claims"]]
    assert all(claim["ok"] for claim in (*claims, *document["claims"]))
    assert not elsewhere.exists()

    mail, clinic, code, harmless, scan, forbidden, spoken = document["exchanges"]
    assert {policy["id"] for policy in mail["policies"]} == {"eu.safeguards"}
    assert "[IBAN_1]" in mail["cloud"][0]["messages"][0]["content"]
    assert "DE89 3704 0044 0532 0130 00" in mail["answer"]
    assert "us.hipaa.minimum" in {policy["id"] for policy in clinic["policies"]}
    assert "[SSN_1]" in clinic["cloud"][0]["messages"][0]["content"]
    assert code["events"][0]["treatment"] == "redacted"
    assert harmless["cloud"][0]["messages"][0]["content"] == harmless["sent"]
    assert (len(scan["cloud"]), len(scan["local"])) == (0, 1)
    assert forbidden["status"] == 403
    assert forbidden["policies"][0]["citation"].startswith("AI Act Art. 5")
    assert "[CARD REDACTED]" in spoken["answer"]


def test_a_leak_is_noticed_and_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(**places: Any) -> dict[str, Any]:
        settings = configuration(**places)
        settings["endpoints"]["cloud"]["location"] = "DE"  # so the mail may go there in clear
        return settings

    monkeypatch.setattr(play, "configuration", careless)
    done = CliRunner().invoke(app, ["demo", "--once"], env={"COLUMNS": "120"})
    assert done.exit_code == 1
    assert "claims do not hold" in done.stdout
    assert "does not hold: none of 9 planted values" in done.stdout


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == 2
    assert "pip install 'guardrail-asgi[demo]'" in done.stderr


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(app, ["demo", "--once", "--port", port])
    assert done.exit_code == 1
    assert f"port {port}: Address already in use; choose another" in done.stderr


# ── the claims themselves ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt.title)
def test_every_planted_value_stands_in_what_is_sent(prompt: Any) -> None:
    sent = json.dumps(prompt.content).encode()
    assert all(occurs(value, sent) for value in prompt.planted)
    assert set(prompt.restored) <= set(prompt.planted)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param('{"a":"in der Heidestraße 17, 51147 Köln"}'.encode(), id="raw"),
        pytest.param(rb'{"a":"Heidestra\u00dfe 17, 51147 K\u00f6ln"}', id="json-escaped"),
        pytest.param(b"q=Heidestra%C3%9Fe%2017%2C%2051147%20K%C3%B6ln", id="percent"),
        pytest.param(b"q=heidestra%c3%9fe+17%2c+51147+k%c3%b6ln", id="form"),
        pytest.param("HEIDESTRAßE-17/51147–KöLN".encode(), id="punctuation"),
    ],
)
def test_a_value_is_found_however_it_is_written(data: bytes) -> None:
    assert occurs("Heidestraße 17, 51147 Köln", data)


def test_an_account_number_is_found_without_its_spaces() -> None:
    assert occurs("DE89 3704 0044 0532 0130 00", b"DE89370400440532013000")
    assert not occurs("DE89 3704 0044 0532 0130 00", b"DE89 3704 0044 0532 0130 01")


def outcome() -> Outcome:
    """What comes of the first prompt when all goes well."""
    prompt = PROMPTS[0]
    body = json.dumps({"messages": [{"role": "user", "content": "ich bin [PERSON_1]"}]}).encode()
    at = datetime(2026, 11, 20, tzinfo=UTC)
    kinds = ("egress.decision", "egress.outcome")
    return Outcome(
        prompt=prompt,
        status=200,
        answer=" ".join(prompt.restored),
        cloud=(Seen(wire=body, body=body, said=""),),
        local=(),
        events=tuple(
            AuditEvent(id=f"{number:032x}", kind=kind, at=at, exchange="x1")
            for number, kind in enumerate(kinds)
        ),
        reasons=(),
    )


def broken(result: Outcome) -> set[About]:
    return {claim.about for claim in check(result) if not claim.holds}


def test_every_claim_holds_when_all_goes_well() -> None:
    assert broken(outcome()) == set()


def _leaked(good: Outcome) -> Outcome:
    wire = b"POST /v1/chat/completions?who=erika.mustermann%40example.de"
    return replace(good, cloud=(replace(good.cloud[0], wire=wire),))


@pytest.mark.parametrize(
    ("expected", "spoil"),
    [
        pytest.param(About.KEPT, _leaked, id="leaked"),
        pytest.param(About.ROUTED, lambda o: replace(o, cloud=()), id="lost"),
        pytest.param(About.ROUTED, lambda o: replace(o, cloud=o.cloud * 2), id="twice"),
        pytest.param(About.RESTORED, lambda o: replace(o, answer="[PERSON_1]"), id="unrestored"),
        pytest.param(About.RECORDED, lambda o: replace(o, events=o.events[:1]), id="unrecorded"),
        pytest.param(
            About.RECORDED,
            lambda o: replace(o, events=(o.events[0], replace(o.events[1], code="client_gone"))),
            id="failed",
        ),
        pytest.param(
            About.RECORDED,
            lambda o: replace(o, events=(o.events[0], replace(o.events[1], purpose="Mustermann"))),
            id="text-in-log",
        ),
    ],
)
def test_a_claim_that_does_not_hold_is_found(
    expected: About, spoil: Callable[[Outcome], Outcome]
) -> None:
    assert broken(spoil(outcome())) == {expected}


def test_a_value_in_the_audit_logs_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "audit.db-wal").write_bytes(b"\0\0Erika Mustermann\0")
    claims = check_all([outcome()], [PROMPTS[0]], tmp_path)
    assert [claim.holds for claim in claims] == [True, False]


def test_an_empty_audit_log_proves_nothing(tmp_path: Path) -> None:
    claims = check_all([outcome()], [PROMPTS[0]], tmp_path)
    assert [claim.holds for claim in claims] == [True, False]


def test_a_stand_in_quotes_every_placeholder_it_saw() -> None:
    seen = "Ich heiße [PERSON_1], bitte an [EMAIL_2] oder [DE_TAX_ID_1]."
    said = answer([{"role": "user", "content": seen}])
    assert said.startswith("Guten Tag [PERSON_1]")
    assert all(token in said for token in ("[PERSON_1]", "[EMAIL_2]", "[DE_TAX_ID_1]"))
