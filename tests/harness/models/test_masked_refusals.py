"""What `hf-masked` refuses, before anything is scored where that can be known: each a message that says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_models
import torch
from lm_eval.api.instance import Instance
from masked_reference import Reference, requests
from safetensors.torch import load_file

from harness.data.tokens import load_tokens
from harness.models.masked import MaskedLM


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.masked(tmp_path_factory.mktemp("bert"))


def without_mask(bert: Path, folder: Path) -> Path:
    shutil.copytree(bert, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["mask_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def slow(folder: Path) -> Path:
    """A model with one of the tokenizers that transformers has in Python alone."""
    tiny_models.masked(folder, "roberta")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertweetTokenizer"}', encoding="utf-8")
    (folder / "vocab.txt").write_text("the 5\nnurse 4\n", encoding="utf-8")
    (folder / "bpe.codes").write_text("t h 5\nth e</w> 4\n", encoding="utf-8")
    return folder


def test_a_tokenizer_without_mask_token_is_refused_by_model_and_task(bert: Path, tmp_path: Path) -> None:
    folder = without_mask(bert, tmp_path / "bert")
    with pytest.raises(ValueError, match=r"no mask token.*tokenizer="):
        MaskedLM(str(folder))
    with pytest.raises(ValueError, match=r"no mask token.*tokenizer="):
        load_tokens({"pretrained": str(folder)}, "crows_pairs", ("masked",))


def test_a_slow_tokenizer_is_refused_by_model_and_task(tmp_path: Path) -> None:
    folder = slow(tmp_path)
    with pytest.raises(ValueError, match=r"slow tokenizer.*tokenizer\.json"):
        MaskedLM(str(folder))
    with pytest.raises(ValueError, match=r"slow tokenizer.*tokenizer\.json"):
        load_tokens({"pretrained": str(folder)}, "crows_pairs", ("masked",))


def test_fewer_tokens_than_embeddings_are_fine(tmp_path: Path) -> None:
    folder = tiny_models.masked(tmp_path, vocab_size=256)
    (answer,) = MaskedLM(str(folder)).loglikelihood(requests(("", "the nurse")), disable_tqdm=True)
    assert answer[0] == pytest.approx(Reference(folder).pseudo_log_likelihood("the nurse"), abs=1e-4)


def test_a_decoder_is_refused(byte_llama: Path) -> None:
    with pytest.raises(ValueError, match=r"hf-masked takes masked.*a causal one.*hf-any"):
        MaskedLM(str(byte_llama))


def test_a_checkpoint_without_its_vocabulary_head_is_refused(bert: Path, tmp_path: Path) -> None:
    from transformers import BertModel

    folder = tmp_path / "headless"
    shutil.copytree(bert, folder)
    BertModel.from_pretrained(bert).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"lack \d+ weights.*cls\.predictions.*without its vocabulary head"):
        MaskedLM(str(folder))


def test_a_head_that_does_not_read_each_tokens_own_state_is_refused(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = MaskedLM(str(bert))
    whole = lm.model.cls.forward
    monkeypatch.setattr(lm.model.cls, "forward", lambda states: whole(states).repeat(1, 7, 1))
    with pytest.raises(ValueError, match="does not read each token's own hidden state"):
        lm.loglikelihood(requests(("", "the nurse")), disable_tqdm=True)


def test_pickled_weights_are_loaded_only_when_allowed(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(bert, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="allow_pickle"):
        MaskedLM(str(folder))
    assert MaskedLM(str(folder), allow_pickle=True).parameters == MaskedLM(str(bert)).parameters


def test_an_adapter_of_another_bert_is_refused_and_its_own_changes_scores_as_merged(bert: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForMaskedLM

    other = tiny_models.masked(tmp_path / "other", seed=1)
    adapter = tiny_models.lora(bert, tmp_path / "adapter", auto_class="AutoModelForMaskedLM")
    with pytest.raises(ValueError, match="trained on the base model"):
        MaskedLM(str(other), peft=str(adapter))
    merged = PeftModel.from_pretrained(AutoModelForMaskedLM.from_pretrained(bert), str(adapter)).merge_and_unload()
    shutil.copytree(bert, tmp_path / "merged")
    merged.save_pretrained(tmp_path / "merged")
    lm = MaskedLM(str(bert), peft=str(adapter))
    (with_adapter,) = lm.loglikelihood(requests(("", "the nurse was kind")), disable_tqdm=True)
    lm.use_adapter(None)
    (without,) = lm.loglikelihood(requests(("", "the nurse was kind")), disable_tqdm=True)
    text = "the nurse was kind"
    assert with_adapter[0] == pytest.approx(Reference(tmp_path / "merged").pseudo_log_likelihood(text), abs=1e-4)
    assert without[0] == pytest.approx(Reference(bert).pseudo_log_likelihood(text), abs=1e-4)
    assert abs(with_adapter[0] - without[0]) > 0.1


def test_robertas_positions_are_two_fewer_than_its_table_and_a_longer_text_is_named(tmp_path: Path) -> None:
    folder = tiny_models.masked(tmp_path, "roberta", max_position_embeddings=18)
    lm = MaskedLM(str(folder))
    assert lm.max_length == 16
    fits, too_long = "x" * 14, "x" * 15
    (answer,) = lm.loglikelihood(requests(("", fits)), disable_tqdm=True)
    assert answer[0] == pytest.approx(Reference(folder).pseudo_log_likelihood(fits), abs=1e-4)
    with pytest.raises(ValueError, match=r"tiny, document 1: 17 tokens with special tokens.*has 16"):
        lm.loglikelihood(requests(("", fits), ("", too_long)), disable_tqdm=True)


def test_a_window_beyond_the_models_positions_is_not_believed(bert: Path) -> None:
    assert MaskedLM(str(bert), max_length=1000).max_length == 128
    assert MaskedLM(str(bert), max_length=50).max_length == 50


def test_a_filled_blank_that_makes_the_text_too_long_is_named(tmp_path: Path) -> None:
    folder = tiny_models.masked(tmp_path, max_position_embeddings=6)
    with pytest.raises(ValueError, match="tiny, document 0: 7 tokens"):
        MaskedLM(str(folder)).loglikelihood(requests(("the [MASK] is kind", "housekeeper")), disable_tqdm=True)


def test_a_blank_with_nothing_to_fill_it_is_named(bert: Path) -> None:
    with pytest.raises(ValueError, match="tiny, document 0: nothing to score"):
        MaskedLM(str(bert)).loglikelihood(requests(("the [MASK] is kind", " ")), disable_tqdm=True)


@pytest.mark.parametrize("kind", ["loglikelihood", "loglikelihood_rolling"])
def test_a_score_that_is_no_number_names_the_document(bert: Path, kind: str) -> None:
    lm = MaskedLM(str(bert))
    (house,) = Reference(bert).ids("house")
    with torch.no_grad():
        lm.model.cls.predictions.bias[house] = float("nan")
    arguments = ("", "the nurse") if kind == "loglikelihood" else ("the nurse",)
    request = Instance(kind, {}, arguments, 0, metadata=("tiny", 3, 1))
    with pytest.raises(FloatingPointError, match="tiny, document 3: log-likelihood is nan"):
        getattr(lm, kind)([request], disable_tqdm=True)
