"""`guardrail serve` and `guardrail audit tail`: a real process, and the events it leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from guardrail.cli import app
from guardrail.config import default_directory, load_config
from guardrail.regions import load_regions


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    assert run("init", tmp_path).exit_code == 0
    return tmp_path / "guardrail.toml"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda stop: stop.name)
def test_serve_serves_until_it_is_told_to_stop(stop: signal.Signals, file: Path) -> None:
    command = [sys.executable, "-m", "guardrail", "serve", "-c", str(file), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().split()[-1]
        refused = httpx.post(
            f"{url}/chat/completions?q=erika@example.com",
            json={"model": "none", "messages": []},
            trust_env=False,
        )
        process.send_signal(stop)
        out, err = process.stdout.read(), process.stderr.read()
    assert refused.status_code == 400
    assert (process.returncode, err) == (0, "")
    assert "endpoint local (DE, local)" in out
    assert f"regions {', '.join(load_regions(default_directory('regions')).ids)}" in out
    assert "erika" not in out
    # The log was closed: SQLite has put everything into the one file.
    assert sorted(path.suffix for path in file.parent.glob("guardrail-audit*")) == [".db", ".lock"]

    shown = run("audit", "tail", "-c", file)
    assert "refused" in shown.stdout
    events = json.loads(run("audit", "tail", "-c", file, "-n", "1", "--json").stdout)
    assert [(event["seq"], event["code"]) for event in events] == [(1, "unknown_model")]


def test_a_taken_port_is_said_in_one_line(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        env = {**os.environ, "GUARDRAIL_GATEWAY__PORT": port}
        done = CliRunner(env=env).invoke(app, ["serve", "-c", str(file)])
    assert done.exit_code == 1
    assert done.stderr == (
        f"error: cannot listen on 127.0.0.1, port {port}: Address already in use; "
        "choose another with --port\n"
    )


def test_every_app_needs_a_key_off_loopback(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDRAIL_GATEWAY__HOST", "127.0.0.1")  # so that it is put back
    refused = run("serve", "-c", file, "--host", "192.0.2.1")
    assert refused.exit_code == 3
    assert "apps.default.key: required" in refused.stderr


def test_tail_of_no_log_makes_none(file: Path) -> None:
    failed = run("audit", "tail", "-c", file)
    assert failed.exit_code == 1
    assert "there is no audit log yet" in failed.stderr
    assert not load_config(file).audit.path.exists()


def test_tail_of_another_file_leaves_it_alone(file: Path) -> None:
    path = load_config(file).audit.path
    path.write_text("a diary", "utf-8")
    failed = run("audit", "tail", "-c", file, "--json")
    assert failed.exit_code == 3
    assert "not an audit log of guardrail" in json.loads(failed.stdout)["problems"][0]
    assert path.read_text("utf-8") == "a diary"
