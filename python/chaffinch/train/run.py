"""A training run: from a build to an adapter."""

import math
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from chaffinch.errors import DataError, RecipeError
from chaffinch.output import WORK
from chaffinch.progress import NoProgress, Progress
from chaffinch.result import Result
from chaffinch.store import hash_file
from chaffinch.train import budget
from chaffinch.train.folder import ADAPTER, CHECKPOINTS, MERGED, PACKS, REPORT, Folder
from chaffinch.train.model import check_installed, check_length, check_options
from chaffinch.train.options import Options, resolve

VERSIONS = ("torch", "transformers", "peft", "accelerate", "bitsandbytes")


@dataclass(frozen=True)
class Training:
    """What became of a run.

    Attributes:
        path: its folder.
        adapter: the best adapter, as peft reads it.
        merged: the whole model with it; None unless it was asked for.
        reason: why it ended: `done`, `hours` or `tokens`.
        steps: that it took.
        tokens: that it learned from; none is padding.
        best_step: the checkpoint that the adapter is of.
        best_eval_loss: its validation loss; None where nothing was held out.
    """

    path: Path
    adapter: Path
    merged: Path | None
    reason: str
    steps: int
    tokens: int
    best_step: int
    best_eval_loss: float | None

    @property
    def report(self) -> Path:
        """The page that tells of it."""
        return self.path / REPORT

    @property
    def log(self) -> list[dict[str, Any]]:
        """Every line of its log.jsonl."""
        return Folder(self.path).lines()


def train(
    out: str | Path,
    preset: str,
    *,
    to: str | Path | None = None,
    hours: float | None = None,
    tokens: int | str | None = None,
    merge: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
    tell: Callable[[dict[str, Any]], None] | None = None,
    clock: Callable[[], float] = perf_counter,
    **options: Any,
) -> Training:
    """Trains an adapter on a build's mixture.

    The same call goes on where an earlier one was stopped or killed, from its last checkpoint, and gives the same
    losses to the last bit, on the same machine. Under torchrun or accelerate launch, each process trains on its share.

    Args:
        out: the output folder of a finished build.
        preset: `birbal`, `flacuna`, or a .yaml file with the same keys.
        to: the run's folder; default `out/train`.
        hours: the run ends within them, and its learning rate with it: the number of steps is decided by the speed of
            the first ones.
        tokens: it learns from at most so many: a number, or `50M`.
        merge: also writes the whole model, the adapter in it.
        restart: throws away what an earlier run left in the folder.
        progress: told how far it is.
        tell: given what is known of the run at its start, and after some steps how long it will take, as the lines of
            log.jsonl of kind `start` and `plan`.
        clock: seconds.
        **options: over the preset's: `model=...`, `learning_rate=...`. See `chaffinch.train.options.Options`.

    Raises:
        RecipeError: no such preset or option, or what training needs is not installed.
        DataError: `out` is no build or has no row to learn from, the model cannot be loaded or lets the documents of a
            pack see each other, or the folder holds a run of other options.
        KeyboardInterrupt: it was interrupted; a checkpoint of its last step is there.
    """
    started = clock()
    check_installed()
    from chaffinch.train.trainer import arguments_of

    resolved = resolve(preset, options)
    check_options(resolved)
    limit = None if tokens is None else budget.parse_tokens(tokens)
    if hours is not None and not (math.isfinite(hours) and hours > 0):
        raise RecipeError(f"hours: {hours}\nhint: more than 0")
    result = Result(out)
    folder = Folder(Path(to) if to is not None else result.out / "train")
    if folder.path.resolve() == result.out.resolve():
        raise DataError(f"{folder.path} holds a mixture\nhint: give a folder of its own to a run")
    check_length(resolved)
    arguments = arguments_of(resolved, folder.path)
    first = arguments.process_index == 0
    quiet = progress if progress is not None and first else NoProgress()
    run = _Run(result, resolved, folder, arguments, hours, limit, quiet, tell if first and tell else _nobody)
    with ExitStack() as stack:
        if first:
            stack.enter_context(folder.locked())
            folder.begin(run.identity(), restart=restart)
        # The others wait until the first has made or found what all read.
        with arguments.main_process_first(local=False):
            if (ended := folder.ended()) is None:
                packed = run.packs()
        if ended is None:
            ended = run.train(packed, started, clock)
        if first and merge and not (folder.path / MERGED).is_dir():
            from chaffinch.train import export

            export.merge(folder.path)
        return _training(folder, ended)


@dataclass(frozen=True)
class _Run:
    result: Result
    options: Options
    folder: Folder
    arguments: Any
    hours: float | None
    tokens: int | None
    progress: Progress
    tell: Callable[[dict[str, Any]], None]

    def identity(self) -> dict[str, Any]:
        """What `options.json` holds."""
        from importlib.metadata import PackageNotFoundError, version

        from chaffinch.evaluation.answering import Answerer
        from chaffinch.recipe.score import Transformers

        options = self.options
        spec = Transformers(model=options.model, revision=options.revision)
        versions: dict[str, str | None] = {}
        for name in ("chaffinch", *VERSIONS):
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = None
        manifest = self.result.out / "manifest.json"
        return {
            "options": options.model_dump(mode="json"),
            "budget": {"hours": self.hours, "tokens": self.tokens},
            "mixture": {"out": str(self.result.out.resolve()), "manifest": hash_file(manifest)},
            "model": Answerer(spec, self.result.out / WORK, self.progress).hash(),
            "ranks": self.arguments.world_size,
            "versions": versions,
        }

    def packs(self) -> Any:
        from chaffinch.train.packs import packs_of

        folder = self.folder.path / PACKS
        return packs_of(self.result, self.options, folder, self.arguments.world_size, self.progress)

    def train(self, packed: Any, started: float, clock: Callable[[], float]) -> dict[str, Any]:
        """Trains, and gives the log's last line."""
        import torch
        from transformers import IntervalStrategy, TrainerState

        from chaffinch.train import loss, model, selftest
        from chaffinch.train.neftune import Neftune
        from chaffinch.train.trainer import PackTrainer, Watch

        options, arguments, folder = self.options, self.arguments, self.folder
        first = arguments.process_index == 0
        data, validation = self._datasets(packed)
        network = model.load_base(options)
        self._check_vocabulary(network, packed)
        error = selftest.check(network, selftest.first_documents(next(iter(data))), options.loss_chunk)
        torch.manual_seed(options.seed)
        adapted = model.with_adapter(network, options)
        trainable, parameters = model.count_parameters(adapted)
        noise = None
        if options.neftune_alpha is not None:
            length = options.length if options.neftune_length == "packed" else None
            noise = Neftune(options.neftune_alpha, length)
        loss.learn_packs(adapted, noise, options.loss_chunk)

        per_epoch = -(-len(data) // options.gradient_accumulation)
        held = packed.splits.get("validation")
        mixture = budget.Mixture(per_epoch, packed.splits["train"].tokens, held.tokens if held else 0)
        whole = math.ceil(options.epochs * per_epoch)
        steps = whole
        if self.tokens is not None:
            steps = min(whole, budget.steps_for_tokens(self.tokens, mixture, self._tokens_of(data)))
        checkpoint, plan = folder.last() if first else None, folder.plan()
        checkpoint, plan = _from_first([checkpoint, plan], arguments.world_size)
        nothing: dict[str, Any] = {"step": 0, "tokens": 0, "seconds": 0.0}
        path, so_far = checkpoint or (None, nothing)
        if validation is None:
            arguments.eval_strategy = IntervalStrategy.NO
        arguments.max_steps = steps if plan is None else plan["steps"]
        watch = Watch(
            folder if first else None,
            options,
            mixture,
            steps=steps,
            plan=None if plan is None else plan["steps"],
            per_epoch=per_epoch,
            packs=data,
            seconds=None if self.hours is None else self.hours * 3600,
            reason="done" if steps == whole else "tokens",
            started=started - so_far["seconds"],
            tokens=so_far["tokens"],
            progress=self.progress,
            tell=self.tell,
            clock=clock,
        )
        if first:
            folder.forget(so_far["step"])
            said = {
                "kind": "resume" if path else "start",
                "step": so_far["step"],
                "steps": watch.steps,
                "steps_per_epoch": per_epoch,
                "tokens_per_epoch": mixture.tokens,
                "rows_per_step": options.micro_batch * options.gradient_accumulation * arguments.world_size,
                "warmup": watch.warmup,
                "trainable": trainable,
                "parameters": parameters,
                "self_test": error,
                "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
                "idle_gpus": max(0, torch.cuda.device_count() - arguments.world_size),
                "packs_made": packed.made,
                "splits": {name: vars(one) for name, one in packed.splits.items()},
            }
            folder.log(**said)
            self.tell(said)
        trainer = PackTrainer(adapted, arguments, data, validation, options, watch)
        if path is not None and so_far["step"] >= watch.steps:
            # It was killed behind its last step: the Trainer would do one more.
            trainer.state = TrainerState.load_from_json(str(path / "trainer_state.json"))
            watch.end()
        else:
            with _stops_cleanly(watch), _fits(options):
                trainer.train(resume_from_checkpoint=None if path is None else str(path))
        self.progress.finish(trainer.state.global_step, 0)
        return self._end(trainer, watch)

    def _datasets(self, packed: Any) -> tuple[Any, Any]:
        from chaffinch.train.dataset import PackedDataset

        options, arguments = self.options, self.arguments
        place = {"rank": arguments.process_index, "ranks": arguments.world_size}
        shared: dict[str, Any] = {"packs_per_step": options.micro_batch, **place}
        data = PackedDataset(packed.folder, split="train", seed=options.seed, **shared)
        if "validation" not in packed.splits:
            return data, None
        return data, PackedDataset(packed.folder, split="validation", shuffle=False, **shared)

    def _tokens_of(self, data: Any) -> Callable[[int], Any]:
        """The tokens of each optimizer step of an epoch."""
        import numpy as np

        every = self.options.gradient_accumulation
        return lambda epoch: np.add.reduceat(data.tokens_of(epoch), np.arange(0, len(data), every))

    def _check_vocabulary(self, network: Any, packed: Any) -> None:
        import numpy as np

        known = network.get_input_embeddings().num_embeddings
        for name in packed.splits:
            highest = int(np.memmap(packed.folder / f"{name}.input_ids.bin", "<i4", "r").max())
            if highest >= known:
                raise DataError(
                    f"the packs hold token {highest:,}, and {self.options.model} has embeddings of {known:,}\n"
                    "hint: model and tokenizer do not belong together"
                )

    def _end(self, trainer: Any, watch: Any) -> dict[str, Any]:
        """The best adapter and the log's last line, or an interruption."""
        state = trainer.state
        best = state.best_global_step or state.global_step
        ended = {
            "kind": "end",
            "step": state.global_step,
            "reason": watch.reason,
            "tokens": watch.tokens,
            "best_step": best,
            "best_eval_loss": state.best_metric if state.best_global_step else None,
        }
        if trainer.args.process_index == 0:
            self.folder.log(**ended)
            if watch.reason != "interrupted":
                self._publish(best)
            watch.report(always=True)
        trainer.accelerator.wait_for_everyone()
        if watch.reason == "interrupted":
            raise KeyboardInterrupt
        return ended

    def _publish(self, step: int) -> None:
        """Puts the adapter in its place, whole."""
        import transformers

        from chaffinch.train import export

        options = self.options
        with self.folder.staged(ADAPTER) as staging:
            for path in (self.folder.path / CHECKPOINTS / f"checkpoint-{step}").glob("adapter_*"):
                shutil.copyfile(path, staging / path.name)
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                options.model, revision=options.revision, trust_remote_code=False
            )
            tokenizer.save_pretrained(staging)
            export.card(self.folder.path, staging)


def _nobody(said: dict[str, Any]) -> None:
    """Is told, and says nothing."""


def _from_first(values: list[Any], ranks: int) -> list[Any]:
    """What the first rank has."""
    if ranks > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(values)
    return values


@contextmanager
def _fits(options: Options) -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        passes = options.gradient_accumulation * options.micro_batch
        same = f"micro_batch=1 and gradient_accumulation={passes} are the same step; or a smaller length"
        rest = "load_in_4bit=true takes less" if not options.load_in_4bit else "a smaller model"
        raise DataError(
            f"the run does not fit into the device's memory: {str(error).strip().partition('. ')[0]}\n"
            f"hint: {same if options.micro_batch > 1 else 'a smaller length'}; {rest}"
        ) from error


@contextmanager
def _stops_cleanly(watch: Any) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run behind the step under way; the second at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.getsignal(one) for one in signals}

    def stop(number: int, frame: Any) -> None:  # noqa: ARG001 - Python calls it so
        if watch.interrupted:
            raise KeyboardInterrupt
        watch.interrupted = True

    for one in signals:
        signal.signal(one, stop)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _training(folder: Folder, ended: dict[str, Any]) -> Training:
    merged = folder.path / MERGED
    return Training(
        folder.path,
        folder.path / ADAPTER,
        merged if merged.is_dir() else None,
        ended["reason"],
        ended["step"],
        ended["tokens"],
        ended["best_step"],
        ended["best_eval_loss"],
    )
