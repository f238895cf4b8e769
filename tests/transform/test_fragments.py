from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from property_sizes import property_of

from guardrail.errors import Unavailable
from guardrail.transform.fragments import (
    MAX_DEPTH,
    JsonFragments,
    TextTransformer,
    transform_json_text,
)
from guardrail.transform.stream import StreamRule, StreamTransformer, compile_rules, transform

ORIGINALS = {"[PERSON_1]": 'Ann "A" O\'Neil\n\\', "[FACE_1]": "\U0001f600", "[NONE_1]": ""}
RULES = compile_rules(
    [
        StreamRule(
            name="restore",
            pattern=r"\[[A-Z]{1,32}_[0-9]{1,4}\]",
            rewrite=lambda text, left: ORIGINALS.get(text),
            priority=1,
        ),
        StreamRule(
            name="email",
            pattern=r"[\w.]{1,64}@\w{1,63}\.\w{2,24}",
            rewrite=lambda text, left: "<email>",
        ),
        StreamRule(name="id", pattern=r"\b[0-9]{9}\b", rewrite=lambda text, left: "<id>"),
    ]
)


def fresh() -> TextTransformer:
    return StreamTransformer(RULES)


def whole(text: str) -> str:
    return transform(RULES, text)


def streamed(chunks: Iterable[str], *, keys: bool = False) -> str:
    stream = JsonFragments(fresh, keys=keys)
    return "".join([stream.feed(chunk) for chunk in chunks]) + stream.flush()


def cut(text: str, places: Iterable[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[left:right] for left, right in itertools.pairwise(edges)]


def mapped(value: object, change: Callable[[str], str]) -> object:
    match value:
        case str():
            return change(value)
        case int() | float() if not isinstance(value, bool):
            text = json.dumps(value)
            changed = change(text) if sum(map(str.isdigit, text)) >= 5 else text
            return value if changed == text else changed
        case list():
            return [mapped(each, change) for each in value]
        case dict():
            return {key: mapped(each, change) for key, each in value.items()}
    return value


PARTS = st.sampled_from(
    [
        *ORIGINALS,
        *'bob@example.com bob 123456789 " \\ / { } [ ] , : a é 😀 u0062 \\u0062'.split(),
        *" \n\t\0\u2028\x7f",
    ]
)
STRINGS = st.lists(PARTS | st.characters(codec="utf-8"), max_size=6).map("".join)
VALUES = st.recursive(
    STRINGS
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=8,
)
CUTS = st.lists(st.integers(0, 300), max_size=12)


@property_of("JSON fragments", cases=500)
@example([1.111328125, 1e22, -123456789], False, [])
@given(VALUES.filter(lambda value: isinstance(value, dict | list | str)), st.booleans(), CUTS)
def test_values_change_and_nothing_else_does(
    value: object, ascii_only: bool, cuts: list[int]
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1 if len(cuts) % 2 else None)
    result = streamed(cut(text, cuts))
    assert mapped(value, whole) == json.loads(result)
    if mapped(value, whole) == value:
        assert text == result
    assert mapped(value, whole) == json.loads(transform_json_text(text, whole))


ESCAPES = dict(zip('"\\/\b\f\n\r\t', '"\\/bfnrt', strict=True))


def ways(character: str) -> list[str]:
    """How a character may stand in a string: mostly as it is, or in one of its escapes."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    codes = [units[at : at + 4] for at in range(0, len(units), 4)]
    plain = [character] * 4 if character >= " " and character not in '"\\' else []
    short = [f"\\{ESCAPES[character]}"] if character in ESCAPES else []
    return [
        *plain,
        *short,
        *("".join(rf"\u{c}" for c in case) for case in (codes, map(str.upper, codes))),
    ]


def spelled(value: object, choices: bytes) -> str:
    """A JSON text of a value, with its characters spelled as `choices` says, and space so too."""
    choice = itertools.cycle(choices)

    def space() -> str:
        return ("", "", " ", "\n", "\t\r ")[next(choice) % 5]

    def string(text: str) -> str:
        return '"' + "".join(each[next(choice) % len(each)] for each in map(ways, text)) + '"'

    def spell(value: object) -> str:
        match value:
            case str():
                written = string(value)
            case list():
                written = "[" + ",".join(map(spell, value)) + space() + "]"
            case dict():
                rows = (f"{space()}{string(key)}{space()}:{spell(value[key])}" for key in value)
                written = "{" + ",".join(rows) + space() + "}"
            case _:
                written = json.dumps(value)
        return space() + written + space()

    return spell(value)


CHOICES = st.binary(min_size=1, max_size=30)
CONTAINERS = VALUES.filter(lambda value: isinstance(value, dict | list | str))


@property_of("JSON fragments", cases=300)
@given(CONTAINERS, CHOICES, CUTS)
def test_no_spelling_and_no_cut_of_an_escape_changes_what_is_meant(
    value: object, choices: bytes, cuts: list[int]
) -> None:
    text = spelled(value, choices)
    assert json.loads(text) == value
    result = streamed(cut(text, cuts))
    assert json.loads(result) == mapped(value, whole)
    assert streamed(text) == result
    if mapped(value, whole) == value:
        assert text == result


@property_of("JSON fragments", cases=300)
@given(CONTAINERS, CHOICES, st.integers(0, 300), CUTS)
def test_a_text_that_stops_short_shows_a_beginning_of_the_whole(
    value: object, choices: bytes, stop: int, cuts: list[int]
) -> None:
    text = spelled(value, choices)
    stop %= len(text) + 1
    stream = JsonFragments(fresh)
    released = "".join(map(stream.feed, cut(text[:stop], cuts)))
    assert streamed([text]).startswith(released)
    # What is given at the end is what a text that ended there would have become.
    assert released + stream.flush() == streamed([text[:stop]])


@property_of("JSON fragments", cases=300)
@given(STRINGS, CHOICES, st.integers(0, 60), st.integers(0, 11), CUTS)
def test_a_string_that_stops_short_ends_as_its_text_would_and_keeps_half_an_escape(
    text: str, choices: bytes, read: int, into: int, cuts: list[int]
) -> None:
    choice = itertools.cycle(choices)
    pieces = [each[next(choice) % len(each)] for each in map(ways, text)]
    read %= len(pieces) + 1
    half = ""
    if text[read:] and pieces[read][0] == "\\":
        half = pieces[read][: into % len(pieces[read])]
    start, said, kept = '["', text[:read], half
    if len(half) >= 6:  # of a pair of surrogates: the first one is there
        said, kept = said + chr(int(half[2:6], 16)), half[6:]
    result = streamed(cut(start + "".join(pieces[:read]) + half, cuts))
    assert result.startswith(start)
    assert result.endswith(kept)
    assert json.loads(f'"{result[len(start) : len(result) - len(kept)]}"') == whole(said)


RUBBISH = st.lists(
    st.sampled_from(
        [
            *'{ } [ ] " , : \\ \\u \\u00 \\u0062 \\ud83d \\ude00 \\q'.split(),
            *"true nul 12 -1.5e3 0x1 1e ' é bob@example.com 123456789".split(),
            *(*ORIGINALS, " ", "\n", '{"a":"', "\ud83d"),
        ]
    ),
    max_size=10,
).map("".join)


@property_of("JSON fragments", cases=600)
@given(RUBBISH, CUTS)
def test_no_cut_changes_what_comes_of_any_text(text: str, cuts: list[int]) -> None:
    assert streamed([text]) == streamed(cut(text, cuts)) == streamed(text)


@property_of("JSON fragments", cases=300)
@given(RUBBISH)
@example('{"bob@example.com')
def test_what_is_not_json_passes_no_address(text: str) -> None:
    assert "bob@example.com" not in streamed([text], keys=True)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        pytest.param('{"a": "<email>"}', '{"a": "b\\u006fb@x.org"}', id="an escaped address"),
        pytest.param('{"a": "<email>"}', '{"a": "b\\ob@x.org"}', id="an invalid escape"),
        pytest.param('{"a": "<email>"}', '{"a": "b\\uzob@x.org"}', id="an invalid hex escape"),
        pytest.param('"\\u004a\\/\\n"', '"\\u004a\\/\\n"', id="unchanged text keeps its escapes"),
        pytest.param('"\\/ <email> /"', '"\\/ b@x.org \\/"', id="escapes before a change stay"),
        pytest.param('"Ann \\"A\\" O\'Neil\\n\\\\"', '"[PERSON_1]"', id="a value cannot break out"),
        pytest.param('"a"', '"a[NONE_1]"', id="a value that ends in nothing"),
        pytest.param('"\\ud83d\\ude00"', '"\\ud83d\\ude00"', id="a pair of surrogates"),
        pytest.param('"\\ud83d x"', '"\\ud83d x"', id="a lone high surrogate"),
        pytest.param('"\\ud83d\\n"', '"\\ud83d\\n"', id="a high surrogate and another escape"),
        pytest.param('"<email>\\ud83d"', '"b@x.org\\uD83D"', id="a lone one after a change"),
        pytest.param('{"b@x.org": 1234}', '{"b@x.org": 1234}', id="keys and short numbers pass"),
        pytest.param(
            '{"n": "<id>" , "m": 7}',
            '{"n": 123456789 , "m": 7}',
            id="a number that must change becomes a string",
        ),
        pytest.param(" \n[ ] ", " \n[ ] ", id="space"),
        pytest.param('{"a":1}\n{"b":"<id>"}', '{"a":1}\n{"b":"123456789"}', id="one after another"),
        pytest.param("mail <email>", "mail b@x.org", id="plain text"),
        pytest.param("<id>", "123456789", id="a bare number is plain text"),
        pytest.param("  <id>", "  123456789", id="plain text after space"),
        pytest.param("{'a': '<email>'}", "{'a': 'b@x.org'}", id="quotes of another kind"),
        pytest.param("{a: <email>}", "{a: b@x.org}", id="a key without quotes"),
        pytest.param("[<id> 1]", "[123456789 1]", id="a number that no comma follows"),
        pytest.param("[1, <email>]", "[1, b@x.org]", id="a value without quotes"),
        pytest.param('{"a":1} <email>', '{"a":1} b@x.org', id="text after the end"),
        pytest.param('["a" <email>]', '["a" b@x.org]', id="text after a string"),
        pytest.param("[01, <id>]", "[01, 123456789]", id="a number that is none"),
        pytest.param('{"a":"b","c', '{"a":"b","c', id="a cut key"),
        pytest.param('{"a":"<email>', '{"a":"b@x.org', id="a cut value"),
        pytest.param('{"a":"b\\u00', '{"a":"b\\u00', id="a cut escape"),
        pytest.param('{"a\\', '{"a\\', id="a cut escape in a key"),
        pytest.param('"<email>\\ud83d', '"b@x.org\\ud83d', id="a cut pair"),
        pytest.param('"<email>\\ud83d\\u', '"b@x.org\\ud83d\\u', id="a cut pair with a rest"),
        pytest.param("[123456789", "[123456789", id="a cut number"),
        pytest.param("[tru", "[tru", id="a cut literal"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_fragments(expected: str, text: str) -> None:
    assert expected == streamed([text])
    assert expected == streamed(text)
    assert expected == transform_json_text(text, whole)


def test_a_scalar_is_held_until_what_follows_is_legal() -> None:
    stream = JsonFragments(fresh)
    assert [stream.feed(piece) for piece in ("[12", "34 ", ",", "tr", "ue]")] == [
        "[", "", "1234 ,", "", "true]",
    ]  # fmt: skip
    assert stream.held == 0


def test_an_endless_scalar_is_plain_text() -> None:
    stream = JsonFragments(fresh)
    stream.feed("[")
    released = stream.feed("1" * 1000)
    assert len(released) + stream.held == 1000
    assert stream.held <= 64
    assert stream.feed(" bob@x.org ").endswith("<email> ")


def test_held_counts_what_was_not_released() -> None:
    stream = JsonFragments(fresh)
    assert stream.feed('{"a": "see [PERSON') == '{"a": "see '
    assert stream.held == 7
    assert stream.feed("_1\\u005") == ""
    assert stream.held == 14
    assert stream.feed('d."') == 'Ann \\"A\\" O\'Neil\\n\\\\."'
    assert stream.held == 0


def test_a_flushed_text_starts_anew() -> None:
    stream = JsonFragments(fresh)
    for _ in range(2):
        assert stream.feed('{"a": ["bob') == '{"a": ["'
        assert stream.flush() == "bob"


def test_a_transformer_that_raises_lets_nothing_more_out() -> None:
    def fail(text: str, left: str) -> str:
        raise LookupError

    rules = compile_rules([StreamRule(name="bad", pattern="b", rewrite=fail)])
    stream = JsonFragments(lambda: StreamTransformer(rules))
    with pytest.raises(LookupError):
        stream.feed('["a", "b", "c"')
    with pytest.raises(Unavailable):
        stream.feed("]")
    with pytest.raises(Unavailable):
        stream.flush()


def test_containers_nested_too_deep_are_refused() -> None:
    assert streamed(["[" * MAX_DEPTH]) == "[" * MAX_DEPTH
    with pytest.raises(ValueError, match="nested"):
        streamed(["[" * (MAX_DEPTH + 1)])


def test_a_whole_text_that_does_not_change_is_the_same_object() -> None:
    text = json.dumps({"a": "plain \u00e9"}, indent=2)
    assert transform_json_text(text, whole) is text


def test_keys_change_where_that_is_asked_for() -> None:
    text = '{"b@x.org": {"c": "b@x.org"}}'
    assert transform_json_text(text, whole, keys=True) == '{"<email>": {"c": "<email>"}}'
    assert transform_json_text(text, whole) == '{"b@x.org": {"c": "<email>"}}'
