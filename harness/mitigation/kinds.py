"""The projections that there are, by the name they have in commands and records."""

from __future__ import annotations

from collections.abc import Mapping

from harness.mitigation.inlp import inlp
from harness.mitigation.leace import leace
from harness.mitigation.projection import Fit
from harness.mitigation.sentence_debias import sentence_debias

PROJECTIONS: Mapping[str, Fit] = {"sentence_debias": sentence_debias, "inlp": inlp, "leace": leace}
