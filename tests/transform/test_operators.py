from __future__ import annotations

import pytest

from guardrail.taxonomy import load_taxonomy
from guardrail.transform.operators import redact, redact_identifier
from guardrail.transform.placeholders import Grammar


@pytest.mark.parametrize("text", ["alice@example.com", "", "[EMAIL_1]", "x" * 10_000])
def test_what_is_redacted_leaves_only_its_kind(text: str) -> None:
    assert redact(text, word="EMAIL") == "[EMAIL REDACTED]"
    assert redact_identifier(text, word="EMAIL") == "EMAIL_REDACTED"


def test_what_is_redacted_is_no_placeholder() -> None:
    vocabulary = load_taxonomy().vocabulary
    grammar = Grammar(words=vocabulary)
    for word in vocabulary:
        assert grammar.find(redact("x", word=word) + " " + redact_identifier("x", word=word)) == []
