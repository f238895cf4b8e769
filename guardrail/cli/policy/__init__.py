"""`guardrail policy`: checking, testing, explaining and changing the policies."""

from __future__ import annotations

import typer

from guardrail.cli.policy import (
    check,
    diff,
    explain,
    fmt,
    lint,
    matrix,
    new,
    replay,
    retention,
    rollout,
    schema,
    signing,
    test,
)
from guardrail.cli.terminal import POLICY_CODES as CODES
from guardrail.cli.terminal import SIGNED_CODES

policy = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    epilog=CODES,
    help="Check, test, explain and try policies.",
)
"""Every command about policies; each module here is one."""

policy.command("check", epilog=CODES)(check.check)
policy.command("test", epilog=CODES)(test.try_scenarios)
policy.command("explain", epilog=CODES)(explain.explain)
policy.command("lint", epilog=CODES)(lint.lint)
policy.command("fmt", epilog=CODES)(fmt.fmt)
policy.command("new", epilog=CODES)(new.new)
policy.command("schema", epilog=CODES)(schema.schema)
policy.command("matrix", epilog=CODES)(matrix.matrix)
policy.command("diff", epilog=CODES)(diff.diff)
policy.command("replay", epilog=CODES)(replay.replay)
policy.command("retention", epilog=CODES)(retention.retention)
policy.command("keygen", epilog=CODES)(signing.keygen)
policy.command("sign", epilog=CODES)(signing.sign_set)
policy.command("verify", epilog=SIGNED_CODES)(signing.verify_set)
policy.add_typer(rollout.rollout, name="rollout")
