"""Asks tasks of a model and makes lines and items of what came back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaffinch.cache import key_of
from chaffinch.evaluation.answering import Answerer, Until
from chaffinch.evaluation.intervals import bootstrap
from chaffinch.evaluation.standing import Mixture
from chaffinch.evaluation.task import Mean, Question, Task, mean_score
from chaffinch.evaluation.variants import Lists, worst_over
from chaffinch.progress import Progress
from chaffinch.readers.hashes import file_hashes
from chaffinch.text_columns import written

PLAIN = "plain"
JUDGED = Until(128)
# What tells lines apart.
NAMES = ("set", "protocol", "shots", "variant", "metric")


class Measuring:
    """Gathers results, task by task.

    Args:
        asking: the model.
        judging: the judge, where there is one.
        mixture: what the model was trained on.
        cache: the folder in which the files' hashes are remembered.
        progress: told how far it is.
        seed: of bootstrap intervals.
        limit: as results say it.
        lists: the word lists of variants, of which results have the hash.

    Attributes:
        results: the lines so far.
        items: the items of all lines.
    """

    def __init__(
        self,
        asking: Answerer,
        judging: Answerer | None,
        mixture: Mixture,
        cache: Path,
        progress: Progress,
        seed: int,
        limit: int | None,
        lists: Lists,
    ) -> None:
        self._asking, self._judging, self._mixture = asking, judging, mixture
        self._cache, self._progress = cache, progress
        self._seed, self._limit = seed, limit
        self._model, self._lists = asking.hash(), key_of(lists)
        self.results: list[dict[str, Any]] = []
        self.items: list[dict[str, Any]] = []

    def ask(self, task: Task, variant: str) -> None:
        """Adds the task's lines."""
        heading = f"{task.set} {task.shots}-shot" + ("" if variant == PLAIN else f" {variant}")
        parts = 1 + len(task.questions[0].also)
        self._progress.start(heading, len(task.questions) * parts, "prompts")
        prompts, fewer = self._prompts(task)
        asked = zip(prompts, task.questions, strict=True)
        # Nested JSON may hold lone surrogates, which no tokenizer takes.
        flat = [written(text) for prompt, question in asked for text in (prompt, *question.also)]
        until = Until(task.max_new_tokens, task.ends_at)
        texts = self._asking.logits(flat) if task.asks == "logits" else self._asking.answers(flat, until)
        answers = [texts[at : at + parts] for at in range(0, len(texts), parts)]
        metrics: dict[str, list[list[str | None]]] = {task.metric: answers}
        for metric, prompt_of in task.judges.items():
            assert self._judging is not None, "a task with a judge is asked with one"
            reviewed = [
                prompt_of(question, own[0] or "") for question, own in zip(task.questions, answers, strict=True)
            ]
            said = self._judging.answers(reviewed, JUDGED)
            # What the model wrote is shown to the judge even where it is nothing, but counts as no answer.
            looked = [[None if own[0] is None else one] for own, one in zip(answers, said, strict=True)]
            metrics = {name: own for name, own in metrics.items() if name != task.metric} | {metric: looked}
        for metric, own in metrics.items():
            scores = [
                None if None in one else task.score(question, [text for text in one if text is not None])
                for question, one in zip(task.questions, own, strict=True)
            ]
            unread = sum(score is None and None not in one for score, one in zip(scores, own, strict=True))
            if unread and self._judging is not None:
                self._judging.missing["the judge gave no number from 1 to 5"] += unread
            named = dict(zip(NAMES, (task.set, task.protocol, task.shots, variant, metric), strict=True))
            items = [
                # Without a judge's word there is no answer either.
                named
                | {"item": question.id, "group": question.group}
                | ({"answer": None, "score": task.worst} if score is None else {"answer": first[0], "score": score})
                for question, first, score in zip(task.questions, answers, scores, strict=True)
            ]
            judge = self._judging.hash() if self._judging is not None and task.judges else None
            self.add(named, items, task.mean, task.files, fewer, judge)
        self._progress.finish(len(task.questions), 0)

    def _prompts(self, task: Task) -> tuple[list[str], int | None]:
        """Each question with as many shots as fit, and how many have fewer than they should."""
        questions = task.questions
        head = [0] * len(questions)
        if task.max_prompt_tokens is not None and task.shots:
            left = list(range(len(questions)))
            while left:
                some = [written(questions[at].heads[head[at]] + questions[at].body) for at in left]
                lengths = self._asking.lengths(some)
                if lengths is None:
                    return [_with_all(question) for question in questions], None
                left = [
                    at
                    for at, length in zip(left, lengths, strict=True)
                    if length > task.max_prompt_tokens and head[at] + 1 < len(questions[at].heads)
                ]
                for at in left:
                    head[at] += 1
        prompts = [question.heads[at] + question.body for question, at in zip(questions, head, strict=True)]
        return prompts, sum(at > 0 for at in head)

    def add(
        self,
        named: dict[str, Any],
        items: list[dict[str, Any]],
        mean: Mean,
        files: tuple[Path, ...],
        fewer: int | None = None,
        judge: str | None = None,
        revision: str | None = None,
    ) -> None:
        """Adds the line of these items.

        Args:
            named: what tells the line apart.
            items: as `items.parquet` has them.
            mean: over items or groups.
            files: what was read.
            fewer: how many items have fewer shots than they should; None where nobody can say.
            judge: the judge's hash, where one scored.
            revision: of data of the hub.
        """
        standing = self._mixture.standing(named["set"])
        hashes = file_hashes(files, self._cache)
        self.items += items
        self.results.append(
            self._measured(named, items, mean, standing.items)
            | {
                "unanswered": sum(one["answer"] is None for one in items),
                "fewer_shots": fewer,
                "mean": mean,
                "standing": standing.status,
                "data": key_of([[path.name, hashes[path]] for path in files]),
                "revision": revision,
                "model": self._model,
                "judge": judge,
                "lists": None if named["variant"] == PLAIN else self._lists,
                "limit": self._limit,
                "seed": self._seed,
            }
        )

    def _measured(
        self, named: Mapping[str, Any], items: Sequence[Mapping[str, Any]], mean: Mean, held: frozenset[str]
    ) -> dict[str, Any]:
        """The line of these items, with the score of those that the mixture does not hold."""
        scores, groups = [one["score"] for one in items], [one["group"] for one in items]
        clean = [at for at, one in enumerate(items) if one["item"] not in held]
        low, high = bootstrap(scores, groups, mean, seed=self._seed, name="/".join(map(str, named.values())))
        clean_score = mean_score([scores[at] for at in clean], [groups[at] for at in clean], mean) if clean else None
        return {
            **named,
            "score": mean_score(scores, groups, mean),
            "low": low,
            "high": high,
            "items": len(items),
            "groups": _by_group(scores, groups),
            "items_in_mixture": len(items) - len(clean),
            "clean_score": clean_score if held else None,
        }

    def worst(self) -> None:
        """Adds, for each kind of variants, each item's worst score over the plain question and those variants."""
        by_line: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = {}
        for one in self.items:
            by_line.setdefault(_but_variant(one), {}).setdefault(one["variant"], []).append(one)
        for line in [line for line in self.results if line["variant"] == PLAIN]:
            asked = by_line[_but_variant(line)]
            for kind, names in worst_over([variant for variant in asked if variant != PLAIN]).items():
                named = {name: line[name] for name in NAMES} | {"variant": f"worst of {kind}"}
                together = zip(*(asked[variant] for variant in (PLAIN, *names)), strict=True)
                # Of equal scores the first counts, and one without an answer before one with it.
                own = [min(of, key=lambda one: (one["score"], one["answer"] is not None)) | named for of in together]
                found = self._measured(named, own, line["mean"], self._mixture.standing(line["set"]).items)
                found |= {"unanswered": sum(one["answer"] is None for one in own), "lists": self._lists}
                self.items += own
                self.results.append(line | found)
        order = {of: at for at, of in enumerate(dict.fromkeys(map(_but_variant, self.results)))}
        self.results.sort(key=lambda line: order[_but_variant(line)])


def _but_variant(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in NAMES if name != "variant")


def _with_all(question: Question) -> str:
    return question.heads[0] + question.body


def _by_group(scores: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for score, group in zip(scores, groups, strict=True):
        found.setdefault(group, []).append(score)
    return {group: sum(own) / len(own) for group, own in sorted(found.items()) if group}
