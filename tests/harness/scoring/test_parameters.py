"""How large a model is said to be: whatever stands on it, and not at all where tensors hold packed numbers."""

from __future__ import annotations

from types import SimpleNamespace

from harness.scoring.conditions import parameters_of


def test_a_quantised_model_s_size_is_not_known() -> None:
    """Four bits a weight are stored two in a byte, so that their tensors have half as many numbers."""
    plain = SimpleNamespace(parameters=135, model=SimpleNamespace())
    assert parameters_of(plain) == 135
    assert parameters_of(SimpleNamespace(parameters=70, model=SimpleNamespace(hf_quantizer=object()))) is None
