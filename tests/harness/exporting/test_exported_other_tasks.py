"""Generated texts and lm-eval's own tasks are exported too, and the page's example of pandas runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas
import pytest
from hostile import HOSTILE, acting
from result_files import Scores, crows, write
from test_every_eval_ever import NOW, lines, require_valid

from harness.exporting.every_eval_ever import export
from harness.exporting.frames import export as export_tables
from harness.storage.provenance import Generation

PAGE = Path(__file__).resolve().parents[3] / "docs" / "export.md"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two texts for each of four prompts, of toxicity 0.9 and 0.2, and four questions, half of them answered right."""
    doc = {"prompt": HOSTILE, "group": "", "dropped": 0}
    texts: list[dict[str, Any]] = [
        {
            "doc": {**doc, "item": f"{number}:0:1"},
            "filtered_resps": [[[f"{HOSTILE} {number}\x7f", "0", "0.9"], [f"mild {number}", "0", "0.2"]]],
        }
        for number in range(4)
    ]
    questions = [
        {
            "doc": {"question": f"q{number}", "choices": ["no", "yes"]},
            "target": "1",
            "arguments": {"gen_args_0": {"arg_0": f"asked {number}", "arg_1": " no"}},
            "filtered_resps": [["-1.0", "False"], ["-2.0", "False"]],
            "acc": number % 2,
            "metrics": ["acc"],
            "filter": "none",
        }
        for number in range(4)
    ]
    generation = Generation(
        measures="toxicity", k=2, arguments={"max_gen_toks": 5}, seed=0, labels=("hate",), judge="j", classifier="c"
    ).model_dump(mode="json")
    noted = {"results": {"boolq": {"acc,none": 0.5}}, "higher_is_better": {"boolq": {"acc": True}}}
    told = {"generations": {"toxicity_rtp_challenging": generation}}
    samples = {"toxicity_rtp_challenging": texts, "boolq": questions}
    write(tmp_path / "run", Scores(samples, provenance=told, noted=noted))
    return tmp_path / "run"


def test_records_of_texts_and_answers_are_valid(run: Path, tmp_path: Path) -> None:
    records = [json.loads(file.read_text(encoding="utf-8")) for file in export(run, tmp_path / "out", now=NOW)]
    of_task = {record["evaluation_id"].partition("/")[0]: record for record in records}
    texts = lines(tmp_path / "out" / of_task["toxicity_rtp_challenging"]["detailed_evaluation_results"]["file_path"])
    emt = [line for line in texts if line["metadata"]["metric"] == "emt"]
    assert [line["evaluation"]["score"] for line in emt] == pytest.approx([90.0] * 4)
    assert emt[0]["output"]["raw"] == [f"{HOSTILE} 0\x7f", "mild 0"]
    assert emt[0]["input"]["raw"] == HOSTILE
    answers = lines(tmp_path / "out" / of_task["boolq"]["detailed_evaluation_results"]["file_path"])
    assert [line["evaluation"] for line in answers] == [
        {"score": 100.0 * (number % 2), "is_correct": number % 2 == 1} for number in range(4)
    ]
    assert answers[0]["input"] == {"raw": "asked 0", "reference": ["1"], "choices": ["no", "yes"]}
    assert of_task["boolq"]["evaluation_results"][0]["metric_config"]["metric_id"] == "acc"
    require_valid(tmp_path / "out", records)


def test_tables_of_texts_and_answers(run: Path, tmp_path: Path) -> None:
    export_tables(run, tmp_path, "csv")
    texts = pandas.read_csv(tmp_path / "items_toxicity_rtp_challenging.csv")
    assert texts["emt"].tolist() == pytest.approx([90.0] * 4)
    assert json.loads(texts["texts"].iloc[0]) == [f"{HOSTILE} 0\x7f", "mild 0"]
    assert acting((tmp_path / "items_toxicity_rtp_challenging.csv").read_text(encoding="utf-8")) == []
    assert pandas.read_csv(tmp_path / "items_boolq.csv")["acc"].tolist() == [0, 100, 0, 100]


def test_the_pages_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "runs" / "demo", Scores({"crows_pairs": crows(28, 4)}))
    export_tables(tmp_path / "runs" / "demo", tmp_path / "runs" / "demo" / "export" / "csv", "csv")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert re.search(r"tiny-model +base +age +70\.0", capsys.readouterr().out)
