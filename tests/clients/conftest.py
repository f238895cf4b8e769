"""What the tests of clients share: one model, two doors, and a table of what was tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers import serve, settings

from clients.doors import TOOL, Door
from clients.stand_in import StandIn
from guardrail.asgi.middleware import Guardrail
from guardrail.config import Built, build, load_config

DOORS = ("middleware", "transport")
COLUMNS = (*DOORS, "gateway")
"""The doors of the table; the SDKs for JavaScript are tried at the middleware and the gateway."""
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
    states = {"skipped": "skipped", "passed": "ok", "failed": "FAILED", "error": "ERROR"}
    for outcome, state in states.items():
        for report in terminalreporter.stats.get(outcome, ()):
            file, _, name = getattr(report, "nodeid", "").partition("::")
            case, _, parameters = name.rstrip("]").partition("[")
            parts = parameters.split("-")
            alone = "transport" if case in ALONE else "middleware"
            door = next((part for part in parts if part in COLUMNS), alone)
            if file.startswith("tests/clients/"):
                words = [case.removeprefix("test_").replace("_", " "), *parts]
                shown = " ".join(word for word in words if word not in COLUMNS)
                row = Path(file).stem.removeprefix("test_").removesuffix("_sdk"), shown
                table.setdefault(row, {})[door] = state
    if not table:
        return
    terminalreporter.section("clients")
    terminalreporter.write_line(_row("client", "case", COLUMNS))
    for (client, case), tried in sorted(table.items()):
        terminalreporter.write_line(_row(client, case, [tried.get(door, "-") for door in COLUMNS]))
    told = Counter(state for tried in table.values() for state in tried.values())
    counts = ", ".join(f"{told[state]} {state}" for state in states.values() if told[state])
    clients = len({client for client, _ in table})
    terminalreporter.write_line(f"{clients} clients, {len(table)} cases at the doors: {counts}")


def _row(client: str, case: str, columns: Iterable[str]) -> str:
    return f"{client:16}{case:50}{''.join(f'{column:12}' for column in columns)}".rstrip()
