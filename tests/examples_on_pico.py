"""A worked example on an emulated Pico: what it prints, how long it takes, the heap it wants.

    PYTHONPATH=tests .venv/bin/python -m examples_on_pico watch
    PYTHONPATH=tests .venv/bin/python -m examples_on_pico anomaly
    PYTHONPATH=tests .venv/bin/python -m examples_on_pico keywords

Their data must be there: `make watch-data`, `make anomaly-data`, measure.py of the keywords. The
time is the Pico's own, at 125 MHz; the heap in use is looked at when what was learned is saved,
where network, trainer and kept samples are all there.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from pico_support import running_pico
from priot.paths import BUILD, ROOT
from priot.transport import BoardTransport

EXAMPLES = ROOT / "device" / "examples"
DATA = {  # what the example reads, beside its own network; the line that starts it
    "watch": (["minute.imu", "later.imu"], ""),
    "anomaly": (["learn.pcm", "normal.pcm", "other.pcm"], ""),
    "keywords": (["theo.priot", "theo.words"], "main('theo')\n"),
}
BEFORE = """
import gc, time, priot
_began = time.ticks_ms()
_save = priot.Trainer.save
def _look(trainer, path):
    gc.collect()
    print("heap in use: %d of %d bytes" % (gc.mem_alloc(), gc.mem_alloc() + gc.mem_free()))
    _save(trainer, path)
priot.Trainer.save = _look
"""
AFTER = """
print("took %d s" % (time.ticks_diff(time.ticks_ms(), _began) // 1000))
"""


def show(data: bytes) -> None:
    """Print what the board says as it comes."""
    sys.stdout.write(data.decode(errors="replace").replace("\r\n", "\n").replace("\x04", ""))
    sys.stdout.flush()


def main() -> int:
    """Run it; 1 where the board complains."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=DATA)
    parser.add_argument("--data", type=Path, help="folder of its data (default build/EXAMPLE)")
    args = parser.parse_args()
    folder = EXAMPLES / args.example
    data = args.data or BUILD / args.example
    names, call = DATA[args.example]
    files = {name: (data / name).read_bytes() for name in names}
    files |= {path.name: path.read_bytes() for path in folder.glob("*.priot")}
    script = (folder / f"{args.example}.py").read_text()
    with (tempfile.TemporaryDirectory(prefix="priot-example-") as scratch,
          running_pico(Path(scratch), files) as pico):
        transport = BoardTransport(pico.port, wait=10)
        try:
            transport.enter_raw_repl()
            _, error = transport.exec_raw(BEFORE + script + "\n" + call + AFTER, timeout=None,
                                          data_consumer=show)
        finally:
            transport.close()
    if error:
        print(error.decode(), file=sys.stderr)
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
