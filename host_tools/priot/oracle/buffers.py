"""Kernel buffers as numpy arrays: views, packed argmax, windows. The oracle's helpers."""

import numpy as np

from priot.network import fields as f


def view(buffer, dtype) -> np.ndarray:
    """The buffer's memory as a flat array, writable where the buffer is."""
    return np.frombuffer(buffer, dtype) if len(buffer) else np.zeros(0, dtype)


def int8_values(buffer) -> np.ndarray:
    """Activations, gradients: a copy, int64 -128..127."""
    return view(buffer, np.int8).astype(np.int64)


def offset_values(buffer) -> np.ndarray:
    """Weights, scores (bytes offset by 128): a copy, int64 -128..127."""
    return view(buffer, np.uint8).astype(np.int64) - 128


def int32(x: np.ndarray) -> np.ndarray:
    """x unchanged, int64, asserted to be what an int32 accumulator would hold."""
    assert x.size == 0 or -(2**31) <= x.min() <= x.max() < 2**31, "sum leaves int32"
    return x


def store(buffer, values: np.ndarray, low: int = -127, high: int = 127, at: int = 0) -> None:
    """Write values clamped to low..high as int8, from index `at` on."""
    view(buffer, np.int8)[at : at + values.size] = np.clip(values, low, high).ravel()


def store_outputs(y, values: np.ndarray, d, at: int = 0) -> None:
    """Write outputs of a layer, clamped as its descriptor says."""
    store(y, values, 0 if d[f.RELU] else -127, int(d[f.HIGH]), at)


def largest(x: np.ndarray) -> int:
    """Largest absolute value; 0 of nothing."""
    return int(np.abs(x).max(initial=0))


def windows(x: np.ndarray, size: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """Windows of x [channel][y][x]: [channel][y][x][height][width]."""
    every = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return every[:, :: stride[0], :: stride[1]]


def pair(d, field: int) -> tuple[int, int]:
    """A field of the descriptor and its twin across: (KERNEL_H, KERNEL_W)."""
    return int(d[field]), int(d[field + 1])


def image(x, d) -> np.ndarray:
    """The input as [n_in][h_in][w_in]."""
    return int8_values(x).reshape(d[f.N_IN], d[f.H_IN], d[f.W_IN])


def pools(x: np.ndarray, d) -> np.ndarray:
    """The pooling windows of x [channel][y][x], each flat: [channel][h_out][w_out][area]."""
    seen = windows(x, pair(d, f.POOL_H), pair(d, f.POOL_STRIDE_H))
    return seen.reshape(*seen.shape[:3], -1)


def patches(x, d) -> np.ndarray:
    """What the kernel sees, zeros outside the image:
    [group][channel of it][h_conv][w_conv][kernel height][width]."""
    borders = (0, 0), pair(d, f.PAD_TOP), pair(d, f.PAD_LEFT)
    seen = windows(np.pad(image(x, d), borders), pair(d, f.KERNEL_H), pair(d, f.STRIDE_H))
    return seen.reshape(d[f.GROUPS], d[f.GROUP_IN], *seen.shape[1:])


def kernels(w, d) -> np.ndarray:
    """Weights [rows][channel of the group][kernel height][width] from offset bytes."""
    return offset_values(w).reshape(-1, d[f.GROUP_IN], d[f.KERNEL_H], d[f.KERNEL_W])


def channel_bytes(d) -> int:
    """Bytes of packed argmax per channel."""
    return int(d[f.H_OUT] * d[f.W_OUT] * d[f.ARGMAX_BITS] + 7) // 8


def pack_argmax(argmax, winner: np.ndarray, first: int, d) -> None:
    """Write winners [channel][h_out][w_out] of the channels from `first` on."""
    n = winner.shape[0]
    bits = np.unpackbits(winner.astype(np.uint8).reshape(n, -1, 1), axis=2, bitorder="little")
    packed = np.packbits(bits[:, :, : d[f.ARGMAX_BITS]].reshape(n, -1), axis=1, bitorder="little")
    start = first * channel_bytes(d)
    view(argmax, np.uint8)[start : start + packed.size] = packed.ravel()


def unpack_argmax(argmax, d) -> np.ndarray:
    """Winners [n_out][h_out][w_out]; zeros without pooling."""
    n, h, w, n_bits = (int(d[i]) for i in (f.N_OUT, f.H_OUT, f.W_OUT, f.ARGMAX_BITS))
    if n_bits == 0:
        return np.zeros((n, h, w), np.int64)
    packed = view(argmax, np.uint8).reshape(n, channel_bytes(d))
    bits = np.unpackbits(packed, axis=1, bitorder="little")[:, : h * w * n_bits]
    return (bits.reshape(n, h, w, n_bits).astype(np.int64) << np.arange(n_bits)).sum(axis=3)


def scatter(g, argmax, d) -> np.ndarray:
    """The gradient at the winners' places before pooling: int64 [n_out][h_conv][w_conv]."""
    error = int8_values(g).reshape(d[f.N_OUT], d[f.H_OUT], d[f.W_OUT])
    winner = unpack_argmax(argmax, d)
    channel, y, x = np.indices(error.shape)
    placed = np.zeros((d[f.N_OUT], d[f.H_CONV], d[f.W_CONV]), np.int64)
    np.add.at(placed, (channel, y * d[f.POOL_STRIDE_H] + winner // d[f.POOL_W],
                       x * d[f.POOL_STRIDE_W] + winner % d[f.POOL_W]), error)
    return placed
