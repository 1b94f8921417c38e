"""What holds for the whole run of the tests."""

import signal


def pytest_configure() -> None:
    """Ctrl-C reaches the commands under test, also where a shell began all this with `&`.

    Such a shell has SIGINT ignored, and what is ignored is inherited. A run that is killed or
    whose terminal is closed ends as by Ctrl-C, with all that it has started.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
