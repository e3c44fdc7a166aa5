"""The projections that there are, by the name they have in commands and records."""

from __future__ import annotations

from collections.abc import Mapping

from harness.mitigation.inlp import inlp
from harness.mitigation.leace import leace
from harness.mitigation.projection import Kind
from harness.mitigation.sentence_debias import sentence_debias

PROJECTIONS: Mapping[str, Kind] = {
    "sentence_debias": Kind(sentence_debias),
    "inlp": Kind(inlp, needs_neutral=True),
    "leace": Kind(leace),
}
