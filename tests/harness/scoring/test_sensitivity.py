"""`--check-sensitivity`: each choice's score is that of a whole run under this choice, cut down to the same items."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from harness.data.draw import drawn
from harness.metrics.benchmarks import BENCHMARKS
from harness.models.causal import CausalLM
from harness.scoring.eval_command import run
from harness.scoring.evaluation import score
from harness.storage.results import find_scored
from harness.storage.sensitivity import Sensitivity, read_sensitivity


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")


def checked(arguments: str, out: Path) -> list[Sensitivity]:
    run(shlex.split(f"{arguments} --output_path {out}"))
    (found,) = find_scored(out)
    return read_sensitivity(found.results)


def whole_run(lm: CausalLM, task: str, items: int, out: Path, **metadata: Any) -> dict[str, float | None]:
    """The scores of so many items that are drawn, out of a run over all of them."""
    written = score(lm, [task], out, model="tiny", metadata=metadata)
    assert written is not None
    (found,) = find_scored(out)
    benchmark = BENCHMARKS[task]
    lines = list(found.samples(task))
    orders = 1 + max(line["doc"].get("rotation", 0) for line in lines)
    kept = {orders * item + rotation for item in drawn(task, len(lines) // orders, items) for rotation in range(orders)}
    return benchmark.metrics([benchmark.record(line) for line in lines if line["doc_id"] in kept])


def test_precision_and_start_token_are_each_chosen_otherwise_on_the_same_pairs(
    byte_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = checked(
        f"--model_args pretrained={byte_llama},dtype=bfloat16 --tasks crows_pairs --check_sensitivity 12",
        tmp_path / "out",
    )
    runs = {
        "as scored": CausalLM(str(byte_llama), dtype="bfloat16"),
        "after </s> (257)": CausalLM(str(byte_llama), dtype="bfloat16", prefix_token_id=257),
        "float32": CausalLM(str(byte_llama)),
    }
    expected = {name: whole_run(lm, "crows_pairs", 12, tmp_path / name) for name, lm in runs.items()}
    told = {line.metric: line for line in lines}
    assert {"crows_score", "abs_logprob_diff", "ties", "within_one_nat"} <= set(told)
    for metric, line in told.items():
        assert (line.task, line.items) == ("crows_pairs", 12)
        assert set(line.otherwise) == set(runs) - {"as scored"}
        for name, value in {"as scored": line.as_scored, **line.otherwise}.items():
            assert value == pytest.approx(expected[name][metric], abs=0.02)
    gap = told["abs_logprob_diff"]
    every = [gap.as_scored, *gap.otherwise.values()]
    row = " | ".join(f"{value:.4f}" for value in [*every, max(every) - min(every)])
    assert f"| crows_pairs | abs_logprob_diff | 12 | {row} |" in capsys.readouterr().out
    assert gap.moved == max(abs(value - gap.as_scored) for value in gap.otherwise.values()) > 0


def test_questions_are_asked_in_other_words_in_all_orders_of_the_same_items(byte_llama: Path, tmp_path: Path) -> None:
    arguments = f"--model_args pretrained={byte_llama},max_length=1024 --tasks crows_pairs_prompt --check-sensitivity 6"
    told = {line.metric: line for line in checked(arguments, tmp_path / "out")}
    lm = CausalLM(str(byte_llama), max_length=1024)
    expected = whole_run(lm, "crows_pairs_prompt", 6, tmp_path / "second", wording="second")
    gap = told["abs_logprob_diff"]
    assert gap.items == 6
    assert gap.otherwise == {"second wording": pytest.approx(expected["abs_logprob_diff"], abs=1e-4)}
    assert abs(gap.moved) > 0.01


def test_pooled_scores_are_checked_beside_those_they_are_pooled_from(byte_llama: Path, tmp_path: Path) -> None:
    lines = checked(
        f"--model_args pretrained={byte_llama} --tasks stereoset,wikitext2 --check-sensitivity 5 --limit 8",
        tmp_path,
    )
    assert {(line.task, line.items) for line in lines} == {
        ("stereoset_intrasentence", 5),
        ("stereoset_intersentence", 5),
        ("stereoset", 10),
    }
    (file,) = tmp_path.rglob("results_*.json")
    assert json.loads(file.read_text(encoding="utf-8"))["results"]["stereoset_intrasentence"]["n,none"] == 8


def test_where_nothing_could_be_chosen_otherwise_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t5 = tiny_models.t5(tmp_path / "t5")
    assert checked(f"--model_args pretrained={t5} --tasks crows_pairs --limit 4 --check-sensitivity 2", tmp_path) == []
    assert "nothing here could have been chosen otherwise" in capsys.readouterr().out


def test_a_task_that_compares_nothing_is_refused_before_the_model_is_loaded(
    byte_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.scoring.eval_command._load", lambda config: pytest.fail("loaded"))
    with pytest.raises(ValueError, match=r"--check-sensitivity: .*crows_pairs"):
        run(shlex.split(f"--model_args pretrained={byte_llama} --tasks wikitext2 --check-sensitivity"))
