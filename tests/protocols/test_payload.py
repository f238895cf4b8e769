from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.errors import Refusal
from guardrail.protocols.payload import (
    MAX_DEPTH,
    MAX_DIGITS,
    Json,
    JsonNumber,
    dump_json,
    parse_json,
)


@pytest.mark.parametrize(
    "number",
    [
        "0",
        "-0",
        "1.0",
        "1.10",
        "1e400",
        "-1E-7",
        "123456789012345678901234567890",
        "9" * MAX_DIGITS,
    ],
)
def test_a_number_keeps_its_spelling(number: str) -> None:
    value = parse_json(f'{{"n":{number}}}'.encode())
    assert value == {"n": JsonNumber(number)}
    assert dump_json(value) == f'{{"n":{number}}}'


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":[true,false,null,"x",{}]}',
        "[]",
        '"\\u00e9"',
        "null",
        '{"":""}',
        '"\\ud83d\\ude00"',
    ],
)
def test_compact_ascii_json_comes_out_as_it_went_in(text: str) -> None:
    assert text == dump_json(parse_json(text.encode()))


def test_a_byte_order_mark_is_dropped() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a":"b"}') == {"a": "b"}


REFUSED = {
    "empty": (400, "invalid_json", b""),
    "rubbish": (400, "invalid_json", b"canary"),
    "more than one": (400, "invalid_json", b'"canary" 2'),
    "single quotes": (400, "invalid_json", b"{'canary': 1}"),
    "trailing comma": (400, "invalid_json", b'["canary",]'),
    "comment": (400, "invalid_json", b'["canary" /* c */]'),
    "control character": (400, "invalid_json", b'"canary\n"'),
    "leading zero": (400, "invalid_json", b"[01]"),
    "NaN": (400, "invalid_json", b'{"canary":NaN}'),
    "infinity": (400, "invalid_json", b'{"canary":-Infinity}'),
    "two marks": (400, "invalid_json", b"\xef\xbb\xbf\xef\xbb\xbf{}"),
    "cut": (400, "invalid_json", b'{"canary'),
    "twice": (400, "ambiguous_json", b'{"canary":1,"canary":2}'),
    "twice below": (400, "ambiguous_json", b'[{"a":{"canary":1,"canary":1}}]'),
    "twice by escape": (400, "ambiguous_json", b'{"canary":1,"c\\u0061nary":2}'),
    "lone surrogate": (400, "invalid_unicode", b'{"canary":"\\ud800"}'),
    "lone surrogate in a key": (400, "invalid_unicode", b'{"canary\\udc00":1}'),
    "wrong order": (400, "invalid_unicode", b'"\\ude00\\ud83d canary"'),
    "latin-1": (400, "invalid_unicode", b'{"canary":"\xe9"}'),
    "overlong": (400, "invalid_unicode", b'"canary\xc0\xaf"'),
    "UTF-8 surrogate": (400, "invalid_unicode", b'"canary\xed\xa0\x80"'),
    "UTF-16": (415, "unsupported_charset", '{"canary":1}'.encode("utf-16-le")),
    "UTF-32": (415, "unsupported_charset", '{"canary":1}'.encode("utf-32-be")),
    "UTF-16 with mark": (415, "unsupported_charset", '{"canary":1}'.encode("utf-16")),
    "deep": (400, "json_too_deep", b"[" * 65 + b"]" * 65),
    "very deep": (400, "json_too_deep", b"[" * 200_000),
    "long number": (400, "invalid_json", b'["canary",' + b"7" * (MAX_DIGITS + 1) + b"]"),
    "deep objects": (400, "json_too_deep", b'{"a":' * 65 + b"1" + b"}" * 65),
}


@pytest.mark.parametrize(("status", "code", "body"), REFUSED.values(), ids=REFUSED.keys())
def test_what_parsers_disagree_about_is_refused(status: int, code: str, body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_json(body)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize("body", [body for *_, body in REFUSED.values()], ids=REFUSED.keys())
def test_a_refusal_quotes_nothing_of_the_body(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_json(body)
    reached: BaseException | None = caught.value
    while reached is not None:
        assert "canary" not in f"{reached!r} {vars(reached)!r}"
        reached = reached.__cause__ or reached.__context__


def test_the_deepest_json_is_accepted_and_brackets_in_strings_do_not_count() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert dump_json(parse_json(deepest.encode())) == deepest
    quoted = json.dumps('"[[{{\\' * 100)
    assert parse_json(quoted.encode()) == json.loads(quoted)


VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.integers().map(lambda n: JsonNumber(str(n))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_what_was_dumped_is_parsed_again(value: Json) -> None:
    assert value == parse_json(dump_json(value).encode())
