from __future__ import annotations

import json

import pytest

from guardrail.errors import Refusal
from guardrail.protocols.bodies import read_body
from guardrail.protocols.fields import Action, leaves, rewrite
from guardrail.protocols.jobs import read_job
from guardrail.protocols.maps import load_protocols
from guardrail.protocols.untrusted import marked, untrusted

FILES = load_protocols()["openai.files"]
TYPED = "multipart/form-data; boundary=x"


def upload(*files: bytes, purpose: bytes = b"batch", name: bytes = b"x.jsonl") -> bytes:
    parts = [b'name="purpose"\r\n\r\n' + purpose]
    parts += [b'name="file"; filename="' + name + b'"\r\n\r\n' + file for file in files]
    head = b"--x\r\nContent-Disposition: form-data; "
    return b"".join(head + part + b"\r\n" for part in parts) + b"--x--\r\n"


LINE = {
    "custom_id": "r-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}], "user": "jo"},
}


def test_a_line_is_read_with_the_map_of_its_url() -> None:
    read = read_body(upload(json.dumps(LINE).encode()), content_type=TYPED)
    body, protocol = read_job(read, FILES)
    found = {leaf.path[3:]: leaf.action for leaf in leaves(body.payload, protocol.request)}
    assert found["1", "custom_id"] is Action.IDENTIFIER
    assert found["1", "url"] is Action.STRUCTURE
    assert found["1", "body", "model"] is Action.STRUCTURE
    assert found["1", "body", "messages", 0, "content"] is Action.TEXT
    assert found["1", "body", "user"] is Action.PERSON_ID


@pytest.mark.parametrize("wrapped", [True, False], ids=["batch", "fine-tune"])
def test_what_a_tool_said_in_a_line_is_untrusted(wrapped: bool) -> None:
    messages = [{"role": "user", "content": "hello"}, {"role": "tool", "content": "hours"}]
    asked = {"model": "gpt-5", "messages": messages}
    line = json.dumps({**LINE, "body": asked} if wrapped else asked).encode()
    body, protocol = read_job(read_body(upload(line, line), content_type=TYPED), FILES)
    roots = untrusted(body.payload, protocol.untrusted)
    found = marked(leaves(body.payload, protocol.request), roots)
    assert [leaf.text for leaf in found if leaf.untrusted] == ["tool", "hours"] * 2


def test_lines_that_nothing_changes_keep_their_bytes_and_files_apart() -> None:
    line = json.dumps(LINE).encode()
    raw = upload(b'{ "a":  1.0 }\n\n' + line + b"\n", line, name=b"y.JSONL", purpose=b"x")
    body, protocol = read_job(read_body(raw, content_type=TYPED), FILES)
    assert body.encode(body.payload) == raw
    paths = [leaf.path for leaf in leaves(body.payload, protocol.request) if leaf.text == "hello"]
    assert [path[0] for path in paths] == [1, 2]
    out = body.encode(rewrite(body.payload, {paths[1]: "PSEUDO"}))
    assert out.startswith(raw[: raw.rindex(b"hello") - 200])
    assert (out.count(b"PSEUDO"), out.count(b"hello")) == (1, 1)


@pytest.mark.parametrize("name", [b"x.txt", b"x.jsonl"])
def test_a_file_for_something_else_that_is_no_requests_is_a_file(name: bytes) -> None:
    read = read_body(upload(b"[1]\n{", purpose=b"user_data", name=name), content_type=TYPED)
    assert read_job(read, FILES) == (read, FILES)


def test_only_a_protocol_that_says_so_has_files_of_requests() -> None:
    read = read_body(upload(b"{"), content_type=TYPED)
    other = load_protocols()["openai.audio"]
    assert read_job(read, other) == (read, other)


def test_a_refusal_names_the_line_and_quotes_nothing() -> None:
    read = read_body(upload(b'{"a": 1}\n{"canary"'), content_type=TYPED)
    with pytest.raises(Refusal, match="line 2 of the file") as caught:
        read_job(read, FILES)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
