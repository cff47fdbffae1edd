"""HTML pages from the templates of this package."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .formatting import percent, plus_minus, si, significant


def page_from(template: str, **values: Any) -> str:
    """Render a template. Text is escaped; an undefined name raises.

    In templates, the filters `percent`, `pm`, `si` and `sig` are the functions of `formatting`.
    """
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, pm=plus_minus, si=si, sig=significant)
    return environment.get_template(template).render(**values)
