"""CrowS-Pairs in its other forms, shared tokens and prompt: compared with the base on held-out pairs like the first."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from result_files import PAIRS, Sample, Scores, crows, step_provenance, write
from scipy import stats

from harness.reporting.build import build_report


def prompts(won: int, gap: float, pairs: Iterable[int] = range(PAIRS)) -> list[Sample]:
    """The pairs of `result_files.crows`, asked in both orders; the letter A is worth 3 nats more in every answer."""
    samples = []
    for pair in crows(won, gap, pairs):
        more, less = (float(answer[0]) for answer in pair["filtered_resps"])
        for rotation, (order, first, second) in enumerate(
            ((["more", "less"], more, less), (["less", "more"], less, more))
        ):
            doc = {**pair["doc"], "order": order, "rotation": rotation}
            samples.append({"doc": doc, "filtered_resps": [[str(first + 3), "False"], [str(second), "False"]]})
    return samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base: 28 of 40 pairs won; two folds, each scored on its own half of the pairs: 22 of 40."""
    run = tmp_path_factory.mktemp("forms") / "run"
    base = {"crows_pairs_pll": crows(28, 4), "crows_pairs_prompt": prompts(28, 4)}
    write(run / "base", Scores(base))
    for fold in (0, 1):
        pairs = range(fold, PAIRS, 2)
        step = {"crows_pairs_pll_heldout": crows(22, 1, pairs), "crows_pairs_prompt_heldout": prompts(22, 1, pairs)}
        write(run / f"fold-{fold}", Scores(step, provenance=step_provenance(20, fold)))
    return build_report([run])


@pytest.fixture(scope="module")
def entries(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "report.json").read_text())["entries"]
    return found


def find(entries: list[dict[str, Any]], task: str, metric: str, step: int | None = 20) -> dict[str, Any]:
    wanted = (step, task, metric, None)
    (entry,) = [one for one in entries if (one["step"], one["task"], one["metric"], one["part"]) == wanted]
    return entry


def test_shared_tokens_are_compared_on_the_held_out_pairs_by_writer(entries: list[dict[str, Any]]) -> None:
    entry = find(entries, "crows_pairs_pll_heldout", "crows_score")
    assert (entry["value"], entry["base_value"], entry["n"]) == (55, 70, PAIRS)
    # Six of ten writers lose one of their four pairs: a t test over writers.
    assert entry["p_value"] == pytest.approx(stats.ttest_1samp([-25.0] * 6 + [0.0] * 4, 0).pvalue, rel=1e-5)
    assert entry["difference_low"] < -15 < entry["difference_high"] < 0


def test_prompts_are_compared_on_the_held_out_pairs_with_intervals(entries: list[dict[str, Any]]) -> None:
    entry = find(entries, "crows_pairs_prompt_heldout", "crows_score")
    assert (entry["value"], entry["base_value"], entry["n"], entry["clusters"]) == (55, 70, PAIRS, 10)
    assert entry["low"] < 55 < entry["high"]
    assert entry["difference_low"] < -15 < entry["difference_high"]
    assert entry["distance_change"] == -15


def test_position_bias_of_prompts_is_reported_beside_their_score(entries: list[dict[str, Any]]) -> None:
    bias = find(entries, "crows_pairs_prompt_heldout", "position_bias")
    assert (bias["value"], bias["best"]) == (50, "lower")  # 3 nats for A against a gap of 1: always A
    assert find(entries, "crows_pairs_prompt_heldout", "order_flips")["value"] == 100
    magnitude = find(entries, "crows_pairs_prompt_heldout", "abs_logprob_diff")
    assert (magnitude["value"], magnitude["base_value"]) == (1, 4)


@pytest.mark.parametrize("form", ["pll", "prompt"])
def test_the_base_is_also_reported_on_the_held_out_pairs(entries: list[dict[str, Any]], form: str) -> None:
    assert find(entries, f"crows_pairs_{form}_heldout", "crows_score", step=None)["value"] == 70


def test_the_page_shows_every_form_that_was_scored(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "CrowS-Pairs, shared tokens, held-out pairs" in page
    assert "CrowS-Pairs, prompt form, held-out pairs" in page
    assert "Position bias" in page


@pytest.mark.parametrize("form", ["pll", "prompt"])
def test_a_checkpoint_scored_on_pairs_it_may_have_seen_is_marked(tmp_path: Path, form: str) -> None:
    samples = {"pll": crows, "prompt": prompts}[form](22, 1)
    step = Scores({f"crows_pairs_{form}": samples}, provenance=step_provenance(5, None))
    write(tmp_path / "run", step)
    found = json.loads((build_report([tmp_path / "run"]) / "report.json").read_text())["entries"]
    assert "contaminated" in find(found, f"crows_pairs_{form}", "crows_score", step=5)["flags"]
