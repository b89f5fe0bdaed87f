"""The model that is trained: a base, in four bits where asked for, and its adapter."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaffinch.errors import DataError, RecipeError
from chaffinch.quiet import quietly
from chaffinch.train.options import Options

HINT = "hint: pip install 'chaffinch[train]' brings all that training needs"


def check_installed() -> None:
    """Refuses to begin without what training needs.

    Raises:
        RecipeError: naming what is missing.
    """
    import importlib.util

    for name in ("torch", "transformers", "accelerate", "peft"):
        if importlib.util.find_spec(name) is None:
            raise RecipeError(f"training needs {name}, which is not installed\n{HINT}")
    with quietly():
        # It brings bitsandbytes, which has a notice for every machine without a GPU.
        import peft  # noqa: F401


def check_options(options: Options) -> None:
    """Refuses what this device or what is installed cannot do.

    Raises:
        RecipeError: naming the option.
    """
    import importlib.util

    import torch

    cuda = torch.cuda.is_available()
    if options.attention == "flash_attention_2" and not cuda:
        raise RecipeError("attention: flash_attention_2 needs a GPU\nhint: attention=chaffinch runs on any device")
    if options.attention == "chaffinch" and options.dtype == "float32" and cuda:
        raise RecipeError(
            "dtype: on a GPU torch's varlen_attn computes in bfloat16\nhint: dtype=bfloat16, or attention=sdpa"
        )
    by_bits = options.load_in_4bit or any(part in options.optimizer for part in ("paged", "8bit", "bnb"))
    if by_bits and importlib.util.find_spec("bitsandbytes") is None:
        what = "load_in_4bit" if options.load_in_4bit else f"optimizer: {options.optimizer}"
        raise RecipeError(f"{what} needs bitsandbytes, which is not installed\n{HINT}")


def check_length(options: Options) -> None:
    """Refuses documents longer than the model's positions, before any is packed.

    Raises:
        DataError: there is no such model.
        RecipeError: naming both lengths.
    """
    import transformers

    with _loading(options.model):
        config = transformers.AutoConfig.from_pretrained(
            options.model, revision=options.revision, trust_remote_code=False
        )
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and options.length > positions:
        raise RecipeError(f"length: {options.length:,}, and {options.model} has {positions:,} positions\nhint: fewer")


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{name} cannot be loaded: {first}\n"
            "hint: it has to be a causal language model in transformers' own format, without code of its own"
        ) from error


def load_base(options: Options) -> Any:
    """The base model, frozen, on the device of this process. Code that comes with a model is never run.

    Raises:
        DataError: it cannot be loaded.
    """
    import torch
    import transformers
    from accelerate import PartialState

    from chaffinch.train.attention import register

    register()
    dtype = getattr(torch, options.dtype)
    device: Any = PartialState().local_process_index if torch.cuda.is_available() else "cpu"
    # Straight to the GPU: of several processes, not all could have the whole in the memory of the CPU.
    more: dict[str, Any] = {"device_map": {"": device}} if options.load_in_4bit or device != "cpu" else {}
    if options.load_in_4bit:
        more["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=options.double_quantisation,
            bnb_4bit_compute_dtype=dtype,
        )
    # The adapter names its base as it was loaded: a folder from wherever it is looked for.
    name = str(Path(options.model).resolve()) if Path(options.model).is_dir() else options.model
    with _loading(options.model), quietly():
        model = transformers.AutoModelForCausalLM.from_pretrained(
            name,
            revision=options.revision,
            dtype=dtype,
            attn_implementation=options.attention,
            trust_remote_code=False,
            **more,
        )
    model.config.use_cache = False
    return model.requires_grad_(False)


def with_adapter(model: Any, options: Options) -> Any:
    """The same model with a LoRA adapter as the options say; its weights are float32 from the start.

    Adapters that begin in bfloat16 come back from a checkpoint in float32, and what follows is another run.

    Raises:
        RecipeError: no layer has the name of a target.
    """
    import peft
    import torch

    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    for target in options.lora_targets:
        if target not in names:
            near = sorted(name for name in names if name.endswith("proj") or name.startswith("fc"))
            hint = f"hint: it has {', '.join(near) or 'others'}"
            raise RecipeError(f"lora_targets: {type(model).__name__} has no layer {target}\n{hint}")
    spec = peft.LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha,
        lora_dropout=options.lora_dropout,
        target_modules=list(options.lora_targets),
        task_type="CAUSAL_LM",
        revision=options.revision,
    )
    with quietly():
        adapted = peft.get_peft_model(model, spec)
    for weights in adapted.parameters():
        if weights.requires_grad:
            weights.data = weights.data.to(torch.float32)
    return adapted


def count_parameters(model: Any) -> tuple[int, int]:
    """Parameters that are trained, and all; what four bits pack two of counts as two."""
    trainable = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    return trainable, sum(_size(weights) for weights in model.parameters())


def _size(weights: Any) -> int:
    state = getattr(weights, "quant_state", None)
    if state is None:
        return int(weights.numel())
    size = 1
    for dimension in state.shape:
        size *= dimension
    return size
