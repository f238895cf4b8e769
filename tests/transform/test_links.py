from __future__ import annotations

import pytest

from guardrail.transform.links import ends_in_link, opened

FAR = "word " * 200


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ('<img src="https://x.example/?q=', '">'),
        ("<img src='https://x.example/?q=", "'>"),
        ("<img alt=x ", ">"),
        ("![x](<https://x.example/?q=", ">)"),
        ("![x](https://x.example/?q=(a)", ")"),
        ("![x](https://x.example/?q=(a", "))"),
        ("[x]: https://x.example/?q=", "\n"),
        ("background:url(https://x.example/?q=", ")"),
        ('background:url("https://x.example/?q=', '")'),
        ('see "https://x.example/?q=', '"'),
    ],
)
def test_what_goes_on_over_many_words_is_kept_until_it_ends(begins: str, ends: str) -> None:
    kept = opened(begins)
    for word in FAR.split():
        kept = opened(f"{kept} {word}")
        assert ends_in_link(f"{kept} {word}")
    assert len(kept) <= 12
    assert opened(f"{kept} word{ends} word") == ""


@pytest.mark.parametrize(
    "text", ["if i<n: i += 1", "a < b", "[x](https://x.example)", "<b>x</b>", 'x = "a', ""]
)
def test_nothing_is_kept_of_what_is_over_or_never_began(text: str) -> None:
    assert opened(text) == ""
