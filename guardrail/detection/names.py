"""Names of people, places and organisations by guardrail's own model, with numpy alone.

The model is a small convolutional tagger (`training/` is its recipe): hashed features and a word
vector for each token, four layers that each see one neighbour further, a distribution over labels.
What a token looks like by itself is computed once and kept, so most of a text costs four matrix
products. The best sequence of labels is then searched where a name is possible at all.

Source: Viterbi (1967), Error bounds for convolutional codes; Ratinov and Roth (2009), BILOU.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from guardrail.detection.tokens import FEATURES, features, kept_rows, norm, rows, tokens
from guardrail.types import Span

Floats = npt.NDArray[np.float32]


class Recall(StrEnum):
    """How much a model shall find: each step finds more names and raises more false alarms."""

    PRECISE = "precise"
    BALANCED = "balanced"
    STRICT = "strict"


BIAS: Mapping[Recall, float] = MappingProxyType(
    {Recall.PRECISE: 0.0, Recall.BALANCED: 1.0, Recall.STRICT: 2.0}
)
"""What is taken off the log probability of "no name", in nats."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name: its label, its place in code points, and the probability that it is a name."""

    label: str
    span: Span
    score: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """A token at which a name begins with some probability in [0, 1]."""

    span: Span
    chance: float


@dataclass(slots=True, repr=False)
class NamesModel:
    """The weights of one model, ready to tag. `read` makes one; it may be shared by threads."""

    name: str
    tags: tuple[str, ...]
    _tables: tuple[tuple[npt.NDArray[np.int8], Floats], ...]
    _layers: tuple[tuple[Floats, Floats, Floats, Floats], ...]
    _output: tuple[Floats, Floats]
    _vectors: npt.NDArray[np.int8]
    _vector_weights: Floats
    _words: Mapping[str, int]
    _known: frozenset[str]
    _pieces: int
    _calibration: tuple[float, float]
    _begins: list[int] = field(init=False)
    _table: tuple[npt.NDArray[np.int8], Floats] = field(init=False)
    _offsets: npt.NDArray[np.intp] = field(init=False)
    _before: list[tuple[int, ...]] = field(init=False)
    _follows: list[int] = field(init=False)
    _seen: dict[tuple[str, bool], Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._begins = [
            at for at, tag in enumerate(self.tags) if tag[0] in "BU" and tag[2:] != "ORGANIZATION"
        ]
        # All tables in one, so that all features of all tokens are looked up at once.
        tables, scales = zip(*self._tables, strict=True)
        self._table = np.concatenate(tables), np.concatenate(scales)
        self._offsets = np.cumsum([0, *map(len, tables[:-1])])
        self._tables = tuple(
            zip(*(np.split(a, self._offsets[1:]) for a in self._table), strict=True)
        )
        before = [
            tuple(at for at, one in enumerate(self.tags) if allowed(one, tag)) for tag in self.tags
        ]
        self._before = list(dict.fromkeys(before))
        self._follows = [self._before.index(tags) for tags in before]

    def probabilities(self, words: Sequence[tuple[str, bool]]) -> Floats:
        """The distribution over `tags` of each token; a token comes with whether it is spaced."""
        width = self._output[0].shape[0]
        current = np.zeros((len(words), width), np.float32)
        for at, vector in enumerate(self._looks(words)):
            current[at] = vector
        wide = np.zeros((len(words), width * 3), np.float32)
        room = np.empty((len(words), width * self._pieces), np.float32)
        for layer in self._layers[1:]:
            wide[1:, :width] = current[:-1]
            wide[:, width : width * 2] = current
            wide[:-1, width * 2 :] = current[1:]
            current += self._maxout(wide, layer, room)
        scores = current @ self._output[0] + self._output[1]
        scores -= scores.max(1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(1, keepdims=True)
        return np.asarray(scores)

    def _looks(self, words: Sequence[tuple[str, bool]]) -> list[Floats]:
        """What each token looks like by itself, from memory where it was seen before."""
        seen = self._seen
        missing = [word for word in dict.fromkeys(words) if word not in seen]
        if not missing:
            return [seen[word] for word in words]
        if len(seen) > _MOST_SEEN:
            self._seen = seen = {}
            missing = list(dict.fromkeys(words))
        places = np.empty((2, len(missing), len(FEATURES)), np.intp)
        vectors = np.zeros((len(missing), self._vectors.shape[1]), np.float32)
        for at, (token, spaced) in enumerate(missing):
            form = norm(token)
            for j, feature in enumerate(features(token, spaced, form in self._known)):
                hashed = rows if j == _ENDING else kept_rows
                places[:, at, j] = hashed(feature, j, len(self._tables[j][0]))
            row = self._words.get(form)
            if row is not None:
                vectors[at] = self._vectors[row]
        table, scale = self._table
        first, second = places + self._offsets
        found = table[first] * scale[first, None] + table[second] * scale[second, None]
        mixed = np.concatenate(
            [found.reshape(len(missing), -1), vectors @ self._vector_weights], axis=1
        )
        looks = self._maxout(mixed, self._layers[0])
        fresh = dict(zip(missing, looks, strict=True))
        # A copy, for a row alone would keep the looks of the whole text in memory.
        seen.update((word, look.copy()) for word, look in fresh.items() if self._is_common(word[0]))
        return [fresh[word] if word in fresh else seen[word] for word in words]

    def _is_common(self, token: str) -> bool:
        """Whether a token may be remembered: a word of the model's own lists, or a sign.

        Anything else may be somebody's, and no text is kept.
        """
        form = norm(token)
        return (form in self._known and form in self._words and not _NUMBER.search(token)) or (
            len(token) == 1 and unicodedata.category(token)[0] in "PSZC"
        )

    def _maxout(
        self,
        inputs: Floats,
        layer: tuple[Floats, Floats, Floats, Floats],
        room: Floats | None = None,
    ) -> Floats:
        """What a layer makes of each row; in `room`, where that is given, until it is next used."""
        weight, bias, gain, shift = layer
        scores = np.matmul(inputs, weight, out=room)
        scores += bias
        width = scores.shape[1] // self._pieces
        best = scores[:, :width]
        for piece in range(1, self._pieces):
            np.maximum(best, scores[:, piece * width : (piece + 1) * width], out=best)
        best -= np.add.reduce(best, 1, keepdims=True) / width
        best /= np.sqrt(np.einsum("ij,ij->i", best, best) / width + 1e-8)[:, None]
        best *= gain
        best += shift
        return np.asarray(best)

    def find(self, text: str, bias: float) -> list[Name]:
        """Gives the names in a text in order; `bias` is what `BIAS` says, or any other."""
        words, starts = split(text)
        if not words:
            return []
        return self.decode(self.probabilities(words), words, starts, bias)

    def decode(
        self,
        probabilities: Floats,
        words: Sequence[tuple[str, bool]],
        starts: Sequence[int],
        bias: float,
    ) -> list[Name]:
        """The best sequence of labels, as names."""
        none = probabilities[:, 0]
        active = np.flatnonzero(none < 1 - _IGNORED * np.exp(-bias))
        logs = np.log(probabilities[active] + 1e-12)
        logs[:, 0] -= bias
        out: list[Name] = []
        for first, run in _runs(active.tolist(), logs.tolist()):
            begun = first
            for at, tag in enumerate(self._path(run), first):
                kind, label = self.tags[tag][0], self.tags[tag][2:]
                if kind in "BU":
                    begun = at
                if kind in "LU":
                    score = float(1 - none[begun : at + 1].mean())
                    out.append(
                        Name(label, Span(starts[begun], starts[at] + len(words[at][0])), score)
                    )
        return out

    def doubts(
        self, probabilities: Floats, words: Sequence[tuple[str, bool]], starts: Sequence[int]
    ) -> list[Doubt]:
        """Where a person's or place's name may begin, found or not, and how probably one does."""
        begins = probabilities[:, self._begins].sum(1).clip(1e-7, 1 - 1e-7)
        slope, offset = self._calibration
        chance = 1 / (1 + np.exp(-(slope * np.log(begins / (1 - begins)) + offset)))
        return [
            Doubt(Span(starts[at], starts[at] + len(words[at][0])), float(chance[at]))
            for at in np.flatnonzero(chance > _NEGLIGIBLE).tolist()
        ]

    def _path(self, rows: Sequence[Sequence[float]]) -> list[int]:
        """The likeliest tags of a run of tokens, of which each row is the log probabilities."""
        best = [0.0, *[-math.inf] * (len(self.tags) - 1)]  # before it stands no name
        back = []
        for row in rows:
            came = [max(tags, key=best.__getitem__) for tags in self._before]
            back.append(came)
            best = [best[came[at]] + chance for at, chance in zip(self._follows, row, strict=True)]
        tag = max(self._before[self._follows[0]], key=best.__getitem__)  # nor behind it
        path = []
        for came in reversed(back):
            path.append(tag)
            tag = came[self._follows[tag]]
        return path[::-1]


def _runs(
    places: Sequence[int], rows: Sequence[Sequence[float]]
) -> Iterator[tuple[int, Sequence[Sequence[float]]]]:
    """Gives the rows of places without a gap together, with the first of these places."""
    begin = 0
    for end in range(1, len(places) + 1):
        if end == len(places) or places[end] != places[end - 1] + 1:
            yield places[begin], rows[begin:end]
            begin = end


_LARGE = 1 << 20
"""Numbers of four bytes that make 4 MiB."""
_ENDING = FEATURES.index("ending")
_NUMBER = re.compile(r"\d")
_MOST_SEEN = 50_000
_NEGLIGIBLE = 1e-3
_IGNORED = 0.02
"""Tokens less likely than this to be part of a name are not searched."""


def allowed(before: str, after: str) -> bool:
    """Whether a tag may follow another: B and I go on to I or L of their label, the rest ends."""
    if before[0] in "BI":
        return after[0] in "IL" and after[2:] == before[2:]
    return after[0] in "OBU"


def split(text: str) -> tuple[list[tuple[str, bool]], list[int]]:
    """The tokens of a text, each with whether white space precedes it, and where each starts."""
    words: list[tuple[str, bool]] = []
    starts: list[int] = []
    end = -1
    for token, start in tokens(text):
        words.append((token, start != end))
        starts.append(start)
        end = start + len(token) if token != "\n" else -1  # noqa: S105  # not that kind
    return words, starts


def read(path: Path, digest: str = "") -> NamesModel:
    """Gives the model in a file.

    Raises:
        ValueError: the file's SHA-256 is not `digest`, or it is no such model.
    """
    if digest and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise ValueError(f"{path.name} is not the file that was shipped; reinstall guardrail")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(arrays["meta"].tobytes())
    if meta.get("format") != 1:
        raise ValueError(f"{path.name} is of another format than this version of guardrail reads")

    def full(name: str) -> Floats:
        return np.ascontiguousarray(arrays[name].astype(np.float32))

    def strings(name: str) -> list[str]:
        joined: str = arrays[name].tobytes().decode("utf-8", "surrogatepass")
        return joined.split("\t")

    depth = sum(name.startswith("W") for name in arrays)
    # Side by side in memory of large pages, which numpy asks for from 4 MiB on.
    total = sum(array.size for name, array in arrays.items() if name.startswith("W"))
    room = np.empty(max(total, _LARGE), np.float32)

    def dense(name: str) -> Floats:
        nonlocal room
        weights = arrays[name]
        here, room = room[: weights.size], room[weights.size :]
        here[:] = weights.ravel()
        return here.reshape(weights.shape)

    return NamesModel(
        name=meta["name"],
        tags=tuple(meta["tags"]),
        _tables=tuple((arrays[f"E{i}"], full(f"S{i}")) for i in range(len(FEATURES))),
        _layers=tuple(
            (dense(f"W{i}"), full(f"b{i}"), full(f"G{i}"), full(f"B{i}")) for i in range(depth)
        ),
        _output=(full("So"), full("sb")),
        _vectors=arrays["vectors"],
        _vector_weights=full("SV") * arrays["scale"].astype(np.float32)[:, None],
        _words={word: row for row, word in enumerate(strings("words"))},
        _known=frozenset(strings("known")),
        _pieces=meta["pieces"],
        _calibration=tuple(meta["calibration"]),
    )
