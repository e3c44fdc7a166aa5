"""Which classifier judges generated texts: any `AutoModelForSequenceClassification`, or the demonstration one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import cached_file

from harness.judging.demonstration import DEMONSTRATION, demonstration_classifier
from harness.judging.text_classifier import TextClassifier, columns_of, labels_of
from harness.storage.weights import require_safe_weights, weights_sha256

log = logging.getLogger(__name__)


def require_labels(name: str, labels: Sequence[str], allow_pickle: bool = False) -> None:
    """Refuse, before anything is generated, a classifier that is not one, is not there, or lacks a label.

    Raises:
        ValueError: says what was found.
        OSError: neither a folder nor in the hub's cache.
    """
    if name == DEMONSTRATION:
        columns_of(name, tuple(load_classifier(name, labels).labels), labels)
        return
    require_safe_weights(name, allow_pickle)
    config = _config(name)
    if not any(architecture.endswith("ForSequenceClassification") for architecture in config.architectures or []):
        raise ValueError(
            f"{name}: no text classifier: its config names {', '.join(config.architectures or ['no architecture'])}, "
            "expected one that ends in ForSequenceClassification"
        )
    columns_of(name, labels_of(config), labels)


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
    log.info("classifier %s: labels %s", name, ", ".join(labels_of(config)))
    return TextClassifier(name, model, tokenizer, weights_sha256(Path(file).parent))


def load_classifier(name: str, labels: Sequence[str], allow_pickle: bool = False) -> TextClassifier:
    """A classifier by hub id or folder, or the demonstration one for these labels; loaded once in a process's life.

    Raises:
        ValueError: see `require_labels`.
    """
    if name == DEMONSTRATION:
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
