"""Every example runs, and does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import Model, serve

from guardrail.asgi.gateway import Gateway
from guardrail.config import build, load_config

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAMS = sorted(EXAMPLES.rglob("*.py"))


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Model, str]]:
    model = Model()
    with serve(model) as url:
        yield model, url


@pytest.fixture
def upstream(running: tuple[Model, str]) -> tuple[Model, str]:
    running[0].seen.clear()
    return running


def run(program: str, folder: Path, **environment: str) -> str:
    """What a program prints; it runs in a folder of its own and must not fail or warn."""
    child = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / program)],
        cwd=folder,
        env={**os.environ, "OPENAI_API_KEY": "k", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout


@pytest.mark.parametrize("program", [pytest.param(p, id=p.stem) for p in PROGRAMS])
def test_an_example_is_short(program: Path) -> None:
    assert len(program.read_text("utf-8").splitlines()) <= 60


def test_every_example_is_in_the_readme() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    names = {entry.name for entry in EXAMPLES.iterdir() if not entry.name.startswith("_")}
    assert {name for name in names - {"README.md"} if name not in readme} == set()


def test_a_wrapped_app_gets_pseudonyms_and_its_user_originals(
    upstream: tuple[Model, str], tmp_path: Path
) -> None:
    model, url = upstream
    printed = run("wrap_fastapi.py", tmp_path, OPENAI_BASE_URL=f"{url}/v1")
    said = "Write to {} that all is well."
    assert printed == f"pseudonymised {said.format('erika.mustermann@example.com')}\n"
    assert model.last.json["messages"][0]["content"] == said.format("[EMAIL_1]")


def test_a_client_of_the_gateway_changes_its_base_url_and_nothing_else(
    upstream: tuple[Model, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, url = upstream
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-cloud")
    monkeypatch.setenv("GUARDRAIL_ENDPOINTS__CLOUD__URL", f"{url}/v1")
    monkeypatch.setenv("GUARDRAIL_ENDPOINTS__LOCAL__URL", f"{url}/v1")
    monkeypatch.setenv("GUARDRAIL_AUDIT__PATH", str(tmp_path / "audit.db"))
    with (
        closing(build(load_config(EXAMPLES / "gateway.toml"))) as built,
        serve(Gateway(built)) as gateway,
    ):
        printed = run("call_gateway.py", tmp_path, GUARDRAIL_URL=gateway)
    prompt = "My name is Erika Mustermann, my IBAN is DE89370400440532013000."
    assert printed.splitlines() == [
        f"gpt-4o | cloud | pseudonymised | {prompt}",
        f"auto | local | local | {prompt}",
        prompt,
    ]
    hidden = "My name is [PERSON_1], my IBAN is [IBAN_1]."
    assert [seen.json["messages"][0]["content"] for seen in model.seen] == [hidden, prompt, hidden]
    assert [seen.json["model"] for seen in model.seen] == ["gpt-4o", "llama3.2", "gpt-4o"]
    keys = [seen.headers.get("authorization") for seen in model.seen]
    assert keys == ["Bearer key-of-the-cloud", None, "Bearer key-of-the-cloud"]


def test_the_sdk_sends_no_key_and_no_picture(upstream: tuple[Model, str], tmp_path: Path) -> None:
    model, url = upstream
    printed = run("sdk_transport.py", tmp_path, OPENAI_BASE_URL=f"{url}/v1")
    assert printed == "Why does [API_KEY REDACTED] not work?\npolicy_violation\n"
    assert len(model.seen) == 1
    assert b"Zq8LkT2v" not in model.last.everything


def test_a_policy_of_ones_own_is_stricter_where_it_says_so(tmp_path: Path) -> None:
    before, after = run("custom_policy/show_decision.py", tmp_path).split(
        "with works_council.cedar\n"
    )
    assert before == "shipped policies\n  name: clear (eu.home)\n  contact: clear (eu.home)\n"
    assert "contact: clear (eu.home)" in after
    assert "name: redacted" in after
    assert "own.hr-names" in after


def test_an_entity_of_ones_own_is_pseudonymised_like_any_other(
    upstream: tuple[Model, str], tmp_path: Path
) -> None:
    model, url = upstream
    printed = run("own_entity.py", tmp_path, OPENAI_BASE_URL=f"{url}/v1")
    assert printed == "When did S-204711 start, and badge no. 330215?\n"
    sent = "When did [STAFF_NUMBER_1] start, and badge no. [STAFF_NUMBER_2]?"
    assert model.last.json["messages"][0]["content"] == sent
