"""`guardrail policy diff`: which requests two sets of policies treat otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from guardrail.cli.policy.asking import known_word
from guardrail.cli.stores import folders_of, peopled
from guardrail.cli.terminal import (
    DEFAULT,
    AsJson,
    Code,
    ConfigFile,
    fail,
    out,
    progress_bar,
    told,
    write_json,
)
from guardrail.policy.difference import (
    Change,
    Comparison,
    Condition,
    Difference,
    Note,
    cases,
    conditions,
    headline,
    laws_of,
)
from guardrail.policy.domain import Value
from guardrail.policy.loader import PolicyStore


def diff(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="A folder with policies/ and regions/.")
    ],
    new: Annotated[
        Path | None,
        typer.Argument(
            metavar="[NEW]", help="Another; in place of it, the configuration's policies."
        ),
    ] = None,
    file: ConfigFile = DEFAULT,
    law: Annotated[
        list[str] | None, typer.Option("--law", help="Only this law, such as eu. Repeatable.")
    ] = None,
    show_cases: Annotated[
        bool, typer.Option("--cases", help="List exactly which requests each sentence is about.")
    ] = False,
    output: Annotated[
        Literal["text", "json", "markdown"],
        typer.Option("--format", help="For people, as JSON, or as a comment on a pull request."),
    ] = "text",
    fail_on: Annotated[
        Literal["never", "looser", "any"],
        typer.Option("--fail-on", help="Exit with 5 when something is looser, or changes at all."),
    ] = "never",
    as_json: AsJson = False,
) -> None:
    """Compare two sets of policies by what they decide, not by how they are written.

    All requests that the rules can tell apart are decided by both sets, for the apps and endpoints
    of the configuration; without one, for those of NEW/policies/tests/world.yaml. Where nothing is
    found, nothing changes for them. What loosens comes first.

    Example: **guardrail policy diff main/ edited/**

    Example: **guardrail policy diff main/ edited/ --format markdown --fail-on looser**
    """
    if as_json and output == "markdown":
        fail("--json and --format markdown: give one", code=Code.USAGE)
    form = "json" if as_json else output
    with told(as_json=form == "json"):
        found, stores = _compared(old, new, file, law, quiet=form == "json")
    if form == "json":
        write_json(_document(found, stores))
    elif form == "markdown":
        typer.echo(markdown(found), nl=False)
    else:
        _show(found, show_cases=show_cases)
    if (fail_on == "looser" and found.looser) or (fail_on == "any" and not found.empty):
        raise typer.Exit(Code.LOOSER)


def _compared(
    old: Path, new: Path | None, file: Path, chosen: Sequence[str] | None, *, quiet: bool
) -> tuple[Difference, Sequence[PolicyStore]]:
    folders = (folders_of(old, file), folders_of(new, file))
    stores = peopled(*folders, file=file)
    laws = laws_of(*stores)
    for law in chosen or ():
        known_word("--law", law, [one for one in laws if one])
    comparison = Comparison(*stores)
    with progress_bar(Console(stderr=True), hidden=quiet) as progress:
        for law in progress.track(chosen or laws, description="comparing"):
            comparison.compare(law)
    return comparison.difference(), stores


# ---- for people


def _show(found: Difference, *, show_cases: bool) -> None:
    console = out()
    for change in found.changes:
        console.print(_line(change), soft_wrap=True)
        for name, deciding in (("was decided by", change.was), ("would be by", change.now)):
            said = ", ".join(deciding) or "no rule, which denies"
            console.print(Text(f"    {name} {said}", style="dim"), soft_wrap=True)
        if show_cases:
            for case in cases(change):
                console.print(Text(f"    - {case}"), soft_wrap=True)
    for note in found.notes:
        console.print(Text.assemble(_mark(looser=note.looser), note.text), soft_wrap=True)
    for name, rules in _edits(found):
        console.print(f"rules {name}: {', '.join(rules)}", soft_wrap=True)
    console.print(_summary(found), soft_wrap=True)


def _line(change: Change) -> Text:
    where = conditions(change)
    return Text.assemble(
        _mark(looser=change.looser),
        (f"{_laws(change)}: ", "bold"),
        headline(change),
        f"; only where {', and '.join(where)}" if where else "",
        (f"  ({change.requests:,} of {change.compared:,} requests)", "dim"),
    )


def _mark(*, looser: bool) -> tuple[str, str]:
    return ("LOOSER   ", "bold red") if looser else ("stricter ", "green")


def _laws(change: Change) -> str:
    return ", ".join(law or "where no law applies" for law in change.laws)


def _edits(found: Difference) -> list[tuple[str, Sequence[str]]]:
    each = [("changed", found.edited), ("added", found.added), ("removed", found.removed)]
    return [(name, rules) for name, rules in each if rules]


def _summary(found: Difference) -> str:
    compared = f"{found.compared:,} requests compared"
    if found.empty:
        return f"{compared}: all are treated alike"
    looser = sum(one.looser for one in found.changes) + sum(one.looser for one in found.notes)
    total = len(found.changes) + len(found.notes)
    changes = "1 change" if total == 1 else f"{total:,} changes"
    return f"{compared}: {changes}, {looser:,} looser"


# ---- for a pull request


def markdown(found: Difference) -> str:
    """A difference as a comment on a pull request; GitHub's Markdown."""
    lines = ["### What the policies would decide otherwise", ""]
    if found.looser:
        lines += ["> [!WARNING]", "> Some requests would be treated **more loosely**.", ""]
    if found.changes:
        lines += ["| | laws | what changes | only where | was decided by | would be by |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [_row(change) for change in found.changes]
        lines += [""]
    lines += [f"- {_word(one)}: {escaped(one.text)}" for one in found.notes]
    lines += [f"- rules {name}: {_code(rules)}" for name, rules in _edits(found)]
    if lines[-1]:
        lines += [""]
    lines += [_summary(found) + ".", ""]
    detailed = [one for one in found.changes if len(one.cases) > 1]
    if detailed:
        lines += ["<details><summary>Exactly which requests</summary>", ""]
        for change in detailed:
            lines += [f"**{_laws(change)}: {escaped(headline(change))}**", ""]
            lines += [f"- {escaped(case)}" for case in cases(change)]
            lines += [""]
        lines += ["</details>", ""]
    return "\n".join(lines)


def _row(change: Change) -> str:
    cells = (
        _word(change),
        _laws(change),
        escaped(headline(change)),
        escaped("; ".join(conditions(change))),
        _code(change.was),
        _code(change.now),
    )
    return f"| {' | '.join(cells)} |"


def _word(one: Change | Note) -> str:
    return "**LOOSER**" if one.looser else "stricter"


def _code(rules: Sequence[str]) -> str:
    return ", ".join(f"`{rule}`" for rule in rules) or "no rule"


def escaped(text: str) -> str:
    """A text in which nothing is Markdown."""
    for letter in "\\`*_[]<>|":
        text = text.replace(letter, "\\" + letter)
    return text


# ---- for machines


def _document(found: Difference, stores: Sequence[PolicyStore]) -> dict[str, Any]:
    old, new = stores
    return {
        "old": old.digest,
        "new": new.digest,
        "looser": found.looser,
        "same": found.empty,
        "compared": found.compared,
        "changes": [_change(one) for one in found.changes],
        "notes": [{"text": one.text, "looser": one.looser} for one in found.notes],
        "edited": found.edited,
        "added": found.added,
        "removed": found.removed,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "laws": change.laws,
        "topic": change.topic,
        "text": headline(change),
        "only_where": conditions(change),
        "old": change.old.name.lower(),
        "new": change.new.name.lower(),
        "looser": change.looser,
        "requests": change.requests,
        "compared": change.compared,
        "was": change.was,
        "now": change.now,
        "where": _facts(change.where),
        "cases": [_facts(one) for one in change.cases],
    }


def _facts(where: Sequence[Condition]) -> dict[str, list[object]]:
    return {one.name: [_value(value) for value in one.values] for one in where}


def _value(value: Value) -> object:
    return sorted(value) if isinstance(value, frozenset) else value
