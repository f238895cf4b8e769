"""With every rule at once, an answer is filtered as if each rule had searched the whole of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable

import pytest
import regex
from exchange_world import detector, guard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from national_world import load_examples
from painting import painted
from test_false_alarms import CLEAN
from test_gates import SECRETS, VALUES

from guardrail.detection.patterns import Rule
from guardrail.transform.stream import StreamTransformer, compile_rules, transform

Rewrite = Callable[[str, str], str | None]


def rewriting(rule: Rule) -> Rewrite:
    def rewrite(matched: str, left: str) -> str | None:
        match = rule.compiled.match(left + matched, len(left))
        value = match.group(rule.group) if match else matched
        return f"<{rule.name}>" if rule.judge(value, left) >= detector().threshold else None

    return rewrite


RULES = {rule.name: rule for rule in guard().detector.rules}
STREAMED = compile_rules(guard().stream_rules.values()).bind(
    {name: rewriting(rule) for name, rule in RULES.items()}
)
NATIONAL = [f"{e.words[0]}: {value}" for e in load_examples() for value in (*e.valid, *e.printed)]
PLANTED = [*VALUES, *SECRETS, *NATIONAL]


def searched(text: str) -> str:
    """The text when each rule's own pattern searches all of it, and the best match owns."""
    return painted(text, ((each, RULES[each.name].compiled) for each in STREAMED.rules))


def streamed(chunks: Iterable[str]) -> str:
    stream = StreamTransformer(STREAMED)
    return "".join([stream.feed(chunk) for chunk in chunks]) + stream.flush()


def pieces(text: str, chance: random.Random, longest: int) -> list[str]:
    edges = [0]
    while edges[-1] < len(text):
        edges.append(min(len(text), edges[-1] + chance.randint(1, longest)))
    return [text[left:right] for left, right in itertools.pairwise(edges)]


@pytest.mark.parametrize("between", ["\n", " ", ", ", "x", "_"])
def test_every_kind_of_value_is_found_however_it_is_cut(between: str) -> None:
    chance = random.Random(between)
    values = chance.sample(PLANTED, 500)
    for at in range(0, len(values), 20):
        text = between.join(values[at : at + 20])
        whole = searched(text)
        assert whole == transform(STREAMED, text)
        for longest in (1, 7, 60):
            assert whole == streamed(pieces(text, chance, longest))


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN.keys())
def test_everyday_text_is_the_same_word_by_word(text: str) -> None:
    assert searched(text) == transform(STREAMED, text)
    assert searched(text) == streamed(regex.findall(r"\S*\s*", text))


PIECES = st.sampled_from([*PLANTED, *" \n_-:.,/|=@'\"", "1", "12", "123456789", "password", "key"])


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    st.lists(PIECES | st.characters(), max_size=8).map("".join),
    st.randoms(use_true_random=False),
    st.sampled_from([1, 3, 11, 50]),
)
def test_any_text_is_the_same_however_it_is_cut(
    text: str, chance: random.Random, longest: int
) -> None:
    whole = transform(STREAMED, text)
    assert whole == searched(text) or "\\" in text
    assert whole == streamed(pieces(text, chance, longest))


@pytest.mark.parametrize("escape", [r"\n", r"\t", r"\r\n", r"\\n"])
def test_every_kind_of_value_is_found_behind_an_escape(escape: str) -> None:
    chance = random.Random(escape)
    for value in chance.sample(PLANTED, 100):
        text, plain = f"see{escape}{value}", f"see\n{value}"
        assert searched(plain) == plain or text != transform(STREAMED, text)
        assert transform(STREAMED, text) == streamed(pieces(text, chance, 7))


@pytest.mark.parametrize("cut", range(1, 5))
def test_what_is_cut_off_at_the_end_is_judged_as_it_stands(cut: int) -> None:
    for value in random.Random(cut).sample(PLANTED, 100):
        text = f"see {value}"[:-cut]
        assert searched(text) == streamed(text)


def test_nothing_undecided_is_released() -> None:
    """What a stream has released is the beginning of what comes out whatever follows."""
    chance = random.Random(5)
    for value in chance.sample(PLANTED, 60):
        text = f"it is {value} or so"
        stream, released = StreamTransformer(STREAMED), ""
        cut = chance.randrange(len(text))
        released = stream.feed(text[:cut])
        for rest in (text[cut:], "", "0", "a", "@", chance.choice(PLANTED)):
            assert transform(STREAMED, text[:cut] + rest).startswith(released)
