"""A loaded text classifier, run on many texts at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from torch import Tensor

from harness.models.positions import window
from harness.terminal.bars import progress

CPU_TOKENS = 1024
GPU_TOKENS = 1 << 15


class Classified(NamedTuple):
    """The probability (0 to 1) of each label that was asked for, and whether the text had to be cut to fit."""

    probabilities: tuple[float, ...]
    is_cut: bool


class TextClassifier:
    """A classifier in fp32, in evaluation mode, on the GPU of its process where there is one."""

    def __init__(self, name: str, model: Any, tokenizer: Any, sha256: str) -> None:
        """Take a loaded model; see `load_classifier`.

        Args:
            name: what reports call it.
            sha256: of its weights, or of what it was trained on.
        """
        self.name, self.sha256 = name, sha256
        self.device = PartialState().device
        self._model = model.float().eval().to(self.device)
        self._tokenizer = tokenizer
        self._longest = min(int(tokenizer.model_max_length), window(model))

    @property
    def labels(self) -> list[str]:
        """The labels that it tells apart."""
        return list(labels_of(self._model.config))

    def classify(self, texts: Sequence[str], labels: Sequence[str], disable_tqdm: bool = False) -> list[Classified]:
        """The labels' probabilities of each text; equal texts are read once, those of like length together.

        A model of one logit, or one made for several labels a text, gives each label's sigmoid, others the softmax.

        Raises:
            ValueError: the classifier has no such label; names those it has.
            FloatingPointError: a probability is not finite.
        """
        columns = columns_of(self.name, labels_of(self._model.config), labels)
        rows = {text: self._tokenizer(text, verbose=False)["input_ids"] for text in dict.fromkeys(texts)}
        found: dict[str, Classified] = {}
        with progress(len(rows), f"Classifying ({self.name})", hidden=disable_tqdm) as bar:
            for batch in self._batches(sorted(rows, key=lambda text: (-len(rows[text]), text)), rows):
                probabilities = self._probabilities(batch)[:, columns]
                if not bool(probabilities.isfinite().all()):
                    raise FloatingPointError(
                        f"{self.name}: a probability is not finite in the batch that begins with {batch[0][:80]!r}; "
                        "its weights are damaged"
                    )
                for text, values in zip(batch, probabilities.tolist(), strict=True):
                    found[text] = Classified(tuple(values), len(rows[text]) > self._longest)
                bar.update(len(batch))
        return [found[text] for text in texts]

    def _batches(self, texts: Sequence[str], rows: dict[str, list[int]]) -> Iterator[Sequence[str]]:
        budget = CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS
        start = 0
        while start < len(texts):
            size = max(1, budget // max(1, min(self._longest, len(rows[texts[start]]))))
            yield texts[start : start + size]
            start += size

    @torch.inference_mode()
    def _probabilities(self, texts: Sequence[str]) -> Tensor:
        encoded = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        logits: Tensor = self._model(**encoded.to(self.device)).logits.float()
        several = self._model.config.problem_type == "multi_label_classification"
        return logits.sigmoid() if several or logits.shape[1] == 1 else logits.softmax(-1)


def labels_of(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[number]) for number in sorted(config.id2label))


def columns_of(name: str, known: Sequence[str], labels: Sequence[str]) -> list[int]:
    if missing := [label for label in labels if label not in known]:
        raise ValueError(f"classifier {name}: no label {', '.join(missing)}; it has {', '.join(known)}")
    return [list(known).index(label) for label in labels]
