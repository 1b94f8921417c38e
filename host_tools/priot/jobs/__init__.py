"""Training, evaluating and timing as functions that return a report, on any target."""
