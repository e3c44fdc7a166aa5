"""Which rank is blamed when a run stands still, from what the ranks said of themselves; and that scoring is watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import forked_ranks
import hanging
import pytest
import stepping
import tiny_models

from harness.machine.ranks import DONE, Record, Seen, judge
from harness.machine.watch import Watch


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


@pytest.mark.parametrize("limit", [45.0, 0.5, None])
def test_when_all_have_finished_nobody_is_blamed(limit: float | None) -> None:
    assert blamed({0: Seen(record(ended=DONE)), 1: Seen(record(ended=DONE), 90.0, "gone")}, limit) == ("", [])


def test_a_stopped_rank_gets_its_patience_in_every_phase() -> None:
    for limit in (45.0, 1800.0, None):
        assert blamed({0: WELL, 1: Seen(record(), 44.0, "stopped")}, limit) == ("", [])
        message, ranks = blamed({0: WELL, 1: Seen(record(), 46.0, "stopped")}, limit)
        assert ranks == [1]
        assert "stopped (SIGSTOP)" in message


STUCK = Seen(record(idle=46.0, still=46.0, waiting=True, waited=46.0))
IDLE = Seen(record(idle=46.0, still=46.0))


def test_a_rank_on_another_machine_that_fell_silent_is_named() -> None:
    ranks = {0: STUCK, 1: STUCK, 2: Seen(record(host="other", waiting=True), 40.0, "elsewhere")}
    message, names = blamed(ranks)
    assert names == [2]
    assert "rank 2 (process 7 on other) gave no sign of life for 40 s" in message


def test_the_rank_that_does_not_wait_for_others_is_the_one_that_hangs() -> None:
    idle = Seen(record(idle=46.0, still=46.0, place="pairs.py, line 80, __getitem__"))
    message, ranks = blamed({0: STUCK, 1: idle, 2: STUCK}, None)
    assert ranks == [1]
    assert "no progress for 46 s in `step 9`, pairs.py, line 80, __getitem__" in message


def test_the_rank_that_is_a_step_behind_is_the_one_that_hangs() -> None:
    message, ranks = blamed({0: STUCK, 1: Seen(record(idle=46.0, waiting=True, marks=39, phase="after step 8"))})
    assert ranks == [1]
    assert "`after step 8`" in message


@pytest.mark.parametrize("limit", [None, 1800.0])
def test_a_slow_phase_such_as_saving_is_not_a_hang(limit: float | None) -> None:
    assert blamed({0: STUCK, 1: Seen(record(idle=46.0))}, limit) == ("", [])


@pytest.mark.parametrize("limit", [None, 450.0])
def test_a_rank_that_computes_for_long_in_a_step_is_left_alone(limit: float | None) -> None:
    computes = Seen(record(idle=140.0))
    waits = Seen(record(idle=140.0, still=139.0, waiting=True, waited=139.0))
    assert blamed({0: waits, 1: computes}, limit) == ("", [])


def test_ranks_that_pause_together_have_let_nobody_down() -> None:
    pauses = Seen(record(idle=140.0, still=140.0))
    just_waits = Seen(record(idle=140.0, still=140.0, waiting=True, waited=2.0))
    assert blamed({0: pauses, 1: pauses}, 450.0) == ("", [])
    assert blamed({0: just_waits, 1: pauses}, 450.0) == ("", [])


def test_ranks_that_pause_together_for_ever_are_named() -> None:
    assert blamed({0: Seen(record(still=451.0)), 1: Seen(record(still=451.0))}, None)[1] == [0, 1]


def test_beside_an_idle_rank_one_that_seems_to_compute_in_a_backward_pass_waits() -> None:
    spins = Seen(record(idle=46.0, waiting=True, waited=46.0))
    assert blamed({0: spins, 1: IDLE}, None)[1] == [1]
    assert blamed({0: spins, 1: spins}, None) == ("", [])


def test_a_step_that_computes_for_ever_is_named() -> None:
    waits = Seen(record(idle=451.0, still=450.0, waiting=True, waited=450.0))
    assert blamed({0: waits, 1: Seen(record(idle=451.0))}, 450.0)[1] == [1]


def test_the_first_step_counts_as_the_longest_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 126.0, 127.0, 130.0])
    monkeypatch.setattr("harness.machine.watch.time.monotonic", lambda: next(now))
    watch = Watch(0, 1, patience=45.0, slow=1800.0)
    watch.mark("step 1", "first step")
    assert watch.limit == 1800.0
    watch.mark("saving after step 1", "slow")
    watch.mark("after saving step 1", "step")
    assert watch.limit == 10 * 45 + 3 * 116
    watch.mark("step 2", "step")
    assert watch.limit == 10 * 45 + 3 * 116


STILL = Seen(record(phase="saving after step 30", idle=200.0, still=46.0, waiting=True, waited=46.0))


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


def steps(last: str, folder: Path) -> tuple[int, str]:
    """The exit code of three steps of two ranks, of which rank 1 does so in the last, and what they said."""
    with forked_ranks.Ranks("cpu_2proc", stepping.run, (last,), folder) as ranks:
        codes, said = ranks.ended()
    return max(abs(code or 0) for code in codes), said


@pytest.mark.slow
@pytest.mark.distributed
def test_steps_of_three_times_hang_seconds_are_healthy(tmp_path: Path) -> None:
    code, said = steps("pause", tmp_path)
    assert (code, said.strip()) == (0, "")


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("last", ["hang", "compute for ever"])
def test_a_rank_that_hangs_after_such_steps_is_named_with_the_setting_on_a_line_of_its_own(
    last: str, tmp_path: Path
) -> None:
    code, said = steps(last, tmp_path)
    assert code == 1
    assert "rank 1 (process" in said
    assert "in `step 3`" in said
    assert "\nWhere nothing hangs and it is only slow, set hang_seconds higher\n" in said


@pytest.mark.slow
@pytest.mark.distributed
def test_scoring_ends_when_a_rank_hangs_while_the_other_waits_for_its_scores(tmp_path: Path) -> None:
    asked = ["--model_args", f"pretrained={tiny_models.byte_llama(tmp_path)}", "--tasks", "crows_pairs", "--limit", "4"]
    asked += ["--hang-seconds", "5", "--metadata", '{"data_dir": "sample"}']
    with forked_ranks.Ranks("cpu_2proc", hanging.run, ("scoring", ["eval", *asked]), tmp_path) as ranks:
        codes, said = ranks.ended()
    assert codes != [0, 0]
    assert "rank 1 (process" in said
    assert "in `scoring`" in said
    assert "hanging.py, line" in said
    assert "rank 0 (process" not in said
