"""`guardrail init`, `config` and `policy`: a round trip, and every way to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli import app
from guardrail.config import DetectionConfig, build, load_config

LAWS = tuple("ae au br ca ch cn eu id in jp kr ru sa sg uk us vn".split())


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that `guardrail init` has filled."""
    assert run("init", tmp_path).exit_code == 0
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


# ── init ─────────────────────────────────────────────────────────────────────────────────────────


def test_init_writes_a_configuration_that_loads_and_builds(home: Path) -> None:
    config = load_config(home / "guardrail.toml")
    built = build(config)
    built.close()
    assert built.deployment.guard.policies.regions.ids == LAWS
    assert config.policies.directory == home / "policies"


def test_init_writes_what_is_usual_for_detection(home: Path) -> None:
    written = load_config(home / "guardrail.toml").detection
    assert written == DetectionConfig()
    assert written.names == ("builtin",)


def test_what_init_leaves_commented_is_valid_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "guardrail.toml"
    settings = [
        line.removeprefix("# ")
        for line in file.read_text("utf-8").splitlines()
        if not line.startswith("# ") or " = " in line or line.startswith("# [")
    ]
    file.write_text("\n".join(settings), "utf-8")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-cloud")
    monkeypatch.setenv("DEFAULT_APP_KEY", "key-of-the-default-app")
    monkeypatch.setenv("GUARDRAIL_VAULTS_KEY", "key-of-the-vaults-0123456789-0123")
    built = build(load_config(file))
    built.close()
    assert set(built.upstreams) == {"local", "cloud"}


def test_init_says_what_to_do_next(tmp_path: Path) -> None:
    said = run("init", tmp_path / "new").stdout
    assert "guardrail config check --config" in said
    assert "guardrail serve" in said


def test_init_overwrites_nothing(home: Path) -> None:
    (home / "policies" / "eu.cedar").write_text("mine", "utf-8")
    again = run("init", home)
    assert again.exit_code == 1
    assert "guardrail.toml, policies, regions exist already; --force" in again.stderr
    assert (home / "policies" / "eu.cedar").read_text("utf-8") == "mine"


def test_init_overwrites_when_forced(home: Path) -> None:
    (home / "guardrail.toml").write_text("mine", "utf-8")
    assert run("init", home, "--force").exit_code == 0
    load_config(home / "guardrail.toml")


def test_init_says_when_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failed = run("init", tmp_path / "file" / "below")
    assert failed.exit_code == 1
    assert "cannot be written" in failed.stderr


# ── config ───────────────────────────────────────────────────────────────────────────────────────


def test_what_init_writes_passes_the_check_and_leaves_no_audit_log(home: Path) -> None:
    checked = run("config", "check", "--config", home / "guardrail.toml")
    assert checked.exit_code == 0, checked.stderr
    assert "1 apps, 1 endpoints" in checked.stdout
    assert not (home / "guardrail-audit.db").exists()


def test_config_show_masks_secrets(home: Path) -> None:
    file = home / "guardrail.toml"
    edit(file, "[endpoints.local]", '[endpoints.local]\napi_key = "a-secret-of-mine"')
    edit(file, "http://127.0.0.1:11434", "http://user:hunter22@127.0.0.1:11434")
    for option in ((), ("--json",)):
        shown = run("config", "show", "--config", file, *option)
        assert shown.exit_code == 0
        assert "**********" in shown.stdout
        assert "a-secret-of-mine" not in shown.stdout
        assert "hunter22" not in shown.stdout


def test_config_show_is_what_takes_effect(home: Path) -> None:
    file = home / "guardrail.toml"
    shown = run("config", "show", "-c", file, "--json", env={"GUARDRAIL_GATEWAY__PORT": "9000"})
    document = json.loads(shown.stdout)
    assert document["gateway"] == {"host": "127.0.0.1", "port": 9000}
    assert document["limits"]["request_bytes"] == 8 * 2**20
    flat = run("config", "show", "-c", file)
    assert 'apps.default.origin = "DE"\n' in flat.stdout


@pytest.mark.parametrize(
    ("expected", "old", "new"),
    [
        pytest.param(
            "gateway.prot: there is no such setting", "port = 8750", "prot = 1", id="typo"
        ),
        pytest.param(
            "endpoints.local.location: ", 'location = "DE"', 'location = "GERMANY"', id="shape"
        ),
        pytest.param("no place 'XX'", 'location = "DE"', 'location = "XX"', id="place"),
        pytest.param("apps.default.purpose: ", '"general" ', '"fun"', id="word"),
        pytest.param("spaCy cannot load", '"builtin"', '"spacy:no_such_pipeline"', id="names"),
        pytest.param("not valid TOML", "[gateway]", "[gateway", id="toml"),
    ],
)
def test_config_check_names_the_setting_that_is_wrong(
    expected: str, old: str, new: str, home: Path
) -> None:
    edit(home / "guardrail.toml", old, new)
    checked = run("config", "check", "--config", home / "guardrail.toml")
    assert checked.exit_code == 3
    assert checked.stderr.startswith("error: ")
    assert expected in checked.stderr
    assert "Traceback" not in checked.stderr


def test_config_check_lists_every_problem(home: Path) -> None:
    edit(home / "guardrail.toml", 'location = "DE"', 'location = "GERMANY"')
    edit(home / "guardrail.toml", "port = 8750", "port = 875000")
    checked = run("config", "check", "--config", home / "guardrail.toml", "--json")
    assert checked.exit_code == 3
    problems = json.loads(checked.stdout)["problems"]
    assert [problem.partition(":")[0] for problem in problems] == [
        "endpoints.local.location",
        "gateway.port",
    ]


def test_config_check_has_a_document(home: Path) -> None:
    checked = run("config", "check", "--config", home / "guardrail.toml", "--json")
    assert json.loads(checked.stdout) == {"ok": True, "apps": ["default"], "endpoints": ["local"]}


@pytest.mark.parametrize(
    "command",
    [("config", "show"), ("config", "check"), ("policy", "check"), ("audit", "tail"), ("serve",)],
    ids=" ".join,
)
def test_a_missing_configuration_names_the_command_that_writes_one(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    failed = run(*command, "--config", tmp_path / "guardrail.toml")
    assert failed.exit_code == 3
    assert "No such file or directory; `guardrail init`" in failed.stderr


# ── policy ───────────────────────────────────────────────────────────────────────────────────────


def test_policy_check_counts_what_each_law_permits_and_forbids(home: Path) -> None:
    checked = run("policy", "check", home, "--json")
    document = json.loads(checked.stdout)
    assert checked.exit_code == 0
    assert document["ok"] is True
    assert len(document["digest"]) == 64
    laws = {law["file"]: law for law in document["laws"]}
    assert list(laws) == [f"policies/{law}.cedar" for law in ("00-base", *LAWS)]
    text = (home / "policies" / "eu.cedar").read_text("utf-8")
    assert laws["policies/eu.cedar"]["permit"] == text.count("\npermit (")
    assert laws["policies/eu.cedar"]["forbid"] == text.count("\nforbid (")


def test_policy_check_by_configuration_shows_the_same_digest(home: Path) -> None:
    by_folder = run("policy", "check", home, "--json")
    by_config = run("policy", "check", "--config", home / "guardrail.toml")
    digest = json.loads(by_folder.stdout)["digest"]
    assert by_config.exit_code == 0
    assert f"ok digest {digest}" in by_config.stdout


def test_policy_check_points_at_file_line_and_column(home: Path) -> None:
    edit(home / "policies" / "eu.cedar", 'Filing::"TIA"', 'Filing::"TAI"')
    checked = run("policy", "check", home, "--json")
    assert checked.exit_code == 3
    lines = (home / "policies" / "eu.cedar").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "TAI" in text)
    document = json.loads(checked.stdout)
    assert document["ok"] is False
    assert document["found"][0]["line"] == line
    assert f"error: policies/eu.cedar:{line}:" in run("policy", "check", home).stderr


def test_policy_check_of_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    checked = run("policy", "check", tmp_path)
    assert checked.exit_code == 3
    assert "no region files" in checked.stderr


# ── help ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arguments", [("version",), ("--version",)], ids=" ".join)
def test_version(arguments: tuple[str, ...]) -> None:
    said = run(*arguments)
    assert said.exit_code == 0
    assert said.stdout == f"guardrail {metadata.version('guardrail-asgi')}\n"


def test_a_process_of_its_own_does_its_sums_on_one_thread() -> None:
    code = "import os, guardrail.__main__, numpy; print(os.environ['OPENBLAS_NUM_THREADS'])"
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert said.stdout == "1\n"


@pytest.mark.parametrize(
    "command",
    [
        ("init",),
        ("config", "show"),
        ("config", "check"),
        ("policy", "check"),
        ("serve",),
        ("audit", "tail"),
        ("demo",),
    ],
    ids=" ".join,
)
def test_every_help_has_an_example_and_the_exit_codes(command: tuple[str, ...]) -> None:
    helped = run(*command, "--help", env={"COLUMNS": "100"})
    assert helped.exit_code == 0
    assert f"Example: guardrail {' '.join(command)}" in helped.stdout
    assert "Exit codes: 0 ok" in helped.stdout


def test_a_misspelt_command_is_wrong_usage() -> None:
    assert run("sevre").exit_code == 2


def test_no_color_means_no_colour(home: Path) -> None:
    coloured = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    green = ";32m"
    assert green in run("policy", "check", home, env=coloured).stdout
    assert green not in run("policy", "check", home, env={**coloured, "NO_COLOR": "1"}).stdout
