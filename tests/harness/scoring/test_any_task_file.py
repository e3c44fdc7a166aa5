"""Whatever lies in a task file or beside a checkpoint's weights, it is read or is one error that names the file."""

from __future__ import annotations

import json
from pathlib import Path

from any_file import check_any

from harness.scoring.lineage import _card_base
from harness.scoring.task_files import check_task_files
from harness.scoring.trained import trained

TASK = b"task: colours\ndataset_path: json\noutput_type: multiple_choice\ndoc_to_text: '{{q}}'\ntag: [a, b]\n"
GROUP = b"group: all\ntask:\n- colours\n- {task: other, alias: x}\naggregate_metric_list:\n- {metric: acc}\n"


def test_any_task_file_is_read_or_one_error(tmp_path: Path) -> None:
    check_any(lambda file: check_task_files(file.parent), tmp_path / "task" / "colours.yaml", TASK, "yaml")


def test_any_group_file_is_read_or_one_error(tmp_path: Path) -> None:
    check_any(lambda file: check_task_files(file.parent), tmp_path / "task" / "all.yaml", GROUP, "yaml")


def test_any_trainer_state_is_read_or_one_error(tmp_path: Path) -> None:
    valid = json.dumps({"epoch": 1.5, "global_step": 3, "log_history": [{"loss": 1.0}]}).encode()
    check_any(lambda file: trained(file.parent), tmp_path / "checkpoint-3" / "trainer_state.json", valid, "json")


def test_any_model_card_is_read_or_says_nothing(tmp_path: Path) -> None:
    check_any(_card_base, tmp_path / "README.md", b"---\nbase_model: [gpt2, bert]\ntags: [x]\n---\n# A model\n", "text")
