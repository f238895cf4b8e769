"""How likely it is that a name begins where the model found none, from texts it never saw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from corpus import Document

from guardrail.detection.names import BIAS, NamesModel, Recall, split

Floats = npt.NDArray[np.float64]


def beginnings(
    model: NamesModel, documents: list[Document], recall: Recall = Recall.BALANCED
) -> Iterator[tuple[Floats, npt.NDArray[np.bool_]]]:
    """For each document: of each token outside the found names, the model's log odds that a name
    begins there, and whether one does.
    """
    begins = [tag[0] in "BU" and tag[2:] != "ORGANIZATION" for tag in model.tags]
    for text, spans in documents:
        words, starts = split(text)
        if not words:
            continue
        probabilities = model.probabilities(words)
        found = model.decode(probabilities, words, starts, BIAS[recall])
        begin = np.array(starts)
        end = begin + [len(word) for word, _ in words]
        free = np.ones(len(words), bool)
        for name in found:
            free &= (end <= name.span.start) | (begin >= name.span.end)
        truth = np.zeros(len(words), bool)
        for start, _, label in spans:
            at = int(np.searchsorted(end, start, side="right"))
            if label != "ORGANIZATION" and at < len(words):
                truth[at] = True
        chance = probabilities[:, begins].sum(1).clip(1e-7, 1 - 1e-7).astype(np.float64)
        yield np.log(chance / (1 - chance))[free], truth[free]


def fit(odds: Floats, truth: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logistic curve through the log odds (Platt scaling).

    Source: Platt (1999), Probabilistic outputs for support vector machines.
    """
    slope, offset = 1.0, 0.0
    inputs = np.stack([odds, np.ones_like(odds)], 1)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-(slope * odds + offset)))
        gradient = inputs.T @ (truth - chance)
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + 1e-6 * np.eye(2), gradient)
        slope, offset = slope + step[0], offset + step[1]
        if np.abs(step).max() < 1e-9:
            break
    return float(slope), float(offset)
