"""A projection written into the weights of the layer that reads the last hidden state: W (P h + s) = (W P) h + W s.

The result is an ordinary model, which needs no hook when it is scored. A vocabulary head that shares its weights with
the embeddings is parted from them first, or the input would change too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.data.tokens import load_tokenizer
from harness.mitigation.features import as_read, inputs
from harness.mitigation.place import Place, place_of, projected
from harness.mitigation.projection import Projection
from harness.models.any import MODEL_CLASSES
from harness.models.base import TransformersLM

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Of the largest logit: what float32 rounds differently if W P is one matrix, with some to spare."""


def with_own_head(lm: TransformersLM) -> Place:
    """Part the vocabulary head from the embeddings, to the same logits; gives the place that reads the last state.

    T5's decoder state is scaled by d_model^-0.5 where its head is tied, and not where it is not: the factor goes into
    the head.

    Raises:
        ValueError: as `place_of`.
    """
    model = lm.whole_model
    place = place_of(model, lm.family)
    if lm.family == "masked":
        return place
    weight = place.layer.weight.detach().clone()
    if model.config.model_type == "t5" and model.config.scale_decoder_outputs:
        weight *= model.config.d_model**-0.5
        model.config.scale_decoder_outputs = False
    place.layer.weight = nn.Parameter(weight, requires_grad=False)
    model.config.tie_word_embeddings = False
    return place


@torch.no_grad()
def write_into(place: Place, projection: Projection) -> None:
    """Change the layer so that it reads the projected state; computed in float64, kept in its own type.

    Raises:
        ValueError: a projection with a shift, and a layer without a bias to take it.
    """
    weight = place.layer.weight
    if place.takes_shift:
        shift = weight.double().cpu() @ projection.shift
        place.layer.bias.copy_(place.layer.bias.double().cpu() + shift)
    elif bool(projection.shift.any()):
        raise ValueError(
            f"{place.path} has no bias, so that the projection's shift cannot be written; fit a linear one"
        )
    weight.copy_(weight.double().cpu() @ projection.matrix)


def save_projected(
    lm: TransformersLM, place: Place, projection: Projection, folder: Path, probes: Sequence[str]
) -> None:
    """Write the model with the projection in it, and its tokenizer, and compare the folder with a hook on the base.

    Args:
        lm: a model with a head of its own (`with_own_head`); it is changed.
        folder: an existing one.
        probes: sentences that both are asked for.

    Raises:
        RuntimeError: the folder, loaded again, does not give the logits that the base gives with the hook.
    """
    with projected(place, projection):
        expected = [_logits(lm, probe) for probe in probes]
    write_into(place, projection)
    lm.whole_model.save_pretrained(folder)
    load_tokenizer(lm.metadata).save_pretrained(folder)
    again = MODEL_CLASSES[lm.family](str(folder), device=str(lm.device))
    found = [_logits(again, probe) for probe in probes]
    _require_equal(lm, expected, found)


def _require_equal(lm: TransformersLM, expected: Sequence[Tensor], found: Sequence[Tensor]) -> None:
    largest = max(float(one.abs().max()) for one in expected)
    difference = max(float((one - other).abs().max()) for one, other in zip(expected, found, strict=True))
    log.info("logits of the written model differ by %.2g at most from those of the base with a hook", difference)
    if not difference <= TOLERANCE * max(1.0, largest):
        raise RuntimeError(
            f"{lm.pretrained}: models of type {lm.whole_model.config.model_type}, loaded again, do not read the "
            f"projection that was written (logits differ by {difference:.3g}); they cannot be projected here"
        )


@torch.inference_mode()
def _logits(lm: TransformersLM, sentence: str) -> Tensor:
    logits: Tensor = lm.whole_model(**inputs(lm, as_read(lm, sentence))).logits
    return logits.float().cpu()
