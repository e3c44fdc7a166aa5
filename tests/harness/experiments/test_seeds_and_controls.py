"""Several seeds a fold, and controls, as stages of one run: in folders of their own, scored, reported, added later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from in_this_process import Here, write_experiment
from tiny_models import byte_llama

from harness.experiments.experiment import _claim, _stages, run
from harness.experiments.experiment_file import load
from harness.reporting.index import Index
from harness.reporting.schema import Entry, Report
from harness.storage.controls import read_record
from harness.storage.results import find_scored


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_llama(tmp_path_factory.mktemp("models") / "tiny")


def write(file: Path, model: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "seeds": [0, 1],
        "controls": ["noise"],
        "training": {
            "num_folds": 3,
            "folds": [0, 1],
            "max_steps": 2,
            "save_strategy": "steps",
            "save_steps": 10,
            "per_device_train_batch_size": 4,
            "learning_rate": 0.005,
            "disable_tqdm": True,
        },
    }
    return write_experiment(file, model, **{**content, **changes})


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("seeds")
    executor = Here()
    run(write(folder / "tiny.yaml", model), folder / "out", executor=executor)
    return folder / "out", executor.started


def test_each_fold_is_trained_with_each_seed_and_the_control_comes_after_all(
    finished: tuple[Path, list[str]],
) -> None:
    out, started = finished
    assert started == [
        "score tiny",
        "train tiny seed 0",
        "score checkpoints of tiny seed 0",
        "train tiny seed 1",
        "score checkpoints of tiny seed 1",
        "make noise control of tiny",
        "score noise control of tiny",
    ]
    provenances = [scored.provenance for scored in find_scored(out)]
    told = {(one.stage, one.seed, one.fold, one.control) for one in provenances}
    steps = {("step", seed, fold, None) for seed in (0, 1) for fold in (0, 1)}
    assert told == {("base", None, None, None), *steps, ("control", 0, None, "noise")}
    weights = {one.weights_sha256 for one in provenances}
    assert len(weights) == len(provenances)
    assert (out / "tiny" / "training" / "seed-1" / "fold-0" / "checkpoint-2").is_dir()
    assert list((out / "tiny" / "scores" / "seed-1" / "fold-0" / "checkpoint-2").glob("results_*.json"))


def test_a_seed_decides_the_order_of_pairs_and_the_adapter(finished: tuple[Path, list[str]]) -> None:
    settings = [
        json.loads((finished[0] / "tiny" / "training" / f"seed-{seed}" / "fold-0" / "run.json").read_text())
        for seed in (0, 1)
    ]
    assert [one.pop("seed") for one in settings] == [0, 1]
    assert settings[0] == settings[1]


def test_the_control_is_as_large_as_the_last_checkpoint_of_every_fold_and_seed(
    finished: tuple[Path, list[str]],
) -> None:
    record = read_record(finished[0] / "tiny" / "controls" / "noise" / "seed-0")
    assert record is not None
    assert [(one.seed, one.fold, Path(one.checkpoint).name) for one in record.matched] == [
        (seed, fold, "checkpoint-2") for seed in (0, 1) for fold in (0, 1)
    ]


def test_the_report_has_a_value_of_every_repeat_and_the_control_on_the_same_pairs(
    finished: tuple[Path, list[str]],
) -> None:
    report = Report.model_validate_json((finished[0] / "report" / "report.json").read_text())
    index = Index.of(report)
    (stages,) = index.families()
    assert [stage.stage for stage in stages] == ["base", "step"]
    (control,) = index.controls(stages[0])

    def entry(at: Any, task: str, metric: str) -> Entry:
        found = index.entry(at, task, metric)
        assert found is not None
        return found

    ss = entry(stages[-1], "stereoset_intrasentence", "ss")
    assert [(one.seed, one.fold) for one in ss.repeats] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert (ss.folds, ss.seeds, ss.n) == ([0, 1], [0, 1], 12)
    pooled = entry(stages[-1], "crows_pairs_heldout", "crows_score")
    assert [(one.seed, one.fold) for one in pooled.repeats] == [(0, None), (1, None)]
    beside = entry(control, "crows_pairs_heldout", "crows_score")
    assert (beside.n, beside.base_value) == (pooled.n, pooled.base_value)
    assert entry(control, "crows_pairs", "crows_score").n == 90
    for one in (ss, pooled):
        assert one.beyond_change is not None
        other = entry(control, one.task, one.metric)
        assert one.value is not None
        assert other.value is not None
        assert one.beyond_change == pytest.approx(abs(one.value - 50) - abs(other.value - 50), abs=1e-5)
    page = (finished[0] / "report" / "report.html").read_text()
    assert "noise control" in page
    assert "noise control" in (finished[0] / "report" / "leaderboard.md").read_text()


def test_seeds_and_controls_may_be_added_to_a_run_and_nothing_is_done_twice(
    finished: tuple[Path, list[str]], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    controls = [{"kind": "noise", "seeds": [0, 5]}]
    executor = Here()
    run(write(tmp_path / "more.yaml", model, controls=controls), out, executor=executor)
    assert executor.started == ["make noise control of tiny", "score noise control of tiny"]
    seeds = [read_record(folder) for folder in sorted((out / "tiny" / "controls" / "noise").iterdir())]
    assert [record.seed for record in seeds if record] == [0, 5]
    report = Report.model_validate_json((out / "report" / "report.json").read_text())
    (control,) = (stage for stage in report.stages if stage.stage == "control")
    assert control.seeds == [0, 5]


def claim(folder: Path, model: Path, **changes: Any) -> None:
    folder.mkdir(exist_ok=True)
    _claim(folder, load(write(folder.parent / "tiny.yaml", model, **changes)))


def test_a_run_goes_on_with_more_seeds_and_controls_and_not_with_fewer(model: Path, tmp_path: Path) -> None:
    claim(tmp_path / "out", model, controls=None)
    claim(tmp_path / "out", model, seeds=[1, 0, 2])
    with pytest.raises(ValueError, match="another experiment: seeds differ"):
        claim(tmp_path / "out", model, seeds=[0, 1])
    with pytest.raises(ValueError, match="another experiment: controls, seeds differ"):
        claim(tmp_path / "out", model, seeds=None, controls=None)


def test_a_run_of_before_goes_on_as_it_is_and_with_controls(model: Path, tmp_path: Path) -> None:
    claim(tmp_path / "out", model, seeds=None, controls=None)
    file = tmp_path / "out" / "experiment.json"
    before = {key: value for key, value in json.loads(file.read_text()).items() if key not in ("seeds", "controls")}
    file.write_text(json.dumps(before))
    claim(tmp_path / "out", model, seeds=None, controls=None)
    claim(tmp_path / "out", model, seeds=None)
    with pytest.raises(ValueError, match="another experiment: seeds differ"):
        claim(tmp_path / "out", model)


def test_without_seeds_stages_and_folders_are_those_of_before(model: Path, tmp_path: Path) -> None:
    experiment = load(write(tmp_path / "tiny.yaml", model, seeds=None, controls=None))
    stages = list(_stages(experiment, experiment.models[0], tmp_path, 0, "stereoscope run"))
    home = tmp_path / "tiny"
    files = [stage.arguments[-1] for stage in stages]
    assert files == [str(home / name) for name in ("score-base.json", "training.yaml", "score-steps.json")]
    stages[1].prepare()
    settings = yaml.safe_load((home / "training.yaml").read_text())
    assert "seed" not in settings
    assert settings["output_dir"] == str(home / "training")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 1, 0]}, r"line \d+: seeds: .*a seed stands there twice"),
        ({"seeds": []}, r"line \d+: seeds: "),
        ({"seeds": [-1]}, r"line \d+: seeds.0: .*found -1"),
        ({"controls": ["placebo"]}, r"line \d+: controls.0.kind: .*'noise'.*found 'placebo'"),
        ({"controls": [{"kind": "noise", "seeds": [3, 3]}]}, r"line \d+: controls.0.seeds: .*twice"),
        ({"controls": ["noise", "noise"]}, r"line \d+: controls: .*two controls of one kind"),
        ({"controls": [{"kind": "noise", "scale": 1}]}, r"line \d+: unknown key 'controls.0.scale'"),
        ({"training": {"seed": 3}}, r"line \d+: 'seed' and `seeds` contradict each other"),
        ({"training": {"data_seed": 3}}, r"line \d+: 'data_seed' and `seeds` contradict each other"),
    ],
)
def test_a_mistake_is_named_with_its_line(model: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path / "tiny.yaml", model, **changes))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_steps": 0, "num_train_epochs": 0}, r"model tiny: controls: nothing is trained \(num_train_epochs: 0\)"),
        ({"learning_rate": 0}, r"nothing is trained \(learning_rate: 0\)"),
    ],
)
def test_a_control_where_nothing_is_trained_is_refused_before_anything_starts(
    model: Path, tmp_path: Path, setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(write(tmp_path / "tiny.yaml", model, training=setting), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_control_without_text_to_size_it_on_is_refused_before_anything_starts(model: Path, tmp_path: Path) -> None:
    from harness.data.sources import SAMPLE

    shutil.copytree(SAMPLE, tmp_path / "data")
    (tmp_path / "data" / "wikitext2" / "wiki.valid.raw").unlink()
    with pytest.raises(FileNotFoundError, match=r"wiki\.valid\.raw: no such file"):
        run(write(tmp_path / "tiny.yaml", model, data_dir=str(tmp_path / "data")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encoder_decoder_that_cannot_fill_gaps_gets_no_control(tmp_path: Path) -> None:
    from tiny_models import byte_t5

    models = [{"name": "t5", "pretrained": str(byte_t5(tmp_path / "t5")), "tasks": ["crows_pairs_prompt"]}]
    with pytest.raises(ValueError, match=r"model t5: controls: .*no sentinel tokens.*drop `controls`"):
        run(write(tmp_path / "tiny.yaml", tmp_path, models=models), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_dry_run_and_a_plan_tell_of_seeds_and_controls(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.planning.plan_table import plan

    file = write(tmp_path / "tiny.yaml", model)
    run(file, tmp_path / "out", dry_run=True)
    printed = capsys.readouterr().out
    assert "[4/8] train tiny seed 1: " in printed
    assert "[6/8] make noise control of tiny: " in printed
    assert "run_module.py harness control" in printed
    told = "4 trainings: 2 folds, each with seeds 0, 1; then 1 noise control"
    assert told in printed
    assert any(told in line for line in plan(load(file).models, "t4x2"))
    assert not (tmp_path / "out").exists()
