"""Methods that train on running text: one training a model and seed, every checkpoint scored on all pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from in_this_process import Here, write_experiment

from harness.experiments.experiment import run
from harness.experiments.experiment_file import load
from harness.reporting.index import Index
from harness.reporting.schema import Report
from harness.storage.results import find_scored

TEXT = "".join(f"The {word} came home at {hour} and was kind.\n" for word in ("king", "queen") for hour in range(9))
TRAINING = {
    "num_folds": 3,
    "max_steps": 2,
    "save_strategy": "steps",
    "save_steps": 1,
    "per_device_train_batch_size": 4,
    "learning_rate": 0.005,
    "warmup_steps": 0,
    "block_tokens": 32,
    "disable_tqdm": True,
}
FAMILIES: dict[str, Callable[[Path], Path]] = {
    "causal": tiny_models.byte_llama,
    "masked": tiny_models.masked,
    "seq2seq": tiny_models.t5,
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (file := tmp_path_factory.mktemp("text") / "text.txt").write_text(TEXT)
    return file


def write(file: Path, model: Path, text: Path, **changes: Any) -> Path:
    training = {**TRAINING, **changes.pop("training", {})}
    methods = [{"kind": "cda", "text": str(text)}, {"kind": "dropout", "name": "dropped", "text": str(text)}]
    return write_experiment(file, model, **{"methods": methods, "training": training, **changes})


@pytest.fixture(scope="module")
def finished(text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Here]:
    folder, executor = tmp_path_factory.mktemp("run"), Here()
    model = tiny_models.byte_llama(folder / "tiny")
    cda = {"methods": [{"kind": "cda", "text": str(text)}], "tasks": ["crows_pairs"], "scoring": None}
    run(write(folder / "tiny.yaml", model, text, seeds=[0, 1], **cda), folder / "out", executor=executor)
    return folder / "out", executor


def test_there_is_one_training_a_seed_whatever_the_folds(finished: tuple[Path, Here]) -> None:
    assert finished[1].started == [
        "score tiny",
        "train tiny by cda seed 0",
        "score checkpoints of tiny by cda seed 0",
        "train tiny by cda seed 1",
        "score checkpoints of tiny by cda seed 1",
    ]
    made = (finished[0] / "tiny" / "methods").glob("*/training/seed-*/fold-*/trained.json")
    assert len(list(made)) == 2


def test_every_checkpoint_is_scored_on_all_pairs_and_counts_as_having_seen_none(finished: tuple[Path, Here]) -> None:
    scored = [one.provenance for one in find_scored(finished[0]) if one.provenance.stage == "step"]
    assert {(one.seed, one.step) for one in scored} == {(seed, step) for seed in (0, 1) for step in (1, 2)}
    assert {(one.fold, tuple(one.tasks), tuple(one.trained_on or {})) for one in scored} == {
        (None, ("crows_pairs",), ())
    }
    assert len({one.weights_sha256 for one in scored}) == len(scored)


def test_the_report_judges_it_beside_the_base(finished: tuple[Path, Here]) -> None:
    report = Report.model_validate_json((finished[0] / "report" / "report.json").read_text(encoding="utf-8"))
    index = Index.of(report)
    assert [judgement.method for judgement in report.judgements] == ["cda"]
    ((*_, last),) = index.families()
    entry = index.entry(last, "crows_pairs", "abs_logprob_diff")
    assert entry is not None
    assert (entry.n, last.step, last.seeds, last.folds) == (90, 2, [0, 1], [])
    assert entry.difference is not None
    assert "contaminated" not in entry.flags
    assert "tiny, cda, step 2" in report.verdict


@pytest.mark.parametrize("family", ["masked", "seq2seq"])
def test_each_family_trains_on_text_and_is_scored(text: Path, tmp_path: Path, family: str) -> None:
    model = FAMILIES[family](tmp_path / "tiny")
    training = {"save_strategy": "no", "full": family == "masked"}
    few = {"tasks": ["crows_pairs"], "scoring": {"limits": {"crows_pairs": 2}}, "training": training}
    run(write(tmp_path / "tiny.yaml", model, text, **few), tmp_path / "out", executor=Here())
    scored = [one.provenance for one in find_scored(tmp_path / "out")]
    assert [(one.method, one.step) for one in scored if one.stage == "step"] == [("cda", 2), ("dropped", 2)]
    assert len({one.weights_sha256 for one in scored}) == 3


def test_they_are_planned_and_refused_before_anything_starts(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_models.byte_llama(tmp_path / "tiny")
    run(write(tmp_path / "tiny.yaml", model, text), tmp_path / "out", dry_run=True)
    printed = capsys.readouterr().out
    assert "at most 4 texts of 32 tokens a step on each" in printed
    assert "train tiny by dropped" in printed
    (dull := tmp_path / "dull.txt").write_text("It rained.\n")
    for methods, told in {
        (("kind", "cda"), ("text", str(dull))): r"model tiny by cda: .*dull.txt: none of its 1 paragraphs has a word",
        (("kind", "dropout"), ("words", "words.yaml")): "tiny by dropout: words and bias_types: dropout exchanges no",
    }.items():
        with pytest.raises(ValueError, match=told):
            run(write(tmp_path / "tiny.yaml", model, text, methods=[dict(methods)]), tmp_path / "out", executor=Here())
    with pytest.raises(ValueError, match=r"line \d+: unknown key 'sentences'"):
        load(write(tmp_path / "tiny.yaml", model, text, methods=[{"kind": "cda", "sentences": 3}]))
    assert not (tmp_path / "out").exists()
