"""Few-shot answers and how good they are: the score stage.

`prompts` are built, `asking` puts those that `store` has no answer to before an answerer (`nearest`, `local` or
`served`), and `stages.score` measures what came back. torch is imported in `local` alone,
once there is a question.
"""

from chaffinch.score.asking import identity, unanswered
from chaffinch.score.run import account, run, warnings

__all__ = ["account", "identity", "run", "unanswered", "warnings"]
