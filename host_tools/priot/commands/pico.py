"""`priot pico`: an emulated Pico in a terminal, for those without a board."""
import argparse
from pathlib import Path

from priot.emulator import Pico
from priot.paths import BUILD


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `pico` to the parser of the command `priot`."""
    parser = subparsers.add_parser("pico", help="start an emulated Pico")
    parser.add_argument("--folder", type=Path, default=BUILD / "pico",
                        help="where its flash and its port are (default: build/pico)")
    parser.add_argument("--firmware", type=Path, metavar="UF2",
                        help="firmware (default: build/firmware/RPI_PICO.uf2)")


def main(args: argparse.Namespace) -> int:
    """Runs until Ctrl-C, which is power off."""
    pico = Pico(args.folder, args.firmware)
    pico.start()
    print(f"A Pico is on. Its files are kept in {_short(pico.flash)}. Its serial port:\n\n"
          f"    mpremote connect {_short(Path(pico.port))}\n\n"
          "Ctrl-C here switches it off.", flush=True)
    try:
        pico.wait()
        print("The Pico has lost its power.")
    except KeyboardInterrupt:
        print()
    finally:
        pico.kill()
    return 0


def _short(path: Path) -> Path:
    """`path` from the current folder where it lies below it."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
