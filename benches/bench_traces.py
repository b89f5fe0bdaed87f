"""Traces of a model: what each rule finds in sources by models and by people, and how fast.

Quality over ../shared/data: rows matched by rule and source, precision (share of the matched rows that are of generated
sources; balanced: the same of mean rates, as if every source had equally many rows) and recall (share of a generated
source's rows with any trace). Speed on one thread over the responses, repeated, in seconds of a core, beside Python's
`re` (the phrases as one alternation) and pyahocorasick; both only search, and leave the rules' conditions out.
"""

import argparse
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import ahocorasick
import numpy as np
import pyarrow as pa
from common import header

from chaffinch import readers
from chaffinch.provenance.traces import TraceRule, trace_rules
from chaffinch.recipe.source import Source
from chaffinch.stages.traces import find, generated_traces
from chaffinch.store import Rows

REAL = Path(__file__).parents[2] / "shared" / "data"
BAR = 200.0
NI = ("tasks", "tasks-variant", "tasks-2021-schema", "tasks-assembled", "tasks-excerpt")
GENERATED = {
    "alpaca": {"files": "alpaca/*.json*"},
    "alpaca-1k": {"files": "alpaca-1k/*.json*"},
    "evol-instruct": {"files": "evol-instruct-1k/*.json*"},
    "code-alpaca": {"files": ["code-alpaca/code_alpaca_2k.json*", "code-alpaca/new_codealpaca.json*"]},
    "llama-factory-demo": {"files": "llama-factory-demo/*.json*"},
}
HUMAN = {
    "lima": {"files": "lima/*.json*"},
    "dolly": {"files": "dolly/*.json*"},
    "natural-instructions": {
        "files": [f"natural-instructions/{folder}/*.json*" for folder in NI],
        "format": "natural-instructions",
    },
    "natural-instructions-v1": {"files": "natural-instructions-v1/tasks/*.json*", "format": "natural-instructions"},
    "flan-cot": {
        "files": "flan-cot/*.tsv*",
        "columns": ["question", "answer", "rationale"],
        "fields": {"instruction": "question", "output": "answer"},
    },
    "p3": {"files": "p3-t0-50k/data_per_template/*.jsonl*"},
}
ABOUT = "chatgpt|openai|gpt-?[34]|language models?|chatbots?|ai assistants?|artificial intelligence"


def load(cache: Path) -> Rows:
    sources = [Source(name=name, **more) for name, more in {**GENERATED, **HUMAN}.items()]
    shards = [shard for source in sources for shard in readers.read_source(source, REAL, cache)]
    return Rows(shards, sources)


def responses(rows: Rows) -> Iterator[str]:
    for batch in rows.table.select(["references", "messages"]).to_batches(16_384):
        for row in batch.to_pylist():
            turns = row["messages"] or []
            yield from (
                (turn["content"] for turn in turns if turn["role"] == "assistant") if turns else row["references"][:1]
            )


def quality(rows: Rows) -> None:
    rules = list(trace_rules().values())
    found = find(rows.table, np.arange(len(rows), dtype=np.uint32), rules)
    row, rule = found["row"].to_numpy(), found["rule"].to_numpy()
    source = rows.source_codes(row)
    names = list(rows.ranges)
    sizes = np.array([end - start for start, end in rows.ranges.values()])
    n_generated = len(GENERATED)

    def line(name: str, of: np.ndarray) -> None:
        pairs = np.unique(row[of])
        counts = np.bincount(rows.source_codes(pairs), minlength=len(names))
        rates = counts / sizes
        ours, all_rows = counts[:n_generated].sum(), counts.sum()
        mean = rates[:n_generated].mean(), rates[n_generated:].mean()
        balanced = f"{mean[0] / sum(mean):9.1%}" if all_rows else "        -"
        plain = f"{ours / all_rows:9.1%}" if all_rows else "        -"
        where = ", ".join(f"{names[at]} {n}" for at, n in enumerate(counts) if n)
        print(f"  {name:<24}{all_rows:6}{plain}{balanced}   {where}")

    print(f"\n  {'rule':<24}{'rows':>6}{'precision':>9}{'balanced':>9}   rows by source")
    for code, one in enumerate(rules):
        line(one.id, rule == code)
    line("any rule", np.ones(len(row), bool))
    says = np.array([rules[code].part == "response" for code in rule], bool)
    line("any but template-residue", says & np.array([rules[code].family != "template-residue" for code in rule], bool))
    print(f"\n  {'source':<26}{'by':<8}{'rows':>8}{'matched':>9}{'rate':>9}")
    for at, name in enumerate(names):
        matched = len(np.unique(row[source == at]))
        by = "models" if at < n_generated else "people"
        print(f"  {name:<26}{by:<8}{sizes[at]:8,}{matched:9,}{matched / sizes[at]:9.2%}")
    print("  of a source by models the rate is the recall: most generated rows carry no trace at all")
    texts = list(responses(rows))
    about = [text for text in texts if re.search(rf"\b({ABOUT})\b", text, re.IGNORECASE)]
    kinds = generated_traces(about, rules=["self-identification", "provider-name"])
    print(f"  {len(about):,} responses speak of models; {len(np.unique(kinds['row']))} of them as one")


def alternation(rules: list[TraceRule]) -> re.Pattern[str]:
    """The rules' phrases as one would write them for `re`: groups as groups, no condition."""
    phrases = []
    for phrase in (phrase for rule in rules for phrase in rule.phrases):
        parts = re.split(r"\(([^()]*\|[^()]*)\)", phrase)
        spelt = ["|".join(map(re.escape, part.split("|"))) for part in parts]
        phrases.append("".join(f"(?:{part})" if at % 2 else part for at, part in enumerate(spelt)))
    return re.compile("|".join(phrases).replace("'", "['\u2019]"), re.IGNORECASE | re.ASCII)


def core_seconds(work: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """The best seconds of a core, and the best by the clock: other work on the machine is no part of the first."""
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        clock, core = time.perf_counter(), time.process_time()
        work()
        best = [min(best[0], time.process_time() - core), min(best[1], time.perf_counter() - clock)]
    return best[0], best[1]


def speed(texts: list[str], copies: int) -> None:
    rules = list(trace_rules().values())
    column = pa.array(texts, pa.large_string())
    # The mark counts everywhere and in quotations, so that a plain alternation means the same.
    mark = next(rule for rule in rules if rule.id == "no-input-mark")
    ours = [(one["row"], one["start"], one["match"]) for one in generated_traces(column, rules=[mark.id]).to_pylist()]
    expression = alternation([mark])
    theirs = [(at, match.start(), match[0]) for at, text in enumerate(texts) if (match := expression.search(text))]
    assert ours == theirs, "the alternation finds the same"
    phrases = {phrase.lower() for rule in rules for phrase in rule.spelt_out()[0]}
    automaton = ahocorasick.Automaton()
    for phrase in phrases:
        automaton.add_word(phrase, len(phrase))
    automaton.make_automaton()
    traced = set(generated_traces(column)["row"].to_pylist())
    some = texts[:: max(1, len(texts) // 2000)]
    everything = alternation(rules)
    for search in (everything.search, lambda text: next(automaton.iter(text.lower()), None)):
        assert all(search(texts[at]) for at in traced), "the peers find what is a trace"

    large = pa.chunked_array([column] * copies)
    print(f"\n  speed: {len(large):,} responses, {large.nbytes / 1e6:,.0f} MB, one thread, {len(rules)} rules")
    core, clock = core_seconds(lambda: generated_traces(large, threads=1))
    rate = large.nbytes / core / 1e6
    verdict = (
        f"bar {BAR:g} MB/s a core: {'met' if rate >= BAR else 'MISSED'} ({large.nbytes / clock / 1e6:.0f} by the clock)"
    )
    print(f"  {'chaffinch, all rules and conditions':<44} {core:8.3f} s {rate:8.1f} MB/s   {verdict}")
    build, _ = core_seconds(lambda: generated_traces([""]))
    print(f"  {'  of which building the automaton':<44} {build:8.3f} s")
    n_some = sum(len(text.encode()) for text in some)
    peers: dict[str, tuple[Callable[[], object], int]] = {
        "re, search alone, some texts": (lambda: [everything.search(text) for text in some], n_some),
        "pyahocorasick, search alone": (
            lambda: [next(automaton.iter(text.lower()), None) for text in texts],
            column.nbytes,
        ),
    }
    for name, (work, size) in peers.items():
        core, _ = core_seconds(work, 2)
        print(f"  {name:<44} {core:8.3f} s {size / core / 1e6:8.1f} MB/s   {rate / (size / core / 1e6):7.1f}x")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--copies", type=int, default=20)
    options = arguments.parse_args()
    if not REAL.is_dir():
        print(f"# traces: skipped, no real data at {REAL}")
        return
    header("traces", ["pyahocorasick"], rules=len(trace_rules()))
    with TemporaryDirectory() as cache:
        rows = load(Path(cache))
        quality(rows)
        texts = [text for text in responses(rows) if len(text) >= 200]
        speed(texts, options.copies)


if __name__ == "__main__":
    main()
