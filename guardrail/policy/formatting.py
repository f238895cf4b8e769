"""Formatting: rules as Cedar's formatter writes them, with blank lines and short scopes kept.

The formatter joins a heading to the rule below it and breaks every scope over five lines. Here a
blank line after a comment stays, and a scope that fits on a line stands on one. What a text says is
compared before and after: a formatter that loses a comment or changes a rule changes nothing.
"""

from __future__ import annotations

import re
from itertools import pairwise

from guardrail.policy.cedar import Source, comments, parse, reformat
from guardrail.problems import Problem

WIDTH = 100

_BODY = re.compile(r"^(when|unless)\n\{", re.MULTILINE)
_CALL = re.compile(r"^([^\n]*?)(?:\n *)?\.(contains\w*)(?:\n *)?\(\n *([^\n]*)\n *\)", re.MULTILINE)
_SCOPE = re.compile(
    r"^(permit|forbid) \(\n  (principal[^\n]*),\n  (action[^\n]*),\n  (resource[^\n]*)\n\)",
    re.MULTILINE,
)


def formatted(source: Source) -> tuple[str, list[Problem]]:
    """The formatted text, or the text as it is with what keeps it from being formatted."""
    rules, problems = parse(source)
    if problems:
        return source.text, problems
    try:
        text = _arranged(source.text, reformat(source.text, width=WIDTH))
    except ValueError:
        text = ""
    again, problems = parse(Source(name=source.name, text=text))
    same = [one.tree for one in again] == [one.tree for one in rules]
    if problems or not same or _said(text) != _said(source.text):
        said = "the formatter would lose a comment or change a rule; move comments out of the rules"
        return source.text, [source.whole("unformattable", said)]
    return text, []


def _said(text: str) -> list[str]:
    return [comment.group().rstrip() for comment in comments(text)]


def _arranged(original: str, text: str) -> str:
    text = _CALL.sub(_call, _BODY.sub(r"\1 {", _SCOPE.sub(_scope, text)))
    before, after = comments(original), comments(text)
    if len(before) != len(after):
        return text
    blanks: set[int] = set()  # the offsets of lines that a blank line precedes
    for old, new in zip(before, after, strict=True):
        line = text.rfind("\n", 0, new.start()) + 1
        if text[line : new.start()].strip():
            continue  # it stands behind something
        if re.search(r"\n[ \t]*\r?\n[ \t]*$", original[: old.start()]):
            blanks.add(line)
        if re.match(r"[ \t]*\r?\n[ \t]*\r?\n", original[old.end() :]):
            blanks.add(new.end() + 1)
    cuts = [0, *sorted(at for at in blanks if 0 < at < len(text)), len(text)]
    parts = [text[start:end] for start, end in pairwise(cuts)]
    return (
        "".join(part if part.endswith("\n\n") else f"{part}\n" for part in parts[:-1]) + parts[-1]
    )


def _call(found: re.Match[str]) -> str:
    """A call on one line, or its list with a line for each member where that is too long."""
    start, name, argument = found.groups()
    line = f"{start}.{name}({argument})"
    if len(line) <= WIDTH or not argument.startswith("["):
        return line
    margin = " " * (len(start) - len(start.lstrip()))
    members = ",\n".join(f"{margin}  {one}" for one in argument[1:-1].split(", "))
    return f"{start}.{name}([\n{members}\n{margin}])"


def _scope(found: re.Match[str]) -> str:
    effect, *parts = found.groups()
    line = f"{effect} ({', '.join(parts)})"
    return line if len(line) <= WIDTH and "//" not in line else found.group()
