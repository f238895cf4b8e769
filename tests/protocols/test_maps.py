"""The shipped maps, held against the types of the SDK that people call the API with."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Literal, NotRequired, Required, Union, get_args, get_origin

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParams
from typing_extensions import get_type_hints, is_typeddict

from guardrail.protocols.errors import Told, render_error
from guardrail.protocols.fields import Action, FieldMap
from guardrail.protocols.maps import GENERIC, Protocol, load_protocols, protocol_at, read_protocol
from guardrail.protocols.payload import Json, parse_json

CHAT = load_protocols()["openai.chat"]
OPAQUE = {Action.MEDIA, Action.REFERENCE, Action.TOKENS, Action.DERIVED}


def paths(
    kind: object, path: str = "", above: tuple[object, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Path and sort (`text`, `word`, `key` or `number`) of whatever a request may hold."""
    origin = get_origin(kind)
    if origin in (Required, NotRequired, Annotated):
        yield from paths(get_args(kind)[0], path, above)
    elif origin in (Union, types.UnionType):
        for each in get_args(kind):
            yield from paths(each, path, above)
    elif is_typeddict(kind):
        if kind not in above:
            for name, inner in get_type_hints(kind, include_extras=True).items():
                yield from paths(inner, f"{path}.{name}".lstrip("."), (*above, kind))
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield f"{path}.*", "key"
        yield from paths(get_args(kind)[1], f"{path}.*", above)
    elif isinstance(origin, type) and issubclass(origin, Iterable):
        yield from paths(get_args(kind)[0], f"{path}[]", above)
    else:
        yield path, "word" if origin is Literal else "text" if kind in (str, object) else "number"


def action(fields: FieldMap, path: str) -> Action:
    """What the map says about a path of `paths`."""
    node: FieldMap | None = fields
    for step in path.replace("[]", ".[]").split("."):
        if node is None or (node.action in OPAQUE and not node.children):
            break
        child = "any-key" if step == "*" else step
        node = node.element if step == "[]" else node.child(child)
    return (node.action if node else None) or Action.TEXT


@cache
def request() -> frozenset[tuple[str, str]]:
    return frozenset(paths(CompletionCreateParams))


def test_the_sdk_was_walked() -> None:
    assert ("messages[].content[].text", "text") in request()
    assert ("messages[].tool_calls[].function.arguments", "text") in request()
    assert ("messages[].role", "word") in request()
    assert len(request()) > 60


def test_free_text_is_never_structure_unless_somebody_said_why() -> None:
    reviewed = {
        "model",  # names the endpoint, never a person
        "audio.voice",  # a word from a list that grows
    }
    structure = {p for p, sort in request() if action(CHAT.request, p) is Action.STRUCTURE}
    assert {p for p, sort in request() if sort == "text" and p in structure} == reviewed


def test_what_is_not_text_is_left_out_of_sight_only_by_review() -> None:
    opaque = {p for p, sort in request() if sort == "text" and action(CHAT.request, p) in OPAQUE}
    assert opaque == {
        "messages[].audio.id",
        "messages[].content[].image_url.url",
        "messages[].content[].input_audio.data",
        "messages[].content[].file.file_data",
        "messages[].content[].file.file_id",
    }


def test_every_word_of_the_protocol_that_a_row_names_is_one() -> None:
    words = {p for p, sort in request() if sort in ("word", "number", "key")}
    assert {p for p in words if action(CHAT.request, p) is Action.PERSON_ID} <= {
        "prompt_cache_key",
        "safety_identifier",
    }


def declared(fields: FieldMap, path: str = "") -> Iterator[str]:
    if fields.action or fields.below:
        yield path
    for step, child in fields.children.items():
        yield from declared(child, f"{path}.{step}".lstrip("."))
    if fields.elements:
        yield from declared(fields.elements, f"{path}[]")


def test_every_row_of_a_request_names_something_the_sdk_sends() -> None:
    known = {p for p, _ in request()}
    prefixes = {p[:n] for p in known for n in range(len(p) + 1) if p[n : n + 1] in (".", "[", "")}
    assert set(declared(CHAT.request)) <= prefixes


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (True, b'{"messages": []}'),
        (True, b'{"messages": null, "anything": 1}'),
        (False, b'{"Messages": []}'),
        (False, b'["messages"]'),
        (False, b'"messages"'),
        (False, b"null"),
    ],
)
def test_a_protocol_is_known_by_its_shape(expected: bool, body: bytes) -> None:
    value: Json = parse_json(body)
    assert expected is CHAT.is_spoken_in(value)
    assert GENERIC.is_spoken_in(value) is False


def test_the_shipped_protocols() -> None:
    assert set(load_protocols()) == {
        "anthropic.batches",
        "anthropic.messages",
        "bedrock.converse",
        "bedrock.invoke",
        "cohere.chat",
        "cohere.embed",
        "gemini.generate",
        "mcp",
        "ollama",
        "openai.audio",
        "openai.batches",
        "openai.chat",
        "openai.completions",
        "openai.conversations",
        "openai.embeddings",
        "openai.file_contents",
        "openai.files",
        "openai.images",
        "openai.moderations",
        "openai.realtime",
        "openai.responses",
        "openai.uploads",
    }
    assert (CHAT.errors, CHAT.done) == ("openai", "[DONE]")


@pytest.mark.parametrize("protocol", load_protocols().values(), ids=load_protocols())
def test_every_protocol_lives_somewhere_and_refuses_in_its_own_words(protocol: Protocol) -> None:
    assert protocol.paths
    assert all(path.startswith("/") for path in protocol.paths)
    assert render_error(protocol.errors, Told(status=403, code="c", message="m", exchange="e"))
    assert not {Action.DERIVED} & protocol.request.actions()


def test_no_two_protocols_live_at_one_path() -> None:
    paths = [path for protocol in load_protocols().values() for path in protocol.paths]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        ("openai.chat", "/v1/chat/completions"),
        ("anthropic.messages", "/v1/messages"),
        ("gemini.generate", "/v1beta/models/gemini-2.5-pro:streamGenerateContent"),
        ("generic", "/v1beta/models/a/b:generateContent"),
        ("generic", "/v1beta/models/a:b:generateContent"),
        ("bedrock.converse", "/model/anthropic.claude-v1:0/converse-stream"),
        ("bedrock.invoke", "/model/anthropic.claude-v1:0/invoke"),
        ("generic", "/model/a/b/invoke"),
        ("generic", "/v1beta/models/:generateContent"),
        ("generic", "/v1/chat/completions/"),
        ("generic", "/"),
    ],
)
def test_a_protocol_is_known_by_its_path(expected: str, path: str) -> None:
    assert protocol_at(path).name == expected


def test_the_model_may_stand_in_the_path() -> None:
    found = load_protocols()["gemini.generate"].lives_at("/v1/models/gemini-x:countTokens")
    assert found
    assert found["model"] == "gemini-x"


def test_a_request_hides_nothing_as_derived() -> None:
    with pytest.raises(ValueError, match="nothing in a request is derived"):
        read_protocol({"name": "odd", "request": {"logprobs": "derived"}}, {})


@pytest.mark.parametrize(
    "rows", [{"a": "@nowhere"}, {"a": "nonsense"}, {"": "text"}, {"a[": "text"}]
)
def test_a_map_that_is_none_is_refused(rows: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"nowhere|nonsense|pattern"):
        read_protocol({"name": "odd", "request": rows}, {})
