from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.spans import resolve
from guardrail.taxonomy import LITERAL, load_taxonomy
from guardrail.transform.placeholders import Grammar
from guardrail.transform.rewrite import (
    is_structured,
    known_values,
    protect,
    restore,
    restorer,
)
from guardrail.transform.vault import Vault
from guardrail.types import Finding, Span, Treatment

TAXONOMY = load_taxonomy()
GRAMMAR = Grammar(words=TAXONOMY.vocabulary)
MAIL = "alice@example.com"


def at(text: str, *values: str, entity: str = "EMAIL_ADDRESS") -> list[Finding]:
    return [
        Finding(entity=entity, span=Span(m.start(), m.end()), score=1.0, recognizer="test")
        for m in re.finditer("|".join(map(re.escape, values)), text)
    ]


def shielded(
    text: str,
    findings: Iterable[Finding],
    vault: Vault,
    *,
    treatment: Treatment = Treatment.PSEUDONYMISED,
    bare: bool = False,
) -> str:
    return protect(
        text,
        findings,
        treatments={"EMAIL_ADDRESS": treatment, "PHONE_NUMBER": treatment},
        labels=TAXONOMY.labels,
        vault=vault,
        grammar=GRAMMAR,
        bare=bare,
    )


@pytest.mark.parametrize(
    ("expected", "treatment", "bare"),
    [
        ("to alice@example.com.", Treatment.CLEAR, False),
        ("to [EMAIL_1].", Treatment.PSEUDONYMISED, False),
        ("to EMAIL_1.", Treatment.PSEUDONYMISED, True),
        ("to [EMAIL REDACTED].", Treatment.REDACTED, False),
        ("to EMAIL_REDACTED.", Treatment.REDACTED, True),
        ("to [EMAIL REDACTED].", Treatment.LOCAL, False),
        ("to [EMAIL REDACTED].", Treatment.BLOCKED, False),
    ],
)
def test_a_finding_is_treated(expected: str, treatment: Treatment, bare: bool) -> None:
    text = f"to {MAIL}."
    assert expected == shielded(text, at(text, MAIL), Vault(), treatment=treatment, bare=bare)


def test_an_entity_without_a_treatment_is_redacted() -> None:
    text = f"to {MAIL}"
    result = protect(text, at(text, MAIL), treatments={}, labels={}, vault=Vault(), grammar=GRAMMAR)
    assert result == "to [EMAIL_ADDRESS REDACTED]"


@pytest.mark.parametrize("text", ["", "nothing here", "[not a token] (1)", f"to {MAIL}"])
def test_what_does_not_change_is_the_same_object(text: str) -> None:
    assert shielded(text, at(text, MAIL), Vault(), treatment=Treatment.CLEAR) is text


def test_the_same_value_has_the_same_placeholder() -> None:
    vault = Vault()
    text = f"{MAIL}, bob@example.org, {MAIL}"
    findings = at(text, MAIL, "bob@example.org")
    assert shielded(text, findings, vault) == "[EMAIL_1], [EMAIL_2], [EMAIL_1]"
    assert shielded(text, findings, vault) == "[EMAIL_1], [EMAIL_2], [EMAIL_1]"


AROUND = {
    "brackets": "[{}]",
    "two brackets": "[[{}]]",
    "backslash": "\\{}",
    "backslashes": "\\[{}\\]",
    "angles": "<{}>",
    "entities": "&lt;{}&gt;",
    "braces": "{{}}",
    "digits": "1{}2",
    "letters": "a{}b",
    "underscores": "_{}_",
    "half a token before": "[EMAIL_{}]",
    "half a token after": "{}_1]",
    "token before": "[EMAIL_1]{}",
    "token after": "{}[EMAIL_1]",
    "bare token before": "EMAIL_1{}",
    "bare token after": "{}EMAIL_1",
    "mangled tokens": "\\[email\\_2\\]{}<EMAIL_3>{}",
    "twice": "{}{}",
    "quoted": '"{}"',
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND.keys())
def test_what_was_protected_is_restored_whatever_stands_around_it(around: str) -> None:
    vault = Vault()
    text = around.replace("{}", MAIL) if around != "{{}}" else "{" + MAIL + "}"
    result = shielded(text, at(text, MAIL), vault)
    assert MAIL not in result
    assert restore(result, vault=vault, grammar=GRAMMAR) == text


PIECES = st.sampled_from(
    [
        MAIL,
        "bob@example.org",
        *"[ ] \\ < > &lt; &gt; { } _ - 1 12 a é EMAIL EMAIL_ _1".split(),
        *"[EMAIL_1] <email_2> LITERAL_1".split(),
        "[LITERAL_1]",
        "EMAIL_1",
        "[EMAIL REDACTED]",
        " ",
        "\n",
    ]
)


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=10).map("".join))
def test_what_is_pseudonymised_is_restored_exactly(text: str) -> None:
    vault = Vault()
    result = shielded(text, at(text, MAIL, "bob@example.org"), vault)
    assert "@" not in result
    assert restore(result, vault=vault, grammar=GRAMMAR) == text


def test_nobody_types_their_way_to_another_value() -> None:
    vault = Vault()
    text = f"{MAIL} and [EMAIL_1], EMAIL_1, <email_1>"
    result = shielded(text, at(text, MAIL), vault)
    assert result == "[EMAIL_1] and [LITERAL_1], [LITERAL_2], [LITERAL_3]"
    assert restore(result, vault=vault, grammar=GRAMMAR) == text


@pytest.mark.parametrize("suffix", ["2", "x", "_1"])
def test_a_bare_placeholder_never_becomes_another_ones(suffix: str) -> None:
    vault = Vault()
    for number in range(1, 13):
        vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=f"{number}@example.com")
    text = f"1@example.com{suffix}"
    result = shielded(text, at(text, "1@example.com"), vault, bare=True)
    assert restore(result, vault=vault, grammar=GRAMMAR) in (text, result)


@pytest.mark.parametrize(
    "text", ["[EMAIL_2]", "[PHONE_1]", "[NONSENSE_1]", "[EMAIL REDACTED]", "EMAIL_10", "[EMAIL_"]
)
def test_a_placeholder_that_the_vault_does_not_know_stays(text: str) -> None:
    vault = Vault()
    vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=MAIL)
    assert restore(text, vault=vault, grammar=GRAMMAR) == text


def test_what_is_restored_is_not_read_again() -> None:
    vault = Vault()
    vault.allocate(entity="PERSON", word="PERSON", original="[EMAIL_1]")
    vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=MAIL)
    assert restore("[PERSON_1]", vault=vault, grammar=GRAMMAR) == "[EMAIL_1]"


def test_a_value_that_may_not_be_restored_stays_and_a_literal_always_comes_back() -> None:
    vault = Vault()
    vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=MAIL)
    vault.allocate(entity=LITERAL, word=LITERAL, original="[EMAIL_9]")
    original = restorer(vault=vault, grammar=GRAMMAR, allow=lambda entry: False)
    assert original("[EMAIL_1]") is None
    assert original("[LITERAL_1]") == "[EMAIL_9]"
    assert original("no token") is None


@pytest.mark.parametrize(
    ("expected", "value"),
    [(True, "a@b.co"), (True, "12345a"), (False, "12345"), (False, "Ada Lovelace"), (False, "")],
)
def test_is_structured(expected: bool, value: str) -> None:
    assert expected is is_structured(value)


def known(text: str, **values: str) -> list[tuple[str, str]]:
    find = known_values({value: entity for entity, value in values.items()})
    return [(f.entity, text[f.span.start : f.span.end]) for f in find(text)]


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
    found = resolve(known_values({"Anna": "A", "Anna Smith": "B"})(text))
    assert [(f.entity, text[f.span.start : f.span.end]) for f in found] == [
        ("B", "Anna Smith"),
        ("A", "Anna"),
    ]


def test_literals_are_no_known_values() -> None:
    assert known_values({"[EMAIL_1]": LITERAL})("[EMAIL_1]") == []
    assert known_values({})("anything") == []
