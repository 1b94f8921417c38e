"""Buffers and layers as the tests of the oracle write them."""

from dataclasses import dataclass

import numpy as np
from priot.network import fields as f
from priot.network.spec import parse_network
from priot.network.stages import Stage, compile_layers


def int8(*values: int) -> bytearray:
    return bytearray(v & 255 for v in values)


def offset(*values: int) -> bytearray:
    return bytearray(v + 128 for v in values)


def signed(buffer: bytearray) -> list[int]:
    return np.frombuffer(buffer, np.int8).tolist()


@dataclass
class Described:
    """A stage and its descriptor."""

    stage: Stage
    d: np.ndarray


def stage(network: str, shape: tuple[int, int, int], **values: int) -> Described:
    """The first stage of a network whose logits are all its outputs, with fields of d set."""
    layers = parse_network(network)
    first = compile_layers([*layers, *parse_network("flatten, linear 2")], shape, 2)[0]
    described = Described(first, first.descriptor())
    for name, value in values.items():
        described.d[getattr(f, name)] = value
    return described
