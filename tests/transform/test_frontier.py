from __future__ import annotations

import pytest
import regex

from guardrail.transform.frontier import leading_flags, survey


def waiting_from(pattern: str, text: str, flags: int = 0) -> int:
    bare, inline = leading_flags(pattern)
    piece = survey(bare, flags | inline, prefix="g")
    found = regex.search(piece.waits, text, (flags | inline) & ~regex.X | regex.V0)
    return found.start() if found else len(text)


@pytest.mark.parametrize(
    ("start", "pattern", "text"),
    [
        pytest.param(1, r"abc", "xab", id="a prefix of a literal waits"),
        pytest.param(4, r"abc", "xabc", id="a complete match with no other path does not"),
        pytest.param(4, r"abc", "xabx", id="a prefix that has died does not"),
        pytest.param(0, r"a{1,4}", "aa", id="a run that may go on waits"),
        pytest.param(4, r"a{4}b?c?(?<!x)", "bbbb", id="nothing of it is there"),
        pytest.param(2, r"a{1,4}", "aaaaa", id="only what is within the width waits"),
        pytest.param(0, r"ab\b", "ab", id="a boundary asks about the next character"),
        pytest.param(3, r"ab\b", "abc", id="a boundary that is known has decided"),
        pytest.param(0, r"\[\[?\bP", "[[", id="a boundary at the end of known text may still hold"),
        pytest.param(0, r"\d{3}(?!\d{5})", "1234567", id="a negative look-ahead waits"),
        pytest.param(7, r"\d{3}(?!\d{5})", "123456 ", id="a decided look-ahead does not"),
        pytest.param(0, r"a(?=bc)", "ab", id="a look-ahead waits"),
        pytest.param(0, r"a$", "a\n", id="a dollar looks over a final newline"),
        pytest.param(2, r"a\Z", "a\n", id="the very end is known not to be here"),
        pytest.param(1, r"(?<=x)ab", "xa", id="a look-behind is known"),
        pytest.param(2, r"(?<=y)ab", "xa", id="a look-behind that fails has decided"),
        pytest.param(0, r"ab(?<=ab\b)", "ab", id="a look-behind may end in a question"),
        pytest.param(0, r"(a|b)c?\1d", "ac", id="a reference waits as long as its group is"),
        pytest.param(0, r"(?P<x>a)(?P=x)", "a", id="a named reference"),
        pytest.param(0, r"(?<x>a)\g<x>", "a", id="the other spelling of a named reference"),
        pytest.param(0, r"(?>ab|a)c", "a", id="an atomic group"),
        pytest.param(0, r"(?:ab){2,3}+c", "abab", id="a possessive group"),
        pytest.param(0, r"(?i)AB", "a", id="a flag at the start"),
        pytest.param(0, r"(?i:A)b", "a", id="a flag of a group"),
        pytest.param(0, r"(?i:AB)b", "a", id="a flag of a group holds while it waits"),
        pytest.param(1, r"(?-i:A)b", "a", id="a group without a flag"),
        pytest.param(0, r"(?x) a  b # two letters", "a", id="a verbose pattern"),
        pytest.param(0, r"[]x\]][[:alpha:]][^]a]", "]q", id="sets of any spelling"),
        pytest.param(0, r"-----BEGIN KEY-----x", "-----BEGIN KEY", id="a long literal"),
        pytest.param(0, r"\x41\u0042\N{DIGIT ONE}\p{L}\0", "AB1z", id="escapes"),
        pytest.param(2, r"^b", "ab", id="a start that is not here"),
        pytest.param(0, r"a{0}b{,2}c", "b", id="quantifiers that may take nothing"),
    ],
)
def test_a_pattern_waits_from(start: int, pattern: str, text: str) -> None:
    assert start == waiting_from(pattern, text)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(p, id=p)
        for p in (
            r"a+",
            r"a*",
            r"a{2,}",
            r"(?=b*)a",
            r"(?<!b*)a",
            r"\Ga",
            r"a\K",
            r"\X",
            r"\R",
            r"a(?i)b",
            r"(?i:a)(?(1)b|c)",
            r"(?:a){e<=1}",
            r"a{b}",
            r"{a",
            r"(a)(?R)?",
            r"(a)(?1)",
            r"(?|(a)|(b))",
            r"(?#note)a",
            r"\1(a)",
            r"(a\1)",
            r"(?P<x>a)(?P<x>b)",
            r"(a",
            r"a)",
            r"\q",
            r"\123",
            r"(?r)ab",
            r"a{1}{2}",
        )
    ],
)
def test_a_pattern_of_unknown_reach_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        survey(leading_flags(pattern)[0], 0, prefix="g")


@pytest.mark.parametrize("flag", ["F", "B", "E", "R", "P", "W", "L", "V1"])
def test_a_flag_that_changes_what_a_code_point_is_is_refused(flag: str) -> None:
    with pytest.raises(ValueError, match="flag"):
        survey("a", int(getattr(regex, flag)), prefix="g")


@pytest.mark.parametrize(
    ("expected", "pattern"),
    [
        pytest.param((3, 3, 0, 0), r"abc", id="plain"),
        pytest.param((1, 4, 0, 0), r"a{1,4}|bc", id="the least and the most of a choice"),
        pytest.param((1, 1, 5, 0), r"(?<=x{2,5})a", id="behind"),
        pytest.param((1, 1, 6, 0), r"(?<=\bx{2,5})a", id="a look-behind asks one before it"),
        pytest.param((1, 1, 0, 2), r"(?=abc)a", id="a look-ahead less what must follow it"),
        pytest.param((1, 1, 1, 1), r"a\b", id="a boundary at the end"),
        pytest.param((2, 2, 1, 0), r"a\Bb", id="a boundary within"),
        pytest.param((1, 5, 0, 0), r"a(?:bb){0,2}", id="repeated groups"),
        pytest.param((2, 6, 0, 0), r"(a{2,3})\1?", id="a reference takes what its group may"),
    ],
)
def test_reach(expected: tuple[int, int, int, int], pattern: str) -> None:
    piece = survey(pattern, 0, prefix="g")
    assert expected == (piece.low, piece.high, piece.behind, piece.ahead)
