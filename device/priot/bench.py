"""Times training steps and their parts; on an emulated Pico the microseconds are exact cycles."""

import gc
from time import ticks_diff, ticks_us

from .dataset import Dataset
from .trainer import check_dataset


def clock_hz():
    """Clock of the processor in Hz, 0 where MicroPython cannot tell."""
    try:
        import machine

        return machine.freq()
    except (ImportError, AttributeError, TypeError):
        return 0


def measure(trainer, path, steps):
    """Time `steps` training steps that run their backward pass, on samples of a dataset file.

    Returns a dictionary: us_step and us_forward (microseconds, mean; a step includes reading its
    sample), us_read, us_loss, calls: [stage, kernel, us] of every kernel call, samples: how many
    were looked at, peak_heap_bytes: the most heap in use, free_heap_bytes: the least.
    """
    net = trainer.net
    with Dataset(path) as data:
        check_dataset(data, net)
        gc.collect()
        used_before = gc.mem_alloc()
        whole = _whole_steps(trainer, data, steps)
        forward = _forwards(net, data, steps)
        parts = _parts(trainer, data, steps)
        used = max(used_before, gc.mem_alloc())
        free = gc.mem_free()
    return {
        "us_step": whole[0], "us_skipped_step": whole[1], "us_forward": forward,
        "us_read": parts["read"], "us_loss": parts["loss"], "calls": parts["calls"],
        "samples": whole[2], "steps": steps, "clock_hz": clock_hz(),
        "peak_heap_bytes": used, "free_heap_bytes": free,
    }


def _whole_steps(trainer, data, steps):
    """Mean time of reading and learning a sample, with and without a backward pass."""
    times = [0, 0]
    counts = [0, 0]
    i = 0
    while counts[0] < steps and i < 8 * steps:
        skipped = trainer.skipped
        start = ticks_us()
        trainer.step(data.read(i % len(data), trainer.net.record))
        elapsed = ticks_diff(ticks_us(), start)
        kind = trainer.skipped - skipped
        times[kind] += elapsed
        counts[kind] += 1
        i += 1
    return times[0] // max(1, counts[0]), times[1] // max(1, counts[1]), i


def _forwards(net, data, steps):
    total = 0
    for i in range(steps):
        data.read(i % len(data), net.record)
        start = ticks_us()
        net.forward()
        total += ticks_diff(ticks_us(), start)
    return total // steps


def _parts(trainer, data, steps):
    """Mean time of every kernel call. Calling them one by one adds a few microseconds each."""
    net = trainer.net
    calls = net.forward_calls + trainer.backward_calls
    n_forward = len(net.forward_calls)
    times = [0] * len(calls)
    read = loss = done = i = 0
    while done < steps and i < 8 * steps:
        start = ticks_us()
        label = data.read(i % len(data), net.record)
        read += ticks_diff(ticks_us(), start)
        i += 1
        for j in range(n_forward):
            _time(calls[j], times, j)
        start = ticks_us()
        largest = net.kernels.cross_entropy(trainer.loss_operands, label)
        loss += ticks_diff(ticks_us(), start)
        if largest < trainer.gmin:
            continue
        done += 1
        for j in range(n_forward, len(calls)):
            _time(calls[j], times, j)
    names = _names(trainer)
    rows = []
    for j in range(len(calls)):
        n = i if j < n_forward else max(1, done)
        rows.append([names[j][0], names[j][1], times[j] // n])
    return {"read": read // i, "loss": loss // i, "calls": rows}


def _time(call, times, j):
    kernel, operands = call
    start = ticks_us()
    kernel(operands)
    times[j] += ticks_diff(ticks_us(), start)


def _names(trainer):
    """(stage, what) of every call, in the order of the calls."""
    stages = trainer.net.stages
    names = [(i, "forward") for i in range(len(trainer.net.forward_calls))]
    trained = {id(layer.stage): layer for layer in trainer.layers}
    for i in range(len(stages) - 1, stages.index(trainer.first) - 1, -1):
        if stages[i] is not trainer.first:
            names.append((i, "backward_input"))
        layer = trained.get(id(stages[i]))
        if layer is not None:
            names.append((i, "update"))
            if layer.keep:
                names.append((i, "threshold"))
    return names
