from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.detection.pieces import batches, pieces

TEXTS = st.text(alphabet="ab \n", max_size=200)


@settings(deadline=None)
@given(TEXTS)
def test_pieces_cover_the_text_and_are_not_too_long(text: str) -> None:
    cut = list(pieces(text, size=21, overlap=8))
    assert all(text[at : at + len(piece)] == piece and len(piece) <= 21 for at, piece in cut)
    covered = {at + offset for at, piece in cut for offset in range(len(piece))}
    assert covered == set(range(len(text)))


@settings(deadline=None)
@given(TEXTS)
def test_whatever_is_shorter_than_the_overlap_is_whole_in_a_piece(text: str) -> None:
    cut = [(at, at + len(piece)) for at, piece in pieces(text, size=21, overlap=8)]
    for start in range(len(text)):
        word = text[start : start + 4].partition(" ")[0].partition("\n")[0]
        assert any(at <= start and start + len(word) <= end for at, end in cut)


def test_a_short_text_is_one_piece() -> None:
    assert list(pieces("")) == [(0, "")]
    assert list(pieces("short")) == [(0, "short")]


@given(st.lists(st.text(max_size=9)), st.integers(1, 20))
def test_batches_keep_every_item_in_order(items: list[str], limit: int) -> None:
    batched = list(batches(items, size=len, limit=limit))
    assert [item for batch in batched for item in batch] == items
    assert all(len(batch) == 1 or sum(map(len, batch)) <= limit for batch in batched)
    assert all(batched)
