"""`guardrail known`: lists of your own customers, employees and patients."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from guardrail.cli.terminal import CODES, AsJson, Code, fail, out, told, write_json
from guardrail.detection.known.building import ListBuilder, remove_value
from guardrail.detection.known.file import Header, open_list, read_header
from guardrail.detection.known.finder import load_known
from guardrail.detection.known.keys import key_of, make_key_file, read_key_file
from guardrail.detection.known.sources import FORMATS, LIST, read_database, read_file
from guardrail.detection.known.spelling import Spelling
from guardrail.detection.normalize import readings
from guardrail.errors import ConfigError
from guardrail.taxonomy import load_taxonomy
from guardrail.types import Finding, TextUnit

known = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    epilog=CODES,
    help="List your own customers, employees, patients, so that they are always found.",
)

VARIABLE = "GUARDRAIL_KNOWN_KEY"
"""The environment variable that holds the secret, where no option says another place."""
_KEY_FILE = Path("known.key")
_CHUNK = 4096

List = Annotated[Path, typer.Argument(metavar="FILE", help="A list that `known build` wrote.")]
KeyOption = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="env:NAME|FILE",
        help=f"The secret key: an environment variable or a file. By default {VARIABLE}, "
        f"or else the file {_KEY_FILE}.",
    ),
]


@known.callback()
def _known() -> None:
    """List your own customers, employees, patients, so that they are always found.

    A list holds keyed hashes and no text. It is still personal data: whoever has the key can try
    any name on it. Keep the key apart from the list.
    """


# ── build ────────────────────────────────────────────────────────────────────────────────────────


@known.command("build", epilog=CODES)
def build(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="A .csv, .tsv, .jsonl or .txt file, or - for standard input (CSV).",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The list to write.")
    ] = Path("people.known"),
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEADER=ENTITY",
            help="What a column holds: PERSON, EMAIL_ADDRESS, …, or GIVEN and FAMILY for a name in "
            "two columns. May be repeated; other columns are then ignored.",
        ),
    ] = None,
    entity: Annotated[
        str, typer.Option(help="What each line of a plain list (.txt) is, e.g. PERSON.")
    ] = "",
    sql: Annotated[str, typer.Option(metavar="QUERY", help="Take the rows of a query.")] = "",
    dsn: Annotated[
        str,
        typer.Option(
            metavar="DSN", help="Its database: sqlite:///path, postgresql://…, or env:NAME."
        ),
    ] = "",
    region: Annotated[
        str, typer.Option(help="Country (ISO 3166) of telephone numbers that name none.")
    ] = "",
    variants: Annotated[
        bool,
        typer.Option(
            "--variants",
            help="Also find initials (A. Lovelace), names without the middle ones, Muller for "
            "Mueller, and the first line of an address.",
        ),
    ] = False,
    min_words: Annotated[
        int, typer.Option(min=1, max=4, help="Words that a name must have.")
    ] = Spelling().least_words,
    min_characters: Annotated[
        int, typer.Option(min=1, max=32, help="Letters and digits that an id must have.")
    ] = Spelling().least_characters,
    kind: Annotated[
        str, typer.Option("--format", help="csv, tsv, jsonl or list, where the name does not tell.")
    ] = "",
    encoding: Annotated[str, typer.Option(help="Of the file; UTF-8 by default.")] = "",
    key: KeyOption = "",
    as_json: AsJson = False,
) -> None:
    """Build a list from a table, a plain list or a database, in place of the one that is there.

    Columns are known by their headers (name, first_name and last_name, email, phone, address,
    customer_id, mrn, iban, …) or by --column. Names are found in both orders, whatever their case
    and accents. The first build makes a key, readable by you alone.

    Example: **guardrail known build customers.csv -o people.known**

    Example: **guardrail known build --dsn sqlite:///crm.db --sql "select name, email from people"**

    Example: **psql --csv -c "select name, email from people" | guardrail known build -**
    """
    began = time.monotonic()
    with told(as_json=as_json):
        if bool(sql) != bool(dsn) or bool(sql) == bool(source):
            fail("give a SOURCE, or both --sql and --dsn", code=Code.USAGE)
        chosen = _chosen(column or ())
        kind = _kind(source, kind, entity) if source else ""
        if not output.parent.is_dir():
            fail(f"{output}: cannot be written: there is no folder {output.parent}")
        secret_key = _key(key, make=True)
        builder = ListBuilder(
            secret_key,
            Spelling(
                region=region.upper(),
                variants=variants,
                least_words=min_words,
                least_characters=min_characters,
            ),
        )
        if sql:
            with _progress(None) as advance:
                rows = read_database(_from_environment(dsn), sql, chosen=chosen)
                _take(rows, builder, advance)
        else:
            assert source is not None
            with _opened(source) as file, _progress(file if source != "-" else None) as advance:
                rows = read_file(
                    file,
                    kind=kind,
                    chosen=chosen,
                    entity=entity,
                    encoding=encoding,
                )
                _take(rows, builder, advance)
        header = builder.write(output, now=datetime.now(UTC))
    report = {
        **_described(output, header),
        "skipped": dict(builder.skipped),
        "seconds": round(time.monotonic() - began, 1),
    }
    if as_json:
        write_json({"ok": True, **report})
        return
    _show(report)
    console = out()
    for name, count in builder.skipped.items():
        console.print(
            f"{count} of {name} were not taken: too short, too long or no {name} "
            "(--min-words, --min-characters)",
            markup=False,
        )
    unclassified = set(header.entities) - load_taxonomy().categories.keys()
    for name in sorted(unclassified):
        console.print(f'{name} has no category: add {name} = "…" under [detection.entities]')
    console.print(f'Next: say known = ["{output}"] under [detection]', markup=False)


def _take(rows: Iterable[tuple[str, str]], builder: ListBuilder, advance: Any) -> None:
    for number, (entity, value) in enumerate(rows):
        builder.add(entity, value)
        if not number % _CHUNK:
            advance(number)


def _chosen(columns: Iterable[str]) -> dict[str, str]:
    chosen = {}
    for column in columns:
        header, _, entity = column.rpartition("=")
        if not header or not entity.isidentifier() or not entity.isupper():
            raise ConfigError([f"--column {column}: write HEADER=ENTITY, e.g. full_name=PERSON"])
        chosen[header] = entity
    return chosen


def _kind(source: str, kind: str, entity: str) -> str:
    known_kinds = set(FORMATS.values())
    if kind and kind not in known_kinds:
        raise ConfigError([f"--format {kind}: use one of {', '.join(sorted(known_kinds))}"])
    if kind:
        return kind
    if entity:
        return LIST
    if source == "-":
        return "csv"
    suffix = Path(source).suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError([f"{source}: say what it is: --format csv, tsv, jsonl or list"])
    return FORMATS[suffix]


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(source).open("rb"))
        except OSError as error:
            raise ConfigError([f"{source}: cannot be read: {error.strerror}"]) from None
        yield file


@contextmanager
def _progress(file: BinaryIO | None) -> Iterator[Any]:
    """Shows how far the file was read, on a terminal; gives what is told the number of values."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    if not bar.console.is_terminal:
        bar.disable = True
    size = os.fstat(file.fileno()).st_size if file else None
    with bar:
        task = bar.add_task("building", total=size)

        def advance(values: int) -> None:
            # Not `tell`: a text stream that reads ahead forbids it.
            done = os.lseek(file.fileno(), 0, os.SEEK_CUR) if file else values
            bar.update(task, completed=done, description=f"{values:,} values")

        yield advance


# ── check, test, remove ──────────────────────────────────────────────────────────────────────────


@known.command("check", epilog=CODES)
def check(file: List, key: KeyOption = "", as_json: AsJson = False) -> None:
    """Show what a list tells about itself, and whether it is whole.

    With the key, every byte is verified; without it, the size and the header.

    Example: **guardrail known check people.known**
    """
    with told(as_json=as_json):
        header = read_header(file)
        verified = _has_key(key)
        if verified:
            open_list(file, _key(key))
    report = {**_described(file, header), "verified": verified}
    if as_json:
        write_json({"ok": True, **report})
        return
    _show(report)
    if verified:
        out().print(Text.assemble(("ok ", "bold green"), "whole, and built with this key"))
    else:
        out().print(Text("not verified: there is no key here (--key)"))


@known.command("test", epilog=CODES)
def try_list(
    file: List,
    source: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="A file of text, or - for standard input.")
    ] = "-",
    show: Annotated[bool, typer.Option("--show", help="Also write what was found.")] = False,
    key: KeyOption = "",
    as_json: AsJson = False,
) -> None:
    """Try a list on a text: which parts of it are known.

    Writes where they stand; what they say only with --show.

    Example: **echo "Ask Ada Lovelace" | guardrail known test people.known -**
    """
    with told(as_json=as_json):
        (people,) = load_known([file], _secret(key))
        with _opened(source) as stream:
            text = stream.read().decode("utf-8", "replace")
        found = _found(people.find, text)
    if as_json:
        write_json(
            [
                {
                    "entity": finding.entity,
                    "start": finding.span.start,
                    "end": finding.span.end,
                    **({"text": text[finding.span.start : finding.span.end]} if show else {}),
                }
                for finding in found
            ]
        )
        return
    for finding in found:
        span = finding.span
        said = f"  {text[span.start : span.end]!r}" if show else ""
        typer.echo(f"{span.start}-{span.end}  {finding.entity}{said}")
    if not found:
        typer.echo("nothing in this text is on the list")


def _found(find: Any, text: str) -> list[Finding]:
    """As the detector does: over every view of the text, in its own offsets."""
    found = []
    for seen in readings(text):
        for finding in find(TextUnit(pointer="", text=seen.text)):
            span = seen.original(finding.span)
            found.append(
                Finding(
                    entity=finding.entity,
                    span=span,
                    score=finding.score,
                    recognizer=finding.recognizer,
                )
            )
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.span, finding.entity))


@known.command("remove", epilog=CODES)
def remove(
    file: List,
    value: Annotated[
        str, typer.Option("--value", metavar="-", help="Must be -: one value from standard input.")
    ],
    key: KeyOption = "",
    as_json: AsJson = False,
) -> None:
    """Take one value out of a list, for an erasure request: a name, a number or an address.

    It is read from standard input, where no other user and no shell history sees it. Whoever has
    the same name is taken out with it. Take it out of the source too, or the next build brings it
    back.

    Example: **guardrail known remove people.known --value - < request.txt**
    """
    if value != "-":
        fail("--value must be -: give the value on standard input", code=Code.USAGE)
    with told(as_json=as_json):
        removed = remove_value(file, _key(key), sys.stdin.readline().strip())
    if as_json:
        write_json({"ok": bool(removed), "hashes": removed})
    if not removed:
        fail("the list does not hold this value")
    if not as_json:
        typer.echo(f"took {removed} hashes out of {file}")


def _described(file: Path, header: Header) -> dict[str, Any]:
    return {
        "file": str(file),
        "created": header.created,
        "bytes": file.stat().st_size,
        "entities": {entity: header.values.get(entity, 0) for entity in header.entities},
        "hashes": header.hashes,
        "words": list(header.words),
        "code_lengths": list(header.codes),
        "variants": header.variants,
        "region": header.region,
        "key": header.key,
    }


def _show(report: dict[str, Any]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("entity")
    table.add_column("values", justify="right")
    for entity, count in report["entities"].items():
        table.add_row(entity, f"{count:,}")
    console = out()
    console.print(table)
    console.print(
        f"{report['file']}: {report['hashes']:,} hashes, {report['bytes']:,} bytes, "
        f"built {report['created']}, key {report['key']}",
        markup=False,
        soft_wrap=True,
    )


# ── the key ──────────────────────────────────────────────────────────────────────────────────────


def _from_environment(setting: str) -> str:
    if not setting.startswith("env:"):
        return setting
    name = setting.removeprefix("env:")
    if name not in os.environ:
        raise ConfigError([f"the environment variable {name} is not set"])
    return os.environ[name]


def _place(option: str) -> str:
    return option or (f"env:{VARIABLE}" if VARIABLE in os.environ else str(_KEY_FILE))


def _has_key(option: str) -> bool:
    return bool(option) or VARIABLE in os.environ or _KEY_FILE.exists()


def _secret(option: str, *, make: bool = False) -> str:
    """The secret an option, the environment or the key file holds; a new one where there is none.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    place = _place(option)
    if place.startswith("env:"):
        return _from_environment(place)
    path = Path(place)
    if make and not path.exists():
        make_key_file(path, secrets.token_hex(32))
        Console(stderr=True, highlight=False).print(
            f"made a key: {path}, for you alone; keep it apart from the list", markup=False
        )
    return read_key_file(path)


def _key(option: str, *, make: bool = False) -> bytes:
    return key_of(_secret(option, make=make))
