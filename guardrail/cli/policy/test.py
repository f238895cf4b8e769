"""`guardrail policy test`: whether the policies decide what the scenarios expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from guardrail.cli.policy.ladders import climbs_document, grow
from guardrail.cli.stores import Directory, policies_of, tests_of
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
from guardrail.policy.loader import PolicyStore
from guardrail.policy.scenarios import load_scenarios
from guardrail.policy.trials import Coverage, Outcome, Stage, Trial, coverage


def try_scenarios(
    directory: Directory = None,
    file: ConfigFile = DEFAULT,
    only: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="TEXT",
            help="Only scenarios with this in their title or place; coverage is then not judged.",
        ),
    ] = "",
    least: Annotated[
        int,
        typer.Option(
            "--coverage",
            metavar="PERCENT",
            min=0,
            max=100,
            help="How many of a hundred rules the scenarios must exercise.",
        ),
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Try the scenarios of policies/tests on the policies, and explain those that fail.

    A rule is exercised when it has a say in an answer to anything that a scenario asks.

    Example: **guardrail policy test --filter japan**

    Example: **guardrail policy test my-gateway --coverage 95**
    """
    with told(as_json=as_json):
        store = policies_of(directory, file)
        world, scenarios = load_scenarios(tests_of(directory, file), store)
        chosen = [one for one in scenarios if only.lower() in f"{one.place} {one.title}".lower()]
        if not chosen:
            fail(f"--filter: {only!r} is in no scenario's title or place", code=Code.USAGE)
        stage = Stage(store, world)
        with progress_bar(Console(stderr=True), hidden=as_json) as progress:
            trials = [stage.trial(one) for one in progress.track(chosen, description="trying")]
    covered = coverage(store, trials)
    reached = bool(only) or covered.percent >= least
    failed = [trial for trial in trials if not trial.passed]
    if as_json:
        write_json(
            {
                "ok": reached and not failed,
                "digest": store.digest,
                "scenarios": len(trials),
                "failed": len(failed),
                "coverage": _coverage(covered, least, judged=not only),
                "results": [_result(store, trial) for trial in trials],
            }
        )
    else:
        _show(store, trials, failed)
        _show_coverage(covered, least, judged=not only)
    if failed or not reached:
        raise typer.Exit(Code.UNTESTED)


def _show(store: PolicyStore, trials: Sequence[Trial], failed: Sequence[Trial]) -> None:
    console = out()
    if failed:
        console.print(_table(failed))
    for trial in failed:
        scenario = trial.scenario
        tree = Tree(Text(f"{scenario.place} {scenario.title}", style="bold"))
        for one in trial.outcomes:
            if not one.passed:
                branch = tree.add(Text(f"{one.key} {one.subject}: {_by(one)}"))
                grow(branch, store, one.climbs)
        console.print(tree)
    state = ("failed ", "bold red") if failed else ("ok ", "bold green")
    counts = f"{len(trials):,} scenarios, {len(failed):,} failed"
    console.print(Text.assemble(state, counts), soft_wrap=True)


def _table(failed: Sequence[Trial]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("where", "scenario", "of", "expected", "came"):
        table.add_column(title, overflow="fold", no_wrap=title == "where")
    for trial in failed:
        for one in trial.outcomes:
            if not one.passed:
                where, what = trial.scenario.place, Text(trial.scenario.title)
                table.add_row(where, what, f"{one.key} {one.subject}", one.expected, one.came)
    return table


def _by(outcome: Outcome) -> str:
    by = f", by {', '.join(outcome.policies)}" if outcome.policies else ", as no rule permits more"
    return f"expected {outcome.expected}, came {outcome.came}{by}"


def _show_coverage(covered: Coverage, least: int, *, judged: bool) -> None:
    console = out()
    exercised = covered.rules - len(covered.uncovered)
    wanted = f"{least} % are wanted" if judged else "not judged with --filter"
    if judged:
        for rule in covered.uncovered:
            line = f"{rule.place}: [{rule.policy}] no scenario exercises it: {rule.title}"
            console.print(Text(line), soft_wrap=True)
    console.print(
        f"{exercised:,} of {covered.rules:,} rules exercised ({_percent(covered):.1f} %); {wanted}",
        soft_wrap=True,
    )


def _percent(covered: Coverage) -> float:
    """Rounded down, so that 100 means all."""
    return int(covered.percent * 10) / 10


def _coverage(covered: Coverage, least: int, *, judged: bool) -> dict[str, Any]:
    return {
        "judged": judged,
        "wanted": least,
        "percent": _percent(covered),
        "rules": covered.rules,
        "uncovered": [{"id": rule.policy, "place": rule.place} for rule in covered.uncovered],
    }


def _result(store: PolicyStore, trial: Trial) -> dict[str, Any]:
    """One trial; the rungs of what failed, as those of all would drown them."""
    return {
        "title": trial.scenario.title,
        "place": trial.scenario.place,
        "passed": trial.passed,
        "outcomes": [
            {
                "key": one.key,
                "subject": one.subject,
                "expected": one.expected,
                "came": one.came,
                "passed": one.passed,
                "policies": one.policies,
                "laws": [] if one.passed else climbs_document(store, one.climbs),
            }
            for one in trial.outcomes
        ],
    }
