"""Lists of a deployment's own: texts that are always found, and texts that never are.

A text on a list stands for all its spellings: case, width and white space do not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import regex

from guardrail.detection.normalize import view
from guardrail.detection.patterns import Rule, Scope
from guardrail.errors import ConfigError

_LONGEST = 128
"""Code points of the longest text on a list."""
_MOST = 1000
"""Texts that one entity may be denied: they become patterns, which also hold on streams."""
_WORD = regex.compile(r"[^\W_]+")
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
"""Scripts that write no space between words, so that a name may touch what stands beside it."""


def _plain(text: str) -> str:
    return " ".join(view(text).text.split())


# ── texts that are no findings ───────────────────────────────────────────────────────────────────

_PATTERN = "re:"
_PATIENCE = 0.05
_PROBES = ("Erika Mustermann", "erika@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532")


@dataclass(frozen=True, slots=True)
class AllowList:
    """Texts that are no findings. A finding is on it when the whole of it is, not a part."""

    exact: frozenset[str] = field(default=frozenset(), repr=False)
    patterns: tuple[regex.Pattern[str], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> AllowList:
        """Gives the list of these texts; one that begins with `re:` is a regular expression.

        Raises:
            ValueError: one is empty, too long, no expression, or allows whatever there is. The
                message gives its number, not the text.
        """
        exact, patterns = set(), []
        for number, text in enumerate(texts, start=1):
            plain = _plain(text)
            if not plain or len(text) > _LONGEST:
                raise ValueError(f"entry {number} is empty, or longer than {_LONGEST} characters")
            if not text.startswith(_PATTERN):
                exact.add(plain.casefold())
                continue
            try:
                pattern = regex.compile(text.removeprefix(_PATTERN), regex.IGNORECASE)
            except regex.error:
                raise ValueError(f"entry {number} is not a regular expression") from None
            if all(_matches(pattern, probe) for probe in _PROBES):
                raise ValueError(f"entry {number} allows any text; say which it shall allow")
            patterns.append(pattern)
        return cls(frozenset(exact), tuple(patterns))

    def __or__(self, other: AllowList) -> AllowList:
        return AllowList(self.exact | other.exact, self.patterns + other.patterns)

    def __bool__(self) -> bool:
        return bool(self.exact or self.patterns)

    def __contains__(self, text: str) -> bool:
        if not self or len(text) > _LONGEST:
            return False
        plain = _plain(text)
        return plain.casefold() in self.exact or any(_matches(p, plain) for p in self.patterns)


def _matches(pattern: regex.Pattern[str], text: str) -> bool:
    try:
        return pattern.fullmatch(text, timeout=_PATIENCE) is not None
    except TimeoutError:
        return False


# ── texts that are findings ──────────────────────────────────────────────────────────────────────


def deny_rules(entity: str, texts: Iterable[str], *, name: str, score: float = 1.0) -> list[Rule]:
    """Gives the rules that find these texts as whole words, at one score.

    Raises:
        ValueError: a text is too long, or holds no letter or digit, or there are too many. The
            message gives its number, not the text, which may be somebody's name.
    """
    texts = tuple(texts)
    if len(texts) > _MOST:
        raise ValueError(f"{len(texts)} entries; there may be {_MOST}")
    grouped: dict[tuple[bool, bool], set[str]] = defaultdict(set)
    for number, text in enumerate(texts, start=1):
        plain = _plain(text)
        if len(plain) > _LONGEST or not _WORD.search(plain):
            raise ValueError(
                f"entry {number} is longer than {_LONGEST} characters, or holds no letter or digit"
            )
        edges = (plain[0], plain[-1])
        left, right = (not _UNSPACED.match(edge) for edge in edges)
        grouped[left, right].add(plain.lower())
    rules: list[Rule] = []
    for (left, right), terms in sorted(grouped.items()):
        before, after = "(?<![^\\W_])" * left, "(?![^\\W_])" * right
        delimited = left and right and not any(map(_UNSPACED.search, terms))
        rules.append(
            Rule(
                entity=entity,
                name=f"{name}:{len(rules)}",
                pattern=f"{before}{_alternatives(sorted(terms))}{after}",
                flags=regex.IGNORECASE,
                score=score,
                words=frozenset(_WORD.findall(t)[0] for t in terms) if delimited else frozenset(),
                scope=Scope.ANYWHERE,
            )
        )
    return rules


_SHARED = 3
"""Beginnings that are shared: deeper, a pattern nests more than it saves."""


def _alternatives(terms: list[str], depth: int = 0) -> str:
    """A pattern for any of the sorted terms, the longest first; equal beginnings stand once."""
    if len(terms) == 1 or depth == _SHARED:
        ordered = sorted(terms, key=len, reverse=True)
        return "(?:" + "|".join(map(_spelled, ordered)) + ")"
    branches: dict[str, list[str]] = defaultdict(list)
    for term in terms:
        branches[term[:1]].append(term[1:])
    ends = branches.pop("", None) is not None
    joined = "|".join(
        _spelled(first) + _alternatives(rest, depth + 1) for first, rest in branches.items()
    )
    return f"(?:{joined})" + "?" * ends


def _spelled(text: str) -> str:
    """The text with any white space, a line break included, where it has some."""
    return r"\s{1,4}".join(map(regex.escape, text.split(" ")))


def read_list(path: Path, *, setting: str) -> tuple[str, ...]:
    """Gives the texts of a file, one a line; empty lines and those that begin with `#` are none.

    Raises:
        ConfigError: the file cannot be read as UTF-8.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError([f"{setting}: {path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{setting}: {path} is not UTF-8"]) from None
    return tuple(line for line in map(str.strip, lines) if line and not line.startswith("#"))
