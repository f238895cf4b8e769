"""A stream read by sentences: where they end, how much is held, and that cuts change nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.errors import Refusal, Unavailable
from guardrail.transform.sentences import HOLD, OVERLAP, Reader, Sentences, Spot, Texts
from guardrail.transform.stream import StreamRule, StreamTransformer, compile_rules, transform

TOKEN = regex.compile(r"\[PERSON_\d\]")
NAME = regex.compile(r"\p{Lu}\p{L}+(?: \p{Lu}\p{L}+)+")
RULES = compile_rules(
    [
        StreamRule(
            name="mail",
            pattern=r"[\w.]{1,20}@[\w.]{1,20}",
            priority=50,
            rewrite=lambda text, left: "<mail>",
        ),
        StreamRule(
            name="restore",
            pattern=r"\[PERSON_\d\]",
            priority=1000,
            rewrite=lambda text, left: "Erika Ada" if text == "[PERSON_1]" else None,
        ),
        StreamRule(
            name="password",
            pattern=r"password of [\w ]{1,30} is \w{1,20}",
            priority=250,
            rewrite=lambda text, left: text[: text.rindex(" ") + 1] + "<secret>",
        ),
    ]
)


def look(text: str) -> list[Spot]:
    """Two words with capitals in a row are a name, a placeholder must not be cut."""
    tokens = [Spot(*match.span()) for match in TOKEN.finditer(text)]
    names = [Spot(*match.span(), "PERSON") for match in NAME.finditer(text)]
    return sorted([*tokens, *names], key=lambda spot: spot.start)


def put(entity: str, text: str) -> str:
    return f"<{entity}>"


def sentences(hold: int = HOLD) -> Sentences:
    return Sentences(look, put, hold=hold, overlap=OVERLAP if hold == HOLD else hold // 4)


def streamed(chunks: Iterable[str], reader: Reader) -> str:
    stream = StreamTransformer(RULES, [reader])
    return "".join([stream.feed(chunk) for chunk in chunks]) + stream.flush()


def parts(text: str) -> list[str]:
    """The sentences of a text, as they are looked at behind the one before."""
    seen: list[str] = []

    def watch(text: str) -> list[Spot]:
        seen.append(text)
        return []

    reader = Sentences(watch, put)
    reader.feed(text)
    reader.flush()
    return [
        text.removeprefix(before) if before else text
        for before, text in itertools.pairwise(["", *seen])
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        pytest.param("One. Two", "One. ", id="full stop"),
        pytest.param('"One!" Two', '"One!" ', id="closing quote"),
        pytest.param("**One?** Two", "**One?** ", id="closing stars"),
        pytest.param("One… Two", "One… ", id="ellipsis"),
        pytest.param("One\ntwo", "One\n", id="line"),
        pytest.param("田中さん。鈴木さん", "田中さん。", id="wide full stop"),
        pytest.param("「田中！」と鈴木", "「田中！」", id="wide closing bracket"),
        pytest.param("कमल। रवि", "कमल। ", id="danda"),
        pytest.param("v1.2 x. Two", "v1.2 x. ", id="point within a number"),
        pytest.param("J. R. Smith went. Two", "J. R. Smith went. ", id="initials"),
        pytest.param("Dr. Smith and Prof. Lee. Two", "Dr. Smith and Prof. Lee. ", id="titles"),
        pytest.param("Hauptstr. 5, e.g. here. Two", "Hauptstr. 5, e.g. here. ", id="abbreviations"),
    ],
)
def test_where_a_sentence_ends(text: str, first: str) -> None:
    assert parts(text)[0] == first
    assert len(parts(text)) == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("hi Ada Lovelace. Bye", "hi <PERSON>. Bye", id="a name"),
        pytest.param("[PERSON_1] and [PERSON_2]", "Erika Ada and [PERSON_2]", id="placeholders"),
        pytest.param("to ada@x.de! Ada King", "to <mail>! <PERSON>", id="a rule and a name"),
        pytest.param("x Ada Ada.b@c.de", "x <PERSON><mail>", id="a name runs into an address"),
        pytest.param(
            "password of Ada King is x1", "password of <PERSON> is <secret>", id="in a rule's words"
        ),
        pytest.param("Ada\nKing. Ada King", "Ada\nKing. <PERSON>", id="across a line"),
    ],
)
def test_what_rules_and_readers_find_is_found_beside_each_other(text: str, shown: str) -> None:
    assert transform(RULES, text, [sentences()]) == shown
    for size in range(1, len(text)):
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        assert streamed(chunks, sentences()) == shown
        assert streamed(chunks, Texts(look, put, most=1000)) == transform(
            RULES, text, [Texts(look, put, most=1000)]
        )


PIECES = st.sampled_from(
    [
        *("Ada", "Lovelace", "ada@x.de", "[PERSON_1]", "[PERSON_2]", "and", "a", "X", "田中"),
        *(" ", " ", ". ", ".", "!", "。", '"', "」", "\n", "\r\n", "Dr. ", "J. ", "5"),
        *("password of ", " is x1", "[PER", "SON_1]", "_1", "x" * 30),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PIECES | st.characters(), max_size=40).map("".join),
    st.lists(st.integers(0, 400), max_size=30),
    st.sampled_from([16, 40, HOLD]),
)
def test_any_text_is_the_same_however_it_is_cut(text: str, cuts: list[int], hold: int) -> None:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    chunks = [text[left:right] for left, right in itertools.pairwise(edges)]
    assert streamed(chunks, sentences(hold)) == transform(RULES, text, [sentences(hold)])
    assert streamed(text, sentences(hold)) == transform(RULES, text, [sentences(hold)])


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES | st.characters(), max_size=60).map("".join))
def test_no_more_is_held_than_allowed(text: str) -> None:
    stream = StreamTransformer(compile_rules(()), [sentences(40)])
    for character in text:
        stream.feed(character)
        assert stream.held <= 40


def test_a_sentence_that_does_not_end_is_released_up_to_what_may_go_on() -> None:
    words = "so " * 120  # 360 code points
    stream = StreamTransformer(RULES, [sentences()])
    assert stream.feed(words) == ""
    out = stream.feed("and Ada Lovelace " + "so " * 20)
    assert out.startswith("so so ")
    assert "Ada" not in out
    assert stream.held <= HOLD
    rest = "went home " * 30
    out += stream.feed(rest) + stream.flush()
    assert out == words + "and <PERSON> " + "so " * 20 + rest


def test_a_name_across_the_end_of_what_is_held_is_found_whole() -> None:
    for width in range(300, 420):
        text = "x" * width + " Ada Lovelace " + "y" * 300
        assert transform(RULES, text, [sentences()]) == "x" * width + " <PERSON> " + "y" * 300


def test_what_is_longer_than_what_is_held_is_no_standstill() -> None:
    text = "Ada " * 300
    shown = streamed(text, sentences())
    assert "Ada" not in shown
    assert shown == transform(RULES, text, [sentences()])


def test_a_long_text_takes_no_longer_by_the_word() -> None:
    looked = 0

    def count(text: str) -> list[Spot]:
        nonlocal looked
        looked += len(text)
        return []

    text = "This is one sentence of many. " * 2000
    transform(RULES, text, [Sentences(count, put)])
    assert looked < 3 * len(text)


def test_blank_lines_are_not_looked_at_and_keep_what_stands_before_them() -> None:
    seen: list[str] = []

    def watch(text: str) -> list[Spot]:
        seen.append(text)
        return []

    reader = Sentences(watch, put)
    reader.feed("One.\n\n\nTwo.\n" + "\n" * 1000 + "Three")
    reader.flush()
    assert seen[:2] == ["One.\n", "One.\n\n\nTwo.\n"]
    assert len(seen) == 3
    assert len(seen[2]) <= HOLD + len("Three")


def test_what_needs_the_whole_text_holds_it() -> None:
    stream = StreamTransformer(RULES, [Texts(look, put, most=100)])
    assert stream.feed("hi Ada Lovelace. ") == ""
    assert stream.held == 17
    assert stream.flush() == "hi <PERSON>. "
    assert stream.feed("Ada") + stream.flush() == "Ada"


def test_what_is_held_whole_has_an_end() -> None:
    stream = StreamTransformer(RULES, [Texts(look, put, most=100)])
    with pytest.raises(Refusal) as caught:
        stream.feed("x" * 101)
    assert (caught.value.status, caught.value.code) == (502, "upstream_too_large")


def test_after_a_failure_nothing_that_was_held_comes_out() -> None:
    def fail(text: str) -> list[Spot]:
        raise Unavailable("no model")

    stream = StreamTransformer(RULES, [Sentences(fail, put)])
    assert stream.feed("Ada Lovelace") == ""
    with pytest.raises(Unavailable):
        stream.feed(" went. Then")
    with pytest.raises(Unavailable):
        stream.flush()


def test_a_stream_starts_anew_behind_its_end() -> None:
    stream = StreamTransformer(RULES, [sentences()])
    for _ in range(2):
        assert stream.feed("hi Ada Lovelace") + stream.flush() == "hi <PERSON>"
