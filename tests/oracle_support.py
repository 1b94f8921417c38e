"""Buffers and layers as the tests of the oracle write them."""

import numpy as np
from priot.network import fields as f
from priot.network.spec import parse_network
from priot.network.stages import Stage, compile_stages


def int8(*values: int) -> bytearray:
    return bytearray(v & 255 for v in values)


def offset(*values: int) -> bytearray:
    return bytearray(v + 128 for v in values)


def signed(buffer: bytearray) -> list[int]:
    return np.frombuffer(buffer, np.int8).tolist()


def stage(network: str, shape: tuple[int, int, int], **values: int) -> Stage:
    """The first stage of a network whose logits are all its outputs, with fields of d set."""
    layers = parse_network(network)
    first = compile_stages([*layers, *parse_network("flatten, linear 2")], shape, 2)[0]
    for name, value in values.items():
        first.d[getattr(f, name)] = value
    return first
