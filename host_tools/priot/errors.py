"""The errors a user may see: one line, `where: what`, in lower case."""


class PriotError(Exception):
    """An expected failure; its text is one line, `where: what`."""

    def __init__(self, where: object, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = str(where)
        self.what = what


class FileError(PriotError):
    """A file that is damaged, of another kind, or does not fit what it is used with."""


def mismatch(field: str, found: object, expected: object) -> str:
    """Text of an error about one field: "kernel: found 0, expected 1..15"."""
    return f"{field}: found {found}, expected {expected}"
