from __future__ import annotations

import gzip
import zlib

import pytest

from guardrail.errors import Refusal
from guardrail.protocols.bodies import inflate, read_body, read_form
from guardrail.protocols.fields import leaves, rewrite
from guardrail.protocols.payload import Json


@pytest.mark.parametrize(
    ("expected", "content_type", "raw"),
    [
        ({"a": "b"}, "application/json", b'{"a": "b"}'),
        ({"a": "b"}, "Application/JSON; charset=UTF-8", b'{"a": "b"}'),
        ({"a": "b"}, "application/vnd.api+json", b'{"a": "b"}'),
        ({"a": "b"}, "text/json", b'{"a": "b"}'),
        ({"a": "b"}, "", b' {"a": "b"}'),
        ({"a": "b"}, "text/plain", b'{"a": "b"}'),
        ("{a", "text/plain", b"{a"),
        ("héllo", "text/plain", "héllo".encode()),
        ("a,b", "text/csv; charset=us-ascii", b"a,b"),
        ([["a", "1 2"], ["b", ""]], "application/x-www-form-urlencoded", b"a=1+2&b="),
    ],
)
def test_a_body_is_read_by_its_content_type(expected: Json, content_type: str, raw: bytes) -> None:
    body = read_body(raw, content_type=content_type)
    assert body.payload == expected
    assert body.raw == raw


@pytest.mark.parametrize(
    ("status", "code", "content_type", "raw"),
    [
        (415, "unsupported_media_type", "application/octet-stream", b"x"),
        (415, "unsupported_media_type", "application/grpc", b"x"),
        (415, "unsupported_media_type", "image/png", b"x"),
        (415, "unsupported_media_type", "", b"x"),
        (415, "unsupported_media_type", "nonsense", b"x"),
        (415, "unsupported_media_type", "application/json, text/plain", b"{}"),
        (415, "unsupported_charset", "application/json; charset=utf-16", b"{}"),
        (415, "unsupported_charset", "text/plain; charset=latin-1", b"x"),
        (415, "unsupported_charset", "text/plain; charset='utf-16'", b"x"),
        (415, "unsupported_charset", "text/plain", "canary".encode("utf-16-le")),
        (400, "ambiguous_header", "text/plain; charset=utf-8; charset=utf-16", b"x"),
        (400, "invalid_unicode", "text/plain", b"canary\xff"),
        (400, "invalid_json", "application/json", b"canary"),
        (400, "invalid_form", "application/x-www-form-urlencoded", b"canary=%ff"),
        (400, "invalid_form", "application/x-www-form-urlencoded", b"canary=\xe9"),
        (400, "invalid_form", "application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1001)),
    ],
)
def test_what_cannot_be_inspected_is_refused(
    status: int, code: str, content_type: str, raw: bytes
) -> None:
    with pytest.raises(Refusal) as caught:
        read_body(raw, content_type=content_type)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize(
    ("expected", "content_type", "raw"),
    [
        (b'{"a":["X",1.0]}', "application/json", b'{"a": ["x", 1.0]}'),
        (b"X", "text/plain", b"x"),
        (b"a=X&b=X", "application/x-www-form-urlencoded", b"a=x&b=x"),
    ],
)
def test_a_changed_body_is_written_as_it_was_read(
    expected: bytes, content_type: str, raw: bytes
) -> None:
    body = read_body(raw, content_type=content_type)
    changes: dict[tuple[object, ...], str | None] = {
        leaf.path: "X" for leaf in leaves(body.payload, None) if leaf.text == "x"
    }
    assert expected == body.encode(rewrite(body.payload, changes))  # type: ignore[arg-type]  # paths


def test_a_form_is_written_so_that_it_reads_the_same() -> None:
    pairs: Json = [["a b", "é&="], ["a b", "+%"], ["", ""]]
    body = read_form(b"x=y")
    assert read_form(body.encode(pairs)).payload == pairs


FORM = "multipart/form-data; boundary=x"


def form(*parts: tuple[str, bytes]) -> bytes:
    """A form of parts, each of its headers and its data."""
    written = (b"--x\r\n" + head.encode() + b"\r\n\r\n" + data for head, data in parts)
    return b"\r\n".join([*written, b"--x--", b""])


FILE = 'Content-Disposition: form-data; name="file"; filename="a.txt"'
TYPED = FILE + "\r\nContent-Type: "


def changed(raw: bytes, old: str, new: str) -> bytes:
    """The form with one text in place of another, wherever it stands."""
    body = read_body(raw, content_type=FORM)
    found = {leaf.path: leaf.text.replace(old, new) for leaf in leaves(body.payload, None)}
    return body.encode(rewrite(body.payload, {p: t for p, t in found.items() if new in t}))


@pytest.mark.parametrize(
    ("head", "data"),
    [
        ('Content-Disposition: form-data; name="note"', b"to alice"),
        ('Content-Disposition: form-data; name="alice"', b"x"),
        (FILE, b"to alice"),
        (FILE, "\ufeffto alice".encode("utf-16-le")),
        (FILE, gzip.compress(b"to alice", mtime=0)),
        (FILE, b'{"to": "alice"}'),
        (FILE.replace("a.txt", "alice.txt"), b"\x00"),
        (TYPED + "audio/mpeg; name=alice", b"\x00"),
        (TYPED + "alice", b"\x00"),
    ],
    ids="text name file UTF-16 gzip JSON filename type-parameter type".split(),
)
def test_every_text_of_a_form_can_be_changed(head: str, data: bytes) -> None:
    raw = form((head, data))
    out = changed(raw, "alice", "PSEUDO")
    back = read_body(out, content_type=FORM)
    texts = [leaf.text for leaf in leaves(back.payload, None)]
    assert not any("alice" in text for text in texts)
    assert any("PSEUDO" in text for text in texts)


def test_a_file_that_nothing_changes_keeps_its_bytes() -> None:
    data = bytes(range(256))
    raw = form((TYPED + "image/png", data), ('Content-Disposition: form-data; name="a"', b"zz"))
    assert read_body(raw, content_type=FORM).raw == raw
    assert data in changed(raw, "zz", "PSEUDO")


@pytest.mark.parametrize(
    ("expected", "spelled"),
    [
        ("h\u00e9.txt", "filename*=UTF-8''h%C3%A9.txt"),
        ("h\u00e9.txt", "filename=\"he.txt\"; filename*=utf-8'en'h%c3%a9.txt"),
        ('a\\"b', "filename*=UTF-8''a%22b"),
    ],
)
def test_a_file_name_in_the_extended_form_is_read_and_written_plainly(
    expected: str, spelled: str
) -> None:
    raw = form((f'Content-Disposition: form-data; name="file"; {spelled}', b"x"))
    body = read_body(raw, content_type=FORM)
    assert isinstance(body.payload, list)
    (part,) = body.payload
    assert isinstance(part, dict)
    assert isinstance(part["file"], dict)
    assert part["file"]["filename"] == expected
    assert f'filename="{expected}"'.encode() in body.raw
    assert b"filename*" not in body.raw


@pytest.mark.parametrize(
    "spelled", ["filename*=UTF-8''%ff", "filename*=UTF-8''a%0Ab", "filename*=x"]
)
def test_a_file_name_that_cannot_be_read_is_refused(spelled: str) -> None:
    raw = form((f'Content-Disposition: form-data; name="file"; {spelled}', b"x"))
    with pytest.raises(Refusal) as caught:
        read_body(raw, content_type=FORM)
    assert caught.value.status == 400


def test_a_repr_shows_no_content() -> None:
    assert "canary" not in repr(read_body(b'{"canary":"canary"}', content_type="text/json"))


TEXT = b"hello " * 1000
PACKED = {"gzip": gzip.compress(TEXT), "deflate": zlib.compress(TEXT)}


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", PACKED["gzip"]),
        ("x-gzip", PACKED["gzip"]),
        ("deflate", PACKED["deflate"]),
    ],
)
def test_inflate(encoding: str, raw: bytes) -> None:
    assert inflate(raw, encoding=encoding, limit=len(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("status", "encoding", "raw"),
    [
        (415, "br", b"x"),
        (415, "gzip, gzip", PACKED["gzip"]),
        (413, "gzip", gzip.compress(TEXT + b"!")),
        (413, "gzip", gzip.compress(bytes(50_000_000))),
        (400, "gzip", PACKED["gzip"][:-1]),
        (400, "gzip", PACKED["gzip"] + b"more"),
        (400, "gzip", PACKED["gzip"] * 2),
        (400, "gzip", TEXT),
        (400, "deflate", PACKED["gzip"]),
    ],
)
def test_what_does_not_inflate_is_refused(status: int, encoding: str, raw: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        inflate(raw, encoding=encoding, limit=len(TEXT))
    assert caught.value.status == status
