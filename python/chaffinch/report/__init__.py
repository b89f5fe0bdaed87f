"""One page that shows what a build did: the flow of rows, what went and why, what is left."""

from pathlib import Path

from chaffinch.cache import atomic_path
from chaffinch.output import REPORT, owned_files
from chaffinch.report.folder import Folder
from chaffinch.report.html import render


def write_report(out: Path) -> Path:
    """Writes `report.html`, one file that needs nothing else, into a finished output folder.

    Args:
        out: a folder with `manifest.json` and the mixture; ledger and quarantine may be missing.

    Returns:
        The report's path.

    Raises:
        DataError: the folder holds no finished build, one of its files is damaged, or it holds a `report.html` that no
            build wrote.
        OSError: the report cannot be written.
    """
    folder = Folder(out)
    path = folder.path / REPORT
    owned = owned_files(folder.path)
    if not owned.lists(REPORT):
        owned.claim(REPORT)
    with atomic_path(path) as temporary:
        temporary.write_text(render(folder), encoding="utf-8")
    return path
