"""One page that shows what a build did: the flow of rows, what went and why, what is left."""

from pathlib import Path

from chaffinch.output import REPORT
from chaffinch.report.folder import Folder
from chaffinch.report.html import render


def write_report(out: Path) -> Path:
    """Writes `report.html`, one file that needs nothing else, into a finished output folder.

    Args:
        out: a folder with `manifest.json` and the mixture; ledger and quarantine may be missing.

    Returns:
        The report's path.

    Raises:
        DataError: the folder holds no finished build, or one of its files is damaged.
        OSError: the report cannot be written.
    """
    folder = Folder(out)
    path = folder.path / REPORT
    temporary = path.with_name(f".{REPORT}.tmp")
    try:
        temporary.write_text(render(folder), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
