"""The engine behind one door: what it may read, what it says, and what never leaves it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from cedarpy import Entities, PolicySet, Schema
from hypothesis import given
from hypothesis import strategies as st

from guardrail.policy.cedar import (
    LIMITS,
    MAX_DEPTH,
    Answer,
    Source,
    ask,
    entity_set,
    guard,
    parse,
    parse_schema,
    policy_set,
    split,
    validate,
)

EVERYTHING = '@id("all") @title("t") permit (principal, action, resource);'
NO_ENTITIES = Entities.from_json_str("[]")


def source(text: str) -> Source:
    return Source(name="policies/eu.cedar", text=text)


def rule(condition: str) -> str:
    return f'@id("r") @title("t") forbid (principal, action, resource) when {{ {condition} }};'


def answer(
    text: str,
    context: dict[str, Any] | None = None,
    *,
    schema: Schema | None = None,
    resource: str = "e",
) -> Answer:
    rules, problems = parse(source(text))
    assert problems == []
    return ask(
        {
            "principal": {"type": "App", "id": "a"},
            "action": {"type": "Action", "id": "send"},
            "resource": {"type": "Endpoint", "id": resource},
            "context": context or {},
        },
        policies=policy_set(rules),
        entities=NO_ENTITIES,
        schema=schema,
    )


# ---- what it says


def test_permit_without_forbid_allows() -> None:
    assert answer(EVERYTHING) == Answer(True, ("all",), "")


def test_forbid_denies_and_is_named() -> None:
    assert answer(EVERYTHING + rule("true")) == Answer(False, ("r",), "")


@pytest.mark.parametrize(
    ("condition", "context"),
    [
        ("context.absent == 1", {}),
        ("context.x < 3", {"x": "three"}),
        ("context.x * 2 > 3", {"x": 9223372036854775807}),
        ("resource.local", {}),
        ("context.x.local", {"x": {"__entity": {"type": "Endpoint", "id": "gone"}}}),
    ],
    ids=["missing attribute", "type error", "overflow", "missing entity", "missing entity inside"],
)
def test_forbid_that_errors_is_a_denial(condition: str, context: dict[str, Any]) -> None:
    assert answer(EVERYTHING + rule(condition), context) == Answer(False, (), "PolicyEvaluation")


def test_denial_with_an_error_names_the_forbids_that_applied() -> None:
    text = EVERYTHING + rule("context.absent == 1") + rule("true").replace('"r"', '"s"')
    assert answer(text) == Answer(False, ("s",), "PolicyEvaluation")


def test_no_decision_is_a_denial() -> None:
    schema, _ = parse_schema(
        source(
            "entity App; entity Endpoint; action send appliesTo "
            "{ principal: App, resource: Endpoint, context: { x: Long } };"
        )
    )
    assert answer(EVERYTHING, {"x": 1}, schema=schema).allowed
    for context in ({}, {"x": "1"}, {"x": 1, "y": 1}, {"x": None}, {"x": 1.5}):
        assert answer(EVERYTHING, context, schema=schema) == Answer(False, (), "NoDecision")


def test_engine_exception_is_a_denial() -> None:
    request = {"principal": {"type": "App", "id": "a"}}
    policies = PolicySet.from_str(EVERYTHING)
    said = ask(request, policies=policies, entities=NO_ENTITIES, schema=None)
    assert said == Answer(False, (), "EngineFailure")


def test_context_that_cannot_be_written_is_a_denial() -> None:
    assert answer(EVERYTHING, {"x": object()}) == Answer(False, (), "EngineFailure")


def test_interrupt_is_not_swallowed() -> None:
    class Interrupts(dict[str, int]):
        def items(self) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(EVERYTHING, Interrupts(x=1))


def test_planted_identifier_never_leaves_the_engine() -> None:
    planted = "Jane Doe 078-05-1120"
    said = answer(EVERYTHING + rule("resource.local"), {"x": planted}, resource=planted)
    assert said.fault
    assert planted not in repr(said)
    schema, _ = parse_schema(source("entity E = { a: Long };"))
    assert schema
    with pytest.raises(ValueError, match="does not fit") as caught:
        entity_set(
            [{"uid": {"type": "E", "id": planted}, "attrs": {"a": planted}, "parents": []}], schema
        )
    assert planted not in str(caught.value)
    assert caught.value.__suppress_context__


# ---- where it goes wrong


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("1:45: invalid variable: x", "permit (principal, action, resource) when { x == 1 };"),
        ("1:27: '=' is not a valid operator", "permit (principal, action = a, resource);"),
        ("1:20: found an invalid variable", "permit (principal, actin, resource);"),
        (
            "1:38: invalid policy condition: whn",
            "permit (principal, action, resource) whn { true };",
        ),
        (
            "1:50: `foo` is not a valid method",
            "permit (principal, action, resource) when { true.foo() };",
        ),
        ("1:49: unexpected token `)`", "permit (principal, action, resource) when { (1 +) == 1 };"),
        (
            "1:45: `'` means nothing in a rule",
            "permit (principal, action, resource) when { 'x' == 1 };",
        ),
        ("2:19: unexpected token `action`", "\nforbid (principal action, resource);"),
        (
            "3:3: unexpected token `}`",
            '@id("a")\npermit (principal, action, resource) when { 1 ==\n  };',
        ),
        ("1:37: unexpected end of input", "permit (principal, action, resource)"),
        (
            "2:10: duplicate annotation: @id",
            '\n@id("a") @id("b") permit (principal, action, resource);',
        ),
        ("1:22: templates are not used", "permit (principal == ?principal, action, resource);"),
    ],
)
def test_parse_error_has_line_and_column(place: str, text: str) -> None:
    rules, problems = parse(source(text))
    assert rules == []
    assert len(problems) == 1
    assert str(problems[0]).startswith(f"policies/eu.cedar:{place}"), problems


def test_every_broken_statement_is_reported_and_the_others_are_read() -> None:
    rules, problems = parse(source(f"permit (a);\n{EVERYTHING}\nforbid (b);"))
    assert [one.id for one in rules] == ["all"]
    assert [one.line for one in problems] == [1, 3]


def test_validation_error_has_line_column_and_id() -> None:
    schema, _ = parse_schema(
        source(
            'entity P enum ["a"]; entity App; entity Endpoint; action x, y appliesTo '
            "{ principal: App, resource: Endpoint, context: { p: P } };"
        )
    )
    assert schema
    (good, bad), problems = parse(
        source(f"{EVERYTHING}\n{rule(chr(10) + 'context.p == P::' + chr(34) + 'b' + chr(34))}")
    )
    assert problems == []
    assert validate(good, schema) == []
    (problem,) = validate(bad, schema)
    assert str(problem).startswith(
        'policies/eu.cedar:3:14: [r] entity `P::"b"` is of an enumerated'
    )


def test_schema_error_names_the_file() -> None:
    schema, problems = parse_schema(source("entity A in [Absent];"))
    assert schema is None
    assert list(map(str, problems)) == [
        "policies/eu.cedar:1:14: failed to resolve type: Absent; "
        "restore the schema that guardrail ships"
    ]


def test_comments_and_strings_do_not_split_statements() -> None:
    text = '// a; (\n@title("b; // ) \\" ;") permit (principal, action, resource); // c ((\n// d;'
    (statement,) = split(text)
    assert statement.offset == 8
    assert statement.text.endswith("resource);")
    assert guard(source(text)) == []


# ---- what it may read

NESTING: list[tuple[str, Callable[[int], str], int]] = [
    ("parentheses", lambda n: "(" * n + "true" + ")" * n, MAX_DEPTH - 1),
    ("sets", lambda n: "[" * n + "]" * n + " == 1", MAX_DEPTH - 1),
    ("records", lambda n: "{a:" * n + "1" + "}" * n + " == 1", MAX_DEPTH - 1),
    ("if", lambda n: "if true then true else " * n + "true", LIMITS["branch"][0]),
    ("and", lambda n: " && ".join(["true"] * (n + 1)), LIMITS["operator"][0]),
    ("or", lambda n: " || ".join(["true"] * (n + 1)), LIMITS["operator"][0]),
    ("plus", lambda n: "+".join(["1"] * (n + 1)) + " == 1", LIMITS["operator"][0]),
    ("minus", lambda n: "-" * n + "1 == 1", LIMITS["operator"][0]),
    ("dots", lambda n: "context" + ".a" * n, LIMITS["access"][0]),
    ("indices", lambda n: "context" + '["a"]' * n, LIMITS["open"][0] - 2),
    ("calls", lambda n: "context" + ".contains(1)" * n, LIMITS["access"][0]),
    ("times", lambda n: "*".join(["1"] * (n + 1)) + " == 1", LIMITS["operator"][0]),
]


@pytest.mark.parametrize(
    ("write", "limit"), [row[1:] for row in NESTING], ids=[r[0] for r in NESTING]
)
def test_nesting_beyond_the_limit_is_refused_before_parsing(
    write: Callable[[int], str], limit: int
) -> None:
    assert guard(source(rule(write(limit)))) == []
    for depth in (limit + 1, 1000, 20_000):
        (problem,) = guard(source(rule(write(depth))))
        assert str(problem).startswith("policies/eu.cedar:1:")
        assert parse(source(rule(write(depth)))) == ([], [problem])


@pytest.mark.parametrize(
    ("write", "limit"), [row[1:] for row in NESTING], ids=[r[0] for r in NESTING]
)
def test_what_the_guard_passes_the_parser_survives_on_a_small_stack(
    write: Callable[[int], str], limit: int
) -> None:
    outcome: list[object] = []
    before = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=lambda: outcome.append(parse(source(rule(write(limit))))))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert outcome


def test_what_the_guard_refuses_would_end_the_process() -> None:
    text = f"permit (principal, action, resource) when {{ {'(' * 5000}true{')' * 5000} }};"
    assert guard(source(text))
    code = f"import cedarpy; cedarpy.policies_to_json_str({text!r})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ("policies/eu.cedar: larger than 1 MiB", "// " + "x" * (1 << 20)),
        ("policies/eu.cedar:1:6: the text that begins here is never closed", 'a == "b'),
        ("policies/eu.cedar:1:1: the text that begins here is never closed", '"\\\n(((('),
        ("policies/eu.cedar:1:2: `)` closes nothing", "a)"),
        ("policies/eu.cedar:1:2: `]` does not close the `(` at 1:1", "(]"),
        ("policies/eu.cedar:1:1: `(` is never closed", "(a; b"),
        ("policies/eu.cedar:1:1: `(` is never closed", "(a"),
        ("policies/eu.cedar:2:1: `(` is never closed", "// ends here\r\n("),
        ("policies/eu.cedar:1:13: `(` is never closed", "// ends here\r("[1:]),
        ("policies/eu.cedar:1:3: invisible character U+202E", "a \u202e"),
        ("policies/eu.cedar:1:4: invisible character U+200B", "// \u200b in a comment"),
        ("policies/eu.cedar:1:1: invisible character U+FEFF", "\ufeffpermit"),
        ("policies/eu.cedar:1:1: invisible character U+0000", "\0"),
        ("policies/eu.cedar:1:3: U+0430 (CYRILLIC SMALL LETTER A) in a rule", '"he\u0430lth"'[1:]),
        ("policies/eu.cedar:1:4: U+0430 (CYRILLIC SMALL LETTER A) in a rule", '"he\u0430lth"'),
        ("policies/eu.cedar:1:1: U+FF08 (FULLWIDTH LEFT PARENTHESIS) in a rule", "\uff08"),
    ],
)
def test_guard_refuses(problem: str, text: str) -> None:
    assert str(guard(source(text))[0]).startswith(problem)


def test_other_scripts_are_welcome_in_comments_and_annotations() -> None:
    text = '// Datenschutz für Köln\n@title("Données de santé – § 9") ' + EVERYTHING[15:]
    assert guard(source(text)) == []


def test_problems_of_a_hostile_file_are_bounded() -> None:
    assert len(guard(source("\u200b" * 100_000))) < 100
    assert len(guard(source("\u0430;" * 100_000))) < 100


@given(st.text(alphabet='()[]{}";/\\\n\r@ab &|+-*if', max_size=60))
def test_guard_and_parse_never_fail_on_any_text(text: str) -> None:
    rules, problems = parse(source(text))
    assert problems or all(one.effect in ("permit", "forbid") for one in rules)
