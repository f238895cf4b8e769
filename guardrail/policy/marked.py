"""Marked: YAML as texts, lists and tables that know on which line each stands.

Nothing else is constructed: a word stays the text that was written, so `NO` is Norway and not
a denial. What can make a small file large or build objects (aliases, tags) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeAlias

import yaml

from guardrail.errors import ConfigError
from guardrail.files import Entry

MAX_BYTES = 1 << 20
MAX_DEPTH = 16

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")
_LISTED = 32
"""A message lists so many words at most; of more it names those that look alike."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A text, a list or a table of a file, and the line on which it begins, from one."""

    value: Value
    line: int


Value: TypeAlias = "str | tuple[Marked, ...] | Mapping[str, Marked]"
Field: TypeAlias = Callable[[Marked], Any]
"""Gives what a value means; raises `Wrong` where it means nothing."""


class Wrong(Exception):
    """What is wrong on a line, and how to mend it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read_marked(path: Entry, name: str) -> Marked:
    """What a YAML file holds; `name` is what problems call the file.

    Raises:
        ConfigError: the file cannot be read, is larger than 1 MiB, is not YAML, or holds aliases,
            tags or a key twice; each problem reads `policies/tests/jp.yaml:12: message`.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError([f"{name}: cannot be read: {reason}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{name}: not UTF-8; save it as UTF-8"]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{name}: larger than 1 MiB; split it into several files"])
    try:
        problems = [f"{name}:{line}: {message}" for line, message in _refused(text)]
        if problems:
            raise ConfigError(problems)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        what = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise ConfigError([f"{name}:{line}: not YAML: {what}; correct the line"]) from None
    if node is None:
        raise ConfigError([f"{name}:1: holds nothing; write something or remove the file"])
    doubled: list[str] = []
    marked = _marked(node, name, doubled)
    if doubled:
        raise ConfigError(doubled)
    return marked


def _refused(text: str) -> Iterator[tuple[int, str]]:
    """What must not be composed, with its line; stops where it nests too deep."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            yield line, "an alias (`*`); write out what it stands for"
        elif getattr(event, "anchor", None):
            yield line, "an anchor (`&`); nothing may refer to it, so remove it"
        if getattr(event, "tag", None):
            yield line, "a tag (`!`); remove it"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            yield line, f"nests deeper than {MAX_DEPTH}; write it flatter"
            return


def _marked(node: Any, name: str, doubled: list[str]) -> Marked:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return Marked(node.value, line)
    if isinstance(node, yaml.SequenceNode):
        return Marked(tuple(_marked(one, name, doubled) for one in node.value), line)
    table: dict[str, Marked] = {}
    for key, value in node.value:
        place = f"{name}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            doubled.append(f"{place}: a key is a word; write one")
        elif key.value in table:
            doubled.append(f"{place}: `{key.value}` stands here twice; keep one")
        else:
            table[key.value] = Marked(_marked(value, name, doubled).value, key.start_mark.line + 1)
    return Marked(table, line)


# ── what values mean ─────────────────────────────────────────────────────────────────────────────


def fields(
    told: Marked, known: Mapping[str, Field], needed: Collection[str] = ()
) -> tuple[dict[str, Any], list[Wrong]]:
    """The values of a table by their keys, each read as `known` says, and all that is wrong."""
    try:
        entries = table(told)
    except Wrong as wrong:
        return {}, [wrong]
    found: dict[str, Any] = {}
    faults = [Wrong(told.line, f"no `{key}`; add one") for key in needed if key not in entries]
    for key, value in entries.items():
        if key not in known:
            faults.append(Wrong(value.line, f"no key {key!r}; {instead(key, known)}"))
            continue
        try:
            found[key] = known[key](value)
        except Wrong as wrong:
            faults.append(Wrong(wrong.line, f"{key}: {wrong.message}"))
    return found, faults


def table(told: Marked) -> Mapping[str, Marked]:
    """A table."""
    if isinstance(told.value, Mapping):
        return told.value
    raise Wrong(told.line, "not a table; write `{key: value}`, or one `key: value` a line")


def listed(told: Marked) -> tuple[Marked, ...]:
    """A list."""
    if isinstance(told.value, tuple):
        return told.value
    raise Wrong(told.line, "not a list; write `[one, two]`, or one `- item` a line")


def text(told: Marked) -> str:
    """A text that is not empty."""
    if isinstance(told.value, str) and told.value.strip():
        return told.value
    raise Wrong(told.line, "not a text; write a word or a sentence")


def truth(told: Marked) -> bool:
    """`true` or `false`."""
    if told.value in ("true", "false"):
        return told.value == "true"
    raise Wrong(told.line, "write true or false")


def number(told: Marked) -> float:
    """A number that is not below 0."""
    if isinstance(told.value, str) and _NUMBER.fullmatch(told.value):
        return float(told.value)
    raise Wrong(told.line, "not a number; write one such as 0.1")


def day(told: Marked) -> date:
    """A date."""
    try:
        return date.fromisoformat(text(told))
    except ValueError:
        raise Wrong(told.line, "not a date; write one such as 2026-12-31") from None


def whole(most: int) -> Field:
    """A whole number from 0 to `most`."""

    def read(told: Marked) -> int:
        if isinstance(told.value, str) and told.value.isdecimal() and told.value.isascii():
            found = int(told.value[:10])
            if found <= most:
                return found
        raise Wrong(told.line, f"not a whole number from 0 to {most}")

    return read


def one_of(known: Collection[str], what: str) -> Field:
    """One of the words that are known; `what` is what such a word is called."""

    def read(told: Marked) -> str:
        word = text(told)
        if word not in known:
            raise Wrong(told.line, f"no {what} {word!r}; {instead(word, known)}")
        return word

    return read


def meant(known: Mapping[str, Any], what: str) -> Field:
    """What one of the words that are known stands for."""
    word = one_of(known, what)
    return lambda told: known[word(told)]


def set_of(known: Collection[str], what: str) -> Field:
    """A list of words that are known, as a set."""
    word = one_of(known, what)
    return lambda told: frozenset(word(one) for one in listed(told))


def by(known: Collection[str], what: str, value: Field) -> Field:
    """A table from words that are known to values."""

    def read(told: Marked) -> Mapping[str, Any]:
        entries = table(told)
        for key, entry in entries.items():
            if key not in known:
                raise Wrong(entry.line, f"no {what} {key!r}; {instead(key, known)}")
        return {key: value(entry) for key, entry in entries.items()}

    return read


def instead(word: str, known: Collection[str]) -> str:
    """What to write in place of a word that is not known."""
    choice = sorted(known) if len(known) <= _LISTED else get_close_matches(word, known, n=4)
    return f"use one of {', '.join(choice)}" if choice else "no known one looks alike"
