"""From values to HTML.

Whatever a template prints goes through `show`: no value reaches the page with a character that hides or acts.
"""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from chaffinch.errors import DataError
from chaffinch.report import numbers
from chaffinch.report.folder import Folder
from chaffinch.report.page import contents
from chaffinch.report.visible import MARKED, mark, visible

EXAMPLE_LENGTH = 700
_HERE = Path(__file__).parent


def show(value: Any) -> Any:
    """Jinja's `finalize`: marks the dangerous characters of every string that a template prints."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def example(text: str | None, limit: int = EXAMPLE_LENGTH) -> Markup:
    """Text from data: escaped, cut at `limit` characters, marks set apart from the text's own characters."""
    text = (text or "").replace("\r\n", "\n")
    more = len(text) - limit
    parts, end = [], 0
    for found in MARKED.finditer(text, 0, limit):
        parts += [
            escape(text[end : found.start()]),
            Markup('<span class="mark">{}</span>').format(mark(found[0])),
        ]
        end = found.end()
    parts.append(escape(text[end:limit]))
    if more > 0:
        parts.append(Markup('<span class="more"> … {} more characters</span>').format(f"{more:,}"))
    return Markup("").join(parts)


def environment(folder: Path) -> jinja2.Environment:
    """What renders the templates of a folder: everything escaped, numbers written for people, one style."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        finalize=show,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": numbers.count,
        "percent": numbers.percent,
        "size": numbers.size,
        "duration": numbers.duration,
        "example": example,
    }
    made.globals["style"] = Markup((_HERE / "style.css").read_text(encoding="utf-8"))
    return made


def render(folder: Folder) -> str:
    """The whole page."""
    try:
        return environment(_HERE).get_template("report.html.jinja").render(**contents(folder))
    except (KeyError, TypeError, AttributeError, jinja2.UndefinedError) as error:
        # The manifest is JSON that anyone may have touched: what it lacks is no crash.
        what = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{folder.path / 'manifest.json'} lacks what a report needs: {what}\nhint: build again"
        ) from error
