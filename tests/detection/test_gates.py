"""What spares most rules the reading of most text never changes what is found in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from detection_world import DETECTOR
from hypothesis import given, settings
from hypothesis import strategies as st
from national_world import load_examples
from test_credentials import NAMED, SAMPLES, draw
from test_cues import BIRTHS, PEOPLE, PLACES
from test_false_alarms import CLEAN
from test_grouped import VALUES as GROUPED
from test_identifiers import ADDRESSES, EMAILS, NUMBERS, PHONES, SMALL
from test_normalize import PLAIN
from test_presidio import FOUND
from test_secrets import ASSIGNED, TOKENS, WRITTEN

from guardrail.detection.patterns import Rule, Scope, find
from guardrail.types import Finding

UNGATED = [
    replace(rule, scope=Scope.ANYWHERE, words=frozenset(), requires=(), certain=True)
    for rule in DETECTOR.rules
]
VALUES = [
    *(around.format(value) for _, value, around in (*FOUND, *NUMBERS, *SMALL)),
    *(around.format(value) for value, around in (*PEOPLE, *BIRTHS, *PHONES, *ASSIGNED)),
    *(value for _, value in TOKENS.values()),
    *(text for _, text in ADDRESSES),
    *(*EMAILS.values(), *PLACES, *PLAIN.values(), *GROUPED[::7]),
]
NATIONAL = [
    *(f"{e.words[0]}: {value}" for e in load_examples() for value in e.valid),
    *(value for e in load_examples() for value in (*e.printed, *map(str.lower, e.printed))),
]
SECRETS = [
    *(draw(template) for template in SAMPLES.values()),
    *(around.format(draw(template)) for around, template in NAMED.values()),
    *(around.replace("{}", value) for _, value, around in WRITTEN.values()),
]
FILLER = "and then nothing of note happened for a long while, as everybody had hoped it would. "


def findings(rules: list[Rule], text: str) -> set[Finding]:
    return set(find(rules, text, threshold=DETECTOR.threshold, timeout=30))


def differ(text: str) -> set[Finding]:
    return findings(list(DETECTOR.rules), text) ^ findings(UNGATED, text)


@pytest.mark.parametrize("between", ["\n", " ", ", ", "_", "x", FILLER, FILLER * 3])
def test_gates_change_nothing_in_what_holds_every_kind_of_value(between: str) -> None:
    assert differ(between.join(VALUES)) == set()


def test_gates_change_nothing_in_a_value_alone() -> None:
    texts = (*VALUES, *SECRETS, *NATIONAL[:: len(NATIONAL) // 100])
    assert {text: found for text in texts if (found := differ(text))} == {}


@pytest.mark.parametrize("between", ["\n", FILLER])
def test_gates_change_nothing_among_the_identifiers_of_many_countries(between: str) -> None:
    assert differ(between.join(NATIONAL[::4])) == set()


@pytest.mark.parametrize("between", ["\n", "x", "_", FILLER])
def test_gates_change_nothing_among_secrets(between: str) -> None:
    assert differ(between.join(SECRETS)) == set()


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN.keys())
def test_gates_change_nothing_in_everyday_text(text: str) -> None:
    assert differ(text) == set()


WORDS = sorted({word for rule in DETECTOR.rules for word in (*rule.context, *rule.words)})
PIECES = st.sampled_from([*VALUES, *WORDS, *" \n_-:.,/|=@", "1", "12", "123456789", "x" * 130])


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES | st.characters(codec="utf-8"), max_size=10).map("".join))
def test_gates_change_nothing_in_random_text(text: str) -> None:
    assert differ(text) == set()
