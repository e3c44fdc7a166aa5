"""An lm-eval task on running text that says, beside a document, what of it is scored, which no YAML can say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask


class RunningTextTask(ConfigurableTask):
    """A rolling task; what a row asks for of its page stands behind the page: see `hf-masked` and `hf-seq2seq`."""

    def __init__(self, config: dict[str, Any]) -> None:
        """As lm-eval makes a task from its YAML, where `class` names this one."""
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def construct_requests(self, doc: Mapping[str, Any], ctx: str, **kwargs: Any) -> Instance:
        """lm-eval's request of a row, with which tokens, or which hidden spans, and the length of a window."""
        request: Instance = super().construct_requests(doc, ctx, **kwargs)
        if "window" in doc:
            which = list(doc["scored"]) if "scored" in doc else doc["span_key"]
            request.arguments = (*request.arguments, which, doc["window"])
        return request
