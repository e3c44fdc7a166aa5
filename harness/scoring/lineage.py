"""What a model's own files say of where it comes from: the names in its config and card, its sizes, its embeddings."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from harness.storage.provenance import Lineage
from harness.storage.reading import parse_yaml

_SHAPE = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "d_model",
    "d_ff",
    "num_layers",
    "num_heads",
    "feed_forward_proj",
    "tie_word_embeddings",
    "vocab_size",
)


def lineage_of(lm: Any) -> Lineage:
    """The lineage of a loaded model, its adapter left out; model cards are read in local folders only."""
    config = lm.model.config
    told = {name: getattr(config, name, None) for name in _SHAPE}
    return Lineage(
        made_from=_made_from(str(lm.pretrained)),
        shape={name: value for name, value in told.items() if isinstance(value, (str, int, bool))},
        embedding_sha256=_embedding_sha256(lm.model),
    )


def _made_from(pretrained: str) -> dict[str, str]:
    """The models that a model's files name as their origin, if not the place that it was loaded from."""
    named = {"config.json": _config_name(pretrained), "README.md": _card_base(Path(pretrained) / "README.md")}
    return {place: name for place, name in named.items() if name and name != pretrained}


def _config_name(pretrained: str) -> str | None:
    """`_name_or_path` as it stands in the file: in memory transformers puts the place it was loaded from."""
    from transformers import PretrainedConfig

    try:
        written, _ = PretrainedConfig.get_config_dict(pretrained)
    except OSError:  # a GGUF file has none
        return None
    name = written.get("_name_or_path")
    return str(name) if name else None


def _card_base(card: Path) -> str | None:
    """`base_model` in the front matter of a model card."""
    if not card.is_file():
        return None
    text = card.read_text(encoding="utf-8", errors="replace")
    if not text.startswith("---\n"):
        return None
    try:
        matter = parse_yaml(text[4:].partition("\n---")[0], str(card))
    except ValueError:
        return None
    base = matter.get("base_model") if isinstance(matter, dict) else None
    return ", ".join(map(str, base)) if isinstance(base, list) else None if base is None else str(base)


def _embedding_sha256(model: Any) -> str:
    weight = model.get_input_embeddings().weight.detach()
    digest = hashlib.sha256()
    # By rows: an embedding matrix as fp32 may be gigabytes.
    for start in range(0, len(weight), 4096):
        digest.update(weight[start : start + 4096].float().cpu().numpy().tobytes())
    return digest.hexdigest()
