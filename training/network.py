"""The tagger: hashed features and word vectors, a window of convolutions, one label a token.

The layers are those of spaCy's `MultiHashEmbed` and `MaxoutWindowEncoder` with a softmax on top,
written out forwards and backwards so that training runs on one core with numpy alone and gives the
same weights for the same seed on the same kind of processor.

Source: Miyazaki et al. and Honnibal (2016), Embed, encode, attend, predict; Goodfellow et al.
(2013), Maxout Networks; Ba et al. (2016), Layer Normalization; Kingma and Ba (2014), Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from guardrail.detection.tokens import FEATURES

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Parameters = dict[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a network; `tables` are the rows of each feature's table."""

    tables: tuple[int, ...]
    vector: int
    labels: int
    width: int = 96
    pieces: int = 3
    depth: int = 4


def initial(shape: Shape, random: np.random.Generator) -> Parameters:
    """Gives random weights to start from."""
    width, pieces = shape.width, shape.pieces

    def glorot(rows: int, columns: int) -> Floats:
        edge = np.sqrt(6.0 / (rows + columns / pieces))
        return random.uniform(-edge, edge, (rows, columns)).astype(np.float32)

    weights = {
        f"E{i}": random.uniform(-0.1, 0.1, (rows, width)).astype(np.float32)
        for i, rows in enumerate(shape.tables)
    }
    weights["SV"] = glorot(shape.vector, width)
    sizes = [width * (len(FEATURES) + 1)] + [width * 3] * shape.depth
    for i, rows in enumerate(sizes):
        weights[f"W{i}"] = glorot(rows, width * pieces)
        weights[f"b{i}"] = np.zeros(width * pieces, np.float32)
        weights[f"G{i}"] = np.ones(width, np.float32)
        weights[f"B{i}"] = np.zeros(width, np.float32)
    weights["So"] = np.zeros((width, shape.labels), np.float32)
    weights["sb"] = np.zeros(shape.labels, np.float32)
    return weights


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents end to end, one empty position (-1) before, between and after them."""

    types: Ints  # of each position; -1 between documents
    labels: Ints  # of each position; undefined between documents


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of each type of token: rows in the hash tables, and its vector."""

    rows: Ints  # (types, features, 2)
    vectors: Floats  # (types, columns)


_EPS = np.float32(1e-8)


def _maxout(
    weights: Parameters, i: int, inputs: Floats, pieces: int
) -> tuple[Floats, Callable[[Floats, Parameters], Floats]]:
    """A maxout layer with layer normalisation, and its backward pass."""
    scores = inputs @ weights[f"W{i}"] + weights[f"b{i}"]
    width = scores.shape[1] // pieces
    best = scores[:, :width].copy()
    which = np.zeros(best.shape, np.int8)
    for piece in range(1, pieces):
        part = scores[:, piece * width : (piece + 1) * width]
        better = part > best
        np.copyto(best, part, where=better)
        which[better] = piece
    best -= best.mean(1, keepdims=True)
    spread = np.sqrt((best * best).mean(1, keepdims=True) + _EPS)
    normal = best / spread
    gain = weights[f"G{i}"]

    def backward(gradient: Floats, into: Parameters) -> Floats:
        into[f"G{i}"] = (gradient * normal).sum(0)
        into[f"B{i}"] = gradient.sum(0)
        inner = gradient * gain
        inner = (
            inner - inner.mean(1, keepdims=True) - normal * (inner * normal).mean(1, keepdims=True)
        ) / spread
        wide = np.empty((len(inner), width * pieces), np.float32)
        for piece in range(pieces):
            np.multiply(inner, which == piece, out=wide[:, piece * width : (piece + 1) * width])
        into[f"W{i}"] = inputs.T @ wide
        into[f"b{i}"] = wide.sum(0)
        return np.asarray(wide @ weights[f"W{i}"].T)

    return normal * gain + weights[f"B{i}"], backward


def _window(inputs: Floats) -> Floats:
    width = inputs.shape[1]
    out = np.zeros((len(inputs), width * 3), np.float32)
    out[1:, :width] = inputs[:-1]
    out[:, width : width * 2] = inputs
    out[:-1, width * 2 :] = inputs[1:]
    return out


def _unwindow(gradient: Floats) -> Floats:
    width = gradient.shape[1] // 3
    out = gradient[:, width : width * 2].copy()
    out[:-1] += gradient[1:, :width]
    out[1:] += gradient[:-1, width * 2 :]
    return out


def probabilities(weights: Parameters, shape: Shape, table: Table, types: Ints) -> Floats:
    """The label distribution of each position of a batch."""
    return _forward(weights, shape, table, types, None, 0.0, 0)[0]


def learn(
    weights: Parameters,
    shape: Shape,
    table: Table,
    batch: Batch,
    random: np.random.Generator,
    dropout: float,
    lists: int,
) -> tuple[float, Parameters]:
    """The mean loss over the tokens of a batch, in nats, and the gradient of each weight.

    The last `lists` columns of the vectors, what lists say of a word, are forgotten for two words
    in five.
    """
    out, backward = _forward(weights, shape, table, batch.types, random, dropout, lists)
    inside = batch.types >= 0
    count = int(inside.sum())
    chosen = out[np.arange(len(out)), np.maximum(batch.labels, 0)]
    loss = float(-np.log(chosen[inside] + 1e-9).mean())
    gradient = out.copy()
    gradient[np.arange(len(out)), np.maximum(batch.labels, 0)] -= 1
    gradient[~inside] = 0
    return loss, backward(gradient / np.float32(count))


def _forward(
    weights: Parameters,
    shape: Shape,
    table: Table,
    types: Ints,
    random: np.random.Generator | None,
    dropout: float,
    lists: int,
) -> tuple[Floats, Callable[[Floats], Parameters]]:
    inside = types >= 0
    unique, place = np.unique(types[inside], return_inverse=True)
    rows, vectors = table.rows[unique], table.vectors[unique]
    if random is not None:
        vectors = vectors.copy()
        vectors[random.random(len(unique)) < 0.4, vectors.shape[1] - lists :] = 0
        vectors[random.random(len(unique)) < 0.1] = 0

    def dropped(values: Floats) -> tuple[Floats, Floats | None]:
        if random is None:
            return values, None
        mask = (random.random(values.shape, np.float32) >= dropout) / np.float32(1 - dropout)
        mask = mask.astype(np.float32)
        return values * mask, mask

    parts = [
        weights[f"E{i}"][rows[:, i, 0]] + weights[f"E{i}"][rows[:, i, 1]]
        for i in range(len(shape.tables))
    ]
    mixed = np.concatenate([*parts, vectors @ weights["SV"]], axis=1)
    mixed, embed_mask = dropped(mixed)
    first, back_first = _maxout(weights, 0, mixed, shape.pieces)
    current = np.zeros((len(types), shape.width), np.float32)
    current[inside] = first[place]
    keep = inside[:, None].astype(np.float32)
    steps = []
    for i in range(1, shape.depth + 1):
        wide = _window(current)
        layer, back = _maxout(weights, i, wide, shape.pieces)
        layer, mask = dropped(layer)
        steps.append((back, mask))
        current = (current + layer) * keep
    scores = current @ weights["So"] + weights["sb"]
    scores -= scores.max(1, keepdims=True)
    out = np.exp(scores)
    out /= out.sum(1, keepdims=True)

    def backward(gradient: Floats) -> Parameters:
        into: Parameters = {"So": current.T @ gradient, "sb": gradient.sum(0)}
        flow = gradient @ weights["So"].T
        for back, mask in reversed(steps):
            flow = flow * keep
            inner = flow if mask is None else flow * mask
            flow = flow + _unwindow(back(inner, into))
        flow = flow[inside]
        gathered = np.zeros((len(unique), shape.width), np.float32)
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(len(unique)))
        gathered += np.add.reduceat(flow[order], starts, axis=0)
        spread = back_first(gathered, into)
        if embed_mask is not None:
            spread = spread * embed_mask
        for i, size in enumerate(shape.tables):
            part = spread[:, i * shape.width : (i + 1) * shape.width]
            change = np.zeros((size, shape.width), np.float32)
            np.add.at(change, rows[:, i, 0], part)
            np.add.at(change, rows[:, i, 1], part)
            into[f"E{i}"] = change
        into["SV"] = vectors.T @ spread[:, len(shape.tables) * shape.width :]
        return into

    return out, backward


class Adam:
    """Adam with decoupled weight decay, clipped gradients and averaged weights."""

    def __init__(self, weights: Parameters, *, decay: float, clip: float) -> None:
        self._first = {k: np.zeros_like(v) for k, v in weights.items()}
        self._second = {k: np.zeros_like(v) for k, v in weights.items()}
        self._steps = 0
        self._decay, self._clip = decay, clip
        self.average = {k: v.copy() for k, v in weights.items()}

    def step(self, weights: Parameters, gradients: Parameters, rate: float) -> None:
        """Moves the weights, in place."""
        self._steps += 1
        t = self._steps
        fade = min(0.9999, (1 + t) / (10 + t))
        for name, weight in weights.items():
            gradient = gradients[name]
            norm = float(np.linalg.norm(gradient))
            if norm > self._clip:
                gradient = gradient * np.float32(self._clip / norm)
            first, second = self._first[name], self._second[name]
            first *= 0.9
            first += np.float32(0.1) * gradient
            second *= np.float32(0.999)
            second += np.float32(0.001) * gradient * gradient
            scale = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            weight -= np.float32(scale) * first / (np.sqrt(second) + np.float32(1e-8))
            if weight.ndim == 2 and self._decay:
                weight -= np.float32(rate * self._decay) * weight
            if t % 5 == 0:
                average = self.average[name]
                average += np.float32(1 - fade**5) * (weight - average)


def batches(
    documents: Sequence[tuple[Ints, Ints]], random: np.random.Generator, words: int
) -> list[Batch]:
    """The documents in random order, about `words` tokens a batch."""
    out, types, labels, size = [], [np.array([-1])], [np.array([0])], 0
    for at in random.permutation(len(documents)):
        one, gold = documents[at]
        types += [one, np.array([-1])]
        labels += [gold, np.array([0])]
        size += len(one)
        if size >= words:
            out.append(Batch(np.concatenate(types), np.concatenate(labels)))
            types, labels, size = [np.array([-1])], [np.array([0])], 0
    return out
