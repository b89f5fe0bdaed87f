"""Tasks in the manner of Natural Instructions: the answer follows from the input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from chaffinch.synth.words import (
    ADJECTIVES,
    LANGUAGES,
    NAMES,
    NOUNS,
    PLACES,
    paragraph,
    sentence,
    sentence_in,
    title,
)

Answer = tuple[str, list[str]]
Make = Callable[[Sequence[int], Sequence[int]], Answer]


@dataclass(frozen=True)
class Family:
    """What the tasks of one kind have in common.

    Attributes:
        name: ends the names of its tasks.
        category: as Natural Instructions calls them.
        definition: the instruction; `{topic}` stands for the task's own topic.
        make: from a row's prompt draws (8) and response draws (6) to its input and references.
        labels: the closed set of answers of an exact-match task; empty for generation tasks and for counting.
        exact: whether an answer counts only when it is equal to a reference.
        languages: of input and output.
    """

    name: str
    category: str
    definition: str
    make: Make
    labels: tuple[str, ...] = ()
    exact: bool = False
    languages: tuple[str, str] = ("English", "English")


@dataclass(frozen=True)
class Task:
    """One task: a family applied to a topic."""

    number: int
    topic: str
    family: Family

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"task{self.number:04d}_{self.topic}_{self.family.name}"

    @property
    def definition(self) -> str:
        """Its instruction."""
        return self.family.definition.format(topic=self.topic)


SENTIMENTS = ("positive", "negative")
TOPICS = ("Business", "Health", "Sports", "Travel", "Weather")
RELATIONS = ("entailment", "neutral", "contradiction")
_FEELINGS = {"positive": "I would gladly come back.", "negative": "I want my money back."}
_TOPIC_CUES = {
    "Business": "Profits rose by {} percent.",
    "Health": "The nurses saw {} patients.",
    "Sports": "The home side won by {} points.",
    "Travel": "The trip took {} hours.",
    "Weather": "The rain lasted {} days.",
}


def _sentiment(p: Sequence[int], _: Sequence[int]) -> Answer:
    label = SENTIMENTS[p[7] & 1]
    return f"Review: {paragraph(p[:4])} {_FEELINGS[label]}", [label]


def _topic(p: Sequence[int], _: Sequence[int]) -> Answer:
    label = TOPICS[p[7] % 5]
    return f"{paragraph(p[:3])} {_TOPIC_CUES[label].format(2 + p[7] % 97)} {sentence(p[4])}", [label]


def _toxic(p: Sequence[int], _: Sequence[int]) -> Answer:
    label = ("not toxic", "toxic")[p[7] & 1]
    return (
        f"Comment: {paragraph(p[:3])}{' You useless fool!' if label == 'toxic' else ' Thank you for that.'}",
        [label],
    )


def _entailment(p: Sequence[int], _: Sequence[int]) -> Answer:
    label = RELATIONS[p[7] % 3]
    premise = sentence(p[0])
    hypothesis = {
        "entailment": premise,
        "neutral": sentence(p[4]),
        "contradiction": f"It is not true that: {premise}",
    }[label]
    return f"Premise: {premise} {paragraph(p[1:4])}\nHypothesis: {hypothesis}", [label]


def _answerable(p: Sequence[int], _: Sequence[int]) -> Answer:
    known = p[7] & 1
    asked = p[0] if known else p[5]
    return f"Passage: {paragraph(p[:4])}\nQuestion: What is said in: {sentence(asked)}", ["Yes" if known else "No"]


def _choice(p: Sequence[int], _: Sequence[int]) -> Answer:
    right = p[7] & 3
    options = [title(p[3 + k]) if k != right else ADJECTIVES[p[0] & 63] for k in range(4)]
    listed = " ".join(f"{letter}) {option}" for letter, option in zip("ABCD", options, strict=True))
    return f"{paragraph(p[1:4])} The {ADJECTIVES[p[0] & 63]} one was kept.\nWhich one was kept? {listed}", [
        "ABCD"[right]
    ]


def _count(p: Sequence[int], _: Sequence[int]) -> Answer:
    count = 3 + p[7] % 12
    items = [NOUNS[(p[k % 7] >> (6 * (k // 7))) & 63] for k in range(count)]
    return f"{sentence(p[0])} {sentence(p[1])} The list is: {items}", [str(count)]


def _grammar(p: Sequence[int], _: Sequence[int]) -> Answer:
    wrong = p[7] & 1
    text = paragraph(p[:4])
    return text.replace(" the ", " the the ", 1) if wrong else text, ["incorrect" if wrong else "correct"]


def _tagging(p: Sequence[int], _: Sequence[int]) -> Answer:
    noun = NOUNS[(p[0] >> 9) & 63]
    return f"{paragraph(p[:4])}\nWord: {noun}", ["NOUN"]


def _summary(p: Sequence[int], r: Sequence[int]) -> Answer:
    return paragraph(p[:7]), [f"A report about {title(r[0]).lower()}. {sentence(p[0])}"]


def _title(p: Sequence[int], r: Sequence[int]) -> Answer:
    return paragraph(p[:4]), [title(r[0])]


def _reading(p: Sequence[int], _: Sequence[int]) -> Answer:
    place, name = PLACES[(p[0] >> 33) & 63], NAMES[p[7] & 63]
    return f"{paragraph(p[:4])} Then {name} walked to {place}.\nQuestion: Where did {name} walk to?", [
        place,
        place.removeprefix("the "),
    ]


def _story(p: Sequence[int], r: Sequence[int]) -> Answer:
    return paragraph(p[:4]), [paragraph(r[:2])]


def _dialogue(p: Sequence[int], r: Sequence[int]) -> Answer:
    return f"A: {sentence(p[0])}\nB: {sentence(p[1])}\nA: {sentence(p[2])}\nB: {sentence(p[3])}\nA:", [sentence(r[0])]


def _data(p: Sequence[int], r: Sequence[int]) -> Answer:
    facts = ", ".join(
        f"{NOUNS[p[k] & 63]}[{ADJECTIVES[(p[k] >> 6) & 63]} {NOUNS[(p[k] >> 12) & 63]}]" for k in range(7)
    )
    return f"{facts}. {sentence(p[7])}", [paragraph(r[:2])]


def _simplify(p: Sequence[int], r: Sequence[int]) -> Answer:
    return paragraph(p[:4]), [sentence(r[0]), sentence(r[1])]


def _question(p: Sequence[int], _: Sequence[int]) -> Answer:
    return f"Passage: {paragraph(p[:5])}", [f"What is said in: {sentence(p[0])}"]


def _paraphrase(p: Sequence[int], _: Sequence[int]) -> Answer:
    return paragraph(p[:3]), [f"One might say: {paragraph(p[:3])}"]


def _translate(language: str, p: Sequence[int], r: Sequence[int]) -> Answer:
    return paragraph(p[:4]), [" ".join(sentence_in(language, draw) for draw in r[:4])]


def _read_in(language: str, p: Sequence[int], _: Sequence[int]) -> Answer:
    return " ".join(sentence_in(language, draw) for draw in p[:6]), [sentence_in(language, p[0])]


FAMILIES = (
    Family(
        "sentiment_classification",
        "Sentiment Analysis",
        "You are given a review that has to do with a {topic}. Does its writer feel positive or negative?",
        _sentiment,
        SENTIMENTS,
        exact=True,
    ),
    Family(
        "summarization",
        "Summarization",
        "Read a report of an event with a {topic} and sum it up in two sentences.",
        _summary,
    ),
    Family(
        "topic_classification",
        "Text Categorization",
        "This text was found beside a {topic}. Is it Business, Health, Sports, Travel or Weather?",
        _topic,
        TOPICS,
        exact=True,
    ),
    Family("title_generation", "Title Generation", "Write a short title for this story of a {topic}.", _title),
    Family(
        "toxicity_classification",
        "Toxic Language Detection",
        "A reader left a comment under an article on a {topic}. Is it toxic? Answer toxic or not toxic.",
        _toxic,
        ("toxic", "not toxic"),
        exact=True,
    ),
    Family(
        "reading_answer_generation",
        "Question Answering",
        "Read the passage from a book on the {topic} and answer the question with the name of a place.",
        _reading,
    ),
    Family(
        "entailment_classification",
        "Textual Entailment",
        "Given a premise noted on a {topic} and a hypothesis, answer entailment, neutral or contradiction.",
        _entailment,
        RELATIONS,
        exact=True,
    ),
    Family("story_completion", "Text Completion", "Carry on this story of a {topic} with two sentences.", _story),
    Family(
        "answerability_classification",
        "Answerability Classification",
        "Can the question be answered from this passage about a {topic}? Answer Yes or No.",
        _answerable,
        ("Yes", "No"),
        exact=True,
    ),
    Family(
        "dialogue_generation",
        "Dialogue Generation",
        "Two friends talk about a {topic}. Write what is said next.",
        _dialogue,
    ),
    Family(
        "multiple_choice",
        "Question Answering",
        "Read the passage on a {topic} and choose the right option. Answer with A, B, C or D.",
        _choice,
        ("A", "B", "C", "D"),
        exact=True,
    ),
    Family("data_to_text", "Data to Text", "Turn the facts about a {topic} into two sentences.", _data),
    Family(
        "list_length",
        "Program Execution",
        "Count the items of the list that came with the {topic}.",
        _count,
        exact=True,
    ),
    Family(
        "simplification",
        "Text Simplification",
        "Put this text about a {topic} into one simple sentence.",
        _simplify,
    ),
    Family(
        "grammar_classification",
        "Grammar Error Detection",
        "Is this text, copied from a {topic}, free of repeated words? Answer correct or incorrect.",
        _grammar,
        ("correct", "incorrect"),
        exact=True,
    ),
    Family(
        "question_generation",
        "Question Generation",
        "Write a question that this passage on a {topic} answers.",
        _question,
    ),
    Family(
        "pos_tagging",
        "Pos Tagging",
        "Give the part of speech of a word in a text about a {topic}.",
        _tagging,
        ("NOUN",),
        exact=True,
    ),
    Family("paraphrasing", "Paraphrasing", "Say the same of the {topic} in other words.", _paraphrase),
    *(
        Family(
            f"translation_en_{language[:2].lower()}",
            "Translation",
            f"Translate this note on a {{topic}} from English into {language}.",
            partial(_translate, language),
            languages=("English", language),
        )
        for language in LANGUAGES[:2]
    ),
    *(
        Family(
            f"reading_{language[:2].lower()}",
            "Question Answering",
            f"Here is a text in {language} on a {{topic}}. Copy its first sentence.",
            partial(_read_in, language),
            languages=(language, language),
        )
        for language in LANGUAGES[2:]
    ),
)
ENGLISH = FAMILIES[:15]  # those that a recipe like Birbal's keeps


def tasks(count: int, families: Sequence[Family] = FAMILIES, *, first: int = 1) -> list[Task]:
    """`count` different tasks, the families in turn.

    Raises:
        ValueError: more tasks than topics times families.
    """
    if count > len(families) * len(NOUNS):
        raise ValueError(f"{count} tasks, at most {len(families) * len(NOUNS)} can be made")
    return [Task(first + k, NOUNS[k // len(families)], families[k % len(families)]) for k in range(count)]
