"""The settings that tasks of this project read from `--metadata`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from harness.data.continuation import TEMPLATE_KEY
from harness.data.prompt import WORDING
from harness.metrics.benchmarks import BENCHMARKS, HELD_OUT_OF
from harness.models.arguments import OF_CLASSES, OF_LOADING
from harness.scoring.task_files import shipped_tasks
from harness.terminal.nearest import did_you_mean

_SETTINGS = (
    "data_dir split permutations prompt_template wording continuation_template k toxicity_classifier toxicity_label "
    "regard_classifier allow_pickle sampled_tokens"
)
SETTINGS = tuple(_SETTINGS.split())


_OF_WORDS = ("prompt_template", WORDING)
_OF_QUESTIONS = ("permutations", *_OF_WORDS)
_OF_TEXTS = ("k", TEMPLATE_KEY)


def settings_of(task: str) -> set[str]:
    """The keys that a task of this project reads, beside those that name the model."""
    benchmark = BENCHMARKS[task]
    read = {"data_dir"}
    if task in HELD_OUT_OF.values():
        read.add("split")
    if benchmark.data == "wikitext2":
        read.add("sampled_tokens")
    if benchmark.generation is not None:
        read.update(_OF_TEXTS)
    elif "_prompt" in task or task.startswith(("bbq_choice", "bbq_generate")):
        read.update(_OF_QUESTIONS)
    elif task.startswith("bbq"):
        read.update(_OF_WORDS)
    if benchmark.generation in ("toxicity", "regard"):
        read.update((f"{benchmark.generation}_classifier", "allow_pickle"))
    if benchmark.generation == "toxicity":
        read.add("toxicity_label")
    return read


def require_read_metadata(names: Iterable[str], tasks: Collection[str]) -> None:
    """Refuse a key that no task of a run reads, which would change nothing; others' tasks may read any.

    Args:
        tasks: groups taken apart.

    Raises:
        ValueError: names the key, the nearest one that is read, and all of them.
    """
    if not tasks or not set(tasks) <= shipped_tasks() & BENCHMARKS.keys():
        return
    read = sorted(set().union(*map(settings_of, tasks)))
    for name in names:
        if name not in (*read, *OF_CLASSES, *OF_LOADING):
            elsewhere = " It is a setting of other tasks." if name in SETTINGS else ""
            raise ValueError(
                f"metadata: no task of this run reads {name!r}{did_you_mean(name, read)}{elsewhere} They read "
                f"{', '.join(read)}"
            )


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
