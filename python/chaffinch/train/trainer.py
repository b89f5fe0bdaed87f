"""Transformers' Trainer over packs, and what watches it: log, budget, clean stops, whole checkpoints."""

import math
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.utils.data import DataLoader

from chaffinch.errors import DataError, RecipeError
from chaffinch.progress import Progress
from chaffinch.report.numbers import duration
from chaffinch.train import budget
from chaffinch.train.dataset import PackedDataset
from chaffinch.train.folder import CHECKPOINTS, PLAN, Folder, write_json
from chaffinch.train.loss import UNTRAINED, evaluating
from chaffinch.train.options import Options

Tell = Callable[[dict[str, Any]], None]


def arguments_of(options: Options, folder: Path) -> transformers.TrainingArguments:
    """The options as the Trainer has them; the number of steps is put in when the packs are known.

    Raises:
        RecipeError: transformers has no such optimizer, or finds no such tracker.
    """
    cuda = torch.cuda.is_available()
    there = transformers.integrations.get_available_reporting_integrations() if options.report_to else []
    for name in options.report_to:
        if name not in there:
            hint = f"hint: install it; here there is {', '.join(there) or 'none'}"
            raise RecipeError(f"report_to: transformers finds no {name}\n{hint}")
    try:
        arguments = transformers.TrainingArguments(
            output_dir=str(folder / CHECKPOINTS),
            use_cpu=not cuda,
            bf16=options.dtype == "bfloat16",
            per_device_train_batch_size=options.micro_batch,
            gradient_accumulation_steps=options.gradient_accumulation,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            max_grad_norm=options.max_grad_norm,
            optim=options.optimizer,
            adam_beta1=options.adam_beta1,
            adam_beta2=options.adam_beta2,
            adam_epsilon=options.adam_epsilon,
            activation_checkpointing=options.activation_checkpointing,
            activation_checkpointing_kwargs={"use_reentrant": False},
            logging_steps=options.logging_steps,
            logging_nan_inf_filter=False,
            save_strategy="steps",
            save_steps=options.save_steps,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            report_to=options.report_to or "none",
            run_name=folder.resolve().parent.name,
            disable_tqdm=True,
            log_level="error",
            log_level_replica="error",
            ddp_find_unused_parameters=False,
            seed=options.seed,
            data_seed=options.seed,
            eval_strategy="steps",
            eval_steps=options.eval_steps,
        )
    except (ValueError, ImportError) as error:
        raise RecipeError(f"transformers refuses the options: {error}\nhint: see `chaffinch train --help`") from None
    # More than one GPU is for torchrun: one process would make its copies of the model anew with every step.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


class PackTrainer(transformers.Trainer):
    """The Trainer, with batches that `PackedDataset` makes and a rate that ends where the watch's plan ends.

    Args:
        model: whose forward is `loss.learn_packs`.
        args: the Trainer's.
        packs: the training packs of this rank.
        validation: the validation packs of this rank; None: nothing is evaluated.
        options: the run's.
        watch: told of every step.
    """

    def __init__(
        self,
        model: Any,
        args: transformers.TrainingArguments,
        packs: PackedDataset,
        validation: PackedDataset | None,
        options: Options,
        watch: "Watch",
    ) -> None:
        self._options, self._watch = options, watch
        super().__init__(model=model, args=args, train_dataset=packs, eval_dataset=validation, callbacks=[watch])
        self.remove_callback(transformers.PrinterCallback)
        watch.trainer = self

    lr_scheduler: Any
    control: Any

    def get_train_dataloader(self) -> Any:
        """Items are whole batches, and ranks have their own already."""
        return DataLoader(self.train_dataset, batch_size=None, generator=torch.Generator())

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The rate follows the watch's plan, which may become shorter while the run lasts."""
        options, watch = self._options, self._watch

        def share(step: int) -> float:
            return rate(options.schedule, step, watch.steps, watch.warmup)

        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, share)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Counts the batch's tokens."""
        self._watch.tokens_here += inputs["input_ids"].numel()
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The folder's record has a checkpoint before its first file is there."""
        self._watch.starts_checkpoint(self.state.global_step)
        super()._save_checkpoint(model, trial)

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """The mean loss of all labels of the validation packs, of all ranks."""
        found = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        with evaluating(self.model):
            for batch in DataLoader(self.eval_dataset, batch_size=None, generator=torch.Generator()):
                inputs = self._prepare_inputs(batch)
                found[0] += self.model(**inputs, num_items_in_batch=1)["loss"].double()
                found[1] += (inputs["labels"][:, 1:] != UNTRAINED).sum()
        total, labels = self.accelerator.reduce(found, "sum").tolist()
        metrics = {f"{metric_key_prefix}_loss": total / max(labels, 1)}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def rate(schedule: str, step: int, steps: int, warmup: int) -> float:
    """The share of the learning rate at a step, counted from 0: as transformers' schedules of these names."""
    if step < warmup:
        return step / max(1, warmup)
    over = min(1.0, (step - warmup) / max(1, steps - warmup))
    return {"cosine": 0.5 * (1 + math.cos(math.pi * over)), "linear": 1 - over, "constant": 1.0}[schedule]


class Watch(transformers.TrainerCallback):
    """Watches a run: writes its log, decides when it ends, and marks checkpoints that are whole.

    Args:
        folder: the run's; None on all ranks but the first.
        options: the run's.
        mixture: what an epoch takes.
        steps: that the run takes without a budget of time.
        plan: that it takes with one, where an earlier process decided it.
        per_epoch: steps of an epoch.
        packs: the training packs.
        seconds: budget of time; None: none.
        reason: why it ends with its last step: `done` or `tokens`.
        started: what `clock` said when the run began, less the seconds that an earlier one took.
        tokens: that an earlier one took.
        progress: told how far it is.
        tell: told of the plan.
        clock: seconds.
    """

    trainer: PackTrainer

    def __init__(
        self,
        folder: Folder | None,
        options: Options,
        mixture: budget.Mixture,
        *,
        steps: int,
        plan: int | None,
        per_epoch: int,
        packs: PackedDataset,
        seconds: float | None,
        reason: str,
        started: float,
        tokens: int,
        progress: Progress,
        tell: Tell,
        clock: Callable[[], float],
    ) -> None:
        self._folder, self._options, self._mixture = folder, options, mixture
        self._per_epoch, self._packs = per_epoch, packs
        self._most, self.warmup = steps, options.warmup(steps)
        self.steps = steps if plan is None else plan
        self.reason, self.tokens, self.tokens_here = reason, tokens, 0
        self._budget, self._started, self._clock = seconds, started, clock
        self._progress, self._tell = progress, tell
        self.interrupted = False
        self._decided = seconds is None or plan is not None
        self._first = 0
        self._measured_at = 0.0
        self._last_tokens, self._last = tokens, clock()
        self._reported = -math.inf
        self._evaluation = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """The steps that this process does not do are done already."""
        self._first = state.global_step
        self._last = self._clock()
        self._progress.start("train", self.steps, "steps")
        self._progress.advance(state.global_step)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Every epoch has its own order; the Trainer skips what of it is done."""
        self._packs.start(state.global_step // self._per_epoch)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Counts, and decides whether this step was the last."""
        step, elapsed = state.global_step, self._clock() - self._started
        stop = self.interrupted, self._budget is not None and elapsed + self._evaluation >= self._budget
        tokens, interrupted, late = self._together(self.tokens_here, *map(int, stop))
        self.tokens, self.tokens_here = self.tokens + tokens, 0
        self._measure(step, elapsed, state)
        if late or step >= self.steps:
            self.end(late=bool(late))
            control.should_training_stop = control.should_save = True
            control.should_evaluate = self.trainer.eval_dataset is not None
        elif interrupted:
            self.reason = "interrupted"
            control.should_training_stop = control.should_save = True
        # A line never spans a checkpoint, so that a run that goes on from it has the same lines.
        control.should_log |= control.should_save
        self._progress.advance(step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **more: Any) -> None:
        """A line of the log."""
        if logs is None or "loss" not in logs:
            return
        now = self._clock()
        speed = (self.tokens - self._last_tokens) / max(now - self._last, 1e-9)
        self._last, self._last_tokens = now, self.tokens
        if self._folder is not None:
            self._folder.log(
                kind="step",
                step=state.global_step,
                epoch=state.epoch,
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                grad_norm=logs.get("grad_norm"),
                tokens=self.tokens,
                seconds=now - self._started,
                tokens_per_second=speed,
                peak_memory=peak_memory(),
            )
            self.report()
        left = (now - self._started) / max(1, state.global_step) * max(0, self.steps - state.global_step)
        self._progress.note(f"loss {logs['loss']:.4f}, {speed:,.0f} tokens/s, {duration(left)} left")
        if not math.isfinite(logs["loss"]):
            raise DataError(
                f"the loss of step {state.global_step} is not a number\n"
                "hint: a lower learning_rate or a longer warm-up; --restart begins anew"
            )

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **more: Any
    ) -> None:
        """A line of the log; the next steps' speed does not count it."""
        assert metrics is not None
        now = self._clock()
        self._evaluation = max(self._evaluation, now - self._last)
        self._last = now
        if self._folder is not None:
            self._folder.log(
                kind="eval", step=state.global_step, eval_loss=metrics["eval_loss"], seconds=now - self._started
            )
            self.report(always=True)

    def starts_checkpoint(self, step: int) -> None:
        """A checkpoint is about to be written, by every rank."""
        if self._folder is not None:
            self._folder.starts_checkpoint(step)
        self.trainer.accelerator.wait_for_everyone()

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """The checkpoint is whole when every rank has written its part."""
        self.trainer.accelerator.wait_for_everyone()
        if self._folder is not None:
            values = {"step": state.global_step, "tokens": self.tokens, "seconds": self._clock() - self._started}
            keep = self._options.keep_checkpoints
            self._folder.ends_checkpoint(state.global_step, values, keep, state.best_global_step)
        self._last = self._clock()

    def end(self, *, late: bool = False) -> None:
        """The run's last step is done: because there are no more, or because the time for them is over."""
        if late or self.steps < self._most:
            self.reason = "hours"

    def report(self, *, always: bool = False) -> None:
        """Writes training.html anew, though not many times a minute."""
        if self._folder is not None and (always or self._clock() - self._reported >= 10):
            from chaffinch.train import report

            report.write(self._folder.path)
            self._reported = self._clock()

    def _measure(self, step: int, elapsed: float, state: Any) -> None:
        """After some steps says what the run will take, and with a budget of time decides how many steps that is."""
        behind = step - self._first
        if behind == budget.WARM:
            self._measured_at = elapsed
        if behind != budget.WARM + budget.MEASURED:
            return
        pace = (elapsed - self._measured_at) / budget.MEASURED
        self._evaluation = max(self._evaluation, budget.evaluation_seconds(pace, self._mixture))
        if not self._decided:
            steps = budget.steps_for_seconds(
                self._budget or 0.0,
                done=step,
                taken=elapsed,
                step=pace,
                mixture=self._mixture,
                eval_steps=self._options.eval_steps,
                most=self.steps,
            )
            # The first rank's clock decides for all.
            (self.steps,) = self._together(steps if self.trainer.args.process_index == 0 else 0)
            state.max_steps, self._decided = self.steps, True
            if self._folder is not None:
                write_json(self._folder.path / PLAN, {"steps": self.steps, "step": step, "seconds_per_step": pace})
        seconds = elapsed + (self.steps - step) * pace
        said = {"kind": "plan", "step": step, "steps": self.steps, "seconds_per_step": pace, "seconds": seconds}
        if self._folder is not None:
            self._folder.log(**said)
            self._tell(said)

    def _together(self, *numbers: int) -> list[int]:
        """The sums over all ranks."""
        args = self.trainer.args
        if args.world_size == 1:
            return list(numbers)
        found = torch.tensor(numbers, dtype=torch.int64, device=args.device)
        sums: list[int] = self.trainer.accelerator.reduce(found, "sum").tolist()
        return sums


def peak_memory() -> int:
    """Bytes: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
