"""The settings with which TRL trains on packs and keeps their documents apart."""

from typing import Any

# What was measured with TRL 1.16: with any other value documents see each other, or TRL packs the packs again.
REQUIRED: dict[str, tuple[Any, str]] = {
    "padding_free": (True, "with padding TRL makes an attention mask, and documents of a pack see each other"),
    "packing": (False, "the rows are packs already; TRL would pack them again, and documents see each other"),
    "eval_packing": (None, "the rows are packs already; TRL would pack them again, and documents see each other"),
    "max_length": (None, "packs have the length that they were made for; TRL cuts none without its own preparation"),
    "use_cache": (False, "a key/value cache lets documents of a pack see each other"),
    "assistant_only_loss": (False, "the labels say already what is learned"),
    "completion_only_loss": (None, "the labels say already what is learned"),
}
COLUMNS = ("input_ids", "labels", "seq_lengths")
_SKIP = {"skip_prepare_dataset": True}


def trl_config(output_dir: Any, *, dataset: Any = None, **settings: Any) -> Any:
    """Gives the `trl.SFTConfig` for rows written with `trainer: trl`; everything else is set as SFTConfig does.

    A batch of several packs becomes one long row of documents; `per_device_train_batch_size` counts packs.

    Args:
        output_dir: as SFTConfig's.
        dataset: the packs to train on: its columns are checked, too.
        **settings: any of SFTConfig's.

    Returns:
        A `trl.SFTConfig` with `padding_free=True`, `packing=False`, `max_length=None`, `use_cache=False` and
        `dataset_kwargs={"skip_prepare_dataset": True}`.

    Raises:
        ValueError: one of `settings`, or a column that `dataset` has or lacks, would let documents see each other, or
            do nothing on packs.
        ImportError: TRL is not installed.
    """
    for name, (right, why) in REQUIRED.items():
        given = settings.get(name, right)
        # SFTConfig's own way to say "as packing" and "by the data" is None, which says the same here as False.
        if given != right and not (right is None and given is False and name != "max_length"):
            raise ValueError(f"{name}={given!r}: {why}\nhint: leave it out, or say {name}={right!r}")
    _check_model(settings.get("model_init_kwargs") or {})
    _check_columns(list(getattr(dataset, "column_names", None) or COLUMNS))
    prepared = settings.get("dataset_kwargs") or {}
    if not isinstance(prepared, dict) or not prepared.get("skip_prepare_dataset", True):
        raise ValueError(
            f"dataset_kwargs={prepared!r}: TRL's preparation drops seq_lengths, and documents see each other\n"
            f"hint: leave it out, or say dataset_kwargs={_SKIP}"
        )
    try:
        from trl import SFTConfig
    except ImportError as error:
        raise ImportError("trl is not installed\nhint: pip install trl") from error

    right = {name: value for name, (value, _) in REQUIRED.items()}
    return SFTConfig(output_dir=str(output_dir), **{**settings, **right, "dataset_kwargs": {**prepared, **_SKIP}})


def _check_model(settings: Any) -> None:
    if isinstance(settings, dict) and settings.get("use_cache"):
        raise ValueError(f"model_init_kwargs use_cache=True: {REQUIRED['use_cache'][1]}\nhint: leave it out")


def _check_columns(names: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ValueError(
            f"the rows have no {missing[0]}: without it documents of a pack see each other\n"
            "hint: take what `trainer: trl` or `chaffinch pack` wrote"
        )
    if "attention_mask" in names:
        raise ValueError(
            "the rows have an attention_mask: with it documents of a pack see each other\n"
            "hint: take what `trainer: trl` or `chaffinch pack` wrote"
        )
