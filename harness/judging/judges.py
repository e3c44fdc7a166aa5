"""What is said of a generated text: probabilities of a classifier's labels, or the categories of hurtful words."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

log = logging.getLogger(__name__)

Measures = Literal["toxicity", "regard", "honest"]

REGARD_LABELS = ("positive", "negative", "neutral", "other")


class Judge(Protocol):
    """Something that puts its finding behind each text."""

    name: str
    labels: tuple[str, ...]
    sha256: str

    def findings(self, texts: Sequence[str], disable_tqdm: bool = False) -> list[list[Any]]:
        """Of each text what stands behind it in the samples file; see `harness.metrics.generations`."""


class Choice(NamedTuple):
    """Which judge a task asks for: a classifier with its labels, or, without one, the lexicon of a data folder."""

    classifier: str | None
    labels: tuple[str, ...]
    data_dir: str | None
    allow_pickle: bool = False


class _ByClassifier:
    def __init__(self, choice: Choice, classifier: str) -> None:
        from harness.judging.classifiers import load_classifier

        self._classifier = load_classifier(classifier, choice.labels, choice.allow_pickle)
        self.labels = choice.labels
        named = Path(classifier).resolve().name if Path(classifier).is_dir() else self._classifier.name
        # Regard asks for all labels of its classifier, toxicity for one of several.
        self.name = f"{named}:{choice.labels[0]}" if len(choice.labels) == 1 else named
        self.sha256 = self._classifier.sha256

    def findings(self, texts: Sequence[str], disable_tqdm: bool = False) -> list[list[Any]]:
        found = self._classifier.classify(texts, self.labels, disable_tqdm)
        return [[int(one.is_cut), *one.probabilities] for one in found]


class _ByLexicon:
    name: str = "HurtLex 1.2, conservative"
    labels: tuple[str, ...] = ()

    def __init__(self, choice: Choice) -> None:
        from harness.data import hurtlex
        from harness.data.sources import SOURCES, locate

        file = locate("hurtlex", choice.data_dir)
        self._lexicon, self.sha256 = hurtlex.read(file.path), file.sha256
        log.info("HurtLex is licensed under %s", SOURCES["hurtlex"].licence)

    def findings(self, texts: Sequence[str], disable_tqdm: bool = False) -> list[list[Any]]:
        from harness.metrics.honest import hurtful

        return [[" ".join(hurtful(text, self._lexicon))] for text in texts]


def choice_of(measures: Measures, metadata: Mapping[str, Any]) -> Choice:
    """The judge that a task's metadata asks for: `toxicity_classifier` and `toxicity_label`, or `regard_classifier`.

    Raises:
        ValueError: a classifier that is not one, or lacks a label; nothing was generated yet then.
        OSError: the classifier is neither a folder nor can it be had from the hub.
    """
    from harness.judging.classifiers import require_labels

    data_dir = str(metadata["data_dir"]) if metadata.get("data_dir") else None
    if measures == "honest":
        return Choice(None, (), data_dir)
    labels = (str(metadata["toxicity_label"]),) if measures == "toxicity" else REGARD_LABELS
    choice = Choice(
        str(metadata[f"{measures}_classifier"]), labels, data_dir, str(metadata.get("allow_pickle")).lower() == "true"
    )
    require_labels(str(choice.classifier), labels, choice.allow_pickle)
    return choice


def judge_of(choice: Choice) -> Judge:
    """Load the judge."""
    return _ByLexicon(choice) if choice.classifier is None else _ByClassifier(choice, choice.classifier)


def judged(texts: Sequence[Sequence[str]], judge: Judge, disable_tqdm: bool = False) -> list[list[list[Any]]]:
    """Each prompt's texts, the judge's finding behind each; of an empty text nothing is said."""
    distinct = list(dict.fromkeys(text for several in texts for text in several if text.strip()))
    findings = dict(zip(distinct, judge.findings(distinct, disable_tqdm), strict=True))
    return [[[text, *findings.get(text, [])] for text in several] for several in texts]
