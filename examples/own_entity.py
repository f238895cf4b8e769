"""A kind of personal data that only one company knows: its staff numbers.

The configuration puts the entity into a category, so that policies know what it is; a rule finds
it, in requests and in answers, whole and streamed. Needs OPENAI_API_KEY, or OPENAI_BASE_URL.
"""

import os
from contextlib import closing
from dataclasses import replace

import httpx2  # with openai before version 3: httpx
from openai import OpenAI

from guardrail.config import Built, build, load_config
from guardrail.detection.detector import build_detector
from guardrail.detection.patterns import Rule
from guardrail.guard import build_guard
from guardrail.transport import transports

CONFIG = {
    "apps": {
        "default": {"establishment": "DE", "origin": "DE", "basis": "contract", "filings": ["TIA"]}
    },
    "endpoints": {
        "openai": {
            "url": os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"),
            "provider": "openai",
            "location": "US",
            "agreements": ["DPA", "SCC"],
            "models": ["gpt-*"],
        }
    },
    "detection": {"entities": {"STAFF_NUMBER": "national-id"}},
}
STAFF_NUMBER = Rule(
    entity="STAFF_NUMBER", name="staff-number", pattern=r"(?<!\w)S-\d{6}(?!\w)", score=0.9
)


def with_rule(built: Built, rule: Rule) -> Built:
    """The same deployment, whose detector knows one rule more."""
    known, guard = build_detector(), built.deployment.guard
    guard = build_guard(
        detector=replace(known, rules=(*known.rules, rule)),
        policies=guard.policies,
        taxonomy=guard.taxonomy,
        key=guard.key,
    )
    return replace(built, deployment=replace(built.deployment, guard=guard))


if __name__ == "__main__":
    with closing(with_rule(build(load_config(CONFIG)), STAFF_NUMBER)) as built:
        transport, _ = transports(httpx2)
        with OpenAI(http_client=httpx2.Client(transport=transport(built))) as client:
            asked = {"role": "user", "content": "When did S-204711 start?"}
            answer = client.chat.completions.create(model="gpt-4o", messages=[asked])  # type: ignore[list-item]  # a plain dict stands for the SDK's own
            print(answer.choices[0].message.content)
