from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_sizes import property_of

from guardrail.taxonomy import LITERAL, load_taxonomy
from guardrail.transform.placeholders import PATTERN, Grammar
from guardrail.transform.rewrite import protect, restore, restorer
from guardrail.transform.stream import StreamRule, StreamTransformer, compile_rule
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


RESTORING = compile_rule(
    StreamRule(name="restore", pattern=PATTERN, rewrite=lambda token, left: None)
)
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


@property_of("stream transformer", cases=500)
@given(st.lists(PIECES, max_size=10).map("".join), st.lists(st.integers(0, 200), max_size=8))
def test_what_is_pseudonymised_is_restored_exactly_whole_and_streamed(
    text: str, places: list[int]
) -> None:
    vault = Vault()
    result = shielded(text, at(text, MAIL, "bob@example.org"), vault)
    assert "@" not in result
    assert restore(result, vault=vault, grammar=GRAMMAR) == text
    original = restorer(vault=vault, grammar=GRAMMAR)
    stream = StreamTransformer(RESTORING.bind({"restore": lambda token, left: original(token)}))
    edges = sorted({0, len(result), *(place % (len(result) + 1) for place in places)})
    pieces = [stream.feed(result[left:right]) for left, right in itertools.pairwise(edges)]
    assert "".join(pieces) + stream.flush() == text


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
