"""Builds the wheel: the package `priot`, with what a board is given inside (priot/bundle)."""

import os
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Apart from what set-up builds, and with nothing of an earlier version in it.
FOLDER = ROOT / "build" / "wheel"

sys.path.insert(0, str(ROOT / "host_tools"))

from priot.errors import PriotError  # noqa: E402
from priot.package.bundle import version, write_bundle  # noqa: E402


class BuildWithBundle(build_py):
    """Adds the bundle to a wheel; an editable installation takes all from the checkout."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "priot"
        try:
            write_bundle(package / "bundle")
        except PriotError as error:
            sys.exit(f"priot: {error}")
        for path in package.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")  # the same bytes whenever it is built
shutil.rmtree(FOLDER, ignore_errors=True)
setup(version=version(), cmdclass={"build_py": BuildWithBundle},
      options={"build": {"build_base": str(FOLDER)},
               "bdist_wheel": {"bdist_dir": str(FOLDER / "bdist")}})
