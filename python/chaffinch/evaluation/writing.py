"""IMPACT: writing, looked at by a judge model as INSTRUCTEVAL does."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from chaffinch.evaluation.task import Change, Question, Task, files_of, part, rows_of

SCALES = MappingProxyType(
    {
        "relevance": (
            "How relevant is the text to the prompt? Select a suitable option number between 1 and 5 based on the "
            "options below.",
            (
                "Inadequate: The text fails to provide any relevant information or insights related to the given "
                "prompt.",
                "Limited: The text may contain some relevant information, but significant gaps exist, and key aspects "
                "of the prompt are not adequately covered.",
                "Satisfactory: The text covers the main aspects of the prompt and provides relevant information, but "
                "it lacks depth and may not explore the topic in great detail.",
                "Proficient: The text provides a comprehensive response by addressing the key aspects of the prompt, "
                "offering relevant and well-supported information or arguments. ",
                "Excellent: The text thoroughly and thoughtfully addresses the prompt, demonstrating a comprehensive "
                "understanding of the topic. It offers insightful and original ideas, supported by relevant arguments "
                "and information.",
            ),
        ),
        "coherence": (
            "How coherent is the text? Select a suitable option number between 1 and 5 based on the options below.",
            (
                "Inadequate: The text lacks logical organization, making it difficult to follow. Ideas are disjointed "
                "and phrased awkwardly, requiring significant effort to understand.",
                "Limited: The text demonstrates some attempt at organization, but there are significant gaps in "
                "coherence. Ideas may be loosely connected, and the arguments lack clarity.",
                "Satisfactory: The text generally follows a logical organization, but occasional disruptions or "
                "awkward phrasing may occur. There is an acceptable level of readability and understanding.",
                "Proficient: The text is clearly organized and easy to understand. Ideas and arguments flow smoothly, "
                "contributing to easy comprehension and a pleasant reading experience.",
                "Excellent: The text presents exceptionally coherent writing with a fluent and engaging flow of ideas, "
                "ensuring effortless comprehension and a delightful reading experience.",
            ),
        ),
    }
)
BLANK = " " * 8


def impact(data: Path, shots: int, change: Change) -> Task:
    """IMPACT: no shots, 1,024 new tokens; relevance and coherence from 1 to 5, by a judge."""
    files = files_of("impact/test", data)
    questions = []
    for path in files:
        for at, row in enumerate(rows_of(path)):
            asked = part(row, path, "Prompt", "prompt", "input")
            definition = row.get("Definition") or row.get("definition") or row.get("instruction") or ""
            group = str(row.get("Category") or row.get("category") or "")
            body = f"{definition} {change(asked)}"
            questions.append(Question(str(at), group, body, (), more={"prompt": asked}))
    return Task(
        "impact/test",
        "instructeval",
        shots,
        "writing",
        "items",
        1024,
        files,
        questions,
        judged,
        worst=1.0,
        judges={"relevance": relevance, "coherence": coherence},
    )


def relevance(question: Question, answer: str) -> str:
    """What the judge is asked of an answer's relevance; the layout, odd indents and all, is INSTRUCTEVAL's."""
    return f"Text: {answer}\n{BLANK}\n{BLANK}Prompt: {question.more['prompt']}\n{BLANK}\n{BLANK}{_scale('relevance')}"


def coherence(question: Question, answer: str) -> str:
    """What the judge is asked of an answer's coherence."""
    del question
    return f"Text: {answer}\n{BLANK}\n{BLANK}{_scale('coherence')}"


def _scale(name: str) -> str:
    asked, steps = SCALES[name]
    lines = "".join(f"{BLANK}{number}. {step}\n" for number, step in enumerate(steps, 1))
    return f"{asked}\n\n{lines}{BLANK}"


def judged(question: Question, answers: Sequence[str]) -> float | None:
    """The last digit that the judge wrote, as INSTRUCTEVAL reads it; None when it is none from 1 to 5."""
    del question
    digits = [char for char in answers[0] if char in "0123456789"]
    return float(digits[-1]) if digits and digits[-1] in "12345" else None
