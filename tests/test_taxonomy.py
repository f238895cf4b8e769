from __future__ import annotations

import pytest

from guardrail.taxonomy import (
    CATEGORIES,
    LITERAL,
    NONE,
    PERSONAL,
    SECRET,
    UNINSPECTABLE,
    UNKNOWN,
    load_taxonomy,
)
from guardrail.transform.placeholders import MAX_NUMBER, Grammar, placeholder

TAXONOMY = load_taxonomy()


@pytest.mark.parametrize(
    ("category", "entity"),
    [
        ("contact", "EMAIL_ADDRESS"),
        ("name", "PERSON"),
        ("national-id", "US_SSN"),
        ("health", "HEALTH_CONDITION"),
        ("card", "CREDIT_CARD"),
        ("secret", "API_KEY"),
        ("uninspectable", "MEDIA"),
        ("document", "READ_DOCUMENT"),
        ("picture", "READ_PICTURE"),
        ("unknown", "NEVER_HEARD_OF"),
        ("unknown", ""),
        ("unknown", "email_address"),
    ],
)
def test_an_entity_belongs_to_one_category(category: str, entity: str) -> None:
    assert category == TAXONOMY.category(entity)


def test_categories_are_named_once_and_each_has_an_entity() -> None:
    assert len(set(CATEGORIES)) == len(CATEGORIES)
    assert {UNKNOWN, NONE} & set(PERSONAL) == set()
    assert {SECRET, UNINSPECTABLE} & set(PERSONAL) == set()
    without = set(CATEGORIES) - set(TAXONOMY.categories.values())
    assert without == {UNKNOWN, NONE, "communications"}


def test_a_deployment_adds_entities_of_its_own() -> None:
    taxonomy = load_taxonomy({"STAFF_NUMBER": "national-id"})
    assert taxonomy.category("STAFF_NUMBER") == "national-id"
    assert taxonomy.label("STAFF_NUMBER") == "STAFF_NUMBER"
    assert "STAFF_NUMBER" in taxonomy.vocabulary
    assert "STAFF_NUMBER" not in TAXONOMY.vocabulary


def test_labels_are_the_words_of_placeholders() -> None:
    assert TAXONOMY.label("EMAIL_ADDRESS") == "EMAIL"
    assert {"EMAIL", "US_PASSPORT", LITERAL} <= TAXONOMY.vocabulary
    assert "EMAIL_ADDRESS" not in TAXONOMY.vocabulary
    assert TAXONOMY.label("NEVER_HEARD_OF") == "NEVER_HEARD_OF"


@pytest.mark.parametrize(
    ("problem", "entity", "category"),
    [
        ("an entity is written like", "staff", "name"),
        ("an entity is written like", "A B", "name"),
        ("an entity is written like", "1A", "name"),
        ("an entity is written like", "A" * 65, "name"),
        ("no category 'nonsense'", "STAFF", "nonsense"),
        ("no category 'none'", "STAFF", "none"),
        (LITERAL, LITERAL, "name"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(problem: str, entity: str, category: str) -> None:
    with pytest.raises(ValueError, match=problem):
        load_taxonomy({entity: category})


@pytest.mark.parametrize(
    "entity", ["A", "A1", "A" * 32, "A" * 64, "A_B_C_D_E_F_G", "A__B", "A_", "STAFF_1", "A_1_2"]
)
def test_an_entity_is_refused_or_its_placeholder_can_be_read(entity: str) -> None:
    try:
        taxonomy = load_taxonomy({entity: "name"})
    except ValueError:
        return
    token = placeholder(taxonomy.label(entity), MAX_NUMBER)
    assert Grammar(words=taxonomy.vocabulary).find(token) == [(0, len(token))]
    assert Grammar(words=taxonomy.vocabulary).parse(token) == (entity, MAX_NUMBER)
