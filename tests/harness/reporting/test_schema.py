"""report.json keeps its published shape, and cannot hold what JSON or a reader could not understand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from result_files import write_run

from harness.reporting.analysis import analyse
from harness.reporting.schema import SCHEMA_FILE, Entry, Report, json_schema_text
from harness.reporting.stages import find_runs


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return analyse(find_runs([write_run(tmp_path_factory.mktemp("schema") / "run")]))


def test_the_published_schema_is_the_code_s() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == json_schema_text(), "run `python -m harness.reporting.schema`"


def test_report_json_satisfies_the_published_schema(report: Report) -> None:
    import jsonschema

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(report.to_json()), schema)


def test_report_json_reads_back_as_the_same_report(report: Report) -> None:
    assert Report.model_validate_json(report.to_json()) == report


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(report: Report, number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Entry.model_validate({**report.entries[0].model_dump(), "value": number})
    smuggled = report.model_copy(update={"entries": [report.entries[0].model_copy(update={"value": number})]})
    with pytest.raises(ValidationError):
        smuggled.to_json()


def test_half_an_interval_or_one_upside_down_is_refused(report: Report) -> None:
    entry = report.entries[0].model_dump()
    with pytest.raises(ValidationError, match=r"low <= high, found 2\.0 and None"):
        Entry.model_validate({**entry, "low": 2.0, "high": None})
    with pytest.raises(ValidationError, match=r"low <= high, found 2\.0 and 1\.0"):
        Entry.model_validate({**entry, "low": 2.0, "high": 1.0})


def test_a_missing_value_without_its_flag_is_refused(report: Report) -> None:
    with pytest.raises(ValidationError, match="contradict"):
        Entry.model_validate({**report.entries[0].model_dump(), "value": None, "low": None, "high": None})


def test_an_unknown_key_is_refused(report: Report) -> None:
    with pytest.raises(ValidationError, match="extra"):
        Entry.model_validate({**report.entries[0].model_dump(), "colour": "red"})


def test_the_schema_file_is_inside_the_package() -> None:
    assert SCHEMA_FILE.parent == Path(__import__("harness.reporting").reporting.__file__).parent
