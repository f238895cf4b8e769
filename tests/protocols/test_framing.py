from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_sizes import property_of

from guardrail.protocols.framing import (
    LineFramer,
    SseEvent,
    SseFramer,
    dump_event,
    parse_event,
)


def framed(framer: SseFramer | LineFramer, chunks: Iterable[bytes]) -> list[bytes]:
    return [frame for chunk in chunks for frame in framer.feed(chunk)] + framer.close()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[left:right] for left, right in itertools.pairwise(edges)]


def single_bytes(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


STREAMS = st.lists(
    st.sampled_from(
        [
            *(b"\xef\xbb\xbf", b"data: a", b"event: x", b": ping", b"id: 1", b"\xc3\xa9", b"x"),
            *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n"),
        ]
    ),
    max_size=14,
).map(b"".join)
CUTS = st.lists(st.integers(0, 200), max_size=10)


def events_by_the_standard(stream: bytes) -> list[list[str]]:
    """Blocks of lines between blank lines, read from the whole stream at once."""
    lines = re.split("\r\n|\n|\r", stream.decode().removeprefix("\ufeff"))
    blocks = itertools.groupby(lines, key=bool)
    return [list(block) for filled, block in blocks if filled]


@property_of("framing", cases=500)
@given(STREAMS, CUTS)
def test_any_cut_of_a_stream_gives_the_events_of_the_standard(
    stream: bytes, cuts: list[int]
) -> None:
    expected = events_by_the_standard(stream)
    for chunks in ([stream], cut(stream, cuts), single_bytes(stream)):
        assert expected == [raw.decode().split("\n") for raw in framed(SseFramer(), chunks)]


@property_of("framing", cases=200)
@given(STREAMS, CUTS)
def test_any_cut_of_a_stream_gives_the_same_lines(stream: bytes, cuts: list[int]) -> None:
    expected = [line for raw in stream.split(b"\n") if (line := raw.removesuffix(b"\r"))]
    for chunks in ([stream], cut(stream, cuts), single_bytes(stream)):
        assert expected == framed(LineFramer(), chunks)


@pytest.mark.parametrize(
    ("expected", "chunks"),
    [
        pytest.param([[b"data: a"], []], [b"data: a\n\n", b"\n"], id="an event goes at once"),
        pytest.param([[b"data: a"], []], [b"data: a\r\r", b"\n"], id="half a line end is enough"),
        pytest.param([[], [b"data: a"]], [b"data: a\r\n", b"\r\n"], id="CRLF"),
        pytest.param([[], []], [b"data: a\r", b"\n"], id="a cut CRLF is one line end"),
        pytest.param([[], [b"a"]], [b"\xef\xbb", b"\xbfa\n\n"], id="a cut byte order mark"),
        pytest.param([[], [b"\xef\xbba"]], [b"\xef\xbb", b"a\n\n"], id="no byte order mark"),
        pytest.param(
            [[b"a", b"\xef\xbb\xbfb"]], [b"a\n\n\xef\xbb\xbfb\n\n"], id="only at the start"
        ),
        pytest.param([[b": ping"]], [b"\n\n: ping\n\n"], id="blank lines before an event"),
        pytest.param([[], []], [b"", b"\n\n\n"], id="nothing"),
    ],
)
def test_events_are_given_when_they_are_complete(
    expected: list[list[bytes]], chunks: list[bytes]
) -> None:
    framer = SseFramer()
    assert expected == [framer.feed(chunk) for chunk in chunks]


@pytest.mark.parametrize("framer", [SseFramer, LineFramer])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b""])
def test_what_is_over_the_limit_is_refused_however_it_is_cut(
    framer: type[SseFramer] | type[LineFramer], end: bytes
) -> None:
    for cutting in (single_bytes, lambda data: [data]):
        assert framed(framer(limit=6), cutting(b"x\n\nsecret" + end)) == [b"x", b"secret"]
        with pytest.raises(ValueError, match="longer than 5 bytes") as caught:
            framed(framer(limit=5), cutting(b"x\n\nsecret" + end))
        assert "secret" not in str(caught.value)


def test_a_stream_over_the_limit_stays_refused() -> None:
    framer = SseFramer(limit=5)
    for _ in range(2):
        with pytest.raises(ValueError, match="longer"):
            framer.feed(b"secret\n\ndata: a\n\n")


@pytest.mark.parametrize(
    ("expected", "raw"),
    [
        pytest.param(SseEvent(data="a"), b"data: a", id="data"),
        pytest.param(SseEvent(data="a"), b"data:a", id="no space"),
        pytest.param(SseEvent(data=" a"), b"data:  a", id="only one space is taken"),
        pytest.param(SseEvent(data="a\n\nb"), b"data: a\ndata:\ndata: b", id="lines"),
        pytest.param(SseEvent(data=""), b"data", id="a name alone"),
        pytest.param(SseEvent(event="b"), b"event: a\nevent: b", id="the last name counts"),
        pytest.param(SseEvent(other=(": ping",)), b": ping", id="a comment"),
        pytest.param(
            SseEvent(event="m", data="a: b", other=("id: 1", "retry: 5", "x")),
            b"id: 1\r\nevent: m\rdata: a: b\nretry: 5\nx",
            id="all of them, with any line end",
        ),
        pytest.param(
            SseEvent(data="a\u2028b\x0bc"), "data: a\u2028b\x0bc".encode(), id="no line end"
        ),
        pytest.param(SseEvent(), b"", id="empty"),
    ],
)
def test_an_event_is_parsed(expected: SseEvent, raw: bytes) -> None:
    assert expected == parse_event(raw)


def test_an_event_that_is_not_utf8_is_refused_without_its_text() -> None:
    with pytest.raises(ValueError, match="not UTF-8") as caught:
        parse_event(b"data: secret \xff")
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)


EVENTS = st.builds(
    SseEvent,
    event=st.none() | LINES,
    data=st.none() | st.lists(LINES, min_size=1, max_size=3).map("\n".join),
    other=st.lists(LINES.map(lambda line: f": {line}") | st.just("id: 1"), max_size=2).map(tuple),
)


@property_of("framing")
@given(EVENTS)
def test_a_dumped_event_is_parsed_to_itself(event: SseEvent) -> None:
    frames = framed(SseFramer(), [dump_event(event)])
    assert [event] == [parse_event(frame) for frame in frames] or event == SseEvent()


ENDS = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=1, max_size=7)


@property_of("framing", cases=200)
@given(st.lists(EVENTS, max_size=4), ENDS, CUTS, st.booleans())
def test_events_come_through_whatever_ends_their_lines_and_wherever_they_are_cut(
    events: list[SseEvent], cycled: list[bytes], cuts: list[int], mark: bool
) -> None:
    lines = b"".join(map(dump_event, events)).split(b"\n")
    # A lone CR and an LF behind it would be one line end: there the line ends in CRLF.
    ends = list(itertools.islice(itertools.cycle(cycled), len(lines) - 1))
    stream = b"\xef\xbb\xbf" * mark + b"".join(
        line + (b"\r\n" if end == b"\r" and ends[at + 1 : at + 2] == [b"\n"] else end)
        for at, (line, end) in enumerate(zip(lines, ends, strict=False))
    )
    wanted = [event for event in events if event != SseEvent()]
    for chunks in ([stream], cut(stream, cuts), single_bytes(stream)):
        assert wanted == [parse_event(frame) for frame in framed(SseFramer(), chunks)]


ANY_BYTES = st.lists(
    st.binary(max_size=4) | st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf"]),
    max_size=14,
).map(b"".join)


@property_of("framing", cases=200)
@given(ANY_BYTES, CUTS)
def test_no_cut_changes_what_is_framed_of_any_bytes(stream: bytes, cuts: list[int]) -> None:
    for framer in (SseFramer, LineFramer):
        whole = framed(framer(), [stream])
        assert whole == framed(framer(), cut(stream, cuts))
        assert whole == framed(framer(), single_bytes(stream))


@pytest.mark.parametrize(
    ("expected", "event"),
    [
        pytest.param(b"data: [DONE]\n\n", SseEvent(data="[DONE]"), id="data"),
        pytest.param(b": ping\n\n", SseEvent(other=(": ping",)), id="a comment"),
        pytest.param(b"event: e\ndata: \n\n", SseEvent(event="e", data=""), id="empty data"),
        pytest.param(
            b"data: a\ndata: event: x\ndata: \ndata: b\n\n",
            SseEvent(data="a\revent: x\r\n\nb"),
            id="no line end begins a field",
        ),
    ],
)
def test_an_event_is_dumped(expected: bytes, event: SseEvent) -> None:
    assert expected == dump_event(event)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(SseEvent(event="a\ndata: b"), id="in its name"),
        pytest.param(SseEvent(other=("id: 1\rdata: b",)), id="in another line"),
        pytest.param(SseEvent(data="\ud83d"), id="a lone surrogate"),
    ],
)
def test_an_event_that_cannot_be_written_is_refused(event: SseEvent) -> None:
    with pytest.raises(ValueError, match="event holds"):
        dump_event(event)
