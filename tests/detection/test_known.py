"""Lists of known people: exact, fast, verified, reloaded, and without a word of what they hold."""

from __future__ import annotations

import os
import string
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.detection.detector import RuleDetector, build_detector
from guardrail.detection.known.building import ListBuilder, remove_value
from guardrail.detection.known.file import KnownListUnavailable, open_list, read_header
from guardrail.detection.known.finder import KnownPeople, load_known
from guardrail.detection.known.keys import fingerprint, key_of, read_key_file
from guardrail.detection.known.spelling import Spelling, entries
from guardrail.errors import ConfigError
from guardrail.types import TextUnit

SECRET = "a secret that is long enough for anybody"
KEY = key_of(SECRET)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
PEOPLE = (
    ("PERSON", "Ada Lovelace"),
    ("PERSON", "Dr. Jürgen Müller"),
    ("PERSON", "Hopper, Grace Brewster"),
    ("PERSON", "Patrick O'Brien"),
    ("PERSON", "Anna-Maria van der Berg"),
    ("PERSON", "王小明"),
    ("PERSON", "Νίκος Παπαδόπουλος"),
    ("EMAIL_ADDRESS", "Ada.Lovelace@Example.com"),
    ("EMAIL_ADDRESS", "o'neil@example.org"),
    ("PHONE_NUMBER", "+49 30 901820"),
    ("PHONE_NUMBER", "(212) 555-0123"),
    ("USER_ID", "KD-00123-A"),
    ("USER_ID", "jsmith"),
    ("USER_ID", "adalove"),
    ("USER_ID", "7654321"),
    ("MEDICAL_RECORD_NUMBER", "00123456"),
    ("STREET_ADDRESS", "Lange Hauptstraße 5, 10115 Berlin"),
    ("IBAN_CODE", "DE89370400440532013000"),
)


def write(
    path: Path,
    rows: Iterable[tuple[str, str]] = PEOPLE,
    *,
    spelling: Spelling = Spelling(region="US"),  # noqa: B008
    secret: str = SECRET,
) -> Path:
    builder = ListBuilder(key_of(secret), spelling)
    for entity, value in rows:
        builder.add(entity, value)
    builder.write(path, now=NOW)
    return path


def load(path: Path) -> KnownPeople:
    (people,) = load_known([path], SECRET)
    return people


def found(people: KnownPeople, text: str) -> list[tuple[str, str]]:
    findings = people.find(TextUnit(pointer="", text=text))
    ordered = sorted(findings, key=lambda f: (f.span, f.entity))
    return [(f.entity, text[f.span.start : f.span.end]) for f in ordered]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> KnownPeople:
    return load(write(tmp_path_factory.mktemp("known") / "people.known"))


# ── what is found ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        pytest.param("ask Ada Lovelace now", "PERSON", "Ada Lovelace", id="name"),
        pytest.param("LOVELACE, Ada", "PERSON", "LOVELACE, Ada", id="family first"),
        pytest.param('"lovelace";"ada"', "PERSON", 'lovelace";"ada', id="in a table"),
        pytest.param("see ada_lovelace.pdf", "PERSON", "ada_lovelace", id="in a file's name"),
        pytest.param("Ada Lovelace's note", "PERSON", "Ada Lovelace", id="possessive"),
        pytest.param("Ada Lovelace’s note", "PERSON", "Ada Lovelace", id="possessive, curly"),
        pytest.param("Ada Lovelaces Brief", "PERSON", "Ada Lovelaces", id="genitive"),
        pytest.param("Ada\n  Lovelace", "PERSON", "Ada\n  Lovelace", id="over two lines"),
        pytest.param("Herr Jürgen Müller", "PERSON", "Jürgen Müller", id="without the title"),
        pytest.param("Jurgen Muller", "PERSON", "Jurgen Muller", id="without accents"),
        pytest.param("JUERGEN MUELLER", "PERSON", "JUERGEN MUELLER", id="umlauts spelt out"),
        pytest.param("Ju\u0308rgen Mu\u0308ller", "PERSON", "Ju\u0308rgen Mu\u0308ller", id="nfd"),
        pytest.param("Grace Brewster Hopper", "PERSON", "Grace Brewster Hopper", id="was reversed"),
        pytest.param("patrick o’brien", "PERSON", "patrick o’brien", id="apostrophe"),
        pytest.param(
            "Anna Maria van der Berg", "PERSON", "Anna Maria van der Berg", id="double name"
        ),
        pytest.param("我是王小明先生", "PERSON", "王小明", id="without spaces"),
        pytest.param(
            "ΝΙΚΟΣ ΠΑΠΑΔΟΠΟΥΛΟΣ", "PERSON", "ΝΙΚΟΣ ΠΑΠΑΔΟΠΟΥΛΟΣ", id="Greek capitals, final sigma"
        ),
        pytest.param(
            "to <ada.lovelace@EXAMPLE.com>.",
            "EMAIL_ADDRESS",
            "ada.lovelace@EXAMPLE.com",
            id="mail",
        ),
        pytest.param(
            "ada.lovelace+shop@example.com",
            "EMAIL_ADDRESS",
            "ada.lovelace+shop@example.com",
            id="mail with a tag",
        ),
        pytest.param(
            "?to=ada.lovelace@example.com.Then",
            "EMAIL_ADDRESS",
            "ada.lovelace@example.com",
            id="mail in a query, before a full stop",
        ),
        pytest.param(
            "o'neil@example.org", "EMAIL_ADDRESS", "o'neil@example.org", id="mail, apostrophe"
        ),
        pytest.param("call +49 30 90 18 20!", "PHONE_NUMBER", "+49 30 90 18 20", id="phone"),
        pytest.param("004930/901820", "PHONE_NUMBER", "004930/901820", id="phone, 00"),
        pytest.param("030 901820", "PHONE_NUMBER", "030 901820", id="phone, national"),
        pytest.param("+49 (0)30 901820", "PHONE_NUMBER", "+49 (0)30 901820", id="phone, (0)"),
        pytest.param("+1 212-555-0123", "PHONE_NUMBER", "+1 212-555-0123", id="phone, abroad"),
        pytest.param("212.555.0123", "PHONE_NUMBER", "212.555.0123", id="phone, dots"),
        pytest.param("no. kd 00123 a", "USER_ID", "kd 00123 a", id="id with other separators"),
        pytest.param("KD00123A", "USER_ID", "KD00123A", id="id without separators"),
        pytest.param("user jsmith left", "USER_ID", "jsmith", id="id without digits"),
        pytest.param("MRN 00123456", "MEDICAL_RECORD_NUMBER", "00123456", id="number"),
        pytest.param(
            "Lange Hauptstr. 5\n10115 Berlin",
            "STREET_ADDRESS",
            "Lange Hauptstr. 5\n10115 Berlin",
            id="address, abbreviated",
        ),
        pytest.param(
            "DE89 3704 0044 0532 0130 00", "IBAN_CODE", "DE89 3704 0044 0532 0130 00", id="IBAN"
        ),
    ],
)
def test_an_entry_is_found_however_it_is_written(
    text: str, entity: str, value: str, people: KnownPeople
) -> None:
    assert (entity, value) in found(people, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ada wrote to Lovelace",
        "Canada Lovelace ¶ Ada Loveless ¶ Adam Lovelace ¶ Ada Lovelaceham",
        "Ada! Lovelace?",
        "Ada – who was never a Lovelace –",
        "xo'neil@example.org, neil@example.org, o'neil@example.organic, o'neil@example.org.uk",
        "1212 555 01234, 12 12 555 0124",
        "KD-00123-B, XKD-00123-A, KD-00123-AX, 100123456, 001234567",
        "007654321, 07654321, 76543210",
        "Berlin, Lange Hauptstraße 6",
        "jsmiths, jsmit",
    ],
    ids=lambda text: text[:20] or "nothing",
)
def test_what_only_resembles_an_entry_is_not_found(text: str, people: KnownPeople) -> None:
    assert found(people, text) == []


def test_findings_are_certain_and_name_the_list(people: KnownPeople) -> None:
    (finding,) = people.find(TextUnit(pointer="", text="Ada Lovelace"))
    assert (finding.score, finding.recognizer) == (1.0, "known:people")


def test_the_longest_entry_from_a_word_on_is_taken_and_overlapping_ones_too(tmp_path: Path) -> None:
    rows = [("PERSON", name) for name in ("Ada Byron", "Ada Byron King", "King Noel")]
    people = load(write(tmp_path / "a.known", rows))
    assert found(people, "Ada Byron King Noel") == [
        ("PERSON", "Ada Byron King"),
        ("PERSON", "King Noel"),
    ]


def test_a_value_that_is_two_things_is_found_as_both(tmp_path: Path) -> None:
    rows = [("USER_ID", "1234567"), ("MEDICAL_RECORD_NUMBER", "1234567"), ("USER_ID", "7654321")]
    people = load(write(tmp_path / "a.known", rows))
    assert [entity for entity, _ in found(people, "1234567")] == [
        "MEDICAL_RECORD_NUMBER",
        "USER_ID",
    ]
    assert found(people, "7654321") == [("USER_ID", "7654321")]


def test_what_is_excluded_is_not_found(tmp_path: Path) -> None:
    write(tmp_path / "a.known")
    (people,) = load_known([tmp_path / "a.known"], SECRET, exclude=frozenset({"PERSON"}))
    assert "PERSON" not in people.entities
    assert found(people, "Ada Lovelace, jsmith") == [("USER_ID", "jsmith")]


def test_a_single_word_is_a_name_only_if_wanted_and_only_with_a_capital(tmp_path: Path) -> None:
    rows = [("PERSON", "Will"), ("PERSON", "Ada Lovelace")]
    assert found(load(write(tmp_path / "a.known", rows)), "Will came") == []
    people = load(write(tmp_path / "b.known", rows, spelling=Spelling(least_words=1)))
    assert found(people, "Will came, as he will") == [("PERSON", "Will")]


def test_ids_that_are_too_short_are_not_taken() -> None:
    assert entries("USER_ID", "1234", Spelling()) == []
    assert entries("USER_ID", "1234", Spelling(least_characters=4)) != []


@pytest.mark.parametrize("value", ["n/a", "N/A, n/a", "unknown", "Test User", "-", "none", ""])
@pytest.mark.parametrize("entity", ["PERSON", "USER_ID", "PHONE_NUMBER", "EMAIL_ADDRESS"])
def test_a_placeholder_of_a_table_is_nobody(entity: str, value: str) -> None:
    assert entries(entity, value, Spelling()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("G. Hopper", ["G. Hopper"], id="initial"),
        pytest.param("Hopper, G. B.", ["Hopper, G. B"], id="initials, reversed"),
        pytest.param("Grace B. Hopper", ["Grace B. Hopper"], id="middle initial"),
        pytest.param("Grace Hopper", ["Grace Hopper"], id="no middle name"),
        pytest.param("Gustav Müller", ["Gustav Müller"], id="u for ue"),
        pytest.param("Hopper's a genius", [], id="no initial: a word"),
        pytest.param("Lange Gasse 7", ["Lange Gasse 7"], id="first line of an address"),
        pytest.param("Lange Gasse", [], id="street without a number"),
    ],
)
def test_variants_are_found_if_wanted(text: str, expected: list[str], tmp_path: Path) -> None:
    rows = [
        ("PERSON", "Grace Brewster Hopper"),
        ("PERSON", "Abel Hopper"),
        ("PERSON", "Gustav Mueller"),
        ("STREET_ADDRESS", "Lange Gasse 7, 1010 Wien"),
    ]
    plain = load(write(tmp_path / "a.known", rows))
    assert found(plain, text) == []
    people = load(write(tmp_path / "b.known", rows, spelling=Spelling(variants=True)))
    assert [value for _, value in found(people, text)] == expected


# ── for every text ───────────────────────────────────────────────────────────────────────────────

PLANTED = tuple((e, v) for e, v in PEOPLE if e not in ("STREET_ADDRESS",))
FILLER = st.text(alphabet=string.ascii_letters + string.digits + " \n.,!?äß-王\u0301", max_size=60)


@given(before=FILLER, row=st.sampled_from(PLANTED), after=FILLER)
@settings(max_examples=150, deadline=None)
def test_every_entry_planted_in_any_text_is_found(
    before: str, row: tuple[str, str], after: str, people: KnownPeople
) -> None:
    entity, value = row
    spoken = value.removeprefix("Dr. ")
    text = f"{before} ¶ {spoken} ¶ {after}"
    start = text.index(spoken, len(before))
    spans = {(f.span.start, f.span.end) for f in people.find(TextUnit(pointer="", text=text))}
    start += value.startswith("(")  # a bracket before a number is not part of it
    assert any(a <= start and b >= start + len(spoken.lstrip("(")) for a, b in spans), entity


@given(text=st.text(alphabet="bcfhqwxyz BCFHQWXYZ579@.-_\n", max_size=400))
@settings(max_examples=150, deadline=None)
def test_a_text_without_entries_yields_none(text: str, people: KnownPeople) -> None:
    assert people.find(TextUnit(pointer="", text=text)) == []


def test_all_of_two_hundred_thousand_entries_are_found(tmp_path: Path) -> None:
    names = [f"{_word(n)} {_word(n * 7919 + 13)}x" for n in range(100_000)]
    ids = [f"KD-{n:07d}" for n in range(100_000)]
    rows = [*(("PERSON", name) for name in names), *(("USER_ID", one) for one in ids)]
    people = load(write(tmp_path / "a.known", rows))
    listed = [*names[::400], *ids[::400]]
    text = " ¶ ".join(listed)
    assert [value for _, value in found(people, text)] == listed
    assert found(people, " ¶ ".join(f"KD-{n:07d}" for n in range(100_000, 101_000))) == []


def _word(number: int) -> str:
    letters = []
    while number:
        number, rest = divmod(number, 20)
        letters.append("bcdfghjklmnpqrstvwxz"[rest])
    return "Ya" + "".join(letters)


@pytest.mark.parametrize(
    "text",
    ["Ada " * 10_000, "1 " * 10_000, "00" * 20_000, "a@" * 20_000, "@" * 50_000, "'" * 50_000],
    ids=lambda text: text[:4],
)
def test_a_hostile_text_is_read_in_time(text: str, people: KnownPeople) -> None:
    assert people.find(TextUnit(pointer="", text=text)) == []


def test_what_takes_too_long_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.known")
    fast = load(tmp_path / "a.known")
    late = KnownPeople(name="late", timeout=-1.0, _watch=fast._watch)
    with pytest.raises(TimeoutError):
        late.find(TextUnit(pointer="", text="Ada Lovelace"))


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


def test_a_list_holds_no_word_of_its_entries(tmp_path: Path) -> None:
    data = write(tmp_path / "a.known").read_bytes().lower()
    assert b'"entities": ["person"' in data
    for _, value in PEOPLE:
        for word in value.lower().split():
            if len(word) > 4:
                assert word.encode() not in data, word
    assert SECRET.encode() not in data
    assert KEY not in data


def test_a_list_is_for_its_owner_alone_and_keeps_who_may_read_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    write(path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["a.known"]


def test_a_list_tells_counts_and_lengths(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "a.known"))
    assert header.values["PERSON"] == 7
    assert header.key == fingerprint(KEY)
    assert header.created == "2026-11-25T00:00:00+00:00"
    assert header.words == (1, 2, 3, 5)


def test_the_same_list_under_another_key_has_no_hash_in_common(tmp_path: Path) -> None:
    ours = open_list(write(tmp_path / "a.known"), KEY).arrays()[1]
    other = "another secret that is long enough, too"
    theirs = open_list(write(tmp_path / "b.known", secret=other), key_of(other)).arrays()[1]
    assert set(ours.tolist()).isdisjoint(theirs.tolist())


def test_an_empty_list_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody to list"):
        write(tmp_path / "a.known", [("PERSON", "Will")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(lambda data: data[:-1], "not a complete list", id="cut"),
        pytest.param(lambda data: b"", "not a complete list", id="empty"),
        pytest.param(lambda data: b"name\nAda\n", "not a complete list", id="a table"),
        pytest.param(lambda data: b"X" + data[1:], "not a complete list", id="magic"),
        pytest.param(
            lambda data: data[:-60] + bytes([data[-60] ^ 1]) + data[-59:],
            "was changed since it was built",
            id="one bit",
        ),
        pytest.param(
            lambda data: data.replace(b'"lead": 2', b'"lead": 0'),
            "was changed since it was built",
            id="header",
        ),
    ],
)
def test_a_damaged_list_is_refused_at_the_start(
    damage: object, expected: str, tmp_path: Path
) -> None:
    assert callable(damage)
    path = write(tmp_path / "a.known")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigError, match=expected):
        load(path)


def test_a_list_that_was_built_with_another_key_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known", secret="another secret that is long enough, too")
    with pytest.raises(ConfigError, match="was built with another key"):
        load(path)


def test_every_list_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_known([tmp_path / "a.known", tmp_path / "b.known"], SECRET)
    assert [p.rpartition("/")[2] for p in caught.value.problems] == [
        "a.known: No such file or directory",
        "b.known: No such file or directory",
    ]


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 32 characters"):
        key_of("short")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known.key"
    path.write_text(SECRET, "ascii")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read this key"):
        read_key_file(path)
    path.chmod(0o600)
    assert read_key_file(path) == SECRET


# ── reloading ────────────────────────────────────────────────────────────────────────────────────


def test_a_list_that_is_replaced_holds_from_the_next_text_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known", [("PERSON", "Ada Lovelace")])
    people = load(path)
    before = people.generation
    text = "Ada Lovelace met Grace Hopper"
    assert found(people, text) == [("PERSON", "Ada Lovelace")]
    write(path, [("PERSON", "Grace Hopper")])
    assert found(people, text) == [("PERSON", "Grace Hopper")]
    assert people.generation != before


@pytest.mark.parametrize("content", [None, b"", b"half a list"], ids=["gone", "empty", "damaged"])
def test_a_list_that_breaks_stops_detection_until_it_is_whole_again(
    content: bytes | None, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.known")
    people = load(path)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(KnownListUnavailable, match=r"^a\.known: "):
            people.find(TextUnit(pointer="", text="nothing"))
    write(path)
    assert found(people, "Ada Lovelace") == [("PERSON", "Ada Lovelace")]


def test_a_list_that_shrinks_under_our_hands_is_an_error_and_no_crash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known")
    snapshot = open_list(path, KEY)
    os.truncate(path, 200)
    with pytest.raises(ValueError, match="not a complete list"):
        snapshot.arrays()


def test_a_detector_fails_closed_when_its_list_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known")
    detector = RuleDetector(rules=(), recognizers=(load(path),))
    unit = TextUnit(pointer="", text="Ｌｏｖｅｌａｃｅ, Ada\u200b is here")
    (finding,) = detector.detect(unit)
    assert unit.text[finding.span.start : finding.span.end] == "Ｌｏｖｅｌａｃｅ, Ada"
    path.unlink()
    with pytest.raises(Exception, match="KnownListUnavailable") as caught:
        detector.find(TextUnit(pointer="", text="another text"))
    assert "Ada" not in str(caught.value)


def test_a_text_that_was_seen_before_is_read_by_the_list_that_holds_now(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known", [("PERSON", "Ada Lovelace")])
    detector = build_detector(names=["blank:en"], known=[path], known_key=SECRET)
    unit = TextUnit(pointer="", text="we saw xq Hopperius Gracia there")
    assert detector.find(unit) == ()
    write(path, [("PERSON", "Hopperius Gracia")])
    assert [f.recognizer for f in detector.find(unit)] == ["known:a"]


def test_threads_find_while_the_list_is_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known")
    people = load(path)
    wrong: list[object] = []

    def look() -> None:
        for _ in range(60):
            seen = found(people, "Ada Lovelace, jsmith")
            if seen != [("PERSON", "Ada Lovelace"), ("USER_ID", "jsmith")]:
                wrong.append(seen)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        write(path)
    for thread in threads:
        thread.join()
    assert wrong == []


# ── erasure ──────────────────────────────────────────────────────────────────────────────────────


def test_a_value_is_removed_in_every_spelling(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known", spelling=Spelling(variants=True, region="US"))
    people = load(path)
    assert found(people, "Grace Hopper, G. Hopper") != []
    assert remove_value(path, KEY, "grace brewster HOPPER") >= 4
    assert found(people, "Grace Hopper, G. Hopper, Hopper, Grace Brewster") == []
    assert found(people, "Ada Lovelace") == [("PERSON", "Ada Lovelace")]
    assert read_header(path).values["PERSON"] == 6


def test_a_number_is_removed_with_its_national_form(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known")
    assert remove_value(path, KEY, "+1 212 555 0123") > 0
    assert found(load(path), "212-555-0123 or +1 212 555 0123") == []


def test_what_is_not_in_the_list_removes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known")
    before = path.read_bytes()
    assert remove_value(path, KEY, "Alan Turing") == 0
    assert path.read_bytes() == before


def test_the_last_one_cannot_be_removed_silently(tmp_path: Path) -> None:
    path = write(tmp_path / "a.known", [("PERSON", "Ada Lovelace")])
    with pytest.raises(ConfigError, match="nobody would be left"):
        remove_value(path, KEY, "Ada Lovelace")
