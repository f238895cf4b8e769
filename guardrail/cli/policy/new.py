"""`guardrail policy new`: the first text of a rule or a law, in the right file."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from guardrail.cli.policy.fmt import write
from guardrail.cli.stores import edited_folders
from guardrail.cli.terminal import DEFAULT, AsJson, Code, ConfigFile, fail, out, told, write_json
from guardrail.errors import ConfigError
from guardrail.policy.cedar import Source
from guardrail.policy.formatting import formatted
from guardrail.policy.loader import BASE, draft_policies
from guardrail.policy.scaffold import Law, Outline, law_texts, rule_text
from guardrail.regions import COUNTRIES, load_regions
from guardrail.taxonomy import load_taxonomy

_LAW_ID = re.compile(r"[a-z][a-z0-9-]{0,31}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.cedar")


def new(
    name: Annotated[str, typer.Argument(metavar="[ID]", help="The rule's id: eu.minor.")] = "",
    title: Annotated[str, typer.Option("--title", help="What the rule does, in a sentence.")] = "",
    citation: Annotated[str, typer.Option("--citation", help="The article, or the statute.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="What who is refused is told.")] = "",
    severity: Annotated[
        Literal["low", "medium", "high", "critical"],
        typer.Option("--severity", help="How grave a breach of the rule is."),
    ] = "high",
    forbid: Annotated[
        bool, typer.Option("--forbid/--permit", help="What the rule does; forbids by default.")
    ] = True,
    actions: Annotated[
        list[str] | None,
        typer.Option("--action", help="What it is about; may be repeated. A forbid: send."),
    ] = None,
    category: Annotated[
        str, typer.Option("--category", help="The kind of data. A forbid: personal.")
    ] = "",
    target: Annotated[
        str, typer.Option("--file", help="The file; by default the ID's first part says it.")
    ] = "",
    law: Annotated[str, typer.Option("--law", help="Make a new law with this id: xx.")] = "",
    law_name: Annotated[str, typer.Option("--name", help="The new law's name.")] = "",
    places: Annotated[
        list[str] | None,
        typer.Option("--place", help="Where the new law holds (ISO 3166); may be repeated."),
    ] = None,
    source: Annotated[str, typer.Option("--source", help="A link to the new law's text.")] = "",
    directory: Annotated[
        Path | None,
        typer.Option("--directory", "-d", help="A folder with policies/ and regions/."),
    ] = None,
    file: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Write the first text of a rule into the right file, or the files of a new law.

    What is there is never overwritten, and nothing is written that would not load.

    Example: **guardrail policy new eu.minor --title "Health stays" --citation "GDPR Art. 8"**

    Example: **guardrail policy new --law nz --name "New Zealand" --citation "Privacy Act 2020"**
    """
    with told(as_json=as_json):
        policies, regions = edited_folders(directory, file)
    given = (title, citation, reason, category, law_name, source, *(actions or ()), *(places or ()))
    if not all(one.isprintable() for one in given):
        fail("a text holds what cannot be printed; write it on one line", code=Code.USAGE)
    if bool(name) is bool(law):
        fail("give either the ID of a rule or --law", code=Code.USAGE)
    if law:
        begun = Law(
            id=law,
            name=law_name,
            places=places or [law.upper()],
            statute=citation,
            source=source or "to be named",
        )
        texts = _law(begun, policies, regions)
    else:
        outline = Outline(
            id=name,
            effect="forbid" if forbid else "permit",
            title=title,
            citation=citation,
            reason=reason or f"Data of the category {category or 'personal'} was found.",
            severity=severity,
            actions=actions or (["send"] if forbid else []),
            category=category or ("personal" if forbid else ""),
        )
        texts = _rule(outline, target, policies, regions)
    with told(as_json=as_json):
        _proven(texts, policies, regions)
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        write(path, text)
    if as_json:
        write_json({"ok": True, "written": [path.as_posix() for path in texts]})
        return
    for path in texts:
        out().print(Text.assemble(("wrote ", "bold green"), str(path)), soft_wrap=True)


def _rule(outline: Outline, target: str, policies: Path, regions: Path) -> dict[Path, str]:
    """The text of the file that the rule goes to, with the rule at its end."""
    if not outline.title:
        fail("--title: say in one sentence what the rule does", code=Code.USAGE)
    if not outline.actions or not outline.category:
        fail("a permit names its --action and --category; it opens nothing else", code=Code.USAGE)
    stem = outline.id.partition(".")[0]
    law = (regions / f"{stem}.toml").exists()
    if law and not outline.citation:
        fail("--citation: name the article that the rule stands for", code=Code.USAGE)
    name = target or (f"{BASE}.cedar" if stem == "base" else f"{stem}.cedar")
    if not _FILE.fullmatch(name):
        fail(f"{name}: a file is named like eu.cedar, without a folder", code=Code.USAGE)
    path = policies / name
    try:
        before = path.read_bytes().decode() if path.exists() else ""
    except (OSError, UnicodeDecodeError):
        fail(f"{path}: cannot be read as UTF-8; save it so", code=Code.INVALID)
    text = f"{before.rstrip()}\n\n{rule_text(outline)}\n".lstrip("\n")
    after, problems = formatted(Source(name=f"{policies.name}/{name}", text=text))
    if problems:
        with told():
            raise ConfigError(problems)
    return {path: after}


def _law(law: Law, policies: Path, regions: Path) -> dict[Path, str]:
    """The texts of the files of a new law."""
    if not _LAW_ID.fullmatch(law.id):
        fail("--law: an id is made of lower-case letters, digits and `-`", code=Code.USAGE)
    if not law.name or not law.statute:
        fail("a new law has a --name and a --citation, its statute", code=Code.USAGE)
    if law.places == [law.id.upper()] and law.places[0] not in COUNTRIES:
        fail(f"--place: say where the law holds; {law.places[0]} is no country", code=Code.USAGE)
    folders = {"policies": policies, "regions": regions}
    texts = {}
    for name, text in law_texts(law).items():
        folder, _, rest = name.partition("/")
        texts[folders[folder] / rest] = text
    taken = [str(path) for path in texts if path.exists()]
    if taken:
        fail(f"{', '.join(taken)}: exists already; choose another id")
    return texts


def _proven(texts: Mapping[Path, str], policies: Path, regions: Path) -> None:
    """Loads the policies as they would be.

    Raises:
        ConfigError: they would not load.
    """
    with tempfile.TemporaryDirectory() as folder:
        copies = {
            original: Path(shutil.copytree(original, Path(folder) / original.name))
            for original in (policies, regions)
        }
        for path, text in texts.items():
            original = policies if path.is_relative_to(policies) else regions
            copy = copies[original] / path.relative_to(original)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(text, "utf-8")
        draft = draft_policies(
            copies[policies],
            regions=load_regions(copies[regions]),
            taxonomy=load_taxonomy(),
            endpoints=(),
            principals=(),
        )
    if draft.problems:
        raise ConfigError(draft.problems)
