"""Exchanges as playbooks: for each event, in order, the commands it leads to."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from exchange_world import (
    CHAT,
    CLOUD,
    DONE,
    ENDED,
    HOME,
    JSON,
    NDJSON,
    NEVER_SHOW_CARDS,
    PARIS,
    SSE,
    UNAUDITED,
    ask,
    chat,
    completion,
    compressed,
    contents,
    delta,
    deployment,
    guard,
    limited,
    open_exchange,
    play,
    policies_with,
    post,
    said,
    started,
    tell,
)

from guardrail.exchange import (
    AppFailed,
    ChunkReceived,
    Deployment,
    Door,
    EarlyHint,
    Event,
    PeerGone,
    RecordFailed,
    RequestRefused,
    State,
    UpstreamFailed,
)

HELLO = "how do I cook rice?"
MAIL = "write to alice@example.com"
CARD = "4111 1111 1111 1111"
PICTURE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]

TIMEOUT = UpstreamFailed(status=504, code="upstream_timeout")
BROKEN = UpstreamFailed(status=502, code="upstream_broken")
TOO_LARGE = RequestRefused(status=413, code="body_too_large", message="too large", path=CHAT)

SENT = "record egress.decision, forward cloud"
STAYED = "record egress.decision, forward home"
ANSWERED = "start 200, emit, close, record egress.outcome"
BLOCKED = "record request.refused policy_violation, reply 403 policy_violation, close"


@pytest.fixture
def emergency(tmp_path: Path) -> Deployment:
    """Policy lets the local model answer while the audit log is down."""
    policies = policies_with(tmp_path, {"00-base.cedar": lambda text: text + UNAUDITED})
    return deployment(guard=guard(policies))


@pytest.fixture
def no_cards(tmp_path: Path) -> Deployment:
    """Policy lets no answer with a card number pass, masked or not."""
    return deployment(guard=guard(policies_with(tmp_path, {"house.cedar": NEVER_SHOW_CARDS})))


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────


def test_text_without_findings_leaves_byte_for_byte() -> None:
    body = b'{ "model":"gpt-4o",\n "messages":[{"role":"user","content":"2 + 2 = \\u0034?"}] }'
    story = tell(open_exchange(), post(body), started(), said("4"), ENDED)
    assert story.lines == [SENT, "", "", ANSWERED]
    assert story.forwarded == body
    assert [event.treatment for event in story.records] == ["clear", "clear"]


def test_a_pseudonymised_exchange_restores_what_the_user_said() -> None:
    story = tell(open_exchange(), ask(MAIL), started(), said("To: [EMAIL_1]"), ENDED)
    assert story.lines == [SENT, "", "", ANSWERED]
    assert story.forwarded == (
        b'{"model":"gpt-4o","messages":[{"role":"user","content":"write to [EMAIL_1]"}]}'
    )
    assert story.text == "To: alice@example.com"
    decision, outcome = story.records
    assert (decision.treatment, dict(decision.counts)) == ("pseudonymised", {"EMAIL_ADDRESS": 1})
    assert (outcome.status, outcome.code, dict(outcome.counts)) == (200, "", {})


@pytest.mark.parametrize(
    ("text", "leaves", "treatment"),
    [
        pytest.param("I am a diabetic", "I am a [HEALTH REDACTED]", "redacted", id="special"),
        pytest.param(f"pay {CARD}", "pay [CARD_1]", "pseudonymised", id="card"),
        pytest.param(
            "password: Tr0ub4dor&3x", "password: [SECRET REDACTED]", "redacted", id="secret"
        ),
        pytest.param("see [EMAIL_1]", "see [LITERAL_1]", "clear", id="looks like a placeholder"),
    ],
)
def test_each_category_leaves_in_the_form_policy_gives_it(
    text: str, leaves: str, treatment: str
) -> None:
    story = tell(open_exchange(), ask(text))
    assert story.lines == [SENT]
    assert json.loads(story.forwarded)["messages"][0]["content"] == leaves
    assert story.records[0].treatment == treatment


def test_what_may_have_been_missed_is_recorded_with_the_decision() -> None:
    story = tell(open_exchange(), ask(MAIL), started(), said("done"), ENDED)
    decision, outcome = story.records
    assert decision.residual in range(25)
    assert outcome.residual is None


def test_what_cannot_be_read_has_nowhere_to_go_on_an_open_connection() -> None:
    story = tell(open_exchange(door=Door.SOCKET), ask(PICTURE))  # type: ignore[arg-type]  # as below
    assert story.lines == [
        "record request.refused no_permitted_route, reply 503 no_permitted_route, close"
    ]
    assert json.loads(story.reply.body)["error"]["code"] == "no_permitted_route"


def test_what_policy_lets_leave_in_clear_is_not_changed() -> None:
    body = chat(MAIL, model="mistral-large")
    story = tell(open_exchange(), post(body))
    assert story.lines == ["record egress.decision, forward paris"]
    assert story.forwarded == body


@pytest.mark.parametrize("door", [Door.GATEWAY, Door.MIDDLEWARE, Door.TRANSPORT])
def test_what_cannot_be_read_stays_on_the_local_model(door: Door) -> None:
    target = CLOUD if door is Door.TRANSPORT else None
    story = tell(
        open_exchange(door=door, target=target),
        ask(PICTURE),  # type: ignore[arg-type]  # a content part in place of a text
        started(),
        said("a cat"),
        ENDED,
    )
    assert story.lines == [STAYED, "", "", ANSWERED]
    assert json.loads(story.forwarded) == {
        "model": "llama3",
        "messages": [{"role": "user", "content": PICTURE}],
    }
    assert story.records[0].treatment == "local"
    assert story.forwards[0].diverted is (door is Door.TRANSPORT)


def test_a_prohibited_purpose_is_blocked_on_every_model() -> None:
    for model in ("gpt-4o", "llama3", "auto"):
        story = tell(open_exchange(purpose="social-scoring"), ask(HELLO, model=model))
        assert story.lines == [BLOCKED]
        error = json.loads(story.reply.body)["error"]
        assert error["policies"] == ["eu.prohibited"]
        assert "AI Act Art. 5" in error["message"]


def test_without_a_local_model_what_must_stay_is_denied() -> None:
    alone = deployment(routes=(CLOUD,))
    exchange = open_exchange(alone)
    assert play(exchange, ask(PICTURE)) == [BLOCKED]  # type: ignore[arg-type]  # as above


def test_a_wrapped_app_that_names_no_model_needs_every_endpoint_permitted() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": MAIL}]}).encode()
    story = tell(open_exchange(door=Door.MIDDLEWARE), post(body))
    assert story.lines == [SENT]
    assert b"alice" not in story.forwarded


def test_a_request_without_content_goes_on_unrecorded() -> None:
    story = tell(
        open_exchange(door=Door.MIDDLEWARE),
        post(b"", path="/docs", method="GET", headers=()),
        started((b"content-type", b"image/png")),
        ChunkReceived(b"\x89PNG"),
        ENDED,
    )
    assert story.lines == ["forward app", "start 200", "emit", "close"]
    assert story.answer == b"\x89PNG"


def test_a_query_string_is_treated_like_a_body() -> None:
    story = tell(
        open_exchange(door=Door.MIDDLEWARE),
        post(b"", path="/search", method="GET", headers=(), query=b"q=alice%40example.com&n=1"),
    )
    assert story.forwards[0].query == b"q=%5BEMAIL_1%5D&n=1"


@pytest.mark.parametrize(
    ("content_type", "body", "leaves"),
    [
        (b"text/plain", MAIL.encode(), b"write to [EMAIL_1]"),
        (b"application/json", f'"{MAIL}"'.encode(), b'"write to [EMAIL_1]"'),
        (b"application/json", f'["{MAIL}"]'.encode(), b'["write to [EMAIL_1]"]'),
        (b"text/plain", f'["{MAIL}"]'.encode(), b'["write to [EMAIL_1]"]'),
        (b"image/png", f'["{MAIL}"]'.encode(), b'["write to [EMAIL_1]"]'),
        (b"application/x-www-form-urlencoded", b"a=alice%40example.com", b"a=%5BEMAIL_1%5D"),
    ],
    ids=["text", "a string", "an array", "JSON called text", "JSON called a picture", "a form"],
)
def test_a_body_of_any_shape_is_protected(content_type: bytes, body: bytes, leaves: bytes) -> None:
    event = post(body, path="/any", headers=[(b"content-type", content_type)])
    story = tell(open_exchange(door=Door.MIDDLEWARE), event)
    assert story.lines == [SENT]
    assert story.forwarded == leaves


@pytest.mark.parametrize("content_type", [b"text/plain", b"application/json"])
def test_an_answer_that_is_nothing_but_a_text_is_restored(content_type: bytes) -> None:
    asked = post(b'{"q":"alice@example.com"}', path="/any")
    body = b'"[EMAIL_1]"' if content_type == JSON[1] else b"[EMAIL_1]"
    head = started((b"content-type", content_type))
    exchange = open_exchange(door=Door.MIDDLEWARE)
    story = tell(exchange, asked, head, ChunkReceived(body), ENDED)
    assert story.answer == body.replace(b"[EMAIL_1]", b"alice@example.com")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("event", "line"),
    [
        pytest.param(TOO_LARGE, "413 body_too_large", id="refused by the shell"),
        pytest.param(post(b"{"), "400 invalid_json", id="malformed"),
        pytest.param(ask(HELLO, model="nobody"), "400 unknown_model", id="unknown model"),
        pytest.param(
            ask(HELLO, model="alice@example.com"), "400 unknown_model", id="a model with data in it"
        ),
        pytest.param(
            post(chat(MAIL).replace(b'"user"', b'"bob@example.com"')),
            "400 personal_data_in_structure",
            id="data where nothing may change",
        ),
    ],
)
def test_a_refusal_is_one_record_and_one_reply(event: Event, line: str) -> None:
    code = line.split()[1]
    assert play(open_exchange(), event) == [f"record request.refused {code}, reply {line}, close"]


def test_two_keys_that_would_become_one_are_refused() -> None:
    body = b'{"model":"gpt-4o","x":{"password: Tr0ub4dor&3x":1,"password: Tr0ub4dor&3y":2}}'
    assert play(open_exchange(), post(body)) == [
        "record request.refused ambiguous_json, reply 400 ambiguous_json, close"
    ]


# ── the audit log fails ──────────────────────────────────────────────────────────────────────────


def test_an_unwritable_audit_log_denies() -> None:
    exchange = open_exchange()
    assert play(exchange, ask(HELLO), RecordFailed()) == [
        SENT,  # of which the shell performs nothing after the record
        "reply 503 audit_unavailable, close",
    ]
    assert play(exchange, started(), said("hi"), ENDED, PeerGone(), RecordFailed()) == [""] * 5


def test_an_unwritable_audit_log_denies_the_local_model_too() -> None:
    assert play(open_exchange(), ask(HELLO, model="llama3"), RecordFailed()) == [
        STAYED,
        "reply 503 audit_unavailable, close",
    ]


def test_policy_may_let_the_local_model_go_on_unaudited(emergency: Deployment) -> None:
    exchange = open_exchange(emergency)
    script = ask(MAIL, model="llama3"), RecordFailed(), started(), said("hi"), ENDED
    assert play(exchange, *script) == [STAYED, "forward home", "", "", ANSWERED]


def test_no_policy_lets_a_cloud_model_go_on_unaudited(emergency: Deployment) -> None:
    assert play(open_exchange(emergency), ask(HELLO), RecordFailed()) == [
        SENT,
        "reply 503 audit_unavailable, close",
    ]


def test_a_refusal_that_cannot_be_recorded_is_still_a_refusal() -> None:
    assert play(open_exchange(), post(b"{"), RecordFailed()) == [
        "record request.refused invalid_json, reply 400 invalid_json, close",
        "reply 400 invalid_json, close",
    ]


def test_an_answer_whose_outcome_cannot_be_recorded_still_ends() -> None:
    script = ask(HELLO), started(), said("hi"), ENDED, RecordFailed()
    assert play(open_exchange(), *script) == [SENT, "", "", ANSWERED, ""]
    assert ANSWERED.index("close") < ANSWERED.index("record")


def test_a_broken_answer_whose_outcome_cannot_be_recorded_is_still_aborted() -> None:
    script = ask(HELLO), started(SSE), ChunkReceived(delta("hi ")), BROKEN, RecordFailed()
    assert play(open_exchange(), *script)[3:] == [
        "emit, emit, close aborted, record egress.outcome upstream_broken",
        "",
    ]


# ── the endpoint fails ───────────────────────────────────────────────────────────────────────────


def test_an_endpoint_that_does_not_answer_is_reported() -> None:
    assert play(open_exchange(), ask(MAIL), TIMEOUT) == [
        SENT,
        "reply 504 upstream_timeout, close aborted, record egress.outcome upstream_timeout",
    ]


def test_a_held_answer_that_breaks_off_is_replaced_by_an_error() -> None:
    story = tell(open_exchange(), ask(MAIL), started(), said("[EMAIL_1]"), BROKEN)
    assert story.lines[-1] == (
        "reply 502 upstream_broken, close aborted, record egress.outcome upstream_broken"
    )
    assert b"alice" not in story.reply.body


def test_a_stream_that_breaks_off_ends_with_an_error_event_and_releases_nothing_held() -> None:
    story = tell(
        open_exchange(),
        ask(MAIL),
        started(SSE),
        ChunkReceived(delta("so ") + delta("4111 1111 1111 111")),
        BROKEN,
    )
    assert story.lines == [
        SENT,
        "start 200",
        "emit",
        "emit, emit, close aborted, record egress.outcome upstream_broken",
    ]
    assert b"4111" not in story.answer
    error, done = story.answer.split(b"\n\n")[-3:-1]
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "upstream_broken"
    assert done == b"data: [DONE]"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        pytest.param([JSON], b"{not json", "upstream_uninspectable", id="not JSON"),
        pytest.param(
            [(b"content-type", b"image/png")], b"\x89", "upstream_uninspectable", id="a picture"
        ),
        pytest.param(
            [(b"content-type", b"application/json; charset=utf-16")],
            b"{}",
            "upstream_uninspectable",
            id="charset",
        ),
        pytest.param(
            [JSON, (b"content-encoding", b"br")], b"x", "upstream_uninspectable", id="encoding"
        ),
        pytest.param([JSON], b" " * 3000, "upstream_too_large", id="too large"),
        pytest.param([SSE], b"data: \xff\n\n", "upstream_uninspectable", id="bytes in a stream"),
        pytest.param([SSE], b"data: {\n\n" * 2, "", id="text in a stream"),
        pytest.param(
            [SSE], b'data: {"a":1,"a":2}\n\n', "upstream_uninspectable", id="ambiguous event"
        ),
        pytest.param([NDJSON], b"x" * (2**20 + 1), "upstream_uninspectable", id="endless line"),
    ],
)
def test_an_answer_that_cannot_be_read_is_not_passed_on(
    headers: list[tuple[bytes, bytes]], body: bytes, code: str
) -> None:
    exchange = open_exchange(deployment(limits=limited(answer=2000)))
    story = tell(exchange, ask(HELLO), started(*headers), ChunkReceived(body), ENDED)
    assert [e.kind for e in story.records] == ["egress.decision", "egress.outcome"]
    assert story.records[1].code == code
    assert exchange.state is State.CLOSED
    if code:
        assert body not in story.answer


# ── compressed answers ───────────────────────────────────────────────────────────────────────────

GZIP = (b"content-encoding", b"gzip")


def test_a_compressed_answer_is_filtered_and_leaves_uncompressed() -> None:
    story = tell(
        open_exchange(),
        ask(MAIL),
        started(JSON, GZIP),
        ChunkReceived(compressed(completion("[EMAIL_1]"))),
        ENDED,
    )
    assert story.text == "alice@example.com"
    assert GZIP[0] not in dict(story.start.headers)


def test_a_compressed_answer_that_is_cut_is_not_taken_for_a_whole_one() -> None:
    cut = compressed(b'{"choices":[]}')[:-4]
    story = tell(open_exchange(), ask(HELLO), started(JSON, GZIP), ChunkReceived(cut), ENDED)
    assert story.records[-1].code == "upstream_uninspectable"


def test_compressed_data_after_the_end_of_an_answer_is_not_lost_in_silence() -> None:
    twice = compressed(b'{"choices":[]}') + compressed(b'{"more":1}')
    story = tell(open_exchange(), ask(HELLO), started(JSON, GZIP), ChunkReceived(twice), ENDED)
    assert story.records[-1].code == "upstream_uninspectable"


def test_corrupt_compression_is_the_endpoints_fault_not_ours() -> None:
    story = tell(
        open_exchange(), ask(HELLO), started(JSON, GZIP), ChunkReceived(b"not gzip"), ENDED
    )
    assert (story.reply.status, story.records[-1].code) == (502, "upstream_uninspectable")


def test_an_answer_is_never_inflated_far_beyond_its_limit() -> None:
    bomb = compressed(bytes(64 * 2**20))
    exchange = open_exchange(deployment(limits=limited(answer=2**20)))
    play(exchange, ask(HELLO), started(JSON, GZIP))
    tracemalloc.start()
    lines = play(exchange, ChunkReceived(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines[0].startswith("reply 502 upstream_")
    assert peak < 8 * 2**20


# ── policy blocks an answer ──────────────────────────────────────────────────────────────────────


def test_a_card_in_an_answer_is_masked_and_counted() -> None:
    story = tell(open_exchange(), ask(HELLO), started(), said(f"try {CARD}"), ENDED)
    assert story.lines[-1] == ANSWERED
    assert story.text == "try [CARD REDACTED]"
    assert dict(story.records[-1].counts) == {"CREDIT_CARD": 1}


def test_a_blocked_whole_answer_is_replaced(no_cards: Deployment) -> None:
    story = tell(open_exchange(no_cards), ask(HELLO), started(), said(f"try {CARD}"), ENDED)
    assert story.lines == [
        SENT,
        "",
        "",
        "reply 403 answer_blocked, close aborted, record egress.outcome answer_blocked",
    ]
    assert b"4111" not in story.reply.body


def test_a_blocked_stream_ends_before_what_is_blocked(no_cards: Deployment) -> None:
    story = tell(
        open_exchange(no_cards),
        ask(HELLO),
        started(SSE),
        ChunkReceived(delta("try ")),
        ChunkReceived(delta("4111 1111 ")),
        ChunkReceived(delta("1111 1111 now") + DONE),
        ENDED,
    )
    assert story.lines == [
        SENT,
        "start 200",
        "emit",
        "",
        "emit, emit, close aborted, record egress.outcome answer_blocked",
        "",
    ]
    assert b"4111" not in story.answer
    assert story.answer.endswith(b"data: [DONE]\n\n")


def test_a_blocked_plain_text_answer_stops(no_cards: Deployment) -> None:
    story = tell(
        open_exchange(no_cards),
        ask(HELLO),
        started((b"content-type", b"text/plain")),
        ChunkReceived(b"so it is written; try 4111 1111 1111 1111. "),
    )
    assert story.lines[-1] == "close aborted, record egress.outcome answer_blocked"
    assert b"4111" not in story.answer


# ── the peer goes away ───────────────────────────────────────────────────────────────────────────

GONE = PeerGone()
LEFT = "close aborted, record egress.outcome client_gone"


@pytest.mark.parametrize(
    ("before", "line"),
    [
        pytest.param([ask(HELLO)], LEFT, id="decided"),
        pytest.param([ask(HELLO), started()], LEFT, id="answering, held"),
        pytest.param([ask(HELLO), started(SSE)], LEFT, id="answering, begun"),
        pytest.param([ask(HELLO), started(), said("hi"), ENDED], "", id="closed"),
        pytest.param([ask(HELLO), TIMEOUT], "", id="failed"),
        pytest.param([ask(HELLO), GONE], "", id="gone"),
        pytest.param([post(b"{")], "", id="refused"),
    ],
)
def test_a_peer_may_go_at_any_time(before: list[Event], line: str) -> None:
    exchange = open_exchange()
    play(exchange, *before)
    assert play(exchange, GONE, ENDED, GONE) == [line, "", ""]


def test_a_peer_that_goes_before_it_asks_has_no_outcome() -> None:
    exchange = open_exchange()
    assert play(exchange, GONE) == ["close aborted"]
    assert play(exchange, ask(HELLO)) == [""]


def test_why_a_peer_went_is_recorded() -> None:
    story = tell(open_exchange(), ask(HELLO), PeerGone("app_failed"))
    assert story.records[-1].code == "app_failed"


# ── out of order ─────────────────────────────────────────────────────────────────────────────────

EVENTS: dict[str, Event] = {
    "request": ask(MAIL),
    "refused": TOO_LARGE,
    "record failed": RecordFailed(),
    "started": started(),
    "chunk": said("hi"),
    "ended": ENDED,
    "failed": TIMEOUT,
    "hinted": EarlyHint((b"</a.css>; rel=preload",)),
    "app failed": AppFailed(),
    "gone": GONE,
}

LIVES: dict[str, tuple[list[Event], str]] = {
    # what has happened, and the events that may come next
    "new": ([], "request, refused, gone"),
    "decided": ([ask(HELLO)], "record failed, refused, started, failed, hinted, app failed, gone"),
    "answering": ([ask(HELLO), started()], "chunk, ended, failed, app failed, gone"),
    "refused": ([post(b"{")], "record failed"),
    "blocked": ([ask(HELLO, model="nobody")], "record failed"),
    "unrecorded": ([ask(HELLO), RecordFailed()], ""),
    "unrecorded refusal": ([post(b"{"), RecordFailed()], ""),
    "failed": ([ask(HELLO), started(), TIMEOUT], "record failed"),
    "gone": ([ask(HELLO), GONE], "record failed"),
    "closed": ([ask(HELLO), started(), said("hi"), ENDED], "record failed"),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("life", LIVES)
def test_an_event_out_of_order_changes_nothing(life: str, event: str) -> None:
    before, allowed = LIVES[life]
    exchange = open_exchange()
    play(exchange, *before)
    state = exchange.state
    lines = play(exchange, EVENTS[event])
    if event not in allowed.split(", "):
        assert lines == [""]
        assert exchange.state is state


def test_a_record_fails_only_once() -> None:
    exchange = open_exchange()
    assert play(exchange, post(b"{"), RecordFailed(), RecordFailed())[2] == ""


def test_every_exchange_that_leaves_has_one_decision_and_one_outcome() -> None:
    endings: list[list[Event]] = [
        [started(), said("hi"), ENDED, ENDED, GONE],
        [started(), TIMEOUT, TIMEOUT, GONE],
        [started(SSE), ChunkReceived(delta("a") + DONE), ENDED, TIMEOUT],
        [TIMEOUT, GONE],
        [GONE, GONE],
        [started(), ChunkReceived(b"{"), ENDED, ENDED],
    ]
    for ending in endings:
        story = tell(open_exchange(), ask(MAIL), *ending)
        assert [event.kind for event in story.records] == ["egress.decision", "egress.outcome"]


def test_nothing_is_forwarded_before_its_decision_is_recorded() -> None:
    for event in (ask(HELLO), ask(MAIL), ask(HELLO, model="llama3"), ask(MAIL, model="mistral-1")):
        first, second = open_exchange().receive(event)
        assert [type(first).__name__, type(second).__name__] == ["Record", "Forward"]


# ── the answer's head ────────────────────────────────────────────────────────────────────────────


def test_headers_about_other_bytes_are_not_passed_on() -> None:
    head = started(
        JSON, (b"content-length", b"999"), (b"etag", b"x"), (b"content-md5", b"x"), (b"x-a", b"1")
    )
    story = tell(open_exchange(), ask(HELLO), head, said("hi"), ENDED)
    headers = dict(story.start.headers)
    assert headers[b"content-length"] == str(len(story.answer)).encode()
    assert headers[b"x-a"] == b"1"
    assert headers[b"x-guardrail-treatment"] == b"clear"
    assert headers[b"x-guardrail-endpoint"] == b"cloud"
    assert not {b"etag", b"content-md5"} & headers.keys()


def test_the_length_of_a_stream_is_not_announced() -> None:
    story = tell(open_exchange(), ask(HELLO), started(SSE, (b"content-length", b"9")))
    assert b"content-length" not in dict(story.start.headers)


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("POST", 204), ("POST", 304)], ids=str
)
def test_an_answer_without_a_body_gets_no_length(method: str, status: int) -> None:
    story = tell(
        open_exchange(door=Door.MIDDLEWARE),
        post(b"", path="/x", method=method, query=b"a=b", headers=()),
        started(JSON, status=status),
        ENDED,
    )
    assert story.lines[-1] == f"start {status}, close, record egress.outcome"
    assert b"content-length" not in dict(story.start.headers)


def test_an_error_of_the_endpoint_is_filtered_like_any_answer() -> None:
    body = b'{"error":{"message":"no such user [EMAIL_1]","type":"x"}}'
    story = tell(open_exchange(), ask(MAIL), started(status=404), ChunkReceived(body), ENDED)
    assert story.lines[-1] == "start 404, emit, close, record egress.outcome"
    assert b"no such user alice@example.com" in story.answer
    assert story.records[-1].status == 404


# ── several exchanges ────────────────────────────────────────────────────────────────────────────


def test_a_decision_stands_on_the_exchange_for_the_shell_to_read() -> None:
    exchange = open_exchange()
    assert exchange.decision.treatment.name == "BLOCKED"
    play(exchange, ask(HELLO))
    assert exchange.decision.treatment.name == "CLEAR"


def test_the_choice_of_model_may_be_left_to_guardrail() -> None:
    story = tell(open_exchange(), ask(MAIL, model="auto"))
    assert story.lines == [STAYED]
    assert json.loads(story.forwarded)["model"] == "llama3"


def test_a_gateway_tries_the_next_endpoint_that_serves_the_model() -> None:
    cheap = replace(CLOUD, endpoint=replace(CLOUD.endpoint, id="cheap", agreements=frozenset()))
    both = (HOME, cheap, replace(PARIS, models=("gpt-*",)))
    story = tell(open_exchange(deployment(routes=both)), ask(MAIL))
    assert story.lines == ["record egress.decision, forward cheap"]
    assert b"[EMAIL REDACTED]" in story.forwarded


def test_no_command_shows_content_in_its_repr() -> None:
    exchange = open_exchange()
    events: list[Event] = [ask(MAIL), started(SSE), ChunkReceived(delta("[EMAIL_1] ") + DONE)]
    shown = [*map(repr, events), repr(exchange)]
    for event in events:
        shown += map(repr, exchange.receive(event))
    assert "alice" not in " ".join(shown)


def test_streamed_choices_are_told_apart() -> None:
    story = tell(
        open_exchange(),
        ask(MAIL),
        started(SSE),
        ChunkReceived(delta("[EM", choice=1) + delta("[EMAIL", choice=0)),
        ChunkReceived(delta("AIL_1]", choice=1) + delta("_1] x", choice=0) + DONE),
        ENDED,
    )
    assert contents(story.answer) == {0: "alice@example.com x", 1: "alice@example.com"}


def test_a_model_that_the_caller_chose_at_an_address_keeps_its_name() -> None:
    exchange = open_exchange(door=Door.TRANSPORT, target=CLOUD)
    story = tell(exchange, ask("mail alice@example.com", model="my-own-deployment"))
    assert json.loads(story.forwards[0].body)["model"] == "my-own-deployment"
    assert b"alice@example.com" not in story.forwards[0].body
