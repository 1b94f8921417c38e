"""Runs one job for a host and reports in lines that a program can read.

Every event is one line: "@priot " and a JSON object with the key "event". The same code runs on
the unix port, on an emulated board and on a real one; the host tools start it.
"""

import gc

from . import backend, cores
from .dataset import Dataset, check_dataset
from .events import emit
from .files import reason
from .heap import unload
from .methods import PRUNE, find
from .network import load
from .trainer import Trainer


class _Heap:
    """Largest amount of heap seen in use, and how much there is."""

    def __init__(self):
        self.peak = 0
        self.size = 0
        if hasattr(gc, "mem_alloc"):
            gc.collect()
            self.size = gc.mem_alloc() + gc.mem_free()

    def look(self):
        if hasattr(gc, "mem_alloc"):
            self.peak = max(self.peak, gc.mem_alloc())

    def values(self):
        self.look()
        gc.collect()
        free = gc.mem_free() if hasattr(gc, "mem_free") else 0
        return {"heap_bytes": self.size, "peak_heap_bytes": self.peak, "free_heap_bytes": free}


def run(job):
    """Run a job; failures become one "error" event. Returns True if it succeeded.

    Keys: action ("train", "evaluate", "logits": of every sample of `test`; "bench", or "plan":
    plan.py has its keys), model, test,
    scores (adapter to start from or apply), backend, cores (1: leave core 1 alone), flash (as of
    load); to train also
    train, method, options (keywords of Trainer), epochs, validate (test after every epoch), steps
    (of a bench), save, mask (files to write), add (names of classes to add first), stop_on_stdin
    (end as by Ctrl-C when something comes in there, or it is closed), and what fit calls so:
    balance, replay, share, patience, and keep_best (True: `save` is written for the best epoch
    alone). validate_on: another dataset than test for `validate`. also: datasets that are tested
    wherever `test` is. Datasets are paths, or dictionaries as in stream.py.
    """
    try:
        _ACTIONS[job["action"]](job)
    except KeyboardInterrupt:
        emit("error", kind="KeyboardInterrupt", text="stopped by Ctrl-C")
        return False
    except (ValueError, OSError, MemoryError, ImportError) as e:
        emit("error", kind=type(e).__name__, text=_text(e))
        return False
    return True


def _text(e):
    if isinstance(e, OSError) and len(e.args) == 1:
        return reason(e)
    if isinstance(e, OSError):
        return str(e.args[1])
    return str(e)


def _start(job):
    backend.use(job.get("backend"))
    cores.use(job.get("cores") or 2)
    heap = _Heap()
    path = job["model"]
    try:
        net = load(path, job.get("flash"))
    except OSError as e:
        raise OSError(e.errno, "%s: %s" % (path, _text(e)))
    heap.look()
    return net, heap


def _evaluate(job):
    net, heap = _start(job)
    if job.get("scores"):
        net.apply(job["scores"])
    emit("start", backend=net.backend, network=repr(net), n_weights=net.n_weights, **heap.values())
    _tests(net, job, "after", heap)
    emit("done", **heap.values())


def _logits(job):
    net, _ = _start(job)
    emit("start", backend=net.backend)
    source = _source(job["test"])
    with Dataset(source) if isinstance(source, str) else source as data:
        check_dataset(data, net)
        for i in range(len(data)):
            data.read(i, net.record)
            net.forward()
            emit("logits", sample=i, values=[(v ^ 128) - 128 for v in net.logits])
    emit("done")


def _tests(net, job, when, heap, stop=None):
    """Test on every dataset of the job: an event `when` of the first, "also" of every other."""
    if job.get("test"):
        _test(net, job["test"], heap, stop, when)
    for i, source in enumerate(job.get("also") or ()):
        _test(net, source, heap, stop, "also", number=i, when=when)


def _test(net, source, heap, stop, event, **more):
    from .evaluation import Evaluation

    result = Evaluation.of(net, _source(source), stop)
    heap.look()
    if net.loss_kind:
        emit(event, total=result.total, error=result.sum, by_label=result.by_label, **more)
        return
    emit(event, total=result.total, correct=result.correct,
         confusion=[list(row) for row in result.confusion], **more)


def _train(job):
    if job.get("mask") and find(job.get("method", "priot")).rule != PRUNE:
        raise ValueError("mask: %s prunes nothing; save writes what it learned" % job["method"])
    net, heap = _start(job)
    for name in job.get("add", ()):
        net.add_class(name)
    stop = _stdin_watch() if job.get("stop_on_stdin") else None
    resumed = job.get("scores")
    if not resumed:
        _tests(net, job, "before", heap, stop)
    opened = {}
    try:
        for key, value in (("train", job["train"]), ("replay", job.get("replay")), (
                "validate", job.get("validate_on") or (job.get("validate") and job["test"]))):
            if value:
                opened[key] = _source(value)
                if isinstance(value, str):
                    opened[key] = Dataset(value)
        _survey(net, opened, job)
        trainer = Trainer(net, job.get("method", "priot"), **job.get("options", {}))
        if resumed:
            trainer.load(resumed)
            _tests(net, job, "before", heap, stop)
        heap.look()
        emit("start", backend=net.backend, network=repr(net), trainer=repr(trainer),
             n_weights=net.n_weights, n_params=sum([a.n_params for a in trainer.layers]),
             training_bytes=trainer.ram_bytes, layout=trainer.layout, warnings=trainer.warnings,
             **heap.values())
        history = _fit(trainer, opened, job, heap, stop)
    finally:
        for dataset in opened.values():
            dataset.close()
    if job.get("save") and not history:
        trainer.save(job["save"])
    if job.get("mask"):
        trainer.export_mask(job["mask"])
    _tests(net, job, "after", heap)
    best = trainer.best
    finished = trainer.epoch >= job.get("epochs", 1) or bool(best and not trainer.is_stopped)
    if best:
        best = {"epoch": best.epoch, "total": best.total,
                "error" if net.loss_kind else "correct": abs(best.goodness)}
    emit("done", finished=finished, epochs=trainer.epoch, best=best, **heap.values())


def _survey(net, opened, job):
    """Say what there is to learn; before the training takes its memory."""
    from .survey import Survey

    survey = Survey(net, opened["train"], opened.get("replay"), opened.get("validate"),
                    job.get("balance"), not job.get("scores"))
    emit("data", text=survey.text(), names=list(survey.names), counts=survey.counts,
         replayed=survey.replayed, warnings=survey.warnings)
    unload("survey", "names")
    gc.collect()


def _fit(trainer, opened, job, heap, stop):
    def progress(record):
        heap.peak = max(heap.peak, record["heap_bytes"])
        emit("epoch", **record)

    save, best = job.get("save"), job.get("keep_best")
    return trainer.fit(
        opened["train"], epochs=max(0, job.get("epochs", 1) - trainer.epoch),
        validate=opened.get("validate"), checkpoint=None if best else save, progress=progress,
        verbose=False, stop=stop, balance=job.get("balance", False), replay=opened.get("replay"),
        share=job.get("share") or 50, keep_best=save if best else None,
        patience=job.get("patience") or 0)


def _source(value):
    """A dataset of a job: its path, or the description of one whose samples the host sends."""
    if not isinstance(value, dict):
        return value
    from .stream import HostDataset

    return HostDataset(value)


def _stdin_watch():
    """A function that tells, without waiting, whether standard input has something to read."""
    import select
    import sys

    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)

    def ready():
        for _ in poll.ipoll(0):
            return True
        return False

    return ready


def _bench(job):
    gc.collect()
    at_rest = gc.mem_free()
    net, heap = _start(job)
    trainer = Trainer(net, job.get("method", "priot"), **job.get("options", {}))
    emit("bench", backend=net.backend, network=repr(net), layout=trainer.layout,
         stages=[repr(stage) for stage in net.stages], free_heap_at_rest_bytes=at_rest,
         kernels=[net.kernels_of(stage.plan).plan_name(stage.plan) for stage in net.stages],
         heap_bytes=heap.size, **_measured(trainer, job))
    emit("done")


def _measured(trainer, job):
    from . import bench

    with cores.BothCores(trainer.net.kernels):
        return dict(bench.measure(trainer, _source(job["train"]), job["steps"]),
                    cores=cores.at_work)


def _plan(job):
    from . import plan

    plan.run(job)


_ACTIONS = {"train": _train, "evaluate": _evaluate, "logits": _logits, "bench": _bench,
            "plan": _plan}
