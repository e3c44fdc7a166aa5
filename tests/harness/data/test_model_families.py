"""Which family a config belongs to, and what a task says to one that it is not defined for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from harness.data.families import FAMILIES, family, family_of, require_family


@pytest.mark.parametrize(
    ("kind", "architecture", "expected"),
    [
        ("gpt2", "GPT2LMHeadModel", "causal"),
        ("bloom", "BloomForCausalLM", "causal"),
        ("llama", None, "causal"),
        ("bert", "BertForMaskedLM", "masked"),
        ("bert", "BertForPreTraining", "masked"),
        ("bert", None, "masked"),
        ("roberta", "RobertaForMaskedLM", "masked"),
        ("albert", "AlbertForMaskedLM", "masked"),
        ("distilbert", "DistilBertForMaskedLM", "masked"),
        ("modernbert", "ModernBertForMaskedLM", "masked"),
        ("xlm-roberta", "XLMRobertaForMaskedLM", "masked"),
        ("electra", "ElectraForMaskedLM", "masked"),
        ("t5", "T5ForConditionalGeneration", "seq2seq"),
        ("mt5", "MT5ForConditionalGeneration", "seq2seq"),
        ("bart", "BartForConditionalGeneration", "seq2seq"),
        ("t5", None, "seq2seq"),
    ],
)
def test_a_config_is_told_by_its_architecture_else_by_its_type(
    kind: str, architecture: str | None, expected: str
) -> None:
    config = AutoConfig.for_model(kind, architectures=architecture and [architecture])
    assert family(config) == expected


@pytest.mark.parametrize(("kind", "architecture"), [("bert", "BertLMHeadModel"), ("roberta", "RobertaForCausalLM")])
def test_a_bert_that_was_made_a_decoder_is_causal(kind: str, architecture: str) -> None:
    assert family(AutoConfig.for_model(kind, architectures=[architecture], is_decoder=True)) == "causal"


def test_lm_evals_backend_argument_makes_half_an_encoder_decoder_causal() -> None:
    assert family(AutoConfig.for_model("bart", architectures=["BartForCausalLM"]), backend="causal") == "causal"


def test_without_a_model_the_tokenizer_is_taken_for_a_causal_ones() -> None:
    assert family_of({"tokenizer": "somewhere"}) == "causal"


def folder_of(folder: Path, kind: str, architecture: str) -> dict[str, Any]:
    AutoConfig.for_model(kind, architectures=[architecture]).save_pretrained(folder)
    return {"pretrained": str(folder)}


def test_a_family_that_a_task_does_not_take_is_told_which_tasks_take_it(tmp_path: Path) -> None:
    bert = folder_of(tmp_path / "bert", "bert", "BertForMaskedLM")
    t5 = folder_of(tmp_path / "t5", "t5", "T5ForConditionalGeneration")
    with pytest.raises(ValueError, match=r"stereoset_prompt takes causal and seq2seq.*a masked one.*crows_pairs_pll"):
        require_family(bert, "stereoset_prompt", ("causal", "seq2seq"))
    with pytest.raises(ValueError, match=r"crows_pairs_pll takes masked.*a seq2seq one.*stereoset_prompt, bbq"):
        require_family(t5, "crows_pairs_pll", ("masked",))
    assert [require_family(one, "crows_pairs", FAMILIES) for one in (bert, t5)] == ["masked", "seq2seq"]
