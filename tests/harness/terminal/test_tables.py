"""Tables for a terminal."""

from __future__ import annotations

from harness.terminal.tables import aligned

ROWS = [("task", "value"), ("crows_pairs", "55.57"), ("wikitext2", "9.1")]


def test_columns_stand_below_each_other_and_numbers_end_together() -> None:
    assert aligned(ROWS, right=(1,)).splitlines() == [
        "task         value",
        "-----------  -----",
        "crows_pairs  55.57",
        "wikitext2      9.1",
    ]


def test_the_widest_column_is_wrapped_where_the_terminal_is_narrow() -> None:
    table = aligned([("group", "stands for"), ("all", "one_task, another_task, third_task")], width=30)
    assert table.splitlines()[2:] == ["all    one_task, another_task,", "       third_task"]
