"""What a policy of one's own changes: the same question, without it and with it."""

import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from guardrail.config import build, default_directory, load_config
from guardrail.context import derive_context
from guardrail.opening import new_id, now
from guardrail.policy.ladder import decide
from guardrail.types import Category, Evidence

APP = {"establishment": "DE", "origin": "DE", "basis": "contract", "purpose": "hr"}
CLOUD = {"provider": "openai", "location": "IE", "agreements": ["DPA"], "models": ["gpt-*"]}


def main() -> None:
    """Asks with the shipped policies, then with a copy of them and ours beside it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = {
            "apps": {"hr": APP},
            "endpoints": {"cloud": CLOUD},
            "audit": {"path": folder / "audit.db"},
        }
        show("shipped policies", config)
        policies = shutil.copytree(default_directory("policies"), folder / "policies")
        shutil.copy(Path(__file__).with_name("works_council.cedar"), policies)
        show("with works_council.cedar", config | {"policies": {"directory": policies}})


def show(title: str, config: dict[str, Any]) -> None:
    """Prints what may happen to two categories at the cloud endpoint, and which rules say so."""
    with closing(build(load_config(config))) as built:
        guard, (route,) = built.deployment.guard, built.deployment.routes
        context = derive_context(
            built.apps["hr"],
            headers={},
            vocabulary=guard.policies.vocabulary,
            exchange=new_id(),
            now=now(),
        )
        found = {Category("name"): Evidence(), Category("contact"): Evidence()}
        decision = decide(guard.policies, context, found, endpoint=route.endpoint, local=None)
        print(title)
        for category, treatment in decision.treatments.items():
            rules = ", ".join(reason.policy for reason in decision.reasons[category])
            print(f"  {category}: {treatment.name.lower()} ({rules})")


if __name__ == "__main__":
    main()
