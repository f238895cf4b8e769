"""The words that code and policies share: actions, closed vocabularies, quantised numbers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from guardrail.problems import Problem, toml_place, toml_problem
from guardrail.types import Treatment

SEND: Mapping[str, Treatment] = MappingProxyType(
    {
        "sendClear": Treatment.CLEAR,
        "sendPseudonymised": Treatment.PSEUDONYMISED,
        "sendRedacted": Treatment.REDACTED,
    }
)
"""The rungs of the ladder that leave, mildest first, and what each does to a category."""

SHOW: Mapping[str, Treatment] = MappingProxyType(
    {"showClear": Treatment.CLEAR, "showMasked": Treatment.REDACTED}
)
"""What an answer may do with a category, mildest first."""

PROCESS_LOCALLY = "processLocally"
REIDENTIFY = "reidentify"
PROCESS_UNAUDITED = "processUnaudited"
RETAIN, PURGE = "retain", "purge"
"""Actions on what is kept; they are asked of a store, not of an endpoint."""

STAYING: frozenset[str] = frozenset(
    {*SHOW, "output", PROCESS_LOCALLY, REIDENTIFY, PROCESS_UNAUDITED, RETAIN, PURGE}
)
"""Actions and groups by which nothing leaves. A permit of any other must name the category."""

ASKED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(SEND, ("send", "process")),
        PROCESS_LOCALLY: ("process",),
        **dict.fromkeys(SHOW, ("output",)),
        REIDENTIFY: (),
        PROCESS_UNAUDITED: (),
        RETAIN: (),
        PURGE: (),
    }
)
"""Every action that is asked about, and the groups of the schema that it belongs to."""

DAYS: tuple[int, ...] = (0, 1, 7, 30, 90, 183, 365, 731, 1096, 1827, 2192, 3653)
"""What `context.days` may be. Years count their leap days: 731 is two years, 2192 six."""

VOCABULARIES: tuple[str, ...] = ("Purpose", "Basis", "Consent", "Filing", "Agreement", "Sector")
"""Entity types whose members `vocabulary.toml` lists, each in a table named in lower case."""

COUNTS: tuple[int, ...] = (1, 10, 100, 1000)
"""What `context.count` may be: at least so many findings."""

CONFIDENCES: tuple[int, ...] = tuple(range(0, 101, 10))
"""What `context.confidence` may be."""

RESIDUALS: tuple[int, ...] = (0, 5, 10, 25, 50, 100, 200, 500, 1000, 10_000, 100_000)
"""What `context.residual` may be, in hundredths of a name: at most so many are left."""

AGES: tuple[int, ...] = (0, 7, 12, 13, 14, 15, 16, 17, 18, 21)
"""What `context.age` may be: at least so many years. Laws ask for no other bound."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


def read_words(name: str, text: str) -> tuple[dict[str, dict[str, str]], list[Problem]]:
    """Each vocabulary as `{word: what it means}`, and what is wrong with the file called `name`.

    >>> read_words("vocabulary.toml", "[purpose]\\ngeneral = 'any'")[0]["purpose"]
    {'general': 'any'}
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return {}, [toml_problem(name, text, error)]
    return tables, list(_faults(name, text, tables))


def _faults(name: str, text: str, tables: Mapping[str, object]) -> Iterator[Problem]:
    def say(message: str, *path: str) -> Problem:
        line, column = toml_place(text, path) if path else (0, 0)
        return Problem(file=name, line=line, column=column, code="bad-vocabulary", message=message)

    kinds = [kind.lower() for kind in VOCABULARIES]
    for kind in sorted(tables.keys() - set(kinds)):
        yield say(f"[{kind}]: no vocabulary; use one of {', '.join(kinds)}", kind)
    for kind in kinds:
        words = tables.get(kind)
        if not isinstance(words, dict) or not words:
            yield say(f'no [{kind}]; add the table with a line `word = "meaning"`')
            continue
        for word, meaning in words.items():
            if not _WORD.fullmatch(word):
                said = "a word is made of ASCII letters, digits and `-`; use no others"
                yield say(f"{kind}: {word!r}: {said}", kind, word)
            if not isinstance(meaning, str) or not meaning.strip():
                yield say(
                    f"{kind}.{word}: no meaning; say in a sentence what the word means", kind, word
                )


def enumerations(words: Mapping[str, Mapping[str, str]]) -> str:
    """The vocabularies as Cedar's schema declares them, one entity type each.

    >>> print(enumerations({"basis": {"none": "no ground", "consent": "agreed"}}))
    // none: no ground
    // consent: agreed
    entity Basis enum ["none", "consent"];
    """
    return "\n\n".join(
        "\n".join(
            [
                *(f"// {word}: {' '.join(meaning.split())}" for word, meaning in members.items()),
                f"entity {kind.capitalize()} enum [{', '.join(map(_quoted, members))}];",
            ]
        )
        for kind, members in words.items()
    )


def _quoted(word: str) -> str:
    return f'"{word}"'


def quantised_count(count: int) -> int:
    """The largest of `COUNTS` that a count reaches.

    Raises:
        ValueError: the count is below one.

    >>> quantised_count(57)
    10
    """
    return max(step for step in COUNTS if step <= count)


def quantised_confidence(score: float) -> int:
    """A score in [0, 1] as whole tens of per cent, rounded down.

    Raises:
        ValueError: the score is outside [0, 1], or not a number.

    >>> quantised_confidence(0.85)
    80
    """
    if not 0.0 <= score <= 1.0:
        raise ValueError("a score is in [0, 1]")
    return round(score * 1000) // 100 * 10


def quantised_age(years: int) -> int:
    """The largest of `AGES` that an age reaches: a bound, which tells less of a person.

    Raises:
        ValueError: the age is below 0.

    >>> quantised_age(44)
    21
    """
    return max(step for step in AGES if step <= years)


def quantised_residual(missed: float) -> int:
    """The least of `RESIDUALS` that an expected number of names does not exceed; or the last.

    Raises:
        ValueError: the number is below 0, or not a number.

    >>> quantised_residual(0.12), quantised_residual(0.0), quantised_residual(1e9)
    (25, 0, 100000)
    """
    if not missed >= 0.0:
        raise ValueError("an expected number of names is not below 0")
    return next((step for step in RESIDUALS if missed * 100 <= step), RESIDUALS[-1])
