"""Counts against what lm-eval really scores: a model that gives every token 1/V says -n log V for n scored tokens."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from byte_tokenizer import byte_tokenizer

from harness.data.tokens import columns, load_tokens

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


def requests(*arguments: tuple[str, ...]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance("loglikelihood", doc={}, arguments=one, idx=0) for one in arguments]


def assert_counts_are_scored(folder: Path, **arguments: Any) -> None:
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoConfig

    model = HFLM(str(folder), device="cpu", dtype="float32", batch_size=4, **arguments)
    tokens = load_tokens({"pretrained": str(folder), **arguments})
    per_token = math.log(AutoConfig.from_pretrained(folder).vocab_size)
    scored = [-total / per_token for total, _ in model.loglikelihood(requests(*TEXTS), disable_tqdm=True)]
    assert scored == pytest.approx([tokens.count(*text) for text in TEXTS], abs=1e-3)
    (rolling,) = model.loglikelihood_rolling(requests((LONG,)), disable_tqdm=True)
    assert -rolling / per_token == pytest.approx(tokens.count_rolling(LONG), abs=1e-3)
    assert tokens.start[1] == model.prefix_token_id


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
    assert load_tokens({"pretrained": str(folder)}).start == ("<|endoftext|>", 50256)


def test_a_sentence_that_begins_with_the_start_token_is_scored_without_it(model_folder: Path) -> None:
    tokens = load_tokens({"pretrained": str(model_folder)})
    assert tokens.count("", "abc") == 3
    assert tokens.count("", "<s>abc") == 3


def test_the_start_token_is_the_one_asked_for_else_bos(model_folder: Path) -> None:
    bos = load_tokens({"pretrained": str(model_folder)})
    asked = load_tokens({"pretrained": str(model_folder), "prefix_token_id": 257})
    assert columns(bos) == {"start_token": "<s>", "start_token_id": 256}
    assert columns(asked) == {"start_token": "</s>", "start_token_id": 257}


def test_without_bos_and_eos_a_start_token_must_be_named(model_folder: Path, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.bos_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"neither BOS nor EOS.*prefix_token_id"):
        load_tokens({"tokenizer": str(tmp_path)})
    with pytest.raises(ValueError, match="no token 258"):
        load_tokens({"pretrained": str(model_folder), "prefix_token_id": 258})


def test_without_a_tokenizer_the_message_says_how_to_name_one() -> None:
    with pytest.raises(ValueError, match=r"crows_pairs .*--model_args pretrained=.*--metadata tokenizer="):
        load_tokens({"data_dir": "sample"}, "crows_pairs")


def test_a_tokenizer_alone_is_enough(model_folder: Path) -> None:
    assert load_tokens({"tokenizer": str(model_folder)}).count("", "é") == 2


def zeroed(folder: Path, auto_class: str) -> Path:
    """A model whose every weight is zero, so that every token is equally likely."""
    import torch
    import transformers

    model = getattr(transformers, auto_class).from_pretrained(folder)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    model.save_pretrained(folder)
    return folder


def test_counts_are_what_a_masked_model_scores(tmp_path: Path) -> None:
    from harness.models.masked import MaskedLM

    folder = zeroed(tiny_models.masked(tmp_path), "AutoModelForMaskedLM")
    lm, tokens = MaskedLM(str(folder)), load_tokens({"pretrained": str(folder)}, families=("masked",))
    per_token = math.log(lm.config.vocab_size)
    scored = [-total / per_token for total, _ in lm.loglikelihood(requests(*TEXTS), disable_tqdm=True)]
    assert scored == pytest.approx([tokens.count(*text) for text in TEXTS], abs=1e-3)
    (rolling,) = lm.loglikelihood_rolling(requests((LONG[:300],)), disable_tqdm=True)
    assert -rolling / per_token == pytest.approx(tokens.count_rolling(LONG[:300]), abs=1e-3)
    assert tokens.start == lm.start == ("[CLS]", 2)


def test_counts_are_what_an_encoder_decoder_scores_its_end_token_included(tmp_path: Path) -> None:
    from harness.models.seq2seq import Seq2SeqLM

    folder = zeroed(tiny_models.t5(tmp_path), "AutoModelForSeq2SeqLM")
    lm, tokens = Seq2SeqLM(str(folder)), load_tokens({"pretrained": str(folder)}, families=("seq2seq",))
    texts = [(context, continuation) for context, continuation in TEXTS if context]
    per_token = math.log(lm.config.vocab_size)
    scored = [-total / per_token for total, _ in lm.loglikelihood(requests(*texts), disable_tqdm=True)]
    assert scored == pytest.approx([tokens.count(*text) for text in texts], abs=1e-3)
    assert tokens.count("the nurse", "the") == 2
    assert tokens.start == lm.start == ("<pad>", 0)


def test_a_family_that_the_task_does_not_take_is_refused(tmp_path: Path) -> None:
    folder = tiny_models.masked(tmp_path)
    with pytest.raises(ValueError, match=r"stereoset_prompt takes causal and seq2seq.*a masked one"):
        load_tokens({"pretrained": str(folder)}, "stereoset_prompt", ("causal", "seq2seq"))
