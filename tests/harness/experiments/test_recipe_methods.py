"""Methods at inference in an experiment: scored as the base's weights asked otherwise, nothing made for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_models
from in_this_process import Here, write_experiment

from harness.experiments.experiment import run
from harness.experiments.experiment_file import load
from harness.reporting.build import build_report
from harness.reporting.schema import Report
from harness.scoring.eval_command import run as evaluate
from harness.storage.results import find_scored

METHODS = [
    {"kind": "self_debias", "prefixes": ["They hate:\n"]},
    {"kind": "self_debias", "name": "none", "prefixes": [""]},
    {"kind": "prompt", "text": "Be fair to all. "},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.byte_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def finished(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Here]:
    folder, executor = tmp_path_factory.mktemp("run"), Here()
    run(write_experiment(folder / "tiny.yaml", model, methods=METHODS), folder / "out", executor=executor)
    return folder / "out", executor


def report_of(folder: Path) -> Report:
    return Report.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))


def crows(report: Report) -> dict[str | None, float | None]:
    return {
        entry.method if entry.stage == "step" else None: entry.value
        for entry in report.entries
        if entry.task == "crows_pairs" and entry.metric == "crows_score"
    }


def test_each_is_scored_and_nothing_is_made(finished: tuple[Path, Here]) -> None:
    _, executor = finished
    assert executor.started == [f"score tiny{by}" for by in ("", " by self_debias", " by none", " by prompt")]


def test_the_report_has_each_beside_the_base_and_an_empty_prefix_as_the_base(finished: tuple[Path, Here]) -> None:
    found = crows(report_of(finished[0] / "report"))
    assert found.keys() == {None, "self_debias", "none", "prompt"}
    assert found["none"] == found[None]
    assert "tiny, prompt, asked otherwise" in report_of(finished[0] / "report").verdict


def test_results_keep_the_recipe_and_how_many_passes_it_takes(finished: tuple[Path, Here]) -> None:
    (scored,) = find_scored(finished[0] / "tiny" / "methods" / "self_debias")
    told = scored.provenance
    assert told.recipe is not None
    assert (told.stage, told.recipe.passes, told.trained_on) == ("step", 2, {})
    assert told.weights_sha256 != told.base_weights_sha256
    (base,) = find_scored(finished[0] / "tiny" / "scores" / "base")
    assert told.base_weights_sha256 == base.provenance.weights_sha256


def test_a_finished_run_starts_nothing_again_and_another_wording_is_scored_anew(
    finished: tuple[Path, Here], model: Path, tmp_path: Path
) -> None:
    again = Here()
    run(write_experiment(tmp_path / "tiny.yaml", model, methods=METHODS), finished[0], executor=again)
    assert again.started == []
    more = [*METHODS, {"kind": "prompt", "name": "other", "text": "Be just. "}]
    run(write_experiment(tmp_path / "more.yaml", model, methods=more), finished[0], executor=again)
    assert again.started == ["score tiny by other"]


def test_eval_takes_a_recipe_and_reports_it_as_a_step_of_the_base(model: Path, tmp_path: Path) -> None:
    (recipe := tmp_path / "fair.yaml").write_text("kind: prompt\ntext: 'Be fair to all. '\n")
    shared = ["--tasks", "crows_pairs", "--metadata", "data_dir=sample"]
    for name, more in (("base", ""), ("prompt", f",recipe={recipe}")):
        asked = f"pretrained={model}{more}"
        evaluate(["--model-args", asked, *shared, "--output-path", str(tmp_path / "results" / name)])
    build_report([tmp_path / "results"], tmp_path / "report")
    found = crows(report_of(tmp_path / "report"))
    assert found.keys() == {None, "prompt"}


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ({"kind": "prompt"}, r"line \d+: key 'text' is missing"),
        ({"kind": "self_debias", "lambda": 3}, r"line \d+: unknown key 'lambda'; self_debias has"),
    ],
)
def test_a_wrong_setting_is_refused_with_line_and_key(
    method: dict[str, Any], told: str, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=told):
        load(write_experiment(tmp_path / "tiny.yaml", model, methods=[method]))


def test_a_prefix_longer_than_the_window_is_refused_before_anything_starts(model: Path, tmp_path: Path) -> None:
    methods = [{"kind": "prompt", "text": "x" * 300}]
    with pytest.raises(ValueError, match=r"method prompt: its longest prefix has 300 tokens, .* window 256"):
        run(write_experiment(tmp_path / "tiny.yaml", model, methods=methods), tmp_path / "out", executor=Here())
    assert not (tmp_path / "out").exists()
