"""Only what is listed is known; everything else is unknown, however familiar its name looks."""

from __future__ import annotations

from typing import Any

import pytest

from harness.reporting.contamination import Evidence, contamination
from harness.storage.provenance import Lineage, Provenance


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


FLAN_SMALL = {
    "model_type": "t5",
    "d_model": 512,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "vocab_size": 32128,
}


def model(name: str, weights: str = "a", **told: Any) -> Provenance:
    return Provenance(
        model=name,
        pretrained=f"models/{name}",
        parameters=1,
        weights_sha256=weights * 64,
        started_after="",
        started_after_id=0,
        dtype="float32",
        tasks={},
        versions={},
        command="",
        seconds=0,
        **told,
    )


@pytest.mark.parametrize(
    ("lineage", "evidence"),
    [
        (
            Lineage(made_from={"config.json": "google/flan-t5-small"}),
            "its config.json, which names google/flan-t5-small",
        ),
        (Lineage(made_from={"README.md": "a/b, google/flan-t5-xl"}), "its README.md, which names google/flan-t5-xl"),
    ],
)
def test_a_renamed_model_is_known_by_what_its_own_files_say(lineage: Lineage, evidence: str) -> None:
    renamed = model("mine", lineage=lineage)
    found = Evidence([renamed]).of(renamed, "stereoset")
    assert found.status == "contaminated"
    assert evidence in found.evidence
    assert "316" in found.evidence


def test_what_is_built_on_a_clean_model_is_not_called_clean() -> None:
    tuned = model("mine", lineage=Lineage(made_from={"config.json": "openai-community/gpt2"}))
    assert Evidence([tuned]).of(tuned, "stereoset").status == "unknown"


def test_a_renamed_copy_is_known_by_its_weights_beside_the_model_that_it_copies() -> None:
    known, copy = model("google/flan-t5-small"), model("mine")
    found = Evidence([known, copy]).of(copy, "crows_pairs")
    assert found.status == "contaminated"
    assert "its weights, which are those of" in found.evidence


def test_a_fine_tuned_copy_is_known_by_its_embeddings_and_architecture() -> None:
    lineage = Lineage(shape=FLAN_SMALL, embedding_sha256="e" * 64)
    known, tuned = model("google/flan-t5-small", lineage=lineage), model("mine", "c", lineage=lineage)
    other = model("other", "d", lineage=Lineage(shape=FLAN_SMALL, embedding_sha256="f" * 64))
    evidence = Evidence([known, tuned, other])
    assert "its architecture and input embeddings" in evidence.of(tuned, "crows_pairs").evidence
    assert evidence.of(other, "crows_pairs").status == "unknown"


def test_the_sizes_of_a_contaminated_model_are_a_hint_and_no_proof() -> None:
    alike = model("mine", lineage=Lineage(shape=FLAN_SMALL))
    found = Evidence([alike]).of(alike, "stereoset")
    assert found.status == "unknown"
    assert "the sizes of FLAN-T5 small" in found.evidence
    assert "FLAN" not in Evidence([model("mine")]).of(model("mine"), "stereoset").evidence
