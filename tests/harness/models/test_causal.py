"""The scored model against lm-eval's own, swapped adapters against fresh ones, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from safetensors.torch import load_file, save_file

from harness.models.causal import CausalLM

TEXTS = [
    ("", "The nurse was kind."),
    ("", "The engineer was kind, and so was everyone else in the room."),
    ("Who was kind?", " A"),
    ("Who was kind?", " B"),
    ("Who was kind?", " The nurse"),
    ("He left.", " She stayed behind for another hour."),
    ("", "x"),
]


def requests(texts: list[tuple[str, str]], task: str = "tiny") -> list[Any]:
    return [Instance("loglikelihood", {}, text, 0, metadata=(task, number, 1)) for number, text in enumerate(texts)]


def logprobs(lm: Any, texts: list[tuple[str, str]] = TEXTS) -> list[float]:
    return [answer[0] for answer in lm.loglikelihood(requests(texts), disable_tqdm=True)]


@pytest.fixture
def lm(byte_llama: Path) -> CausalLM:
    return CausalLM(str(byte_llama))


@pytest.fixture(scope="module")
def adapters(byte_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return [tiny_models.lora(byte_llama, folder / str(seed), seed) for seed in range(2)]


@pytest.mark.parametrize("tokens", [1, 40, 4096])
@pytest.mark.parametrize("batch_size", ["auto", 1, 3])
def test_answers_are_lm_evals_own_however_batches_are_cut(
    byte_llama: Path, monkeypatch: pytest.MonkeyPatch, tokens: int, batch_size: int | str
) -> None:
    monkeypatch.setattr(CausalLM, "cpu_batch_tokens", tokens)
    plain = HFLM(str(byte_llama), device="cpu", dtype="float32")
    ours = CausalLM(str(byte_llama), batch_size=batch_size)
    theirs = plain.loglikelihood(requests(TEXTS), disable_tqdm=True)
    found = ours.loglikelihood(requests(TEXTS), disable_tqdm=True)
    assert [answer[0] for answer in found] == pytest.approx([answer[0] for answer in theirs], abs=1e-4)
    assert [answer[1] for answer in found] == [answer[1] for answer in theirs]


def test_documents_longer_than_the_window_are_scored_in_lm_evals_windows(byte_llama: Path) -> None:
    document = [Instance("loglikelihood_rolling", {}, ("All of it counts. " * 40,), 0, metadata=("wiki", 0, 1))]
    plain = HFLM(str(byte_llama), device="cpu", dtype="float32").loglikelihood_rolling(document, disable_tqdm=True)
    found = CausalLM(str(byte_llama)).loglikelihood_rolling(document, disable_tqdm=True)
    assert found == pytest.approx(plain, rel=1e-6)


def test_weights_are_scored_in_float32_unless_asked_otherwise(byte_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    shutil.copytree(byte_llama, folder)
    half = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(half, folder / "model.safetensors", {"format": "pt"})
    assert CausalLM(str(folder)).model.dtype == torch.float32
    assert CausalLM(str(folder), dtype="bfloat16").model.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_ends_at_the_logits(byte_llama: Path, dtype: torch.dtype) -> None:
    # In bfloat16 throughout, a sentence of 20 bytes scores in whole nats or halves of them, and pairs tie.
    lm = CausalLM(str(byte_llama), dtype=str(dtype).removeprefix("torch."), batch_size=1)
    text = "The nurse was kind, and so was everyone else in the room."
    ids = torch.tensor([[256, *lm.tok_encode(text)]])
    with torch.inference_mode():
        logits = lm.model(ids[:, :-1]).logits
    assert logits.dtype == dtype
    expected = float(logits.double().log_softmax(-1).gather(2, ids[:, 1:, None]).sum())
    rolling = [Instance("loglikelihood_rolling", {}, (text,), 0, metadata=("wiki", 0, 1))]
    assert logprobs(lm, [("", text)]) == pytest.approx([expected], abs=1e-3)
    assert lm.loglikelihood_rolling(rolling, disable_tqdm=True) == pytest.approx([expected], abs=1e-3)


def test_swapped_adapters_score_as_freshly_loaded_ones_and_leave_the_base_untouched(
    byte_llama: Path, adapters: list[Path], lm: CausalLM
) -> None:
    before = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    base = logprobs(lm)
    for adapter in (adapters[0], adapters[1], adapters[0]):
        lm.use_adapter(adapter)
        fresh = HFLM(str(byte_llama), peft=str(adapter), device="cpu", dtype="float32")
        assert logprobs(lm) == pytest.approx(logprobs(fresh), abs=1e-4)
        assert logprobs(lm) != pytest.approx(base, abs=0.1)
    lm.use_adapter(None)
    assert logprobs(lm) == base
    after = lm.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_digest_names_base_and_adapter(byte_llama: Path, adapters: list[Path], lm: CausalLM) -> None:
    base = lm.weights_sha256
    lm.use_adapter(adapters[0])
    first = lm.weights_sha256
    lm.use_adapter(adapters[1])
    assert len({base, first, lm.weights_sha256}) == 3
    assert CausalLM(str(byte_llama), peft=str(adapters[0])).weights_sha256 == first
    lm.use_adapter(None)
    assert lm.weights_sha256 == base


def test_parameters_count_the_base_model_with_or_without_an_adapter(lm: CausalLM, adapters: list[Path]) -> None:
    counted = sum(tensor.numel() for tensor in load_file(Path(lm.pretrained) / "model.safetensors").values())
    assert lm.parameters == counted
    lm.use_adapter(adapters[0])
    assert lm.parameters == counted


def test_tasks_are_told_the_tokenizer_the_start_token_and_the_checkpoint(
    byte_llama: Path, adapters: list[Path]
) -> None:
    lm = CausalLM(str(byte_llama), prefix_token_id=257, peft=str(adapters[0]))
    told = lm.task_metadata
    assert (told["pretrained"], told["prefix_token_id"], told["peft"]) == (str(byte_llama), 257, str(adapters[0]))


def test_an_adapter_of_another_model_of_the_same_shape_is_refused(other_byte_llama: Path, adapters: list[Path]) -> None:
    lm = CausalLM(str(other_byte_llama))
    base = logprobs(lm)
    with pytest.raises(ValueError, match="trained on the base model"):
        lm.use_adapter(adapters[0])
    assert logprobs(lm) == base


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [({"layers": 3}, r"layers\.2.*names, /gone/base"), ({"width": 64}, r"expected \(64, 2\), found \(32, 2\)")],
    ids=["deeper", "wider"],
)
def test_an_adapter_of_another_shape_is_refused_and_the_base_stays_usable(
    byte_llama: Path, tmp_path: Path, shape: dict[str, int], complaint: str
) -> None:
    adapter = tiny_models.lora(byte_llama, tmp_path / "adapter", target_modules=["q_proj", "down_proj"])
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "/gone/base"}))
    lm = CausalLM(str(tiny_models.byte_llama(tmp_path / "base", **shape)))
    base = logprobs(lm)
    with pytest.raises(ValueError, match=rf"another base model.*{complaint}"):
        lm.use_adapter(adapter)
    assert logprobs(lm) == base


def test_a_folder_without_an_adapter_is_refused(lm: CausalLM, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no adapter here"):
        lm.use_adapter(tmp_path)


def test_an_encoder_decoder_is_sent_to_the_model_that_takes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hf-causal takes causal.*a seq2seq one.*hf-any.*stereoset_prompt"):
        CausalLM(str(tiny_models.byte_t5(tmp_path)))


def test_a_masked_model_is_sent_to_the_model_that_takes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hf-causal takes causal.*a masked one.*hf-any.*crows_pairs_pll"):
        CausalLM(str(tiny_models.byte_bert(tmp_path)))


def test_pickled_weights_are_loaded_only_when_allowed(byte_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(byte_llama, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="allow_pickle"):
        CausalLM(str(folder))
    assert logprobs(CausalLM(str(folder), allow_pickle=True)) == logprobs(CausalLM(str(byte_llama)))


def test_a_folder_without_weights_is_refused(byte_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    shutil.copytree(byte_llama, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ValueError, match="no weights"):
        CausalLM(str(folder))


def test_a_text_longer_than_the_window_is_an_error_that_names_the_document(lm: CausalLM) -> None:
    with pytest.raises(ValueError, match=r"tiny, document 1: 301 tokens.*256"):
        lm.loglikelihood(requests([("", "short"), ("", "x" * 301)]), disable_tqdm=True)


def test_a_prompt_is_not_cut_to_make_room_for_its_answer(lm: CausalLM) -> None:
    arguments = {"until": ["\n"], "max_gen_toks": 32}
    request = Instance("generate_until", {}, ("x" * 230, arguments), 0, metadata=("asked", 7, 1))
    with pytest.raises(ValueError, match="asked, document 7: 262 tokens"):
        lm.generate_until([request], disable_tqdm=True)


def test_a_log_likelihood_that_is_no_number_names_the_document(lm: CausalLM) -> None:
    with torch.no_grad():
        lm.model.lm_head.weight[ord("q")] = float("nan")
    with pytest.raises(FloatingPointError, match="tiny, document 0"):
        lm.loglikelihood(requests([("", "quite")]), disable_tqdm=True)


def test_a_gpu_that_is_not_there_means_the_cpu(byte_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert CausalLM(str(byte_llama), device="cuda:0").device == torch.device("cpu")


def test_processes_that_did_not_find_each_other_are_an_error(byte_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 processes were launched and 1 found"):
        CausalLM(str(byte_llama))
