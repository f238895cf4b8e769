"""Texts that are always found, and texts that never are."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail.detection.lists import AllowList, deny_rules, read_list
from guardrail.detection.patterns import find
from guardrail.errors import ConfigError
from guardrail.guard import holds_on_streams


def denied(text: str, *texts: str) -> list[str]:
    found = find(deny_rules("PERSON", texts, name="deny"), text, threshold=0.4, timeout=5)
    return [text[f.span.start : f.span.end] for f in found]


@pytest.mark.parametrize(
    ("text", "texts", "expected"),
    [
        pytest.param("to Jo Doe.", ["Jo Doe"], ["Jo Doe"], id="as written"),
        pytest.param("to JO\n  doe!", ["Jo Doe"], ["JO\n  doe"], id="case and white space"),
        pytest.param("_Jo Doe_", ["Jo Doe"], ["Jo Doe"], id="in italics"),
        pytest.param("Jo Doering", ["Jo Doe"], [], id="longer word"),
        pytest.param("Banjo Doe", ["Jo Doe"], [], id="word that ends alike"),
        pytest.param("Jo Doe-Roe", ["Jo Doe", "Jo Doe-Roe"], ["Jo Doe-Roe"], id="longest"),
        pytest.param("Jo Doe", ["Jo Doe", "Jo"], ["Jo Doe"], id="one begins the other"),
        pytest.param("Jo, Joe, Jon", ["Jo", "Joe", "Jona"], ["Jo", "Joe"], id="shared beginnings"),
        pytest.param("a.b (c)*", ["a.b (c)*"], ["a.b (c)*"], id="not an expression"),
        pytest.param("axb (c)", ["a.b (c)"], [], id="a dot is a dot"),
        pytest.param("担当は山田太郎です", ["山田太郎"], ["山田太郎"], id="no spaces"),
        pytest.param("ЁЖ Ёлкин", ["ёлкин"], ["Ёлкин"], id="not Latin"),
        pytest.param("STRASSE 4", ["straße"], [], id="spelled otherwise"),
        pytest.param("Straße 4", ["STRAßE"], ["Straße"], id="sharp s"),
    ],
)
def test_a_denied_text_is_found_as_whole_words(
    text: str, texts: list[str], expected: list[str]
) -> None:
    assert denied(text, *texts) == expected


def test_many_denied_texts_are_each_found_and_hold_on_streams() -> None:
    names = [
        f"{first}{second}son {n}" for n in range(10) for first in "ABCDE" for second in "aeiou"
    ]
    rules = deny_rules("PERSON", names, name="deny")
    assert all(map(holds_on_streams, rules))
    assert denied("; ".join(names), *names) == names


@pytest.mark.parametrize("text", ["", "  ", "!!!", "x" * 129])
def test_a_text_that_cannot_be_found_as_a_word_is_refused_by_its_number(text: str) -> None:
    with pytest.raises(ValueError, match="entry 2 ") as caught:
        deny_rules("PERSON", ["Jo Doe", text], name="deny")
    assert "Jo Doe" not in str(caught.value)


def test_too_many_denied_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="1001 entries"):
        deny_rules("PERSON", map(str, range(1001)), name="deny")


def test_nothing_on_a_list_is_shown() -> None:
    (rule,) = deny_rules("PERSON", ["Jo Doe"], name="deny")
    assert "oe" not in repr((rule, AllowList.of(["Joe", "re:Joe?"])))


@pytest.mark.parametrize(
    ("allowed", "text", "expected"),
    [
        ("Acme Support", "acme  SUPPORT", True),
        ("Acme Support", "Ａcme\u00a0Support", True),
        ("Acme Support", "Acme Support GmbH", False),
        ("Acme Support", "Support", False),
        ("ACME.1", "ACME-1", False),
        ("re:ACME-[0-9]{1,6}", "acme-42", True),
        ("re:ACME-[0-9]{1,6}", "ACME-42 and more", False),
        ("re:.{1,5}@acme.com", "x@acme.com", True),
        ("re:(?:a|a|aa)+b", "a" * 120, False),  # takes too long, so it is not known to be allowed
    ],
)
def test_what_is_allowed_is_the_whole_text(allowed: str, text: str, expected: bool) -> None:
    assert (text in AllowList.of(["Other", allowed])) is expected


def test_an_empty_list_allows_nothing() -> None:
    assert "" not in AllowList()
    assert "x" not in AllowList.of([])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "entry 2 is empty"),
        ("x" * 129, "entry 2 is empty, or longer"),
        ("re:[", "entry 2 is not a regular expression"),
        ("re:.*", "entry 2 allows any text"),
        (r"re:[\s\S]{1,200}", "entry 2 allows any text"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        AllowList.of(["Acme", text])


def test_a_file_holds_one_text_a_line(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("# customers\n\n  Jo Doe \nZoë\n", "utf-8")
    assert read_list(path, setting="detection.allow_files") == ("Jo Doe", "Zoë")


def test_a_file_that_cannot_be_read_is_refused_by_its_setting(tmp_path: Path) -> None:
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.txt", binary):
        with pytest.raises(ConfigError, match=rf"^detection\.allow_files: .*{path.name}"):
            read_list(path, setting="detection.allow_files")
