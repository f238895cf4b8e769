from __future__ import annotations

import string

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.transform.frontier import leading_flags, survey
from guardrail.transform.heads import DEPTH, HeadTable


def table(*patterns: str) -> HeadTable:
    heads = []
    for pattern in patterns:
        bare, flags = leading_flags(pattern)
        heads.append((survey(bare, flags, prefix="g").head, flags | regex.V0))
    return HeadTable(heads)


def places(pattern: str, text: str, start: int = 0) -> list[int]:
    return [at for at, _ in table(pattern).candidates(text, start)]


@pytest.mark.parametrize(
    ("expected", "pattern", "text"),
    [
        pytest.param([1], r"abc", "xabcab.", id="a literal"),
        pytest.param([0], r"abc", "ab", id="what is not known yet allows everything"),
        pytest.param([0, 3], r"a(?:b|cd)", "ab.acd", id="alternatives"),
        pytest.param([0, 3], r"a(?:b|cd)e?", "ab.abX", id="what is optional asks nothing"),
        pytest.param([0, 1], r"a?b", "ab", id="an optional beginning"),
        pytest.param([3], r"\d{4}", "12-3456.", id="a run is told by its length"),
        pytest.param([0, 5], r"\ba", "a ba a", id="a boundary before a word"),
        pytest.param([0, 1], r"\B\.", "..a.", id="no boundary before a mark"),
        pytest.param([0, 2], r"(?<![^\W_])a", "a_aa", id="a look-behind"),
        pytest.param([0, 2], r"a(?<![^\W_].)", "a_aa", id="a look-behind after the character"),
        pytest.param([2], r"(?<=x)a", "axa", id="a look-behind that must hold"),
        pytest.param([0, 3], r"(?m)^a", "aa\na", id="the start of a line"),
        pytest.param([0], r"\Aa", "aa\na", id="the start of the text"),
        pytest.param([0, 2], r"(?i:a)b", "Abab", id="a flag of a group"),
        pytest.param([0, 2], r"(?i)k", "Kx\N{KELVIN SIGN}", id="both cases, and the kelvin sign"),
        pytest.param([0, 1, 2], r"(a|b)\1", "aba", id="a reference allows everything"),
    ],
)
def test_a_pattern_may_match_at(expected: list[int], pattern: str, text: str) -> None:
    assert expected == places(pattern, text)


def test_a_search_that_begins_later_still_sees_what_stands_before() -> None:
    assert places(r"\ba", "ba a", 1) == [3]


def test_each_position_names_the_patterns_in_their_order() -> None:
    many = table("ab", r"[a-z]\d", "a")
    assert list(many.candidates("ab a1", 0)) == [(0, (0, 2)), (3, (1, 2))]


def test_a_pattern_is_told_by_no_more_than_its_depth() -> None:
    assert places("a" * DEPTH + "b", "a" * (DEPTH + 1) + ".") == [0, 1]


ATOMS = (
    r"a b A . \d \w \W [ab] [^a] \n ^ $ \A \b \B \m (?<!a) (?<=b) (?<!a.) (?<!\W.) (a)\1".split()
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    suffixes = st.sampled_from(["?", "??", "{2}", "{0,2}", "{1,3}+", "{1,14}", "{0}"])
    openers = st.sampled_from(["(?:", "(?>", "(?=", "(?!", "(?i:", "(?s:", "(?-i:"])
    return (
        st.lists(inner, min_size=2, max_size=4).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})")
        | st.builds(lambda part, suffix: f"(?:{part}){suffix}", inner, suffixes)
        | st.builds(lambda opener, part: f"{opener}{part})", openers, inner)
    )


PATTERNS = st.recursive(st.sampled_from(ATOMS), combined, max_leaves=8)


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(["", "(?i)", "(?s)", "(?m)", "(?a)"]),
    PATTERNS,
    st.lists(st.text("abA1\n é_K", max_size=16), min_size=6, max_size=6),
)
def test_no_match_is_passed_over(flags: str, pattern: str, texts: list[str]) -> None:
    try:
        heads = table(flags + pattern)
        compiled = regex.compile(flags + pattern, regex.V0)
    except (ValueError, regex.error):
        return
    for text in texts:
        matches = {at for at in range(len(text)) if compiled.match(text, at)}
        assert matches <= {at for at, _ in heads.candidates(text, 0)}


def test_characters_beyond_what_is_remembered_are_judged_alike() -> None:
    heads = table(r"[^\W\d]\d")
    for code in range(0x20, 0x20000):
        heads[chr(code)]
    assert len(heads) <= 1 << 16
    letters = [at for at, _ in heads.candidates("".join(f"{c}1." for c in string.ascii_letters), 0)]
    assert letters == list(range(0, 3 * len(string.ascii_letters), 3))
