"""What holds for the whole run of the tests."""

import signal


def pytest_configure() -> None:
    """Ctrl-C reaches the commands under test, also where a shell began all this with `&`.

    Such a shell has SIGINT ignored, and what is ignored is inherited.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
