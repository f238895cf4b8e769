"""`guardrail policy keygen`, `sign`, `verify`, and a rollout of signed policies."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from policies_world import SCENARIOS, folder
from typer.testing import CliRunner, Result

from guardrail.cli import app
from guardrail.config import build, load_config
from guardrail.policy.serials import read_highest

STOP = """@id("acme.stop") @title("t")
forbid (principal, action in Action::"send", resource)
when { context.category in Category::"personal" };
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], env={"COLUMNS": "240"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert run("keygen", tmp_path / "policy").exit_code == 0
    return folder(tmp_path)


def sign(home: Path, *arguments: str | Path, root: Path | None = None) -> Result:
    return run("sign", root or home, "--key", home / "policy.key.pem", "--json", *arguments)


def verify(home: Path, *arguments: str | Path) -> Result:
    return run("verify", home, "--key", home / "policy.pub.pem", *arguments)


def said(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_keys_are_made_once(tmp_path: Path) -> None:
    told = said(run("keygen", tmp_path / "acme", "--json"))
    private, public = tmp_path / "acme.key.pem", tmp_path / "acme.pub.pem"
    assert told == {"key": told["key"], "private": str(private), "public": str(public)}
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes(), public.read_bytes()
    assert b"PRIVATE" not in before[1]
    again = run("keygen", tmp_path / "acme")
    assert (again.exit_code, "acme.key.pem: exists" in again.stderr) == (3, True)
    private.unlink()
    assert run("keygen", tmp_path / "acme").exit_code == 3
    assert (private.exists(), public.read_bytes()) == (False, before[1])
    assert run("keygen", tmp_path / "gone" / "acme").exit_code == 3


def test_a_set_is_signed_and_verified(home: Path) -> None:
    told = said(sign(home))
    assert (told["serial"], told["days_left"], told["state"]) == (1, 90, "good")
    assert told["files"] == len([*home.glob("policies/**/*.*"), *home.glob("regions/*.*")])
    result = verify(home, "--json")
    assert result.exit_code == 0
    shown = said(result)
    del told["files"], shown["problems"]
    assert {**shown, "days_left": 90} == told
    text = verify(home)
    assert (text.exit_code, "good" in text.stdout) == (0, True)
    assert told["digest"] in text.stdout


def test_serials_follow_one_another(home: Path) -> None:
    assert [said(sign(home, "--no-test"))["serial"] for _ in range(2)] == [1, 2]
    assert said(sign(home, "--no-test", "--serial", "9"))["serial"] == 9
    assert said(sign(home, "--no-test", "--serial", "9"))["serial"] == 9  # for longer
    lower = sign(home, "--no-test", "--serial", "8")
    assert (lower.exit_code, "9 was signed before" in lower.stderr) == (2, True)
    (home / "policies" / "acme.cedar").write_text(STOP)
    assert sign(home, "--no-test", "--serial", "9").exit_code == 2
    assert said(sign(home, "--no-test"))["serial"] == 10
    (home / "manifest.json").write_text("{")
    assert sign(home, "--no-test").exit_code == 3
    (home / "manifest.json").unlink()
    assert said(sign(home, "--no-test"))["serial"] == 1


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "0d", "1y", "999999w"])
def test_a_time_that_is_none_is_told(home: Path, text: str) -> None:
    result = sign(home, "--expires", text)
    assert (result.exit_code, "--expires: " in result.stderr) == (2, True)


def test_a_set_that_does_not_pass_check_is_not_signed(home: Path) -> None:
    (home / "policies" / "acme.cedar").write_text("forbid principal;")
    result = sign(home, "--no-test")
    assert (result.exit_code, "policies/acme.cedar:1:8" in result.stderr) == (3, True)
    (home / "policies" / "acme.cedar").unlink()
    (home / "policies" / "link").symlink_to("/etc/hosts")
    result = sign(home, "--no-test")
    assert (result.exit_code, "policies/link: a link" in result.stderr) == (3, True)
    assert not (home / "manifest.json").exists()


def test_a_set_that_fails_its_scenarios_is_not_signed(home: Path) -> None:
    tests = home / "policies" / "tests"
    (tests / "eu.yaml").write_text(SCENARIOS.replace("contact: redacted", "contact: clear"))
    result = sign(home)
    assert result.exit_code == 4
    assert "policies/tests/eu.yaml:6: not what the policies decide" in result.stderr
    assert not (home / "manifest.json").exists()
    assert sign(home, "--no-test").exit_code == 0
    for file in tests.iterdir():
        file.unlink()
    tests.rmdir()
    assert sign(home).exit_code == 3


def test_each_outcome_has_its_code(home: Path) -> None:
    assert verify(home).exit_code == 6
    sign(home, "--no-test", "--serial", "5")
    state = home / "state.json"
    assert verify(home, "--state", state).exit_code == 0
    digest = "ab" * 32
    state.write_text(json.dumps({"format": 1, "serial": 6, "digest": digest}))
    result = verify(home, "--state", state, "--json")
    assert (result.exit_code, said(result)["state"]) == (8, "rolled back")
    assert said(result)["serial"] == 5
    state.write_text("{")
    assert verify(home, "--state", state).exit_code == 3
    (home / "policies" / "eu.cedar").write_text("")
    (home / "regions" / "xx.toml").touch()
    result = verify(home, "--json")
    assert (result.exit_code, said(result)["state"]) == (6, "bad")
    assert [one.partition(":")[0] for one in said(result)["problems"]] == [
        "policies/eu.cedar",
        "regions/xx.toml",
    ]


def test_an_expired_set_has_its_code(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(home, "--no-test", "--expires", "1h")
    assert verify(home).exit_code == 0
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(import_module("guardrail.cli.policy.signing"), "utc_now", lambda: later)
    result = verify(home, "--json")
    assert (result.exit_code, said(result)["state"], said(result)["days_left"]) == (
        7,
        "expired",
        -1,
    )


def test_without_a_key_nothing_is_verified(home: Path) -> None:
    assert verify(home, "--key", home / "gone.pem").exit_code == 3
    assert verify(home, "--key", home / "policy.key.pem").exit_code == 3
    assert CliRunner().invoke(app, ["init", str(home / "gateway")]).exit_code == 0
    result = run("verify", "--config", home / "gateway" / "guardrail.toml")
    assert (result.exit_code, "policies.verify_key" in result.stderr) == (2, True)


# with a configuration


@pytest.fixture
def gateway(home: Path) -> Path:
    """A configuration that takes signed policies only, and another set in new/."""
    target = home / "gateway"
    for place in (target, target / "new"):
        assert CliRunner().invoke(app, ["init", str(place)]).exit_code == 0
        for file in (place / "policies" / "tests").iterdir():
            file.unlink()
    (target / "new" / "policies" / "acme.cedar").write_text(STOP)
    toml = target / "guardrail.toml"
    text = toml.read_text()
    assert "[policies]\n" in text
    key = '[policies]\nverify_key = "../policy.pub.pem"\n'
    toml.write_text(text.replace("[policies]\n", key))
    return target


def configured(gateway: Path, *arguments: str | Path) -> Result:
    return run(*arguments, "--config", gateway / "guardrail.toml", "--json")


def start(gateway: Path) -> None:
    """What a process does that serves."""
    settings = load_config(gateway / "guardrail.toml")
    build(settings).close()


def test_who_writes_policies_needs_no_signature_and_who_serves_does(
    gateway: Path, home: Path
) -> None:
    assert configured(gateway, "check").exit_code == 0
    checked = ["config", "check", "--config", str(gateway / "guardrail.toml")]
    whole = CliRunner().invoke(app, checked)
    assert (whole.exit_code, "manifest.json: cannot be read" in whole.stderr) == (3, True)
    assert configured(gateway, "verify").exit_code == 6
    key = ("--key", home / "policy.key.pem", "--no-test")
    assert configured(gateway, "sign", *key).exit_code == 0
    assert said(configured(gateway, "verify"))["serial"] == 1
    assert not (gateway / "policy-state.json").exists()
    start(gateway)
    assert (read_highest(gateway / "policy-state.json") or (0,))[0] == 1


def test_a_rollout_of_signed_policies_there_and_back(gateway: Path, home: Path) -> None:
    new = gateway / "new"
    key = ("--key", home / "policy.key.pem", "--no-test")
    assert configured(gateway, "sign", *key, "--serial", "5").exit_code == 0
    start(gateway)
    begin = ("rollout", "start", new, "--share", "10")
    unsigned = configured(gateway, *begin)
    assert (unsigned.exit_code, "manifest.json" in unsigned.stderr) == (3, True)
    assert sign(home, "--no-test", "--serial", "4", root=new).exit_code == 0
    lower = configured(gateway, *begin)
    assert (lower.exit_code, "lower than 5" in lower.stderr) == (3, True)
    assert sign(home, "--no-test", "--serial", "6", root=new).exit_code == 0
    assert configured(gateway, *begin).exit_code == 0
    start(gateway)
    assert configured(gateway, "rollout", "rollback").exit_code == 0
    start(gateway)  # the candidate was not noted, so there is a way back
    assert configured(gateway, *begin).exit_code == 0
    assert configured(gateway, "rollout", "promote").exit_code == 0
    start(gateway)
    back = configured(gateway, "rollout", "rollback")
    assert (back.exit_code, "serial 5 is lower than 6" in back.stderr) == (3, True)
    start(gateway)  # what is in force is still there
    assert configured(gateway, "sign", *key, "--serial", "7").exit_code == 0
    assert configured(gateway, "rollout", "rollback").exit_code == 0
    start(gateway)
    assert (read_highest(gateway / "policy-state.json") or (0,))[0] == 7


def test_a_candidate_below_what_would_be_in_force_is_refused_before_any_start(
    gateway: Path, home: Path
) -> None:
    key = ("--key", home / "policy.key.pem", "--no-test")
    assert configured(gateway, "sign", *key, "--serial", "5").exit_code == 0
    assert sign(home, "--no-test", "--serial", "5", root=gateway / "new").exit_code == 0
    result = configured(gateway, "rollout", "start", gateway / "new")
    assert result.exit_code == 3
    assert "the candidate: manifest.json: serial 5 is taken by other policies" in result.stderr
    assert not (gateway / "guardrail-rollout.json").exists()


def test_a_candidate_can_be_dropped_whatever_its_state(gateway: Path, home: Path) -> None:
    key = ("--key", home / "policy.key.pem", "--no-test")
    assert configured(gateway, "sign", *key).exit_code == 0
    assert sign(home, "--no-test", "--serial", "6", root=gateway / "new").exit_code == 0
    assert configured(gateway, "rollout", "start", gateway / "new").exit_code == 0
    (gateway / "new" / "manifest.sig").unlink()
    (gateway / "policy-state.json").write_text("{")
    assert configured(gateway, "rollout", "promote").exit_code == 3
    assert configured(gateway, "rollout", "rollback").exit_code == 0
