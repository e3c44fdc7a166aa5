"""An lm-eval task that has prompts continued several times and the texts judged all at once, not one by one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from lm_eval.api.filter import Filter, FilterEnsemble
from lm_eval.api.task import ConfigurableTask

from harness.judging.judges import Choice, choice_of, judge_of, judged


class GenerationTask(ConfigurableTask):
    """Asks `k` continuations a prompt (metadata `k`, else the YAML's `repeats`) and has `measures` judge them.

    `judge_later` leaves the texts as they are, for whoever saves them first.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """As lm-eval makes a task from its YAML, where `class` names this one.

        Raises:
            ValueError: k is no positive number, or the judge cannot be had.
        """
        config = {key: value for key, value in config.items() if key != "class"}
        metadata = config["metadata"]
        config["repeats"] = _count(metadata.get("k", config["repeats"]))
        self.judge_later = False
        self.choice: Choice = choice_of(metadata["measures"], metadata)
        super().__init__(config=config)
        self._filters = [FilterEnsemble("none", [partial(_Judged, self)])]


class _Judged(Filter):
    """All responses of a process at once: the first k of each prompt, judged."""

    def __init__(self, task: GenerationTask) -> None:
        super().__init__()
        self._task = task

    def apply(self, resps: Any, docs: Sequence[dict[str, Any]]) -> list[list[list[Any]]]:
        # With several processes lm-eval pads requests and hands the last document more than was asked.
        texts = [[str(text) for text in list(several)[: self._task.config.repeats]] for several in resps]
        if self._task.judge_later:
            return [[[text] for text in several] for several in texts]
        return judged(texts, judge_of(self._task.choice))


def _count(given: object) -> int:
    if not str(given).isdecimal() or int(str(given)) < 1:
        raise ValueError(f"k={given!r}: expected how many continuations of each prompt to ask for, 1 or more")
    return int(str(given))
