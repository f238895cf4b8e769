from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.taxonomy import load_taxonomy
from guardrail.transform.placeholders import (
    MAX_NUMBER,
    PATTERN,
    Grammar,
    bare_placeholder,
    placeholder,
)

VOCABULARY = load_taxonomy().vocabulary
GRAMMAR = Grammar(words=VOCABULARY)

MANGLED = {
    "canonical": "[EMAIL_12]",
    "bare": "EMAIL_12",
    "escaped underscore": r"[EMAIL\_12]",
    "escaped brackets": r"\[EMAIL_12\]",
    "escaped all": r"\[EMAIL\_12\]",
    "bare escaped": r"EMAIL\_12",
    "angle": "<EMAIL_12>",
    "angle lower": "<email_12>",
    "entity": "&lt;EMAIL_12&gt;",
    "JSON escape": r"\u003cEMAIL_12\u003e",
    "full-width brackets": "［EMAIL_12］",
    "full-width underscore": "[EMAIL＿12]",
    "braces": "{EMAIL_12}",
    "lower": "[email_12]",
    "title": "[Email_12]",
    "space": "[Email 12]",
    "hyphen": "[EMAIL-12]",
    "no-break space": "[EMAIL\u00a012]",
    "no-break hyphen": "[EMAIL\u201112]",
}


@pytest.mark.parametrize("token", MANGLED.values(), ids=MANGLED.keys())
@pytest.mark.parametrize(
    "around", ["{}", "x {} y", "({})", "**{}**", "`{}`", "{}'s", "{}.", '"{}"', "{},{}", "é {}"]
)
def test_a_mangled_placeholder_is_read(around: str, token: str) -> None:
    text = around.replace("{}", token)
    found = GRAMMAR.find(text)
    assert [token] * around.count("{}") == [text[start:end] for start, end in found]
    assert {("EMAIL", 12)} == {GRAMMAR.parse(text[start:end]) for start, end in found}


@pytest.mark.parametrize("word", sorted(VOCABULARY))
@pytest.mark.parametrize("number", [1, 10, MAX_NUMBER])
def test_every_word_is_read_as_it_is_written(number: int, word: str) -> None:
    for token in (
        placeholder(word, number),
        bare_placeholder(word, number),
        placeholder(word.lower().replace("_", " "), number),
        placeholder(word.replace("_", r"\_"), number),
    ):
        assert GRAMMAR.parse(token) == (word, number)
        assert GRAMMAR.find(f"a {token} b") == [(2, 2 + len(token))]


NOT_TOKENS = {
    "unknown word": "[EMAILS_1]",
    "no number": "[EMAIL]",
    "redacted": "[EMAIL REDACTED]",
    "zero": "[EMAIL_0]",
    "leading zero": "[EMAIL_01]",
    "too large": f"[EMAIL_{MAX_NUMBER + 1}]",
    "no separator": "[EMAIL1]",
    "inside a word": "MYEMAIL_1 EMAIL_1ST _EMAIL_1 EMAIL_1_",
    "bare lower": "email_1 Email 1",
    "other brackets": "[EMAIL 1> (email 1)",
    "two spaces": "[EMAIL  1]",
    "broken": "[EMA\nIL_1]",
    "code": "x[i_1] a[EMAIL] list<int_8>",
    "footnote": "[see 1] [Fig 2] [1]",
}


@pytest.mark.parametrize("text", NOT_TOKENS.values(), ids=NOT_TOKENS.keys())
def test_what_is_no_placeholder_is_left_alone(text: str) -> None:
    assert GRAMMAR.find(text) == []


def test_a_token_inside_something_larger_is_found() -> None:
    text = "[see EMAIL_1] {{EMAIL_2}} [[EMAIL_3]] [my email EMAIL_4]"
    assert [text[s:e] for s, e in GRAMMAR.find(text)] == [
        "EMAIL_1",
        "{EMAIL_2}",
        "[EMAIL_3]",
        "EMAIL_4",
    ]


@pytest.mark.parametrize(
    "before", ["[", "\\", "<", "&lt;", "{", "1", "a", "_", "[EMAIL_", "EMAIL_"]
)
@pytest.mark.parametrize("after", ["]", "\\", ">", "&gt;", "}", "1", "a", "_", "_1]", "_1"])
def test_no_token_arises_from_what_stands_around_one(before: str, after: str) -> None:
    token = placeholder("PHONE", 7)
    assert [(len(before), len(before + token))] == GRAMMAR.find(before + token + after)


PIECES = st.sampled_from(
    [*"[ ] \\ < > { } _ - &lt; &gt; EMAIL email PHONE 1 12 0 x é".split(), " ", *MANGLED.values()]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_is_found_is_sorted_disjoint_and_readable(text: str) -> None:
    found = GRAMMAR.find(text)
    edges = [edge for span in found for edge in span]
    assert edges == sorted(edges)
    for start, end in found:
        assert GRAMMAR.parse(text[start:end]) is not None
        assert re.fullmatch(PATTERN, text[start:end])
