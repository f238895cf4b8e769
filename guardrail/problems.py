"""Problems: what is wrong in a file that people edit, where, and how to mend it, as data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake; `str()` is the line that people read: `policies/eu.cedar:12:7: [eu.a] message`.

    `line` and `column` count from one, in code points; 0 where the whole file is meant. `file` is
    empty where the configuration is meant, of which the message then names the key. `code` says
    which kind of mistake it is, in kebab-case, and never changes. `message` says how to mend it.

    >>> str(Problem(file="eu.cedar", line=12, column=7, code="c", message="wrong", rule="eu.a"))
    'eu.cedar:12:7: [eu.a] wrong'
    """

    file: str = ""
    line: int = 0
    column: int = 0
    code: str
    message: str
    rule: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        rule = f"[{self.rule}] " if self.rule else ""
        return f"{self.place}: {rule}{self.message}" if self.file else f"{rule}{self.message}"

    @property
    def place(self) -> str:
        """`file:line:column`, as far as it is known."""
        numbers = (number for number in (self.line, self.column) if number)
        return ":".join((self.file, *map(str, numbers)))


_SETTING = re.compile(r"(?P<table>[\w-]+(?:\.[\w-]+)*)\.(?P<key>[\w-]+): ")


def placed(problem: Problem, name: str, text: str) -> Problem:
    """A problem of a configuration with its place in the file, whose text and name are given.

    >>> wrong = Problem(code="c", message="apps.crm.origin: no such place")
    >>> str(placed(wrong, "guardrail.toml", "[apps.crm]\\norigin = 'XX'"))
    'guardrail.toml:2:1: apps.crm.origin: no such place'
    """
    setting = _SETTING.match(problem.message)
    if problem.file or not setting:
        return problem
    line, column = toml_place(text, (setting["table"], setting["key"]))
    return replace(problem, file=name, line=line, column=column) if line else problem


_TABLE = re.compile(r"""\s*\[\[?\s*(?P<key>[\w.-]+|"[^"]*"|'[^']*')\s*\]\]?\s*(?:#.*)?""")
_KEY = re.compile(r"""\s*(?P<key>[\w-]+|"[^"]*"|'[^']*')\s*=""")
_BROKEN = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def toml_place(text: str, path: Sequence[str], value: str = "") -> tuple[int, int]:
    """Line and column of a key in a TOML text, or of a quoted value after it; (0, 0) if not found.

    `path` is the key's table and the key. Where the key is not found, the table stands for it.

    >>> toml_place('[groups]\\nEU = ["DE", "FR"]\\n', ("groups", "EU"), "FR")
    (2, 13)
    """
    lines = text.splitlines()
    found, start = _key_place(lines, list(path))
    if not value or not start:
        return found
    quoted = re.compile(rf"""(["']){re.escape(value)}\1""")
    for number in range(found[0], len(lines) + 1):
        line = lines[number - 1]
        if number > found[0] and (_TABLE.fullmatch(line) or _KEY.match(line)):
            break
        within = quoted.search(line, start if number == found[0] else 0)
        if within:
            return number, within.start() + 1
    return found


def _key_place(lines: Sequence[str], path: list[str]) -> tuple[tuple[int, int], int]:
    """Line and column of a key, else of its table; and the offset after the key, 0 for a table."""
    found, here = (0, 0), list[str]()
    for number, line in enumerate(lines, 1):
        table, key = _TABLE.fullmatch(line), _KEY.match(line)
        if table:
            here = [_bare(table["key"])]
            if here in (path, path[:-1]):
                found = (number, table.start("key") + 1)
        elif key and [*here, _bare(key["key"])] == path:
            return (number, key.start("key") + 1), key.end()
    return found, 0


def _bare(key: str) -> str:
    return key.strip("\"'")


def toml_problem(file: str, text: str, error: tomllib.TOMLDecodeError | UnicodeError) -> Problem:
    """The problem of a text that is not TOML."""
    message = str(error)
    broken = _BROKEN.search(message)
    line, column = (int(number or 0) for number in broken.groups()) if broken else (0, 0)
    if broken and not line:
        line = max(len(text.splitlines()), 1)
    return Problem(
        file=file,
        line=line,
        column=column or int(bool(line)),
        code="bad-toml",
        message=f"not a TOML file: {_BROKEN.sub('', message)}; see https://toml.io",
    )
