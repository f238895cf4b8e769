"""`guardrail policy`: checking, testing, explaining and changing the policies."""

from __future__ import annotations

import typer

from guardrail.cli.policy import check, fmt, lint, new, replay, schema
from guardrail.cli.terminal import POLICY_CODES as CODES

policy = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", epilog=CODES, help="Check the policies."
)
"""Every command about policies; each module here is one."""

policy.command("check", epilog=CODES)(check.check)
policy.command("lint", epilog=CODES)(lint.lint)
policy.command("fmt", epilog=CODES)(fmt.fmt)
policy.command("new", epilog=CODES)(new.new)
policy.command("schema", epilog=CODES)(schema.schema)
policy.command("replay", epilog=CODES)(replay.replay)
