"""What the command line says when something is wrong: a message, a hint, an exit code.

What the user can mend never gives a traceback; our own mistakes do.
"""

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from chaffinch.errors import RecipeError

DATA = 1
USAGE = 2
INTERRUPTED = 130


_DECIDED = ": what was read and decided so far is kept, the same command goes on from there"
_KEPT = {
    "build": _DECIDED,
    "score": _DECIDED,
    "train": ": the same command goes on from the last checkpoint",
}


class Verbs(TyperGroup):
    """The group of all verbs, which turns their exceptions into exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb that `ctx` names."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(f"interrupted{_KEPT.get(ctx.invoked_subcommand, '')}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except RecipeError as error:
            _tell(error)
            raise typer.Exit(USAGE) from None
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                # Whoever read our output has seen enough; Typer ends quietly.
                raise
            _tell(error)
            raise typer.Exit(DATA) from None
        except MemoryError as error:
            _tell(
                MemoryError(f"out of memory: {error}\nhint: close other programs, raise the limit, or give less data")
            )
            raise typer.Exit(DATA) from None
        except RuntimeError as error:
            # Python's own words when the operating system gives no thread.
            if "can't start new thread" not in str(error):
                raise
            _tell(RuntimeError(f"{error}\nhint: give fewer --threads, or raise the limit of processes (`ulimit -u`)"))
            raise typer.Exit(DATA) from None


def _tell(error: Exception) -> None:
    from chaffinch.report.visible import visible

    # Messages quote data and file names, which may hold what a terminal would obey.
    message = visible(str(error)) or type(error).__name__
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message += "\nhint: free some space; `chaffinch build --cache DIR` keeps what is read elsewhere"
    elif isinstance(error, OSError) and "hint: " not in message:
        message += "\nhint: see that the path is right, and that it may be read or written"
    typer.echo(f"error: {message}", err=True)
