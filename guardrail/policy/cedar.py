"""Cedar: the only module that touches the engine. Text → rules → a named set → an answer.

What the engine does that shapes this module (cedarpy 4.12, Cedar 4.12):

- Its parser ends the process on deep nesting, which nothing can catch. So `guard` reads the text
  first and refuses what is deeper than any rule needs (cedar#2383).
- A forbid whose evaluation fails is skipped and the answer is Allow (cedar#2428). So an answer is
  allowed only when it is Allow *and* nothing failed.
- Parse errors carry no position and validation errors no name. So each statement is parsed alone.
- Error texts quote entity ids and values. So at run time only a class of error leaves here.

Source: https://docs.cedarpolicy.com/auth/authorization.html
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise
from typing import Any, Literal, NamedTuple

from cedarpy import (
    Decision,
    Entities,
    PolicySet,
    Schema,
    format_policies,
    is_authorized,
    policies_to_json_str,
    validate_policies,
)

from guardrail.policy.problems import SYNTAX, VALIDATION, explained
from guardrail.problems import Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_PROBLEMS = 16
LIMITS: Mapping[str, tuple[int, str]] = {
    "operator": (32, "operators that nest (`&&`, `||`, `+`, `-`, `*`)"),
    "branch": (16, "`if`"),
    "access": (128, "`.`"),
    "open": (256, "brackets"),
}
"""How many of each kind of token one rule may have: far more than people write."""

Fault = Literal["", "PolicyEvaluation", "NoDecision", "EngineFailure"]
"""Why an answer cannot be trusted; empty when it can."""

_TOKEN = re.compile(
    r"""
      (?P<comment>//[^\n\r]*)
    | (?P<note>@\s*[A-Za-z_]\w*\s*\(\s*"(?:\\.|[^"\\])*"\s*\))
    | (?P<string>"(?:\\.|[^"\\])*")
    | (?P<stray>")
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<end>;)
    | (?P<branch>\bif\b)
    | (?P<operator>&&|\|\||[-+*])
    | (?P<access>\.)
    | (?P<alien>['`#$^~\\])
    """,
    re.VERBOSE,
)
"""What matters for splitting and depth; strings and comments exactly as Cedar's lexer has them."""

_CONDITION = re.compile(r"\b(?:when|unless)\s*\{")
_JOINT = re.compile(r"&&|\|\||\bif\b|[()\[\]{}]")
_BLANK = re.compile(r"(?:\s|//[^\n\r]*)*")
_PAIRS = {")": "(", "]": "[", "}": "{"}
_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_UNEXPECTED = re.compile(r"unexpected token `(.+)`$", re.DOTALL)
_UNRESOLVED = re.compile(r"failed to resolve type: (\S+)$")
_NEXT = re.compile(r"\s*\S")
_NAMED = re.compile(r"(?:`|'|: )([^`'\s]+)(?:`|'|$)")
_ABOUT = re.compile(r"^for policy `policy\d+`[,:]? ")
_SLOT = re.compile(r"\?\s*(?:principal|resource)\b")
_PER_ACTION = re.compile(r' for Action::"\w+"')
_QUOTED = re.compile(r"`([^`]+)`")


class Statement(NamedTuple):
    """One top-level statement of a file: where it begins, in code points, and its text."""

    offset: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file as people know it: `name` is what problems call it (`policies/eu.cedar`)."""

    name: str
    text: str = field(repr=False)

    def problem(self, offset: int, code: str, message: str, rule: str = "") -> Problem:
        """A problem that stands at an offset; lines and columns count from one."""
        return Problem(
            file=self.name,
            line=self.text.count("\n", 0, offset) + 1,
            column=offset - self.text.rfind("\n", 0, offset),
            code=code,
            message=message,
            rule=rule,
        )

    def whole(self, code: str, message: str) -> Problem:
        """A problem of the file as a whole."""
        return Problem(file=self.name, code=code, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy: its annotations, its tree in Cedar's JSON form, and where it stands."""

    id: str
    effect: str
    annotations: Mapping[str, str]
    tree: Mapping[str, Any] = field(repr=False)
    source: Source = field(repr=False)
    statement: Statement = field(repr=False)

    @property
    def line(self) -> str:
        """`file:line` where the rule begins."""
        return self.problem("", "").place.rpartition(":")[0]

    def problem(
        self,
        code: str,
        message: str,
        *snippets: str | re.Pattern[str],
        note: str = "",
        since: int = 0,
    ) -> Problem:
        """A problem where the first of the snippets that is found, or an annotation, first stands.

        Where none is, it stands at `since`, an offset in the statement: where the rule begins. A
        snippet is looked for from there on in what Cedar evaluates: in no comment and no
        annotation, and in a text only if it holds one. A blank in it stands for any, or none;
        `.name` is found at the name.
        """
        offset = since
        if note:
            where = re.search(rf"@\s*{re.escape(note)}\b", self.statement.text)
            offset = where.start() if where else since
        for snippet in snippets:
            sought = snippet if isinstance(snippet, re.Pattern) else _sought(snippet)
            text = _spoken(self.statement.text, texts='"' in sought.pattern)
            if where := sought.search(text, since):
                offset = where.start()
                break
        return self.source.problem(self.statement.offset + offset, code, message, self.id or "?")

    @property
    def conditions(self) -> tuple[int, ...]:
        """Where each condition begins, in order: the offset of its `when` or `unless`."""
        return tuple(one.start() for one in _CONDITION.finditer(_spoken(self.statement.text)))


class Answer(NamedTuple):
    """What a set of policies says to one question, and which policies determined it."""

    allowed: bool
    policies: tuple[str, ...]
    fault: Fault


def _spoken(text: str, *, texts: bool = False) -> str:
    """A text with comments and annotations blanked, every offset kept.

    Unless they are asked for, quotes stand in place of all that texts hold.
    """
    blanks = (
        {"comment": " ", "note": " "} if texts else {"comment": " ", "note": " ", "string": '"'}
    )

    def blanked(token: re.Match[str]) -> str:
        blank = blanks.get(token.lastgroup or "", "")
        return blank * len(token.group()) or token.group()

    return _TOKEN.sub(blanked, text)


def _sought(snippet: str) -> re.Pattern[str]:
    """The pattern that finds a snippet as a word of its own."""
    before, words = (r"(?<=\.)", snippet[1:]) if snippet.startswith(".") else (r"(?<!\w)", snippet)
    return re.compile(before + r"\s*".join(map(re.escape, words.split(" "))) + r"(?!\w)")


def _bodies(rule: Rule, bare: str) -> list[tuple[int, int]]:
    """Where what stands in the brackets of each condition begins and ends."""
    starts = [*rule.conditions, len(bare)]
    return [(bare.index("{", a) + 1, bare.rindex("}", a, b)) for a, b in pairwise(starts)]


def _sides(bare: str, start: int, end: int) -> list[tuple[int, int]]:
    """Where the sides of `||`, or else of `&&`, begin and end; none where neither joins it all."""
    start, end = _skip(bare, start), start + len(bare[start:end].rstrip())
    cuts: dict[str, list[int]] = {"||": [start], "&&": [start]}
    depth, shut = 0, 0
    for token in _JOINT.finditer(bare, start, end):
        word = token.group()
        depth += (word in "([{") - (word in ")]}")
        if depth == 0 and word == "if":
            return []
        if depth == 0 and word in cuts:
            cuts[word] += [token.start(), token.end()]
        elif depth == 0 and word == ")" and not shut:
            shut = token.end()
    if bare[start] == "(" and shut == end:
        return [(start + 1, end - 1)]
    for found in cuts.values():
        if len(found) > 1:
            return list(zip(found[::2], [*found[1::2], end], strict=True))
    return []


def guard(source: Source) -> list[Problem]:
    """Problems that must be mended before the text may reach the parser; none means it may.

    Linear in the text. Bounds: 1 MiB, brackets 64 deep, and `LIMITS` in each statement.
    """
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return [source.whole("too-large", "larger than 1 MiB; split it into several files")]
    hidden = (
        source.problem(
            offset, "invisible-character", f"invisible character U+{ord(character):04X}; remove it"
        )
        for offset, character in enumerate(source.text)
        if character not in "\t\r\n" and unicodedata.category(character) in _HIDDEN
    )
    return list(islice(hidden, MAX_PROBLEMS)) or list(islice(_misshapen(source), MAX_PROBLEMS))


def _misshapen(source: Source) -> Iterator[Problem]:
    """What is wrong with the shape of a text; stops where no more can be told."""
    opened: list[re.Match[str]] = []
    used = dict.fromkeys(LIMITS, 0)
    checked = 0
    for token in _TOKEN.finditer(source.text):
        kind, word, say = token.lastgroup, token.group(), partial(source.problem, token.start())
        yield from _exotic(source, checked, token.start())
        checked = token.end() if kind in ("comment", "note") else token.start()
        if kind == "alien":
            yield say("syntax", f"`{word}` means nothing in a rule; write text in double quotes")
            return
        if kind == "stray":
            yield say("syntax", 'the text that begins here is never closed; add a `"`')
            return
        if kind == "open":
            opened.append(token)
        elif kind == "close" and not opened:
            yield say("syntax", f"`{word}` closes nothing; remove it, or open a bracket before it")
            return
        elif kind == "close" and (bracket := opened.pop()).group() != _PAIRS[word]:
            place = source.problem(bracket.start(), "", "").place.partition(":")[2]
            before = f"does not close the `{bracket.group()}` at {place}"
            yield say("syntax", f"`{word}` {before}; close that before it, or remove it")
            return
        elif kind == "end":
            if opened:
                break
            used = dict.fromkeys(LIMITS, 0)
        if len(opened) > MAX_DEPTH:
            yield say("too-deep", f"brackets nest deeper than {MAX_DEPTH}; write a simpler rule")
            return
        if kind and kind in LIMITS:
            used[kind] += 1
            most, what = LIMITS[kind]
            if used[kind] > most:
                yield say("too-deep", f"more than {most} {what} in one rule; split the rule")
                return
    if opened:
        bracket = opened[-1]
        yield source.problem(
            bracket.start(), "syntax", f"`{bracket.group()}` is never closed; close it before `;`"
        )
    else:
        yield from _exotic(source, checked, len(source.text))


def _exotic(source: Source, start: int, end: int) -> Iterator[Problem]:
    """Letters outside ASCII where a rule speaks, which may look like the letters they are not."""
    if source.text.isascii():
        return
    for offset in range(start, end):
        letter = source.text[offset]
        if not letter.isascii():
            yield source.problem(
                offset,
                "foreign-letter",
                f"U+{ord(letter):04X} ({unicodedata.name(letter, 'unnamed')}) in a rule; write "
                "ASCII, for only comments and annotations may hold other letters",
            )


def split(text: str) -> Iterator[Statement]:
    """The top-level statements of a text that `guard` has passed, each with its final `;`."""
    start = _skip(text, 0)
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "end":
            yield Statement(start, text[start : token.end()])
            start = _skip(text, token.end())
    if start < len(text):
        yield Statement(start, text[start:])


def _skip(text: str, offset: int) -> int:
    """Where the next statement begins: past blanks and comments."""
    blank = _BLANK.match(text, offset)
    return blank.end() if blank else offset


def parse(source: Source) -> tuple[list[Rule], list[Problem]]:
    """The rules of a file and its problems."""
    problems = guard(source)
    if problems:
        return [], problems
    rules: list[Rule] = []
    for statement in split(source.text):
        error = _parse_error(statement.text)
        if error:
            offset = statement.offset + _locate(statement.text, error)
            code, mend = explained(error, SYNTAX)
            problems.append(source.problem(offset, code, f"{error}; {mend}"))
            continue
        tree = json.loads(policies_to_json_str(statement.text))
        if tree["templates"]:
            said = "templates are not used here; write the rule out"
            slot = _SLOT.search(_spoken(statement.text))
            offset = statement.offset + (slot.start() if slot else 0)
            problems.append(source.problem(offset, "template", said))
            continue
        for policy in tree["staticPolicies"].values():
            annotations = {key: value or "" for key, value in policy["annotations"].items()}
            rules.append(
                Rule(
                    id=annotations.get("id", ""),
                    effect=policy["effect"],
                    annotations=annotations,
                    tree=policy,
                    source=source,
                    statement=statement,
                )
            )
    return rules, problems


def _locate(text: str, message: str) -> int:
    """Offset of a parse error, which the engine does not tell; 0, the beginning, if not found.

    A token is the unexpected one where the text up to it, or to what follows it, fails in the same
    way as the whole. Other messages name the word they are about, or what is missing in the scope.
    """
    spoken = _spoken(text, texts=True)
    unexpected = _UNEXPECTED.match(message)
    if unexpected:
        token = re.compile(re.escape(unexpected.group(1)))
        for found in token.finditer(text):
            after = _NEXT.match(text, found.end())
            for end in (found.end(), after.end() if after else found.end()):
                if _parse_error(text[:end]) == message:
                    return found.start()
    if message == "unexpected end of input":
        return len(spoken.rstrip())
    about = _NAMED.search(message)
    name = about.group(1) if about else ""
    if message.startswith("duplicate annotation"):
        again = [token for token in _TOKEN.finditer(text) if token.lastgroup == "note"]
        alike = [token for token in again if re.match(rf"{re.escape(name)}\b", token.group())]
        return alike[1].start() if len(alike) > 1 else 0
    if message.startswith("this policy is missing"):
        return max(spoken.find("("), 0)
    if "found set of entity uids" in message:
        return max(spoken.find("["), 0)
    word = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", spoken) if name else None
    return word.start() if word else 0


def _parse_error(text: str) -> str:
    try:
        policies_to_json_str(text)
    except ValueError as error:
        return str(error)
    return ""


def comments(text: str) -> list[re.Match[str]]:
    """The comments of a text that `guard` has passed, in order."""
    return [token for token in _TOKEN.finditer(text) if token.lastgroup == "comment"]


def reformat(text: str, *, width: int) -> str:
    """A text that `guard` has passed, as Cedar's formatter writes it.

    Raises:
        ValueError: it cannot be formatted.
    """
    return str(format_policies(text, width, 2))


def parse_schema(source: Source, generated: str = "") -> tuple[Schema | None, list[Problem]]:
    """The handle of a schema, made of what people wrote and what data says; or problems."""
    problems = guard(source)
    if problems:
        return None, problems
    try:
        return Schema.from_str(f"{source.text}\n{generated}"), []
    except ValueError as error:
        said = f"{error}; restore the schema that guardrail ships"
        unknown = _UNRESOLVED.match(str(error))
        word = _sought(unknown.group(1)).search(_spoken(source.text)) if unknown else None
        if word is None:
            return None, [source.whole("bad-schema", said)]
        return None, [source.problem(word.start(), "bad-schema", said)]


def validate(rule: Rule, schema: Schema) -> list[Problem]:
    """What strict validation says against one rule."""
    told = _said(rule.statement.text, schema)
    try:
        policy_set([rule])
    except ValueError:  # its JSON form nests deeper than the engine reads back
        return [rule.problem("too-deep", "nests too deep; write a simpler rule")]
    problems = []
    for message in told:
        code, mend = explained(message, VALIDATION)
        if code == "no-question" and len(told) > 1:
            continue  # only what follows from the others
        quoted = _QUOTED.search(message)
        name = quoted.group(1) if quoted else ""
        snippets = (f".{name}", name) if "attribute" in code else (name,)
        since = _since(rule, schema, message)
        problems.append(
            rule.problem(code, f"{message}; {mend}", *filter(None, snippets), since=since)
        )
    return problems


def _said(text: str, schema: Schema) -> list[str]:
    """What strict validation says against a text, each once: the engine says it for each action."""
    found = validate_policies(text, schema)
    messages = [_PER_ACTION.sub("", _ABOUT.sub("", error.error)) for error in found.errors]
    if not found.validation_passed:
        messages = messages or ["does not fit the schema"]
    return list(dict.fromkeys(messages))


def _since(rule: Rule, schema: Schema, message: str) -> int:
    """Where the least part of a rule begins of which alone the same is said; 0 if of none."""
    text = rule.statement.text
    head = text[: min(rule.conditions, default=len(text) - 1)]
    if message in _said(f"{head};", schema):
        return _spoken(text).index("(")
    bare, since = _spoken(text), 0
    parts = _bodies(rule, bare)
    while parts:
        alone = (part for part in parts if message in _said(_when(head, text, part), schema))
        start, end = next(alone, (0, 0))
        since = _skip(bare, start) if end else since
        parts = _sides(bare, start, end) if end else []
    return since


def _when(head: str, text: str, part: tuple[int, int]) -> str:
    """A rule with one part of its conditions, which may end in a comment."""
    return f"{head} when {{ {text[slice(*part)]}\n}};"


def policy_set(rules: Iterable[Rule]) -> PolicySet:
    """One handle in which each policy's id is its `@id`, so answers name rules as people do.

    Raises:
        ValueError: the engine refuses the set.
    """
    named = {rule.id: rule.tree for rule in rules}
    return PolicySet.from_json_str(
        json.dumps({"templates": {}, "staticPolicies": named, "templateLinks": []})
    )


def entity_set(entities: Sequence[Mapping[str, Any]], schema: Schema) -> Entities:
    """One handle of all entities, checked against the schema.

    Raises:
        ValueError: an entity does not fit. The engine's text quotes the data, so it is not kept.
    """
    try:
        return Entities.from_json_str(json.dumps(list(entities)), schema)
    except ValueError:
        raise ValueError("the schema does not fit guardrail's entities") from None


def ask(
    request: dict[str, Any],
    *,
    policies: PolicySet,
    entities: Entities,
    schema: Schema | None,
) -> Answer:
    """The answer to one question; denied whenever anything at all went wrong. Never raises.

    On a denial `policies` are the forbids that apply; when allowed, the permits.
    """
    try:
        result = is_authorized(request, policies, entities, schema)
        decision, diagnostics = result.decision, result.diagnostics
        if decision is Decision.NoDecision:
            return Answer(False, (), "NoDecision")
        reasons = tuple(sorted(diagnostics.reasons))
        if diagnostics.errors:
            return Answer(False, reasons if decision is Decision.Deny else (), "PolicyEvaluation")
        return Answer(decision is Decision.Allow, reasons, "")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic of the engine is a BaseException; its text may quote data
        return Answer(False, (), "EngineFailure")
