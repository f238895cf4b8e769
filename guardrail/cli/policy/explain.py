"""`guardrail policy explain`: why something is treated as it is, and what would be milder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from guardrail.cli.policy.asking import (
    Facts,
    known_category,
    of_configuration,
    of_places,
    of_scenario,
)
from guardrail.cli.policy.ladders import climbs_document, grow, rule_document, rules_of, word
from guardrail.cli.stores import Directory
from guardrail.cli.terminal import DEFAULT, AsJson, Code, ConfigFile, fail, out, told, write_json
from guardrail.policy.explain import Explanation, Help, Question, explained
from guardrail.policy.loader import PolicyStore
from guardrail.policy.questions import MAX_AGE
from guardrail.types import Category

_REQUEST, _PLACES = "The request", "Without a configuration"


def explain(
    directory: Directory = None,
    file: ConfigFile = DEFAULT,
    category: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            "-k",
            metavar="NAME",
            help="What was found, such as health; may be repeated.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    scenario: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Explain this scenario of policies/tests, by its title or file:line.",
            rich_help_panel=_REQUEST,
        ),
    ] = "",
    app: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which app asks, by the configuration; not needed if there is one.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which endpoint of the configuration it would go to.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Where the people are whom it is about (ISO 3166), such as FR.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    purpose: Annotated[
        str | None, typer.Option(help="Why, such as support.", rich_help_panel=_REQUEST)
    ] = None,
    basis: Annotated[
        str | None,
        typer.Option(help="On what legal ground, such as contract.", rich_help_panel=_REQUEST),
    ] = None,
    consent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A consent on record, such as explicit; may be repeated.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    filing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="An assessment on record, such as TIA; may be repeated.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    age: Annotated[
        int | None,
        typer.Option(min=0, max=MAX_AGE, help="Of the people, in years.", rich_help_panel=_REQUEST),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many findings.", rich_help_panel=_REQUEST)
    ] = None,
    residual: Annotated[
        float | None,
        typer.Option(
            min=0, help="How many names are expected to be left.", rich_help_panel=_REQUEST
        ),
    ] = None,
    injected: Annotated[
        bool | None,
        typer.Option(
            "--injected",
            help="A text from outside speaks to the model.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    on: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="On which day, such as 2026-12-31; today by default.",
            rich_help_panel=_REQUEST,
        ),
    ] = None,
    location: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="Where the endpoint processes (ISO 3166), such as US.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    agreement: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Signed with the provider, such as DPA; may be repeated.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    established: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Where the controller is; by default where the people are.",
            rich_help_panel=_PLACES,
        ),
    ] = None,
    sector: Annotated[
        str | None, typer.Option(help="Of the controller, such as health.", rich_help_panel=_PLACES)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain what the policies would do with a request, rung by rung, with the rules that decide.

    Of each category that is not sent in clear, it lists the single changes that would be milder:
    a filing, a consent, an agreement, another ground or purpose, another endpoint.

    Example: **guardrail policy explain --endpoint cloud -k health -k contact**

    Example: **guardrail policy explain --origin FR --location US --agreement DPA -k contact**

    Example: **guardrail policy explain --scenario "To the equivalent EEA as at home"**
    """
    facts = Facts(
        app=app,
        endpoint=endpoint,
        location=location,
        origin=origin,
        established=established,
        purpose=purpose,
        basis=basis,
        consent=consent,
        filing=filing,
        agreement=agreement,
        sector=sector,
        age=age,
        count=count,
        residual=residual,
        injected=injected,
        on=(on or datetime.now(UTC)).replace(tzinfo=UTC),
    )
    names = category or []
    with told(as_json=as_json):
        if scenario:
            store, question, found = of_scenario(directory, file, scenario, facts)
            names = names or list(found.expect)
        elif location:
            store, question = of_places(directory, file, facts)
        elif directory:
            fail("with a folder, say --location, or --scenario", code=Code.USAGE)
        else:
            store, question = of_configuration(file, facts)
    if not names:
        fail("say what was found, such as --category health", code=Code.USAGE)
    for name in names:
        known_category(name, store)
    explanations = explained(store, question, tuple(map(Category, dict.fromkeys(names))))
    if as_json:
        write_json(_document(store, question, explanations))
    else:
        _show(store, question, explanations)


def _show(store: PolicyStore, question: Question, explanations: Sequence[Explanation]) -> None:
    console = out()
    endpoint, context = question.endpoint, question.context
    console.print(
        f"{context.principal.id}, about people in {context.origin or 'an unknown place'}, at "
        f"{endpoint.id} ({endpoint.location}): purpose {context.purpose}, basis {context.basis}",
        markup=False,
        soft_wrap=True,
    )
    for one in explanations:
        tree = Tree(_result(one))
        grow(tree, store, one.climbs)
        if one.help:
            branch = tree.add(Text("what would help", style="bold"))
            for help_ in one.help:
                branch.add(_helping(help_))
        elif one.treatment.name != "CLEAR":
            tree.add(Text("what would help: no single change", style="bold"))
        console.print(tree)


def _result(one: Explanation) -> Text:
    by = ", ".join(law or "the base" for law in one.strictest) or ", ".join(one.errors)
    return Text.assemble(
        (one.category, "bold underline"), ": ", (one.treatment.name.lower(), "bold"), f" (by {by})"
    )


def _helping(help_: Help) -> Text:
    rules = f" ({', '.join(help_.policies)})" if help_.policies else ""
    return Text.assemble(
        f"with {help_.kind} {help_.word} ({help_.meaning}): ", (word(help_), "bold"), rules
    )


def _document(
    store: PolicyStore, question: Question, explanations: Sequence[Explanation]
) -> Mapping[str, Any]:
    context, rules = question.context, rules_of(store)
    return {
        "digest": store.digest,
        "app": context.principal.id,
        "origin": context.origin,
        "established": context.principal.establishment,
        "endpoint": question.endpoint.id,
        "location": question.endpoint.location,
        "purpose": context.purpose,
        "basis": context.basis,
        "consents": sorted(context.consents),
        "filings": sorted(context.filings),
        "categories": [
            {
                "category": one.category,
                "treatment": one.treatment.name.lower(),
                "strictest": one.strictest,
                "errors": one.errors,
                "laws": climbs_document(store, one.climbs),
                "help": [
                    {
                        "kind": help_.kind,
                        "word": help_.word,
                        "meaning": help_.meaning,
                        "treatment": word(help_),
                        "rules": [rule_document(rules[name]) for name in help_.policies],
                    }
                    for help_ in one.help
                ],
            }
            for one in explanations
        ],
    }
