"""Who asks, from where and why: what headers may say, and of whom they are believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from guardrail.context import PREFIX, App, derive_context
from guardrail.errors import Refusal
from guardrail.types import Principal, RequestContext

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {
    "purpose": frozenset({"support", "clinical"}),
    "basis": frozenset({"contract", "consent"}),
    "consent": frozenset({"explicit", "parental"}),
    "filing": frozenset({"TIA", "DPIA"}),
}
APP = App(
    principal=Principal(id="crm", establishment="DE"),
    purpose="support",
    basis="contract",
    origin="DE",
    consents=frozenset({"explicit"}),
    filings=frozenset({"TIA"}),
)
TRUSTED = replace(APP, trust_headers=True)


def derive(app: App = TRUSTED, /, **said: str) -> RequestContext:
    headers = [(PREFIX + name, value) for name, value in said.items()]
    return derive_from(
        [("content-type", "application/json"), ("x-other", "planted"), *headers], app
    )


def derive_from(headers: list[tuple[str, str]], app: App = TRUSTED) -> RequestContext:
    return derive_context(
        app,
        headers=headers,
        vocabulary=WORDS,
        exchange="exchange-1",
        now=NOW,
    )


@pytest.mark.parametrize("app", [APP, TRUSTED], ids=["untrusted", "trusted"])
def test_without_headers_the_configuration_says_it_all(app: App) -> None:
    assert derive(app) == RequestContext(
        exchange="exchange-1",
        principal=APP.principal,
        purpose="support",
        basis="contract",
        origin="DE",
        conversation="exchange-1",
        now=NOW,
        consents=frozenset({"explicit"}),
        filings=frozenset({"TIA"}),
        age=None,
    )


SAID: list[tuple[str, str, str, object]] = [
    ("purpose", "clinical", "purpose", "clinical"),
    ("basis", "consent", "basis", "consent"),
    ("origin", "US-CA", "origin", "US-CA"),
    ("origin", "GB", "origin", "GB"),
    ("consents", "explicit, parental", "consents", frozenset({"explicit", "parental"})),
    ("consents", "", "consents", frozenset()),
    ("consents", " , parental,", "consents", frozenset({"parental"})),
    ("filings", "DPIA", "filings", frozenset({"DPIA"})),
    ("age", "0", "age", 0),
    ("age", "12", "age", 12),
    ("age", "120", "age", 120),
    ("conversation", "abcd_EF-01", "conversation", "abcd_EF-01"),
    ("conversation", "a" * 128, "conversation", "a" * 128),
]


@pytest.mark.parametrize(("header", "value", "fact", "expected"), SAID)
def test_a_trusted_header_is_believed(header: str, value: str, fact: str, expected: object) -> None:
    context = derive(TRUSTED, **{header: value})
    assert getattr(context, fact) == expected
    assert replace(context, **{fact: getattr(derive(), fact)}) == derive()


@pytest.mark.parametrize(("header", "value", "fact", "expected"), SAID)
def test_an_untrusted_header_refuses_the_request(
    header: str, value: str, fact: str, expected: object
) -> None:
    with pytest.raises(Refusal) as caught:
        derive(APP, **{header: value})
    assert (caught.value.status, caught.value.code) == (400, "untrusted_header")
    assert f"{PREFIX}{header} " in caught.value.message


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("purpose", "planted"),
        ("purpose", ""),
        ("purpose", "SUPPORT"),
        ("purpose", "support,clinical"),
        ("basis", "planted"),
        ("origin", "planted"),
        ("origin", ""),
        ("origin", "de"),
        ("origin", "DEU"),
        ("origin", "US-CALI"),
        ("origin", "US-"),
        ("origin", "DE\n"),
        ("consents", "explicit,planted"),
        ("consents", "explicit;parental"),
        ("filings", "tia"),
        ("age", "planted"),
        ("age", ""),
        ("age", "-1"),
        ("age", "1.5"),
        ("age", "1000"),
        ("age", "٣"),
        ("age", "²"),
        ("age", "1_0"),
        ("conversation", "short"),
        ("conversation", ""),
        ("conversation", "a" * 129),
        ("conversation", "a planted b"),
        ("conversation", "../../planted"),
        ("conversation", "plänted12"),
        ("planted", "x"),
        ("tenant", "other"),
        ("principal", "other"),
        ("establishment", "US"),
        ("sector", "public"),
    ],
)
def test_a_trusted_header_that_says_nonsense_refuses_the_request(header: str, value: str) -> None:
    with pytest.raises(Refusal) as caught:
        derive(TRUSTED, **{header: value})
    assert (caught.value.status, caught.value.code) == (400, "invalid_header")
    assert "planted" not in caught.value.message
    assert caught.value.__cause__ is None


def test_an_unknown_header_is_not_echoed_to_who_may_not_send_it() -> None:
    with pytest.raises(Refusal) as caught:
        derive(APP, planted="x")
    assert "planted" not in caught.value.message


@pytest.mark.parametrize("header", ["purpose", "age", "conversation"])
@pytest.mark.parametrize("values", [("12", "12"), ("support", "clinical")], ids=["same", "other"])
def test_a_header_that_comes_twice_is_ambiguous(header: str, values: tuple[str, str]) -> None:
    with pytest.raises(Refusal) as caught:
        derive_from([(PREFIX + header, value) for value in values])
    assert (caught.value.status, caught.value.code) == (400, "ambiguous_header")


def test_no_header_changes_who_asks() -> None:
    assert {name for name, *_ in SAID} == {
        "purpose",
        "basis",
        "origin",
        "consents",
        "filings",
        "age",
        "conversation",
    }


def test_what_the_configuration_says_is_checked_as_well() -> None:
    with pytest.raises(Refusal):
        derive(replace(APP, purpose="whatever"))
