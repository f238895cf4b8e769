"""Data sets → training documents: read, clean, join, change case, swap names.

A document is `(text, spans)`, a span `(start, end, label)` in code points. Everything random comes
from a `random.Random` that the caller seeds.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LABELS = ("PERSON", "LOCATION", "ORGANIZATION")

Span = tuple[int, int, str]
Document = tuple[str, tuple[Span, ...]]

_ROLES = frozenset(
    "borrower lender agent bank executive employee company trustee tenant landlord parent "
    "guarantor holder purchaser seller".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """How one data set is used. `language` is ISO 639-1; `together` the most sentences in one text.

    `repeat` is the number of times it is seen; `share` the part of it that is used;
    `lowered` says that it is in lower case already.
    """

    name: str
    language: str = "en"
    together: int = 4
    repeat: int = 1
    share: float = 1.0
    lowered: bool = False


OPEN = (
    Set(name="btc_train", together=1),
    Set(name="crossner_train"),
    Set(name="ekstep_en", share=0.5),
    Set(name="gum"),
    Set(name="hwu_en", together=2, lowered=True),
    Set(name="litbank", share=0.5),
    Set(name="multiconer1_en_train", together=2, lowered=True),
    Set(name="multiconer2_en_train", together=2, lowered=True),
    Set(name="redocred_dev"),
    Set(name="sec_fin5", share=0.7),
    Set(name="snips_en", together=2),
    Set(name="tweebank_ner", together=1),
    Set(name="wikigold", repeat=2),
    Set(name="wnut17_train", together=1),
    Set(name="ancora_ca_dev", language="ca"),
    Set(name="ancora_es_dev", language="es", repeat=2),
    Set(name="estner_et_dev", language="et"),
    Set(name="germeval_dev", language="de", repeat=2),
    Set(name="klintan_sv_train", language="sv"),
    Set(name="meddocan2_es", language="es", share=0.5),
    Set(name="meddocan_train", language="es", share=0.5),
    Set(name="mobie_de_train", language="de", together=2),
    Set(name="norne_train", language="no", repeat=2),
    Set(name="ronec1_ro", language="ro"),
    Set(name="ronec_ro_valid", language="ro"),
)
"""Under licences that let the weights be Apache-2.0: CC BY, MIT, Apache-2.0, CC0, public domain."""

SHARE_ALIKE = (
    Set(name="uner_ewt_dev", repeat=2),
    Set(name="gum_bio_voyage"),
    Set(name="frlitbank_fr", language="fr"),
    Set(name="klue_ko_dev", language="ko", repeat=2),
    Set(name="lumii_lv_train", language="lv"),
    Set(name="nerkor_hu_train", language="hu", share=0.3),
    Set(name="stockmark_ja_train", language="ja", repeat=2),
    Set(name="trwiki_tr_train", language="tr", share=0.6),
    Set(name="turku_fi_train", language="fi"),
    Set(name="ud_cs_train", language="cs", repeat=3),
    Set(name="uner_da_train", language="da"),
    Set(name="uner_hr_train", language="hr"),
    Set(name="uner_pt_train", language="pt"),
    Set(name="uner_sk_train", language="sk"),
    Set(name="uner_sr_train", language="sr"),
    Set(name="uner_sv_train", language="sv"),
    Set(name="uner_zh_train", language="zh", repeat=2),
    Set(name="weibo_zh_train", language="zh", repeat=2, together=1),
)
"""Under CC BY-SA: weights trained on any of these are, too."""

HELD_OUT = ("frlitbank_fr", "klue_ko_dev", "norne_train", "trwiki_tr_train")
"""Sets of languages without an evaluation set: their last tenth is never trained on."""


def read(path: Path) -> Iterator[Document]:
    """Gives the cleaned documents of one `.jsonl` file, in order."""
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        yield row["text"], tuple(_cleaned(row))


def _cleaned(row: dict[str, object]) -> Iterator[Span]:
    text, source, spans = row["text"], row["src"], row["spans"]
    assert isinstance(text, str)
    assert isinstance(spans, list)
    for start, end, label in spans:
        word = text[start:end]
        if source == "sec" and word.lower().rstrip("s") in _ROLES:
            continue
        if source == "btc" and (word.startswith("@") or text[start - 1 : start] == "@"):
            continue
        if source == "btc" and word.startswith("#"):
            start += 1
        if word.strip():
            yield start, end, label


def load(name: str, data: Path) -> list[Document]:
    """Gives all documents of a set, whichever of the training folders holds it."""
    folder = "train" if (data / "train" / name).is_dir() else "train_by_sa"
    return list(read(data / folder / name / f"{name}.jsonl"))


def split(name: str, documents: list[Document]) -> tuple[list[Document], list[Document]]:
    """What may be trained on, and what is held out for evaluation."""
    kept = len(documents) * 9 // 10 if name in HELD_OUT else len(documents)
    return documents[:kept], documents[kept:]


_LINE = re.compile(r"[^\n]+")


def lines(document: Document) -> Iterator[Document]:
    """The lines of a long document, each with its own spans."""
    text, spans = document
    for match in _LINE.finditer(text):
        start, end = match.span()
        yield (
            match[0],
            tuple((s - start, e - start, n) for s, e, n in spans if start <= s and e <= end),
        )


def joined(
    documents: list[Document], most: int, chance: random.Random, separator: str = " "
) -> Iterator[Document]:
    """One to `most` neighbouring documents in one, as sentences stand in a text."""
    at = 0
    while at < len(documents):
        count = chance.randint(1, most)
        text, spans = "", []
        for part, marks in documents[at : at + count]:
            shift = len(text) + len(separator) if text else 0
            text = f"{text}{separator}{part}" if text else part
            spans += [(s + shift, e + shift, label) for s, e, label in marks]
        yield text, tuple(spans)
        at += count


def recased(document: Document, chance: random.Random, lower: float, upper: float) -> Document:
    """The document, or with the given chances it all in lower or in upper case."""
    text, spans = document
    roll = chance.random()
    other = text.lower() if roll < lower else text.upper() if roll < lower + upper else text
    return (other, spans) if len(other) == len(text) else document


def renamed(
    document: Document, chance: random.Random, share: float, names: Iterable[tuple[str, str]]
) -> Document:
    """The document with a share of its full names swapped for other people's."""
    text, spans = document
    pool = names if isinstance(names, list) else list(names)
    out, marks, at = "", [], 0
    for start, end, label in sorted(spans):
        if start < at:
            return document
        value = text[start:end]
        parts = value.split()
        if (
            label == "PERSON"
            and chance.random() < share
            and len(parts) == 2
            and all(p[0].isupper() and p[1:].islower() and p.isalpha() for p in parts)
        ):
            value = " ".join(chance.choice(pool))
        out += text[at:start]
        marks.append((len(out), len(out) + len(value), label))
        out += value
        at = end
    return out + text[at:], tuple(marks)


def prepare(
    sets: Iterable[Set],
    data: Path,
    chance: random.Random,
    *,
    lower: float,
    upper: float,
    rename: float,
    names: list[tuple[str, str]],
) -> list[Document]:
    """Gives the training documents of the sets, in no particular order."""
    out: list[Document] = []
    for one in sets:
        documents, _ = split(one.name, load(one.name, data))
        documents = [part for d in documents for part in (lines(d) if len(d[0]) > 2000 else (d,))]
        separator = "" if one.language in ("ja", "zh") else " "
        grouped = list(joined(documents, one.together, chance, separator))
        if one.share < 1:
            grouped = chance.sample(grouped, int(len(grouped) * one.share))
        for _ in range(one.repeat):
            for document in grouped:
                if not one.lowered:
                    document = renamed(document, chance, rename, names)
                    document = recased(document, chance, lower, upper)
                out.append(document)
    chance.shuffle(out)
    return out
