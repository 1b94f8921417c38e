"""What training says of itself: a line per epoch, a word within long ones, and their list."""

from .evaluation import percent_text, permille

_WIDTH = 60  # of the line that is written over


def counted(n, what):
    """A number and what it counts, as "1 epoch"."""
    return "%d %s%s" % (n, what, "" if n == 1 else "s")


def epoch_text(record):
    """One line on one epoch; one that Ctrl-C ended says after how many samples."""
    text = "epoch %3d  train %s  skipped %s" % (
        record["epoch"], _result(record, "train"), percent_text(record["skipped_permille"]))
    if record["pruned_permille"]:
        text += "  pruned %s" % percent_text(record["pruned_permille"])
    if record["saturated_permille"]:
        text += "  saturated %s" % percent_text(record["saturated_permille"])
    if "validate_permille" in record or "validate_error" in record:
        text += "  test %s" % _result(record, "validate")
    if record.get("best"):
        text += "  best"
    if record["us_per_sample"]:
        us = record["us_per_sample"]
        text += "  %d.%02d ms a sample" % (us // 1000, us % 1000 // 10)
        if record["cores"] > 1:
            text += " on 2 cores"
    if not record["complete"]:
        text += "  (stopped after %s)" % counted(record["samples"], "sample")
    return text


def _result(record, what):
    """A share of right samples, or a mean error."""
    if what + "_error" in record:
        return "error %d" % record[what + "_error"]
    return percent_text(record[what + "_permille"])


def show_sample(trainer, n):
    """Write how far an epoch is, over the line before; n: its samples, 0 where not known."""
    try:
        text = "epoch %3d  %s%s  train %s" % (
            trainer.epoch + 1, counted(trainer.seen, "sample"), " of %d" % n if n else "",
            "error %d" % trainer.squared.train_error(trainer) if trainer.squared else
            percent_text(permille(trainer.correct, max(1, trainer.seen))))
        print("\r%-*s" % (_WIDTH, text), end="")
    except MemoryError:  # no reason to stop
        pass


def clear_line():
    """Take away what show_sample wrote."""
    print("\r%*s\r" % (_WIDTH, ""), end="")


class History(list):
    """Dictionaries of the last epochs; at the prompt a single line."""

    def __repr__(self):
        if not len(self):
            return "<History: no epoch>"
        last = self[-1]
        text = "train %s" % _result(last, "train")
        if "validate_permille" in last or "validate_error" in last:
            text += ", test %s" % _result(last, "validate")
        return "<History of %s; [-1] is epoch %d: %s>" % (
            counted(len(self), "epoch"), last["epoch"], text)
