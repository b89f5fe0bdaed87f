"""The command line: one file per verb. What costs time to import is imported by the verb that needs it."""

from chaffinch.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Runs the command line."""
    app(prog_name="chaffinch")
