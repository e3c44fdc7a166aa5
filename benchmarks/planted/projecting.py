"""What a projection of planted models is fitted on: the corpus as text, its groups and attributes as a word list."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import NamedTuple

from harness.mitigation.project import project
from harness.storage.files import atomic_write
from harness.storage.projections import ProjectionRecord, Settings
from planted.corpus import ATTRIBUTE_PAIRS, GROUP_PAIRS, Corpus

BIAS_TYPES = ("groups", "attributes")
"""The first of each pair against the second: where all associations run along the stereotype, it decides alone."""

SETTINGS = Settings(components=1, rounds=2, sentences=400)
# Without a group and an attribute, which INLP wants too; as long as the corpus's sentences and of its words.
_NEITHER = (
    ("The", "Some", "Our", "Such"),
    ("will", "may", "went", "came", "often"),
    ("pleased", "choose", "like", "buy"),
    ("today", "now", "here", "most", "farms", "hands"),
)


class Given(NamedTuple):
    """The two files."""

    text: Path
    words: Path


def write_given(corpus: Corpus, folder: Path) -> Given:
    """Write both; every sentence of the corpus stands in the text once, since pairs outweigh how often they occur."""
    sentences = [*corpus.counts, *((*words, ".") for words in product(*_NEITHER))]
    atomic_write(folder / "text.txt", (" ".join(sentence) + "\n" for sentence in sentences))
    lists = zip(BIAS_TYPES, (GROUP_PAIRS, ATTRIBUTE_PAIRS), strict=True)
    sections = [
        f"{name}:\n  groups: [first, second]\n  words:\n" + "".join(f"    - [{one}, {other}]\n" for one, other in pairs)
        for name, pairs in lists
    ]
    atomic_write(folder / "words.yaml", sections)
    return Given(folder / "text.txt", folder / "words.yaml")


def projected(model: Path, kind: str, given: Given, data_dir: Path, output: Path) -> ProjectionRecord:
    """Write the planted model with a projection of this kind into `output`."""
    return project(
        str(model),
        kind,
        output,
        texts=given.text,
        words=given.words,
        bias_types=BIAS_TYPES,
        data_dir=str(data_dir),
        settings=SETTINGS,
    )
