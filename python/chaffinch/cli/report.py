"""`chaffinch report`."""

import typer

from chaffinch.cli import options


def report(out: options.Finished) -> None:
    """Writes report.html into a finished build's folder again, and prints its path."""
    from chaffinch.report import write_report

    typer.echo(write_report(out))
