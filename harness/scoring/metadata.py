"""The settings that tasks of this project read from `--metadata`."""

from __future__ import annotations

from collections.abc import Iterable

from harness.models.arguments import OF_CLASSES, OF_LOADING
from harness.terminal.nearest import did_you_mean

_SETTINGS = (
    "data_dir split permutations prompt_template continuation_template k toxicity_classifier toxicity_label "
    "regard_classifier allow_pickle"
)
SETTINGS = tuple(_SETTINGS.split())


def require_known_metadata(names: Iterable[str]) -> None:
    """Refuse a key that is nearly one of ours. Others pass: tasks of lm-eval and of other projects have theirs.

    Raises:
        ValueError: names the key and what was probably meant.
    """
    known = [*SETTINGS, *OF_CLASSES, *OF_LOADING]
    for name in names:
        near = did_you_mean(name, known, closeness=0.85)
        if name not in known and "did you mean" in near:
            raise ValueError(f"metadata: tasks have no setting {name!r}{near}")
