"""Times training steps and their parts; how well the flash cache of a Pico did meanwhile."""

import gc
import sys

from .calls import run_timed
from .clock import ticks_diff, ticks_us
from .dataset import Dataset, check_dataset

# of the RP2040 (data sheet, 2.6.3); any write clears them, at 2^32 - 1 they stop
_FLASH_HITS = 0x1400000C
_FLASH_ACCESSES = 0x14000010


def clock_hz():
    """Clock of the processor in Hz, 0 where MicroPython cannot tell."""
    try:
        import machine

        return machine.freq()
    except (ImportError, AttributeError, TypeError):
        return 0


def _registers():
    """machine.mem32 of an RP2040, whose flash cache has counters; None elsewhere."""
    if sys.platform != "rp2" or "RP2040" not in sys.implementation._machine:
        return None
    import machine

    return machine.mem32


def measure(trainer, source, steps):
    """Time `steps` training steps that run their backward pass, on samples of a dataset.

    Whole steps and steps timed call by call take turns, so that both see the same training.
    Returns a dictionary: us_step and us_forward (microseconds, mean; a step includes reading its
    sample), us_skipped_step, us_read, us_loss, calls: [stage, kernel, us] of every kernel call,
    samples: how many were looked at, peak_heap_bytes: the most heap in use, free_heap_bytes,
    flash_accesses and flash_hits: reads of the flash in a step (words of code, and data), and how
    many of them its cache answered; on an RP2040, else 0.
    """
    net = trainer.net
    with Dataset(source) if isinstance(source, str) else source as data:
        check_dataset(data, net)
        gc.collect()
        used = gc.mem_alloc()
        whole = _Mean(2)
        flash, registers = _Mean(2), _registers()
        parts = _Mean(2 + len(net.forward_calls) + len(trainer.backward_calls))
        i = 0
        while whole.counts[0] < steps and i < 16 * steps:
            _whole_step(trainer, data, i % len(data), whole, flash, registers)
            _step_by_parts(trainer, data, (i + 1) % len(data), parts)
            i += 2
        forward = _forwards(net, data, steps)
        used = max(used, gc.mem_alloc())
        free = gc.mem_free()
    rows = [[stage, what, parts.of(2 + j)] for j, (stage, what) in enumerate(_names(trainer))]
    return {
        "us_step": whole.of(0), "us_skipped_step": whole.of(1), "us_forward": forward,
        "us_read": parts.of(0), "us_loss": parts.of(1), "calls": rows,
        "samples": i, "steps": whole.counts[0], "clock_hz": clock_hz(),
        "flash_accesses": flash.of(0), "flash_hits": flash.of(1),
        "peak_heap_bytes": used, "free_heap_bytes": free,
    }


class _Mean:
    """Sums and counts of several durations."""

    def __init__(self, n):
        self.sums = [0] * n
        self.counts = [0] * n

    def add(self, i, us):
        self.sums[i] += us
        self.counts[i] += 1

    def of(self, i):
        return self.sums[i] // max(1, self.counts[i])


def _whole_step(trainer, data, i, mean, flash, registers):
    """Read and learn a sample; entry 0 where its backward pass ran, 1 where it was skipped."""
    accesses = hits = 0
    skipped = trainer.skipped
    if registers:
        registers[_FLASH_ACCESSES] = registers[_FLASH_HITS] = 0
    start = ticks_us()
    trainer.step(data.read(i, trainer.net.record))
    us = ticks_diff(ticks_us(), start)
    if registers:
        hits = registers[_FLASH_HITS]
        accesses = registers[_FLASH_ACCESSES]
    mean.add(trainer.skipped - skipped, us)
    if trainer.skipped == skipped:
        flash.add(0, accesses)
        flash.add(1, hits)


def _step_by_parts(trainer, data, i, mean):
    """The same, call by call: entry 0 reading, 1 the loss, then every kernel call."""
    net = trainer.net
    start = ticks_us()
    label = data.read(i, net.record)
    mean.add(0, ticks_diff(ticks_us(), start))
    run_timed(net.forward_calls, mean.add, 2)
    start = ticks_us()
    if trainer.squared:
        trainer.squared.gradient(trainer)
        largest = trainer.loss_operands[3][0]
    else:
        largest = net.kernels.cross_entropy(trainer.loss_operands, label)
    mean.add(1, ticks_diff(ticks_us(), start))
    if largest >= trainer.gmin:
        run_timed(trainer.backward_calls, mean.add, 2 + len(net.forward_calls))


def _forwards(net, data, steps):
    total = 0
    for i in range(steps):
        data.read(i % len(data), net.record)
        start = ticks_us()
        net.forward()
        total += ticks_diff(ticks_us(), start)
    return total // steps


def _names(trainer):
    """(stage, what) of every call, in the order of the calls."""
    last = len(trainer.net.stages) - 1  # where scales are dynamic, one more call follows
    names = [(min(i, last), "forward" if i <= last else "exponent")
             for i in range(len(trainer.net.forward_calls))]
    return names + trainer.call_names
