"""What every subcommand shares: the option `--json FILE` and writing the report it names."""

import argparse
import json
from pathlib import Path
from typing import Any

from host_tools.formats.container import write_file


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json FILE`; read it as `args.json` (None where it is not given)."""
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="also write what is reported as JSON")


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """Write a report, atomically, if a path is given. Raises OSError."""
    if path is not None:
        write_file(path, (json.dumps(report, indent=2) + "\n").encode())
