"""The shipped templates, letter by letter."""

import pytest

from chaffinch.stages import format as formatting
from tests.rows import everyone, row, store, turns

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
TALK = [("user", "Hello!"), ("assistant", "Hi!"), ("user", "How are you?"), ("assistant", "Good.")]
PROMPTS = {
    # What FastChat prints for its own example (the end of fastchat/conversation.py).
    "vicuna": f"{SYSTEM} USER: Hello! ASSISTANT: Hi!</s>USER: How are you? ASSISTANT:",
    "chatml": "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\nHi!<|im_end|>\n"
    "<|im_start|>user\nHow are you?<|im_end|>\n<|im_start|>assistant\n",
    "llama-2": "<s>[INST] Hello! [/INST] Hi! </s><s>[INST] How are you? [/INST]",
    "llama-3": "<|start_header_id|>user<|end_header_id|>\n\nHello!<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi!<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHow are you?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "[INST] Hello![/INST] Hi!</s>[INST] How are you?[/INST]",
}
SYSTEMS = {
    "vicuna": "Be kind. USER: Hello! ASSISTANT:",
    "chatml": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n",
    "llama-2": "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHello! [/INST]",
    "llama-3": "<|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello!<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "[INST] Be kind.\n\nHello![/INST]",
}


def prompts(template: str, *rows: dict) -> list[str]:
    table = store(list(rows))
    return formatting.run(table, everyone(table), formatting.load_template(template))["prompt"].to_pylist()


@pytest.mark.parametrize("template", PROMPTS)
def test_a_conversation_and_a_row(template: str) -> None:
    alone = row("r", instruction="How?", input="x")
    same = row(messages=turns(("user", "How?\n\nx"), ("assistant", "r")))
    talk, first, second = prompts(template, row(messages=turns(*TALK)), alone, same)
    assert talk == PROMPTS[template]
    assert first == second


@pytest.mark.parametrize("template", SYSTEMS)
def test_a_system_turn(template: str) -> None:
    talk = turns(("system", "Be kind."), *TALK[:2])
    assert prompts(template, row(messages=talk)) == [SYSTEMS[template]]
