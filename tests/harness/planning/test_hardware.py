"""What a plan says of this machine's CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.planning import hardware
from harness.planning.plan_table import plan


@pytest.mark.parametrize(
    ("flags", "found"),
    [("fpu amx_bf16 avx512_bf16", "amx_bf16"), ("avx512_bf16 fpu", "avx512_bf16"), ("fpu avx2", None), (None, None)],
)
def test_a_cpu_that_computes_in_bf16_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, found: str | None
) -> None:
    file = tmp_path / "cpuinfo"
    if flags is not None:
        file.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(hardware, "CPU_INFO", file)
    assert hardware.bf16_instructions() == found
    first = next(plan([], "cpu"))
    assert first.endswith("of its own") == (found is None)
    assert found is None or f"bf16 by {found}: `bf16: true`" in first
