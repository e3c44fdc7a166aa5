"""The task YAMLs: where they are, whether they are sound, and what lm-eval makes of the names that a user gives."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from harness.data.plugins import leave_out, left_out
from harness.data.sources import SOURCES, Name
from harness.metrics.benchmarks import BENCHMARKS, plugins
from harness.storage.names import require_plain_name
from harness.storage.reading import brief, yaml_node
from harness.storage.shipped import shipped
from harness.storage.text import read_text
from harness.terminal.nearest import did_you_mean


@dataclass(frozen=True)
class Selection:
    """lm-eval's task manager and the names in it that were asked for."""

    manager: Any
    names: list[str]

    @cached_property
    def loaded(self) -> dict[str, Any]:
        """The tasks with their data, as lm-eval's manager loads them: once, before a model is.

        Raises:
            FileNotFoundError, ValueError: what the tasks' readers find wrong with data, settings or the model's config;
                a task whose name its samples file cannot have.
        """
        loaded: dict[str, Any] = self.manager.load(self.names)
        for name in loaded["tasks"]:
            require_plain_name(name, "the name of a task")
        return loaded


def check_task_files(folder: Path) -> set[str]:
    """Load every task YAML of a folder, because lm-eval passes over a broken one and then knows no task of that name.

    Returns:
        The names of its tasks and groups.

    Raises:
        ValueError: names the file and what is wrong with it.
    """
    from lm_eval.tasks._index import TaskIndex
    from lm_eval.tasks._yaml_loader import load_yaml

    names: set[str] = set()
    for path in sorted(folder.rglob("*.yaml")):
        found: dict[str, Any] = {}
        try:
            yaml_node(read_text(path), str(path))
            TaskIndex.process_cfg(load_yaml(path), path, found)
            for name in found:
                require_plain_name(name, "its name")
        except Exception as error:
            raise ValueError(f"{path}: broken task file ({brief(error)})") from error
        names |= found.keys()
    return names


@cache
def shipped_tasks() -> frozenset[str]:
    """The names of this project's own tasks and groups; its files are checked once, for they do not change.

    Raises:
        ValueError: as `check_task_files`.
    """
    return frozenset(check_task_files(shipped("tasks")))


def _folders_of_plugins(taken: frozenset[str]) -> list[Path]:
    """The task folders of other packages, without those that are broken or would take the place of a task here."""
    folders = []
    for label, plugin in plugins().items():
        try:
            names = check_task_files(plugin.tasks)
        except ValueError as error:
            leave_out(label, str(error))
            continue
        if both := sorted(names & taken):
            leave_out(label, f"{plugin.tasks} has tasks of names that are taken: {', '.join(both)}")
            continue
        folders.append(plugin.tasks)
        taken = taken | names
    return folders


def select(tasks: Sequence[str], metadata: Mapping[str, Any], include_path: str | None = None) -> Selection:
    """Find tasks by name, pattern ("stereoset*"), YAML file or folder of YAML files.

    lm-eval's own thousands of tasks are read only if a name is none of ours, which saves some ten seconds.

    Args:
        metadata: handed to every task's reader.
        include_path: a folder of further task YAMLs.

    Raises:
        ValueError: a name that is no task, or a broken task file of this project.
    """
    from lm_eval.tasks import TaskManager

    # It tells of `--metadata` for every task that has a reader, every time.
    logging.getLogger("lm_eval.api.task").addFilter(_is_news)
    # Where lm-eval has a task of the same name, ours is the one that is meant.
    logging.getLogger("lm_eval.tasks._index").addFilter(_is_not_ours)
    ours = shipped("tasks")
    folders = [ours, *_folders_of_plugins(shipped_tasks()), *([include_path] if include_path else [])]
    manager = own = TaskManager(include_path=folders, include_defaults=False, metadata=dict(metadata))
    wanted = [name for task in tasks for name in _files(task, own)]
    if not all(_matches(name, own) for name in wanted):
        manager = _with_lm_evals_own(tuple(map(str, folders)), metadata)
    if unknown := [name for name in wanted if not _matches(name, manager)]:
        told = ", ".join(unknown) + did_you_mean(unknown[0], [*own.all_tasks, *manager.all_tasks])
        raise ValueError(
            f"no such task: {told} `stereoscope tasks` lists this project's, `lm-eval ls tasks` lm-eval's"
            + "".join(f" Left out are those of {plugin}: {why}." for plugin, why in left_out().items())
        )
    return Selection(manager, list(dict.fromkeys(match for name in wanted for match in _matches(name, manager))))


def _with_lm_evals_own(folders: tuple[str, ...], metadata: Mapping[str, Any]) -> Any:
    from lm_eval.tasks._factory import TaskFactory

    manager = copy(_indexed(folders))
    manager.metadata = dict(metadata)
    manager._factory = TaskFactory(meta=dict(metadata))
    return manager


@cache
def _indexed(folders: tuple[str, ...]) -> Any:
    """A manager of lm-eval's thousands of tasks and those of folders: reading their names takes ten seconds, once."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=list(folders))


def leaves(selection: Selection) -> list[str]:
    """The tasks that the selected names stand for, groups and tags taken apart; a YAML file stands for itself."""
    return list(dict.fromkeys(leaf for name in selection.names for leaf in _leaves(name, selection.manager)))


@cache
def sources_of(tasks: tuple[str, ...]) -> list[Name]:
    """The data files that the tasks read, those of this project's and of plugins."""
    found: set[Name] = set()
    for benchmark in (BENCHMARKS[task] for task in leaves(select(tasks, {})) if task in BENCHMARKS):
        found |= {benchmark.data} | ({"hurtlex"} if benchmark.generation == "honest" else set())
    return [name for name in SOURCES if name in found]


def _leaves(name: str, manager: Any) -> list[str]:
    from lm_eval.tasks._index import Kind

    entry = manager.task_index.get(name)
    if entry is None or entry.kind not in (Kind.GROUP, Kind.TAG):
        return [name]
    members = sorted(entry.tags) if entry.kind is Kind.TAG else entry.cfg["task"]
    names = (member if isinstance(member, str) else member.get("task") or member["group"] for member in members)
    return [leaf for member in names for leaf in _leaves(member, manager)]


def _files(task: str, manager: Any) -> list[str]:
    """A folder's YAML files, unless a task has its name."""
    if not Path(task).is_dir() or manager.match_tasks([task]):
        return [task]
    return [str(path) for path in sorted(Path(task).glob("*.yaml"))]


def _matches(name: str, manager: Any) -> list[str]:
    return [name] if Path(name).is_file() else list(manager.match_tasks([name]))


def _is_not_ours(record: logging.LogRecord) -> bool:
    return str(shipped("tasks")) not in record.getMessage()


def _is_news(record: logging.LogRecord) -> bool:
    return "Custom kwargs can be passed" not in str(record.msg)
