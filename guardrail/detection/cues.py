"""What its surroundings or a closed list give away: people, places, dates, groups, health."""

from __future__ import annotations

from guardrail.detection.dates import date_rules
from guardrail.detection.groups import group_rules
from guardrail.detection.patterns import Rule, Scope
from guardrail.detection.people import people_rules
from guardrail.detection.places import place_rules

OPTIONAL_ENTITIES = frozenset({"DATE_TIME", "TITLE"})
"""Found only where a deployment asks for them: neither tells who somebody is by itself."""

_CONDITIONS = (
    "diabetes, diabetic, diabetiker, hiv, hiv-positive, hiv-positiv, hepatitis, cancer, carcinoma, "
    "krebs, brustkrebs, tumor, tumour, leukemia, leukaemia, leukämie, lymphoma, chemotherapy, "
    "chemotherapie, depression, depressive, depressionen, schizophrenia, schizophrenie, bipolar "
    "disorder, bipolare störung, anxiety disorder, angststörung, ptsd, adhd, autism, autismus, "
    "dementia, demenz, alzheimer, parkinson, epilepsy, epilepsie, "
    "multiple sclerosis, multiple sklerose, asthma, copd, hypertension, bluthochdruck, myocardial "
    "infarction, heart attack, herzinfarkt, stroke, schlaganfall, heart failure, herzinsuffizienz, "
    "pneumonia, lungenentzündung, tuberculosis, tuberkulose, pregnancy, pregnant, schwanger, "
    "schwangerschaft, miscarriage, fehlgeburt, abortion, schwangerschaftsabbruch, infertility, "
    "bandscheibenvorfall, migraine, migräne, anorexia, bulimia, essstörung, alcoholism, "
    "alkoholabhängigkeit, substance abuse, overdose, suicidal, suizidgedanken, suizidal, burnout, "
    "kidney failure, niereninsuffizienz, dialysis, dialyse, cirrhosis, leberzirrhose, arthritis, "
    "osteoporosis, lupus, crohn, morbus crohn, colitis, celiac disease, zöliakie"
)
_MEDICATIONS = (
    "metformin, insulin, lisinopril, atorvastatin, amlodipine, warfarin, sertraline, sertralin, "
    "fluoxetine, fluoxetin, citalopram, escitalopram, lithium carbonate, quetiapine, olanzapine, "
    "methadone, methadon, "
    "oxycodone, oxycodon, tamoxifen, methotrexate, methotrexat, levothyroxine, "
    "ritalin, methylphenidate, methylphenidat, truvada, tenofovir"
)


def _terms(terms: list[str]) -> str:
    """Alternatives grouped by first letter, so that most words of a text fail at once."""
    groups: dict[str, list[str]] = {}
    for word in terms:
        groups.setdefault(word[0], []).append(word[1:].replace(" ", r"\s").replace("'", "['’]"))
    branches = (
        f"[{letter}{letter.upper()}](?i:{'|'.join(sorted(rest, key=len, reverse=True))})"
        for letter, rest in sorted(groups.items())
    )
    return rf"(?<![^\W_])(?:{'|'.join(branches)})(?![^\W_])"


def _lexicon(entity: str, name: str, row: str) -> Rule:
    """A closed list of terms; those of several words are looked for as they stand."""
    terms = row.split(", ")
    return Rule(
        entity=entity,
        name=name,
        pattern=_terms(terms),
        score=0.6,
        scope=Scope.ANYWHERE,
        words=frozenset(term for term in terms if term.isalpha()),
        requires=tuple(term for term in terms if not term.isalpha()),
    )


def cue_rules() -> list[Rule]:
    """Gives the rules for what is recognised by its surroundings or from a closed list of words.

    Those for `OPTIONAL_ENTITIES` are among them.
    """
    return [
        *people_rules(),
        *date_rules(),
        *place_rules(),
        *group_rules(),
        _lexicon("HEALTH_CONDITION", "health-condition", _CONDITIONS),
        _lexicon("MEDICATION", "medication", _MEDICATIONS),
    ]
