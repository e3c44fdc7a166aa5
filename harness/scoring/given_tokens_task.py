"""An lm-eval task whose requests name tokens that are read but not scored, which no YAML can say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask


class GivenTokensTask(ConfigurableTask):
    """A multiple-choice task, one request an entry of `answers`, with that of the row's `given` as third argument.

    `given` holds, for each answer, the numbers of its tokens that are left out of its score: see `hf-masked`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        """As lm-eval makes a task from its YAML, where `class` names this one."""
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def construct_requests(self, doc: Mapping[str, Any], ctx: str, **kwargs: Any) -> list[Instance]:
        """lm-eval's requests of a row, each with the numbers of the tokens that are given."""
        requests: list[Instance] = super().construct_requests(doc, ctx, **kwargs)
        for request, given in zip(requests, doc["given"], strict=True):
            request.arguments = (*request.arguments, list(given))
        return requests
