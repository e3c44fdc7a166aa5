"""Random noise in the weights that a training changed, in the form of what the training left: an adapter, or a model.

Of a matrix W the direction is N with the standard deviation of W's own entries, and the control W + scale x N. For a
LoRA adapter N = (alpha / r) B A of the same rank in the same modules, A and B Gaussian; for full fine-tuning N is
Gaussian itself, in every tensor that training changed. A direction is drawn from its seed and the tensor's name alone,
so that any scale of it can be had again.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from harness.data.tokens import load_tokenizer
from harness.models.base import TransformersLM
from harness.storage.adapter_files import WEIGHTS_FILE, is_up
from harness.storage.reading import read_object, shown

CONFIG_FILE = "adapter_config.json"
_PREFIX = "base_model.model."


class Noise(Protocol):
    """A direction for one loaded base model. `unit_norm` is the Euclidean norm of the change at scale 1."""

    unit_norm: float

    def put(self, scale: float) -> None:
        """Make the loaded model base + scale x direction."""

    def save(self, folder: Path) -> None:
        """Write what was put last into an existing folder, as training writes a checkpoint."""

    def take_off(self) -> None:
        """Make the loaded model the base again, to the bit."""


def is_adapter(checkpoint: Path) -> bool:
    """Whether a checkpoint is of LoRA; else it is a whole model."""
    return (checkpoint / CONFIG_FILE).is_file()


class AdapterNoise:
    """Noise in the form of a trained adapter: its config, and tensors of its names and shapes."""

    def __init__(self, lm: TransformersLM, like: Path, seed: int) -> None:
        """Draw the direction.

        Args:
            lm: the base model, without an adapter.
            like: the trained adapter.
        """
        self._lm = lm
        config = like / CONFIG_FILE
        self._scratch = TemporaryDirectory(prefix="noise-")
        shutil.copy(config, Path(self._scratch.name) / CONFIG_FILE)
        scaling = _scaling(config)
        self._unit: dict[str, Tensor] = {}
        squares = 0.0
        for module in _modules(load_file(like / WEIGHTS_FILE)):
            deviation = _deviation(lm.whole_model.get_submodule(module.path).weight)
            rank, width = module.a.shape
            down = _gaussian(module.a.shape, seed, module.a_name) / math.sqrt(width)
            up = _gaussian(module.b.shape, seed, module.b_name) * deviation * math.sqrt(width / rank) / scaling
            squares += _square_norm(down, up, scaling)
            self._unit |= {module.a_name: down, module.b_name: up}
        self.unit_norm = math.sqrt(squares)
        self._ups = {name for name in self._unit if is_up(name)}

    def put(self, scale: float) -> None:
        """As `Noise.put`: through the very files that `save` then keeps."""
        scaled = {name: scale * tensor if name in self._ups else tensor for name, tensor in self._unit.items()}
        folder = Path(self._scratch.name)
        save_file(scaled, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        self._lm.use_adapter(folder)

    def save(self, folder: Path) -> None:
        """As `Noise.save`."""
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            shutil.copy(Path(self._scratch.name) / name, folder / name)

    def take_off(self) -> None:
        """As `Noise.take_off`."""
        self._lm.use_adapter(None)


class WeightsNoise:
    """Noise in every tensor that full fine-tuning changed."""

    def __init__(self, lm: TransformersLM, like: TransformersLM, seed: int) -> None:
        """Compare the base with the trained model, and keep a copy of what is to be changed."""
        self._lm, self._seed = lm, seed
        trained = dict(_parameters(like))
        self._base = {
            name: weight.detach().cpu().clone()
            for name, weight in _parameters(lm)
            if not torch.equal(weight, trained[name])
        }
        self.unit_norm = math.sqrt(sum(float(self._direction(name).double().square().sum()) for name in self._base))

    def put(self, scale: float) -> None:
        """As `Noise.put`."""
        self._set(lambda name: self._base[name].float() + scale * self._direction(name))

    def save(self, folder: Path) -> None:
        """As `Noise.save`; the tokenizer goes with the model, as training leaves it."""
        self._lm.whole_model.save_pretrained(folder)
        load_tokenizer(self._lm.metadata).save_pretrained(folder)

    def take_off(self) -> None:
        """As `Noise.take_off`."""
        self._set(lambda name: self._base[name])

    def _direction(self, name: str) -> Tensor:
        """Drawn again each time: a model of noise beside the model would take as much memory."""
        weight = self._base[name]
        return _gaussian(weight.shape, self._seed, name) * _deviation(weight)

    @torch.no_grad()
    def _set(self, weight_of: Any) -> None:
        for name, weight in _parameters(self._lm):
            if name in self._base:
                weight.copy_(weight_of(name))


def adapter_norm(checkpoint: Path) -> float:
    """The Euclidean norm of what an adapter adds: of its (alpha / r) B A in all modules together."""
    scaling = _scaling(checkpoint / CONFIG_FILE)
    modules = _modules(load_file(checkpoint / WEIGHTS_FILE))
    return math.sqrt(sum(_square_norm(module.a, module.b, scaling) for module in modules))


def distance(lm: TransformersLM, other: TransformersLM) -> float:
    """The Euclidean norm of the difference of two models' weights."""
    weights = dict(_parameters(other))
    squares = ((weights[name].double() - weight.double()).square().sum() for name, weight in _parameters(lm))
    return math.sqrt(sum(map(float, squares)))


class _Module(NamedTuple):
    """A module's path in the base model and the two factors of its adapter, [r, in] and [out, r]."""

    path: str
    a_name: str
    b_name: str
    a: Tensor
    b: Tensor


def _modules(tensors: Mapping[str, Tensor]) -> Iterator[_Module]:
    for name in sorted(tensors):
        for a_part in (".lora_A.", ".lora_embedding_A"):
            if a_part in name:
                b_name = name.replace(a_part, a_part.replace("A", "B"))
                path = name[: name.index(a_part)].removeprefix(_PREFIX)
                yield _Module(path, name, b_name, tensors[name], tensors[b_name])


def _scaling(config: Path) -> float:
    settings = read_object(config)
    alpha, rank = settings.get("lora_alpha"), settings.get("r")
    if not isinstance(alpha, (int, float)) or not isinstance(rank, int) or rank < 1:
        raise ValueError(
            f"{config}: lora_alpha is {shown(alpha)} and r is {shown(rank)}, expected a number and a whole number of 1 "
            "or more; put the adapter's own file back"
        )
    return float(alpha / rank)


def _square_norm(a: Tensor, b: Tensor, scaling: float) -> float:
    """Of scaling x B A, through matrices of r by r."""
    a, b = a.double(), b.double()
    return float(scaling**2 * ((a @ a.T) * (b.T @ b)).sum())


def _deviation(weight: Tensor) -> float:
    return float(weight.detach().float().std()) if weight.numel() > 1 else 0.0


def _gaussian(shape: torch.Size, seed: int, name: str) -> Tensor:
    """On the CPU, so that the device changes nothing."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
    return torch.randn(shape, generator=generator)


def _parameters(lm: TransformersLM) -> Iterator[tuple[str, Tensor]]:
    yield from lm.whole_model.named_parameters()
