"""CSV and Parquet: every number and every item, read back by pandas, with nothing that a spreadsheet runs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas
import pytest
from hostile import BIDI, ESCAPES, FORMULA, acting
from result_files import Scores, crows, write

from harness.exporting.frames import csv_lines, export, parquet
from harness.reporting.analysis import analyse
from harness.reporting.schema import Entry
from harness.reporting.stages import find_runs

TABLES = {
    "entries",
    "items_crows_pairs",
    "items_crows_pairs_heldout",
    "items_stereoset_intersentence",
    "items_stereoset_intrasentence",
    "items_wikitext2",
}


@pytest.fixture(scope="module", params=["csv", "parquet"])
def tables(request: pytest.FixtureRequest, run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tables of a run by name, as pandas reads them."""
    read = pandas.read_csv if request.param == "csv" else pandas.read_parquet
    return {file.stem: read(file) for file in export(run, tmp_path_factory.mktemp("tables"), request.param)}


@pytest.fixture(scope="module")
def told(run: Path) -> list[Entry]:
    return analyse(find_runs([run])).entries


def test_pandas_reads_every_number_of_the_report(tables: dict[str, Any], told: list[Entry]) -> None:
    assert set(tables) == TABLES
    entries = tables["entries"]
    assert len(entries) == len(told)
    assert entries["value"].isna().tolist() == [entry.value is None for entry in told]
    assert entries["value"].dropna().tolist() == pytest.approx([one.value for one in told if one.value is not None])
    assert json.loads(entries["folds"].iloc[-1]) == told[-1].folds


def test_items_give_the_scores_again(tables: dict[str, Any]) -> None:
    """At step 10, 24 of 40 held-out pairs are won; of folds 0 and 1 the SS is 50 and 58.33."""
    pairs = tables["items_crows_pairs_heldout"]
    step = pairs[pairs["step"] == 10]
    assert len(step) == 40
    assert step["crows_score"].mean() == 60
    assert (step["logprob_more"] - step["logprob_less"]).abs().tolist() == [2.0] * 40
    assert step["abs_logprob_diff"].tolist() == [2.0] * 40
    items = tables["items_stereoset_intrasentence"]
    by_fold = items[items["step"] == 10].groupby("fold")["ss"].mean()
    assert by_fold.tolist() == pytest.approx([50, 100 * 7 / 12])
    documents = tables["items_wikitext2"]
    assert documents[documents["stage"] == "base"]["word_perplexity"].tolist() == pytest.approx([20.0] * 12)
    assert "page" not in documents


def test_a_spreadsheet_takes_no_text_for_a_formula() -> None:
    texts = [FORMULA, "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "plain", 'a,b\n"c"']
    lines = "".join(csv_lines([{"text": text, "number": -1.5} for text in texts]))
    assert acting(lines) == []
    read = pandas.read_csv(io.StringIO(lines))
    assert read["text"].tolist() == [
        f"'{FORMULA}", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\\x0d=1", "plain", "a,b\n\"c\"",
    ]  # fmt: skip
    assert read["number"].tolist() == [-1.5] * 8


def test_hostile_texts_are_one_cell_in_csv_and_themselves_in_parquet(tmp_path: Path) -> None:
    text = f'{ESCAPES}{BIDI}\r\n\t, " {"x" * 1_000_000}'
    samples = crows(28, 4)
    samples[0]["doc"] |= {"sent_more": text, "huge": 10**40}
    write(tmp_path / "run", Scores({"crows_pairs": samples}, provenance={"model": FORMULA}))
    export(tmp_path / "run", tmp_path / "csv", "csv")
    assert acting((tmp_path / "csv" / "items_crows_pairs.csv").read_text(encoding="utf-8")) == []
    read = pandas.read_csv(tmp_path / "csv" / "items_crows_pairs.csv")
    assert len(read) == 40
    assert read["model"].unique().tolist() == [f"'{FORMULA}"]
    export(tmp_path / "run", tmp_path / "parquet", "parquet")
    kept = pandas.read_parquet(tmp_path / "parquet" / "items_crows_pairs.parquet")
    assert kept["sent_more"].iloc[0] == text
    assert kept["huge"].iloc[0] == str(10**40)
    assert kept["model"].unique().tolist() == [FORMULA]


def test_a_column_of_several_types_is_text(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(parquet([{"a": 1, "b": 1}, {"a": "x", "b": 2.5}, {"b": None}]))
    read = pandas.read_parquet(tmp_path / "t.parquet")
    assert read["a"].tolist()[:2] == ["1", "x"]
    assert read["b"].tolist()[:2] == [1.0, 2.5]


def test_missing_samples_are_one_error_and_no_file(tmp_path: Path) -> None:
    file = write(tmp_path / "run", Scores({"crows_pairs": crows(28, 4)}))
    for samples in file.parent.glob("samples_*"):
        samples.unlink()
    with pytest.raises(FileNotFoundError, match="score again with --log-samples"):
        export(tmp_path / "run", tmp_path / "out", "csv")
    assert not (tmp_path / "out").exists()
