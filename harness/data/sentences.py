"""Sentences of running text that no task scores, for methods that need many: WikiText-2 validation, or a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.data.sources import SOURCES, find, is_published, locate, sha256
from harness.data.wikitext import SIZING_PASSAGES, SIZING_WORDS, paragraphs_beside
from harness.storage.text import read_text

FEWEST_WORDS, MOST_WORDS = 4, 64
"""Of a sentence: shorter ones are headings and scraps, longer ones lists and slips of the splitting."""

_ENDS = re.compile(
    r"""(?<=[.!?])(?<!\b[A-Z]\.)(?<!Mr\.)(?<!Ms\.)(?<!Dr\.)(?<!St\.)(?<!Mrs\.)["”']?\s+(?=["“'(]?[A-Z0-9])"""
)


class RunningText(NamedTuple):
    """The sentences of a file in its order, each once; the file's digest, and `sample`, `local` or `fetched`."""

    sentences: tuple[str, ...]
    sha256: str
    origin: str


class TextFile(NamedTuple):
    """A file of running text: in WikiText's tokenised form, or plain, with sentences or paragraphs a line."""

    path: Path
    sha256: str
    origin: str
    is_wikitext: bool


def find_text(file: Path | None = None, data_dir: str | None = None) -> TextFile:
    """A user's plain text file; without one, WikiText-2's validation file.

    Raises:
        FileNotFoundError: there is no such file, or the data folder lacks WikiText-2's.
        ValueError: the file is the one that `wikitext2` scores.
    """
    if file is None:
        data = locate("wikitext2_valid", data_dir)
        return TextFile(data.path, data.sha256, data.origin, is_wikitext=True)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected plain text, UTF-8, sentences or paragraphs a line")
    digest = sha256(file)
    if is_published(file, SOURCES["wikitext2"]) or digest == find("wikitext2", data_dir).sha256:
        raise ValueError(
            f"{file}: this is the text that wikitext2 scores; a model that is changed by it cannot be scored on it. "
            "Take another text, such as the validation file"
        )
    return TextFile(file, digest, "local", is_wikitext=False)


def paragraphs(text: TextFile) -> Iterator[str]:
    """The lines of a text that are not empty; WikiText's detokenised, without headings and what sizes controls.

    Whatever learns from a text must leave the passages alone by which its placebo is made as large as itself.

    Raises:
        ValueError: not UTF-8.
    """
    if text.is_wikitext:
        lines = paragraphs_beside(text.path, SIZING_WORDS, SIZING_PASSAGES)
    else:
        lines = iter(read_text(text.path).splitlines())
    return (line.strip() for line in lines if line.strip())


def running_text(file: Path | None = None, data_dir: str | None = None) -> RunningText:
    """The sentences of a user's plain text file; without one, of WikiText-2's validation file, detokenised.

    Raises:
        FileNotFoundError, ValueError: as `find_text` and `paragraphs`.
    """
    text = find_text(file, data_dir)
    found = dict.fromkeys(one for line in paragraphs(text) for one in sentences_of(line))
    return RunningText(tuple(found), text.sha256, text.origin)


def sentences_of(paragraph: str) -> Iterator[str]:
    """The sentences of 4 to 64 words in a paragraph, cut after `.`, `!` or `?` if a large letter or digit follows."""
    for sentence in _ENDS.split(paragraph.strip()):
        if FEWEST_WORDS <= len(sentence.split()) <= MOST_WORDS:
            yield sentence.strip()
