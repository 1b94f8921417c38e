"""What the device tells a host: a line an event, which a program can read."""

import json

MARK = "@priot "


def emit(event, **values):
    """Print one event: MARK and a JSON object with the key "event"."""
    values["event"] = event
    print(MARK + json.dumps(values))
