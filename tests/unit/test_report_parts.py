import re
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch import report
from chaffinch.report import numbers
from chaffinch.report.flow import WIDEST, draw
from chaffinch.report.lengths import EDGES, LONGEST, Lengths, count_words
from chaffinch.report.visible import inline, visible

texts = st.text(alphabet=st.sampled_from(" \t\n\x0b\x0cab,é中\u00a0\x00"), max_size=12) | st.none()


def plain_words(text: str | None) -> int:
    return len(re.findall(r"[^\t\n\x0b\x0c\r ]+", text or ""))


@given(
    st.lists(texts, max_size=20),
    st.sampled_from([pa.string(), pa.large_string()]),
    st.integers(0, 5),
    st.integers(0, 20),
)
def test_words_are_counted_as_plain_python_does(
    values: list[str | None], kind: pa.DataType, start: int, length: int
) -> None:
    array = pa.array(values, kind).slice(start, length)
    assert count_words(array).tolist() == [plain_words(text) for text in values[start : start + length]]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.sampled_from([0.0, 0.01, 0.5, 0.95, 1.0]))
def test_quantiles_are_values_of_the_sorted_list(counts: list[int], share: float) -> None:
    lengths = Lengths()
    for count in counts:
        lengths.add(pa.array(["w " * count]))
    rank = max(1, -(-round(share * 100) * len(counts) // 100))
    assert lengths.quantile(share) == sorted(counts)[rank - 1]
    assert lengths.mean() == pytest.approx(sum(counts) / len(counts))
    assert lengths.total == sum(rows for _, _, rows in lengths.bins()) == len(counts)


def test_bins_cover_every_length_once() -> None:
    lengths = Lengths()
    lengths.counts[:] = 1
    bins = lengths.bins()
    assert [first for first, _, _ in bins] == EDGES == sorted(set(EDGES))
    assert all(last is not None and last + 1 == following for (_, last, _), (following, _, _) in pairwise(bins))
    assert bins[-1][1] is None
    assert sum(rows for _, _, rows in bins) == LONGEST + 1


def test_texts_longer_than_the_longest_share_the_last_counter() -> None:
    lengths = Lengths()
    lengths.add(pa.array(["w " * (LONGEST + 5)]))
    assert lengths.quantile(1.0) == LONGEST


def test_nothing_has_no_lengths() -> None:
    assert Lengths().bins() == []
    assert Lengths().quantile(0.5) == 0
    assert Lengths().mean() == 0.0


@given(st.lists(st.integers(0, 10**7), max_size=12), st.integers(0, 10**7))
def test_the_flow_keeps_its_strands_apart_and_its_numbers_exact(leaving: list[int], kept: int) -> None:
    flow = draw(sum(leaving) + kept, [(f"stage {number}", rows, "removed") for number, rows in enumerate(leaving)])
    if flow is None:
        assert sum(leaving) + kept == 0
        return
    assert flow.alive[-1][1] == kept
    assert [strand.rows for strand in flow.strands] == leaving
    assert all(bool(strand.path) == bool(strand.rows) for strand in flow.strands)
    edges = [[float(x) for x in re.findall(r"L([\d.]+) ", strand.path)] for strand in flow.strands]
    spans = [(min(xs), max(xs)) for xs in edges if xs]
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert all(end - start < WIDEST for start, end in spans)
    assert all(
        0 <= number <= max(flow.width, flow.height) for number in map(float, re.findall(r"\d+\.?\d*", flow.band))
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, café, 数, 👩\u200d🌾\tand\na line", "plain, café, 数, 👩\u200d🌾\tand\na line"),
        ("a\r\nb", "a\nb"),
        ("over\rwritten", "over␍written"),
        ("\x00\x1b\x7f", "␀␛␡"),
        ("\x9b\u202e\u2028\ufeff\U000e0041\ud800", "⟨U+009B⟩⟨U+202E⟩⟨U+2028⟩⟨U+FEFF⟩⟨U+E0041⟩⟨U+D800⟩"),
    ],
)
def test_what_hides_is_made_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_visible_cuts_and_says_so() -> None:
    assert visible("x" * 2_005, 5) == "xxxxx … (2,000 more characters)"
    assert visible("12345", 5) == "12345"
    assert inline("a\tb\nc") == "a␉b␊c"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (numbers.count(1234567), "1,234,567"),
        (numbers.count(2.0), "2"),
        (numbers.count(0.98765), "0.988"),
        (numbers.count(54321.6), "54,322"),
        (numbers.percent(0), "0.0 %"),
        (numbers.percent(0.0001), "< 0.1 %"),
        (numbers.percent(0.99999), "> 99.9 %"),
        (numbers.percent(1), "100.0 %"),
        (numbers.size(1023), "1,023 bytes"),
        (numbers.size(1536), "1.5 KiB"),
        (numbers.size(200 << 20), "200 MiB"),
        (numbers.size(3 << 50), "3,072.0 TiB"),
        (numbers.duration(0.04), "0.04 s"),
        (numbers.duration(12.34), "12.3 s"),
        (numbers.duration(59.99), "1 min 0 s"),
        (numbers.duration(3725), "1 h 2 min"),
    ],
)
def test_numbers_for_people(written: str, expected: str) -> None:
    assert written == expected


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read_on_its_ground(theme: int) -> None:
    style = (Path(report.__file__).parent / "style.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", style.split(":root {")[theme + 1].split("}")[0]))
    grounds = {
        "ink": "paper",
        "soft": "paper",
        "kept": "paper",
        "good": "paper",
        "warn": "warn-soft",
        "bad": "bad-soft",
    }
    pairs = [*grounds.items(), ("ink", "card"), ("soft", "card"), ("ink", "warn-soft"), ("ink", "bad-soft")]
    for text, ground in pairs:
        dark, light = sorted([luminance(colours[text]), luminance(colours[ground])])
        # 4.5 is what WCAG 2 asks of text at level AA.
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
