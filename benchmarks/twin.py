"""The shipped English model in spaCy's ordinary runtime: the same weights in thinc's layers.

It is what a spaCy pipeline with these weights would be: spaCy's `Doc`, features looked up once per
word and document (`uniqued`), thinc's `Maxout` with layer normalisation, a residual window encoder
and a softmax. Only the best sequence of labels is searched by guardrail's own code, since spaCy's
tagger would not keep names whole; and the model reads its own tokens, whatever spaCy's are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Maxout, Model, Softmax, chain, expand_window, residual, with_array

from guardrail.detection.builtin import load_models
from guardrail.detection.names import BIAS, NamesModel, Recall, split
from guardrail.detection.tokens import features, norm, rows


def twin(name: str = "en") -> Language:
    """Gives a spaCy pipeline that sets `doc.ents` by the named model."""
    nlp = spacy.blank("en")
    nlp.add_pipe("twin_names", config={"model": name})
    return nlp


@Language.factory("twin_names", default_config={"model": "en"})
def _make(nlp: Language, name: str, model: str) -> _Twin:
    return _Twin(load_models((model,))[model])


class _Twin:
    def __init__(self, names: NamesModel) -> None:
        self._names = names
        self._rows: dict[tuple[str, bool], tuple[list[tuple[int, int]], int | None]] = {}
        width = names._output[0].shape[0]
        mix, *convolutions = names._layers
        pieces = names._pieces

        def maxout(layer: Any, inputs: int) -> Model[Any, Any]:
            weight, bias, gain, shift = layer
            made = Maxout(width, inputs, nP=pieces, normalize=True)
            made.initialize()
            inner, norms = made.layers
            inner.set_param("W", weight.reshape(inputs, pieces, width).transpose(2, 1, 0).copy())
            inner.set_param("b", bias.reshape(pieces, width).T.copy())
            norms.set_param("G", gain.copy())
            norms.set_param("b", shift.copy())
            return made

        self._mix = maxout(mix, mix[0].shape[0])
        blocks = [
            residual(chain(expand_window(window_size=1), maxout(each, width * 3)))
            for each in convolutions
        ]
        self._encode: Model[Any, Any] = with_array(chain(*blocks), pad=0)
        output: Any = names._output[0]
        shifts: Any = names._output[1]
        self._tags = Softmax(len(names.tags), width)
        self._tags.initialize()
        self._tags.set_param("W", output.T.copy())
        self._tags.set_param("b", shifts.copy())

    def __call__(self, doc: Doc) -> Doc:
        words, starts = split(doc.text)
        if words:
            odds = self.probabilities(words)
            found = self._names.decode(odds, words, starts, BIAS[Recall.BALANCED])
            spans = [
                doc.char_span(n.span.start, n.span.end, label=n.label, alignment_mode="expand")
                for n in found
            ]
            doc.set_ents(spacy.util.filter_spans([s for s in spans if s is not None]))
        return doc

    def probabilities(self, words: list[tuple[str, bool]]) -> Any:
        """What `NamesModel.probabilities` gives, by thinc."""
        unique = list(dict.fromkeys(words))
        place = {word: at for at, word in enumerate(unique)}
        tables, vectors = self._names._tables, self._names._vectors
        looked = [self._look(word) for word in unique]
        columns = []
        for j, (table, scale) in enumerate(tables):
            first = np.array([each[0][j][0] for each in looked])
            second = np.array([each[0][j][1] for each in looked])
            columns.append(
                table[first] * scale[first][:, None] + table[second] * scale[second][:, None]
            )
        known = np.zeros((len(unique), vectors.shape[1]), np.float32)
        for at, (_, row) in enumerate(looked):
            if row is not None:
                known[at] = vectors[row]
        columns.append(known @ self._names._vector_weights)
        mixed = self._mix.predict(np.concatenate(columns, axis=1).astype(np.float32))
        inputs = np.ascontiguousarray(mixed[[place[word] for word in words]])
        return self._tags.predict(self._encode.predict([inputs])[0])

    def _look(self, word: tuple[str, bool]) -> tuple[list[tuple[int, int]], int | None]:
        if word not in self._rows:
            form = norm(word[0])
            found = features(*word, form in self._names._known)
            sizes = [len(table) for table, _ in self._names._tables]
            self._rows[word] = (
                [rows(each, j, sizes[j]) for j, each in enumerate(found)],
                self._names._words.get(form),
            )
        return self._rows[word]
