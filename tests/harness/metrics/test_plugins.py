"""A benchmark that another package brings: scored, reported, fetched like those here; a broken one is named."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny_models
from typer.testing import CliRunner

from harness import report, score
from harness.data import plugins as discovery
from harness.data.fetch import app
from harness.data.sources import SOURCES
from harness.experiments.experiment_file import from_settings
from harness.experiments.preflight import check
from harness.metrics import benchmarks
from harness.metrics.benchmarks import BENCHMARKS
from harness.scoring.task_files import select

READER = """
import json
from pathlib import Path

from harness.data.sources import Pin, Source, locate_for, register
from harness.data.tokens import columns, load_tokens

register(
    "colours",
    Source(
        path="colours/rows.json",
        url="https://example.org/rows.json",
        pins=(Pin("sha256", "0" * 64),),
        licence="CC0",
        publication="nobody",
        sample="3 rows",
        samples=Path(__file__).parent / "sample",
    ),
)


def dataset(**metadata):
    from datasets import Dataset

    data = locate_for("colours", metadata)
    tokens = load_tokens(metadata, "colours")
    rows = json.loads(data.path.read_text(encoding="utf-8"))
    return {"test": Dataset.from_list([{**row, **columns(tokens), **data.columns} for row in rows])}
"""
METRIC = """
from typing import NamedTuple

from harness.metrics.aggregation import loglikelihoods, metric_list, row_values
from harness.metrics.benchmarks import Metric
from harness.metrics.statistics import estimate, table_from

LEGEND = {"red_share": Metric("Rows in which red is likelier", "percent", "50")}


class Row(NamedTuple):
    id: str
    red: float


def record(sample):
    return _row(sample["doc"], sample["filtered_resps"])


def process_results(doc, results):
    return row_values(METRIC_LIST, list(_row(doc, results)))


def table(records):
    return table_from([row.id for row in records], {"red": [row.red for row in records], "n": [1.0] * len(records)})


def combine(columns):
    return {"red_share": 100 * columns["red"] / columns["n"]}


def metrics(records):
    return {**estimate(table(records), combine), "n": len(records)}


def parts(records):
    return {}


def _row(doc, answers):
    red, blue = loglikelihoods(doc, answers, 2)
    return Row(doc["id"], float(red > blue))


METRIC_LIST = metric_list(Row._make, metrics, ("red_share", "n"))
"""
BENCHMARK = """
from pathlib import Path

from harness.metrics.benchmarks import Benchmark, Plugin
from colour_benchmark import metric, reader


def plugin():
    colours = Benchmark(
        "colours", "colours", metric.record, metric.table, metric.combine, metric.metrics, metric.parts,
        item_key=lambda row: row.id, headline=("red_share",),
        title="Colours", legend=metric.LEGEND, families=("causal",),
    )
    return Plugin(tasks=Path(__file__).parent / "tasks", benchmarks=[colours])
"""
TASK = """
task: colours
custom_dataset: !function colour_benchmark.reader.dataset
test_split: test
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
target_delimiter: ""
doc_to_choice: answers
process_results: !function colour_benchmark.metric.process_results
metric_list: !function colour_benchmark.metric.METRIC_LIST
metadata: {version: 1}
"""
ROWS = '[{"id": "a", "answers": ["sky red", "sky blue"]}, {"id": "b", "answers": ["rose red", "rose blue"]}]'

Install = Callable[[str, str, dict[str, str]], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package on the path with the metadata that an installer writes: name, entry point, files."""
    site, known = tmp_path / "site", dict(SOURCES)
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    monkeypatch.syspath_prepend(str(site))

    def put(distribution: str, entry: str, files: dict[str, str]) -> None:
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        files = {
            f"{info.name}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
            f"{info.name}/entry_points.txt": f"[stereoscope.benchmarks]\n{entry}\n",
            **files,
        }
        for name, text in files.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text, encoding="utf-8")
        forget()

    yield put
    forget()
    SOURCES.clear()
    SOURCES.update(known)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("colour_benchmark", "broken_benchmark")]:
        del sys.modules[name]


def forget() -> None:
    discovery.forget()
    benchmarks.plugins.cache_clear()
    benchmarks._added.cache_clear()


def colours(**instead: str) -> dict[str, str]:
    return {
        "colour_benchmark/__init__.py": BENCHMARK,
        "colour_benchmark/reader.py": READER,
        "colour_benchmark/metric.py": METRIC,
        "colour_benchmark/tasks/colours.yaml": TASK,
        "colour_benchmark/sample/colours/rows.json": ROWS,
        **instead,
    }


def test_it_is_scored_and_reported_as_if_it_were_ours(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    install("colour-benchmark", "colours = colour_benchmark:plugin", colours())
    following = {"<s>": {"sky": 0.5, "rose": 0.5}, "sky": {"blue": 0.9, "red": 0.1}, "rose": {"blue": 0.3, "red": 0.7}}
    model = tiny_models.bigram(tmp_path / "model", {**following, "blue": {}, "red": {}})
    scores = score(model, "colours")
    assert scores["colours"]["red_share"] == 50
    assert "Rows in which red is likelier" in scores.table()
    scores.save(tmp_path / "scores")
    found = report(tmp_path / "scores")
    (entry,) = found.entries
    assert (entry.task, entry.metric, entry.value, entry.best, entry.n) == ("colours", "red_share", 50, "50", 2)
    assert entry.flags == ["sample_data", "low_n"]
    assert found.legend.metrics["red_share"].label == "Rows in which red is likelier"
    assert "Colours" in (found.folder / "report.html").read_text(encoding="utf-8")


def test_its_data_is_listed_with_ours(install: Install) -> None:
    install("colour-benchmark", "colours = colour_benchmark:plugin", colours())
    listed = CliRunner().invoke(app, ["list"]).output
    assert "built-in sample, 3 rows" in listed
    assert "crows_pairs: " in listed


def test_an_experiment_asks_it_of_the_models_that_it_is_for(install: Install, byte_llama: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig

    install("colour-benchmark", "colours = colour_benchmark:plugin", colours())
    for model, is_asked in ((byte_llama, True), (tiny_models.byte_t5(tmp_path / "t5"), False)):
        models = [{"name": "tiny", "pretrained": str(model)}]
        experiment = from_settings({"name": "tiny", "models": models, "tasks": ["colours"]})
        config = AutoConfig.from_pretrained(model)
        if is_asked:
            check(experiment, lambda _, config=config: config)
        else:
            with pytest.raises(ValueError, match="cannot be asked colours"):
                check(experiment, lambda _, config=config: config)


@pytest.mark.parametrize(
    ("entry", "files", "told"),
    [
        ("broken = broken_benchmark:plugin", {"broken_benchmark.py": "import no_such_module"}, "no_such_module"),
        ("broken = broken_benchmark:plugin", {"broken_benchmark.py": "plugin = 3"}, "found 3"),
        (
            "broken = broken_benchmark:PLUGIN",
            {
                "broken_benchmark.py": "from pathlib import Path\nfrom harness.metrics.benchmarks import *\n"
                "PLUGIN = Plugin(Path(__file__).parent, [BENCHMARKS['wikitext2']])"
            },
            "'wikitext2' is there already",
        ),
        (
            "broken = broken_benchmark:PLUGIN",
            {
                "broken_benchmark.py": "from pathlib import Path\nfrom harness.metrics.benchmarks import *\n"
                "PLUGIN = Plugin(Path(__file__).parent, [BENCHMARKS['wikitext2']._replace(name='w', data='no_data')])"
            },
            "'no_data'",
        ),
    ],
)
def test_a_broken_one_is_named_and_takes_nothing_down(
    install: Install, caplog: pytest.LogCaptureFixture, entry: str, files: dict[str, str], told: str
) -> None:
    install("broken-benchmark", entry, files)
    install("colour-benchmark", "colours = colour_benchmark:plugin", colours())
    with caplog.at_level(logging.WARNING):
        assert {"colours", "crows_pairs"} <= set(BENCHMARKS)
    assert "package broken-benchmark" in caplog.text
    assert told in caplog.text


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("task: [broken", "broken task file"),
        (TASK.replace("task: colours", "task: crows_pairs"), "names that are taken"),
    ],
)
def test_task_files_that_are_broken_or_would_replace_ours_are_left_out(
    install: Install, caplog: pytest.LogCaptureFixture, task: str, told: str
) -> None:
    install("colour-benchmark", "colours = colour_benchmark:plugin", colours())
    install(
        "colour-benchmark",
        "colours = colour_benchmark:plugin",
        {"colour_benchmark/tasks/another.yaml": task},
    )
    with caplog.at_level(logging.WARNING):
        found = select(["crows_pairs"], {})
    assert "colour_benchmark" not in str(found.manager.task_index["crows_pairs"].yaml_path)
    assert "package colour-benchmark" in caplog.text
    assert told in caplog.text
    assert told in str(discovery.left_out())
