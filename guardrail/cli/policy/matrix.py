"""`guardrail policy matrix`: how each category is treated at each endpoint under each law."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jinja2
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guardrail.cli.policy.asking import chosen_name, known_word
from guardrail.cli.policy.diff import escaped
from guardrail.cli.stores import Directory, folders_of, peopled, rehearsed, written
from guardrail.cli.terminal import (
    DEFAULT,
    AsJson,
    Code,
    ConfigFile,
    fail,
    out,
    progress_bar,
    told,
)
from guardrail.config import default_directory, load_config
from guardrail.policy.loader import PolicyStore
from guardrail.policy.matrix import (
    NOWHERE,
    Matrix,
    Posture,
    Row,
    Sheet,
    alike_columns,
    alike_rows,
    categories,
    exceptions,
    sheet,
)
from guardrail.policy.scenarios import USUAL_APP
from guardrail.types import Category, Endpoint, Reason, Treatment

Form = Literal["text", "html", "markdown", "csv", "json"]
_SUFFIXES: Mapping[str, Form] = {
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".csv": "csv",
    ".json": "json",
}
_STYLES = {
    Treatment.CLEAR: "green",
    Treatment.PSEUDONYMISED: "cyan",
    Treatment.REDACTED: "yellow",
    Treatment.LOCAL: "magenta",
    Treatment.BLOCKED: "bold red",
}
_SHORT = {
    Treatment.CLEAR: "clear",
    Treatment.PSEUDONYMISED: "pseud.",
    Treatment.REDACTED: "redact",
    Treatment.LOCAL: "local",
    Treatment.BLOCKED: "block",
}
_GLANCED = (Category("contact"), Category("health"))
"""The categories that stand for ordinary and for special ones where all laws are side by side."""

_MEANINGS = {
    Treatment.CLEAR: "leaves as it is",
    Treatment.PSEUDONYMISED: "leaves as a placeholder, which answers are restored from",
    Treatment.REDACTED: "leaves taken out",
    Treatment.LOCAL: "keeps the whole request on the local model",
    Treatment.BLOCKED: "refuses the request",
}


def matrix(
    directory: Directory = None,
    file: ConfigFile = DEFAULT,
    app: Annotated[
        str | None, typer.Option("--app", help="Which application asks; needed if there are some.")
    ] = None,
    law: Annotated[
        list[str] | None, typer.Option("--law", help="Only this law, such as eu. Repeatable.")
    ] = None,
    purpose: Annotated[str | None, typer.Option(help="Why the data is processed.")] = None,
    basis: Annotated[str | None, typer.Option(help="On what legal ground.")] = None,
    consent: Annotated[
        list[str] | None, typer.Option(help="A consent on record. Repeatable.")
    ] = None,
    filing: Annotated[
        list[str] | None, typer.Option(help="An assessment or notice on record. Repeatable.")
    ] = None,
    age: Annotated[
        int | None, typer.Option(min=0, max=150, help="The data subject's age, where known.")
    ] = None,
    residual: Annotated[
        float, typer.Option(min=0, help="Names expected to be left in the text.")
    ] = 0.0,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], help="The day; exceptions expire."),
    ] = None,
    output: Annotated[
        Form | None,
        typer.Option("--format", help="What is written; by the name of the file where one is."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file.")
    ] = None,
    stale: Annotated[
        Path | None,
        typer.Option(
            "--check", metavar="FILE", help="Write nothing; exit with 1 unless FILE is up to date."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how each category is treated at each endpoint under each law: the residency matrix.

    For the endpoints of the configuration; with DIR, or without a configuration, for those of
    policies/tests/world.yaml. It assumes one application, purpose and ground, and says which.

    Example: **guardrail policy matrix --law eu --law us**

    Example: **guardrail policy matrix -o residency.html**

    Example: **guardrail policy matrix my-gateway --check docs/residency.md**
    """
    form = _form(output, target or stale, as_json=as_json)
    with told(as_json=form == "json"):
        store, posture = _asked(directory, file, app)
        for option, word in (("--purpose", purpose), ("--basis", basis)):
            _words(option, store, [word] if word else [])
        posture = replace(
            posture,
            purpose=purpose or posture.purpose,
            basis=basis or posture.basis,
            consents=posture.consents if consent is None else _words("--consent", store, consent),
            filings=posture.filings if filing is None else _words("--filing", store, filing),
            age=age,
            residual=residual,
            on=on.date() if on else None,
        )
        made = _made(store, posture, _laws(store, law))
    if form == "text":
        _show(made, store)
        return
    text = _RENDERERS[form](made, store)
    if stale:
        _compare(stale, text)
    elif target:
        _write(target, text)
    else:
        typer.echo(text, nl=False)


def _made(store: PolicyStore, posture: Posture, laws: Sequence[str]) -> Matrix:
    with progress_bar(Console(stderr=True)) as progress:
        sheets = [
            sheet(store, one, posture) for one in progress.track(laws, description="deciding")
        ]
    return Matrix(
        posture=posture,
        digest=store.digest,
        categories=categories(store),
        sheets=tuple(sheets),
        exceptions=exceptions(store),
    )


def _form(output: Form | None, target: Path | None, *, as_json: bool) -> Form:
    if as_json and output not in (None, "json"):
        fail(f"--json and --format {output}: give one", code=Code.USAGE)
    form = "json" if as_json else output
    if form is None and target:
        form = _SUFFIXES.get(target.suffix.lower())
        if form is None:
            known = ", ".join(_SUFFIXES)
            fail(f"{target}: name a file that ends in {known}, or say --format", code=Code.USAGE)
    if form == "text" and target:
        fail("--format text goes to the terminal; choose another for a file", code=Code.USAGE)
    return form or "text"


def _compare(file: Path, text: str) -> None:
    try:
        current = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        fail(f"{file}: cannot be read; write it with --output {file}")
    if current != text:
        fail(f"{file}: out of date; write it with --output {file} in place of --check")
    out().print(f"{file} is up to date", soft_wrap=True)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{file}: cannot be written: {error.strerror}")
    out().print(f"wrote {file}", soft_wrap=True)


# ---- what is asked


def _asked(directory: Path | None, file: Path, name: str | None) -> tuple[PolicyStore, Posture]:
    """The policies with those who ask and are asked, and what is usual of the application."""
    if directory or (file == DEFAULT and not file.exists()):
        folder = directory or default_directory("policies").parent
        (store,) = peopled(folders_of(folder, file), file=None)
        known = list(store.principals)
        app = store.principals[chosen_name("--app", name or USUAL_APP, known, known)]
        return store, Posture(app=replace(app, establishment=""))
    settings = load_config(file)
    store = rehearsed(written(settings))
    known = list(settings.apps)
    chosen = chosen_name("--app", name, known, known)
    told = settings.apps[chosen]
    return store, Posture(
        app=store.principals[chosen],
        purpose=told.purpose,
        basis=told.basis,
        consents=frozenset(told.consents),
        filings=frozenset(told.filings),
    )


def _words(option: str, store: PolicyStore, words: Sequence[str]) -> frozenset[str]:
    """What a repeatable option says, each a word of the vocabulary that it is named after."""
    for word in words:
        known_word(option, word, store.vocabulary[option.removeprefix("--")])
    return frozenset(words)


def _laws(store: PolicyStore, chosen: Sequence[str] | None) -> Sequence[str]:
    for law in chosen or ():
        known_word("--law", law, store.regions.ids)
    return chosen or (*store.regions.ids, NOWHERE)


# ---- in words


def _word(treatment: Treatment) -> str:
    return treatment.name.lower()


def _heading(one: Sheet, store: PolicyStore) -> str:
    if one.law == NOWHERE:
        return "Where nobody says where people are"
    return store.regions.regions[one.law].name


def _situation(one: Sheet) -> str:
    """Whom a sheet is about, and which laws decide."""
    people = f"People in {one.place}" if one.place else "People of whom the place is not known"
    laws = ", ".join(one.laws) or "none but what holds everywhere"
    return f"{people}, an application established in {one.established}; laws that apply: {laws}."


def _assumed(posture: Posture) -> list[tuple[str, str]]:
    """The posture as pairs of name and value."""
    app = posture.app
    traits = [app.sector] if app.sector != "general" else []
    traits += ["high risk"] if app.high_risk else []
    traits += ["critical infrastructure"] if app.critical_infrastructure else []
    pairs = [
        ("application", app.id + (f" ({', '.join(traits)})" if traits else "")),
        ("purpose", posture.purpose),
        ("basis", posture.basis),
        ("consents on record", ", ".join(sorted(posture.consents)) or "none"),
        ("filings on record", ", ".join(sorted(posture.filings)) or "none"),
        ("age of the data subject", "not known" if posture.age is None else str(posture.age)),
        ("names expected to be left in the text", f"{posture.residual:g}"),
    ]
    return [*pairs, ("day", posture.on.isoformat())] if posture.on else pairs


def _traits(endpoint: Endpoint) -> list[str]:
    """What is true of an endpoint, beside its place."""
    traits = ["local"] if endpoint.local else sorted(endpoint.agreements)
    traits += ["trains on data"] if endpoint.trains_on_data else []
    traits += ["keeps nothing"] if endpoint.zero_retention else []
    traits += [f"controlled by {endpoint.controlled_by}"] if endpoint.controlled_by else []
    traits += [f"sovereignty {endpoint.sovereignty}"] if endpoint.sovereignty else []
    return traits


def _reasons(one: Sheet) -> list[Reason]:
    """The rules that decide anything on a sheet, by their place in the files."""
    found = {
        reason.policy: reason
        for row in one.rows
        for cell in row.cells.values()
        for reason in cell.reasons
    }
    return [found[name] for name in sorted(found)]


def _state(expires: date | None, posture: Posture) -> str:
    if expires is None:
        return "never ends"
    if expires <= (posture.on or date.today()):
        return f"over since {expires}"
    return f"until {expires}"


# ---- for people at a terminal


def _show(made: Matrix, store: PolicyStore) -> None:
    console = out()
    assumed = "; ".join(f"{name}: {value}" for name, value in _assumed(made.posture))
    console.print(Text(assumed, style="dim"), soft_wrap=True)
    for one in made.sheets:
        console.print(Text(f"\n{_heading(one, store)}", style="bold"))
        console.print(Text(_situation(one), style="dim"), soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("endpoint", overflow="fold")
        for treatment in Treatment:
            table.add_column(Text(_word(treatment), style=_STYLES[treatment]), overflow="fold")
        for rows in alike_rows(one.rows):
            cells = rows[0].cells
            named = [
                ", ".join(name for name in made.categories if cells[name].treatment is treatment)
                for treatment in Treatment
            ]
            table.add_row(", ".join(row.endpoint.id for row in rows), *named)
        console.print(table)
    for exception in made.exceptions:
        state = _state(exception.expires, made.posture)
        line = f"exception {exception.reason.policy}: {exception.approved}; {state}"
        console.print(Text(line), soft_wrap=True)


# ---- as Markdown


def _markdown(made: Matrix, store: PolicyStore) -> str:
    return "\n".join(_markdown_lines(made, store))


def _markdown_lines(made: Matrix, store: PolicyStore) -> Iterator[str]:
    yield from ("# Residency matrix", "")
    yield "What happens to each kind of data at each endpoint under each law: what policies decide."
    yield "Written by `guardrail policy matrix`. An engineering starting point, not legal advice."
    yield from ("", "It assumes, and is true of nothing else:", "")
    yield from (f"- {name}: {escaped(value)}" for name, value in _assumed(made.posture))
    yield from ("", "| word | meaning |", "|---|---|")
    yield from (f"| {_word(one)} | {_MEANINGS[one]} |" for one in Treatment)
    yield from (
        "",
        "## Endpoints",
        "",
        "| endpoint | place | what is true of it |",
        "|---|---|---|",
    )
    for row in made.sheets[0].rows:
        endpoint = row.endpoint
        place = "where the people are" if _wanders(endpoint, made) else endpoint.location
        traits = ", ".join(_traits(endpoint)) or "nothing is signed"
        yield f"| {escaped(endpoint.id)} | {place} | {traits} |"
    if made.exceptions:
        yield from ("", "## Exceptions", "", "| rule | approved by | in force | what it does |")
        yield "|---|---|---|---|"
    for reason, approved, expires in made.exceptions:
        state = _state(expires, made.posture)
        yield f"| `{reason.policy}` | {escaped(approved)} | {state} | {escaped(reason.title)} |"
    for one in made.sheets:
        yield from _markdown_sheet(one, made, store)
    yield ""


def _markdown_sheet(one: Sheet, made: Matrix, store: PolicyStore) -> Iterator[str]:
    yield from ("", f"## {_heading(one, store)}", "", _situation(one))
    region = store.regions.regions.get(one.law)
    if region:
        yield f"Reviewed {region.last_reviewed}. {'; '.join(map(escaped, region.statutes))}."
    columns = alike_columns(one.rows, made.categories)
    yield from ("", f"| endpoint | {' | '.join(', '.join(names) for names in columns)} |")
    yield "|---" * (len(columns) + 1) + "|"
    for rows in alike_rows(one.rows):
        names = ", ".join(escaped(row.endpoint.id) for row in rows)
        cells = (_word(rows[0].cells[column[0]].treatment) for column in columns)
        yield f"| {names} | {' | '.join(cells)} |"
    rules = (
        f"`{one.policy}`" + (f" ({one.citation})" if one.citation else "") for one in _reasons(one)
    )
    yield from ("", f"Decided by {', '.join(rules)}.")


def _wanders(endpoint: Endpoint, made: Matrix) -> bool:
    return endpoint.local and not made.posture.app.establishment


# ---- as a page


def _html(made: Matrix, store: PolicyStore) -> str:
    """Gives one page that needs nothing else: no script, no font, no address to fetch from."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = resources.files("guardrail.cli") / "templates" / "matrix.html"
    return environment.from_string(template.read_text("utf-8")).render(
        digest=made.digest,
        assumed=_assumed(made.posture),
        meanings=[(_word(one), _SHORT[one], _MEANINGS[one]) for one in Treatment],
        categories=made.categories,
        endpoints=[
            (
                row.endpoint.id,
                "where the people are" if _wanders(row.endpoint, made) else row.endpoint.location,
                ", ".join(_traits(row.endpoint)) or "nothing is signed",
            )
            for row in made.sheets[0].rows
        ],
        exceptions=[
            (one.reason, one.approved, _state(one.expires, made.posture)) for one in made.exceptions
        ],
        sheets=[
            {
                "law": one.law or "elsewhere",
                "heading": _heading(one, store),
                "situation": _situation(one),
                "region": store.regions.regions.get(one.law),
                "rows": [
                    (row.endpoint.id, [_cell(row, name, made) for name in made.categories])
                    for row in one.rows
                ],
                "rules": _reasons(one),
            }
            for one in made.sheets
        ],
        glances=[
            (
                category,
                [
                    (one.law or "elsewhere", [_cell(row, category, made) for row in one.rows])
                    for one in made.sheets
                ],
            )
            for category in _GLANCED
        ],
    )


class _Shown(NamedTuple):
    """A cell of the page: the treatment, how it is written, and why it is so."""

    treatment: str
    short: str
    why: str


def _cell(row: Row, category: Category, made: Matrix) -> _Shown:
    cell = row.cells[category]
    rules = [reason.policy for reason in cell.reasons]
    excepted = {one.reason.policy for one in made.exceptions}.intersection(rules)
    by = ", ".join(rules) or "no rule permits more"
    word = _word(cell.treatment)
    return _Shown(
        word,
        _SHORT[cell.treatment] + (" *" if excepted else ""),
        f"{category} at {row.endpoint.id}: {word}, by {by}",
    )


# ---- for machines


def _records(made: Matrix) -> Iterator[dict[str, Any]]:
    for one in made.sheets:
        for row in one.rows:
            for category in made.categories:
                cell = row.cells[category]
                yield {
                    "law": one.law,
                    "people_in": one.place,
                    "established_in": one.established,
                    "laws": one.laws,
                    "endpoint": row.endpoint.id,
                    "location": row.endpoint.location,
                    "category": category,
                    "treatment": _word(cell.treatment),
                    "rules": [reason.policy for reason in cell.reasons],
                    "citations": [one.citation for one in cell.reasons if one.citation],
                    "errors": cell.errors,
                }


def _csv(made: Matrix, store: PolicyStore) -> str:
    """One line for each cell; several values of one column are separated by `; `."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for number, record in enumerate(_records(made)):
        if number == 0:
            writer.writerow(record)
        values = (
            "; ".join(one) if isinstance(one, (list, tuple)) else one for one in record.values()
        )
        writer.writerow(map(_inert, values))
    return written.getvalue()


def _inert(value: str) -> str:
    """A value that a spreadsheet takes for no formula."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value


def _json(made: Matrix, store: PolicyStore) -> str:
    document = {
        "digest": made.digest,
        "assumed": dict(_assumed(made.posture)),
        "exceptions": [
            {
                "rule": one.reason.policy,
                "approved": one.approved,
                "expires": one.expires.isoformat() if one.expires else None,
                "place": one.reason.place,
            }
            for one in made.exceptions
        ],
        "cells": list(_records(made)),
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


_RENDERERS: Mapping[str, Callable[[Matrix, PolicyStore], str]] = {
    "html": _html,
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
}
