"""What the tests of clients share: one model, two doors, and a table of what was tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers import serve, settings

from clients.doors import TOOL, Door
from clients.stand_in import StandIn
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built, build, load_config

DOORS = ("middleware", "transport")
ALONE = ("test_broken_off", "test_own_header")
"""Cases that are tried at the transport only, of those that are tried at one door."""


@pytest.fixture(scope="session")
def stand_in() -> Iterator[tuple[StandIn, str]]:
    model = StandIn()
    with serve(model.app) as url:
        yield model, url


@pytest.fixture(scope="session")
def built(
    stand_in: tuple[StandIn, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    _, url = stand_in
    tools = [TOOL, f"Partial{TOOL}"]  # as Instructor calls it where it reads parts
    config = settings(tmp_path_factory.mktemp("clients"), url, output={"restore_tools": tools})
    config["endpoints"]["cloud"] |= {"url": url, "models": ["*"]}
    built = build(load_config(config))
    yield built
    built.close()


@pytest.fixture(scope="session")
def guarded(stand_in: tuple[StandIn, str], built: Built) -> Iterator[str]:
    with serve(Guardrail(stand_in[0].app, built)) as url:
        yield url


@pytest.fixture(params=DOORS)
def door(
    request: pytest.FixtureRequest, stand_in: tuple[StandIn, str], built: Built, guarded: str
) -> Iterator[Door]:
    model, url = stand_in
    model.reset()
    with ExitStack() as closing:
        if request.param == "middleware":
            yield Door(url=guarded, upstream=model, closing=closing)
        else:
            yield Door(url=url, upstream=model, closing=closing, built=built)


@pytest.fixture
def breaking(stand_in: tuple[StandIn, str], built: Built) -> Iterator[Door]:
    """The transport, before a model that breaks off its streams."""
    model, url = stand_in
    model.reset()
    model.breaks = True
    with ExitStack() as closing:
        yield Door(url=url, upstream=model, closing=closing, built=built)
    model.reset()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what was tried: a row for each client and case, a column for each door."""
    table: dict[tuple[str, str], dict[str, str]] = {}
    for outcome, state in (("passed", "ok"), ("failed", "FAILED"), ("error", "ERROR")):
        for report in terminalreporter.stats.get(outcome, ()):
            file, _, name = getattr(report, "nodeid", "").partition("::")
            case, _, parameters = name.rstrip("]").partition("[")
            parts = parameters.split("-")
            alone = "transport" if case in ALONE else "middleware"
            door = next((part for part in parts if part in DOORS), alone)
            if file.startswith("tests/clients/"):
                words = [case.removeprefix("test_").replace("_", " "), *parts]
                shown = " ".join(word for word in words if word not in DOORS)
                row = Path(file).stem.removeprefix("test_").removesuffix("_sdk"), shown
                table.setdefault(row, {})[door] = state
    if not table:
        return
    terminalreporter.section("clients")
    for (client, case), tried in sorted(table.items()):
        columns = "".join(f"{tried.get(name, '-'):12}" for name in DOORS)
        terminalreporter.write_line(f"{client:16}{case:50}{columns}".rstrip())
