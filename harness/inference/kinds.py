"""The methods at inference that there are, by the name they have in experiments and records."""

from __future__ import annotations

from collections.abc import Mapping

from harness.inference import prompt, self_debias
from harness.inference.kind import Kind

RECIPES: Mapping[str, Kind] = {
    self_debias.NAME: Kind(self_debias.SelfDebiasSettings, self_debias.damped, reads_plain=True),
    prompt.NAME: Kind(prompt.PromptSettings, prompt.prompted, reads_plain=False),
}
