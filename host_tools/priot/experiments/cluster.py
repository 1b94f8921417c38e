"""Does runs on several machines, through Dask distributed (the extra `dask`).

This machine makes the files of a run and keeps the results, as without a cluster. A worker gets
the files' bytes with the run, so it needs no folder in common with this machine: only priot of the
same version and MicroPython's unix port. Results do not depend on where a run is done, but for
seconds and backend. Dask gives the runs of a worker that is lost to another one.
"""

import importlib
import logging
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from priot.errors import PriotError, brief
from priot.experiments.spec import Run
from priot.experiments.workbench import Stopped, Workbench, measure
from priot.formats.container import read_crc

RUNS_AT_ONCE = 256  # given to the scheduler, which has them wait for a worker
_CONNECT_S = 10
_LOOK_S = 1  # how often a waiting run looks whether it is to stop


def on_worker(run: Run, names: Sequence[str], contents: Sequence[bytes], stop: str,
              wanted: str) -> dict[str, Any]:
    """What `measure` returns; or {"error": what went wrong}.

    names, contents: of the files of model, training and test data, no two of one name. stop: name
    of the event that ends the run. wanted: version of priot.
    """
    from distributed import Event, get_worker

    where = f"worker {get_worker().address}"
    if version("priot") != wanted:
        return {"error": f"{where} has priot {version('priot')}, here it is {wanted}"}
    try:
        with tempfile.TemporaryDirectory(prefix="priot-") as folder:
            model, train, test = (Path(folder, name) for name in names)
            for path, content in zip((model, train, test), contents, strict=True):
                path.write_bytes(content)
            return measure(run, (model, train, test), Event(stop).is_set)
    except Stopped:
        return {"error": f"{where}: stopped"}
    except (PriotError, OSError) as error:
        return {"error": f"{where}: {brief(error)}"}


class ClusterWorkbench(Workbench):
    """A workbench whose runs are done by the workers of a Dask client."""

    def __init__(self, client: Any, folder: Path, data_path: Path | None = None) -> None:
        super().__init__(folder, data_path)
        self._client = client
        self._stop_name = f"priot-stop-{uuid.uuid4()}"
        self._sent: dict[str, Any] = {}  # futures of the contents of files, by their CRC32

    def measure(self, run: Run, files: tuple[Path, Path, Path]) -> dict[str, Any]:
        """As Workbench.measure. Raises PriotError, Stopped."""
        contents = [self._content(path) for path in files]
        future = self._client.submit(on_worker, run, [path.name for path in files], contents,
                                     self._stop_name, version("priot"), pure=False)
        done = threading.Event()  # result() with a timeout of its own may end in neither
        future.add_done_callback(lambda _: done.set())
        while not done.wait(_LOOK_S):
            if self.stop.is_set():
                raise Stopped
            if self._client.status == "closed":
                raise PriotError("--scheduler", "the connection is lost")
        try:
            found = future.result()
        except Exception as error:  # of Dask, or of a worker without priot
            raise PriotError("--scheduler", brief(error)) from None
        if self.stop.is_set():
            raise Stopped
        if "error" in found:
            raise PriotError("--scheduler", found["error"])
        return found

    def _content(self, path: Path) -> Any:
        """A future of a file's bytes, sent once and kept by the scheduler while this runs."""
        with self._making:
            crc = read_crc(path)
            if crc not in self._sent:
                self._sent[crc] = self._client.submit(
                    bytes, path.read_bytes(), key=f"{path.name}-{crc}-{self._stop_name}")
            return self._sent[crc]

    def stop_workers(self) -> None:
        """Runs under way on workers end at their next event."""
        importlib.import_module("distributed").Event(self._stop_name, client=self._client).set()


@contextmanager
def connected(address: str, folder: Path, data_path: Path | None = None,
              ) -> Iterator[ClusterWorkbench]:
    """A workbench with the workers of a scheduler. Raises PriotError."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise PriotError("--scheduler", "the package distributed is not installed; "
                         "pip install priot[dask]") from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are told in one line
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise PriotError("--scheduler", f"{address}: {brief(error)}") from None
    with client:
        if not client.nthreads():
            raise PriotError("--scheduler", f"{address} has no workers; start some by "
                             f"'dask worker {address}' where priot is installed")
        bench = ClusterWorkbench(client, folder, data_path)
        try:
            yield bench
        except BaseException:
            with suppress(Exception):  # the scheduler may be what is lost
                bench.stop_workers()
            raise
