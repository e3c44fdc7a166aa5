"""What is read of lm-eval's own part of a results file has the shape that lm-eval gives it."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from harness.storage.names import require_plain_name
from harness.storage.reading import parse_record, require_object, shown
from harness.storage.sensitivity import SENSITIVITY_KEY, Sensitivity

AGAIN = "score this model again"
"""What to do about a broken file of results."""
BY_TASK = ("results", "configs", "n-samples", "higher_is_better")
PARTS = (*BY_TASK, "versions", "n-shot", "config", "group_subtasks")
"""What is read of lm-eval's own part of a results file: objects of named parts, the first four with one a task."""


def require_parts(file: Path, results: Mapping[str, Any]) -> None:
    """What is read here of lm-eval's own part of a results file, and of what was added to it, has the right shape."""
    for name in PARTS:
        part = require_object(results.get(name, {}), f"{file}, {name}", AGAIN)
        for task, value in part.items() if name in BY_TASK else ():
            require_object(value, f"{file}, {name}.{task}", AGAIN)
    for task, config in (results.get("configs") or {}).items():
        require_plain_name(task, f"{file}, configs")
        require_object(config.get("metadata") or {}, f"{file}, configs.{task}.metadata", AGAIN)
    for task, count in (results.get("n-shot") or {}).items():
        if not isinstance(count, int | None):
            raise ValueError(f"{file}, n-shot.{task}: expected a whole number, found {shown(count)}; {AGAIN}")
    for task, counts in (results.get("n-samples") or {}).items():
        for which in ("original", "effective"):
            if not isinstance(counts.get(which), int | None):
                found = shown(counts[which])
                raise ValueError(f"{file}, n-samples.{task}.{which}: expected a whole number, found {found}; {AGAIN}")
    _require_tree(results.get("group_subtasks", {}), file)
    checked = results.get(SENSITIVITY_KEY, [])
    if not isinstance(checked, list):
        raise ValueError(f"{file}, {SENSITIVITY_KEY}: expected a list, found {shown(checked)}; {AGAIN}")
    for number, one in enumerate(checked):
        parse_record(one, Sensitivity, f"{file}, {SENSITIVITY_KEY}.{number}", AGAIN)


def _require_tree(members: Mapping[str, Any], file: Path) -> None:
    """Groups have lists of names, and none is within itself."""
    for group, names in members.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{file}, group_subtasks.{group}: expected a list of names, found {shown(names)}; {AGAIN}")
    try:
        TopologicalSorter(members).prepare()
    except CycleError as error:
        raise ValueError(f"{file}, group_subtasks: a group within itself, {shown(error.args[1])}; {AGAIN}") from error
