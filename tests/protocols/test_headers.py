"""Which request headers are treated with the body, and which of them name a person."""

from __future__ import annotations

import pytest

from guardrail.protocols.headers import DEFAULT_HEADERS, HeaderNames, is_person

NAMES = HeaderNames(DEFAULT_HEADERS)


@pytest.mark.parametrize(
    ("name", "named", "person"),
    [
        ("x-user-email", True, True),
        ("x-forwarded-user", True, True),
        ("x-forwarded-preferred-username", True, True),
        ("openai-safety-identifier", True, True),
        ("helicone-user-id", True, True),
        ("x-litellm-customer-id", True, True),
        ("x-openwebui-user-name", True, True),
        ("x-openwebui-user-role", True, False),
        ("x-litellm-tags", True, False),
        ("helicone-property-session", True, False),
        ("baggage", True, False),
        ("x-litellm-api-key", False, False),
        ("helicone-property", False, False),
        ("user-agent", False, False),
        ("cookie", False, False),
        ("referer", False, False),
        ("authorization", False, False),
        ("traceparent", False, False),
        ("x-forwarded-for", False, False),
        ("openai-organization", False, False),
    ],
)
def test_a_header_is_known_by_its_name(name: str, named: bool, person: bool) -> None:
    assert (name.encode() in NAMES) is named
    assert is_person(name.encode()) is person


def test_no_names_name_nothing() -> None:
    assert b"x-user-email" not in HeaderNames()


@pytest.mark.parametrize("name", ["", "*-user", "X-User", "x user", "x-**", "x-user\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no header name"):
        HeaderNames(["x-a", name])
