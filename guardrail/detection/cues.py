"""What its surroundings or a closed list give away: people, places, dates, groups."""

from __future__ import annotations

from guardrail.detection.dates import date_rules
from guardrail.detection.groups import group_rules
from guardrail.detection.patterns import Rule
from guardrail.detection.people import people_rules
from guardrail.detection.places import place_rules

OPTIONAL_ENTITIES = frozenset({"DATE_TIME", "TITLE"})
"""Found only where a deployment asks for them: neither tells who somebody is by itself."""


def cue_rules() -> list[Rule]:
    """Gives the rules for what is recognised by its surroundings.

    Those for `OPTIONAL_ENTITIES` are among them.
    """
    return [*people_rules(), *date_rules(), *place_rules(), *group_rules()]
