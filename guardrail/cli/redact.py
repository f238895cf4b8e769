"""`guardrail redact`: files with what is personal in them replaced, or kept from leaving."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guardrail.batch import TableSpec, ToEndpoint, ToPlace, load_key
from guardrail.cli.detecting import (
    Detecting,
    MaybeConfig,
    Only,
    RecallOf,
    Threshold,
    Without,
    load_finder,
)
from guardrail.cli.inputs import STDIN, Binary, Input, encode, read
from guardrail.cli.outputs import rewriting
from guardrail.cli.report import counted
from guardrail.cli.scan import Exclude, Files, FormatOf, Include, Jobs, JsonLines, cores, listed
from guardrail.cli.tables import Workers, is_table, redact_files
from guardrail.cli.terminal import Code, complain, fail, progress_bar, told
from guardrail.destinations import Journey
from guardrail.documents import Format
from guardrail.errors import DetectorUnavailable, Refusal
from guardrail.redaction import Finder, Judge, Redactor, pseudonymise
from guardrail.taxonomy import Taxonomy
from guardrail.transform.keyed import KeyedPseudonyms
from guardrail.transform.placeholders import Grammar, placeholder
from guardrail.transform.rewrite import Pseudonyms
from guardrail.transform.vault import Vault

_ASK = "What policies are asked"
_TABLES = "Tables (Parquet, Arrow, CSV, JSON lines)"


class Numbering(StrEnum):
    """Within what the same value has the same placeholder."""

    DOCUMENT = "document"
    RECORD = "record"


class Refused(StrEnum):
    """What becomes of a value in a table that must not leave."""

    FAIL = "fail"
    NULL = "null"


def redact(
    files: Files = None,
    jsonl: JsonLines = False,
    form: FormatOf = None,
    include: Include = None,
    exclude: Exclude = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write treated files below this folder."
        ),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Replace each file by its treated text; keeps no copy."),
    ] = False,
    vault: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what each placeholder stands for, to restore it; personal data, mode 0600.",
        ),
    ] = None,
    number: Annotated[
        Numbering,
        typer.Option(help="Number values anew in each document, or in each line or row."),
    ] = Numbering.DOCUMENT,
    config: MaybeConfig = None,
    threshold: Threshold = None,
    recall: RecallOf = None,
    entity: Only = None,
    without: Without = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Treat these columns of tables alone; reads CSV and JSON lines as tables.",
            rich_help_panel=_TABLES,
        ),
    ] = None,
    pseudonyms: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="Give pseudonyms by a secret key, found at env:NAME or file:PATH.",
            rich_help_panel=_TABLES,
        ),
    ] = "",
    on_refusal: Annotated[
        Refused,
        typer.Option(
            help="What becomes of a value that must not leave: its file fails, or it is null.",
            rich_help_panel=_TABLES,
        ),
    ] = Refused.FAIL,
    jobs: Jobs = 0,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Treat as on the way to this endpoint of the configuration.",
            rich_help_panel=_ASK,
        ),
    ] = None,
    app: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which app sends, by the configuration.", rich_help_panel=_ASK
        ),
    ] = "",
    region: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Where the people are whom it is about: EU, UK, US, JP, CA-QC, ...",
            rich_help_panel=_ASK,
        ),
    ] = None,
    location: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Where it goes (ISO 3166), such as US.", rich_help_panel=_ASK
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder with policies/ and regions/, in place of those shipped.",
            rich_help_panel=_ASK,
        ),
    ] = None,
    purpose: Annotated[
        str, typer.Option(help="Why: one of the schema's purposes.", rich_help_panel=_ASK)
    ] = "general",
    basis: Annotated[
        str, typer.Option(help="On what legal ground, such as contract.", rich_help_panel=_ASK)
    ] = "none",
    sector: Annotated[
        str, typer.Option(help="Sector of the controller.", rich_help_panel=_ASK)
    ] = "general",
    agreement: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Signed with the provider, such as DPA or SCC; may be repeated.",
            rich_help_panel=_ASK,
        ),
    ] = None,
    consent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A consent on record, such as explicit; may be repeated.",
            rich_help_panel=_ASK,
        ),
    ] = None,
    filing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="An assessment on record, such as TIA; may be repeated.",
            rich_help_panel=_ASK,
        ),
    ] = None,
) -> None:
    """Replace what is personal in files or standard input; layout and format stay.

    Reads what `guardrail scan` reads. One input goes to standard output, several go to --output or
    --in-place. Without a destination every finding is replaced by its placeholder, such as
    [PERSON_1]; the same value has the same one throughout a document.

    With --config and --endpoint, or with --region and --location, the Cedar policies are asked what
    each category would be on its way there: clear, pseudonymised or redacted. A document of which
    some part must stay is not written at all, and the command ends with 1.

    Placeholders are pseudonyms: whoever holds the --vault file can restore what they stand for.

    Tables (.parquet, .arrow, .feather, and with --columns .csv and .jsonl) are treated row by row,
    by every core. Their values are redacted, or with --pseudonyms get a pseudonym that is the same
    in every file that is treated with the same key.

    Example: **guardrail redact letter.txt > letter.redacted.txt**

    Example: **guardrail redact data/ -o out --region EU --location US --basis contract**

    Example: **guardrail redact mails.parquet -o out --columns subject,body**
    """
    paths = files or ([] if sys.stdin.isatty() else [STDIN])
    if not paths:
        fail("say what to redact: files, folders, or - for standard input", code=Code.USAGE)
    if vault and number is Numbering.RECORD:
        fail(
            "--vault needs --number document: else a placeholder has many meanings", code=Code.USAGE
        )
    if output and in_place:
        fail("--output and --in-place exclude each other", code=Code.USAGE)
    if vault and pseudonyms:
        fail("--vault and --pseudonyms exclude each other", code=Code.USAGE)
    with told():
        finding = _Finding(
            Detecting(config, threshold, tuple(entity or ()), tuple(without or ()), recall)
        )
        detector, taxonomy = finding()
        keyed = KeyedPseudonyms(load_key(pseudonyms)) if pseudonyms else None
        journey = None
        if region and location:
            journey = Journey(
                origin=region,
                location=location,
                purpose=purpose,
                basis=basis,
                sector=sector,
                agreements=frozenset(agreement or ()),
                consents=frozenset(consent or ()),
                filings=frozenset(filing or ()),
            )
        elif region or location or policy:
            fail("to ask the policies, say both --region and --location", code=Code.USAGE)
        judging = _judging(config, endpoint, app, journey, policy)
        redactor = Redactor(
            detector=detector,
            taxonomy=taxonomy,
            judge=judging(taxonomy) if judging else pseudonymise,
            grammar=Grammar(words=taxonomy.vocabulary) if vault else None,
        )
        found = listed(paths, Format.JSONL if jsonl else form, include or (), exclude or ())
        targets = _targets(found, output, in_place=in_place)
        entries = Vault() if vault else None
        tally = _Tally()
        named = tuple(filter(None, columns.split(","))) if columns is not None else None
        tables = [one for one in found if is_table(one.path, named)]
        if tables and not targets:
            fail("a table is not written to standard output: say --output", code=Code.USAGE)
        if tables and vault:
            fail("tables have no --vault; their pseudonyms come by --pseudonyms", code=Code.USAGE)
        if named is not None and not tables:
            fail("--columns: there is no table among the inputs", code=Code.USAGE)
        spec = TableSpec(
            columns=named,
            finder=finding,
            judge=judging,
            pseudonyms=pseudonyms,
            on_refusal=on_refusal.value,
        )
        documents = [one for one in found if one not in tables]
        with progress_bar(Console(stderr=True), hidden=len(documents) < 2) as progress:
            for one in progress.track(documents, description="redacting"):
                vaults = _vaults(number, entries, keyed)
                _redact(one, redactor, vaults, targets.get(one), tally)
        if tables:
            _redact_tables(tables, targets, spec, jobs or cores(), tally)
        if vault and entries is not None:
            _save_vault(vault, entries)
    if output or in_place:
        Console(stderr=True, highlight=False).print(tally.sentence(), soft_wrap=True)
    if tally.failed:
        raise typer.Exit(Code.FAILED)


@dataclass(frozen=True, slots=True)
class _Finding:
    """Makes what finds, also in another process."""

    told: Detecting

    def __call__(self) -> tuple[Finder, Taxonomy]:
        return load_finder(self.told)


def _judging(
    config: Path | None,
    endpoint: str | None,
    app: str,
    journey: Journey | None,
    policy: Path | None,
) -> Callable[[Taxonomy], Judge] | None:
    """What makes the judge, also in another process; none if no policy is asked."""
    now = datetime.now(UTC)
    if endpoint:
        if journey or not config:
            fail("--endpoint needs --config, and neither --region nor --location", code=Code.USAGE)
        return ToEndpoint(config=config, endpoint=endpoint, app=app, at=now)
    return ToPlace(journey=journey, at=now, policies=policy) if journey else None


# ── where from and where to ──────────────────────────────────────────────────────────────────────


def _targets(found: Sequence[Input], output: Path | None, *, in_place: bool) -> dict[Input, Path]:
    """The file to write for each input; none for standard output."""
    if not output and not in_place:
        if len(found) > 1:
            fail("several inputs: say --output DIR, or --in-place to replace them", code=Code.USAGE)
        return {}
    if any(one.path == STDIN for one in found):
        fail("standard input has no name to write to; leave out --output", code=Code.USAGE)
    targets = {
        one: output / one.within if output else Path(os.path.realpath(one.path)) for one in found
    }
    sources = {os.path.realpath(one.path) for one in found}
    if output and any(os.path.realpath(path) in sources for path in targets.values()):
        fail("--output would overwrite an input; choose another folder", code=Code.USAGE)
    if len(set(targets.values())) < len(found):
        fail("two inputs would be written to one file; redact them one by one", code=Code.USAGE)
    return targets


def _vaults(
    number: Numbering, shared: Vault | None, keyed: KeyedPseudonyms | None
) -> Callable[[int], Pseudonyms]:
    if keyed is not None:
        return lambda record: keyed
    if shared is not None:
        return lambda record: shared
    if number is Numbering.RECORD:
        return lambda record: Vault()
    vault = Vault()
    return lambda record: vault


# ── one input ────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Tally:
    """What came of all inputs."""

    documents: int = 0
    findings: int = 0
    skipped: int = 0
    failed: int = 0
    withheld: int = 0

    def sentence(self) -> str:
        parts = [f"{counted(self.findings, 'finding')} in {counted(self.documents, 'document')}"]
        if self.withheld:
            parts.append(f"{counted(self.withheld, 'value')} withheld")
        if self.skipped:
            parts.append(f"{counted(self.skipped, 'binary file')} left out")
        if self.failed:
            parts.append(f"{counted(self.failed, 'document')} not written")
        return "; ".join(parts)


def _redact(
    one: Input,
    redactor: Redactor,
    vaults: Callable[[int], Pseudonyms],
    target: Path | None,
    tally: _Tally,
) -> None:
    """Treats one input; what fails leaves no output and is said."""
    try:
        known = read(one)
        done = redactor.document(known.document, vaults=vaults)
        _write(encode(done.text, known.encoding), target)
    except Binary:
        if one.named:
            _complain(one, "is no text and was not treated", tally)
        else:
            tally.skipped += 1
    except OSError as error:
        _complain(one, error.strerror or type(error).__name__, tally)
    except (Refusal, DetectorUnavailable) as error:
        code = error.code if isinstance(error, Refusal) else ""
        _complain(one, f"{error}{_HINTS.get(code, '')}", tally)
    else:
        tally.documents += 1
        tally.findings += sum(done.counts.values())


def _redact_tables(
    tables: Sequence[Input],
    targets: Mapping[Input, Path],
    spec: TableSpec,
    jobs: int,
    tally: _Tally,
) -> None:
    """Treats tables by all processes; says what was not looked at."""
    watched = Console(stderr=True, highlight=False)
    by_target = {targets[one]: one for one in tables}
    sources = {target: one.path for target, one in by_target.items()}
    with Workers(spec, jobs) as workers, progress_bar(watched) as progress:
        advance = partial(progress.advance, progress.add_task("rows", total=None))
        for target, done in redact_files(sources, workers, advance=advance):
            one = by_target[target]
            if isinstance(done, OSError):
                _complain(one, done.strerror or type(done).__name__, tally)
            elif isinstance(done, Exception):
                _complain(one, str(done), tally)
            else:
                tally.documents += 1
                tally.findings += done.findings
                tally.withheld += done.withheld
                if done.untouched:
                    left = ", ".join(done.untouched)
                    progress.console.print(f"{one.path}: not looked at: {left}", soft_wrap=True)


_HINTS = {"too_many_values": "; split the file, or number rows anew with --number record"}


def _complain(one: Input, problem: str, tally: _Tally) -> None:
    tally.failed += 1
    complain(f"{one.path}: {problem}")


def _write(data: bytes, target: Path | None) -> None:
    """Writes the whole or nothing: to standard output, or to a file that it replaces at once."""
    if target is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with rewriting(target) as path:
        path.write_bytes(data)


def _save_vault(path: Path, vault: Vault) -> None:
    """Writes what each placeholder stands for; never over another vault, and for its owner only."""
    entries = {
        placeholder(entry.word, entry.number): {"entity": entry.entity, "original": entry.original}
        for entry in vault
    }
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            document = json.dumps(entries, ensure_ascii=False, indent=1)
            file.write(document.encode("utf-8", "surrogatepass"))
    except OSError as error:
        fail(f"{path}: the vault cannot be written: {error.strerror}")
