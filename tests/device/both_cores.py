"""What tests/test_cores.py does on a board, with two cores and with one."""

import gc
import time
from binascii import crc32

import priot


def learned(trainer):
    """One number for all that was learned."""
    crc = 0
    for layer in trainer.layers:
        # with "small" a buffer of rows, which the scratch of kernels may have overwritten
        kept = layer.stage.weff if trainer.layout == "kept" else b""
        for part in (layer.scores, kept):
            crc = crc32(part, crc)
    return crc


def train(cores, method="priot", source="data.prd", model="a.priot", **options):
    """An epoch; prints its figures and what was learned."""
    priot.cores.use(cores)
    net = priot.load(model)
    trainer = priot.Trainer(net, method, seed=3, gmin=0, **options)
    seen = []
    trainer.fit(source, progress=lambda record: seen.append(record["cores"]), verbose=False)
    print(method, options, seen, priot.cores.at_work, learned(trainer),
          trainer.evaluate("data.prd").correct)
    return trainer


class Samples:
    """The dataset's samples; before each something is done, while core 1 waits."""

    def __init__(self, before):
        self.before = before

    def __iter__(self):
        with priot.Dataset("data.prd") as data:
            for i in range(len(data)):
                self.before(i)
                record = memoryview(bytearray(data.record_bytes))
                label = data.read(i, record)
                yield record[:len(record) - 1], label


def collect(i):
    """Garbage that is collected."""
    for _ in range(20):
        bytearray(300)
    gc.collect()


def write(i):
    """Flash is written: MicroPython stops core 1 for that."""
    with open("written", "wb") as f:
        f.write(bytes([i]) * 900)
    with open("written", "rb") as f:
        assert f.read() == bytes([i]) * 900


def flash_works():
    """Whether a file that is written comes back."""
    write(7)
    return True


def start_and_stop(n):
    """Core 1 started and stopped, and between that left to another thread; the heap stays."""
    import _thread

    priot.cores.use(2)
    with priot.BothCores():
        gc.collect()
        before = gc.mem_alloc()  # with a stack of core 1
    count = []

    def other():
        count.append(1)

    for i in range(n):
        with priot.BothCores():
            assert priot.cores.at_work == 2, i
        assert priot.cores.at_work == 1, i
        if i % 10 == 0:
            time.sleep_ms(2)  # of the thread before
            _thread.start_new_thread(other, ())
            time.sleep_ms(2)
    gc.collect()
    print(n, len(count), gc.mem_alloc() - before < 4096)


class Other:
    """A thread of the user's own, which counts on core 1 until it is told to stop."""

    def __init__(self):
        import _thread

        self.n = 0
        self.ends = False
        _thread.start_new_thread(self.run, ())

    def run(self):
        """Count."""
        while not self.ends:
            self.n += 1

    def stop(self):
        """Let it end; whether it has counted since it was last asked."""
        n = self.n
        time.sleep_ms(5)
        counted = self.n > n
        self.ends = True
        time.sleep_ms(20)
        return counted
