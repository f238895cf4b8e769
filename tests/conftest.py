"""What every test gets: no way off the machine, and asyncio as the one event loop."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "offline"))

import loopback_only
from property_sizes import SIZES, Tally

# Here and not in a fixture: test modules are imported, and may connect, before any fixture runs.
loopback_only.install()
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(loopback_only.__file__).parent), os.environ.get("PYTHONPATH")])
)


def pytest_configure(config: pytest.Config) -> None:
    """Counts the cases of properties where many are asked for."""
    if size := SIZES.get(config.getoption("--hypothesis-profile", default=None) or ""):
        config.pluginmanager.register(Tally(size))


@pytest.fixture(autouse=True)
def stays_on_this_machine() -> Iterator[None]:
    """Fails the test that tried to leave the machine, even where the code under test hid it."""
    yield
    attempts = tuple(loopback_only.refused)
    loopback_only.refused.clear()
    assert attempts == ()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all tests of a module share."""
    return tmp_path_factory.mktemp("guardrail")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
