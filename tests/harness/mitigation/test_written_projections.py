"""Features against one sentence at a time, and weights with a projection in them against a hook, for every type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from projected_models import MAKERS, MT5, random_model
from torch import Tensor

from harness.mitigation.features import features
from harness.mitigation.place import MASKED, place_of, projected
from harness.mitigation.projection import Projection
from harness.mitigation.written import save_projected, with_own_head, write_into
from harness.models.any import load_lm

SENTENCES = ("the nurse was kind", "he", "She was kind, and he is the housekeeper.")


def an_oblique_projection(width: int, shift: bool) -> Projection:
    generator = torch.Generator().manual_seed(1)
    left, right = torch.randn(2, width, 2, generator=generator, dtype=torch.float64)
    matrix = torch.eye(width).double() - left @ torch.linalg.pinv(right.T @ left) @ right.T
    constant = left @ torch.randn(2, generator=generator, dtype=torch.float64)
    return Projection(matrix, constant if shift else torch.zeros_like(constant))


def called(lm: Any, sentence: str) -> list[tuple[dict[str, Tensor], slice]]:
    """What a model is called with, spelled out by family, and where the states that are read stand."""
    tokenizer, model = lm.tokenizer, lm.whole_model
    own = tokenizer(sentence, add_special_tokens=False)["input_ids"]
    if lm.family == "masked":
        return [({"input_ids": torch.tensor([tokenizer(sentence)["input_ids"]])}, slice(1, 1 + len(own)))]
    if lm.family == "causal":
        return [({"input_ids": torch.tensor([[tokenizer.bos_token_id, *own]])}, slice(1, None))]
    mark, end = tokenizer.convert_tokens_to_ids(["<extra_id_0>", "</s>"])
    return [
        (
            {
                "input_ids": torch.tensor([[*own[:hidden], mark, *own[hidden + 1 :], end]]),
                "decoder_input_ids": torch.tensor([[model.config.decoder_start_token_id, mark]]),
            },
            slice(1, None),
        )
        for hidden in sorted({len(own) * eighth // 8 for eighth in (1, 3, 5, 7)} if len(own) > 3 else range(len(own)))
    ]


def last_state(lm: Any, inputs: dict[str, Tensor]) -> Tensor:
    """[T, D], from the model's own account of its hidden states."""
    output = lm.whole_model(**inputs, output_hidden_states=True)
    states = output.decoder_hidden_states if lm.family == "seq2seq" else output.hidden_states
    return states[-1][0]


@torch.no_grad()
def test_features_are_means_of_the_last_hidden_state_over_the_sentences_own_tokens(model: Path) -> None:
    lm = load_lm(str(model))
    place = with_own_head(lm)
    expected = []
    for sentence in SENTENCES:
        rows = [last_state(lm, inputs)[read].mean(0) for inputs, read in called(lm, sentence)]
        expected.append(torch.stack(rows).mean(0))
    found = features(lm, place, SENTENCES)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_parting_the_head_from_the_embeddings_changes_no_logit(model: Path) -> None:
    base, lm = load_lm(str(model)), load_lm(str(model))
    with_own_head(lm)
    inputs, _ = called(base, SENTENCES[2])[0]
    expected = base.whole_model(**inputs).logits
    torch.testing.assert_close(
        lm.whole_model(**inputs).logits, expected, atol=1e-6 * float(expected.abs().max()), rtol=0
    )


@torch.no_grad()
def test_a_written_model_loaded_again_gives_the_logits_of_the_base_with_a_hook(model: Path, tmp_path: Path) -> None:
    base, lm = load_lm(str(model)), load_lm(str(model))
    place, hooked = with_own_head(lm), with_own_head(base)
    projection = an_oblique_projection(place.width, place.takes_shift)
    save_projected(lm, place, projection, tmp_path, SENTENCES)
    again = load_lm(str(tmp_path))
    embeddings = again.whole_model.get_input_embeddings().weight
    assert torch.equal(embeddings, base.whole_model.get_input_embeddings().weight)
    for sentence in SENTENCES:
        inputs, _ = called(base, sentence)[0]
        untouched = base.whole_model(**inputs).logits
        with projected(hooked, projection):
            expected = base.whole_model(**inputs).logits
        found = again.whole_model(**inputs).logits
        assert not torch.allclose(expected, untouched, atol=0.1)
        torch.testing.assert_close(found, expected, atol=3e-5 * float(expected.abs().max()), rtol=0)


def test_all_types_of_masked_models_that_are_taken_are_tested() -> None:
    assert set(MASKED) <= set(MAKERS)


def test_a_shift_is_not_written_where_no_bias_can_take_it(byte_llama: Path) -> None:
    place = with_own_head(load_lm(str(byte_llama)))
    with pytest.raises(ValueError, match="lm_head has no bias"):
        write_into(place, an_oblique_projection(place.width, shift=True))


def test_a_type_of_masked_model_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    shape = {**tiny_models.SHAPE, "max_position_embeddings": 64}
    lm = load_lm(str(random_model("roformer", "AutoModelForMaskedLM", tmp_path, **shape)))
    with pytest.raises(ValueError, match=r"roformer: it is not known where .* written into albert, bert,"):
        place_of(lm.whole_model, lm.family)


BART = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "decoder_start_token_id": 2,
}


@pytest.mark.parametrize(("kind", "shape"), [("bart", BART), ("umt5", MT5)])
def test_an_encoder_decoder_whose_head_is_tied_anew_is_refused_by_name(
    kind: str, shape: dict[str, Any], tmp_path: Path
) -> None:
    lm = load_lm(str(random_model(kind, "AutoModelForSeq2SeqLM", tmp_path, **shape)))
    with pytest.raises(ValueError, match=rf"{kind}: whenever .* t5 and mt5 are taken"):
        place_of(lm.whole_model, lm.family)


def test_a_sentence_longer_than_the_window_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    for kind in ("gpt2", "bert"):
        lm = load_lm(str(MAKERS[kind](tmp_path / kind)))
        long = "the nurse was kind " * 60
        assert features(lm, with_own_head(lm), [long]).isfinite().all()


def test_a_hidden_state_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    lm = load_lm(str(tiny_models.byte_llama(tmp_path)))
    with torch.no_grad():
        lm.whole_model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="last hidden state of 'he' is not finite"):
        features(lm, with_own_head(lm), ["he"])
