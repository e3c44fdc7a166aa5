"""A control is a checkpoint like a trained one, of the same form and size, and random in everything else."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from control_cases import Case, rescaled
from safetensors.torch import load_file

from harness.editing.held_out_text import held_out_text
from harness.editing.job import make_controls, write_control_job
from harness.editing.matching import TOLERANCE
from harness.models.any import load_lm
from harness.storage.controls import CONTROL_FILE, ControlRecord, read_record
from harness.storage.weights import weights_sha256

WEIGHTS = "adapter_model.safetensors"


def record_of(folder: Path) -> ControlRecord:
    record = read_record(folder)
    assert record is not None
    return record


def change(base: Path, adapter: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to each matrix, by merging it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = {name: one.detach() for name, one in AutoModelForCausalLM.from_pretrained(base).named_parameters()}
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    differences = {name: weight.detach().double() - plain[name].double() for name, weight in merged.named_parameters()}
    return {name: one for name, one in differences.items() if one.any()}


def taught(case: Case) -> None:
    """Train the adapter on the very text that controls are sized on."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    lm = load_lm(str(case.base), device="cpu")
    requests = held_out_text(lm, "sample").requests
    ids = torch.tensor([lm.tokenizer("".join(request.args))["input_ids"][:128] for request in requests])
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(case.base), case.checkpoint, is_trainable=True
    )
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(case.checkpoint)


def rise(base: Path, model: Path, adapter: bool = True) -> float:
    """log(perplexity after / before) on the passages, by a model that is loaded anew."""
    before = load_lm(str(base), device="cpu")
    after = load_lm(str(base if adapter else model), device="cpu", **({"peft": str(model)} if adapter else {}))
    text = held_out_text(before, "sample")
    return text.rise(text.losses(before), text.losses(after)).value


def test_noise_has_the_form_of_the_adapter_and_raises_perplexity_as_much(adapted: Case) -> None:
    digest = weights_sha256(adapted.base)
    make_controls(adapted.job(0, 1))
    trained = load_file(adapted.checkpoint / WEIGHTS)
    aimed = rise(adapted.base, adapted.checkpoint)
    for seed in (0, 1):
        folder = adapted.folder / f"seed-{seed}"
        assert {path.name for path in folder.iterdir()} == {"adapter_config.json", WEIGHTS, CONTROL_FILE}
        drawn = load_file(folder / WEIGHTS)
        assert {name: one.shape for name, one in drawn.items()} == {name: one.shape for name, one in trained.items()}
        config = [json.loads((one / "adapter_config.json").read_text()) for one in (folder, adapted.checkpoint)]
        assert config[0] == config[1]
        reached, record = rise(adapted.base, folder), record_of(folder)
        assert reached == pytest.approx(aimed, rel=TOLERANCE)
        assert (record.reached_ratio, record.target_ratio) == pytest.approx((math.exp(reached), math.exp(aimed)))
        assert (record.matched_by, record.reason, record.seed) == ("perplexity", None, seed)
        assert [one.weights_sha256 for one in record.matched] == [weights_sha256(adapted.checkpoint)]
    assert weights_sha256(adapted.base) == digest


def test_noise_is_as_large_in_every_module_as_its_deviation_says_and_another_seed_points_elsewhere(
    adapted: Case,
) -> None:
    make_controls(adapted.job(0, 1))
    plain = dict(load_file(adapted.base / "model.safetensors"))
    first, second = (change(adapted.base, adapted.folder / f"seed-{seed}") for seed in (0, 1))
    assert set(first) == set(change(adapted.base, adapted.checkpoint))
    record = record_of(adapted.folder / "seed-0")
    for name, added in first.items():
        # A product of rank 2 varies a lot around its expectation.
        assert float(added.std() / plain[name].std()) == pytest.approx(record.scale, rel=0.5)
        assert torch.linalg.matrix_rank(added, rtol=1e-5) == 2
        assert abs(torch.cosine_similarity(added.flatten(), second[name].flatten(), dim=0)) < 0.2
    norm = math.sqrt(sum(float(added.square().sum()) for added in first.values()))
    assert record.update_norm == pytest.approx(norm, rel=1e-4)


def test_training_that_lowered_perplexity_is_matched_by_the_norm_of_its_update(adapted: Case) -> None:
    taught(adapted)
    make_controls(adapted.job(0))
    record = record_of(adapted.folder / "seed-0")
    assert record.matched_by == "norm"
    assert record.reason is not None
    assert "not above 2 standard errors" in record.reason
    norms = [
        math.sqrt(sum(float(added.square().sum()) for added in change(adapted.base, folder).values()))
        for folder in (adapted.folder / "seed-0", adapted.checkpoint)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    assert record.matched[0].update_norm == pytest.approx(norms[1], rel=1e-3)


def test_weights_that_training_left_as_they_were_give_no_size(adapted: Case) -> None:
    rescaled(adapted.checkpoint, 0.0)
    with pytest.raises(ValueError, match="training left the weights as they were"):
        make_controls(adapted.job(0))
    assert not adapted.folder.exists()


def test_noise_for_full_fine_tuning_is_a_model_changed_where_training_changed_it(
    literate: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = literate
    model = AutoModelForCausalLM.from_pretrained(base)
    touched = {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "lm_head.weight"}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in touched:
                weight += 0.4 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(7))
    model.save_pretrained(tmp_path / "trained")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "trained")
    case = Case(base, tmp_path / "controls", tmp_path / "trained")
    make_controls(case.job(0, 1))
    plain = load_file(base / "model.safetensors")
    for seed in (0, 1):
        noisy = load_file(case.folder / f"seed-{seed}" / "model.safetensors")
        # The second control is drawn on the base too, and not on the first.
        added = {name: noisy[name] - weight for name, weight in plain.items() if not noisy[name].equal(weight)}
        assert set(added) == touched
        record = record_of(case.folder / f"seed-{seed}")
        for name, one in added.items():
            assert float(one.std() / plain[name].std()) == pytest.approx(record.scale, rel=0.1)
        reached = rise(base, case.folder / f"seed-{seed}", adapter=False)
        assert reached == pytest.approx(rise(base, case.checkpoint, adapter=False), rel=TOLERANCE)


@pytest.mark.parametrize("kind", ["masked", "seq2seq"])
def test_other_families_get_controls_too(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.editing.held_out_text.SAMPLED_TOKENS", 100)
    # Seeds of adapters that raise perplexity: these models are of random weights.
    make, modules, auto_class, seed, factor = {
        "masked": (tiny_models.masked, ["query", "dense"], "AutoModelForMaskedLM", 1, 1.0),
        "seq2seq": (tiny_models.t5, ["q", "wo"], "AutoModelForSeq2SeqLM", 0, 0.1),
    }[kind]
    base = make(tmp_path / "base")  # type: ignore[operator]
    adapter = tiny_models.lora(base, tmp_path / "trained", seed, modules, auto_class)
    rescaled(adapter, factor)
    case = Case(base, tmp_path / "controls", adapter)
    make_controls(case.job(0))
    record = record_of(case.folder / "seed-0")
    assert record.matched_by == "perplexity"
    assert math.log(record.reached_ratio) == pytest.approx(rise(base, adapter), rel=TOLERANCE)
    assert load_file(case.folder / "seed-0" / WEIGHTS).keys() == load_file(adapter / WEIGHTS).keys()


@pytest.mark.slow
def test_a_job_killed_between_two_controls_goes_on_with_the_second(adapted: Case, tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    write_control_job(file, adapted.job(0, 1))
    process = subprocess.Popen([sys.executable, "-m", "harness", "control", str(file)])
    first = adapted.folder / "seed-0" / CONTROL_FILE
    deadline = time.monotonic() + 120
    while not first.is_file():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (adapted.folder / "seed-1").exists()
    written: Any = first.stat().st_mtime_ns
    make_controls(adapted.job(1))
    assert {path.name for path in adapted.folder.iterdir()} == {"seed-0", "seed-1"}
    assert first.stat().st_mtime_ns == written
