"""Which words the lists of given names, family names and places hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pools import Pools

from guardrail.detection.tokens import norm, tokens

GIVEN, FAMILY, PLACE = range(3)


def word_lists(data: Path, pools: Iterable[Pools]) -> dict[str, set[int]]:
    """Gives, for each norm, the lists that hold it: the shared list, and the pools of names."""
    out: dict[str, set[int]] = {
        word: set(columns)
        for word, columns in json.loads(
            (data / "gazetteer" / "names.json").read_text("utf-8")
        ).items()
    }
    for pool in pools:
        for column, names in (
            (GIVEN, pool.given),
            (FAMILY, pool.family),
            (PLACE, (*pool.cities, *pool.countries)),
        ):
            for name in sorted(set(names)):
                for word in {norm(token) for token, _ in tokens(name)}:
                    if len(word) > 2 and word.isalpha():
                        out.setdefault(word, set()).add(column)
    return out
