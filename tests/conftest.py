"""What holds for the whole run of the tests."""

import signal


def pytest_configure() -> None:
    """Ctrl-C reaches the commands under test, also where a shell began all this with `&`.

    Such a shell has SIGINT ignored, and what is ignored is inherited. A run that is killed or
    whose terminal is closed (unless nohup is there) ends as by Ctrl-C, with all that it started.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
