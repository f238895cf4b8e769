"""What models call the entities they find, and what we call them.

A label that no row names is not personal data to us (`DATE`, `MONEY`); a model's own labels are
added by configuration, `[detection] labels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ORGANIZATION = "ORGANIZATION"
"""Not personal data by itself, and the most frequent mistake of models: looked for on demand."""

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "PERSON": "PERSON",
        "PER": "PERSON",
        "PS": "PERSON",
        "LOCATION": "LOCATION",
        "LOC": "LOCATION",
        "LC": "LOCATION",
        "GPE": "LOCATION",
        "FAC": "LOCATION",
        "STREET_ADDRESS": "STREET_ADDRESS",
        "ORGANIZATION": ORGANIZATION,
        "ORG": ORGANIZATION,
        "OG": ORGANIZATION,
    }
)
"""Labels of the OntoNotes, WikiNER, CoNLL and KLUE schemes."""

PROMPTS: Mapping[str, str] = MappingProxyType(
    {
        "person": "PERSON",
        "location": "LOCATION",
        "street address": "STREET_ADDRESS",
        "organization": ORGANIZATION,
        "date of birth": "DATE_OF_BIRTH",
        "medical condition": "HEALTH_CONDITION",
        "medication": "MEDICATION",
    }
)
"""What a model that finds whatever it is asked for is asked for."""

PRESIDIO: Mapping[str, str] = MappingProxyType({"DATE_TIME": ""})
"""Entities of Presidio that we call otherwise; empty: not personal data."""

BY_NATURE = frozenset({"PERSON", "LOCATION", "ORGANIZATION", "STREET_ADDRESS", "NRP"})
"""Entities of prose: a model that is shown an identifier takes it for one of them."""


def meaning(known: Mapping[str, str], own: Mapping[str, str]) -> Mapping[str, str]:
    """What each label stands for: as known, unless a deployment says otherwise.

    An empty entity stands for nothing personal.

    >>> dict(meaning({"PER": "PERSON", "LOC": "LOCATION"}, {"LOC": "", "CITY": "LOCATION"}))
    {'PER': 'PERSON', 'CITY': 'LOCATION'}
    """
    both = {**known, **own}
    return MappingProxyType({label: entity for label, entity in both.items() if entity})
