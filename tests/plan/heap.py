# Runs on a board: prints its heap after each step as JSON, [moment, used, free, largest block].
# MODEL, DATASET, METHOD (or "apply"), OPTIONS and BACKEND are defined above this text by
# tests/test_plan_board.py.
import gc
import io
import json
import os

import micropython

moments = []


class Sink(io.IOBase):
    """Keeps what micropython.mem_info() prints in place of the terminal."""

    def __init__(self):
        self.text = bytearray(400)
        self.n = 0

    def write(self, data):
        end = min(len(self.text), self.n + len(data))
        self.text[self.n:end] = data[:end - self.n]
        self.n = end
        return len(data)


sink = Sink()


def look(moment):
    gc.collect()
    gc.collect()
    sink.n = 0
    os.dupterm(sink)
    micropython.mem_info()
    os.dupterm(None)
    text = str(sink.text[:sink.n], "ascii")
    number = text[text.rfind("max free sz: ") + 13:].split()[0]
    moments.append([moment, gc.mem_alloc(), gc.mem_free(), int(number) * 16])


look("boot")
import priot.remote  # noqa: E402, F401  what runs a host's jobs
from priot import Trainer, backend, load  # noqa: E402

look("imported")
if BACKEND != "native":  # noqa: F821
    backend.use(BACKEND)  # noqa: F821
net = load(MODEL)  # noqa: F821
look("loaded")
answer = [moments, [net.weight_bytes, net.work_bytes]]
if METHOD == "apply":  # noqa: F821
    net.apply(**OPTIONS)  # noqa: F821
    look("applied")
else:
    trainer = Trainer(net, METHOD, **OPTIONS)  # noqa: F821
    look("trainer")
    trainer.fit(DATASET, epochs=1, verbose=False,  # noqa: F821
                progress=lambda record: look("training"))
    trainer.save("/learned.scores")
    answer += [trainer.ram_bytes, trainer.layout,
               [net.kernels_of(s.plan).plan_name(s.plan) for s in net.stages]]
print(json.dumps(answer))
