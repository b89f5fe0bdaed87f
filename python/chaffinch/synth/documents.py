"""Sources that are not one record a row: QuAC's nested passages, folders of news stories and of APPS' problems."""

from pathlib import Path

import numpy as np

from chaffinch import draw
from chaffinch.synth.formats import encode
from chaffinch.synth.plan import VERSION, File
from chaffinch.synth.words import NAMES, VERBS, sentence, title

QUESTIONS_PER_PASSAGE = 7
STORIES_PER_FOLDER = 5_000
SENTENCES = 14
SOLUTIONS_PER_PROBLEM = 10


def write_quac(path: Path, file: File, seed: int) -> None:
    """A file in QuAC's format: passages, each with up to seven questions; a row is a question."""
    stream = draw.key(VERSION, seed, "passages", file.path)
    passages = []
    for number, start in enumerate(range(0, file.rows, QUESTIONS_PER_PASSAGE)):
        bits = draw.draws(stream, np.array([number], np.uint64), SENTENCES)[0].tolist()
        sentences = [sentence(one) for one in bits]
        context = " ".join(sentences) + " CANNOTANSWER"
        questions = []
        for turn in range(min(QUESTIONS_PER_PASSAGE, file.rows - start)):
            answer = sentences[turn] if bits[turn] & 7 else "CANNOTANSWER"
            found = {"text": answer, "answer_start": context.index(answer)}
            name, verb = NAMES[(bits[turn] >> 45) & 63], VERBS[(bits[turn] >> 15) & 63]
            questions.append(
                {
                    "followup": "ynm"[bits[turn] % 3],
                    "yesno": "x",
                    "question": f"Who {verb} what in part {turn + 1} of passage {number}, asks {name}?",
                    "answers": [found],
                    "id": f"C_{bits[0]:016x}_{number}_q#{turn}",
                    "orig_answer": found,
                }
            )
        paragraph = {"context": context, "qas": questions, "id": f"C_{bits[0]:016x}_{number}"}
        passages.append(
            {
                "paragraphs": [paragraph],
                "section_title": title(bits[1]),
                "background": sentence(bits[2]),
                "title": title(bits[3]),
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(encode({"data": passages}) + "\n", encoding="utf-8")


def write_stories(folder: Path, file: File, seed: int) -> None:
    """One file a story: paragraphs, then each point of the summary under `@highlight`."""
    stream = draw.key(VERSION, seed, "stories", file.path)
    for number in range(file.rows):
        if number % STORIES_PER_FOLDER == 0:
            below = folder / f"{number // STORIES_PER_FOLDER:03d}"
            below.mkdir(parents=True, exist_ok=True)
        bits = draw.draws(stream, np.array([number], np.uint64), SENTENCES + 3)[0].tolist()
        texts = [
            f"{title(bits[0])} (Synthetic News) -- {sentence(bits[0])}",
            *map(sentence, bits[1:SENTENCES]),
        ]
        highlights = [part for one in bits[SENTENCES:] for part in ("@highlight", sentence(one).rstrip("."))]
        (below / f"{bits[0]:016x}{number:08x}.story").write_text(
            "\n\n".join([*texts, *highlights]) + "\n", encoding="utf-8"
        )


def write_problems(folder: Path, file: File, seed: int) -> None:
    """APPS: a folder a problem, each with up to ten solutions; a row is a solution."""
    stream = draw.key(VERSION, seed, "problems", file.path)
    for number, start in enumerate(range(0, file.rows, SOLUTIONS_PER_PROBLEM)):
        bits = draw.draws(stream, np.array([number], np.uint64), SENTENCES)[0].tolist()
        below = folder / f"{number:04d}"
        below.mkdir(parents=True)
        solutions = [
            f"n = int(input())\nprint(n + {1 + bits[0] % 9_000})  # way {way + 1}\n"
            for way in range(min(SOLUTIONS_PER_PROBLEM, file.rows - start))
        ]
        asked = f"Problem {number} of {title(bits[0])}: print the number given and {1 + bits[0] % 9_000} more."
        (below / "question.txt").write_text(f"{asked}\n\n{' '.join(map(sentence, bits[:6]))}\n", encoding="utf-8")
        (below / "solutions.json").write_text(encode(solutions), encoding="utf-8")
        (below / "metadata.json").write_text(encode({"difficulty": "interview"}), encoding="utf-8")
