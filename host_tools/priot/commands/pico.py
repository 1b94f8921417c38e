"""`priot pico`: an emulated Pico in a terminal, for those without a board."""
import argparse
import shlex
import signal
from pathlib import Path

from priot.emulator import Pico
from priot.paths import PICO_FOLDER


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `pico` to the parser of the command `priot`."""
    parser = subparsers.add_parser("pico", help="start an emulated Pico")
    parser.add_argument("--folder", type=Path, default=PICO_FOLDER,
                        help="where its flash and its port are (default: build/pico)")
    parser.add_argument("--firmware", type=Path, metavar="UF2",
                        help="firmware (default: build/firmware/RPI_PICO.uf2)")


def main(args: argparse.Namespace) -> int:
    """Runs until Ctrl-C, or another signal to end, which is power off."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, signal.default_int_handler)
    pico = Pico(args.folder.absolute(), args.firmware)
    try:
        pico.start()
        print(f"A Pico is on. Its files are kept in {pico.flash}. Its serial port:\n\n"
              f"    mpremote connect {shlex.quote(pico.port)}\n\n"
              "Ctrl-C here switches it off.", flush=True)
        pico.wait()
        print("The Pico is in its bootloader, a USB drive, which is not emulated. Start it again."
              if pico.in_bootloader else "The Pico has lost its power.")
    except KeyboardInterrupt:
        print()
    finally:
        pico.kill()
    return 0

