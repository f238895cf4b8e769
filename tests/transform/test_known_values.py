"""What is known is found wherever it stands, however much is known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.spans import resolve
from guardrail.taxonomy import LITERAL
from guardrail.transform import known as module
from guardrail.transform.known import Index, KnownValues, is_structured


@pytest.mark.parametrize(
    ("expected", "value"),
    [(True, "a@b.co"), (True, "12345a"), (False, "12345"), (False, "Ada Lovelace"), (False, "")],
)
def test_is_structured(expected: bool, value: str) -> None:
    assert expected is is_structured(value)


def known(text: str, **values: str) -> list[tuple[str, str]]:
    found = KnownValues({value: entity for entity, value in values.items()}).find(text)
    return [(f.entity, text[f.span.start : f.span.end]) for f in found]


KNOWN = {
    "word": ([("X", "Anna")], "see Anna, Annas and Annabell", "Anna"),
    "word at the edges": ([("X", "Anna")], "Anna", "Anna"),
    "word between underscores": ([("X", "Anna")], "_Anna_", "Anna"),
    "structured anywhere": ([("X", "a@b.co")], "xa@b.coy", "a@b.co"),
    "number anywhere": ([("X", "123456")], "id=x123456y", "123456"),
    "other case": ([], "ANNA", "Anna"),
    "too short": ([], "Ann", "Ann"),
    "regex characters": ([("X", "(+1) 5*5.")], "is (+1) 5*5. it", "(+1) 5*5."),
    "nothing": ([], "", "Anna"),
}


@pytest.mark.parametrize(("expected", "text", "value"), KNOWN.values(), ids=KNOWN.keys())
def test_known_values(expected: list[tuple[str, str]], text: str, value: str) -> None:
    assert expected == known(text, X=value)


@pytest.mark.parametrize("text", [r"to\nAnna", r"to\r\nAnna\nok", r"to\\tAnna\\n"])
def test_a_known_word_behind_an_escape_of_white_space_is_a_whole_one(text: str) -> None:
    assert known(text, X="Anna") == [("X", "Anna")]


def test_the_longer_of_two_known_values_wins() -> None:
    text = "Anna Smith and Anna"
    found = resolve(KnownValues({"Anna": "A", "Anna Smith": "B"}).find(text))
    assert [(f.entity, text[f.span.start : f.span.end]) for f in found] == [
        ("B", "Anna Smith"),
        ("A", "Anna"),
    ]


def test_literals_are_no_known_values() -> None:
    assert KnownValues({"[EMAIL_1]": LITERAL}).find("[EMAIL_1]") == []
    assert KnownValues({}).find("anything") == []


def test_of_values_that_begin_together_the_longest_of_each_entity_is_given() -> None:
    text = "see Anna Smith Jones"
    values = {"Anna": "A", "Anna Smith": "A", "Anna Smith Jones": "B", "Smith": "A"}
    found = KnownValues(values).find(text)
    assert sorted((f.entity, text[f.span.start : f.span.end]) for f in found) == [
        ("A", "Anna Smith"),
        ("A", "Smith"),
        ("B", "Anna Smith Jones"),
    ]
    found = KnownValues(values).find(text, among={"Anna"})
    assert [text[f.span.start : f.span.end] for f in found] == ["Anna"]


def all_of(index: Index, text: str) -> list[tuple[int, str]]:
    return [(at, string) for at, strings in index.places(text) for string in strings]


STRINGS = st.lists(st.text("ab@", min_size=1, max_size=9), max_size=12)


@given(STRINGS, st.text("ab@", max_size=60), st.sampled_from([0, 32]))
def test_every_string_is_found_at_every_place(strings: list[str], text: str, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", few)
        found = all_of(Index(strings), text)
    expected = {
        (at, string)
        for string in strings
        if len(string) >= 4
        for at in range(len(text))
        if text.startswith(string, at)
    }
    assert len(found) == len(expected)
    assert set(found) == expected
    lengths: dict[int, int] = {}
    for at, string in found:
        assert len(string) < lengths.get(at, 99)
        lengths[at] = len(string)


@given(
    st.dictionaries(st.text("ab1@ ", min_size=1, max_size=9), st.sampled_from("AB"), max_size=9),
    st.text("ab1@ ", max_size=60),
    st.integers(0, 9),
)
def test_values_are_found_as_if_each_were_looked_for(
    values: dict[str, str], text: str, few: int
) -> None:
    def stand(known: Iterable[str]) -> dict[tuple[int, str], str]:
        """By place and entity the longest value."""
        longest: dict[tuple[int, str], str] = {}
        for value in sorted(known, key=len):
            word = "" if is_structured(value) else r"(?:(?<![^\W_])|(?![^\W_]))"
            for m in re.finditer(f"(?={word}{re.escape(value)}{word})", text):
                if len(value) >= 4:
                    longest[m.start(), values[value]] = value
        return longest

    known = KnownValues(values)
    for among in (None, set(sorted(values)[:few])):
        found = known.find(text, among=among)
        assert len(found) == len(set(found))
        assert {(f.span.start, f.entity): text[f.span.start : f.span.end] for f in found} == stand(
            values if among is None else among
        )
    assert known.present(text) == {value for value in values if stand([value])}


def test_values_within_one_another_are_not_all_looked_at_everywhere() -> None:
    started = perf_counter()
    known = KnownValues({"Jane " * n + "Jane": "PERSON" for n in range(2000)})
    text = "Jane " * 20_000
    assert len(known.find(text)) == 20_000
    assert len(known.present(text)) == 2000
    assert perf_counter() - started < 30  # by looking at each everywhere: minutes


def test_what_overlaps_itself_is_covered_wherever_it_stands() -> None:
    text = f"x {'Jane ' * 7}x"
    found = resolve(KnownValues({"Jane Jane Jane": "PERSON"}).find(text))
    assert (found[0].span.start, found[-1].span.end) == (2, len(text) - 2)
    assert sum(f.span.end - f.span.start for f in found) == len(text) - 4


class Counted(str):
    """A text that counts how often it is compared."""

    compared = 0

    def startswith(self, *args: Any) -> bool:
        self.compared += 1
        return str.startswith(self, *args)


def test_no_more_is_compared_for_more_values() -> None:
    def compared(many: int) -> int:
        text = Counted(" ".join(f"https://example.com/{n:05}" for n in range(1000)))
        index = Index(f"https://example.com/{n:05}" for n in range(many))
        assert len(all_of(index, text)) == 1000
        return text.compared

    assert compared(1000) == compared(4000) == 1000
