"""The weights of a network in their file, compared with the network that a card describes before it is built.

A card may describe a network of any size. What it would hold is told by building it without memory (torch's device `meta`),
and compared with the header of the file, so that no more is ever built than the file stores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save

from agents.neural.ensemble import Ensemble
from agents.neural.rule import NeuralRule
from twin.data.content import hash_bytes

Shapes = dict[str, tuple[int, ...]]


def encoded(tensors: Mapping[str, Any]) -> bytes:
    """Weights, by name, as the content of a file."""
    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def read_network(path: Path, build: Callable[[], NeuralRule], members: int, file_hash: str) -> NeuralRule | Ensemble:
    """The network that `build` makes, or an ensemble of such members, with the weights of a file.

    Raises ValueError if the file is not that of such a network, or PermissionError if it may not be read.
    """
    try:
        content = _checked(path, build, members)
        if hash_bytes(content) != file_hash:
            raise ValueError("it is of another fit, or was changed")
        tensors = load(content)
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name} holds NaN or infinite weights")
        rules = [build() for _ in range(members)]
        rule = rules[0] if members == 1 else Ensemble(rules)
        rule.load_state_dict(tensors)
    except PermissionError:
        raise PermissionError(f"{path}: you may not read it; ask its owner, or `chmod u+r` it") from None
    except (OSError, ValueError, RuntimeError, TypeError, OverflowError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: not the weights of the network of card.json ({reason}); fit it again") from None
    return rule.eval()


def _checked(path: Path, build: Callable[[], NeuralRule], members: int) -> bytes:
    """The content of the file, whose header is that of the network."""
    found = {}
    with safe_open(path, "pt") as stored:
        names = stored.keys()
        for name in names:
            part = stored.get_slice(name)
            found[name] = tuple(part.get_shape()), part.get_dtype()
    with torch.device("meta"):
        one: Shapes = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    if len(found) != members * len(one):
        raise ValueError(f"{len(found)} tensors; expected {members * len(one)} of {members} members")
    expected = one if members == 1 else {f"members.{i}.{name}": shape for i in range(members) for name, shape in one.items()}
    for name, shape in expected.items():
        if found.get(name) != (shape, "F32"):
            raise ValueError(f"{name} is {found.get(name, 'missing')}; expected {(shape, 'F32')}")
    return path.read_bytes()
