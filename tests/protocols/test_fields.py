from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.errors import Refusal
from guardrail.protocols.fields import (
    Action,
    FieldMap,
    Path,
    Step,
    compile_map,
    fragments,
    leaves,
    locate,
    rewrite,
)
from guardrail.protocols.maps import load_protocols
from guardrail.protocols.payload import Json, dump_json, parse_json

MAP = compile_map(
    {
        "model": "structure",
        "messages[].role": "structure",
        "messages[].content": "text",
        "messages[].content[].type": "structure",
        "messages[].image": "media",
        "messages[].parts[]": "text",
        "messages[].args": "json_text",
        "ref": "reference",
        "ids": "tokens",
        "probs": "derived",
        "user": "person_id",
        "name": "identifier",
        "options.**": "structure",
        "by.*.role": "structure",
        "photo": "media",
        "photo.url": "media",
        "signature": "signed",
        "signature[]": "signed",
        "block.data": "signed if type=sealed",
        "items[]": "@item",
        "items[].sub": "@item",
        "open.**": "text",
        "open.id": "structure",
        "open.deep.id": "structure",
    },
    {"item": {"kind": "structure"}},
)


def seen(body: str, fields: FieldMap | None = MAP) -> dict[str, tuple[str, str]]:
    """Pointer → action and text of every leaf."""
    found = {leaf.pointer: (leaf.action.value, leaf.text) for leaf in leaves(parse(body), fields)}
    assert len(found) == len(list(leaves(parse(body), fields))), "each leaf has its own pointer"
    return found


def parse(body: str) -> Json:
    return parse_json(body.encode())


ROWS: dict[str, tuple[dict[str, tuple[str, str]], str]] = {
    "declared": (
        {"/model": ("structure", "m"), "/name": ("identifier", "n"), "/user": ("person_id", "u")},
        '{"model":"m","name":"n","user":"u"}',
    ),
    "elements": (
        {"/messages/0/role": ("structure", "r"), "/messages/1/content": ("text", "c")},
        '{"messages":[{"role":"r"},{"content":"c"}]}',
    ),
    "either shape": (
        {
            "/messages/0/content/0/type": ("structure", "t"),
            "/messages/0/content/1": ("text", "x"),
        },
        '{"messages":[{"content":[{"type":"t"},"x"]}]}',
    ),
    "undeclared, key and value": (
        {"/more/~key": ("text", "more"), "/more": ("text", "x")},
        '{"more":"x"}',
    ),
    "undeclared below declared": (
        {"/model/id/~key": ("text", "id"), "/model/id": ("text", "x")},
        '{"model":{"id":"x"}}',
    ),
    "everything below": (
        {
            "/options/a/~key": ("structure", "a"),
            "/options/a/b/~key": ("structure", "b"),
            "/options/a/b": ("structure", "x"),
            "/options/c/~key": ("structure", "c"),
            "/options/c/0": ("structure", "y"),
        },
        '{"options":{"a":{"b":"x"},"c":["y"]}}',
    ),
    "any key": (
        {"/by/ann/~key": ("text", "ann"), "/by/ann/role": ("structure", "x")},
        '{"by":{"ann":{"role":"x"}}}',
    ),
    "opaque whole": (
        {
            "/messages/0/image": ("media", ""),
            "/ref": ("reference", ""),
            "/ids": ("tokens", ""),
            "/probs": ("derived", ""),
        },
        '{"messages":[{"image":{"url":"x"}}],"ref":{"id":"x"},"ids":[1,2],"probs":["x"]}',
    ),
    "opaque strings": ({"/ref": ("reference", "x")}, '{"ref":"x"}'),
    "data address": (
        {"/more/~key": ("text", "more"), "/more": ("media", "data:image/png;base64,AAAA")},
        '{"more":"data:image/png;base64,AAAA"}',
    ),
    "no data address": (
        {"/more/~key": ("text", "more"), "/more": ("text", "data: nothing, really")},
        '{"more":"data: nothing, really"}',
    ),
    "text in a data address": (
        {"/messages/0/content/~said": ("text", "alice@example.com")},
        '{"messages":[{"content":"data:text/plain,alice%40example.com"}]}',
    ),
    "text in base64 in a data address": (
        {"/messages/0/image/~said": ("text", "alice@example.com")},
        '{"messages":[{"image":"data:text/csv;base64,YWxpY2VAZXhhbXBsZS5jb20="}]}',
    ),
    "text in base64": (
        {"/messages/0/image/~said": ("text", "alice@example.com now")},
        '{"messages":[{"image":"YWxpY2VAZXhhbXBsZS5jb20gbm93"}]}',
    ),
    "a link to media": (
        {
            "/messages/0/image": ("media", "https://x.test/?to=alice@example.com"),
            "/messages/0/image/~said": ("link", "https://x.test/?to=alice@example.com"),
        },
        '{"messages":[{"image":"https://x.test/?to=alice@example.com"}]}',
    ),
    "media that is neither a link nor data": (
        {
            "/messages/0/image": ("media", "alice@example.com"),
            "/messages/0/image/~said": ("link", "alice@example.com"),
        },
        '{"messages":[{"image":"alice@example.com"}]}',
    ),
    "media in base64": (
        {"/messages/0/image": ("media", "iVBORw0KGgoAAAANSUhEUgAAAAE=")},
        '{"messages":[{"image":"iVBORw0KGgoAAAANSUhEUgAAAAE="}]}',
    ),
    "media too short to be data": (
        {
            "/messages/0/image": ("media", "4420040004000402"),
            "/messages/0/image/~said": ("link", "4420040004000402"),
        },
        '{"messages":[{"image":"4420040004000402"}]}',
    ),
    "few token ids where text belongs": (
        {"/messages/0/content": ("text", "x"), "/messages/1/parts": ("tokens", "")},
        '{"messages":[{"content":"x"},{"parts":[101,102]}]}',
    ),
    "a link in media that is an object": (
        {
            "/photo/url": ("media", "https://x.test"),
            "/photo/url/~said": ("link", "https://x.test"),
            "/photo/alt/~key": ("text", "alt"),
            "/photo/alt": ("text", "x"),
        },
        '{"photo":{"url":"https://x.test","alt":"x"}}',
    ),
    "what was signed": (
        {"/signature": ("signed", "aB9+/xyz" * 8)},
        f'{{"signature":"{"aB9+/xyz" * 8}"}}',
    ),
    "what mixes two alphabets and was not signed": (
        {"/signature": ("structure", "aB9+_xyz" * 8)},
        f'{{"signature":"{"aB9+_xyz" * 8}"}}',
    ),
    "what is too short to be signed": (
        {"/signature": ("structure", "4111111111111111")},
        '{"signature":"4111111111111111"}',
    ),
    "what says something and is not signed": (
        {"/signature": ("structure", "YWxpY2VAZXhhbXBsZS5jb20g" * 3)},
        f'{{"signature":"{"YWxpY2VAZXhhbXBsZS5jb20g" * 3}"}}',
    ),
    "what is no base64 and not signed": (
        {"/signature": ("structure", "alice@example.com " * 4)},
        f'{{"signature":"{"alice@example.com " * 4}"}}',
    ),
    "a row that holds where another field says so": (
        {
            "/block/type/~key": ("text", "type"),
            "/block/type": ("text", "sealed"),
            "/block/data": ("signed", "aB9+/xyz" * 8),
        },
        f'{{"block":{{"type":"sealed","data":"{"aB9+/xyz" * 8}"}}}}',
    ),
    "a row that does not hold, for another field says so": (
        {
            "/block/type/~key": ("text", "type"),
            "/block/type": ("text", "image"),
            "/block/data": ("text", "aB9+/xyz" * 8),
        },
        f'{{"block":{{"type":"image","data":"{"aB9+/xyz" * 8}"}}}}',
    ),
    "measured numbers": (
        {"/signature/0": ("signed", "0.123456789")},
        '{"signature":[0.123456789]}',
    ),
    "a table that rows share": (
        {"/items/0/kind": ("structure", "a"), "/items/0/sub/kind": ("structure", "b")},
        '{"items":[{"kind":"a","sub":{"kind":"b"}}]}',
    ),
    "a row of its own above everything below": (
        {
            "/open/a/~key": ("text", "a"),
            "/open/a": ("text", "x"),
            "/open/id": ("structure", "i"),
            "/open/deep/b/~key": ("text", "b"),
            "/open/deep/b": ("text", "y"),
            "/open/deep/id": ("structure", "j"),
        },
        '{"open":{"a":"x","id":"i","deep":{"b":"y","id":"j"}}}',
    ),
    "long numbers": (
        {"/n/~key": ("text", "n"), "/n/1": ("text", "-12345.6"), "/n/2": ("text", "12345")},
        '{"n":[1234,-12345.6,12345,1e9,true,null]}',
    ),
    "token ids": (
        {"/prompt/~key": ("text", "prompt"), "/prompt": ("tokens", "")},
        '{"prompt":[1,2,3,4,5,6,7,8]}',
    ),
    "numbers that are no token ids": (
        {"/prompt/~key": ("text", "prompt")},
        '{"prompt":[1,2,3,4,5,6,7,0.5]}',
    ),
    "JSON in a string": (
        {
            "/messages/0/args#/to/~key": ("text", "to"),
            "/messages/0/args#/to": ("text", "x"),
            "/messages/0/args#/n/~key": ("text", "n"),
            "/messages/0/args#/n": ("text", "123456"),
        },
        '{"messages":[{"args":"{\\"to\\": \\"x\\", \\"n\\": 123456}"}]}',
    ),
    "JSON in a string in a string": (
        {
            "/messages/0/args#/a/~key": ("text", "a"),
            "/messages/0/args#/a": ("text", '{"b": "x"}'),
        },
        json.dumps({"messages": [{"args": json.dumps({"a": json.dumps({"b": "x"})})}]}),
    ),
    "not JSON in a string": (
        {"/messages/0/args": ("json_text", "{not json")},
        '{"messages":[{"args":"{not json"}]}',
    ),
    "ambiguous JSON in a string": (
        {"/messages/0/args": ("json_text", '{"a":1,"a":2}')},
        json.dumps({"messages": [{"args": '{"a":1,"a":2}'}]}),
    ),
    "escapes in a string in a string": (
        {"/messages/0/args#": ("text", "alice@example.com")},
        json.dumps({"messages": [{"args": '"alice\\u0040example.com"'}]}),
    ),
    "a key spelled like a step": (
        {
            "/model/~0key/~key": ("text", "~key"),
            "/model/~0key": ("text", "x"),
            "/model/#/~key": ("text", "#"),
            "/model/#": ("text", "y"),
            "/model/[]/~key": ("text", "[]"),
            "/model/[]": ("text", "z"),
        },
        '{"model":{"~key":"x","#":"y","[]":"z"}}',
    ),
    "a key with a slash": (
        {
            "/model/a~1b/~key": ("text", "a/b"),
            "/model/a~1b": ("text", "x"),
            "/model/a/~key": ("text", "a"),
            "/model/a/b/~key": ("text", "b"),
            "/model/a/b": ("text", "y"),
        },
        '{"model":{"a/b":"x","a":{"b":"y"}}}',
    ),
    "a person's id of any shape": ({"/user": ("person_id", '{"id":"x"}')}, '{"user":{"id":"x"}}'),
    "a text alone": ({"": ("text", "x")}, '"x"'),
}


NOISE = bytes(random.Random(0).randbytes(200))
FILES = {
    "gzip": gzip.compress(NOISE, mtime=0),
    "zlib": zlib.compress(NOISE),
    "deflate": zlib.compress(NOISE)[2:-4],
    "ZIP": b"PK\x03\x04" + NOISE,
    "PNG": b"\x89PNG\r\n\x1a\n" + NOISE,
    "JPEG": b"\xff\xd8\xff\xe0" + NOISE,
    "GIF": b"GIF89a" + NOISE,
    "WebP": b"RIFF\x00\x00\x00\x00WEBP" + NOISE,
    "PDF": b"%PDF-1.7" + NOISE,
    "Ogg": b"OggS" + NOISE,
    "MP3": b"ID3" + NOISE,
    "MP4": b"\x00\x00\x00\x20ftypisom" + NOISE,
}


@pytest.mark.parametrize("raw", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("place", ["signature", "model", "name", "anything"])
@pytest.mark.parametrize(
    "spelling",
    [
        lambda raw: base64.b64encode(raw).decode(),
        lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
        lambda raw: " " + base64.encodebytes(raw).decode(),
        lambda raw: (base64.b64encode(raw).decode().rstrip("=") + "AAAA")[: len(raw) // 3 * 4 + 5],
        lambda raw: "data:image/png;base64," + base64.b64encode(raw).decode(),
    ],
    ids=["base64", "for addresses", "in lines", "one sign too many", "data address"],
)
def test_a_file_is_media_wherever_it_stands(
    spelling: Callable[[bytes], str], place: str, raw: bytes
) -> None:
    value: Json = {place: spelling(raw)}
    (leaf,) = (one for one in leaves(value, MAP) if one.path == (place,))
    assert leaf.action is Action.MEDIA


def test_what_was_signed_stays_signed() -> None:
    random_ = random.Random(1)
    signed = [base64.b64encode(random_.randbytes(48 + n % 99)).decode() for n in range(3000)]
    found = list(leaves({"signature": list(signed)}, MAP))
    assert {leaf.action for leaf in found} == {Action.SIGNED}


def test_a_file_in_the_place_of_a_signature_is_known_as_one() -> None:
    value: Json = {"signature": base64.b64encode(FILES["PNG"]).decode(), "more": "hello"}
    assert [leaf.binary for leaf in leaves(value, MAP)] == [True, False, False]


WRITTEN = {
    "UTF-8": "hé alice".encode(),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + "hé alice".encode(),
    "UTF-16": "\ufeffhé alice".encode("utf-16-le"),
    "UTF-16, the other order": "\ufeffhé alice".encode("utf-16-be"),
    "UTF-32": "\ufeffhé alice".encode("utf-32-le"),
    "gzip": gzip.compress("hé alice".encode(), mtime=0),
    "zlib": zlib.compress("hé alice".encode()),
    "UTF-16 in gzip": gzip.compress("\ufeffhé alice".encode("utf-16-le"), mtime=0),
}


@pytest.mark.parametrize("raw", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("place", ["photo", "signature", "anything"])
def test_text_in_base64_is_read_and_written_in_its_own_charset(place: str, raw: bytes) -> None:
    said = "data:text/plain;base64," + base64.b64encode(raw).decode()
    (leaf,) = (one for one in leaves({place: said}, MAP) if one.path[0] == place != one.text)
    assert (leaf.path, leaf.text) == ((place, Step.SAID), "hé alice")
    new = rewrite({place: said}, {leaf.path: "hé [NAME_1]"})
    assert isinstance(new, dict)
    (leaf,) = (one for one in leaves(new, MAP) if one.path[0] == place != one.text)
    assert leaf.text == "hé [NAME_1]"


@pytest.mark.parametrize(
    "head",
    [
        "data:application/pdf;name=alice@example.com;base64,",
        "data:text/plain;x=y;base64,",
        "data:a/491711234567;base64,",
    ],
)
def test_a_data_address_that_says_more_than_a_type_is_not_read(head: str) -> None:
    (leaf,) = leaves({"photo": head + "aGVsbG8gYWxpY2U="}, MAP)
    assert leaf.action is Action.MEDIA


def test_text_in_base64_with_one_sign_too_many_is_read() -> None:
    said = base64.b64encode(b"write to alice@example.com today!!").decode().rstrip("=") + "A"
    assert len(said.rstrip("A")) % 4 == 2 or len(said) % 4 == 1
    found = list(leaves({"more": said[: len(said) - len(said) % 4] + "A"}, None))
    assert any(leaf.text.startswith("write to alice@example.com") for leaf in found)


@pytest.mark.parametrize(("expected", "body"), ROWS.values(), ids=ROWS.keys())
def test_leaves(expected: dict[str, tuple[str, str]], body: str) -> None:
    assert expected == seen(body)


def test_a_key_that_spells_array_is_no_array() -> None:
    body = '{"messages":{"[]":{"role":"x"}}}'
    assert ("structure", "x") not in seen(body).values()


def test_fragments_leave_json_in_strings_closed() -> None:
    body = parse('{"messages":[{"args":"{\\"to\\": \\"x\\"}"}]}')
    assert [leaf.text for leaf in fragments(body, MAP)] == ['{"to": "x"}']


@pytest.mark.parametrize("pattern", ["", ".", "a[", "a]b", "[x]"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a path pattern"):
        compile_map({pattern: "text"})


def test_what_is_no_action_is_refused() -> None:
    with pytest.raises(ValueError, match="'clear'"):
        compile_map({"a": "clear"})


def test_a_repr_of_a_leaf_shows_neither_text_nor_keys() -> None:
    assert "alice" not in repr(list(leaves({"alice": "alice"}, None)))


# ── rewriting ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_to_change_gives_the_very_object() -> None:
    value = parse('{"a":["x"]}')
    assert rewrite(value, {}) is value


def test_unchanged_parts_are_shared_and_the_input_stays() -> None:
    value = {"a": {"b": "x"}, "c": ["y", {"d": "z"}]}
    result = rewrite(value, {("c", 0): "Y"})  # type: ignore[arg-type]  # a literal is wider than Json
    assert result == {"a": {"b": "x"}, "c": ["Y", {"d": "z"}]}
    assert isinstance(result, dict)
    assert result["a"] is value["a"]
    assert value["c"] == ["y", {"d": "z"}]


CHANGES: dict[str, tuple[str, str, dict[Path, str | None]]] = {
    "a text alone": ('"y"', '"x"', {(): "y"}),
    "value": ('{"a":"y"}', '{"a":"x"}', {("a",): "y"}),
    "null": ('{"a":null}', '{"a":{"b":1}}', {("a",): None}),
    "element": ('["x","y"]', '["x","x"]', {(1,): "y"}),
    "number": ('["y",1.0]', "[123456,1.0]", {(0,): "y"}),
    "key": ('{"b":"x","c":1}', '{"a":"x","c":1}', {("a", Step.KEY): "b"}),
    "key and value": ('{"b":"y"}', '{"a":"x"}', {("a", Step.KEY): "b", ("a",): "y"}),
    "key and below": (
        '{"b":{"c":"y"}}',
        '{"a":{"c":"x"}}',
        {("a", Step.KEY): "b", ("a", "c"): "y"},
    ),
    "keys change places": (
        '{"b":1,"a":2}',
        '{"a":1,"b":2}',
        {("a", Step.KEY): "b", ("b", Step.KEY): "a"},
    ),
    "in JSON in a string": (
        '{"a":"{\\"b\\":\\"y\\",\\"n\\":1.0}"}',
        '{"a":"{ \\"b\\": \\"x\\", \\"n\\": 1.0 }"}',
        {("a", Step.INSIDE, "b"): "y"},
    ),
    "key in JSON in a string": (
        '{"a":"{\\"c\\":1}"}',
        '{"a":"{\\"b\\":1}"}',
        {("a", Step.INSIDE, "b", Step.KEY): "c"},
    ),
    "a key that spells a step": ('{"~key":"y","#":"x"}', '{"~key":"x","#":"x"}', {("~key",): "y"}),
    "a key that spells a position": ('{"0":"y"}', '{"0":"x"}', {("0",): "y"}),
}


@pytest.mark.parametrize(("expected", "body", "changes"), CHANGES.values(), ids=CHANGES.keys())
def test_rewrite(expected: str, body: str, changes: dict[Path, str | None]) -> None:
    assert expected == dump_json(rewrite(parse(body), changes))


@pytest.mark.parametrize(
    "changes",
    [
        {("a", Step.KEY): "x", ("b", Step.KEY): "x"},
        {("a", Step.KEY): "b"},
        {("b", Step.KEY): "a"},
    ],
)
def test_two_keys_that_would_become_one_are_refused(changes: dict[Path, str | None]) -> None:
    with pytest.raises(Refusal) as caught:
        rewrite({"a": True, "b": True}, changes)
    assert caught.value.code == "ambiguous_json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("YWxpY2VAZXhhbXBsZS5jb20ganVtcHM=\n", "Ym9i\n"),
        ("YWxpY2VAZXhhbXBsZS5jb20ganVtcHM=", "Ym9i"),
        ("data:text/csv;base64, YWxpY2VAZXhhbXBsZS5jb20=\r\n", "data:text/csv;base64, Ym9i\r\n"),
    ],
)
def test_base64_that_is_written_again_keeps_the_space_around_it(text: str, expected: str) -> None:
    (leaf,) = leaves(text, None)
    assert rewrite(text, {leaf.path: "bob"}) == expected


# ── properties ───────────────────────────────────────────────────────────────────────────────────

WORDS = st.sampled_from(
    [
        *"model messages role content type text name user metadata args id [] * ** ~key #".split(),
        *"tools function parameters tool_choice options logit_bias stop 0 a/b".split(),
        "",
        "alice@example.com",
        '{"id": "inner"}',
        "data:image/png;base64,AA",
    ]
)
PAYLOADS: st.SearchStrategy[Json] = st.recursive(
    WORDS | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
MAPS = st.sampled_from([None, MAP, load_protocols()["openai.chat"].request])


def strings(value: Json, path: Path = ()) -> list[Path]:
    if isinstance(value, str):
        return [path]
    if isinstance(value, dict):
        return [p for key, inner in value.items() for p in strings(inner, (*path, key))]
    if isinstance(value, list):
        return [p for i, inner in enumerate(value) for p in strings(inner, (*path, i))]
    return []


@settings(max_examples=500, deadline=None)
@given(PAYLOADS, MAPS)
def test_every_string_is_a_leaf_or_stands_inside_one(value: Json, fields: FieldMap | None) -> None:
    found = {leaf.path: leaf for leaf in leaves(value, fields)}
    whole = (Action.PERSON_ID, Action.MEDIA, Action.REFERENCE, Action.TOKENS, Action.DERIVED)
    opaque = [p for p, leaf in found.items() if leaf.action in whole]
    for path in strings(value):
        held = path in found or any(p[: len(path)] == path for p in found)
        text = locate(value, path)
        within_opaque = any(path[: len(p)] == p for p in opaque)
        empty_json = isinstance(text, str) and text.lstrip().startswith(("{", "["))
        assert held or within_opaque or empty_json


@settings(max_examples=300, deadline=None)
@given(PAYLOADS, MAPS)
def test_every_leaf_can_be_changed_and_no_other_leaf_changes(
    value: Json, fields: FieldMap | None
) -> None:
    found = list(leaves(value, fields))
    for leaf in found:
        if leaf.path and leaf.path[-1] is not Step.KEY and leaf.action is not Action.MEDIA:
            changed = rewrite(value, {leaf.path: "changed"})
            assert locate(changed, leaf.path) == "changed"
            for other in found:
                if other.path[: len(leaf.path)] != leaf.path and other.path[-1:] != (Step.KEY,):
                    assert locate(changed, other.path) == locate(value, other.path)


@settings(max_examples=300, deadline=None)
@given(PAYLOADS, MAPS)
def test_a_leaf_holds_the_text_that_stands_at_its_path(
    value: Json, fields: FieldMap | None
) -> None:
    for leaf in leaves(value, fields):
        if leaf.path[-1:] != (Step.KEY,) and leaf.text and leaf.action is not Action.PERSON_ID:
            assert locate(value, leaf.path) == leaf.text
