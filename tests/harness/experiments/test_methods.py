"""Several methods for each model: each trained, scored, judged and reported by its name beside one base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
import yaml
from in_this_process import Here, write_experiment
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny_models import byte_llama
from transformers import AutoModelForCausalLM

from harness.data.split import Split, bind, find_split, read_split
from harness.editing.scaling import scale_adapter
from harness.experiments.experiment import run
from harness.experiments.experiment_file import load
from harness.reporting.index import Index
from harness.reporting.leaderboard import rows
from harness.reporting.schema import Report
from harness.storage.results import find_scored

METHODS = ["balance", "dpo", {"name": "slow-both", "kind": "both", "learning_rate": 1e-5}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_llama(tmp_path_factory.mktemp("models") / "tiny")


def write(file: Path, model: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "methods": METHODS,
        "training": {
            "num_folds": 3,
            "folds": [0],
            "max_steps": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.005,
            "disable_tqdm": True,
        },
    }
    return write_experiment(file, model, **{**content, **changes})


def report_of(out: Path) -> Report:
    return Report.model_validate_json((out / "report" / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(write(folder / "tiny.yaml", model), folder / "out", executor=Here())
    return folder / "out"


def test_each_method_is_trained_as_its_kind_with_its_own_settings_over_the_common_ones(finished: Path) -> None:
    trained = {}
    for name in ("balance", "dpo", "slow-both"):
        settings = yaml.safe_load((finished / "tiny" / "methods" / name / "training.yaml").read_text())
        trained[name] = (settings["objective"], settings["learning_rate"], settings["max_steps"])
    assert trained == {"balance": ("balance", 0.005, 2), "dpo": ("dpo", 0.005, 2), "slow-both": ("both", 1e-5, 2)}
    weights = {scored.provenance.weights_sha256 for scored in find_scored(finished)}
    assert len(weights) == 4


def test_the_report_has_each_method_beside_the_one_base_and_judges_it(finished: Path) -> None:
    report = report_of(finished)
    index = Index.of(report)
    families = {stages[-1].method: [stage.stage for stage in stages] for stages in index.families()}
    assert families == {name: ["base", "step"] for name in ("balance", "dpo", "slow-both")}
    assert [judgement.method for judgement in report.judgements] == sorted(families, key=str)
    changes = {entry.method: entry.difference for entry in report.entries if entry.metric == "abs_logprob_diff"}
    assert len(changes) == 3
    first, *others = {entry.base_value for entry in report.entries if entry.metric == "ss" and entry.part is None}
    assert {first, *others} - {None} != set()
    for name in families:
        assert f"tiny, {name}, step 2" in report.verdict


def test_the_leaderboard_has_the_base_once_and_a_column_of_methods(finished: Path) -> None:
    shown = [(row.stage.stage, row.stage.method) for row in rows(report_of(finished))]
    assert [stage for stage, _ in shown] == ["base", "step", "step", "step"]
    table = (finished / "report" / "leaderboard.md").read_text(encoding="utf-8").splitlines()
    assert "| method " in table[0]
    assert "slow-both" in table[-3] or any("slow-both" in line for line in table)
    board = json.loads((finished / "report" / "leaderboard.json").read_text())
    assert [one["config_general"]["method"] for one in board] == [None, "balance", "dpo", "slow-both"]


def test_a_method_may_be_added_to_a_run_and_nothing_is_done_twice(model: Path, tmp_path: Path) -> None:
    executor = Here()
    run(write(tmp_path / "one.yaml", model, methods=["balance"]), tmp_path / "out", executor=executor)
    assert executor.started == ["score tiny", "train tiny by balance", "score checkpoints of tiny by balance"]
    executor.started.clear()
    more = write(tmp_path / "two.yaml", model, methods=["balance", "ipo"])
    run(more, tmp_path / "out", executor=executor)
    assert executor.started == ["train tiny by ipo", "score checkpoints of tiny by ipo"]
    with pytest.raises(ValueError, match="another experiment: methods differ"):
        run(write(tmp_path / "three.yaml", model, methods=["ipo"]), tmp_path / "out", executor=executor)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"methods": ["balanced"]}, r"line \d+: no method 'balanced'; there are anti, both, .*did you mean 'balance'"),
        ({"methods": ["dpo", "dpo"]}, "two methods of one name"),
        ({"methods": [{"name": "a/b", "kind": "dpo"}]}, "names a folder too"),
        ({"methods": [{"kind": "dpo", "learning_rte": 1}]}, r"line \d+: unknown key 'learning_rte'"),
        ({"methods": [{"kind": "dpo", "beta": 0}]}, "beta=0"),
        ({"methods": [{"kind": "dpo", "objective": "both"}]}, "a method's kind is its objective"),
        ({"methods": [{"kind": "negate", "scales": [0.5, 0]}]}, r"line \d+: scales is \[0.5, 0\], expected"),
        ({"methods": [{"kind": "negate", "scales": "-1"}]}, "expected a list of different numbers"),
        ({"methods": [{"kind": "negate", "full": True}]}, "takes an adapter another number of times"),
        ({"methods": [{"kind": "dpo", "scales": [1]}]}, "unknown key 'scales'"),
        ({"training": {"objective": "both"}}, "`objective` and `methods` contradict each other"),
    ],
)
def test_a_mistake_is_named_with_its_line(model: Path, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        load(write(tmp_path / "tiny.yaml", model, **changes))


def test_each_method_is_planned(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(write(tmp_path / "tiny.yaml", model), tmp_path / "out", dry_run=True)
    printed = capsys.readouterr().out
    for name in ("balance", "dpo", "slow-both"):
        assert f"tiny by {name}: " in printed
        assert f"train tiny by {name}" in printed


def test_each_method_has_a_control_of_its_own_as_large_as_what_it_did(model: Path, tmp_path: Path) -> None:
    methods = ["balance", {"name": "strong", "kind": "anti", "learning_rate": 0.05}]
    run(write(tmp_path / "tiny.yaml", model, methods=methods, controls=["noise"]), tmp_path / "out", executor=Here())
    report = report_of(tmp_path / "out")
    made = {stage.method: stage for stage in report.stages if stage.stage == "control"}
    assert set(made) == {"balance", "strong"}
    norms = {
        name: json.loads(file.read_text())["update_norm"]
        for name in made
        for file in (tmp_path / "out" / "tiny" / "methods" / name).glob("controls/noise/seed-0/control.json")
    }
    assert norms["strong"] > 2 * norms["balance"]
    beyond = {entry.method for entry in report.entries if entry.beyond_change is not None}
    assert beyond == set(made)


def test_negate_trains_once_and_takes_what_was_learned_away_by_every_scale(model: Path, tmp_path: Path) -> None:
    executor = Here()
    methods = [{"kind": "negate", "scales": [-1, 0.5], "learning_rate": 0.02}]
    run(write(tmp_path / "tiny.yaml", model, methods=methods), tmp_path / "out", executor=executor)
    assert executor.started == [
        "score tiny",
        "train tiny by negate",
        "scale tiny by negate_-1",
        "score checkpoints of tiny by negate_-1",
        "scale tiny by negate_0.5",
        "score checkpoints of tiny by negate_0.5",
    ]
    home = tmp_path / "out" / "tiny" / "methods"
    (taught,) = home.glob("negate/training/fold-0/checkpoint-2")
    before = load_file(taught / "adapter_model.safetensors")
    split = read_split(taught / "split.json")
    for scale in (-1, 0.5):
        (scaled,) = home.glob(f"negate_{scale}/training/fold-0/checkpoint-2")
        after = load_file(scaled / "adapter_model.safetensors")
        for name, weight in before.items():
            assert torch.equal(after[name], weight * scale if "lora_B" in name else weight)
        own = find_split(scaled)
        assert own is not None
        assert own.same_pairs(split)
        assert own.base_weights_sha256 == split.base_weights_sha256 != own.weights_sha256
    report = report_of(tmp_path / "out")
    assert [judgement.method for judgement in report.judgements] == ["negate_-1", "negate_0.5"]
    took = json.loads((taught.parent / "trained.json").read_text())["seconds"]
    (compared,) = report.comparisons
    times = [one.making_seconds for one in compared.treatments]
    assert all(seconds is not None and seconds >= took for seconds in times), "the training of what is scaled counts"


def test_what_a_scaled_adapter_does_is_linear_in_the_scale(model: Path, tmp_path: Path) -> None:
    """The plain way: base weights plus so many times the difference that merging the adapter makes."""
    adapter = tiny_models.lora(model, tmp_path / "out" / "checkpoint-1")
    bind(adapter, Split(data_sha256="", folds=1, fold=0, train=(), held_out=()), "a base", "its digest")
    scale_adapter(adapter, tmp_path / "scaled" / "checkpoint-1", -0.5)

    def merged(folder: Path) -> dict[str, torch.Tensor]:
        base = AutoModelForCausalLM.from_pretrained(model)
        return PeftModel.from_pretrained(base, str(folder)).merge_and_unload().state_dict()

    base = AutoModelForCausalLM.from_pretrained(model).state_dict()
    whole, found = merged(adapter), merged(tmp_path / "scaled" / "checkpoint-1")
    assert any(not torch.equal(whole[name], base[name]) for name in base)
    for name, weight in base.items():
        torch.testing.assert_close(found[name], weight - 0.5 * (whole[name] - weight))


def test_an_adapter_with_more_than_lora_in_it_is_not_scaled(model: Path, tmp_path: Path) -> None:
    adapter = tiny_models.lora(model, tmp_path / "checkpoint-1")
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({**weights, "base_model.model.lm_head.weight": torch.ones(2)}, adapter / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"lm_head\.weight is no LoRA matrix"):
        scale_adapter(adapter, tmp_path / "scaled", -1)
    assert not (tmp_path / "scaled").exists()
