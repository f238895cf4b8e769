"""Every part that fails denies, and what policy protects is nowhere in what leaves."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from exchange_world import (
    CLOUD,
    CRM,
    ENDED,
    HOME,
    POLICIES,
    REGIONS,
    ROUTES,
    Story,
    ask,
    chat,
    completion,
    deployment,
    detector,
    forwarded,
    guard,
    open_exchange,
    policies_with,
    post,
    said,
    started,
    tell,
    usual,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.detection.detector import Detector, RuleDetector, build_detector
from guardrail.detection.engine import Wanted
from guardrail.detection.lists import deny_rules
from guardrail.detection.names import Doubt
from guardrail.detection.patterns import Rule
from guardrail.detection.selection import Preferences, Selection
from guardrail.detection.special import special_lexicon
from guardrail.errors import ConfigError, DetectorUnavailable, Refusal
from guardrail.exchange import ChunkReceived, Deployment, RecordFailed
from guardrail.guard import (
    Blocked,
    Inspection,
    Part,
    build_guard,
    inspect,
    judge,
    may_go_unaudited,
    shield,
    strictest,
)
from guardrail.policy.cedar import Source, parse
from guardrail.policy.loader import load_policies, slices
from guardrail.policy.verdicts import Memory
from guardrail.protocols.bodies import read_body, read_form
from guardrail.protocols.fields import leaves
from guardrail.protocols.maps import GENERIC, load_protocols, protocol_of
from guardrail.spans import resolve
from guardrail.taxonomy import load_taxonomy
from guardrail.transform.known import is_structured
from guardrail.transform.vault import Vault
from guardrail.types import Category, Decision, Finding, Reason, Span, TextUnit, Treatment

PLANTED = "alice.planted@example.com"
OPENAI = load_protocols()["openai.chat"]


def denied(story: Story, status: int, code: str) -> None:
    """Refused once, recorded once, nothing forwarded, and nobody is told what was asked."""
    assert story.lines[0] == f"record request.refused {code}, reply {status} {code}, close"
    assert story.forwards == []
    for shown in (repr(story.commands), story.reply.body.decode()):
        assert "planted" not in shown


# ── the four that must deny ──────────────────────────────────────────────────────────────────────


def with_rules(text: str, *, only: bool = False) -> Deployment:
    """The usual policies with rules added to every set, or those rules alone, unvalidated."""
    usual_guard = guard()
    extra, problems = parse(Source(name="policies/extra.cedar", text=text))
    assert problems == []
    store = usual_guard.policies
    changed = replace(
        store,
        sets={
            law: slices(extra if only else [*known, *extra]) for law, known in store.rules.items()
        },
        reasons={
            **store.reasons,
            **{one.id: Reason(policy=one.id, effect=one.effect) for one in extra},
        },
        memo=Memory(64),
    )
    return deployment(guard=replace(usual_guard, policies=changed))


FORBID_THAT_ERRORS = """
@id("test.errors") @title("t") forbid (principal, action, resource) when { context.nowhere > 1 };
"""
PERMIT_ALL = '@id("test.all") @title("t") permit (principal, action, resource);'


@pytest.mark.parametrize("model", ["gpt-4o", "llama3", "mistral-1", "auto"])
@pytest.mark.parametrize("permits", ["", PERMIT_ALL], ids=["shipped", "and all is permitted"])
def test_a_forbid_that_errors_denies(permits: str, model: str) -> None:
    deployed = with_rules(FORBID_THAT_ERRORS + permits)
    story = tell(open_exchange(deployed), ask(PLANTED, model=model))
    denied(story, 503, "guardrail_unavailable")
    assert story.records[0].errors == ("PolicyEvaluation",)


@pytest.mark.parametrize("model", ["gpt-4o", "llama3", "mistral-1", "auto"])
def test_a_set_without_permits_denies(model: str) -> None:
    forbid = '@id("test.no") @title("t") forbid (principal, action, resource) when { false };'
    story = tell(open_exchange(with_rules(forbid, only=True)), ask(PLANTED, model=model))
    denied(story, 403, "policy_violation")


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"00-base.cedar": ""}, id="empty base"),
        pytest.param({"eu.cedar": "// nothing"}, id="empty law"),
        pytest.param({"eu.cedar": None}, id="missing law"),
        pytest.param(dict.fromkeys(["00-base.cedar", "eu.cedar", "uk.cedar", "us.cedar"]), id="no"),
    ],
)
def test_an_empty_policy_set_does_not_start(
    tmp_path: Path, files: dict[str, Callable[[str], str] | str | None]
) -> None:
    with pytest.raises(ConfigError, match=r"policies/.*cedar"):
        load_policies(
            policies_with(tmp_path, files),
            regions=REGIONS,
            taxonomy=load_taxonomy(),
            endpoints=[route.endpoint for route in ROUTES],
            principals=[CRM],
        )


@dataclass(frozen=True)
class Dead:
    """A detector that always fails, with the text in its error, as careless ones do."""

    error: type[BaseException]
    rules: Sequence[Rule] = ()
    entities: frozenset[str] = frozenset()
    light: int = 0

    def selection(self, app: str) -> Selection:
        return Selection()

    def find_all(self, units: Sequence[TextUnit], *, app: str) -> list[tuple[Finding, ...]]:
        raise self.error(units[0].text)

    def missed(self, units: Sequence[TextUnit], *, app: str) -> float | None:
        raise self.error(units[0].text)

    def beyond(self, wanted: Wanted, *, whole: bool) -> Detector | None:
        return None


def detecting_with(one: Detector) -> Deployment:
    return deployment(guard=replace(guard(), detector=one))


@pytest.mark.parametrize("model", ["gpt-4o", "llama3"])
@pytest.mark.parametrize(
    ("error", "name"),
    [
        (DetectorUnavailable, "DetectorUnavailable"),
        (RuntimeError, "Internal"),
        (TimeoutError, "Internal"),
        (MemoryError, "Internal"),
        (RecursionError, "Internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_dead_detector_denies(
    error: type[Exception], name: str, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    story = tell(open_exchange(detecting_with(Dead(error))), ask(PLANTED, model=model))
    denied(story, 503, "guardrail_unavailable")
    assert story.records[0].errors == (name,)
    assert dict(story.reply.headers)[b"retry-after"] == b"1"
    assert "planted" not in caplog.text


def test_a_detector_that_takes_too_long_denies() -> None:
    slow = Rule(entity="SECRET", name="slow", pattern=r"(?:x{1,40}x{1,40}){1,40}!", score=0.9)
    hasty = replace(detector(), rules=(slow,), timeout=1e-9)
    story = tell(open_exchange(detecting_with(hasty)), ask(f"{PLANTED} 1{'x' * 2000}"))
    denied(story, 503, "guardrail_unavailable")
    assert story.records[0].errors == ("DetectorUnavailable",)


def test_a_failed_detection_is_not_remembered_as_nothing_found() -> None:
    class Flaky:
        dead = True
        entities = frozenset({"PERSON"})

        def find(self, unit: TextUnit) -> list[Finding]:
            if self.dead:
                raise RuntimeError(unit.text)
            return []

    flaky = Flaky()
    one = replace(detector(), recognizers=(flaky,))
    unit = TextUnit(pointer="/a", text=f"mail {PLANTED}")
    with pytest.raises(DetectorUnavailable) as caught:
        one.find(unit)
    error: BaseException | None = caught.value
    while error is not None:
        assert "planted" not in str(error)
        error = error.__cause__
    flaky.dead = False
    assert [found.entity for found in one.find(unit)] == ["EMAIL_ADDRESS"]


def test_an_unwritable_audit_log_denies() -> None:
    story = tell(open_exchange(), ask(PLANTED), RecordFailed(), started(), said("x"), ENDED)
    assert story.lines[1:] == ["reply 503 audit_unavailable, close", "", "", ""]
    assert json.loads(story.reply.body)["error"]["code"] == "audit_unavailable"
    assert dict(story.reply.headers)[b"retry-after"] == b"1"


# ── and every other fact that policy cannot judge ────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"principal": replace(CRM, id="stranger")}, "UnknownPrincipal"),
        ({"principal": replace(CRM, establishment="US")}, "UnknownPrincipal"),
        ({"purpose": "whatever"}, "UnknownPurpose"),
        ({"basis": "whatever"}, "UnknownBasis"),
        ({"consents": frozenset({"whatever"})}, "UnknownConsent"),
        ({"filings": frozenset({"whatever"})}, "UnknownFiling"),
        ({"age": -1}, "InvalidFacts"),
    ],
    ids=str,
)
def test_a_context_that_policies_do_not_know_denies(facts: dict[str, object], error: str) -> None:
    story = tell(open_exchange(None, **facts), ask(PLANTED))  # type: ignore[arg-type]
    denied(story, 503, "guardrail_unavailable")
    assert story.records[0].errors == (error,)


def test_an_endpoint_that_policies_do_not_know_denies() -> None:
    moved = replace(CLOUD, endpoint=replace(CLOUD.endpoint, location="FR"))
    deployed = deployment(guard=guard(), routes=(HOME, moved))
    story = tell(open_exchange(deployed), ask(PLANTED))
    assert story.records[0].errors == ("UnknownEndpoint",)


def test_every_entity_that_a_rule_finds_is_classified() -> None:
    known = load_taxonomy().categories
    assert {rule.entity for rule in detector().rules} - known.keys() == set()


def test_what_nobody_classified_never_leaves() -> None:
    odd = Rule(entity="ODD", name="odd", pattern=r"odd-[0-9]{4}", score=0.9)
    one = replace(detector(), rules=(odd,))
    story = tell(open_exchange(detecting_with(one)), ask("this is odd-1234"))
    assert story.lines == ["record egress.decision, forward home"]


# ── leaks: a value that is protected stands nowhere in what leaves ───────────────────────────────

CARD = "4111111111111111"
MAIL = "alice@example.com"


def calling(arguments: str) -> bytes:
    """A request whose model has called a tool."""
    calls = [{"function": {"name": "f", "arguments": arguments}}]
    return chat("x", messages=[{"role": "assistant", "tool_calls": calls}])


PLACES: dict[str, bytes] = {
    "a number of a field": b'{"model":"gpt-4o","seed":%s,"messages":[]}' % CARD.encode(),
    "a bias": b'{"model":"gpt-4o","messages":[],"logit_bias":{"1":%s}}' % CARD.encode(),
    "an option": b'{"model":"gpt-4o","messages":[],"stream_options":{"x":[%s]}}' % CARD.encode(),
    "a number nobody knows": b'{"model":"gpt-4o","messages":[],"order":%s}' % CARD.encode(),
    "a float": b'{"model":"gpt-4o","messages":[],"order":%s.0}' % CARD.encode(),
    "a negative number": b'{"model":"gpt-4o","messages":[],"order":-%s}' % CARD.encode(),
    "a key": b'{"model":"gpt-4o","messages":[],"m":{"%s":1}}' % CARD.encode(),
    "a key of a message": b'{"model":"gpt-4o","messages":[{"role":"user","%s":1}]}' % CARD.encode(),
    "a key in an option": b'{"model":"gpt-4o","messages":[],"stream_options":{"%s":1}}'
    % CARD.encode(),
    "tool arguments": calling(f'{{"n": {CARD}}}'),
    "tool arguments, escaped": calling(f'{{"n": "\\u0034\\u0031{CARD[2:]}"}}'),
    "tool arguments twice over": calling(json.dumps({"n": json.dumps({"n": CARD})})),
    "tool arguments that are cut": calling(f'{{"n": "{CARD}'),
    "a tool's schema": chat(
        "x",
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "parameters": {"enum": [CARD], "default": int(CARD)}},
            }
        ],
    ),
    "a tool's name": chat("x", tools=[{"type": "function", "function": {"name": f"f_{CARD}"}}]),
    "a role": chat("x").replace(b'"user"', b'"%s"' % CARD.encode()),
    "the model": b'{"model":"gpt-%s","messages":[]}' % CARD.encode(),
    "metadata": chat("x", metadata={"card": CARD, "deep": [[{"n": CARD}]]}),
    "a user's id": chat("x", user=CARD),
    "a content part": chat([{"type": "text", "text": CARD}]),  # type: ignore[arg-type]
    "an unknown content part": chat([{"type": "new", "new": {"t": CARD}}]),  # type: ignore[arg-type]
    "a null-separated text": chat(f"a\x00{CARD}\x00b"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_card_number_leaves_from_no_place(place: str) -> None:
    story = tell(open_exchange(), post(PLACES[place]))
    for forward in story.forwards:
        assert forward.route is HOME or CARD.encode() not in forward.body
        assert forward.route is HOME or CARD[2:].encode() not in forward.body
    assert CARD not in repr(story.records) + repr(story.commands)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":"alice\\u0040example.com"}', id="escaped"),
        pytest.param('{"a":"alice\\u0040example.com","a":1}', id="escaped and ambiguous"),
        pytest.param('{"a":"alice\\u0040example.com"', id="escaped and cut"),
        pytest.param('"alice\\u0040example.com"', id="a bare string"),
        pytest.param('[["alice\\u0040example.com"]]', id="nested"),
    ],
)
def test_escapes_hide_nothing_in_tool_arguments(text: str) -> None:
    story = tell(open_exchange(), post(calling(text)))
    sent = story.forwarded.decode() if story.forwards else ""
    assert "alice" not in sent


def test_a_value_found_once_is_protected_wherever_it_stands() -> None:
    body = chat(
        "my phone is 555-0199-22",
        "call 555-0199-22!",
        metadata={"n": "x555-0199-22x", "deep": {"555-0199-22": [1]}},
    )
    assert b"555-0199-22" not in forwarded(body)


def test_part_of_a_name_is_protected_with_the_name() -> None:
    sent = forwarded(chat("my name is Erika Mustermann. Mustermann, with two n.", "Mustermann?"))
    assert b"Mustermann" not in sent
    assert b"Erika" not in sent


def test_the_value_of_an_earlier_turn_is_known_in_a_later_one() -> None:
    vault = Vault()
    forwarded(chat("my name is Erika Mustermann"), vault=vault)
    sent = forwarded(chat("what did Erika Mustermann say?"), vault=vault)
    assert json.loads(sent)["messages"][0]["content"] == "what did [PERSON_1] say?"


def test_a_user_id_leaves_as_a_keyed_digest() -> None:
    first = json.loads(forwarded(chat("x", user="alice-4711")))["user"]
    again = json.loads(forwarded(chat("y", user="alice-4711")))["user"]
    other = json.loads(forwarded(chat("y", user="alice-4712")))["user"]
    assert first == again != other
    assert first.startswith("user-")
    assert len(first) == len("user-") + 32


@pytest.mark.parametrize("leaf", ["input_audio", "file", "image_url"])
def test_media_never_leave_in_any_spelling(leaf: str) -> None:
    for value in ({"data": "AAAA"}, "AAAA", ["AAAA"], None, 7, True):
        part = {"type": leaf, leaf: value}
        story = tell(open_exchange(), ask([part]))  # type: ignore[arg-type]  # a part as content
        assert "forward cloud" not in story.lines[0] or b"AAAA" not in story.forwarded


def test_token_ids_are_text_that_cannot_be_read() -> None:
    story = tell(
        open_exchange(), post(b'{"model":"gpt-4o","prompt":[1,2,3,4,5,6,7,8,9]}', path="/")
    )
    assert story.lines == ["record egress.decision, forward home"]


# ── the functions themselves ─────────────────────────────────────────────────────────────────────


def read(body: bytes) -> list[tuple[object, object]]:
    return [(read_body(body, content_type="application/json"), OPENAI)]


def test_an_inspection_counts_by_entity_and_judges_by_category() -> None:
    body = read_body(chat(f"{MAIL}, bob@example.com, {CARD}"), content_type="application/json")
    seen = inspect(guard(), [(body, OPENAI)], vault=Vault(), app="crm")
    assert dict(seen.counts) == {"EMAIL_ADDRESS": 2, "CREDIT_CARD": 1}
    assert {c: e.count for c, e in seen.evidence.items()} == {"contact": 2, "card": 1}
    assert "alice" not in repr(seen)


def test_nothing_found_is_a_category_of_its_own() -> None:
    body = read_body(chat("hello"), content_type="application/json")
    seen = inspect(guard(), [(body, OPENAI)], vault=Vault(), app="crm")
    assert (list(seen.evidence), dict(seen.counts)) == (["none"], {})


@pytest.mark.parametrize(
    ("missed", "treatment"),
    [(0.2, Treatment.REDACTED), (0.3, Treatment.LOCAL), (None, Treatment.LOCAL)],
)
def test_an_inspection_tells_policy_how_many_names_may_be_left(
    missed: float | None, treatment: Treatment
) -> None:
    class Doubting:
        entities = frozenset({"PERSON"})

        def find(self, unit: TextUnit) -> list[Finding]:
            return []

    class Telling(Doubting):
        def examine(self, unit: TextUnit) -> tuple[list[Finding], list[Doubt]]:
            doubts = [Doubt(Span(0, 1), missed or 0.0)]
            return [], doubts if "diabetic" in unit.text else []

    recognizer = Doubting() if missed is None else Telling()
    finder = replace(detector(), recognizers=(special_lexicon(), recognizer))
    one = replace(guard(), detector=finder)
    body = read_body(chat("I am a diabetic"), content_type="application/json")
    seen = inspect(one, [(body, OPENAI)], vault=Vault(), app="crm")
    decision = judge(one, usual(), seen, endpoint=CLOUD.endpoint, local=HOME.endpoint)
    assert seen.residual == missed
    assert decision.treatment is treatment


def test_a_body_and_a_query_are_parts_of_one_request() -> None:
    body = read_body(chat(MAIL), content_type="application/json")
    query = read_form(f"cc={MAIL}".encode())
    vault = Vault()
    seen = inspect(guard(), [(body, OPENAI), (query, GENERIC)], vault=vault, app="crm")
    decision = judge(guard(), usual(), seen, endpoint=CLOUD.endpoint, local=HOME.endpoint)
    sent = shield(guard(), seen, decision, vault=vault)
    assert json.loads(sent[0])["messages"][0]["content"] == "[EMAIL_1]"
    assert sent[1] == b"cc=%5BEMAIL_1%5D"


MARKED = {
    "Anna": "PERSON",
    "Anna Smith": "PERSON",
    "Smith": "LOCATION",
    "Smith Anna Smith": "PERSON",
    "a1@b.co": "EMAIL_ADDRESS",
    "1@b.co.uk": "EMAIL_ADDRESS",
    "+49 30 901820": "PHONE_NUMBER",
    "901820": "PHONE_NUMBER",
    "Ann": "PERSON",
}
_ITEMS = "|".join(map(re.escape, sorted(MARKED, key=len, reverse=True)))
MENTIONS = st.lists(
    st.builds("".join, st.tuples(st.sampled_from(["", "", "!"]), st.sampled_from([*MARKED]))),
    max_size=6,
)


def marked(text: str) -> tuple[Finding, ...]:
    """Finds what stands after an exclamation mark."""
    return tuple(
        Finding(
            entity=MARKED.get(m[1], "EMAIL_ADDRESS"),
            span=Span(*m.span(1)),
            score=0.8,
            recognizer="mark",
        )
        for m in re.finditer(rf"!({_ITEMS}|user\d+@example\.com)", text)
    )


def numbered(texts: Sequence[str]) -> list[tuple[str, str]]:
    """What is numbered, in order: leaf by leaf, and for each value all leaves from the first on."""
    order: dict[tuple[str, str], None] = {}
    values: dict[str, str] = {}

    def stand(text: str, known: Mapping[str, str]) -> Iterator[Finding]:
        for value, entity in known.items():
            word = "" if is_structured(value) else r"(?:(?<![^\W_])|(?![^\W_]))"
            for m in re.finditer(f"(?={word}({re.escape(value)}){word})", text):
                if len(value) >= 4:
                    span = Span(*m.span(1))
                    yield Finding(entity=entity, span=span, score=1.0, recognizer="known-value")

    for at, text in enumerate(texts):
        new: dict[str, str] = {}
        for finding in marked(text):
            value = text[finding.span.start : finding.span.end]
            new[value] = finding.entity
            if finding.entity == "PERSON":
                new.update((name, "PERSON") for name in value.split() if len(name) >= 4)
        new = {value: entity for value, entity in new.items() if value not in values}
        values.update(new)
        found = [(text, f) for f in resolve([*marked(text), *stand(text, values)])]
        for earlier in texts[:at]:
            found += [(earlier, f) for f in stand(earlier, new)]
        for where, f in found:
            order.setdefault((f.entity, where[f.span.start : f.span.end]))
    return list(order)


def treated(texts: Sequence[str]) -> tuple[list[tuple[str, str]], bytes]:
    """What is numbered of what is marked, in order, and the body that leaves."""
    body = read_body(chat(*texts), content_type="application/json")
    found = tuple(leaves(body.payload, OPENAI.request))
    part = Part(body=body, leaves=found, findings=tuple(marked(leaf.text) for leaf in found))
    categories = {load_taxonomy().category(entity) for entity in MARKED.values()}
    decision = Decision(
        endpoint="cloud", treatments=dict.fromkeys(categories, Treatment.PSEUDONYMISED)
    )
    vault = Vault()
    inspection = Inspection(parts=(part,), evidence={}, counts={})
    (sent,) = shield(guard(), inspection, decision, vault=vault)
    return [(entry.entity, entry.original) for entry in vault], sent


@settings(max_examples=300, deadline=None)
@example(["!Anna Smith Anna Smith", "!Smith Anna Smith"])
@given(st.lists(MENTIONS.map(" ".join) | MENTIONS.map("".join), min_size=1, max_size=5))
def test_values_are_numbered_as_if_leaf_by_leaf(texts: list[str]) -> None:
    order, _ = treated(texts)
    expected = numbered(["gpt-4o", *(text for one in texts for text in ("user", one))])
    assert order[: len(expected)] == expected
    # Where values overlap, what one leaves of another is numbered after all of them.
    assert all(any(rest in value for _, value in expected) for _, rest in order[len(expected) :])


def test_many_values_in_many_leaves_take_no_longer_than_one_by_one() -> None:
    started = perf_counter()
    order, sent = treated([f"!user{n}@example.com, user{n + 1}@example.com" for n in range(8000)])
    assert [value for _, value in order] == [f"user{n}@example.com" for n in range(8000)]
    assert sent.count(b"@example.com") == 1
    assert perf_counter() - started < 30  # by trying each value on each leaf: minutes


def test_a_decision_that_forgot_a_category_protects_it_most() -> None:
    body = read_body(chat(MAIL), content_type="application/json")
    vault = Vault()
    seen = inspect(guard(), [(body, OPENAI)], vault=vault, app="crm")
    (sent,) = shield(guard(), seen, Decision(endpoint="cloud"), vault=vault)
    assert b"[EMAIL REDACTED]" in sent
    assert len(vault) == 0


def test_the_strictest_decision_holds_everywhere() -> None:
    def decided(contact: Treatment, health: Treatment, error: str = "") -> Decision:
        return Decision(
            endpoint="x",
            treatments={Category("contact"): contact, Category("health"): health},
            errors=(error,) if error else (),
        )

    worst = strictest(
        [
            decided(Treatment.CLEAR, Treatment.REDACTED),
            decided(Treatment.PSEUDONYMISED, Treatment.CLEAR, "Timeout"),
        ],
        endpoint="cloud",
    )
    assert dict(worst.treatments) == {
        "contact": Treatment.PSEUDONYMISED,
        "health": Treatment.REDACTED,
    }
    assert (worst.endpoint, worst.errors) == ("cloud", ("Timeout",))


def test_no_decision_at_all_is_a_denial() -> None:
    assert strictest([], endpoint="x").treatment is Treatment.BLOCKED


def test_only_a_local_endpoint_goes_on_unaudited() -> None:
    body = read_body(chat(MAIL), content_type="application/json")
    seen = inspect(guard(), [(body, OPENAI)], vault=Vault(), app="crm")
    for route in ROUTES:
        assert not may_go_unaudited(guard(), usual(), seen, endpoint=route.endpoint)


def test_a_rule_that_cannot_be_streamed_does_not_start() -> None:
    endless = Rule(entity="SECRET", name="endless", pattern=r"secret-\d+", score=0.9)
    with pytest.raises(ConfigError, match="endless"):
        build_guard(
            detector=RuleDetector(rules=(endless,)),
            policies=guard().policies,
            taxonomy=load_taxonomy(),
            key=b"k" * 32,
        )


def test_the_secret_key_of_a_guard_is_not_shown() -> None:
    assert "kkkk" not in repr(guard())


def test_a_blocked_answer_names_the_category_only() -> None:
    assert str(Blocked(Category("card"))) == "the answer holds card data, which policy blocks"


def test_personal_data_in_structure_is_refused_without_quoting_it() -> None:
    body = read_body(chat("x", service_tier=MAIL), content_type="application/json")
    seen = inspect(guard(), [(body, OPENAI)], vault=Vault(), app="crm")
    decision = judge(guard(), usual(), seen, endpoint=CLOUD.endpoint, local=None)
    with pytest.raises(Refusal) as caught:
        shield(guard(), seen, decision, vault=Vault())
    assert (caught.value.status, caught.value.code) == (400, "personal_data_in_structure")
    assert "alice" not in str(caught.value)


# ── what is restored, and where ──────────────────────────────────────────────────────────────────


def answered(text: str, answer: str, **message: object) -> Story:
    return tell(
        open_exchange(), ask(text), started(), ChunkReceived(completion(answer, **message)), ENDED
    )


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        pytest.param("[EMAIL_1]", MAIL, id="as it was sent"),
        pytest.param("<EMAIL_1> \\[email\\_1\\] EMAIL_1", f"{MAIL} {MAIL} {MAIL}", id="mangled"),
        pytest.param("[EMAIL_2] [PERSON_1]", "[EMAIL_2] [PERSON_1]", id="never guessed"),
        pytest.param("https://x.example/?q=[EMAIL_1]", "https://x.example/?q=[EMAIL_1]", id="link"),
        pytest.param("![x](//x.example/[EMAIL_1])", "![x](//x.example/[EMAIL_1])", id="image"),
        pytest.param("[EMAIL_1](https://x.example)", f"{MAIL}(https://x.example)", id="link text"),
        pytest.param(f"{CARD} [CARD_1]", "[CARD REDACTED] [CARD_1]", id="cards never"),
    ],
)
def test_an_answer_shows_the_user_what_policy_lets_it(answer: str, shown: str) -> None:
    assert answered(f"{MAIL} {CARD}", answer).text == shown


def test_a_tool_gets_originals_only_where_it_is_declared() -> None:
    call = [{"id": "c", "function": {"name": "send", "arguments": '{"to": "[EMAIL_1]"}'}}]
    body = ChunkReceived(completion("", tool_calls=call))
    for declared, expected in ((frozenset[str](), "[EMAIL_1]"), (frozenset({"send"}), MAIL)):
        deployed = deployment(guard=guard(restore_tools=declared))
        story = tell(open_exchange(deployed), ask(MAIL), started(), body, ENDED)
        message = json.loads(story.answer)["choices"][0]["message"]
        arguments = json.loads(message["tool_calls"][0]["function"]["arguments"])
        assert arguments == {"to": expected}


def test_log_probabilities_are_removed_since_they_spell_the_text() -> None:
    choice = {"message": {"content": "x"}, "logprobs": {"content": [{"token": CARD}]}}
    body = ChunkReceived(json.dumps({"choices": [choice]}).encode())
    story = tell(open_exchange(), ask("x"), started(), body, ENDED)
    assert json.loads(story.answer)["choices"][0]["logprobs"] is None


def test_the_shipped_policies_are_what_these_tests_run_on() -> None:
    assert guard(POLICIES).policies.digest == guard().policies.digest


# ── one detection, many apps ─────────────────────────────────────────────────────────────────────


def serving(**settings: Any) -> Deployment:
    """The usual deployment, whose detector was built with these settings."""
    return deployment(
        guard=build_guard(
            detector=build_detector(names=["blank:en"], **settings),
            policies=guard().policies,
            taxonomy=load_taxonomy(),
            key=b"k" * 32,
        )
    )


STAFF = "Ask Jo Doe of Falcon, not acme@example.com."
OWN = {
    "crm": Preferences(deny={"PERSON": ("Jo Doe",)}, allow=("acme@example.com",)),
    "other": Preferences(deny={"PERSON": ("Falcon",)}),
}


def test_an_app_s_own_lists_hold_in_its_requests_and_answers() -> None:
    story = tell(open_exchange(serving(apps=OWN)), ask(STAFF), started(), said(STAFF), ENDED)
    sent = json.loads(story.forwarded)["messages"][0]["content"]
    assert sent == "Ask [PERSON_1] of Falcon, not acme@example.com."
    assert story.text == STAFF  # policy shows names in answers
    assert dict(story.records[0].counts) == {"PERSON": 1}


def test_another_app_s_lists_do_not() -> None:
    story = tell(open_exchange(serving(apps={"other": OWN["other"]})), ask(STAFF))
    assert json.loads(story.forwarded)["messages"][0]["content"].startswith("Ask Jo Doe of Falcon")


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        pytest.param(Preferences(), False, id="no settings"),
        pytest.param(Preferences(allow=("4111111111111111", CARD)), True, id="allowed"),
        pytest.param(Preferences(allow=("4111 1111",)), False, id="a part is allowed"),
        pytest.param(Preferences(exclude=frozenset({"CREDIT_CARD"})), True, id="excluded"),
        pytest.param(Preferences(only=frozenset({"PERSON"})), True, id="not among the only"),
        pytest.param(Preferences(only=frozenset({"CREDIT_CARD"})), False, id="among the only"),
    ],
)
def test_what_counts_for_an_app_is_what_is_masked_in_its_answers(
    own: Preferences, shown: bool
) -> None:
    deployed = serving(apps={"crm": own})
    story = tell(open_exchange(deployed), ask("hi"), started(), said(f"card {CARD}."), ENDED)
    assert (CARD in story.text) is shown


@dataclass(frozen=True)
class Companies:
    """Finds `Falcon`, which is a company."""

    entities: frozenset[str] = frozenset({"ORGANIZATION"})

    def find(self, unit: TextUnit) -> list[Finding]:
        at = unit.text.find("Falcon")
        span = Span(at, at + 6)
        found = Finding(entity="ORGANIZATION", span=span, score=0.9, recognizer="companies")
        return [found] if at >= 0 else []


@pytest.mark.parametrize(
    ("review", "sent"),
    [
        (frozenset({"ORGANIZATION"}), "Ask [PERSON_1] of Falcon"),
        (frozenset(), "Ask [PERSON_1] of [ORGANIZATION_1]"),
    ],
    ids=["review", "on"],
)
def test_what_is_reviewed_is_counted_and_not_treated(review: frozenset[str], sent: str) -> None:
    rules = deny_rules("PERSON", ["Jo Doe"], name="deny")
    one = RuleDetector(
        rules=rules,
        recognizers=(Companies(),),
        selections={"": Selection(threshold=0.4, review=review)},
    )
    story = tell(open_exchange(detecting_with(one)), ask("Ask Jo Doe of Falcon"))
    assert json.loads(story.forwarded)["messages"][0]["content"] == sent
    assert dict(story.records[0].counts) == {"PERSON": 1, "ORGANIZATION": 1}


def test_a_request_that_takes_too_long_as_a_whole_is_refused() -> None:
    clock = iter(range(1000))
    one = replace(detector(), timeout=20.5, clock=lambda: next(clock))
    short, long = ask("hi"), ask(*(f"{n} {PLANTED}" for n in range(30)))
    assert tell(open_exchange(detecting_with(one)), short).forwards
    story = tell(open_exchange(detecting_with(one)), long)
    denied(story, 503, "guardrail_unavailable")
    assert story.records[0].errors == ("DetectorUnavailable",)


# ── what protocols call their fields, and the ids that programs make ─────────────────────────────

TOKEN = "0263b1a9-56e3-6307-0459-ff3ec82b0d98"
MINTED = "a93ae2d4c39cda96704541412901642b97387f8e38a2449fb7"  # a96704541 is a DEA number


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        pytest.param(rpc("initialize", capabilities={"elicitation": {}}), [], id="capability"),
        pytest.param(rpc("resources/read", uri="x:1", _meta={"progressToken": TOKEN}), [], id="_"),
        pytest.param(rpc("notifications/progress", progressToken=TOKEN), [], id="progress"),
        pytest.param(rpc("tools/call", name="f", arguments={"uri": "x"}), [], id="argument"),
        pytest.param(
            rpc("x", tools=[{"inputSchema": {"properties": {"uri": {}}, "required": ["uri"]}}]),
            [],
            id="schema",
        ),
        pytest.param([{"jsonrpc": "2.0", "id": 1, "result": {}}], [], id="answer"),
        pytest.param(rpc("tools/call", arguments={"anna": 1}), ["PERSON"], id="a name"),
        pytest.param(rpc("x", note="uri"), ["PERSON"], id="a text"),
        pytest.param(rpc("x", arguments={"progressToken": TOKEN}), ["SECRET"], id="own token"),
        pytest.param(
            {"messages": [{"role": "tool", "tool_call_id": f"call_{MINTED}"}]}, [], id="minted"
        ),
        pytest.param(
            {"messages": [{"role": "tool", "content": MINTED}]}, ["MEDICAL_LICENSE"], id="said"
        ),
    ],
)
def test_a_protocol_s_own_words_are_nobody(payload: Any, found: list[str]) -> None:
    body = read_body(json.dumps(payload).encode(), content_type="application/json")
    protocol = protocol_of(body.payload, "/mcp" if isinstance(payload, list) else "/x")
    inspection = inspect(guard(), [(body, protocol)], vault=Vault(), app="crm")
    assert sorted(inspection.counts) == found
