from __future__ import annotations

import threading

import pytest

from guardrail.errors import Refusal
from guardrail.transform.placeholders import MAX_NUMBER
from guardrail.transform.vault import Entry, Vault


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
    vault = Vault()
    entry = vault.allocate(entity="PERSON", word="PERSON", original="canary")
    shown = f"{vault!r} {vault} {entry!r} {entry} {list(vault)!r}"
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


ANN, BEA = Entry("PERSON", "PERSON", 1, "Ann"), Entry("PERSON", "PERSON", 2, "Bea")


def test_a_vault_goes_on_where_others_ended() -> None:
    vault = Vault([BEA, ANN, BEA])
    assert [vault.entry("PERSON", 1), vault.entry("PERSON", 2)] == [ANN, BEA]
    assert put(vault, "Ann", "PERSON") == 1
    assert put(vault, "Cleo", "PERSON") == 3


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Entry("PERSON", "PERSON", 1, "Bea"), id="one number, two values"),
        pytest.param(Entry("PERSON", "PERSON", 2, "Ann"), id="one value, two numbers"),
    ],
)
def test_vaults_that_do_not_agree_make_none(other: Entry) -> None:
    with pytest.raises(ValueError, match="do not agree"):
        Vault([ANN, other])
