"""Where in a model a projection of the last hidden state can be written: the linear layer that reads this state alone.

Causal models and encoder-decoders: the vocabulary head, once it shares no weights with the embeddings. Masked models:
the first layer of the head, since behind it stand an activation and a norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

from harness.data.families import Family
from harness.mitigation.projection import Projection

MASKED: Mapping[str, str] = {
    "albert": "predictions.dense",
    "bert": "cls.predictions.transform.dense",
    "camembert": "lm_head.dense",
    "distilbert": "vocab_transform",
    "electra": "generator_predictions.dense",
    "modernbert": "head.dense",
    "mpnet": "lm_head.dense",
    "roberta": "lm_head.dense",
    "xlm-roberta": "lm_head.dense",
}
"""The layer of each type of masked model; all of them are tested."""

SEQ2SEQ = ("t5", "mt5")
"""BART ties head and both embeddings by one flag; UMT5's decoder state is scaled by that flag, which loading sets."""


class Place(NamedTuple):
    """A linear layer [out, D] whose input is the last hidden state [..., D], and its name in the model."""

    path: str
    layer: nn.Linear

    @property
    def width(self) -> int:
        """D."""
        return int(self.layer.in_features)

    @property
    def takes_shift(self) -> bool:
        """Whether a constant added to its input can be written into it: only where it has a bias."""
        return self.layer.bias is not None


def require_place(kind: str, family: Family) -> None:
    """Refuse a type of model (`model_type` of its config) that has no place for a projection.

    Raises:
        ValueError: says which types have one.
    """
    if family == "masked" and kind not in MASKED:
        raise ValueError(
            f"{kind}: it is not known where the vocabulary head of this type of masked model reads the last hidden "
            f"state. Projections are written into {', '.join(MASKED)}"
        )
    if family == "seq2seq" and kind not in SEQ2SEQ:
        raise ValueError(
            f"{kind}: whenever an encoder-decoder of this type is loaded, its vocabulary head is tied to its "
            "embeddings or read as if it were, so that a projection cannot be written into the head alone. Of "
            f"encoder-decoders {' and '.join(SEQ2SEQ)} are taken"
        )


def place_of(model: Any, family: Family) -> Place:
    """The layer that a projection is written into.

    Raises:
        ValueError: a type of model of which it is not known, or which has no such layer; says which are known.
    """
    kind = model.config.model_type
    require_place(kind, family)
    if family == "masked":
        return _linear(model, MASKED[kind], kind)
    head = model.get_output_embeddings()
    path = next((name for name, module in model.named_modules() if module is head), None)
    if head is None or path is None:
        raise ValueError(f"{kind}: no vocabulary head of its own, which a projection could be written into")
    return _linear(model, path, kind)


def _linear(model: Any, path: str, kind: str) -> Place:
    layer = model.get_submodule(path)
    if type(layer) is not nn.Linear:
        raise ValueError(
            f"{kind}: {path} is a {type(layer).__name__}, expected a linear layer; a projection cannot be written there"
        )
    return Place(path, layer)


@contextmanager
def reading(place: Place, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, the layer reads what `change` makes of the last hidden state [B, T, D] in place of it."""
    hook = place.layer.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def projected(place: Place, projection: Projection) -> Iterator[None]:
    """Inside, the model works as if the projection were written into it."""
    with reading(place, projection.of):
        yield
