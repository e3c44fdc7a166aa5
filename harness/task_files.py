"""The task YAMLs: where they are, whether they are sound, and the lm-eval task manager that knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def tasks_folder() -> Path:
    """The folder of this project's task YAMLs: inside the package once installed, beside it in a checkout."""
    package = Path(__file__).parent
    return next(folder for folder in (package / "tasks", package.parent / "tasks") if folder.is_dir())


def check_task_files(folder: Path) -> None:
    """Load every task YAML of a folder, because lm-eval passes over a broken one and then knows no task of that name.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    from lm_eval.tasks._index import TaskIndex
    from lm_eval.tasks._yaml_loader import load_yaml

    for path in sorted(folder.rglob("*.yaml")):
        try:
            TaskIndex.process_cfg(load_yaml(path), path, {})
        except Exception as error:
            raise ValueError(f"{path}: broken task file ({type(error).__name__}: {error})") from error


def task_manager(tasks: Sequence[str], metadata: Mapping[str, Any], include_path: str | None = None) -> Any:
    """lm-eval's task manager for these task names; its own thousands of tasks are read only if one of them is named.

    Args:
        metadata: handed to every task's reader.
        include_path: a folder of further task YAMLs.

    Raises:
        ValueError: a name that is no task, or a broken task file of this project.
    """
    from lm_eval.tasks import TaskManager

    ours = tasks_folder()
    check_task_files(ours)
    folders = [ours, *([include_path] if include_path else [])]
    manager = own = TaskManager(include_path=folders, include_defaults=False, metadata=dict(metadata))
    if not all(own.match_tasks([task]) for task in tasks):
        manager = TaskManager(include_path=folders, metadata=dict(metadata))
    if unknown := [task for task in tasks if not manager.match_tasks([task])]:
        raise ValueError(
            f"no such task: {', '.join(unknown)}. The tasks here are {', '.join(own.all_tasks)}; "
            "`lm-eval ls tasks` lists lm-eval's own"
        )
    return manager
