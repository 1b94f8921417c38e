"""The errors a user may see: one line, `where: what`, in lower case."""

from collections.abc import Sequence

_BRIEF = 120  # characters of a library's text


class PriotError(Exception):
    """An expected failure; its text is one line, `where: what`, and a line for each of `details`.

    What a damaged file or a noisy line has brought into it is shown by escapes.
    """

    def __init__(self, where: object, what: str, details: Sequence[str] = ()) -> None:
        lines = [f"{where}: {what}", *(f"  {text}" for text in details)]
        super().__init__("\n".join(map(_printable, lines)))
        self.where = str(where)
        self.details = tuple(details)
        self.what = what


class FileError(PriotError):
    """A file that is damaged, of another kind, or does not fit what it is used with."""


def mismatch(field: str, found: object, expected: object) -> str:
    """Text of an error about one field: "kernel: found 0, expected 1..15"."""
    return f"{field}: found {found}, expected {expected}"


def brief(error: BaseException) -> str:
    """What a library's error says, at most a line of it; its kind where it says nothing."""
    text = " ".join(str(error).split())
    return (text[: _BRIEF - 3] + "..." if len(text) > _BRIEF else text) or type(error).__name__


def _printable(text: str) -> str:
    """On one line, without what would move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(" " if c.isspace() else c if c.isprintable() else repr(c)[1:-1] for c in text)
