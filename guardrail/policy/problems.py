"""Every kind of mistake in policy files: its code, how grave it is, and what it is about.

A kind that `stops` keeps the set from loading: a rule so written would not do what it says, and
nobody would notice. The other kinds are for who edits policies: `guardrail policy lint` tells them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from guardrail.problems import Severity


class Kind(NamedTuple):
    """One kind of mistake: whether a set with it loads, and what it is about, in a sentence."""

    about: str
    stops: bool = True
    severity: Severity = "error"


def _later(about: str, severity: Severity = "warning") -> Kind:
    return Kind(about, stops=False, severity=severity)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        # What a file is.
        "unreadable-file": Kind("A file is missing, or is not UTF-8."),
        "too-large": Kind("A file is larger than any file of policies needs to be."),
        "empty-file": Kind("A file of policies holds no rule, so a law would have none."),
        "invisible-character": Kind("A character that nobody sees changes what a rule says."),
        "foreign-letter": Kind("A letter outside ASCII may look like one that it is not."),
        "too-deep": Kind("A rule nests deeper than people read and than the engine survives."),
        "syntax": Kind("The text is not Cedar."),
        "template": Kind("Templates are not used."),
        "bad-schema": Kind("The schema cannot be read, or does not fit guardrail."),
        "bad-toml": Kind("The text is not TOML."),
        "bad-vocabulary": Kind("vocabulary.toml lacks a table, a word or a meaning."),
        "bad-profile": Kind("A region profile has a key or value that it may not have."),
        "unknown-place": Kind("A place is neither an ISO 3166-1 code nor declared."),
        "unknown-category": Kind("A law's class names a category that does not exist."),
        # What the configuration is.
        "configuration": Kind("The configuration does not fit."),
        "bad-endpoint": Kind("An endpoint lacks what policies ask of it."),
        "several-locations": Kind("An endpoint processes in more than one place."),
        "bad-principal": Kind("An application lacks what policies ask of it."),
        # What a rule speaks of.
        "unknown-word": Kind("A word is not in vocabulary.toml."),
        "unknown-action": Kind("There is no such action."),
        "unknown-type": Kind("There is no such entity type."),
        "unknown-entity": Kind("An id is not in the data, so the rule never matches it."),
        "unknown-attribute": Kind("There is no such attribute."),
        "unguarded-attribute": Kind("An optional attribute is read where it may be absent."),
        "type-mismatch": Kind("Two values are of types that cannot be compared."),
        "no-question": Kind("No question is ever asked to which the rule could apply."),
        "unknown-fact": Kind("Nothing supplies the attribute, so the rule can never hold."),
        "wrong-kind": Kind("A fact is compared with an entity of another type, so never equal."),
        "wrong-step": Kind("A number is compared with what it can never be."),
        "group-equals": Kind("A group of actions is compared with `==`, which never holds."),
        # How a rule is written.
        "missing-id": Kind("A rule without @id cannot be named in decisions and the audit log."),
        "bad-id": Kind("An @id holds other characters than letters, digits, `.`, `-` and `_`."),
        "duplicate-id": Kind("Two rules have one @id."),
        "missing-title": Kind("A rule does not say what it does."),
        "bad-expiry": Kind("An @expires is not a date, so nothing would end the rule."),
        "pattern-match": Kind("`like` cannot be analysed."),
        "whole-context": Kind("`context` as a whole cannot be analysed; an attribute can."),
        "permit-everything": Kind("A permit is for every action, those to come too."),
        "permit-any-category": Kind("A permit lets out data of kinds that nobody thought of."),
        "overlay-permit": Kind("A file that is no law permits, and nobody answers for it."),
        "missing-reason": _later("Who is refused is not told why."),
        "missing-severity": _later("The rule does not say how grave a breach of it is."),
        "bad-severity": _later("A @severity is low, medium, high or critical.", "error"),
        "missing-citation": _later("A rule of a law does not say which article it stands for."),
        "unverified-citation": _later("A citation is marked as not verified."),
        "long-condition": _later("A rule has more conditions than people hold in mind."),
        "never-applies": _later("The conditions of the rule can never hold.", "error"),
        "inseparable-facts": _later("Facts are compared to each other, or reckoned with."),
        "unsupplied-fact": _later("This deployment never supplies the fact."),
        "unformattable": _later("The formatter cannot format the file.", "error"),
        # What time does to rules.
        "expired": _later("The rule no longer applies."),
        "expires-soon": _later("The rule will soon no longer apply."),
        "stale-profile": _later("A region profile was not reviewed for long.", "error"),
        # What is ignored.
        "bad-ignore": _later("A comment ignores what it may not, or gives no reason.", "error"),
        "unused-ignore": _later("A comment asks to ignore what is not there."),
    }
)
"""By code. Codes never change: pipelines and comments name them."""

Mends = Sequence[tuple[re.Pattern[str], str, str]]
"""What the engine says, the code of that, and how to mend it."""

SYNTAX: Mends = (
    (
        re.compile("invalid variable: "),
        "syntax",
        "read principal, action, resource or context, or write an entity such as "
        'Category::"health"',
    ),
    (re.compile("'=' is not a valid operator"), "syntax", "write `==`"),
    (
        re.compile("found set of entity uids"),
        "syntax",
        "write one, or ask in a condition: `when { principal in [...] }`",
    ),
    (
        re.compile("in the (policy )?scope|where the variable"),
        "syntax",
        "begin the rule with (principal, action, resource)",
    ),
    (re.compile("invalid policy condition"), "syntax", "write `when` or `unless`"),
    (re.compile("invalid policy effect"), "syntax", "write `permit` or `forbid`"),
    (re.compile("unexpected end of input"), "syntax", "end the rule with `;`"),
    (re.compile("duplicate annotation"), "syntax", "keep one"),
    (re.compile("not a valid method"), "syntax", "use contains, containsAll or containsAny"),
    (
        re.compile("identifier is reserved"),
        "syntax",
        "use contains, containsAll or containsAny",
    ),
    (
        re.compile("unexpected token"),
        "syntax",
        "add what is missing before it, or remove it",
    ),
)
VALIDATION: Mends = (
    (
        re.compile("of an enumerated entity type"),
        "unknown-word",
        "write a word of vocabulary.toml, or add it there",
    ),
    (
        re.compile("unrecognized action"),
        "unknown-action",
        "use one that `guardrail policy schema` lists",
    ),
    (
        re.compile("unrecognized entity type"),
        "unknown-type",
        "use one that `guardrail policy schema` lists",
    ),
    (
        re.compile("^attribute .* in context not found"),
        "unknown-attribute",
        "name only actions of which it is told, as `guardrail policy schema` has them",
    ),
    (
        re.compile("^attribute .* not found"),
        "unknown-attribute",
        "ask what docs/facts.md lists",
    ),
    (
        re.compile("access to optional attribute"),
        "unguarded-attribute",
        "write `has` before it, as in `context has age && context.age < 16`",
    ),
    (
        re.compile("not compatible|unexpected type"),
        "type-mismatch",
        "compare it as docs/facts.md shows",
    ),
    (
        re.compile("unable to find an applicable action"),
        "no-question",
        "name actions that are asked of such a principal and resource",
    ),
)


_HEAD = """\
# What can be wrong with policies

Every problem is told with file, line, column, the rule, a code and how to mend it. Codes never
change. Written by `scripts/policy-docs` from `guardrail/policy/problems.py`.

`guardrail policy check` tells what keeps a set from loading, so that nothing starts with it. Such a
rule would not do what it says, and nobody would notice, or it would let out what nobody thought of.
`guardrail policy lint` tells the rest beside it: a set with it is as safe as its rules, and people
would stumble over how they are written. Time alone never keeps a set from loading, so an old
profile is an error of lint and no more; and a rule that never applies is as if it were deleted.

A comment on the line before a rule, or before the line that a problem names, ignores one code
there. It must give a reason, and cannot ignore what keeps a set from loading:

```cedar
// guardrail: ignore expires-soon the DPO decides on 15 January, LEGAL-12
```

`lint` exits with 3 on errors, and on warnings with 0, or with 1 if `--strict` is given.
"""


def problems_page() -> str:
    """The text of docs/policy-problems.md.

    >>> print(problems_page().splitlines()[0])
    # What can be wrong with policies
    """
    lines = [_HEAD]
    for title, stops in (("What keeps a set from loading", True), ("What lint tells", False)):
        lines += [f"## {title}", "", "| code | severity | about |", "|---|---|---|"]
        lines += [
            f"| `{code}` | {kind.severity} | {kind.about} |"
            for code, kind in KINDS.items()
            if kind.stops is stops
        ]
        lines += [""]
    return "\n".join(lines)


def explained(message: str, mends: Mends) -> tuple[str, str]:
    """The code of a message of the engine, and how to mend it."""
    for pattern, code, mend in mends:
        if pattern.search(message):
            return code, mend
    return ("syntax", "correct the rule") if mends is SYNTAX else ("type-mismatch", "correct it")
