"""Text classifiers for generated texts: any `AutoModelForSequenceClassification`, run on many texts at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from torch import Tensor
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import cached_file

from harness.models.positions import window
from harness.weights import require_safe_weights, weights_sha256

log = logging.getLogger(__name__)

DEMONSTRATION = "demonstration"
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
        return list(_labels(self._model.config))

    def classify(self, texts: Sequence[str], labels: Sequence[str], disable_tqdm: bool = False) -> list[Classified]:
        """The labels' probabilities of each text; equal texts are read once, those of like length together.

        A model of one logit, or one made for several labels a text, gives each label's sigmoid, others the softmax.

        Raises:
            ValueError: the classifier has no such label; names those it has.
            FloatingPointError: a probability is not finite.
        """
        columns = _columns(self.name, _labels(self._model.config), labels)
        rows = {text: self._tokenizer(text, verbose=False)["input_ids"] for text in dict.fromkeys(texts)}
        found: dict[str, Classified] = {}
        with tqdm(total=len(rows), disable=disable_tqdm, desc=f"Classifying ({self.name})") as bar:
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


def require_labels(name: str, labels: Sequence[str], allow_pickle: bool = False) -> None:
    """Refuse, before anything is generated, a classifier that is not one, is not there, or lacks a label.

    Raises:
        ValueError: says what was found.
        OSError: neither a folder nor in the hub's cache.
    """
    if name == DEMONSTRATION:
        _columns(name, tuple(load_classifier(name, labels).labels), labels)
        return
    require_safe_weights(name, allow_pickle)
    config = _config(name)
    if not any(architecture.endswith("ForSequenceClassification") for architecture in config.architectures or []):
        raise ValueError(
            f"{name}: no text classifier: its config names {', '.join(config.architectures or ['no architecture'])}, "
            "expected one that ends in ForSequenceClassification"
        )
    _columns(name, _labels(config), labels)


@cache
def _loaded(name: str, allow_pickle: bool) -> TextClassifier:
    config = _config(name)
    model = AutoModelForSequenceClassification.from_pretrained(
        name, trust_remote_code=False, **({} if allow_pickle else {"use_safetensors": True})
    )
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    if tokenizer.pad_token is None and config.pad_token_id is None:
        raise ValueError(f"{name}: its tokenizer has no padding token, so texts cannot be read together; give it one")
    file = cached_file(name, "config.json")
    log.info("classifier %s: labels %s", name, ", ".join(_labels(config)))
    return TextClassifier(name, model, tokenizer, weights_sha256(Path(file).parent))


def load_classifier(name: str, labels: Sequence[str], allow_pickle: bool = False) -> TextClassifier:
    """A classifier by hub id or folder, or the demonstration one for these labels; loaded once in a process's life.

    Raises:
        ValueError: see `require_labels`.
    """
    if name == DEMONSTRATION:
        from harness.demonstration import demonstration_classifier

        return demonstration_classifier(tuple(labels))
    require_labels(name, labels, allow_pickle)
    return _loaded(name, allow_pickle)


def _config(name: str) -> Any:
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except OSError as error:
        raise OSError(
            f"classifier {name}: not found. Give a folder or a hub id that can be reached (without a network: "
            f"HF_HUB_OFFLINE=1 and a model in the cache), or `{DEMONSTRATION}`, which proves nothing. {error}"
        ) from error


def _labels(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[number]) for number in sorted(config.id2label))


def _columns(name: str, known: Sequence[str], labels: Sequence[str]) -> list[int]:
    if missing := [label for label in labels if label not in known]:
        raise ValueError(f"classifier {name}: no label {', '.join(missing)}; it has {', '.join(known)}")
    return [list(known).index(label) for label in labels]
