"""How many cases a property is tried with, and what came of it at size.

Every run of the tests tries some hundred cases of each property. `scripts/properties` tries those
of its subjects with many more, counts the cases that were really run, and prints them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import wraps
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SIZES = MappingProxyType({"thorough": 4_000, "nightly": 40_000})
"""Cases of each property, by the name of a profile of Hypothesis (`--hypothesis-profile`).

A subject has five properties or more, so it is tried with at least 20,000, and 200,000.
"""

for _name, _cases in SIZES.items():
    settings.register_profile(
        _name,
        max_examples=_cases,
        deadline=None,
        derandomize=False,  # another run tries other cases
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def property_of(subject: str, *, cases: int = 100) -> Callable[[Any], Any]:
    """Marks a property of a subject that is tried at size; `cases` are those of a usual run."""

    def mark(test: Any) -> Any:
        size = max(cases, settings.default.max_examples if settings.default else 0)
        sized = settings(max_examples=size, deadline=None)(test)
        return pytest.mark.property_of(subject)(sized)

    return mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one property: cases that ran to their end, and how long that took."""

    subject: str
    name: str
    cases: int
    seconds: float
    result: str


class Tally:
    """Counts the cases of each marked property, and prints them when all are through.

    A property that ran fewer cases than `size` fails the run: it has proved less than it says.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._tried: list[Tried] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Counts the calls of the property's own function that return."""
        marker = item.get_closest_marker("property_of")
        if marker is None:
            return (yield)
        handle: Any = item.obj.hypothesis  # type: ignore[attr-defined]  # the test is a function
        inner, cases, began = handle.inner_test, 0, time.monotonic()

        @wraps(inner)
        def counted(*values: Any, **named: Any) -> None:
            nonlocal cases
            inner(*values, **named)
            cases += 1

        handle.inner_test, result = counted, "FAILED"
        try:
            yield
            result = "ok" if cases >= self._size else "TOO FEW"
        finally:
            handle.inner_test = inner
            self._tried.append(
                Tried(
                    subject=marker.args[0],
                    name=item.name.removeprefix("test_").replace("_", " "),
                    cases=cases,
                    seconds=time.monotonic() - began,
                    result=result,
                )
            )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fails a run that proved less than it says."""
        if session.exitstatus == 0 and any(each.result != "ok" for each in self._tried):
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints a row for each property, and what each subject comes to."""
        terminalreporter.section(f"properties, at least {self._size:,} cases each")
        line = "{:22}{:72}{:>9}{:>8}  {}"
        terminalreporter.write_line(line.format("subject", "property", "cases", "seconds", ""))
        for subject in sorted({each.subject for each in self._tried}):
            rows = [each for each in self._tried if each.subject == subject]
            for row in rows:
                told = (row.subject, row.name[:70], f"{row.cases:,}", f"{row.seconds:.0f}")
                terminalreporter.write_line(line.format(*told, row.result))
            cases, seconds = sum(row.cases for row in rows), sum(row.seconds for row in rows)
            told = (subject, f"all {len(rows)}", f"{cases:,}", f"{seconds:.0f}")
            terminalreporter.write_line(line.format(*told, ""))
