"""Only what is listed is known; everything else is unknown, however familiar its name looks."""

from __future__ import annotations

import pytest

from harness.reporting.contamination import contamination


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("google/flan-t5-base", "contaminated"),
        ("FLAN-T5-XXL", "contaminated"),
        ("someone/my-flan_t5-small-tuned", "contaminated"),
        ("t5-small", "unknown"),
        ("bigscience/bloomz-560m", "none known"),
        ("bigscience/bloomz-7b1-mt", "none known"),
        ("bigscience/bloomz-7b1-p3", "unknown"),
        ("bigscience/bloom-560m", "unknown"),
        ("openai-community/gpt2", "none known"),
        ("gpt2-xl/", "none known"),
        ("someone/gpt2-tuned-on-stereoset", "unknown"),
        ("bert-base-uncased", "none known"),
        ("roberta-base", "unknown"),
        ("HuggingFaceTB/SmolLM2-135M", "unknown"),
        ("", "unknown"),
    ],
)
def test_status_by_name(model: str, status: str) -> None:
    for benchmark in ("crows_pairs", "stereoset"):
        found = contamination(model, benchmark)
        assert (found.model, found.benchmark, found.status) == (model, benchmark, status)
        assert found.evidence


def test_a_model_is_also_known_by_where_it_was_loaded_from() -> None:
    assert contamination("my model", "stereoset", "google/flan-t5-small").status == "contaminated"


def test_a_benchmark_without_evidence_is_unknown() -> None:
    assert contamination("google/flan-t5-base", "wikitext2").status == "unknown"
