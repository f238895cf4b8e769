from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.audit.event import MAX_ITEMS, Unrecordable, decode, encode, event_id
from guardrail.types import AuditEvent, Treatment

NOW = datetime(2026, 11, 20, 8, 30, 0, 123456, tzinfo=UTC)
SMALL = AuditEvent(id="0" * 32, kind="egress.decision", at=NOW, exchange="x1")
FULL = AuditEvent(
    id="019c0000000070008000000000000001",
    kind="egress.outcome",
    at=NOW,
    exchange="0b5fa0f6",
    principal="helpdesk",
    tenant="t1",
    purpose="customer-support",
    basis="contract",
    origin="DE",
    regions=("eu", "eu-de"),
    protocol="openai.chat",
    endpoint="azure/gpt-5",
    location="SE",
    treatment="REDACTED",
    treatments={"name": "redacted", "contact": "pseudonymised"},
    counts={"PERSON": 3, "EMAIL_ADDRESS": 2},
    residual=25,
    consents=("explicit",),
    filings=("TIA", "DPIA"),
    age=16,
    found={"name": 1, "contact": 10},
    confidences={"name": 80, "contact": 100},
    judged=("azure/gpt-5", "cloud"),
    local="home",
    unalterable=("document",),
    injected=True,
    shadow={"name": "local"},
    policies=("eu.eea", "base.local"),
    policy_digest="sha256:" + "ab" * 32,
    code="policy_denied",
    status=200,
    bytes_in=1024,
    bytes_out=2**53 - 1,
    errors=("PolicyEvaluation",),
)

identifiers = st.from_regex(r"[A-Za-z][A-Za-z0-9_.:/+-]{0,255}", fullmatch=True)
words = st.from_regex(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}", fullmatch=True)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,63}", fullmatch=True)
entities = st.from_regex(r"[A-Z][A-Z0-9_]{0,63}", fullmatch=True)
treatments = st.sampled_from([t.name for t in Treatment] + [t.name.lower() for t in Treatment])
counts = st.integers(0, 2**53 - 1)


def rows(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, max_size=5).map(tuple)


events = st.builds(
    AuditEvent,
    id=st.uuids().map(lambda u: u.hex),
    kind=st.sampled_from(["egress.decision", "egress.outcome", "request.refused"]),
    at=st.datetimes(
        min_value=datetime(1970, 1, 2),
        max_value=datetime(2255, 1, 1),
        timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    ),
    exchange=st.uuids().map(str),
    principal=st.just("") | identifiers,
    tenant=st.just("") | identifiers,
    purpose=st.just("") | words,
    basis=st.just("") | words,
    origin=st.just("") | words,
    regions=rows(words),
    protocol=st.just("") | identifiers,
    endpoint=st.just("") | identifiers,
    location=st.just("") | words,
    treatment=st.just("") | treatments,
    treatments=st.dictionaries(words, treatments, max_size=5),
    counts=st.dictionaries(entities, counts, max_size=5),
    residual=st.none() | counts,
    consents=rows(words),
    filings=rows(words),
    age=st.none() | counts,
    found=st.dictionaries(words, counts, max_size=5),
    confidences=st.dictionaries(words, counts, max_size=5),
    judged=rows(identifiers),
    local=st.just("") | identifiers,
    unalterable=rows(words),
    injected=st.booleans(),
    shadow=st.dictionaries(words, treatments, max_size=5),
    policies=rows(identifiers),
    policy_digest=st.just("") | st.binary(min_size=4, max_size=64).map(bytes.hex),
    code=st.just("") | words,
    status=counts,
    bytes_in=counts,
    bytes_out=counts,
    errors=rows(names),
)


@given(events)
def test_decode_gives_the_event_that_was_encoded(event: AuditEvent) -> None:
    data = encode(event)
    assert decode(data) == event
    assert encode(decode(data)) == data


@pytest.mark.parametrize("exchange", ["1" * 32, "11111111-1111-4111-8111-111111111111"])
def test_an_exchange_may_be_a_uuid_without_a_letter(exchange: str) -> None:
    assert decode(encode(replace(SMALL, exchange=exchange))).exchange == exchange


def test_every_field_survives() -> None:
    for field in fields(AuditEvent):
        assert getattr(FULL, field.name), f"{field.name} is not exercised"
    assert decode(encode(FULL)) == FULL


def test_an_event_is_canonical_json_without_its_empty_fields() -> None:
    expected = (
        b'{"at":1795163400123456,"exchange":"x1","id":"00000000000000000000000000000000",'
        b'"kind":"egress.decision","v":1}'
    )
    assert encode(SMALL) == expected


def test_no_name_left_is_recorded_and_told_apart_from_an_unknown_number() -> None:
    assert b'"residual":0' in encode(replace(SMALL, residual=0))
    assert b"residual" not in encode(replace(SMALL, residual=None))


def test_equal_events_have_equal_bytes() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-5)))
    turned = replace(FULL, at=elsewhere, counts={"EMAIL_ADDRESS": 2, "PERSON": 3})
    assert encode(turned) == encode(FULL)


def test_a_decoded_mapping_cannot_be_changed() -> None:
    decoded = decode(encode(FULL))
    with pytest.raises(TypeError):
        decoded.counts["PERSON"] = 4  # type: ignore[index]  # that it cannot is what is tested


TEXTS = {
    "sentence": "please call Maria Garcia back",
    "space": "a b",
    "newline": "a\n",
    "inner-newline": "a\nb",
    "tab": "a\tb",
    "nul": "a\0",
    "e-mail": "maria@example.org",
    "card": "4111-1111-1111-1111",
    "telephone": "+4915112345678",
    "unicode": "Müller",
    "lookalike": "рolicy",  # begins with a Cyrillic letter
    "long-s": "REDACTEDſ",
    "zero-width": "a\u200bb",
    "surrogate": "a\ud800",
    "long": "a" * 257,
    "markup": "<b>",
    "braces": "{a}",
    "percent": "%41",
}
STRINGS = [f.name for f in fields(AuditEvent) if getattr(FULL, f.name).__class__ is str]
TUPLES = [f.name for f in fields(AuditEvent) if isinstance(getattr(FULL, f.name), tuple)]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("field", [*STRINGS, *TUPLES, "treatments", "counts"])
def test_free_text_is_refused_and_not_quoted(field: str, text: str) -> None:
    values: Mapping[str, list[Any]] = {
        "treatments": [{text: "redacted"}, {"name": text}],
        "counts": [{text: 1}],
    }
    for value in values.get(field, [(text,) if field in TUPLES else text]):
        with pytest.raises(ValueError) as caught:
            encode(replace(FULL, **{field: value}))
        assert str(caught.value) == f"audit event: {field} cannot be recorded"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "0" * 31),
        ("id", "A" * 32),
        ("kind", ""),
        ("kind", "egress"),
        ("exchange", ""),
        ("at", NOW.replace(tzinfo=None)),
        ("at", datetime(1969, 12, 31, tzinfo=UTC)),
        ("at", datetime(9999, 1, 1, tzinfo=UTC)),
        ("at", 1),
        ("status", -1),
        ("status", 1.5),
        ("status", True),
        ("status", "200"),
        ("bytes_in", 2**53),
        ("counts", {"PERSON": 1.5}),
        ("counts", {"PERSON": -1}),
        ("counts", [("PERSON", 1)]),
        ("counts", {f"E{i}": 1 for i in range(MAX_ITEMS + 1)}),
        ("treatments", {"name": "shared"}),
        ("treatment", "allow"),
        ("regions", "eu"),
        ("regions", ["eu"]),
        ("policies", ("p",) * (MAX_ITEMS + 1)),
        ("policy_digest", "xyz"),
        ("principal", None),
        ("errors", ("ValueError: bad",)),
    ],
)
def test_what_does_not_have_the_form_of_its_field_is_refused(field: str, value: object) -> None:
    changed: dict[str, Any] = {field: value}
    with pytest.raises(Unrecordable, match=f"audit event: {field} cannot be recorded") as caught:
        encode(replace(FULL, **changed))
    assert caught.value.field == field


def altered(**changes: object) -> bytes:
    record = {**json.loads(encode(SMALL)), **changes}
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        encode(SMALL) + b" ",
        encode(SMALL)[:-1],
        encode(SMALL).replace(b'"v":1', b'"v":2'),
        encode(SMALL).replace(b'"v":1', b'"v":true'),
        encode(SMALL).replace(b'"v":1', b'"v":1,"v":1'),
        json.dumps(json.loads(encode(SMALL))).encode(),
        altered(note="hello"),
        altered(code=""),
        altered(code="two words"),
        altered(status=1.0),
        altered(at=1.5),
        altered(at="now"),
        altered(at=10**30),
        altered(at=None),
        altered(regions="eu"),
    ],
)
def test_bytes_that_encode_does_not_give_are_refused_and_not_quoted(data: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        decode(data)
    assert str(caught.value) == "not the bytes of an audit event of this version"


@given(st.binary(min_size=10, max_size=16), st.integers(0, 2**43 - 1))
def test_an_event_id_is_a_uuid_of_version_7(random: bytes, milliseconds: int) -> None:
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    parsed = uuid.UUID(event_id(now, random))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == milliseconds


def test_event_ids_sort_by_time_and_carry_all_randomness() -> None:
    early = event_id(NOW, b"\xff" * 10)
    late = event_id(NOW + timedelta(milliseconds=1), bytes(10))
    assert early < late
    assert early[12:] == "7fffbfffffffffffffff"
    assert late[12:] == "70008000000000000000"


@pytest.mark.parametrize(
    ("now", "random"),
    [
        (NOW, bytes(9)),
        (NOW.replace(tzinfo=None), bytes(10)),
        (datetime(1969, 12, 31, tzinfo=UTC), bytes(10)),
    ],
    ids=["too-little-randomness", "no-zone", "before-1970"],
)
def test_an_event_id_without_time_or_randomness_is_refused(now: datetime, random: bytes) -> None:
    with pytest.raises(ValueError, match="an event id needs"):
        event_id(now, random)
