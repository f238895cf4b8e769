"""Spellings that a model reads like plain ones are found like plain ones, in the original text."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from contextlib import suppress
from random import Random
from textwrap import wrap
from time import process_time

import pytest
from detection_world import found, overlapping
from hypothesis import given
from hypothesis import strategies as st
from property_sizes import property_of

from guardrail.detection.normalize import View, readings, view
from guardrail.detection.views import Writer
from guardrail.errors import DetectorUnavailable, NestedTooDeep
from guardrail.types import Span

PLAIN = {
    "EMAIL_ADDRESS": "alice@example.com",
    "CREDIT_CARD": "4111-1111-1111-1111",
    "IBAN_CODE": "DE89 3704 0044 0532 0130 00",
    "PHONE_NUMBER": "+49 30 12345678",
}


def digits_from(zero: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(zero + int(c)) if c.isdigit() else c for c in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "zero-width space": "\u200b".join,
    "zero-width joiner": "\u200d".join,
    "word joiner": "\u2060".join,
    "byte order mark": "\ufeff".join,
    "soft hyphen": "\u00ad".join,
    "tag characters": "\U000e0041".join,
    "variation selector": "\ufe0f".join,
    "combining grapheme joiner": "\u034f".join,
    "Arabic-Indic digits": digits_from(0x660),
    "Devanagari digits": digits_from(0x966),
    "math bold digits": digits_from(0x1D7CE),
    "no-break space": lambda t: t.replace(" ", "\u00a0"),
    "narrow no-break space": lambda t: t.replace(" ", "\u202f"),
    "thin space": lambda t: t.replace(" ", "\u2009"),
    "ideographic space": lambda t: t.replace(" ", "\u3000"),
    "en dash": lambda t: t.replace("-", "–"),
    "no-break hyphen": lambda t: t.replace("-", "\u2011"),
    "minus sign": lambda t: t.replace("-", "\u2212"),
    "full-width at sign": lambda t: t.replace("@", "＠"),
    "small at sign": lambda t: t.replace("@", "﹫"),
    "one dot leader": lambda t: t.replace(".", "\u2024"),
    "ideographic full stop": lambda t: t.replace(".", "。"),
    "right-to-left override": lambda t: f"\u202e{t}\u202c",
}
CASES = [
    (entity, respelled, name)
    for name, respell in SPELLINGS.items()
    for entity, plain in PLAIN.items()
    if (respelled := respell(plain)) != plain
]


@pytest.mark.parametrize(
    ("entity", "value", "name"), CASES, ids=[f"{name}: {entity}" for entity, _, name in CASES]
)
def test_a_respelled_value_is_found_and_covered_whole(entity: str, value: str, name: str) -> None:
    (finding,) = found(f"Mine is {value} – yes")
    assert (entity, value.strip("\u202e\u202c")) == finding


def each(form: str, *, only: str = "") -> Callable[[str], str]:
    """Every character, or every one of `only`, in a format of its code point."""
    return lambda t: "".join(form.format(ord(c)) if not only or c in only else c for c in t)


def replacing(**signs: str) -> Callable[[str], str]:
    names = {"at": "@", "dot": ".", "dash": "-", "plus": "+", "space": " "}
    table = {ord(names[name]): sign for name, sign in signs.items()}
    return lambda text: text.translate(table)


def swapping(plain: str, twins: str) -> Callable[[str], str]:
    return lambda text: text.translate(dict(zip(map(ord, plain), twins, strict=True)))


def after(*steps: Callable[[str], str]) -> Callable[[str], str]:
    def respell(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return respell


def encoded(codec: Callable[[bytes], bytes], charset: str = "utf-8") -> Callable[[str], str]:
    return lambda text: codec(text.encode(charset)).decode()


def only_where(fits: Callable[[str], bool], respell: Callable[[str], str]) -> Callable[[str], str]:
    """Leaves a value as it is, which is no case, where the disguise does not fit it."""
    return lambda text: respell(text) if fits(text) else text


def is_number(text: str) -> bool:
    return not any(c.isalpha() for c in text)


def is_mail(text: str) -> bool:
    return "@" in text


LETTERS = string.ascii_uppercase + string.ascii_lowercase
WORDS = dict(
    zip("0123456789", "zero one two three four five six seven eight nine".split(), strict=True)
)
IN_CONTEXT = {
    "EMAIL_ADDRESS": ("Mail me: ", "alice@example.com"),
    "CREDIT_CARD": ("Card: ", "4111 1111 1111 1111"),
    "IBAN_CODE": ("Account ", "DE89 3704 0044 0532 0130 00"),
    "US_SSN": ("My SSN is ", "536-90-4399"),
    "PHONE_NUMBER": ("Call my phone: ", "+49 30 12345678"),
    "API_KEY": ("Key ", "AKIAQ3EGRIVL5XYZ7ABC"),
    "PERSON": ("My name is ", "Alice Johnson"),
}
DISGUISES: dict[str, Callable[[str], str]] = {
    "named references": replacing(
        at="&commat;", dot="&period;", dash="&hyphen;", plus="&plus;", space="&nbsp;"
    ),
    "decimal references": each("&#{};"),
    "decimal references with zeros": each("&#0000{};"),
    "hexadecimal references": each("&#x{:x};"),
    "references without semicolons": each("&#{}", only="@AJ"),
    "references in references": each("&amp;#{};"),
    "references thrice": each("&amp;amp;#{};"),
    "percent": each("%{:02X}"),
    "percent twice": each("%25{:02x}"),
    "percent thrice": each("%2525{:02x}"),
    "percent with u": each("%u{:04x}"),
    "percent of a reference": each("%26%23{}%3B"),
    "JSON escapes": each("\\u{:04x}"),
    "JSON in JSON": each("\\\\u{:04x}"),
    "long escapes": each("\\U{:08X}"),
    "braced escapes": each("\\u{{{:x}}}"),
    "bytes of a program": each("\\x{:02x}"),
    "octal bytes": each("\\{:03o}"),
    "quoted-printable": each("={:02X}"),
    "quoted-printable signs": each("={:02X}", only="@.+- "),
    "soft line breaks": lambda t: f"{t[:4]}=\n{t[4:]}",
    "combining noise": lambda t: "".join(c + "\u0334\u0310\u0325" for c in t),
    "struck out": lambda t: "".join(c + "\u0336" for c in t),
    "underlined": lambda t: "".join(c + "\u0332" for c in t),
    "decomposed accents": lambda t: "".join(c + "\u0308" * c.isalpha() for c in t),
    "accents": swapping("AEIRaeio", "ÄËÏŘäëïö"),
    "keycaps": lambda t: "".join(c + "\ufe0f\u20e3" * c.isdigit() for c in t),
    "bare keycaps": lambda t: "".join(c + "\u20e3" * c.isdigit() for c in t),
    "Cyrillic lookalikes": swapping("AEIJKaceiopx", "АЕІЈКасеіорх"),
    "Greek lookalikes": swapping("AEIKo", "ΑΕΙΚο"),
    "bold letters": lambda t: "".join(bold(c) for c in t),
    "monospaced": lambda t: "".join(
        chr(0x1D670 + LETTERS.index(c)) if c in LETTERS else c for c in t
    ),
    "circled letters": lambda t: "".join(
        chr(0x24B6 + LETTERS.index(c)) if c in LETTERS else c for c in t
    ),
    "squared letters": only_where(
        str.isupper, lambda t: "".join(chr(0x1F170 + ord(c) - 65) if c in LETTERS else c for c in t)
    ),
    "flags": only_where(
        str.isupper, lambda t: "".join(chr(0x1F1E6 + ord(c) - 65) if c in LETTERS else c for c in t)
    ),
    "circled digits": swapping("0123456789", "⓪①②③④⑤⑥⑦⑧⑨"),
    "negative circled digits": swapping("0123456789", "⓿❶❷❸❹❺❻❼❽❾"),
    "digits with a full stop": swapping("123456789", "⒈⒉⒊⒋⒌⒍⒎⒏⒐"),
    "raised digits": swapping("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"),
    "lowered digits": swapping("0123456789", "₀₁₂₃₄₅₆₇₈₉"),
    "spaces": " ".join,
    "two spaces": "  ".join,
    "hyphens": only_where(is_number, lambda t: "-".join(t.replace("-", ""))),
    "full stops": only_where(is_number, ".".join),
    "underscores": "_".join,
    "slashes": "/".join,
    "bars": "|".join,
    "lines": "\n".join,
    "(at)": only_where(is_mail, replacing(at=" (at) ", dot=" (dot) ")),
    "[at]": only_where(is_mail, replacing(at="[at]", dot="[dot]")),
    "{AT}": only_where(is_mail, replacing(at=" {AT} ", dot=" {DOT} ")),
    "[ät]": only_where(is_mail, replacing(at=" [ät] ", dot=" [punkt] ")),
    "[ÄT]": only_where(is_mail, replacing(at=" [ÄT] ", dot=" [PUNKT] ")),
    "(arroba)": only_where(is_mail, replacing(at=" (arroba) ", dot=" (punto) ")),
    "(arobase)": only_where(is_mail, replacing(at=" (arobase) ", dot=" (point) ")),
    "at and dot": only_where(is_mail, replacing(at=" at ", dot=" dot ")),
    "loose": only_where(is_mail, replacing(at=" @ ", dot=" . ")),
    "spaces and (at)": only_where(is_mail, after(" ".join, replacing(at="(at)", dot="(dot)"))),
    "bullets": only_where(is_mail, replacing(dot="•")),
    "number words": only_where(is_number, lambda t: " ".join(WORDS[c] for c in t if c.isdigit())),
    "number words with commas": only_where(
        is_number, lambda t: ", ".join(WORDS[c].title() for c in t if c.isdigit())
    ),
    "base64": encoded(base64.b64encode),
    "base64 without padding": lambda t: encoded(base64.b64encode)(t).rstrip("="),
    "url-safe base64": encoded(base64.urlsafe_b64encode),
    "base64 twice": after(encoded(base64.b64encode), encoded(base64.b64encode)),
    "base64 of UTF-16": encoded(base64.b64encode, "utf-16-le"),
    "base64 of percent": after(each("%{:02x}"), encoded(base64.b64encode)),
    "percent of base64": after(encoded(base64.b64encode), each("%{:02x}")),
    "lines of base64": lambda t: encoded(base64.encodebytes)(t.rjust(70)).strip(),
    "hexadecimal": lambda t: t.encode().hex(),
    "hexadecimal, spaced": lambda t: t.encode().hex(" ").upper(),
    "hexadecimal with colons": lambda t: t.encode().hex(":"),
    "hexadecimal number": lambda t: "0x" + t.encode().hex(),
    "hexadecimal of base64": lambda t: encoded(base64.b64encode)(t).encode().hex(),
    "turned around": lambda t: f"\u202e{t[::-1]}\u202c",
    "turned around twice": lambda t: f"\u202e{t[4:][::-1]}\u202d{t[:4]}\u202c\u202c",
    "turned around to the end of the line": lambda t: f"\u202e{t[::-1]}\n",
}
UNSEEN = {
    # Encoded, it is shorter than a token that is looked into.
    ("base64 without padding", "US_SSN"),
    # The words that give a name away do not reach over what stands before it in the token.
    ("lines of base64", "PERSON"),
}


def bold(character: str) -> str:
    return chr(0x1D400 + LETTERS.index(character)) if character in LETTERS else character


DISGUISED = [
    (entity, before, spelled, name)
    for name, disguise in DISGUISES.items()
    for entity, (before, plain) in IN_CONTEXT.items()
    if (spelled := disguise(plain)) != plain and (name, entity) not in UNSEEN
]


@pytest.mark.parametrize(
    ("entity", "before", "spelled", "name"),
    DISGUISED,
    ids=[f"{name}: {entity}" for entity, _, _, name in DISGUISED],
)
def test_a_disguised_value_is_found_and_covered_whole(
    entity: str, before: str, spelled: str, name: str
) -> None:
    value = spelled.strip("\u202d\u202e\u202c\n")
    assert (entity, value) in overlapping(f"{before}{spelled} – yes")


def test_plain_text_is_its_own_only_reading() -> None:
    for text in PLAIN_TEXTS:
        (seen,) = readings(text)
        assert seen.text is text
        assert seen.original(Span(0, 3)) == Span(0, 3)


PLAIN_TEXTS = (
    "",
    "plain - text 1",
    "Müller straße 日本",
    "100 % & more",
    "C:\\users",
    "Ein Satz mit Übermut, der (am Ende) nichts bedeutet.",
    "Он живёт в Москве, дом 7.",
    "a 1 b 2, I saw a man at dawn; one of two.",
    "/usr/local/share/applications/internationalization",
    "Donaudampfschifffahrtsgesellschaft",
    "naïve café à Zürich, 10 m², CO₂",
    "नमस्ते दुनिया",
)


@pytest.mark.parametrize(
    ("plain", "spans", "text"),
    [
        ("427", [(0, 1), (1, 2), (3, 4)], "４２\u200b7"),
        ("fi", [(0, 1), (0, 1)], "ﬁ"),
        ("a b", [(0, 1), (1, 2), (2, 3)], "a\u00a0b"),
        ("a-b", [(0, 1), (1, 2), (2, 3)], "a—b"),
        ("12", [(0, 1), (1, 2)], "١٢"),
        ("a@", [(0, 1), (1, 4)], "a%40"),
        ("é!", [(0, 6), (6, 7)], "%C3%A9!"),
        ("@", [(0, 6)], "\\u0040"),
        ("😀", [(0, 12)], "\\ud83d\\ude00"),
        ("é", [(0, 2)], "e\u0301"),
        ("4a", [(0, 3), (3, 4)], "4\ufe0f\u20e3a"),
        ("@", [(0, 7)], "%252540"),
        ("", [], "\u200b\u200d"),
    ],
)
def test_view(plain: str, spans: list[tuple[int, int]], text: str) -> None:
    seen = view(text)
    assert plain == seen.text
    assert [Span(*span) for span in spans] == spans_of(seen)


def spans_of(seen: View) -> list[Span]:
    """Where each code point of a view stands in the original."""
    return [seen.original(Span(at, at + 1)) for at in range(len(seen.text))]


def of_rules(text: str) -> set[str]:
    return {seen.text for seen in readings(text) if seen.rules_only}


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        ("5%4111 1111", "5%4111 1111"),
        ("12345678 Fax", "12345678\u200bFax"),
        ("john@acme.com", "jоhn@acme.com"),
        ("Ring 4111111", "Ring four one one one one one one"),
        ("Ring 4411", "Ring double four one one"),
    ],
)
def test_what_undoing_may_hide_or_only_guesses_is_read_by_rules_alone(
    reading: str, text: str
) -> None:
    assert (reading in of_rules(text)) is (reading != "Ring 4411")
    assert not (seen := next(iter(readings(text)))).rules_only, seen


@pytest.mark.parametrize(
    ("entity", "value", "text"),
    [
        ("CREDIT_CARD", "4111 1111 1111 1111", "5%4111 1111 1111 1111"),
        ("IBAN_CODE", "DE89 3704 0044 0532 0130 00", "iban=DE89 3704 0044 0532 0130 00"),
        ("IBAN_CODE", "DE89 3704 0044 0532 0130 00", "5%DE89 3704 0044 0532 0130 00"),
        ("PHONE_NUMBER", "+49 30 12345678", "+49 30 12345678²"),
        ("CREDIT_CARD", "4111 1111 1111 1111", "4111 1111 1111 1111\u200bFax"),
        ("CREDIT_CARD", "4111 1111 1111 1111", "\\4111 1111 1111 1111"),
        ("CREDIT_CARD", "4111 1111 1111 1111", "🇩🇪4111 1111 1111 1111"),
        ("CREDIT_CARD", "4242424242424242", "pay 4242424242424242"),
        ("EMAIL_ADDRESS", "YWxpY2VAZXhhbXBsZS5jb20", "user/YWxpY2VAZXhhbXBsZS5jb20="),
    ],
)
def test_what_looks_disguised_hides_nothing(entity: str, value: str, text: str) -> None:
    assert (entity, value) in overlapping(text)


BETWEEN = {
    "bare": "\n",
    "escaped": r"\r\n",
    "escaped twice": r"\\n",
    "indented": "\n    ",
    "quoted": "\n> ",
    "folded": "\r\n ",
    "of a program": '" +\n    "',
    "in a row": '" + "',
}


@pytest.mark.parametrize("width", [76, 57, 50, 40, 20])
@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN.keys())
def test_base64_in_lines_is_read_whole_however_they_are_set(between: str, width: int) -> None:
    for entity, (before, value) in IN_CONTEXT.items():
        said = f"What the message of today says: {before}{value} – yes."
        lines = wrap(base64.b64encode(said.encode()).decode(), width)
        token = between.join(lines)
        assert (entity, token) in overlapping(f'x = "{token}"'), entity
        assert (entity, token) in overlapping(f'x = "{token}{between}yours"'), entity


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be", "utf-16", "latin-1", "cp1252"])
def test_base64_of_other_charsets_is_read(charset: str) -> None:
    for entity, (before, value) in IN_CONTEXT.items():
        token = base64.b64encode(f"für später: {before}{value}, Köln".encode(charset)).decode()
        assert (entity, token) in overlapping(f"see {token}"), entity


@pytest.mark.parametrize(
    ("entity", "value", "text"),
    [
        ("CREDIT_CARD", "4111+1111+1111+1111", "name=Jane+Doe&card=4111+1111+1111+1111"),
        ("IBAN_CODE", "DE89+3704+0044+0532+0130+00", "iban=DE89+3704+0044+0532+0130+00"),
        ("PHONE_NUMBER", "030+90182045", "phone=030+90182045"),
        ("PHONE_NUMBER", "%2B49+30+90182045", "https://example.com/?tel=%2B49+30+90182045&a=b"),
        ("US_SSN", "536+90+4399", "ssn=536+90+4399"),
        ("PERSON", "Alice+Johnson", "q=My+name+is+Alice+Johnson&lang=en"),
        ("PERSON", "Alice+Johnson", "POST /?q=my+name+is+Alice+Johnson"),
        ("PHONE_NUMBER", "+49 30 90182045", "phone=+49 30 90182045"),
    ],
)
def test_a_plus_is_a_space_in_the_value_of_a_form(entity: str, value: str, text: str) -> None:
    assert (entity, value) in overlapping(text)


def test_recognizers_of_names_read_what_was_entered_where_it_looks_like_words() -> None:
    def for_all(text: str) -> list[str]:
        return [seen.text for seen in readings(text) if not seen.rules_only]

    assert "name=Jane Doe" in for_all("name=Jane+Doe")
    assert "n=jane doe&a=1" in for_all("n=jane+doe&a=1")
    assert "/?n=jane doe" in for_all("/?n=jane+doe")
    assert for_all("x=10+20") == ["x=10+20"]
    assert for_all("total=price+tax") == ["total=price+tax"]
    assert len(list(readings("i=i+1; x = 10 + 20; c+=12"))) == 1


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("Erika Müller called Hans Schäfer", "Erika M=C3=BCller called Hans Sch=C3=A4fer"),
        ("Erika Müller called", "Erika M=FCller called"),
        ("Erika Müller called", "Erika M=C3=BCl=\r\nler called"),
        ("From: Jürgen Müller", "From: =?utf-8?Q?J=C3=BCrgen_M=C3=BCller?="),
        ("From: Jane Doe <a@b.de>", "From: =?us-ascii?Q?Jane_Doe?= <a@b.de>"),
        ("Jürgen", "=?iso-8859-1?Q?J=FCrgen?="),
        ("Ян", "=?koi8-r?B?8c4=?="),
        ("Jürgen Müller", "=?utf-8?B?SsO8cmdlbg==?= Müller"),
        ("Jürgen", "=?utf-8*de?b?SsO8?=\r\n =?utf-8?q?rgen?="),
    ],
)
def test_recognizers_of_names_read_the_letters_of_mails(said: str, text: str) -> None:
    (seen,) = [seen for seen in readings(text) if not seen.rules_only and seen.text == said]
    first = seen.original(Span(0, 1)).start
    assert (first, seen.original(Span(len(said) - 1, len(said))).end) == (0, len(text))


@pytest.mark.parametrize(
    ("covered", "name", "text"),
    [
        ("M=C3=BCller", "Müller", "Erika M=C3=BCller called"),
        ("M=C3=BCller?=", "Müller", "=?utf-8?Q?J=C3=BCrgen_M=C3=BCller?="),
        ("=?utf-8?Q?J=C3=BCrgen", "Jürgen", "=?utf-8?Q?J=C3=BCrgen_M=C3=BCller?="),
    ],
)
def test_a_name_in_a_mail_is_covered_whole(covered: str, name: str, text: str) -> None:
    (seen,) = [seen for seen in readings(text) if name in seen.text and not seen.rules_only]
    at = seen.text.index(name)
    span = seen.original(Span(at, at + len(name)))
    assert text[span.start : span.end] == covered


@pytest.mark.parametrize(
    "text",
    [
        "a=C3 and b=E4",
        "x =?nonsense?Q?a?= y",
        "=?utf-8?B?////?=",
        "=?bz2?Q?abcd?=",
        "=?zip?B?eJw=?=",
        "?a=E4&b=C3bc",
        "=\n=",
    ],
)
def test_what_is_no_mail_gives_recognizers_nothing_new(text: str) -> None:
    assert [text] == [seen.text for seen in readings(text) if not seen.rules_only]


@pytest.mark.parametrize(
    ("entity", "value", "text"),
    [
        ("CREDIT_CARD", "4111 1111\x1b[31m 1111 1111", "pay \x1b[1m{}\x1b[0m now"),
        ("CREDIT_CARD", r"4111 1111\u001b[31m 1111 1111", "pay {} now"),
        ("CREDIT_CARD", r"4111 1111\033[0m 1111 1111", "pay {} now"),
        ("EMAIL_ADDRESS", "alice\x1b[0;31m@\x1b[0mexample.com", "mail {} now"),
        ("CREDIT_CARD", "4111<br>1111<br/>1111<br />1111", "pay {} now"),
        ("CREDIT_CARD", "4111 1111 <b>1111</b> 1111", "pay {} now"),
        ("CREDIT_CARD", "411111<!-- -->1111111111", "pay {} now"),
        ("CREDIT_CARD", "4111**1111**1111**1111", "pay {} now"),
        ("EMAIL_ADDRESS", "alice<wbr>@<span class='x'>example</span>.com", "mail {} now"),
        ("EMAIL_ADDRESS", "**alice**@example.com", "mail {} now"),
        ("IBAN_CODE", "DE89`3704`0044`0532`0130`00", "account {}"),
    ],
)
def test_marks_and_colours_inside_a_value_do_not_hide_it(
    entity: str, value: str, text: str
) -> None:
    assert any(
        entity == kind and value.strip("*") in covered
        for kind, covered in overlapping(text.format(value))
    )


@pytest.mark.parametrize(
    "text",
    [
        "a**b + 4111**2 * 1111",
        "<td>41111112</td><td>11111111</td>",
        "`12`.`34` and x<b>y",
        "\x1b[32m12\x1b[0m of \x1b[33m34\x1b[0m",
        "__init__.py of foo**kwargs, *args",
    ],
)
def test_marks_between_values_join_nothing(text: str) -> None:
    assert found(text) == []


ESCAPED_LINES = {
    "JSON": ("CREDIT_CARD", "4111111111111111", r'{"msg": "paid with:\n4111111111111111\nok"}'),
    "a program": ("CREDIT_CARD", "4111 1111 1111 1111", r'print("Card:\n4111 1111 1111 1111")'),
    "JSON in JSON": ("CREDIT_CARD", "4111111111111111", r"{\"a\":\"with:\\n4111111111111111\\n\"}"),
    "number": ("US_SSN", "536-90-4399", r'{"msg":"his SSN:\n536-90-4399\nok"}'),
    "token": (
        "ACCESS_TOKEN",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        r'env = "A=1\nghp_abcdefghijklmnopqrstuvwxyz0123456789\n"',
    ),
    "tabs": ("PHONE_NUMBER", "+49 30 90182045", r"name\tphone\n+49 30 90182045\t192.0.2.17"),
    "address": ("IP_ADDRESS", "192.0.2.17", r"name\tphone\n030 90182045\t192.0.2.17"),
    "key": ("API_KEY", "AKIAIOSFODNN7EXAMPLQ", r"\nAKIAIOSFODNN7EXAMPLQ"),
    "form feed": ("API_KEY", "AKIAIOSFODNN7EXAMPLQ", r"\fAKIAIOSFODNN7EXAMPLQ\b"),
    "mail": ("EMAIL_ADDRESS", "jane.doe@example.com", r'"mail:\njane.doe@example.com\n"'),
    "name": ("PERSON", "Alice Johnson", r'"My name is\r\nAlice Johnson\r\n"'),
    "slashes": ("DATE_OF_BIRTH", r"12\/05\/1980", r'{"born": "born 12\/05\/1980"}'),
    "in base64": (
        "CREDIT_CARD",
        "eyJtc2ciOiJ3aXRoOlxuNDExMTExMTExMTExMTExMVxub2sifQ==",
        "eyJtc2ciOiJ3aXRoOlxuNDExMTExMTExMTExMTExMVxub2sifQ==",
    ),
}


@pytest.mark.parametrize(
    ("entity", "value", "text"), ESCAPED_LINES.values(), ids=ESCAPED_LINES.keys()
)
def test_an_escape_of_white_space_before_a_value_does_not_hide_it(
    entity: str, value: str, text: str
) -> None:
    assert (entity, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        r"C:\new\table and \newcommand of \bfoo\b",
        r"my login ACME\bob@example.com",
    ],
)
def test_an_escape_that_may_be_none_is_read_as_it_stands_too(text: str) -> None:
    assert text in {seen.text for seen in readings(text) if not seen.rules_only}


def test_a_folder_that_begins_like_an_escape_is_part_of_what_it_names() -> None:
    assert ("EMAIL_ADDRESS", "bob@example.com") in found(r"my login is ACME\bob@example.com")


def test_recognizers_read_a_text_with_escapes_twice_only_where_it_is_ambiguous() -> None:
    for_all = [seen.text for seen in readings(r"a:\n4111") if not seen.rules_only]
    assert for_all == ["a:\n4111"]


@pytest.mark.parametrize(
    "text",
    [
        "out = q @ k.transpose(-2, -1)\nloss = a @ b.inv()",
        "The dot product of a at b is a dot b.",
        "[[1, 0, 1, 1], [0, 1, 1, 0]]\n0 1 1 0 1 0 0 1 1 0 1 0\n1 2 3 4 5 6 7 8 9 10 11 12",
        "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z",
        "one two three, one two three, one two three four",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "/usr/share/dotnet/shared/Microsoft.AspNetCore.App/internationalization",
        "?a=40&b=2E&c=%20x&copy=1",
        "x² + y² = z², 10 m², H₂O, 1⁄2, ½ cup, ①②③",
        "00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff",
        "новый телефон; iPhone-а, PDF-файл, C++-код",
    ],
)
def test_ordinary_text_that_looks_disguised_gives_no_finding(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "%" + "25" * 12 + "40",
        "&" + "amp;" * 12 + "commat;",
        "\u202e\u202d" * 12 + "a",
        after(*[encoded(base64.b64encode)] * 4)("alice@example.com"),
    ],
    ids=["percent", "references", "overrides", "base64"],
)
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(NestedTooDeep):
        list(readings(text))
    with pytest.raises(DetectorUnavailable, match="NestedTooDeep"):
        found(text)


def test_a_picture_in_base64_is_no_text() -> None:
    picture = base64.b64encode(Random(1).randbytes(100_000)).decode()
    assert [picture] == [seen.text for seen in readings(picture)]


PIECES = st.sampled_from(
    [
        *"a 1 \\n \\\\t 123456 BEGIN:VCARD".split(),
        *(
            "a=bb+cc&",
            "M=C3=BCll",
            "=?utf-8?Q?J=C3=BC_?=",
            "=?latin-1?B?SsO8cmdlbg==?=",
            "\n ",
            "\n> ",
            "1-\n",
            "a@\n",
        ),
        *"a 1 % & ; \\ %40 %25 %C3 %A9 &#64; &amp; \\u0040 \\ud83d \\x41 \\101 =40".split(),
        *("=\n", "(at)", "(dot)"),
        *"one two 4 1 @ . YWxpY2VAZXhhbXBsZS5jb20= 616c696365406578616d706c652e636f6d".split(),
        *(
            "１",
            "\u200b",
            "\u202e",
            "\u202d",
            "\u202c",
            "\n",
            " ",
            "\u0301",
            "\u0336",
            "а",
            "①",
            "²",
        ),
        *("\U000e0041", "É", "🇩", "•", "ﷺ"),
        *("\x1b[31m", "\\033[0m", "<b>", "<br/>", "**", "`", "__", "DE89", "Erika", "name="),
    ]
)
TEXTS = st.lists(PIECES | st.characters(), max_size=16).map("".join)


def seen_in(text: str) -> list[View]:
    """Its readings; none when it is refused for being nested too deep."""
    with suppress(NestedTooDeep):
        return list(readings(text))
    return []


@property_of("offset maps")
@given(TEXTS)
def test_every_code_point_of_a_view_comes_from_the_text_in_order(text: str) -> None:
    spans = spans_of(view(text))
    assert spans == sorted(spans)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


@property_of("offset maps")
@given(TEXTS)
def test_no_reading_leaves_the_text_or_grows_beyond_bounds(text: str) -> None:
    seen = seen_in(text)
    assert len(seen) <= 60
    for reading in seen:
        assert len(reading.text) <= 4 * len(text)
        assert all(0 <= span.start < span.end <= len(text) for span in spans_of(reading))


@property_of("offset maps")
@given(TEXTS, st.data())
def test_a_span_of_a_reading_covers_each_of_its_code_points(text: str, data: st.DataObject) -> None:
    for seen in seen_in(text):
        if not seen.text:
            continue
        start = data.draw(st.integers(0, len(seen.text) - 1))
        end = data.draw(st.integers(start + 1, len(seen.text)))
        whole, parts = seen.original(Span(start, end)), spans_of(seen)[start:end]
        # More than that where what lies between them in the text is left out of the reading.
        assert whole.start <= min(p.start for p in parts)
        assert whole.end >= max(p.end for p in parts)


@property_of("offset maps")
@given(TEXTS)
def test_a_code_point_that_is_kept_is_found_where_it_stands(text: str) -> None:
    for seen in seen_in(text):
        for character, span in zip(seen.text, spans_of(seen), strict=True):
            if character.isascii() and character.isalpha() and span.end - span.start == 1:
                assert text[span.start] == character or not text[span.start].isascii()


@property_of("offset maps")
@given(st.text())
def test_no_digit_of_a_view_is_exotic(text: str) -> None:
    assert not any(c.isdecimal() and not c.isascii() for c in view(text).text)


OVERRIDE = "\u202e"


@property_of("offset maps")
@given(TEXTS)
def test_every_reading_keeps_the_order_of_a_text_that_turns_nothing_around(text: str) -> None:
    for seen in seen_in(text.replace(OVERRIDE, "")):
        spans = spans_of(seen)
        assert [span.start for span in spans] == sorted(span.start for span in spans)
        assert [span.end for span in spans] == sorted(span.end for span in spans)


Edit = tuple[int, str, str]
"""Code points it takes, what it does with them, and what it writes in their place."""
EDITS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["keep", "turn", "put", "drop"]),
        st.text("xyz", max_size=3),
    ),
    max_size=6,
)


def edited(seen: View, behind: list[set[int]], edits: list[Edit]) -> tuple[View, list[set[int]]]:
    """A view with edits made in it, and which offsets of the original each code point stands for,
    told the slow way.
    """
    writer, model, at = Writer(seen.text), list[set[int]](), 0
    for width, how, plain in edits:
        end = min(len(seen.text), at + width)
        if how == "keep":
            writer.keep(at, end)
            model += behind[at:end]
        elif how == "turn":
            writer.turn(at, end)
            model += behind[at:end][::-1]
        elif how == "put" and at < end:
            writer.put(plain, at, end)
            model += [set[int]().union(*behind[at:end])] * len(plain)
        at = end
    writer.keep(at, len(seen.text))
    return writer.view(seen), model + behind[at:]


@property_of("offset maps", cases=300)
@given(st.text("abc", max_size=12), st.lists(EDITS, max_size=4), st.data())
def test_a_span_maps_back_through_any_edits_upon_edits(
    text: str, layers: list[list[Edit]], data: st.DataObject
) -> None:
    seen, behind = View(text), [{at} for at in range(len(text))]
    for edits in layers:
        seen, behind = edited(seen, behind, edits)
    assert len(seen.text) == len(behind)
    if not seen.text:
        return
    for character, offsets, span in zip(seen.text, behind, spans_of(seen), strict=True):
        if character in "abc":  # kept
            assert (text[span.start : span.end], {span.start}) == (character, offsets)
    start = data.draw(st.integers(0, len(behind) - 1))
    end = data.draw(st.integers(start + 1, len(behind)))
    offsets = set[int]().union(*behind[start:end])
    span = seen.original(Span(start, end))
    assert 0 <= span.start <= min(offsets) <= max(offsets) < span.end <= len(text)
    if not any(how == "turn" for edits in layers for _, how, _ in edits):
        assert (span.start, span.end) == (min(offsets), max(offsets) + 1)


HOSTILE = {
    "marks": "\u0301\u0327",
    "one base, many marks": "a" + "\u0301\u0327\u0336" * 50,
    "escapes": "%25",
    "backslashes": "\\",
    "references": "&amp;",
    "ampersands": "&a",
    "overrides": "\u202ea\u202c",
    "open overrides": "a\u202c",
    "tags": "\U000e0041",
    "single letters": "a ",
    "single dots": ". ",
    "spaces": " ",
    "pairs of digits": "61 ",
    "odd pairs": "61 6",
    "base64": "QUFB",
    "lines of base64": "QUFB" * 19 + "\n",
    "short tokens": "abcdefghijklmnop ",
    "slashes": "abcdefghijklmnop/",
    "number words": "one ",
    "doubles": "double ",
    "at and dot": "a (at) b (dot) ",
    "signs": " @ ",
    "lookalikes": "aа",
    "circles": "①",
    "long words": "é9",
    "quoted": "=41",
    "soft line breaks": "=\n",
    "escaped lines": "\\na",
    "folded lines": "@a\n ",
    "lines of digits": "1 1 1 1 1 1\n",
    "lines of blocks": "AA11AAAA\n",
    "encoded words": "=?utf-8?Q?a",
    "short encoded words": "=?utf-8?Q?a?= ",
    "quoted letters": "a=C3=BC=E4bb",
    "colours": "1\x1b[0m",
    "open tags": "1<b ",
    "inline tags": "1<b>",
    "stars": "1**",
    "forms": "a=ab+cd&",
    "sums": "=aa+aa",
    "pluses": "aa+",
    "folders": "\\\\nab",
    "drives": "C:\\na",
    "ligatures": "ﷺ",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_reading_hostile_text_takes_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        start = process_time()
        with suppress(NestedTooDeep):
            for _ in readings(text):
                pass
        return process_time() - start

    # Quadratic work on 200,000 code points would take minutes; linear work takes less than one.
    assert seconds(200_000) < 20
