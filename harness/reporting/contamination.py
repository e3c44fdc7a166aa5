"""What is publicly known about models that saw a benchmark's items before anybody measured bias on them."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from harness.reporting.schema import Contamination


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
