"""A model on an emulated Pico: what it computes and learns beside the unix port, its time and RAM.

    PYTHONPATH=tests .venv/bin/python -m flash_on_pico MODEL DATASET [--steps 50]
        [--method priot-s --options '{"fraction": 5}'] [--weights-in flash] [--calls]

Compares the logits of --images samples on one core and on both, then the logits and all that is
learned after each of --steps training steps, with MicroPython on this machine, where the weights
lie in RAM. Says how long an inference and a step take on the Pico, at 125 MHz with the misses of
its flash cache, and what is free of its heap; --calls: kernel by kernel. Status 1 where a byte
differs, or the board complains.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pico_support import running_pico
from priot.transport import BoardTransport
from support import micropython

SCRIPT = """
import gc, json, priot
from binascii import crc32
from priot.calls import run_timed
from priot.clock import ticks_diff, ticks_us
def say(**values):
    print("@" + json.dumps(values))
def free():
    gc.collect()
    return gc.mem_free()
job = json.loads({job!r})
net = priot.load({model!r}, job["flash"])
data = priot.Dataset({data!r})
say(loaded=repr(net), free=free(), in_flash=net.flash_bytes, weights=net.n_weights)
def inferences(cores):
    crcs, us = [], 0
    with priot.BothCores():
        cores = priot.cores.at_work
        for i in range(job["images"]):
            data.read(i % len(data), net.record)
            start = ticks_us()
            net.forward()
            us += ticks_diff(ticks_us(), start)
            crcs.append(crc32(net.logits))
    say(cores=cores, logits=crcs, us=us // max(1, job["images"]))
for n in (1, 2):
    priot.cores.use(n)
    inferences(n)
class Sum:
    us = 0
    def add(self, i, us):
        self.us += us
        if job["calls"]:
            say(call=i, us=us)
if job["steps"]:
    t = priot.Trainer(net, job["method"], seed=5, gmin=0, **job["options"])
    say(trainer=repr(t), free=free(), work=net.work_bytes)
    timed = 0
    for i in range(job["steps"]):
        priot.cores.use(1 if i == 1 else 2)
        with priot.BothCores():
            cores = priot.cores.at_work
            label = data.read(i % len(data), net.record)
            start = ticks_us()
            t.step(label)
            us = ticks_diff(ticks_us(), start)
        crc = crc32(net.logits)
        for layer in t.layers:
            crc = crc32(layer.stage.bias, crc32(layer.scores or layer.stage.w, crc))
        say(step=i, crc=crc, us=us, cores=cores)
    if job["calls"]:
        data.read(0, net.record)
        with priot.BothCores():
            run_timed(net.forward_calls, Sum().add, 0)
            run_timed(t.backward_calls, Sum().add, 100)
"""


def answers(text: str) -> list[dict[str, Any]]:
    """What a script said, in lines of JSON."""
    return [json.loads(line[1:]) for line in text.splitlines() if line.startswith("@")]


def on_pico(script: str, files: dict[str, bytes], show: bool) -> list[dict[str, Any]]:
    """Run a script on an emulated Pico that has these files. Raises SystemExit."""
    said = bytearray()

    def hear(data: bytes) -> None:
        said.extend(data)
        if show:
            sys.stderr.write(data.decode(errors="replace").replace("\r\n", "\n"))
            sys.stderr.flush()

    with (tempfile.TemporaryDirectory(prefix="priot-flash-") as folder,
          running_pico(Path(folder), files) as pico):
        transport = BoardTransport(pico.port, wait=10)
        try:
            transport.enter_raw_repl()
            _, error = transport.exec_raw(script, timeout=None, data_consumer=hear)
        finally:
            transport.close()
    if error:
        raise SystemExit(error.decode())
    return answers(said.decode().replace("\r\n", "\n"))


def compare(model: Path, data: Path, job: dict[str, Any], show: bool = False,
            ) -> tuple[list[dict[str, Any]], list[str]]:
    """What the Pico said, and how the unix port differs from it."""
    found = on_pico(SCRIPT.format(job=json.dumps(job), model=model.name, data=data.name),
                    {path.name: path.read_bytes() for path in (model, data)}, show)
    wanted = answers(micropython(
        SCRIPT.format(job=json.dumps({**job, "flash": None, "calls": False}), model=str(model),
                      data=str(data)),
        backend="native", heap_bytes=16_000_000).stdout)
    ours, theirs = ([[event.get("logits"), event.get("crc")] for event in events
                     if "logits" in event or "crc" in event] for events in (found, wanted))
    faults = [f"the Pico: {one}, the unix port: {other}"
              for one, other in zip(ours, theirs, strict=True) if one != other]
    return found, faults


def main() -> int:
    """Compare, and print what it takes; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--method", default="priot-s")
    parser.add_argument("--options", type=json.loads, default={}, help="keywords, as JSON")
    parser.add_argument("--weights-in", choices=("ram", "flash"))
    parser.add_argument("--calls", action="store_true", help="the time of every call, too")
    parser.add_argument("--show", action="store_true", help="what the board says, as it comes")
    args = parser.parse_args()
    job = {"flash": args.weights_in and args.weights_in == "flash", "steps": args.steps,
           "images": args.images, "method": args.method, "options": args.options,
           "calls": args.calls}
    found, faults = compare(args.model, args.data, job, args.show)
    for event in found:
        for name in ("loaded", "trainer"):
            if name in event:
                print(f"{event[name]}\n{event['free']:,} bytes of heap are free")
        if "logits" in event:
            print(f"inference on {event['cores']} cores: {event['us'] / 1000:.1f} ms, "
                  f"{event['us'] * 125:,} cycles")
        if "call" in event:
            print(f"call {event['call']}: {event['us']} us")
    for cores in (1, 2):
        times = [event["us"] for event in found if "step" in event and event["cores"] == cores]
        if times:
            print(f"{len(times)} steps on {cores} cores: {sum(times) / len(times) / 1000:.1f} ms")
    print(*faults, sep="\n", end="\n" if faults else "")
    print("logits and steps are those of the unix port" if not faults else "bytes differ")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
