"""`guardrail policy retention`: how long what guardrail keeps may be kept, and must be."""

from __future__ import annotations

from typing import Any, Literal

from rich import box
from rich.table import Table

from guardrail.cli.stores import rehearsed
from guardrail.cli.terminal import DEFAULT, AsJson, ConfigFile, out, told, write_json
from guardrail.config import AppConfig, load_config
from guardrail.policy.loader import PolicyStore
from guardrail.policy.obligations import retention as asked

_STORES: tuple[Literal["audit", "vault"], ...] = ("audit", "vault")


def retention(file: ConfigFile = DEFAULT, as_json: AsJson = False) -> None:
    """Show for how long the audit log's events and the vaults' originals may and must be kept.

    Answers to `retain` and `purge` for each app of the configuration, by the laws that apply to it.
    Where the duty is longer than the limit the duty counts: what a law orders to be kept is kept.

    Example: **guardrail policy retention --config my-gateway/guardrail.toml**
    """
    with told(as_json=as_json):
        settings = load_config(file)
        policies = rehearsed(settings)
        rows = [row for name, app in settings.apps.items() for row in _rows(policies, name, app)]
    if as_json:
        write_json(rows)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("app", "what", "may be kept", "must be kept", "destroyed after", "by"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(
            row["app"],
            row["store"],
            _days(row["limit"]),
            _days(row["duty"]),
            _days(row["days"]),
            ", ".join(row["policies"]),
        )
    out().print(table)


def _rows(policies: PolicyStore, name: str, app: AppConfig) -> list[dict[str, Any]]:
    rows = []
    for store in _STORES:
        found = asked(
            policies,
            store,
            principal=name,
            origin=app.origin,
            purpose=app.purpose,
            basis=app.basis,
        )
        rows.append(
            {
                "app": name,
                "store": store,
                "limit": found.limit,
                "duty": found.duty,
                "days": found.days,
                "policies": list(found.policies),
            }
        )
    return rows


def _days(number: int | None) -> str:
    if number is None:
        return "for ever"
    return "not at all" if number < 0 else "at once" if number == 0 else f"{number} days"
