"""Projections as methods of an experiment: made once, scored beside the base, reported as what was not trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_models
import yaml
from in_this_process import Here, write_experiment

from harness.experiments.experiment import run
from harness.experiments.experiment_file import load
from harness.reporting.build import build_report
from harness.reporting.index import Index
from harness.reporting.leaderboard import rows
from harness.reporting.schema import Report
from harness.scoring.eval_command import run as evaluate
from harness.storage.results import find_scored

METHODS = ["leace", {"kind": "sentence_debias", "name": "two", "components": 2}]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "text.txt"
    about = [f"The {word} came home at {hour} and slept." for word in ("king", "queen") for hour in range(12)]
    file.write_text("\n".join(about) + "\n")
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.byte_llama(tmp_path_factory.mktemp("models") / "tiny")


def write(file: Path, model: Path, text: Path, methods: list[Any], **changes: Any) -> Path:
    told = [{"kind": one} if isinstance(one, str) else one for one in methods]
    content: dict[str, Any] = {
        "methods": [{"text": str(text), **one} for one in told],
    }
    return write_experiment(file, model, **{**content, **changes})


def report_of(folder: Path) -> Report:
    return Report.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(model: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Here]:
    folder, executor = tmp_path_factory.mktemp("run"), Here()
    run(write(folder / "tiny.yaml", model, text, METHODS), folder / "out", executor=executor)
    return folder / "out", executor


def test_each_projection_is_made_and_scored_and_nothing_is_trained(finished: tuple[Path, Here]) -> None:
    out, executor = finished
    assert executor.started == [
        "score tiny",
        "project tiny by leace",
        "score tiny by leace",
        "project tiny by two",
        "score tiny by two",
    ]
    removed = {}
    for name in ("leace", "two"):
        told = yaml.safe_load((out / "tiny" / "methods" / name / "model" / "projection.json").read_text())
        removed[name] = (told["kind"], told["removed"])
    assert removed == {"leace": ("leace", 1), "two": ("sentence_debias", 2)}


def test_the_report_compares_it_with_the_base_and_says_that_nothing_was_trained(finished: tuple[Path, Here]) -> None:
    report = report_of(finished[0] / "report")
    index = Index.of(report)
    for stages in index.families():
        base, projected = stages
        assert (base.stage, projected.stage, projected.step) == ("base", "step", None)
        entry = index.entry(projected, "crows_pairs", "abs_logprob_diff")
        assert entry is not None
        assert entry.n == 90
        assert entry.difference is not None
        assert "contaminated" not in entry.flags
    assert "tiny, leace, edited weights" in report.verdict
    assert "Nothing was trained: the intervals cover the choice of items." in report.verdict
    assert [row.stage.method for row in rows(report) if row.stage.stage == "step"] == ["leace", "two"]
    (compared,) = report.comparisons
    assert all(one.making_seconds is not None and one.making_seconds > 0 for one in compared.treatments)


def test_a_projected_folder_that_eval_scores_is_a_step_of_its_base(
    model: Path, finished: tuple[Path, Here], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    folder = finished[0] / "tiny" / "methods" / "leace" / "model"
    for pretrained in (model, folder):
        evaluate(["--model-args", f"pretrained={pretrained}", "--tasks", "crows_pairs", "--output-path", str(tmp_path)])
    found = {scored.provenance.stage: scored.provenance for scored in find_scored(tmp_path)}
    assert found["step"].method == "leace"
    assert found["step"].base_weights_sha256 == found["base"].weights_sha256
    assert found["step"].trained_on == {}
    (base, step) = report_of(build_report([tmp_path])).stages
    assert (base.model, step.model) == ("tiny", "tiny")


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ({"kind": "leace", "components": 0}, r"line \d+: components: Input should be greater than or equal to 1"),
        ({"kind": "leace", "learning_rate": 1}, "unknown key 'learning_rate'; leace has components, rounds"),
        ({"kind": "leace", "bias_types": []}, "bias_types"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(
    model: Path, text: Path, tmp_path: Path, method: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        load(write(tmp_path / "tiny.yaml", model, text, [method]))


def test_too_few_sentences_and_a_model_without_a_place_are_refused_before_anything_starts(
    model: Path, text: Path, tmp_path: Path
) -> None:
    (short := tmp_path / "short.txt").write_text("The king came home at noon.\n")
    few = write(tmp_path / "few.yaml", model, short, ["inlp"])
    with pytest.raises(ValueError, match=r"model tiny, method inlp: .*male 1, female 0"):
        run(few, tmp_path / "out", executor=Here())
    masked = tiny_models.byte_bert(tmp_path / "bert")
    config = yaml.safe_load((masked / "config.json").read_text())
    assert config["model_type"] == "bert"
    (masked / "config.json").write_text((masked / "config.json").read_text().replace('"bert"', '"megatron-bert"'))
    other = write(tmp_path / "other.yaml", masked, text, ["leace"])
    with pytest.raises(ValueError, match=r"method leace: megatron-bert: it is not known where"):
        run(other, tmp_path / "out", executor=Here())
    assert not (tmp_path / "out").exists()
