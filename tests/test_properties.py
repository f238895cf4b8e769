"""Laws that hold for every input: of streams, of pseudonyms, of what leaves, and of histories."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import pairwise
from typing import Any

import pytest
from exchange_world import (
    DONE,
    ENDED,
    HOME,
    NDJSON,
    SSE,
    Story,
    ask,
    chat,
    contents,
    deployment,
    detector,
    forwarded,
    guard,
    open_exchange,
    post,
    said,
    started,
    tell,
    usual,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from property_sizes import property_of

from guardrail.exchange import ChunkReceived, Reply, RequestReceived
from guardrail.guard import build_filter
from guardrail.protocols.payload import parse_json
from guardrail.spans import resolve
from guardrail.taxonomy import load_taxonomy
from guardrail.transform.placeholders import Grammar
from guardrail.transform.rewrite import protect, restore
from guardrail.transform.vault import Vault
from guardrail.types import Finding, Span, TextUnit, Treatment

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# ── what texts are made of ───────────────────────────────────────────────────────────────────────

MAILS = ["alice@example.com", "bob.b@example.org", "c+d@mail.example.de"]
CARDS = ["4111 1111 1111 1111", "5500000000000004", "3782-822463-10005"]
SECRETS = [
    "sk-proj-abcdefghij0123456789XYZ",
    "ghp_" + "a1B2" * 9,
    "password: Tr0ub4dor&3x",
    "AKIAIOSFODNN7ABCDEFG",
]
IBANS = ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32"]
TOKENS = [
    *("[EMAIL_1]", "[EMAIL_2]", "<EMAIL_1>", "\\[EMAIL\\_1\\]", "EMAIL_1", "[email 1]"),
    *("[EMAIL_9]", "[CARD_1]", "[LITERAL_1]", "&lt;EMAIL_1&gt;", "[IBAN_1]", "{EMAIL_2}"),
]
SCRAPS = [
    *("[", "]", "\\", "_1]", "[EMAIL", "EMAIL_", "1", "@", ".", "é", "\u200b", "\u00a0", "日本"),
    *("😀", "\n", "\t", '"', "'", "<", "&lt;", "{}", "4111", "sk-", " ", " and ", "Ünï", "\u0301"),
    *("\u2028", "\r\n", "data: ", "[DONE]", "0", "-", ": ", "\x00", "\x7f", "\ufeff", "ﬁ", "İ"),
]

words = st.one_of(
    st.sampled_from([*MAILS, *CARDS, *SECRETS, *IBANS]),
    st.sampled_from(TOKENS),
    st.sampled_from(SCRAPS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
texts = st.lists(words, max_size=10).map("".join)
spaced = st.lists(words, max_size=10).map(" ".join)


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(n % (len(data) + 1) for n in at)})
    return [data[a:b] for a, b in pairwise(edges)]


cuts = st.lists(st.integers(0, 10_000), max_size=12)


def detected(unit: TextUnit) -> tuple[Finding, ...]:
    return resolve(detector().find(unit))


def a_vault() -> Vault:
    vault = Vault()
    for number, mail in enumerate(MAILS[:2], 1):
        assert vault.allocate(entity="EMAIL_ADDRESS", word="EMAIL", original=mail).number == number
    vault.allocate(entity="IBAN_CODE", word="IBAN", original=IBANS[0])
    vault.allocate(entity="CREDIT_CARD", word="CARD", original=CARDS[0])
    return vault


def whole(text: str) -> str:
    """The text of an answer as filtered in one piece."""
    outgoing = build_filter(
        guard(), usual(), endpoint=deployment().routes[1].endpoint, vault=a_vault()
    )
    return outgoing.transform(text, tool=None)


GENERATE = post(b'{"model":"gpt-4o","prompt":"hello"}', path="/api/generate")
"""A request of no known protocol, whose answer may hold anything anywhere."""


def streamed(
    content_type: tuple[bytes, bytes],
    pieces: Sequence[bytes],
    *,
    asked: RequestReceived | None = None,
) -> Story:
    exchange = open_exchange(vault=a_vault())
    chunks = map(ChunkReceived, pieces)
    story = tell(exchange, asked or ask("hello"), started(content_type), *chunks, ENDED)
    assert story.records[-1].code == ""
    return story


# ── (a) a stream, however it is cut, becomes what the whole text becomes ─────────────────────────


@quick
@given(text=spaced, at=cuts)
@example(text="pay 4111 1111 1111 1111", at=[9, 12])
@example(text="[EMAIL_1][EMAIL_1]", at=list(range(20)))
def test_plain_text_streams_as_it_would_whole(text: str, at: list[int]) -> None:
    story = streamed((b"content-type", b"text/plain"), cut(text.encode(), at))
    assert story.answer.decode() == whole(text)


@quick
@given(
    parts=st.lists(st.tuples(st.integers(0, 2), spaced, cuts), min_size=1, max_size=3),
    order=st.randoms(use_true_random=False),
    at=cuts,
)
def test_each_choice_of_a_stream_becomes_what_it_would_whole(
    parts: list[tuple[int, str, list[int]]], order: Any, at: list[int]
) -> None:
    texts_by_choice: dict[int, str] = {}
    queues: dict[int, list[str]] = {}
    for choice, text, where in parts:
        if choice in queues:
            continue
        texts_by_choice[choice] = text
        edges = sorted({0, len(text), *(n % (len(text) + 1) for n in where)})
        queues[choice] = [text[a:b] for a, b in pairwise(edges)]
    events = b""
    while any(queues.values()):
        choice = order.choice([c for c, queue in queues.items() if queue])
        value = {
            "choices": [{"index": choice, "delta": {"content": queues[choice].pop(0)}}],
            "usage": None,
        }
        events += f"data: {json.dumps(value)}\n\n".encode()
    story = streamed(SSE, cut(events + DONE, at))
    got = contents(story.answer)
    assert {c: got.get(c, "") for c in texts_by_choice} == {
        c: whole(text) for c, text in texts_by_choice.items()
    }
    assert story.answer.count(b"\n\n") == (events + DONE).count(b"\n\n")


@quick
@given(text=spaced, where=cuts, at=cuts)
def test_lines_of_json_become_what_they_would_whole(
    text: str, where: list[int], at: list[int]
) -> None:
    edges = sorted({0, len(text), *(n % (len(text) + 1) for n in where)})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    lines = "".join(f"{json.dumps({'message': {'content': p}, 'done': False})}\n" for p in pieces)
    story = streamed(NDJSON, cut((lines + '{"done": true}\n').encode(), at), asked=GENERATE)
    got = [json.loads(line) for line in story.answer.decode().splitlines()]
    assert "".join(one["message"]["content"] for one in got[:-1]) == whole(text)
    assert [one["done"] for one in got] == [False] * len(pieces) + [True]


arguments = st.recursive(
    st.one_of(spaced, st.booleans(), st.none(), st.integers(-999, 999)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["to", "cc", "note", "ü"]), inner, max_size=3)
    ),
    max_leaves=5,
).filter(lambda value: isinstance(value, dict | list) and bool(value))


def tool_chunks(text: str, where: list[int]) -> bytes:
    edges = sorted({0, len(text), *(n % (len(text) + 1) for n in where)})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    events = []
    for n, piece in enumerate(pieces):
        function = {"name": "send", "arguments": piece} if n == 0 else {"arguments": piece}
        call = {"index": 0, "id": "c", "function": function}
        value = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
        events.append(f"data: {json.dumps(value)}\n\n".encode())
    return b"".join(events)


def tool_text(stream: bytes) -> str:
    joined = ""
    for line in stream.decode().splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                for call in choice["delta"].get("tool_calls", ()):
                    joined += call["function"]["arguments"]
    return joined


def whole_arguments(text: str) -> str:
    call = {"id": "c", "function": {"name": "send", "arguments": text}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
    story = tell(
        open_exchange(vault=a_vault()), ask("hello"), started(), ChunkReceived(body), ENDED
    )
    answer = json.loads(story.answer)["choices"][0]["message"]["tool_calls"][0]
    joined: str = answer["function"]["arguments"]
    return joined


@quick
@given(value=arguments, where=cuts, at=cuts, ascii_only=st.booleans())
@example(value={"to": "[EMAIL_1]"}, where=[9], at=[], ascii_only=True)
@example(value={"n": "4111 1111 1111 1111"}, where=[9, 14], at=[], ascii_only=True)
def test_streamed_tool_arguments_mean_what_they_would_whole(
    value: Any, where: list[int], at: list[int], ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    story = streamed(SSE, cut(tool_chunks(text, where) + DONE, at))
    assert parse_json(tool_text(story.answer).encode()) == parse_json(
        whole_arguments(text).encode()
    )


@pytest.mark.parametrize("number", ["4111111111111111", "4111111111111111.0", "[4111111111111111]"])
def test_a_card_is_masked_in_tool_arguments_even_as_a_number(number: str) -> None:
    text = f'{{"n": {number}, "m": 7}}'
    assert "4111111111111111" not in whole_arguments(text)
    for where in ([], [8], [3, 9, 14]):
        story = streamed(SSE, [tool_chunks(text, where) + DONE])
        assert "4111111111111111" not in tool_text(story.answer)


@quick
@given(text=spaced, at=cuts)
def test_a_stream_that_stops_short_shows_only_a_beginning_of_the_whole(
    text: str, at: list[int]
) -> None:
    exchange = open_exchange(vault=a_vault())
    head = started((b"content-type", b"text/plain"))
    story = tell(exchange, ask("hello"), head, *map(ChunkReceived, cut(text.encode(), at)))
    assert whole(text).startswith(story.answer.decode())


# ── (b) what is pseudonymised comes back ─────────────────────────────────────────────────────────

TAXONOMY = load_taxonomy()
GRAMMAR = Grammar(words=TAXONOMY.vocabulary)


def all_pseudonymised(text: str, findings: Sequence[Finding], vault: Vault) -> str:
    return protect(
        text,
        findings,
        treatments=dict.fromkeys(TAXONOMY.categories, Treatment.PSEUDONYMISED),
        labels=TAXONOMY.labels,
        vault=vault,
        grammar=GRAMMAR,
    )


spans = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.integers(1, 20),
        st.sampled_from(["EMAIL_ADDRESS", "PERSON", "IBAN_CODE"]),
        st.floats(0, 1),
    ),
    max_size=5,
)


def findings_in(text: str, rows: Sequence[tuple[int, int, str, float]]) -> tuple[Finding, ...]:
    return resolve(
        Finding(entity=entity, span=Span(at, min(len(text), at + width)), score=score,
                recognizer="any")
        for at, width, entity, score in rows
        if at < len(text)
    )  # fmt: skip


@property_of("stream transformer", cases=300)
@given(text=texts, rows=spans)
@example(text="[EMAIL_1] \\[EMAIL_1] [[EMAIL_1]]", rows=[])
@example(text="[EMAIL_1]", rows=[(3, 2, "PERSON", 1.0)])
def test_restoring_undoes_protecting_wherever_findings_stand(
    text: str, rows: list[tuple[int, int, str, float]]
) -> None:
    vault = Vault()
    sent = all_pseudonymised(text, findings_in(text, rows), vault)
    assert restore(sent, vault=vault, grammar=GRAMMAR) == text


@quick
@given(text=spaced)
def test_restoring_undoes_protecting_what_is_detected(text: str) -> None:
    vault = Vault()
    found = detected(TextUnit(pointer="/messages/0/content", text=text))
    assert restore(all_pseudonymised(text, found, vault), vault=vault, grammar=GRAMMAR) == text


kept = st.lists(
    st.one_of(st.sampled_from([*MAILS, *TOKENS]), st.sampled_from(SCRAPS), st.just(" ")),
    max_size=12,
).map(" ".join)


@quick
@given(text=kept, stream=st.booleans(), at=cuts)
def test_an_echo_gives_the_user_back_what_the_user_said(
    text: str, stream: bool, at: list[int]
) -> None:
    exchange = open_exchange()
    story = tell(exchange, ask(text))
    if story.forwards[0].route is HOME:
        return
    echo: str = json.loads(story.forwarded)["messages"][0]["content"]
    if stream:
        head = started((b"content-type", b"text/plain; charset=utf-8"))
        pieces = map(ChunkReceived, cut(echo.encode(), at))
        answer = tell(exchange, head, *pieces, ENDED).answer.decode()
    else:
        answer = tell(exchange, started(), said(echo), ENDED).text
    assert answer == text


# ── (c) what is protected stands nowhere in what leaves ──────────────────────────────────────────

VALUES = {
    "alice@example.com": "contact",
    "4111111111111111": "card",
    "DE89370400440532013000": "financial",
    "sk-proj-abcdefghij0123456789XYZ": "secret",
    "jürgen.müller@example.com": "contact",
}
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-99, 99), st.sampled_from(["", "x", "hello there", "é"])
)
payloads = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model_x", "messages", "content", "id", "é", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@contextmanager
def told() -> Iterator[list[str]]:
    """All that is logged meanwhile, at every level."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    root, keeping = logging.getLogger(), Keeping()
    level = root.level
    root.addHandler(keeping)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(keeping)


def planted_in(value: str, how: str) -> Any:
    return {
        "text": f"see {value}, please",
        "exact": value,
        "key": {f"about {value}": 1},
        "exact key": {value: {"a": [value]}},
        "nested": [[[{"deep": [value, value]}]]],
        "number": int(value) if value.isdigit() else value,
        "json text": json.dumps({"to": value, value: [value]}),
        "json text in text": json.dumps(json.dumps([value])),
        "arguments": [{"function": {"name": "f", "arguments": json.dumps({"to": value})}}],
    }[how]


def spellings(value: str) -> Iterator[bytes]:
    yield value.encode()
    yield json.dumps(value)[1:-1].encode()
    yield json.dumps(json.dumps(value)[1:-1])[1:-1].encode()


@settings(quick, max_examples=150)
@given(
    value=st.sampled_from(sorted(VALUES)),
    how=st.sampled_from(
        "text,exact,key,exact key,nested,number,json text,json text in text,arguments".split(",")
    ),
    where=st.sampled_from(
        "metadata,messages,content,tool_calls,unknown,tools,stop,response_format,user,seed,"
        "stream_options,logit_bias,n,modalities".split(",")
    ),
    around=payloads,
)
def test_a_protected_value_leaves_in_no_spelling_from_no_place(
    value: str, how: str, where: str, around: Any
) -> None:
    planted = planted_in(value, how)
    message: dict[str, Any] = {"role": "user", "content": "hi"}
    body: dict[str, Any] = {"model": "gpt-4o", "messages": [message], "around": around}
    if where in ("content", "tool_calls"):
        message[where] = planted
    elif where == "messages":
        message["extra"] = planted
    else:
        body[where] = planted
    with told() as logs:
        story = tell(open_exchange(), post(json.dumps(body).encode()))
    shown = repr(story.commands) + "".join(logs)
    for spelling in spellings(value):
        for forward in story.forwards:
            assert forward.route is HOME or spelling not in forward.body
        for command in story.commands:
            assert not isinstance(command, Reply) or spelling not in command.body
        assert spelling.decode() not in shown


# ── (d) what needs no change is not changed ──────────────────────────────────────────────────────

innocent = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-9999, 9999),
        st.sampled_from(
            ["", "rice", "how so?", "é", "ありがとう", "a\nb", '"', "\\", "1/2", "[x]", "😀"]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "é", "c d", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


@quick
@given(
    value=innocent,
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
    mark=st.booleans(),
)
def test_a_payload_in_which_nothing_is_found_leaves_byte_for_byte(
    value: Any, indent: int | None, ascii_only: bool, mark: bool
) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "x": value, "model": "gpt-4o"}
    raw = json.dumps(body, indent=indent, ensure_ascii=ascii_only).encode()
    raw = (b"\xef\xbb\xbf" if mark else b"") + raw
    story = tell(open_exchange(), post(raw))
    (forward,) = story.forwards
    assert forward.route is HOME or forward.body == raw


@quick
@given(value=innocent, text=st.sampled_from(MAILS))
def test_a_change_leaves_all_else_as_it_was(value: Any, text: str) -> None:
    body = {"messages": [{"role": "user", "content": text}], "x": value, "model": "gpt-4o"}
    sent = parse_json(forwarded(json.dumps(body).encode()))
    assert isinstance(sent, dict)
    assert list(sent) == list(body)
    assert sent["x"] == parse_json(json.dumps(value).encode())
    assert sent["messages"] == [{"role": "user", "content": "[EMAIL_1]"}]


# ── (e) a longer history changes nothing of the shorter one ──────────────────────────────────────

turns = st.lists(
    st.lists(
        st.sampled_from(
            [
                *MAILS,
                *IBANS[:1],
                *TOKENS,
                "my name is Erika Mustermann.",
                "Mustermann",
                "Dear Dr. Jane Foster,",
                "hello",
                "é",
                "ok",
            ]
        ),
        min_size=1,
        max_size=4,
    ).map(" ".join),
    min_size=1,
    max_size=5,
)


def protected_turns(texts: Sequence[str], vault: Vault | None) -> list[str]:
    sent = json.loads(forwarded(chat(*texts), vault=vault))
    return [message["content"] for message in sent["messages"]]


@quick
@given(texts=turns, more=st.sampled_from([*MAILS, "Hello Max Power, ", "[EMAIL_7]", "bye"]))
@example(texts=["my name is Erika Mustermann. Mustermann"], more="Dear Dr. Jane Foster,")
@example(texts=["Mustermann", "my name is Erika Mustermann."], more="Dear Dr. Jane Foster,")
def test_a_longer_history_changes_nothing_of_the_shorter_one(texts: list[str], more: str) -> None:
    # What a later turn reveals (a name that stood bare before) is protected in earlier ones, too.
    # So all that these turns reveal is revealed before they are compared.
    before = protected_turns(texts, None)
    assert protected_turns([*texts, more], None)[: len(texts)] == before


@quick
@given(texts=turns, more=st.sampled_from([*MAILS, "Hello Max Power, ", "[EMAIL_7]", "bye"]))
def test_a_conversation_keeps_its_numbers(texts: list[str], more: str) -> None:
    vault = Vault()
    known = [protected_turns(texts[: n + 1], vault) for n in range(len(texts))][-1]
    assert protected_turns(texts, vault) == known
    assert protected_turns([*texts, more], vault)[: len(texts)] == known


# ── (f) findings ─────────────────────────────────────────────────────────────────────────────────


@settings(quick, max_examples=150)
@given(text=st.one_of(texts, spaced))
@example(text="\u200b4111\u200b1111 1111 1111")
@example(text="İİİİ alice@example.com")
@example(text="ﬁﬁﬁ 4111 1111 1111 1111 ﬁ")
def test_findings_are_sorted_disjoint_and_inside_the_text(text: str) -> None:
    found = detected(TextUnit(pointer="/x", text=text))
    edges = [0, *(edge for f in found for edge in (f.span.start, f.span.end)), len(text)]
    assert edges == sorted(edges)
    assert all(f.span.start < f.span.end for f in found)
    assert all(detector().threshold <= f.score <= 1 for f in found)


@settings(quick, max_examples=300)
@given(text=st.text(min_size=1, max_size=80), rows=spans)
def test_resolving_covers_what_was_found_and_no_more(
    text: str, rows: list[tuple[int, int, str, float]]
) -> None:
    def covered(findings: Sequence[Finding]) -> set[int]:
        return reduce(set.union, (set(range(f.span.start, f.span.end)) for f in findings), set())

    raw = [
        Finding(entity=e, span=Span(a, min(len(text), a + w)), score=s, recognizer="any")
        for a, w, e, s in rows
        if a < len(text)
    ]
    found = resolve(raw)
    assert covered(found) == covered(raw)
    assert sum(f.span.end - f.span.start for f in found) == len(covered(found))
    assert resolve(found) == found
