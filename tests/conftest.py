"""What holds for the whole run of the tests."""

import signal

import pytest


def pytest_configure() -> None:
    """Ctrl-C reaches the commands under test, also where a shell began all this with `&`.

    Such a shell has SIGINT ignored, and what is ignored is inherited. A run that is killed or
    whose terminal is closed (unless nohup is there) ends as by Ctrl-C, with all that it started.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true",
                     help="in full: more moments and cases of what a run samples otherwise")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether tests are to take their long form (`make test-long`)."""
    return request.config.getoption("--long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `long` belong to the long form only."""
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
