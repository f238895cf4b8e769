"""Trains the names models that guardrail ships. `scripts/train-ner` runs it.

Deterministic: the same data, seed and kind of processor give the same weights.
"""

from __future__ import annotations

import json
import lzma
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import calibration
import numpy as np
from corpus import LABELS, OPEN, SHARE_ALIKE, Document, Set, load, prepare
from lists import word_lists
from network import Adam, Ints, Parameters, Shape, Table, batches, initial, learn
from pools import build_pools
from prompts import TEMPLATES, writer
from vectors import LISTS, Vectors, build_vectors

from guardrail.detection.names import read
from guardrail.detection.tokens import FEATURES, RARE, features, norm, rows, tokens

TAGS = ("O", *(f"{part}-{label}" for label in LABELS for part in "BILU"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides what a model becomes."""

    name: str
    sets: tuple[Set, ...]
    prompts: dict[str, int]
    raw: bool
    tables: tuple[int, ...] = (12000, 3000, 4000, 8000, 3000)
    passes: float = 2.5
    words: int = 1200
    rate: float = 0.002
    dropout: float = 0.2
    lower: float = 0.3
    upper: float = 0.03
    rename: float = 0.3
    known: int = 2
    forget: float = 1.0
    width: int = 96
    pieces: int = 3
    vocabulary: int = 80_000
    seed: int = 7


def encode(
    documents: Iterable[Document], types: dict[tuple[str, bool], int]
) -> list[tuple[Ints, Ints]]:
    """Type and label of each token of each document; new types are added to `types`."""
    tag = {name: i for i, name in enumerate(TAGS)}
    out = []
    for text, spans in documents:
        found, ends, starts = [], [], []
        for token, start in tokens(text):
            spaced = start == 0 or text[start - 1].isspace()
            found.append(types.setdefault((token, spaced), len(types)))
            starts.append(start)
            ends.append(start + len(token))
        labels = np.zeros(len(found), np.int64)
        begin, end = np.array(starts, np.int64), np.array(ends, np.int64)
        for s, e, label in spans:
            inside = np.flatnonzero((begin < e) & (end > s))
            if not len(inside) or labels[inside].any():
                continue
            parts = "I" * len(inside)
            parts = "U" if len(parts) == 1 else f"B{parts[2:]}L"
            labels[inside] = [tag[f"{part}-{label}"] for part in parts]
        if found:
            out.append((np.array(found, np.int64), labels))
    return out


def tabulate(
    types: dict[tuple[str, bool], int],
    known: frozenset[str],
    vectors: Vectors,
    tables: Sequence[int],
) -> Table:
    """What the network sees of each type; type t + len(types) is t with its norm forgotten."""
    count = len(types)
    code = np.zeros((count * 2, len(FEATURES), 2), np.int64)
    at = {word: row for row, word in enumerate(vectors.words)}
    values = np.zeros((count * 2, vectors.values.shape[1]), np.float32)
    memo: dict[tuple[int, str], tuple[int, int]] = {}

    def hashed(feature: int, value: str) -> tuple[int, int]:
        key = (feature, value)
        if key not in memo:
            memo[key] = rows(value, feature, tables[feature])
        return memo[key]

    for (token, spaced), i in types.items():
        form = norm(token)
        for j, value in enumerate(features(token, spaced, form in known)):
            code[i, j] = code[i + count, j] = hashed(j, value)
        code[i + count, 0] = hashed(0, RARE)
        row = at.get(form)
        if row is not None:
            values[i] = values[i + count] = vectors.values[row] * vectors.scale
    return Table(code, values)


def raw_texts(data: Path) -> Iterator[str]:
    """The paragraphs of the open raw texts, each once."""
    for path in sorted((data / "raw").glob("*.xz")):
        seen = set()
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                if line not in seen:
                    seen.add(line)
                    yield line[:3000]


def fit(
    recipe: Recipe, documents: list[tuple[Ints, Ints]], table: Table, counts: Ints
) -> Parameters:
    """Gives the trained weights."""
    chance = np.random.default_rng(recipe.seed)
    shape = shape_of(recipe, table)
    weights = initial(shape, chance)
    adam = Adam(weights, decay=0.01, clip=1.0)
    size = sum(len(one) for one, _ in documents)
    total = int(size * recipe.passes / recipe.words)
    warm, step, begun, window = total // 12, 0, time.monotonic(), []
    half = len(counts)
    forget = recipe.forget / (recipe.forget + counts)
    while step < total:
        for batch in batches(documents, chance, recipe.words):
            rate = recipe.rate * min(1.0, (step + 1) / warm, (total - step) / (total - warm))
            types = batch.types.copy()
            inside = types >= 0
            lost = chance.random(len(types)) < np.where(inside, forget[np.maximum(types, 0)], 0)
            types[lost] += half
            loss, gradients = learn(
                weights,
                shape,
                table,
                type(batch)(types, batch.labels),
                chance,
                recipe.dropout,
                LISTS,
            )
            adam.step(weights, gradients, rate)
            window.append(loss)
            step += 1
            if step % 100 == 0:
                spent = time.monotonic() - begun
                print(
                    f"\r  {recipe.name}: step {step} of {total}, loss {np.mean(window):.4f}, "
                    f"{spent:.0f} s of about {spent / step * total:.0f} s",
                    end="" if sys.stderr.isatty() else "\n",
                    file=sys.stderr,
                    flush=True,
                )
                window = []
            if step >= total:
                break
    return adam.average


def shape_of(recipe: Recipe, table: Table) -> Shape:
    """The sizes of a recipe's network."""
    return Shape(
        tables=recipe.tables,
        vector=table.vectors.shape[1],
        labels=len(TAGS),
        width=recipe.width,
        pieces=recipe.pieces,
    )


def export(
    recipe: Recipe,
    weights: Parameters,
    vectors: Vectors,
    known: Iterable[str],
    calibration: tuple[float, float],
    path: Path,
) -> None:
    """Writes the weights with the words and the list that they go with.

    Tables are stored in 8 bits with a scale a row, the rest in half precision.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, value in weights.items():
        if name.startswith("E"):
            size = (np.abs(value).max(1) / 127 + 1e-9).astype(np.float16)
            arrays[f"S{name[1:]}"] = size
            value = np.round(value / size.astype(np.float32)[:, None]).clip(-127, 127)
        arrays[name] = value.astype(np.int8 if name.startswith("E") else np.float16)
    meta = {
        "name": recipe.name,
        "tags": TAGS,
        "tables": recipe.tables,
        "pieces": recipe.pieces,
        "calibration": calibration,
        "format": 1,
    }
    arrays["vectors"], arrays["scale"] = vectors.values, vectors.scale
    for key, value in (
        ("words", "\t".join(vectors.words)),
        ("known", "\t".join(sorted(known))),
        ("meta", json.dumps(meta)),
    ):
        arrays[key] = np.frombuffer(value.encode("utf-8", "surrogatepass"), np.uint8)
    np.savez_compressed(path, **arrays)


def train(recipe: Recipe, data: Path, path: Path) -> None:
    """Trains one model and writes it to `path`."""
    chance = random.Random(recipe.seed)
    pools = {
        language: build_pools(language, data=data, chance=chance) for language in recipe.prompts
    }
    synthetic = [
        document
        for language, count in recipe.prompts.items()
        for document in writer(language, pools[language], chance).prompts(count)
    ]
    english = pools["en"]
    names = [(chance.choice(english.given), chance.choice(english.family)) for _ in range(20_000)]
    documents = prepare(
        recipe.sets, data, chance,
        lower=recipe.lower, upper=recipe.upper, rename=recipe.rename, names=names,
    )  # fmt: skip
    documents += synthetic
    types: dict[tuple[str, bool], int] = {}
    chance.shuffle(documents)
    kept = len(documents) * 24 // 25
    documents, unseen = documents[:kept], documents[kept:]
    encoded = encode(documents, types)
    counts = np.zeros(len(types), np.int64)
    for one, _ in encoded:
        np.add.at(counts, one, 1)
    by_norm: Counter[str] = Counter()
    for (token, _), i in types.items():
        by_norm[norm(token)] += int(counts[i])
    known = frozenset(form for form, n in by_norm.items() if n >= recipe.known)
    forms = np.array([by_norm[norm(token)] for token, _ in types], np.int64)
    texts = (text for one in recipe.sets for text, _ in load(one.name, data))
    sources: list[Iterable[str]] = [texts, (t for t, _ in synthetic[::2])]
    if recipe.raw:
        sources.append(raw_texts(data))
    begun = time.monotonic()
    vectors = build_vectors(
        (text for source in sources for text in source),
        {word: sorted(found) for word, found in word_lists(data, pools.values()).items()},
        least=6 if recipe.raw else 4,
        most=recipe.vocabulary,
    )
    print(f"  {len(documents)} documents, {sum(len(o) for o, _ in encoded)} tokens, {len(types)} "
          f"types, {len(known)} known, vectors {vectors.values.shape} "
          f"{time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
    table = tabulate(types, known, vectors, recipe.tables)
    weights = fit(recipe, encoded, table, forms)
    export(recipe, weights, vectors, known, (1.0, 0.0), path)
    pairs = list(calibration.beginnings(read(path), unseen))
    odds, truth = (np.concatenate(column) for column in zip(*pairs, strict=True))
    export(recipe, weights, vectors, known, calibration.fit(odds, truth), path)


_WRITTEN = tuple(sorted(path.stem for path in TEMPLATES.glob("*.txt") if path.stem != "en"))
_ENGLISH = tuple(one for one in OPEN if one.language == "en")
_MANY = Recipe(
    name="xx",
    sets=(*OPEN, *SHARE_ALIKE),
    prompts={"en": 12_000} | dict.fromkeys(_WRITTEN, 2_500),
    raw=True,
    passes=1.6,
    known=3,
    vocabulary=120_000,
    tables=(20000, 4000, 6000, 12000, 3000),
)
RECIPES = {
    "en": Recipe(
        name="en", sets=_ENGLISH, prompts={"en": 30_000}, raw=True, passes=3.2, lower=0.35
    ),
    "en-sa": Recipe(
        name="en-sa",
        sets=(*_ENGLISH, *(one for one in SHARE_ALIKE if one.language == "en")),
        prompts={"en": 30_000},
        raw=True,
    ),
    "xx": _MANY,
    "xx-open": replace(_MANY, name="xx-open", sets=OPEN),
}

if __name__ == "__main__":
    train(RECIPES[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3]))
