"""Word vectors counted from open raw text, and the lists that say what a word may name.

A word's vector is what stands next to it (positive pointwise mutual information, reduced by a
singular value decomposition), then how it behaves (how often it is capitalised in mid-sentence,
follows a title, …), then whether lists of given names, family names and places hold it.

Source: Levy and Goldberg (2014), Neural Word Embedding as Implicit Matrix Factorization; Halko,
Martinsson and Tropp (2011), Finding Structure with Randomness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from guardrail.detection.tokens import norm, tokens

WIDTH, BEHAVIOUR, LISTS = 64, 8, 4
"""Columns: co-occurrence, behaviour, lists (given, family, place, not counted)."""
_NEAR = (-2, -1, 1, 2)
_CONTEXTS = 5000
_CLASSES = 5  # capitalised, all capitals, other word, number or sign, edge of a line
_TITLES = frozenset(
    "mr mrs ms dr prof sir lady lord miss president senator professor captain king queen uncle "
    "aunt herr frau hr fru señor señora sr sra don doña signor signora sig m mme mlle monsieur "
    "madame senhor senhora dhr mevrouw pan pani".split()
)
_SPEECH = frozenset(
    "said says asked replied told wrote thinks thought added explained died born married sagte "
    "sagt dijo dice dit disse ha säger sa sade sagde zei zegt powiedział dedi".split()
)
_PLACES = frozenset(
    "in at from near to en a à aux au im aus nach i fra från til på em no na de w z do".split()
)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Vectors:
    """A row of `values` for each of `words` (norms), and the row's scale a column: int8 · scale."""

    words: tuple[str, ...]
    values: npt.NDArray[np.int8]
    scale: Floats


def build_vectors(
    texts: Iterable[str],
    lists: Mapping[str, Iterable[int]],
    *,
    least: int,
    most: int,
    seed: int = 0,
) -> Vectors:
    """Gives vectors for the words that occur `least` times, `most` words at most, and the lists'.

    `lists` maps a norm to the columns of the lists that hold it.
    """
    counted = _count(texts)
    words, count, code = _vocabulary(counted, least, most)
    near = _cooccurrence(counted, words, code)
    meaning = _reduced(near, seed)
    behaviour = _behaviour(counted, code, count)
    extra = sorted(word for word in lists if word not in words)
    names = (*words, *extra)
    columns = np.zeros((len(names), WIDTH + BEHAVIOUR + LISTS), np.float32)
    columns[: len(words), :WIDTH] = meaning * 4
    columns[: len(words), WIDTH : WIDTH + BEHAVIOUR] = behaviour * 1.5
    at = {word: row for row, word in enumerate(names)}
    for word, found in lists.items():
        for column in found:
            columns[at[word], WIDTH + BEHAVIOUR + column] = 1.5
    columns[len(words) :, -1] = 1.0
    scale = (np.abs(columns).max(0) / 127 + 1e-9).astype(np.float32)
    return Vectors(names, np.round(columns / scale).clip(-127, 127).astype(np.int8), scale)


@dataclass(frozen=True, slots=True)
class _Counted:
    types: tuple[str, ...]
    stream: npt.NDArray[np.int32]  # indexes of types; -1 parts lines


def _count(texts: Iterable[str]) -> _Counted:
    index: dict[str, int] = {}
    stream: list[npt.NDArray[np.int32]] = []
    for text in texts:
        line = [index.setdefault(token, len(index)) for token, _ in tokens(text)]
        stream.append(np.array([*line, -1, -1], np.int32))
    return _Counted(tuple(index), np.concatenate(stream))


def _vocabulary(
    counted: _Counted, least: int, most: int
) -> tuple[dict[str, int], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The words with their rows, their counts, and for each type the row of its norm or -1."""
    each = np.bincount(counted.stream[counted.stream >= 0], minlength=len(counted.types))
    total: Counter[str] = Counter()
    for token, number in zip(counted.types, each.tolist(), strict=True):
        total[norm(token)] += number
    kept = [w for w, n in total.most_common(most) if n >= least and len(w) <= 30]
    words = {word: row for row, word in enumerate(kept)}
    code = np.array([words.get(norm(token), -1) for token in counted.types], np.int32)
    return words, np.array([total[w] for w in kept]), code


def _class(token: str) -> int:
    if token[:1].isupper():
        return 1 if token.isupper() and len(token) > 1 else 0
    return 2 if token.isalpha() else 3


def _cooccurrence(
    counted: _Counted, words: Mapping[str, int], code: npt.NDArray[np.int32]
) -> sparse.csr_matrix:
    width = _CONTEXTS + _CLASSES
    context = np.array(
        [
            row if 0 <= row < _CONTEXTS else _CONTEXTS + _class(token)
            for row, token in zip(code.tolist(), counted.types, strict=True)
        ]
        + [_CONTEXTS + 4],
        np.int64,
    )
    total = sparse.csr_matrix((len(words), len(_NEAR) * width), dtype=np.float32)
    for start in range(0, len(counted.stream), 4_000_000):
        part = counted.stream[start : start + 4_000_000]
        target = np.where(part >= 0, code[part], -1)
        beside = context[part]
        keys = []
        for place, offset in enumerate(_NEAR):
            shifted = np.full(len(part), _CONTEXTS + 4, np.int64)
            if offset < 0:
                shifted[-offset:] = beside[:offset]
            else:
                shifted[:-offset] = beside[offset:]
            inside = target >= 0
            keys.append(
                target[inside].astype(np.int64) * (len(_NEAR) * width)
                + shifted[inside]
                + place * width
            )
        unique, number = np.unique(np.concatenate(keys), return_counts=True)
        at = (unique // (len(_NEAR) * width), unique % (len(_NEAR) * width))
        total = total + sparse.csr_matrix((number.astype(np.float32), at), shape=total.shape)
    return total


def _reduced(near: sparse.csr_matrix, seed: int) -> Floats:
    """Positive pointwise mutual information, in `WIDTH` columns of unit rows."""
    cells = near.tocoo()
    by_row = np.bincount(cells.row, cells.data, near.shape[0])
    by_column = np.bincount(cells.col, cells.data, near.shape[1]) ** 0.75
    by_column /= by_column.sum()
    value = np.log(cells.data / (by_row[cells.row] * by_column[cells.col] + 1e-9)).clip(min=0)
    matrix = sparse.csr_matrix((value.astype(np.float32), (cells.row, cells.col)), near.shape)
    matrix.eliminate_zeros()
    noise = np.random.default_rng(seed).standard_normal((near.shape[1], WIDTH + 12))
    basis = matrix @ noise.astype(np.float32)
    for _ in range(3):
        basis = np.linalg.qr(basis)[0]
        basis = matrix @ np.linalg.qr(matrix.T @ basis)[0]
    basis = np.linalg.qr(basis)[0]
    left, strength, _ = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    reduced = (basis @ left)[:, :WIDTH] * np.sqrt(strength[:WIDTH])
    length = np.linalg.norm(reduced, axis=1, keepdims=True)
    return np.asarray(reduced / (length + 1e-6), np.float32)


def _behaviour(
    counted: _Counted, code: npt.NDArray[np.int32], count: npt.NDArray[np.int64]
) -> Floats:
    """Shares, by word: capitalised, in capitals, beside capitals, after titles, before speech …"""
    stream = counted.stream
    edge = stream < 0

    def flags(test: Iterable[bool]) -> npt.NDArray[np.bool_]:
        return np.array([*test, False], bool)[stream]

    upper = flags(_class(t) == 0 for t in counted.types)
    capitals = flags(_class(t) == 1 for t in counted.types)
    ends = flags(t in '.!?:"“”„\n' for t in counted.types)
    titles = flags(norm(t) in _TITLES for t in counted.types)
    speech = flags(norm(t) in _SPEECH for t in counted.types)
    places = flags(norm(t) in _PLACES for t in counted.types)
    any_upper = upper | capitals
    row = np.where(edge, -1, code[stream])
    before, after = np.roll(np.arange(len(stream)), 1), np.roll(np.arange(len(stream)), -1)
    inner = (row >= 0) & ~edge[before] & ~ends[before]

    def share(condition: npt.NDArray[np.bool_]) -> Floats:
        number = np.bincount(row[inner & condition], minlength=len(count))
        return np.asarray(number / (seen + 1.0), np.float32)

    seen = np.bincount(row[inner], minlength=len(count))
    return np.stack(
        [
            share(any_upper),
            share(capitals),
            share(any_upper[before]),
            share(any_upper[after]),
            np.sqrt(share(titles[before])),
            np.sqrt(share(speech[after])),
            np.sqrt(share(places[before])),
            np.log1p(count).astype(np.float32) / 17 - 0.5,
        ],
        axis=1,
    )
