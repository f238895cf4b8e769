from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
import regex
from hypothesis import given, reject
from hypothesis import strategies as st
from painting import painted
from property_sizes import property_of

from guardrail.errors import Unavailable
from guardrail.transform.stream import (
    CONTEXT,
    MAX_WIDTH,
    CompiledRules,
    StreamRule,
    StreamTransformer,
    compile_rule,
    compile_rules,
    transform,
)

Rewrite = Callable[[str, str], str | None]


def rule(
    name: str, pattern: str, rewrite: Rewrite | None = None, *, flags: int = 0, priority: int = 0
) -> StreamRule:
    return StreamRule(
        name=name,
        pattern=pattern,
        flags=flags,
        priority=priority,
        rewrite=rewrite or (lambda text, left: f"<{name}>"),
    )


def card(text: str, left: str) -> str | None:
    digits = [int(character) for character in reversed(text) if character.isdecimal()]
    odd, even = digits[::2], digits[1::2]
    return None if (sum(odd) + sum(sum(divmod(2 * d, 10)) for d in even)) % 10 else "<card>"


def restore(text: str, left: str) -> str | None:
    return {"[PERSON_1]": 'Ann "A" O\'Neil', "[PERSON_12]": "Bob", "[EMAIL_1]": "a@b.cd"}.get(text)


def account(text: str, left: str) -> str | None:
    return "<account>" if regex.search(r"account\W{0,8}\Z", left) else None


def seen(text: str, left: str) -> str:
    return f"<{len(left)}:{text}:{hash(left) % 9973}>"


EMAIL = r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"
DETECTORS = (
    rule("restore", r"\[[A-Z]{1,32}_[0-9]{1,4}\]", restore, priority=9),
    rule("email", EMAIL),
    rule("card", r"\b\d(?:[ -]?\d){12,18}\b", card, priority=2),
    rule("ssn", r"\b\d{3}-\d{2}-\d{4}\b", priority=1),
    rule("iban", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"),
    rule("key", r"sk-[A-Za-z0-9]{20,64}"),
    rule("ip", r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
    rule("phone", r"(?<!\d)\+\d{1,3}(?:[ -]?\d){6,12}(?!\d)"),
    rule(
        "pem",
        r"-----BEGIN [A-Z ]{0,20}KEY-----[A-Za-z0-9+/=\s]{1,2000}-----END [A-Z ]{0,20}KEY-----",
    ),
    rule("aws", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    rule("jwt", r"\beyJ[\w-]{8,512}\.[\w-]{8,2048}\.[\w-]{8,512}"),
    rule("account", r"\b\d{4,10}\b", account),
)
RULE_SETS = {
    "restorer": (DETECTORS[0],),
    "tolerant restorer": (
        DETECTORS[0],
        rule(
            "loose",
            r"(?:\[\[|<|&lt;|\\u003c)?\b(?:PERSON|EMAIL)(?:_|\\_| )[0-9]{1,4}\b(?:\]\]|>|&gt;)?",
            flags=regex.I,
            priority=3,
        ),
    ),
    "detectors": DETECTORS,
    "questions": (
        rule("A", r"\d{3}(?!\d{5})", priority=1),
        rule("B", r"a(b{1,9}c)?", priority=2),
        rule("C", r"(?<=x)\d{2}(?=y)", priority=3),
        rule("D", r"(?:a|ab)(?:c|bcd)?d{0,8}"),
        rule("E", r"foo\Bbar"),
        rule("F", r"\bq\w{1,9}?q\b"),
        rule("G", r"(\d)\1"),
        rule("H", r"(?i)(?m)^word$"),
        rule("I", r"(?>foo|foobar)(?=\b|b)", priority=-1),
        rule("J", r"\Ax{1,3}|y{1,3}\Z", priority=4),
        rule("K", r".\b.", flags=regex.S, priority=-9),
    ),
    "context": (
        rule("digits", r"\d{1,6}", seen),
        rule("words", r"\w{3,9}\b", seen, priority=1),
        rule("far", rf"(?<=a.{{0,{CONTEXT - 1}}})b", seen, flags=regex.S, priority=2),
    ),
}
COMPILED = {name: compile_rules(rules) for name, rules in RULE_SETS.items()}

PARTS = """alice@example.com 4111-1111-1111-1111 078-05-1120 GB82WEST12345698765432 192.168.0.1
    PERSON_1 [PERSON_1] [PERSON_12] [[EMAIL_1] &lt;PERSON_1&gt; PERSON\\_1 person_1 [PER SON_
    sk-abcdefghijklmnopqrstuvwx AKIAABCDEFGHIJKLMNOP eyJhbGciOiJI. eyJzdWIiOiIx +49 account
    -----BEGIN RSA KEY----- -----END RSA KEY----- MIIE 0 1 12 123 1234 a b c d ab abc abbb bcd x y
    foo foobar q qq qxq word , @ . - _ / : < > [ ] é 日本 😀 ß İ""".split()
TEXTS = st.lists(
    st.sampled_from([*PARTS, " ", " ", "\n", "\r\n", "4111 1111 1111 1111", "\0", "\U0010fffe"])
    | st.characters(),
    max_size=14,
).map("".join)


def streamed(rules: CompiledRules, chunks: Iterable[str]) -> str:
    stream = StreamTransformer(rules)
    return "".join([stream.feed(chunk) for chunk in chunks]) + stream.flush()


def cut(text: str, places: Iterable[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[left:right] for left, right in itertools.pairwise(edges)]


@property_of("stream transformer", cases=3000)
@given(st.sampled_from(sorted(RULE_SETS)), TEXTS, st.lists(st.integers(0, 400), max_size=10))
def test_any_cut_of_a_text_gives_what_the_whole_text_gives(
    name: str, text: str, places: list[int]
) -> None:
    rules = COMPILED[name]
    whole = transform(rules, text)
    assert whole == streamed(rules, cut(text, places))
    assert whole == streamed(rules, text)


ESCAPING = compile_rules(
    [*(replace(each, escapes=each.name != "restore") for each in DETECTORS), *RULE_SETS["context"]]
)
ESCAPED = st.lists(
    st.sampled_from(
        [*PARTS, *r"\n \t \r\n \\n \\ \" \n\n \new".split(), " ", "4111 1111 1111 1111"]
    ),
    max_size=14,
).map("".join)


@property_of("stream transformer", cases=500)
@given(ESCAPED, st.lists(st.integers(0, 400), max_size=10))
def test_any_cut_of_a_text_with_escapes_gives_what_the_whole_text_gives(
    text: str, places: list[int]
) -> None:
    whole = transform(ESCAPING, text)
    assert whole == streamed(ESCAPING, cut(text, places))
    assert whole == streamed(ESCAPING, text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (r'print("pay:\n<card>")', r'print("pay:\n4111 1111 1111 1111")'),
        (r'{"m": "pay:\r\n<card>\nok"}', r'{"m": "pay:\r\n4111 1111 1111 1111\nok"}'),
        (r"a\\n<card>\\nok", r"a\\n4111 1111 1111 1111\\nok"),
        (r"name\tssn\n<ssn>\t<ip>", r"name\tssn\n078-05-1120\t192.168.0.1"),
        (r"account\t<account>", r"account\t1234"),
        (r"<ip>\n<ip>", r"192.168.0.1\n192.168.0.1"),
    ],
)
def test_an_escape_of_white_space_hides_nothing_behind_it(expected: str, text: str) -> None:
    calls = Counter[str]()

    def counted(each: StreamRule) -> StreamRule:
        def rewrite(matched: str, left: str) -> str | None:
            new = each.rewrite(matched, left)
            calls[each.name] += new is not None
            return new

        return replace(each, rewrite=rewrite, escapes=True)

    rules = compile_rules(map(counted, DETECTORS))
    assert expected == transform(rules, text)
    assert expected.count("<") == calls.total()
    assert expected == streamed(rules, text)
    assert expected != transform(compile_rules(DETECTORS), text)


def test_what_a_replacement_repeats_of_its_match_is_the_text_as_it_stands() -> None:
    label = rule("label", r"ssn:\s{0,4}\d{3}", lambda text, left: text[:-3] + "#", flags=regex.I)
    rules = compile_rule(replace(label, escapes=True))
    assert transform(rules, r"SSN:\t123\n") == r"SSN:\t#\n"
    assert transform(rules, r"\nssn:\\n\t123") == r"\nssn:\\n\t123"


@pytest.mark.parametrize(
    "pattern", [r"\ba\b", r"(?<!\w)a{1,2}", r"\sa(?=\s)", r"a\b|a[n ]a", r"^a"]
)
def test_every_short_text_with_escapes_is_the_same_character_by_character(pattern: str) -> None:
    rules = compile_rule(replace(rule("r", pattern, seen), escapes=True))
    for size in range(7):
        for characters in itertools.product("an\\", repeat=size):
            text = "".join(characters)
            assert transform(rules, text) == streamed(rules, text)


QUESTIONS = (
    r"a",
    r"ab",
    r"a|ab",
    r"ab|a",
    r"a{1,3}",
    r"a{1,3}?",
    r"a{1,3}+",
    r"a{2}b?",
    r"(?:ab){1,2}",
    r"(?:a|ab){1,2}b",
    r"(?:a{1,2}b?){1,2}",
    r"(?>a|ab)b?",
    r"(?>ab|a)b",
    r"\ba",
    r"a\b",
    r"a\Bb?",
    r"\b.\b",
    r"\B.",
    r"\ma\M?",
    r"^a",
    r"a$",
    r"(?m)^a",
    r"(?m)a$",
    r"\Aa|b",
    r"a\Z",
    r"a\s?$",
    r"a(?=b)",
    r"a(?!b)",
    r"a(?=b\b)",
    r"a(?!b\b)",
    r"a(?!b(?!a))",
    r"a(?=(?:b|ba)\n)",
    r"(?=ab)a",
    r"(?!ab)a",
    r"(?>a(?=b)|ab?)",
    r"(?:a(?!bb)|ab)b",
    r"(?<=a)b",
    r"(?<!a)b",
    r"(?<=\ba)b",
    r"a(?<=a\b)",
    r"a(?<!a\b)b?",
    r"(?<=^a)b",
    r"(?<=a(?=b))b",
    r"(a|b)\1",
    r"(a|b){1,2}\1?",
    r"(?P<x>ab?)(?P=x)",
    r"(a)|(b)\1a|b{2}",
    r"(?i)A",
    r"(?i:A)b",
    r"(?s)a.",
    r"a.",
    r"[^a]a",
    r"\Wa{1,2}",
    r"a(?:a{0,2}b{0,2}){1,2}(?<=b)",
)


@pytest.mark.parametrize("pattern", QUESTIONS)
def test_every_short_text_is_the_same_character_by_character(pattern: str) -> None:
    rules = compile_rule(rule("r", pattern, seen))
    for size in range(6):
        for characters in itertools.product("ab\n", repeat=size):
            text = "".join(characters)
            assert transform(rules, text) == streamed(rules, text)


@pytest.mark.parametrize(
    "pattern",
    [
        r"ab",
        r"aab",
        r"a{1,3}b",
        r"\ba",
        r"a\b",
        r"a(?=b)",
        r"a(?!ba)",
        r"(?<!a)ba",
        r"(?:ab){2}",
        r"a|bb",
        r"a$",
    ],
)
def test_nothing_is_held_that_could_go(pattern: str) -> None:
    rules = compile_rule(rule("r", pattern, lambda text, left: "#"))
    futures = ["".join(f) for n in range(5) for f in itertools.product("ab\n", repeat=n)]
    for size in range(5):
        for characters in itertools.product("ab\n", repeat=size):
            text = "".join(characters)
            stream = StreamTransformer(rules)
            released = stream.feed(text)
            outcomes = [transform(rules, text + future) for future in futures]
            agreed = len(min(outcomes, key=len))
            while any(outcome[:agreed] != outcomes[0][:agreed] for outcome in outcomes):
                agreed -= 1
            assert outcomes[0][:agreed] == released


def last_letters(text: str) -> str:
    """What a trail may keep: the last three letters that are upper case."""
    return "".join(filter(str.isupper, text))[-3:]


@property_of("stream transformer", cases=200)
@given(st.lists(st.tuples(st.sampled_from("A B cc _".split()), st.integers(1, 400)), max_size=12))
def test_a_trail_reaches_back_as_far_as_the_stream(parts: list[tuple[str, int]]) -> None:
    """However it is cut, and each rewrite is told of all that stands before it."""
    told: list[tuple[str, str]] = []

    def rewrite(text: str, left: str) -> str:
        told.append((last_letters(left), left[-CONTEXT:]))
        return f"<{last_letters(left)}>"

    rules = compile_rules([replace(rule("t", "_", rewrite), trail=last_letters)])
    text = "".join(piece + "." * count for piece, count in parts) + "_"
    whole = transform(rules, text)
    ends = [at for at, character in enumerate(text) if character == "_"]
    assert [last for last, _ in told] == [last_letters(text[:at]) for at in ends]
    assert all(text[:at][-CONTEXT:] == near for at, (_, near) in zip(ends, told, strict=True))
    assert streamed(rules, text) == whole
    assert "".join(feed_by(rules, text, 7)) == whole


def feed_by(rules: CompiledRules, text: str, size: int) -> Iterable[str]:
    stream = StreamTransformer(rules)
    yield from (stream.feed(text[at : at + size]) for at in range(0, len(text), size))
    yield stream.flush()


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    suffixes = st.sampled_from(["?", "??", "?+", "{2}", "{0,2}", "{1,3}", "{1,3}?", "{1,3}+"])
    openers = st.sampled_from(["(?:", "(", "(?>", "(?=", "(?!", "(?<=", "(?<!", "(?i:"])
    return (
        st.lists(inner, min_size=2, max_size=4).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})")
        | st.builds(lambda part, suffix: f"(?:{part}){suffix}", inner, suffixes)
        | st.builds(lambda opener, part: f"{opener}{part})", openers, inner)
    )


ATOMS = r"a b A . \w \W [ab] [^a] \n ^ $ \A \Z \b \B \m \M (a)\1 (a|b)b?\1".split()
PATTERNS = st.recursive(st.sampled_from(ATOMS), combined, max_leaves=8)


@property_of("stream transformer", cases=400)
@given(PATTERNS, st.lists(st.text("abA\n ", max_size=9), min_size=6, max_size=6))
def test_any_pattern_that_is_accepted_streams_exactly(pattern: str, texts: list[str]) -> None:
    try:
        rules = compile_rule(rule("r", pattern, seen))
    except ValueError:
        reject()
    for text in texts:
        assert transform(rules, text) == streamed(rules, text)


def owners(rules: Iterable[StreamRule], text: str) -> str:
    return painted(text, ((each, regex.compile(each.pattern, each.flags)) for each in rules))


@property_of("stream transformer", cases=1500)
@given(st.sampled_from(sorted(RULE_SETS)), TEXTS)
def test_each_code_point_belongs_to_the_best_match_that_covers_it(name: str, text: str) -> None:
    assert owners(RULE_SETS[name], text) == transform(COMPILED[name], text)


@pytest.mark.parametrize(
    ("expected", "rules", "text"),
    [
        pytest.param(
            "<low><high>",
            (rule("high", "cdef", priority=1), rule("low", "abcd")),
            "abcdef",
            id="the higher priority wins, the loser keeps its head",
        ),
        pytest.param(
            "<high><low>",
            (rule("high", "abcd", priority=1), rule("low", "cdef")),
            "abcdef",
            id="the loser keeps its tail",
        ),
        pytest.param(
            "<low><high><low>",
            (rule("high", "cd", priority=1), rule("low", "abcdef")),
            "abcdef",
            id="a loser cut in two is replaced twice",
        ),
        pytest.param(
            "<long>", (rule("long", "abc"), rule("short", "ab")), "abc", id="then the longer one"
        ),
        pytest.param(
            "<left><right>",
            (rule("left", "abc"), rule("right", "cde")),
            "abcde",
            id="then the leftmost",
        ),
        pytest.param("<a>", (rule("b", "xy"), rule("a", "xy")), "xy", id="then the name"),
        pytest.param("<a><a>", (rule("a", "xy"),), "xyxy", id="neighbours are two matches"),
        pytest.param("", (rule("a", "xy", lambda t, left: ""),), "xy", id="nothing in its place"),
        pytest.param(
            "1<card>",
            (rule("card", r"\d{16}", card),),
            "14111111111111111",
            id="a refused match hides no valid one inside it",
        ),
    ],
)
def test_overlaps(expected: str, rules: tuple[StreamRule, ...], text: str) -> None:
    compiled = compile_rules(rules)
    assert expected == transform(compiled, text)
    assert expected == streamed(compiled, text)


def noted(pattern: str, flags: int, chunks: Iterable[str]) -> list[str]:
    """What a rule that takes every match of its pattern matches in a stream."""
    found: list[str] = []

    def note(matched: str, left: str) -> str:
        found.append(matched)
        return ""

    streamed(compile_rule(rule("r", pattern, note, flags=flags)), chunks)
    return found


PATTERNS_IN_USE = [(each.pattern, each.flags) for each in itertools.chain(*RULE_SETS.values())]


@property_of("stream transformer", cases=500)
@given(st.sampled_from(PATTERNS_IN_USE), TEXTS, st.lists(st.integers(0, 400), max_size=10))
def test_no_cut_hides_what_the_untouched_pattern_finds(
    pattern: tuple[str, int], text: str, places: list[int]
) -> None:
    found = [match[0] for match in regex.finditer(pattern[0], text, pattern[1])]
    assert found == noted(*pattern, cut(text, places))


@pytest.mark.parametrize("each", DETECTORS, ids=lambda each: each.name)
def test_a_rule_finds_what_its_untouched_pattern_finds(each: StreamRule) -> None:
    text = (
        "mail bob.o-neil+tag@sub.very-long-domain-name.example.co.uk, card 4111 1111 1111 1111, "
        "ssn 078-05-1125, iban GB82 WEST 1234 5698 7654 32, ip 192.168.0.1, call +49 30 1234567, "
        "sk-abcdefghijklmnopqrstuvwxyz AKIAABCDEFGHIJKLMNOP [PERSON_12] account 12345678 and "
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dozjgNryP4J3jVmN -----BEGIN RSA KEY-----\n"
        "MIIEabc+/=\n-----END RSA KEY----- end"
    )
    found = noted(each.pattern, each.flags, text)
    assert [match[0] for match in regex.finditer(each.pattern, text, each.flags)] == found != []


def test_a_rewrite_sees_the_original_text_before_its_match_and_is_called_once() -> None:
    calls: list[tuple[str, str]] = []

    def note(text: str, left: str) -> str:
        calls.append((text, left))
        return "rewritten"

    text = "".join(f"number {n} " for n in range(900))
    streamed(compile_rule(rule("n", r"\d{1,9}", note)), text)
    expected = [
        (match[0], text[max(0, match.start() - CONTEXT) : match.start()])
        for match in regex.finditer(r"\d+", text)
    ]
    assert expected == calls


def test_a_rewrite_that_raises_lets_nothing_more_out() -> None:
    def fail(text: str, left: str) -> str:
        raise LookupError

    stream = StreamTransformer(compile_rules([rule("bad", "secret", fail)]))
    assert stream.feed("a sec") == "a "
    with pytest.raises(LookupError):
        stream.feed("ret b")
    assert stream.held == 0
    with pytest.raises(Unavailable):
        stream.feed("c")
    with pytest.raises(Unavailable):
        stream.flush()


def test_a_rewrite_that_raises_at_the_end_lets_nothing_out() -> None:
    stream = StreamTransformer(
        compile_rules([rule("bad", r"\d{1,3}", lambda t, left: str(1 // 0))])
    )
    assert stream.feed("12") == ""
    with pytest.raises(ZeroDivisionError):
        stream.flush()
    with pytest.raises(Unavailable):
        stream.flush()


def test_a_flushed_transformer_starts_anew() -> None:
    stream = StreamTransformer(compile_rule(rule("start", r"\Aab")))
    for _ in range(2):
        assert stream.feed("a") == ""
        assert stream.held == 1
        assert stream.feed("bab") == "<start>ab"
        assert stream.flush() == ""


def test_a_placeholder_goes_as_soon_as_it_is_complete() -> None:
    stream = StreamTransformer(COMPILED["restorer"])
    released = [stream.feed(chunk) for chunk in ("Dear ", "[PER", "SON_1", "2", "]", ",")]
    assert released == ["Dear ", "", "", "", "Bob", ","]


def test_a_cut_placeholder_is_given_back_as_it_came() -> None:
    stream = StreamTransformer(COMPILED["restorer"])
    assert (stream.feed("to [PERSON_"), stream.flush()) == ("to ", "[PERSON_")


def test_bound_rules_share_what_was_compiled() -> None:
    rules = compile_rules(RULE_SETS["restorer"])
    bound = rules.bind({"restore": lambda text, left: text.lower()})
    assert transform(bound, "[A_1]") == "[a_1]"
    assert transform(rules, "[A_1]") == "[A_1]"
    assert bound._engine is rules._engine
    assert compile_rules(bound.rules)._engine is rules._engine


def test_binding_a_rule_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody"):
        COMPILED["restorer"].bind({"nobody": restore})


@pytest.mark.parametrize(
    ("problem", "pattern"),
    [
        pytest.param("may match nothing", r"a?", id="empty"),
        pytest.param("unbounded", r"a+", id="plus"),
        pytest.param("unbounded", r"a(?=b*)", id="unbounded look-ahead"),
        pytest.param("behind", rf"(?<=a{{1,{CONTEXT + 1}}})b", id="far look-behind"),
        pytest.param("wide", rf"a{{1,{MAX_WIDTH + 1}}}", id="too wide"),
        pytest.param("ahead", rf"a(?=b{{{MAX_WIDTH + 1}}})", id="far look-ahead"),
        pytest.param("is not a pattern", r"a(", id="wrong"),
        pytest.param("reach", r"\X", id="unknown construct"),
    ],
)
def test_a_rule_that_cannot_be_streamed_is_refused_by_name(problem: str, pattern: str) -> None:
    with pytest.raises(ValueError, match=f"rule odd: .*{problem}"):
        compile_rules([rule("odd", pattern)])


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="rule twin"):
        compile_rules([rule("twin", "a"), rule("twin", "b")])


def test_no_rules_hold_nothing() -> None:
    stream = StreamTransformer(compile_rules([]))
    assert stream.feed("anything") == "anything"
    assert transform(compile_rules([]), "anything") == "anything"


@pytest.mark.parametrize("text", ["\ud83d", "a\ude00b", "\ud83d\ude00", "[PERSON_1]\udfff"])
def test_a_lone_surrogate_is_text_as_any_other(text: str) -> None:
    for rules in COMPILED.values():
        assert transform(rules, text) == streamed(rules, text)


def prose(words: int) -> str:
    chance = random.Random(7)
    usual = """the patient was admitted to hospital and then Doctor Smith said that in 2024 there
        were 17 cases of it, so we should wait; nothing else happened before the end.""".split()
    special = ["alice@example.com", "4111 1111 1111 1111", "[PERSON_1]", "078-05-1120"]
    return " ".join(
        chance.choice(special if chance.random() < 0.03 else usual) for _ in range(words)
    )


def test_little_of_plain_prose_is_held() -> None:
    stream, held = StreamTransformer(COMPILED["detectors"]), []
    text = prose(2000)
    for at in range(0, len(text), 4):
        stream.feed(text[at : at + 4])
        held.append(stream.held)
    held.sort()
    assert held[len(held) // 2] <= 4
    assert held[-1] <= 32


@pytest.mark.parametrize(
    "unit", ["a", "a.", "[", "1", "1 ", "[A_", "a@", "-----BEGIN KEY-----", "eyJ"]
)
def test_time_and_memory_stay_bounded_on_hostile_text(unit: str) -> None:
    rules = COMPILED["detectors"]

    def run(size: int) -> float:
        chunks = [(unit * size)[at : at + 5] for at in range(0, size, 5)]
        stream = StreamTransformer(rules)
        began = time.perf_counter()
        for chunk in chunks:
            stream.feed(chunk)
            assert stream.held <= MAX_WIDTH
            assert len(stream._text) <= MAX_WIDTH + CONTEXT + 2048
        stream.flush()
        return time.perf_counter() - began

    short, long = min(run(2000), run(2000)), run(8000)
    assert long < 12 * short + 0.05
