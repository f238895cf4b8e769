"""What rules make of a text, the slow way: each code point belongs to the best match over it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import regex

from guardrail.transform.stream import CONTEXT, StreamRule


def painted(text: str, rules: Iterable[tuple[StreamRule, regex.Pattern[str]]]) -> str:
    """The rewritten text, painted from the worst match of a rule's pattern to the best."""
    matches = []
    for rule, pattern in rules:
        at = 0
        while found := pattern.search(text, at):
            start, end = found.span()
            new = rule.rewrite(found[0], text[max(0, start - CONTEXT) : start])
            at = start + 1 if new is None else end
            if new is not None:
                matches.append((-rule.priority, start - end, start, rule.name, end, new))
    paint: list[tuple[int, str] | None] = [None] * len(text)
    for number, (_, _, start, _, end, new) in enumerate(sorted(matches, reverse=True)):
        paint[start:end] = [(number, new)] * (end - start)
    runs = itertools.groupby(zip(paint, text, strict=True), key=lambda pair: pair[0])
    return "".join(own[1] if own else "".join(c for _, c in run) for own, run in runs)
