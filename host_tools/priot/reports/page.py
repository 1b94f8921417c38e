"""Fills the templates of pages: one file, nothing is fetched, foreign text is escaped."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

# The page itself forbids every fetch and every script.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("priot.reports"), autoescape=True,
                              trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"percent": "{:.1f} %".format, "count": "{:,}".format}
    return environment


def render(template: str, **values: Any) -> str:
    """A page of templates/TEMPLATE."""
    return _environment().get_template(template).render(policy=POLICY, **values)
