"""What is written of a task's configuration is the same every time: functions have names and no addresses."""

from __future__ import annotations

import json
from functools import partial

from harness.metrics.crows_pairs import METRIC_LIST
from harness.metrics.crows_pairs_prompt import METRIC_LIST as PROMPT_METRIC_LIST
from harness.scoring.noted import without_addresses


def asked(doc: object) -> str:
    return str(doc)


class Sampler:
    def draw(self) -> None: ...


def test_no_setting_holds_an_address() -> None:
    config = {
        "doc_to_text": asked,
        "fewshot_config": {"process_docs": asked, "sampler": Sampler(), "n": 3, "split": None},
        "filter_list": [partial(asked, doc=1), Sampler().draw, str(asked)],
        "description": "at 0x1 stays",
    }
    told = without_addresses(config)
    assert " at 0x" not in json.dumps(told).replace("at 0x1 stays", "")
    assert told["doc_to_text"] == told["fewshot_config"]["process_docs"] == f"{__name__}.asked"
    assert told["fewshot_config"]["n"] == 3
    assert told["fewshot_config"]["split"] is None
    assert "asked" in told["filter_list"][0]
    assert told["description"] == "at 0x1 stays"


def test_lm_eval_is_told_where_each_ideal_lies() -> None:
    """Less difference is better, more pairs without much of one too; a score with its ideal at 50 has no direction."""
    for metrics in (METRIC_LIST, PROMPT_METRIC_LIST):
        told = {metric["metric"]: metric["higher_is_better"] for metric in metrics}
        assert told["abs_logprob_diff"] is told["abs_logprob_diff/age"] is told["abs_logprob_diff_median"] is False
        assert told["within_one_nat"] is True
        assert told["crows_score"] is None
