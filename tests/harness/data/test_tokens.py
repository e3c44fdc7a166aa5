"""Counts against what lm-eval really scores: a model that gives every token 1/V says -n log V for n scored tokens."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from byte_tokenizer import byte_tokenizer

from harness.data.tokens import Tokens, family

TEXTS = [
    ("", "The nurse is kind."),
    ("", " leading space, naïve café – “quotes”"),
    ("", "two lines\n."),
    ("The engineer joined our table.", " She told stories."),
    ("A context that ends in spaces  ", "and goes on"),
    ("Ends without a stop", " the next word"),
    ("unfin", "ished word"),
]
LONG = "Perplexity is measured over windows of the model's length. " * 20


def uniform_model(folder: Path, tokenizer: Any) -> Path:
    """A GPT-2 of 128 positions whose embeddings are zero, so that every next token is equally likely."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_positions=128, n_embd=8, n_layer=1, n_head=1))
    with torch.no_grad():
        model.transformer.wte.weight.zero_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def assert_counts_are_scored(folder: Path, **arguments: Any) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoConfig

    def requests(*arguments: tuple[str, ...]) -> list[Instance]:
        return [Instance("loglikelihood", doc={}, arguments=one, idx=0) for one in arguments]

    model = HFLM(str(folder), device="cpu", dtype="float32", batch_size=4, **arguments)
    tokens = Tokens.from_metadata({"pretrained": str(folder), **arguments})
    per_token = math.log(AutoConfig.from_pretrained(folder).vocab_size)
    scored = [-total / per_token for total, _ in model.loglikelihood(requests(*TEXTS), disable_tqdm=True)]
    assert scored == pytest.approx([tokens.count(*text) for text in TEXTS], abs=1e-3)
    (rolling,) = model.loglikelihood_rolling(requests((LONG,)), disable_tqdm=True)
    assert -rolling / per_token == pytest.approx(tokens.count_rolling(LONG), abs=1e-3)
    assert tokens.start_token_id == model.prefix_token_id


@pytest.mark.parametrize("arguments", [{}, {"prefix_token_id": 97}, {"add_bos_token": True}, {"add_bos_token": False}])
@pytest.mark.parametrize("adds_bos", [False, True])
def test_counts_are_what_lm_eval_scores_with_a_byte_tokenizer(
    tmp_path: Path, adds_bos: bool, arguments: dict[str, Any]
) -> None:
    assert_counts_are_scored(uniform_model(tmp_path, byte_tokenizer(adds_bos)), **arguments)


def test_counts_are_what_lm_eval_scores_with_the_gpt2_tokenizer(real_data: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(real_data / "tokenizers" / "gpt2")
    folder = uniform_model(tmp_path, tokenizer)
    assert_counts_are_scored(folder)
    assert Tokens.from_metadata({"pretrained": str(folder)}).start_token == "<|endoftext|>"


def test_a_sentence_that_begins_with_the_start_token_is_scored_without_it(model_folder: Path) -> None:
    tokens = Tokens.from_metadata({"pretrained": str(model_folder)})
    assert tokens.count("", "abc") == 3
    assert tokens.count("", "<s>abc") == 3


def test_the_start_token_is_the_one_asked_for_else_bos(model_folder: Path) -> None:
    bos = Tokens.from_metadata({"pretrained": str(model_folder)})
    asked = Tokens.from_metadata({"pretrained": str(model_folder), "prefix_token_id": 257})
    assert bos.columns == {"start_token": "<s>", "start_token_id": 256}
    assert asked.columns == {"start_token": "</s>", "start_token_id": 257}


def test_without_bos_and_eos_a_start_token_must_be_named(model_folder: Path, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.bos_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"neither BOS nor EOS.*prefix_token_id"):
        Tokens.from_metadata({"tokenizer": str(tmp_path)})
    with pytest.raises(ValueError, match="no token 258"):
        Tokens.from_metadata({"pretrained": str(model_folder), "prefix_token_id": 258})


def test_without_a_tokenizer_the_message_says_how_to_name_one() -> None:
    with pytest.raises(ValueError, match=r"crows_pairs .*--model_args pretrained=.*--metadata tokenizer="):
        Tokens.from_metadata({"data_dir": "sample"}, "crows_pairs")


def test_a_tokenizer_alone_is_enough(model_folder: Path) -> None:
    assert Tokens.from_metadata({"tokenizer": str(model_folder)}).count("", "é") == 2


def test_an_encoder_decoder_is_refused_and_sent_to_the_prompt_task(tmp_path: Path) -> None:
    from transformers import T5Config

    T5Config(architectures=["T5ForConditionalGeneration"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"crows_pairs takes causal.*an encoder-decoder model.*stereoset_prompt"):
        Tokens.from_metadata({"pretrained": str(tmp_path)}, "crows_pairs")


def test_a_masked_model_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig(architectures=["BertForMaskedLM"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"stereoset_intrasentence takes causal.*a masked model.*None of the tasks"):
        Tokens.from_metadata({"pretrained": str(tmp_path)}, "stereoset_intrasentence")


def test_families_are_told_by_architecture_else_by_model_type() -> None:
    from transformers import BartConfig, BertConfig, GPT2Config, RobertaConfig

    assert family(GPT2Config()) == "causal"
    assert family(BertConfig()) == "masked"
    assert family(BertConfig(architectures=["BertForPreTraining"])) == "masked"
    assert family(BertConfig(architectures=["BertLMHeadModel"], is_decoder=True)) == "causal"
    assert family(RobertaConfig(architectures=["RobertaForCausalLM"])) == "causal"
    assert family(BartConfig(architectures=["BartForConditionalGeneration"])) == "encoder-decoder"
    assert family(BartConfig(architectures=["BartForCausalLM"]), backend="causal") == "causal"
