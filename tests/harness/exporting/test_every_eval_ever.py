"""Every Eval Ever: files are valid by its schemas, say how far a score is from its ideal, and name their weights."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hostile import HOSTILE, acting
from result_files import DATE, TERMS, Scores, crows, step_provenance, stereoset, write

from harness.exporting.every_eval_ever import By, export
from harness.metrics.benchmarks import BENCHMARKS

NOW = 1_767_322_800


def schema(name: str) -> Any:
    """A schema of the format, which is not ours to carry: from the folder `formats` beside the data sets."""
    file = Path(os.environ.get("STEREOSCOPE_DATA", "")).parent / "formats" / "every_eval_ever_0.3.0" / name
    if not os.environ.get("STEREOSCOPE_DATA") or not file.is_file():
        pytest.skip(f"needs {name} of every_eval_ever 0.3.0 in formats/ beside STEREOSCOPE_DATA")
    return json.loads(file.read_text(encoding="utf-8"))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("exported")
    files = export(run, folder, By("Example University", "example-lab"), NOW)
    return folder, [json.loads(file.read_text(encoding="utf-8")) for file in files]


def one(records: list[dict[str, Any]], task: str, **told: str) -> dict[str, Any]:
    (found,) = [
        record
        for record in records
        if record["evaluation_id"].startswith(f"{task}/") and told.items() <= details(record).items()
    ]
    return found


def details(record: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = record["model_info"]["additional_details"]
    return found


def result(record: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for item in record["evaluation_results"] if item["evaluation_result_id"] == name]
    return found  # type: ignore[no-any-return]


def require_valid(folder: Path, records: list[dict[str, Any]]) -> None:
    whole = jsonschema.Draft7Validator(schema("eval.schema.json"))
    item = jsonschema.Draft7Validator(schema("instance_level_eval.schema.json"))
    for record in records:
        whole.validate(record)
        if told := record.get("detailed_evaluation_results"):
            for line in lines(folder / told["file_path"]):
                item.validate(line)


def test_every_file_is_valid_by_the_schemas(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    require_valid(*exported)


def test_a_score_with_an_ideal_is_its_distance_with_the_raw_value_beside_it(
    exported: tuple[Path, list[dict[str, Any]]],
) -> None:
    """28 of 40 pairs are won: 70, which is 20 from 50."""
    found = result(one(exported[1], "crows_pairs", stage="base"), "crows_pairs/crows_score")
    assert found["metric_config"]["metric_id"] == "stereoscope.crows_score_distance"
    assert found["metric_config"]["lower_is_better"] is True
    assert (found["metric_config"]["min_score"], found["metric_config"]["max_score"]) == (0, 50)
    assert found["metric_config"]["additional_details"]["ideal"] == "50"
    told = found["score_details"]
    assert told["score"] == 20
    assert float(told["details"]["raw_value"]) == 70
    interval = told["uncertainty"]["confidence_interval"]
    low, high = (float(told["details"][f"raw_{end}"]) for end in ("low", "high"))
    assert interval["lower"] == pytest.approx(max(0.0, low - 50))
    assert interval["upper"] == pytest.approx(high - 50)
    assert interval["confidence_level"] == 0.95
    assert "jackknife" in interval["method"]


def test_the_interval_of_a_distance_begins_at_0_where_the_score_may_be_ideal(
    exported: tuple[Path, list[dict[str, Any]]],
) -> None:
    step = one(exported[1], "crows_pairs_heldout", stage="step", step="20")
    told = result(step, "crows_pairs_heldout/crows_score")["score_details"]
    low, high = (float(told["details"][f"raw_{end}"]) for end in ("low", "high"))
    assert low < 50 < high
    interval = told["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (0, pytest.approx(max(50 - low, high - 50)))


def test_a_score_with_a_direction_is_itself(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    base = one(exported[1], "stereoset_intrasentence", stage="base")
    lms = result(base, "stereoset_intrasentence/lms")
    assert lms["metric_config"]["lower_is_better"] is False
    assert lms["score_details"]["score"] == pytest.approx(500 / 6)
    assert "raw_value" not in lms["score_details"]["details"]
    perplexity = result(one(exported[1], "wikitext2", stage="base"), "wikitext2/word_perplexity")
    assert perplexity["metric_config"]["lower_is_better"] is True
    assert perplexity["metric_config"]["max_score"] == "Infinity"
    assert perplexity["score_details"]["score"] == pytest.approx(20)


def test_a_step_says_which_weights_it_is(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    step = one(exported[1], "stereoset_intrasentence", stage="step", step="10")
    told = details(step)
    assert (told["folds"], told["started_after"]) == ("0, 1", "<|im_start|>")
    assert told["weights_sha256"].split(", ") == [f"0010{fold}".ljust(64, "c") for fold in (0, 1)]
    assert step["model_info"]["id"] == "Example-University/tiny-model-step-10"
    assert one(exported[1], "wikitext2", stage="base")["model_info"]["id"] == "example-lab/tiny-model"


@pytest.mark.parametrize(
    ("task", "trained_on", "told"),
    [
        ("crows_pairs", {"crows_pairs": 20}, ("20", "true")),
        ("crows_pairs_heldout", {"crows_pairs": 20}, ("20", "false")),
        ("crows_pairs", {}, ("0", "false")),
        ("crows_pairs", None, ("not recorded", "not recorded")),
    ],
)
def test_a_record_says_whether_its_pairs_were_trained_on(
    tmp_path: Path, task: str, trained_on: dict[str, int] | None, told: tuple[str, str]
) -> None:
    provenance = step_provenance(10, 0, trained_on=trained_on)
    write(tmp_path / "run", Scores({task: crows(24, 2)}, provenance=provenance))
    (file,) = export(tmp_path / "run", tmp_path / "out", now=NOW)
    found = details(json.loads(file.read_text(encoding="utf-8")))
    assert (found["trained_on_pairs"], found["scored_pairs_were_trained_on"]) == told


def test_items_are_tied_to_their_result_and_counted(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, records = exported
    record = one(records, "crows_pairs_heldout", stage="step", step="10")
    told = record["detailed_evaluation_results"]
    found = lines(folder / told["file_path"])
    assert told["total_rows"] == len(found) == 2 * 40
    assert told["checksum"] == hashlib.sha256((folder / told["file_path"]).read_bytes()).hexdigest()
    ids = {item["evaluation_result_id"] for item in record["evaluation_results"]}
    assert {line["evaluation_result_id"] for line in found} <= ids
    scores = [line["evaluation"] for line in found if line["metadata"]["metric"] == "crows_score"]
    assert sum(item["score"] for item in scores) / 40 == 60
    assert sum(item["is_correct"] for item in scores) == 16
    assert {line["metadata"]["fold"] for line in found} == {"0", "1"}
    nats = [line["evaluation"]["score"] for line in found if line["metadata"]["metric"] == "abs_logprob_diff"]
    assert nats == [2.0] * 40


def test_a_second_export_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write(tmp_path / "run", Scores({"crows_pairs": crows(28, 4)}))
    first = export(tmp_path / "run", tmp_path / "out", now=NOW)
    assert export(tmp_path / "run", tmp_path / "out", now=NOW + 60) == first
    assert list((tmp_path / "out").rglob("*.json")) == first


def test_hostile_names_and_texts_stay_inert_and_valid(tmp_path: Path) -> None:
    samples = crows(28, 4)
    samples[0]["doc"]["answers"] = [f"{HOSTILE}\x7f", "x" * 1_000_000]
    provenance = {"model": HOSTILE, "started_after": HOSTILE, "command": HOSTILE}
    write(tmp_path / "run", Scores({"crows_pairs": samples}, provenance=provenance))
    files = export(tmp_path / "run", tmp_path / "out", By(f"../{HOSTILE}", HOSTILE), NOW)
    assert all(file.resolve().is_relative_to(tmp_path / "out") for file in files)
    for file in (tmp_path / "out").rglob("*.json*"):
        assert acting(file.read_text(encoding="utf-8")) == []
        assert "\x7f" not in file.read_text(encoding="utf-8")
    require_valid(tmp_path / "out", [json.loads(file.read_text(encoding="utf-8")) for file in files])


def test_missing_samples_are_one_error_and_no_file(tmp_path: Path) -> None:
    write(tmp_path / "run", Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}))
    (tmp_path / "run" / f"samples_stereoset_intrasentence_{DATE}.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="score again with --log-samples"):
        export(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_metric_without_a_direction_is_given_one(exported: tuple[Path, list[dict[str, Any]]]) -> None:
    named = {
        item["evaluation_result_id"].split("/")[1] for record in exported[1] for item in record["evaluation_results"]
    }
    assert "ties" not in named
    assert set(BENCHMARKS["crows_pairs"].headline) < named
