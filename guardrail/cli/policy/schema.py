"""`guardrail policy schema`: the words that rules may use, and the shape of questions."""

from __future__ import annotations

import typer

from guardrail.cli.stores import Directory, policies_of
from guardrail.cli.terminal import DEFAULT, AsJson, ConfigFile, told, write_json


def schema(
    directory: Directory = None, file: ConfigFile = DEFAULT, as_json: AsJson = False
) -> None:
    """Print the Cedar schema that rules are validated against: shapes, and words with meanings.

    For editors and other tools that know Cedar: **guardrail policy schema > guardrail.cedarschema**
    """
    with told(as_json=as_json):
        policies = policies_of(directory, file)
    if as_json:
        write_json(
            {
                "schema": policies.schema_text,
                "vocabulary": {kind: dict(words) for kind, words in policies.meanings.items()},
            }
        )
    else:
        typer.echo(policies.schema_text, nl=False)
