"""Records what every golden case learns: record.py CHECKOUT [--again] [-o learned.json].

CHECKOUT is a checkout of this project in which `make setup` was run; its host package is `priot`
in host_tools, or before that `host_tools` itself. Its device package trains on its backbones, and
the figures of all backends must be the same. Those in learned.json were recorded at 964cdbe, those
of methods that came later when they came. What is there already must be learned again; `--again`
replaces it, where a change of arithmetic is meant.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import BACKENDS, NETWORKS, RECORDED, SCRIPT, figures, prepare

HEAP_BYTES = 2_000_000


def host_package(checkout: Path) -> str:
    """Make the host package of a checkout importable; returns its name."""
    is_new = (checkout / "host_tools" / "priot").is_dir()
    sys.path.insert(0, str(checkout / "host_tools" if is_new else checkout))
    return "priot" if is_new else "host_tools"


def record(host: str, network: str, backend: str, folder: Path) -> dict[str, list[str]]:
    """The figures of a network on a backend: its cases are trained in `folder`."""
    formats, package, paths = (importlib.import_module(f"{host}.{name}")
                               for name in ("formats", "package", "paths"))
    where = [package.compile_package("x64"), paths.native_module("x64").parent]
    arguments = prepare(formats.Dataset, paths.BACKBONES / f"{network}.priot", network, backend,
                        folder)
    result = subprocess.run(
        [paths.tool("micropython"), "-X", f"heapsize={HEAP_BYTES}", SCRIPT, *arguments],
        env=dict(os.environ, MICROPYPATH=os.pathsep.join(map(str, where))),
        stdout=subprocess.PIPE, text=True, check=True)
    return figures(network, backend, result.stdout, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=RECORDED)
    parser.add_argument("--again", action="store_true", help="replace figures that differ")
    arguments = parser.parse_args()
    host = host_package(arguments.checkout.resolve())
    learned: dict[str, list[str]] = {}
    for network in NETWORKS:
        for backend in BACKENDS:
            with tempfile.TemporaryDirectory() as folder:
                found = record(host, network, backend, Path(folder))
            for name, figure in found.items():
                if learned.setdefault(name, figure) != figure:
                    sys.exit(f"{name}: {backend} learns otherwise than {BACKENDS[0]}")
    before = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for name in before.keys() & learned.keys() if not arguments.again else ():
        if learned[name] != before[name]:
            sys.exit(f"{name}: learns otherwise than recorded")
    lines = [f"{json.dumps(name)}: {json.dumps(figure)}" for name, figure in learned.items()]
    arguments.output.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
