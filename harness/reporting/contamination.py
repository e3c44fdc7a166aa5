"""What is publicly known about models that saw a benchmark's items before anybody measured bias on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from harness.reporting.schema import Contamination
from harness.storage.provenance import Lineage, Provenance


class _Known(NamedTuple):
    models: re.Pattern[str]
    status: Literal["contaminated", "none known"]
    evidence: str


BENCHMARKS_WITH_EVIDENCE = frozenset({"crows_pairs", "stereoset"})

# A contaminated family is searched for anywhere in the name, since what is built on it inherits what it saw. A clean
# one must match the whole name: a fine-tuned copy may have seen anything.
_KNOWN = (
    _Known(
        re.compile(r".*flan[-_]?t5.*"),
        "contaminated",
        "The public FLAN training mixture contains Natural Instructions v2 tasks made from CrowS-Pairs, StereoSet and "
        "WinoBias (tasks 316, 317, 277-280, 318-321 and 1664).",
    ),
    _Known(
        re.compile(r"(bloomz(-[0-9]+[bm][0-9]*)?|mt0-(small|base|large|xl|xxl))(-mt)?"),
        "none known",
        "The published list of xP3 training tasks contains neither CrowS-Pairs nor StereoSet.",
    ),
    _Known(
        re.compile(r"(distil)?gpt2(-medium|-large|-xl)?|bert-(base|large)-(un)?cased"),
        "none known",
        "Trained on plain text, not on task mixtures, or released before the two data sets (2020).",
    ),
)

_UNKNOWN = "Nothing is known either way: nobody here has searched this model's training data for the benchmark."


# FLAN-T5's sizes: d_model, d_ff, num_layers, num_heads. T5 v1.1, which it was made from, has the same.
_FLAN_SHAPES = {
    (512, 1024, 8, 6): "small",
    (768, 2048, 12, 12): "base",
    (1024, 2816, 24, 16): "large",
    (2048, 5120, 24, 32): "xl",
    (4096, 10240, 24, 64): "xxl",
}


class Evidence:
    """What is known of the models of one report, by name, by what their files say, and by each other's weights."""

    def __init__(self, models: Sequence[Provenance]) -> None:
        self._models = models

    def all(self) -> list[Contamination]:
        """One finding a model and benchmark that anything is published about, by name."""
        first = {one.model: one for one in reversed(self._models)}
        return [
            self.of(provenance, benchmark)
            for _, provenance in sorted(first.items())
            for benchmark in sorted(BENCHMARKS_WITH_EVIDENCE)
        ]

    def of(self, provenance: Provenance, benchmark: str) -> Contamination:
        """The finding of one model, and which evidence it rests on; the first that says something counts.

        Names come first; then the model that its config or card says it was made from; then the weights, or the input
        embeddings, of a contaminated model of this report. A config's sizes are a hint and prove nothing.
        """
        known = contamination(provenance.model, benchmark, provenance.pretrained)
        if known.status != "unknown" or benchmark not in BENCHMARKS_WITH_EVIDENCE:
            return known
        for how, name in self._relations(provenance):
            origin = contamination(name, benchmark)
            # What is built on a contaminated model inherits what it saw; on a clean one, it may have seen anything.
            if origin.status == "contaminated":
                told = f"Known by {how}, not by its name. {origin.evidence}"
                return known.model_copy(update={"status": "contaminated", "evidence": told})
        if hint := _shape_hint(provenance):
            return known.model_copy(update={"evidence": f"{hint} {known.evidence}"})
        return known

    def _relations(self, provenance: Provenance) -> Iterator[tuple[str, str]]:
        """How a model is related to another, and the other's name."""
        lineage = provenance.lineage
        for place, names in (lineage.made_from if lineage else {}).items():
            yield from ((f"its {place}, which names {name} as its origin", name) for name in names.split(", "))
        for other in self._models:
            for name in {other.model, other.pretrained}:
                if _base_weights(other) & _base_weights(provenance):
                    yield f"its weights, which are those of {name}", name
                if lineage and other.lineage and _same_embeddings(lineage, other.lineage):
                    yield f"its architecture and input embeddings, which are those of {name}", name


def _same_embeddings(one: Lineage, other: Lineage) -> bool:
    recorded = one.embedding_sha256 is not None and bool(one.shape)
    return recorded and (one.embedding_sha256, one.shape) == (other.embedding_sha256, other.shape)


def _base_weights(provenance: Provenance) -> set[str]:
    return {digest for digest in (provenance.weights_sha256, provenance.base_weights_sha256) if digest}


def _shape_hint(provenance: Provenance) -> str | None:
    shape = provenance.lineage.shape if provenance.lineage else {}
    sizes = tuple(shape.get(name) for name in ("d_model", "d_ff", "num_layers", "num_heads"))
    if shape.get("model_type") != "t5" or shape.get("feed_forward_proj") != "gated-gelu" or sizes not in _FLAN_SHAPES:
        return None
    return (
        f"Its config has the sizes of FLAN-T5 {_FLAN_SHAPES[sizes]}, which is known to have seen it, and of T5 v1.1, "
        "which is not: if it was made from the former, it has seen it too."
    )


def contamination(model: str, benchmark: str, pretrained: str = "") -> Contamination:
    """The evidence for a model and a benchmark, by the last part of either of its names; "unknown" unless listed here.

    Args:
        model: what the report calls it.
        benchmark: a data set, such as "stereoset".
        pretrained: the hub id or folder that it was loaded from.
    """
    for name in (model, pretrained):
        last = name.rstrip("/").rpartition("/")[2].lower()
        for known in _KNOWN:
            if benchmark in BENCHMARKS_WITH_EVIDENCE and known.models.fullmatch(last):
                return Contamination(model=model, benchmark=benchmark, status=known.status, evidence=known.evidence)
    return Contamination(model=model, benchmark=benchmark, status="unknown", evidence=_UNKNOWN)
