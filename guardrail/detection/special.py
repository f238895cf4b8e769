"""Special categories: lists of terms for what the law protects most, and how they are read.

Each `terms/<category>.toml` lists the terms of one entity by language; `people.toml` says how a
language speaks of a person. A deployment adds files of its own. How to add a term stands at the
head of each file.

Source: GDPR art. 9(1) and 10, https://eur-lex.europa.eu/eli/reg/2016/679/oj; California Civil Code
1798.140(ae); PIPL (China) art. 28.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from guardrail.detection.lexicon import (
    Lexicon,
    People,
    Setting,
    Term,
    by_last_word,
    is_unspaced,
    words_of,
)
from guardrail.detection.patterns import Rule, Scope
from guardrail.errors import ConfigError

TERMS = Path(__file__).parent / "terms"
"""The lists that come with guardrail."""
_PEOPLE = Path(__file__).parent / "people.toml"

_STREAMED: Mapping[str, str] = {
    "HEALTH_CONDITION": "health-condition",
    "MEDICATION": "medication",
}
"""Entities whose terms that count by themselves are also looked for in streamed answers, and the
names of the rules that do so."""

_TOP = frozenset({"entity", "reach"})
_LISTS = frozenset({"alone", "personal", "cues", "labels", "after"})
_LANGUAGE = re.compile(r"[a-z]{2}")
_ENTITY = re.compile(r"[A-Z][A-Z0-9]{0,31}(?:_[A-Z0-9]{1,31}){0,5}")
_LONGEST = 64
_STEM = re.compile(r"[^\W_]{4,}\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What the files list: terms that are words, and per entity those that are characters."""

    terms: tuple[Term, ...]
    unspaced: Mapping[str, tuple[str, ...]]


def special_lexicon(
    extra_directories: Iterable[Path] = (), *, exclude: frozenset[str] = frozenset()
) -> Lexicon:
    """Gives the recognizer of all listed terms, a deployment's own directories included.

    `exclude` lists entities that it shall not find.

    Raises:
        ConfigError: as `special_rules` does.
    """
    loaded = _load((TERMS, *extra_directories))
    return Lexicon(
        terms=loaded.terms, unspaced=loaded.unspaced, exclude=exclude, name="special-category"
    )


def special_rules(extra_directories: Iterable[Path] = ()) -> list[Rule]:
    """Gives the rules for streamed answers: conditions and medications that count by themselves.

    Raises:
        ConfigError: a file cannot be read, has an unknown key, an empty list or a term that cannot
            be looked up; the problems name file, language and key.
    """
    loaded = _load((TERMS, *extra_directories))
    return [
        _rule(entity, name, terms)
        for entity, name in _STREAMED.items()
        if (
            terms := sorted({t.words for t in loaded.terms if t.entity == entity and not t.setting})
        )
    ]


@lru_cache(maxsize=16)
def _load(directories: tuple[Path, ...]) -> _Terms:
    problems: list[str] = []
    people = {
        language: People(**{key: frozenset(words) for key, words in section.items()})
        for language, section in _checked(
            _PEOPLE, _read(_PEOPLE, problems), frozenset(f.name for f in fields(People)), problems
        )
    }
    terms: list[Term] = []
    unspaced: dict[str, tuple[str, ...]] = {}
    for directory in directories:
        files = sorted(directory.glob("*.toml"))
        if not files:
            problems.append(f"{directory}: holds no file of terms (*.toml)")
        for path in files:
            table = _read(path, problems)
            entity = table.pop("entity", None)
            reach = table.pop("reach", 3)
            if not isinstance(entity, str) or not _ENTITY.fullmatch(entity):
                problems.append(f'{path.name}: entity: must name one, as in entity = "RELIGION"')
                continue
            if type(reach) is not int or not 0 <= reach <= 16:
                problems.append(f"{path.name}: reach: must be a number of words from 0 to 16")
                continue
            for language, section in _checked(path, table, _LISTS, problems):
                setting = Setting(
                    cues=by_last_word(map(words_of, section.get("cues", ()))),
                    labels=by_last_word(map(words_of, section.get("labels", ()))),
                    after=frozenset(map(str.lower, section.get("after", ()))),
                    people=people.get(language, People()),
                    reach=reach,
                )
                for key, needs in (("alone", None), ("personal", setting)):
                    for term in section.get(key, ()):
                        if is_unspaced(term):
                            unspaced[entity] = (*unspaced.get(entity, ()), term)
                        else:
                            terms.append(Term(entity=entity, words=words_of(term), setting=needs))
    if problems:
        raise ConfigError(problems)
    return _Terms(terms=tuple(terms), unspaced=unspaced)


def _read(path: Path, problems: list[str]) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: cannot be read ({type(error).__name__})")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path.name}: is not TOML: {error}")
    return {}


def _checked(
    path: Path, table: Mapping[str, object], keys: frozenset[str], problems: list[str]
) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """The sections of a file that are right; what is wrong with the others is added."""
    for language, section in table.items():
        where = f"{path.name}: {language}"
        if not _LANGUAGE.fullmatch(language) or not isinstance(section, dict):
            problems.append(
                f"{where}: unknown key; known are {', '.join(sorted(_TOP))} and a section for each "
                f"language, named by its two letters (ISO 639-1)"
            )
            continue
        faults = [fault for key, row in section.items() for fault in _faults(key, row, keys)]
        problems += [f"{where}.{fault}" for fault in faults]
        if not faults:
            yield language, section


def _faults(key: str, row: object, keys: frozenset[str]) -> Iterator[str]:
    if key not in keys:
        yield f"{key}: unknown key; known are {', '.join(sorted(keys))}"
    elif not isinstance(row, list) or not row:
        yield f"{key}: must be a list of at least one term; leave the key out to list none"
    else:
        for number, term in enumerate(row, 1):
            if not isinstance(term, str) or not words_of(term) or len(term) > _LONGEST:
                yield f"{key}: entry {number}: must be a text of words, at most {_LONGEST} long"
            elif "*" in term and not all(
                _STEM.fullmatch(word) for word in term.split() if "*" in word
            ):
                yield f"{key}: entry {number}: a stem is at least 4 letters and then one *"


def _rule(entity: str, name: str, terms: list[tuple[str, ...]]) -> Rule:
    groups: dict[str, list[str]] = {}
    for words in terms:
        term = r"[\s'’-]{1,3}".join(
            word[:-1] + r"[^\W_]{0,16}" if word[-1] == "*" else word for word in words
        )
        groups.setdefault(term[0], []).append(term[1:])
    branches = (
        f"[{letter}{letter.upper()}](?i:{'|'.join(sorted(rest, key=len, reverse=True))})"
        for letter, rest in sorted(groups.items())
    )
    whole = [word for words in terms if (word := max(words, key=len))[-1] != "*"]
    return Rule(
        entity=entity,
        name=name,
        pattern=rf"(?<![^\W_])(?:{'|'.join(branches)})(?![^\W_])",
        score=0.6,
        scope=Scope.ANYWHERE,
        words=frozenset(whole if len(whole) == len(terms) else ()),
    )
