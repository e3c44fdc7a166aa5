"""Which rank is blamed when a run stands still, from what the ranks said of themselves; and that scoring is watched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models

from harness.machine.ranks import DONE, Record, Seen, judge

ROOT = Path(__file__).resolve().parents[3]


def record(**changes: Any) -> Record:
    return Record(**{"machine": "m", "host": "node", "pid": 7, "marks": 40, "phase": "step 9", "idle": 1.0, **changes})


WELL = Seen(record())


def blamed(ranks: dict[int, Seen], limit: float | None = 45.0) -> tuple[str, list[int]]:
    return judge(0, ranks, 45.0, limit)


def test_ranks_at_work_are_left_alone() -> None:
    assert blamed({0: WELL, 1: WELL}) == ("", [])


def test_a_killed_rank_is_named_at_once() -> None:
    message, ranks = blamed({0: WELL, 1: WELL, 2: Seen(record(pid=4242), 0.5, "gone")})
    assert ranks == [2]
    assert message.startswith("rank 2 (process 4242 on node) ended in phase `step 9`: killed")


def test_a_rank_that_failed_is_named_with_its_error() -> None:
    message, _ = blamed({0: WELL, 1: Seen(record(ended="FloatingPointError: loss is not finite"), 0.5, "gone")})
    assert "rank 1" in message
    assert "FloatingPointError: loss is not finite" in message


def test_a_rank_that_finished_is_not_missed() -> None:
    assert blamed({0: WELL, 1: Seen(record(ended=DONE), 90.0, "gone")}) == ("", [])


def test_a_stopped_rank_gets_its_patience_in_every_phase() -> None:
    for limit in (45.0, 1800.0, None):
        assert blamed({0: WELL, 1: Seen(record(), 44.0, "stopped")}, limit) == ("", [])
        message, ranks = blamed({0: WELL, 1: Seen(record(), 46.0, "stopped")}, limit)
        assert ranks == [1]
        assert "stopped (SIGSTOP)" in message


STUCK = Seen(record(idle=46.0, waiting=True))


def test_a_rank_on_another_machine_that_fell_silent_is_named() -> None:
    ranks = {0: STUCK, 1: STUCK, 2: Seen(record(host="other", waiting=True), 40.0, "elsewhere")}
    message, names = blamed(ranks)
    assert names == [2]
    assert "rank 2 (process 7 on other) gave no sign of life for 40 s" in message


def test_the_rank_that_does_not_wait_for_others_is_the_one_that_hangs() -> None:
    busy = Seen(record(idle=46.0, place="pairs.py, line 80, __getitem__"))
    message, ranks = blamed({0: STUCK, 1: busy, 2: STUCK})
    assert ranks == [1]
    assert "no progress for 46 s in `step 9`, pairs.py, line 80, __getitem__" in message


def test_the_rank_that_is_a_step_behind_is_the_one_that_hangs() -> None:
    message, ranks = blamed({0: STUCK, 1: Seen(record(idle=46.0, waiting=True, marks=39, phase="after step 8"))})
    assert ranks == [1]
    assert "`after step 8`" in message


@pytest.mark.parametrize("limit", [None, 1800.0])
def test_a_slow_phase_such_as_saving_is_not_a_hang(limit: float | None) -> None:
    assert blamed({0: STUCK, 1: STUCK}, limit) == ("", [])


def test_one_process_that_hangs_alone_is_named() -> None:
    assert judge(0, {0: Seen(record(idle=46.0))}, 45.0, 45.0)[1] == [0]


STILL = Seen(record(phase="saving after step 30", idle=200.0, still=46.0, waiting=True))


@pytest.mark.parametrize("limit", [None, 1800.0])
def test_where_all_stand_still_the_one_that_waits_for_nobody_hangs(limit: float | None) -> None:
    hangs = Seen(record(phase="saving after step 30", idle=200.0, still=46.0, place="trainer.py, line 7, save"))
    message, ranks = blamed({0: STILL, 1: hangs, 2: STILL}, limit)
    assert ranks == [1]
    assert "no progress for 200 s in `saving after step 30`, trainer.py, line 7, save" in message


def test_as_long_as_one_rank_is_at_work_the_others_may_wait() -> None:
    assert blamed({0: STILL, 1: Seen(record(idle=200.0, still=0.0))}, None) == ("", [])
    assert blamed({0: STILL, 1: Seen(record(ended=DONE))}, None)[1] == [0]


def test_a_machine_that_fell_silent_counts_as_standing_still() -> None:
    gone_quiet = Seen(record(host="other", still=3.0), 44.0, "elsewhere")
    assert blamed({0: STILL, 1: gone_quiet}, None)[1] == [1]


@pytest.mark.slow
@pytest.mark.distributed
def test_scoring_ends_when_a_rank_hangs_while_the_other_waits_for_its_scores(tmp_path: Path) -> None:
    config = ROOT / "accelerate_configs" / "cpu_2proc.yaml"
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(config), "--main_process_port", "0"]
    asked = ["--model_args", f"pretrained={tiny_models.byte_llama(tmp_path)}", "--tasks", "crows_pairs", "--limit", "4"]
    data = ["--metadata", '{"data_dir": "sample"}']
    command = [sys.executable, *launch, str(ROOT / "tests" / "hanging.py"), "eval", *asked, *data]
    environment = {**os.environ, "HANG_IN": "scoring", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "rank 1 (process" in done.stderr
    assert "in `scoring`" in done.stderr
    assert "hanging.py, line" in done.stderr
    assert "rank 0 (process" not in done.stderr
