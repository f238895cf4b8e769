from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from guardrail.errors import Refusal
from guardrail.transform.placeholders import MAX_NUMBER
from guardrail.transform.vault import Entry, Vault, Vaults

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def put(vault: Vault, original: str, word: str = "EMAIL") -> int:
    return vault.allocate(entity=f"{word}_ADDRESS", word=word, original=original).number


def test_values_are_numbered_by_first_mention_and_by_word() -> None:
    vault = Vault()
    assert [put(vault, value) for value in ("a", "b", "a", "c")] == [1, 2, 1, 3]
    assert put(vault, "a", "PHONE") == 1
    assert [entry.original for entry in vault] == ["a", "b", "c", "a"]
    assert len(vault) == 4


def test_an_unknown_placeholder_is_never_guessed() -> None:
    vault = Vault()
    put(vault, "a")
    assert vault.entry("EMAIL", 1) == Entry("EMAIL_ADDRESS", "EMAIL", 1, "a")
    assert [vault.entry("EMAIL", 2), vault.entry("PHONE", 1), vault.entry("email", 1)] == [None] * 3


def test_a_word_has_no_more_numbers_than_can_be_read() -> None:
    vault = Vault()
    for number in range(MAX_NUMBER):
        put(vault, str(number))
    with pytest.raises(Refusal) as caught:
        put(vault, "one more canary")
    assert (caught.value.status, caught.value.code) == (413, "too_many_values")
    assert "canary" not in str(caught.value)
    assert put(vault, "0") == 1
    assert put(vault, "a", "PHONE") == 1


def test_no_repr_shows_an_original() -> None:
    vaults = Vaults()
    vault = vaults.open(principal="p", conversation="canary-conversation", now=NOON)
    entry = vault.allocate(entity="PERSON", word="PERSON", original="canary")
    shown = f"{vault!r} {vault} {entry!r} {entry} {list(vault)!r} {vaults!r}"
    assert "canary" not in shown
    assert "Vault(1 values)" in shown


def test_threads_get_each_number_once() -> None:
    vault = Vault()
    results: list[dict[str, int]] = []

    def work(turn: int) -> None:
        results.append({str(n): put(vault, str(n)) for n in range(turn, 400 + turn)})

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    merged = {key: number for result in results for key, number in result.items()}
    assert all(result.items() <= merged.items() for result in results)
    assert sorted(merged.values()) == list(range(1, 404))


def test_a_conversation_keeps_its_vault_and_shares_it_with_nobody() -> None:
    vaults = Vaults()
    mine = vaults.open(principal="p", conversation="c", now=NOON)
    assert vaults.open(principal="p", conversation="c", now=NOON) is mine
    assert vaults.open(principal="q", conversation="c", now=NOON) is not mine
    assert vaults.open(principal="p", conversation="d", now=NOON) is not mine
    assert vaults.open(principal="p", conversation="c", now=NOON) is mine


def test_a_vault_is_dropped_when_it_was_idle_too_long() -> None:
    vaults = Vaults(idle=timedelta(minutes=10))
    mine = vaults.open(principal="p", conversation="c", now=NOON)
    later = NOON + timedelta(minutes=9)
    assert vaults.open(principal="p", conversation="c", now=later) is mine
    assert vaults.open(principal="p", conversation="c", now=later + timedelta(minutes=9)) is mine
    last = later + timedelta(minutes=19)
    assert vaults.open(principal="p", conversation="c", now=last) is not mine


def test_other_conversations_drop_idle_vaults_too() -> None:
    vaults = Vaults(idle=timedelta(minutes=10))
    vaults.open(principal="p", conversation="c", now=NOON)
    vaults.open(principal="p", conversation="d", now=NOON + timedelta(minutes=11))
    assert repr(vaults) == "Vaults(1 open)"


def test_the_least_recently_used_vault_makes_room() -> None:
    vaults = Vaults(size=2)
    first, second = (vaults.open(principal="p", conversation=c, now=NOON) for c in "ab")
    assert vaults.open(principal="p", conversation="a", now=NOON) is first
    vaults.open(principal="p", conversation="c", now=NOON)
    assert vaults.open(principal="p", conversation="a", now=NOON) is first
    assert vaults.open(principal="p", conversation="b", now=NOON) is not second


def test_a_full_house_drops_nobody_to_let_a_guest_back_in() -> None:
    vaults = Vaults(size=2)
    first, second = (vaults.open(principal="p", conversation=c, now=NOON) for c in "ab")
    for _ in range(3):
        assert vaults.open(principal="p", conversation="a", now=NOON) is first
        assert vaults.open(principal="p", conversation="b", now=NOON) is second
