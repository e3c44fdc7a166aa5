"""Encoder-decoder scores against a plain loop from the definition, and what an encoder-decoder is not asked."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from lm_eval.api.instance import Instance
from masked_reference import requests
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from harness.data.span_corruption import corrupted
from harness.models.seq2seq import Seq2SeqLM

TEXTS = [
    ("the nurse was <extra_id_0>.", "<extra_id_0> kind <extra_id_1>"),
    ("the nurse was <extra_id_0>.", "<extra_id_0> never, as far as anyone could tell, unkind <extra_id_1>"),
    ("Who was kind? Answer with A or B, and with nothing else. A. the nurse B. he", "A"),
    ("Who was kind? Answer with A or B, and with nothing else. A. the nurse B. he", "B"),
    ("x", ""),
    ("She <extra_id_0> the <extra_id_1>", "<extra_id_0> left <extra_id_1> house <extra_id_2>"),
]


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BART: positions counted from the left, targets between `<s>` and `</s>`, the decoder started with `</s>`."""
    from transformers import BartConfig, BartForConditionalGeneration

    folder = tmp_path_factory.mktemp("bart")
    tokenizer = tiny_models.byte_level()
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    widths = {"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_layers": 1, "decoder_layers": 1}
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=32, max_position_embeddings=128, init_std=0.3, **heads, **widths
    )
    config.pad_token_id, config.bos_token_id, config.eos_token_id = (
        tokenizer.pad_token_id,
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    BartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@torch.inference_mode()
def by_definition(folder: Path, source: Sequence[int], target: Sequence[int], start: int) -> float:
    """sum_t log P(y_t | y_<t, source), the decoder run anew for every token."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    total = 0.0
    for step, token in enumerate(target):
        so_far = torch.tensor([[start, *target[:step]]])
        logits = model(input_ids=torch.tensor([list(source)]), decoder_input_ids=so_far).logits
        total += float(logits[0, -1].log_softmax(-1)[token])
    return total


def scores(lm: Seq2SeqLM, texts: Sequence[tuple[str, str]] = TEXTS) -> list[float]:
    return [logprob for logprob, _ in lm.loglikelihood(requests(*texts), disable_tqdm=True)]


@pytest.mark.parametrize("tokens", [1, 90, 4096])
@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_batches_of_mixed_lengths_score_what_the_definition_scores(
    t5: Path, monkeypatch: pytest.MonkeyPatch, tokens: int, batch_size: int | str
) -> None:
    monkeypatch.setattr(Seq2SeqLM, "cpu_batch_tokens", tokens)
    tokenizer = AutoTokenizer.from_pretrained(t5)
    expected = [
        by_definition(t5, *(tokenizer(text)["input_ids"] for text in pair), start=tokenizer.pad_token_id)
        for pair in TEXTS
    ]
    assert scores(Seq2SeqLM(str(t5), batch_size=batch_size)) == pytest.approx(expected, abs=1e-4)


def test_flan_t5s_own_output_head_is_the_one_that_scores(t5: Path, tmp_path: Path) -> None:
    """transformers says of every T5 that head and embeddings are one, and lm-eval makes them so."""
    tokenizer = AutoTokenizer.from_pretrained(t5)
    model = AutoModelForSeq2SeqLM.from_pretrained(t5)
    torch.manual_seed(0)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    model.config.tie_word_embeddings = False  # as it is saved; loading has it True again
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    expected = [
        by_definition(tmp_path, *(tokenizer(text)["input_ids"] for text in pair), start=tokenizer.pad_token_id)
        for pair in TEXTS
    ]
    found = scores(Seq2SeqLM(str(tmp_path)))
    assert found == pytest.approx(expected, abs=1e-4)
    assert found != pytest.approx(scores(Seq2SeqLM(str(t5))), abs=0.1)


def test_the_end_token_is_scored(t5: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(t5)
    source, target = tokenizer("the nurse was")["input_ids"], tokenizer("kind")["input_ids"]
    assert target[-1] == tokenizer.eos_token_id
    whole, without = (by_definition(t5, source, ids, tokenizer.pad_token_id) for ids in (target, target[:-1]))
    (found,) = scores(Seq2SeqLM(str(t5)), [("the nurse was", "kind")])
    assert found == pytest.approx(whole, abs=1e-4)
    assert abs(found - without) > 0.1


def test_a_tokenizer_that_adds_no_end_token_gets_one(t5: Path, tmp_path: Path) -> None:
    folder = tmp_path / "t5"
    shutil.copytree(t5, folder)
    tiny_models.unigram(adds_end=False).save_pretrained(folder)
    assert scores(Seq2SeqLM(str(folder))) == pytest.approx(scores(Seq2SeqLM(str(t5))), abs=1e-4)


def test_the_flag_says_whether_greedy_decoding_gives_the_continuation(t5: Path) -> None:
    lm = Seq2SeqLM(str(t5))
    with torch.no_grad():
        # A model that always ends at once: the empty continuation is what it would say, any other is not.
        lm.model.lm_head = torch.nn.Linear(32, lm.model.config.vocab_size)
        lm.model.lm_head.bias[lm.tokenizer.eos_token_id] = 1000
    answers = lm.loglikelihood(requests(("the nurse was", ""), ("the nurse was", "A")), disable_tqdm=True)
    assert [flag for _, flag in answers] == [True, False]


def test_requests_about_one_context_share_its_pass_through_the_encoder(
    t5: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = Seq2SeqLM(str(t5))
    encoded: list[int] = []
    encoder = lm.model.get_encoder()
    forward = encoder.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        encoded.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(encoder, "forward", counted)
    scores(lm)
    assert sum(encoded) == len({context for context, _ in TEXTS})


def test_barts_target_begins_with_its_token_as_in_training(bart: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(bart)
    texts = [("the nurse is kind", "the kind one"), ("x", "he")]
    expected = []
    for source, target in texts:
        labels = [0, *tokenizer(target, add_special_tokens=False)["input_ids"], 2]
        expected.append(by_definition(bart, tokenizer(source)["input_ids"], labels, start=2))
    assert scores(Seq2SeqLM(str(bart)), texts) == pytest.approx(expected, abs=1e-4)


@torch.inference_mode()
def greedy_by_hand(folder: Path, prompt: str, room: int) -> str:
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    source = torch.tensor([tokenizer(prompt)["input_ids"]])
    ids = [tokenizer.pad_token_id]
    while len(ids) <= room and (len(ids) == 1 or ids[-1] != tokenizer.eos_token_id):
        ids.append(int(model(input_ids=source, decoder_input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def test_prompts_are_answered_greedily_with_no_more_tokens_than_asked_for(t5: Path) -> None:
    prompts = ["the nurse was", "Who was kind? Answer with A or B, and with nothing else. A. the nurse B. he"]
    asked = [Instance("generate_until", {}, (prompt, {"until": [], "max_gen_toks": 4}), 0) for prompt in prompts]
    found = Seq2SeqLM(str(t5)).generate_until(asked, disable_tqdm=True)
    assert found == [greedy_by_hand(t5, prompt, 4) for prompt in prompts]
    assert all(found)


def test_padding_does_not_move_barts_prompts(bart: Path) -> None:
    lm = Seq2SeqLM(str(bart))
    asked = [
        Instance("generate_until", {}, (prompt, {"until": [], "max_gen_toks": 8}), 0)
        for prompt in ("the", "the nurse is kind and so is everyone else")
    ]
    together = lm.generate_until(asked, disable_tqdm=True)
    assert together == [lm.generate_until([one], disable_tqdm=True)[0] for one in asked]


def test_an_empty_context_is_refused_and_named(t5: Path) -> None:
    with pytest.raises(ValueError, match=r"tiny, document 1: .*'kind' with an empty context.*crows_pairs_prompt"):
        Seq2SeqLM(str(t5)).loglikelihood(requests(("the nurse", "kind"), (" \n", "kind")), disable_tqdm=True)


def test_a_text_alone_has_no_likelihood(t5: Path) -> None:
    request = Instance("loglikelihood_rolling", {}, ("the nurse",), 0, metadata=("wikitext2", 0, 1))
    with pytest.raises(ValueError, match=r"wikitext2, document 0: .*no likelihood of a text alone.*hidden"):
        Seq2SeqLM(str(t5)).loglikelihood_rolling([request], disable_tqdm=True)


def test_what_is_hidden_in_documents_scores_as_transformers_own_loss_says(t5: Path) -> None:
    lm = Seq2SeqLM(str(t5))
    texts = ["the nurse was kind and she was the kind one " * 12, "the house he played in", "the nurse"]
    asked = [Instance("loglikelihood_rolling", {}, (text, f"0/{n}", 40), 0) for n, text in enumerate(texts)]
    found = lm.loglikelihood_rolling(asked, disable_tqdm=True)
    for number, text in enumerate(texts):
        parts = corrupted(lm.tokenizer, text, 40, f"0/{number}")
        assert len(parts) == (5, 1, 1)[number]
        expected = 0.0
        for part in parts:
            with torch.inference_mode():
                labels = torch.tensor([part.target])
                loss = lm.model(input_ids=torch.tensor([part.source]), labels=labels).loss
            expected -= float(loss) * len(part.target)
        assert found[number] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("context", "continuation"), [("x" * 128, "A"), ("A", "x" * 128)], ids=["context", "continuation"]
)
def test_what_exceeds_the_models_window_is_named(t5: Path, context: str, continuation: str) -> None:
    lm = Seq2SeqLM(str(t5), max_length=128)
    with pytest.raises(ValueError, match=r"tiny, document 1: 130 tokens.*has 128"):
        lm.loglikelihood(requests(("A", "B"), (context, continuation)), disable_tqdm=True)


def test_a_score_that_is_no_number_is_an_error_that_names_the_batch(t5: Path) -> None:
    lm = Seq2SeqLM(str(t5))
    with torch.no_grad():
        lm.model.decoder.final_layer_norm.weight.fill_(float("inf"))
    with pytest.raises(
        FloatingPointError, match=r"tiny, document \d \(in the batch of documents [\d, ]+\): log-likelihood is nan"
    ):
        scores(lm)


@pytest.mark.parametrize(("dtype", "warns"), [("float16", True), ("float32", False)])
def test_t5_in_half_precision_is_warned_of(t5: Path, caplog: pytest.LogCaptureFixture, dtype: str, warns: bool) -> None:
    with caplog.at_level(logging.WARNING, logger="harness"):
        Seq2SeqLM(str(t5), dtype=dtype)
    assert ("overflow" in caplog.text) == warns


def test_an_overflow_in_half_precision_is_an_error_and_never_a_number(t5: Path, tmp_path: Path) -> None:
    from transformers import T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(t5)
    with torch.no_grad():
        # transformers clips what overflows between T5's layers; what overflows in its logits nobody does.
        model.shared.weight.mul_(1e4)
        model.decoder.final_layer_norm.weight.mul_(1e3)
    shutil.copytree(t5, tmp_path / "large")
    model.save_pretrained(tmp_path / "large")
    with pytest.raises(FloatingPointError, match="dtype=float32"):
        scores(Seq2SeqLM(str(tmp_path / "large"), dtype="float16"))


def test_a_config_that_names_no_first_token_of_the_decoder_is_refused(t5: Path, tmp_path: Path) -> None:
    folder = tmp_path / "t5"
    shutil.copytree(t5, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["decoder_start_token_id"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ValueError, match="names no decoder_start_token_id"):
        Seq2SeqLM(str(folder))


def test_a_masked_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hf-seq2seq takes seq2seq.*a masked one"):
        Seq2SeqLM(str(tiny_models.masked(tmp_path)))


def test_an_adapter_of_another_t5_is_refused_and_its_own_changes_scores(t5: Path, tmp_path: Path) -> None:
    other = tiny_models.t5(tmp_path / "other", seed=1)
    adapter = tiny_models.lora(t5, tmp_path / "adapter", target_modules=["q", "v"], auto_class="AutoModelForSeq2SeqLM")
    with pytest.raises(ValueError, match="trained on the base model"):
        Seq2SeqLM(str(other), peft=str(adapter))
    lm = Seq2SeqLM(str(t5), peft=str(adapter))
    adapted = scores(lm)
    lm.use_adapter(None)
    assert scores(lm) == pytest.approx(scores(Seq2SeqLM(str(t5))), abs=1e-5)
    assert adapted != pytest.approx(scores(lm), abs=0.1)
