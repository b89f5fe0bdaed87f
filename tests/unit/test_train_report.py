import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.errors import DataError
from chaffinch.train import report
from tests.unit.finished import finished_build, kept_id, kept_row
from tests.unit.test_report import HOSTILE, Page

START = {"kind": "start", "steps": 200, "tokens_per_epoch": 400_000, "trainable": 4_096, "parameters": 1_000_000}


def step(number: int, loss: float | None = None) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": number,
        "epoch": number / 100,
        "loss": 2.0 - number / 200 if loss is None else loss,
        "learning_rate": 2e-5 * (1 - number / 200),
        "grad_norm": 0.3,
        "tokens": 4_000 * number,
        "seconds": 0.5 * number,
        "tokens_per_second": 8_000.0,
        "peak_memory": 3 << 30,
    }


def evaluated(number: int, loss: float) -> dict[str, Any]:
    return {"kind": "eval", "step": number, "eval_loss": loss, "seconds": 0.5 * number}


def run_folder(folder: Path, lines: list[dict[str, Any]], **options: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / report.LOG).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (folder / report.OPTIONS).write_text(json.dumps(options), "utf-8")
    return folder


def page(folder: Path) -> Page:
    report.write(folder)
    return Page((folder / report.PAGE).read_text("utf-8"))


def going(found: Page) -> bool:
    return any(attributes.get("http-equiv") == "refresh" for _, attributes in found.elements)


def test_a_run_that_is_going_shows_where_it_is_and_loads_itself_anew(tmp_path: Path) -> None:
    lines = [START, *(step(number) for number in range(1, 51)), evaluated(25, 1.75), evaluated(50, 1.8)]
    found = page(run_folder(tmp_path / "run", lines, options={"model": "m/7b", "lora_rank": 128}))
    assert going(found)
    assert "Step 50 of 200" in found.text
    assert "About 1 min 15 s left" in found.text  # 150 steps of half a second
    assert "Best so far: validation loss 1.7500 at step 25." in found.text
    assert "run on m/7b" in found.text
    assert "options.lora_rank 128" in found.text
    assert "most memory 3.0 GiB" in found.text
    drawings = [attributes["aria-label"] for tag, attributes in found.elements if tag == "svg"]
    assert [str(label).removesuffix(" over the steps") for label in drawings] == [
        "Loss",
        "Learning rate",
        "Norm of the gradient",
        "Tokens a second",
        "Most memory, GiB",
    ]


@pytest.mark.parametrize(
    ("reason", "said"),
    [("done", "Done"), ("hours", "hours are spent"), ("tokens", "tokens are spent"), ("interrupted", "Interrupted")],
)
def test_an_ended_run_is_not_loaded_anew(tmp_path: Path, reason: str, said: str) -> None:
    end = {"kind": "end", "reason": reason, "best_step": 2, "best_eval_loss": 1.5}
    found = page(run_folder(tmp_path / "run", [START, step(1), step(2), evaluated(2, 1.5), end]))
    assert not going(found)
    assert said in found.text
    assert "left at the speed" not in found.text


def test_a_continued_run_is_going_again_and_steps_done_again_count_once(tmp_path: Path) -> None:
    lines = [START, step(1), step(2, 9.0), {"kind": "end", "reason": "interrupted"}]
    lines += [{"kind": "resume", "steps": 300}, step(2, 1.0), step(3)]
    folder = run_folder(tmp_path / "run", lines)
    log = report.read_log(folder)
    assert [line["loss"] for line in log.steps] == [1.995, 1.0, 1.985]
    assert (log.end, log.start["steps"], log.start["trainable"]) == (None, 300, 4_096)
    assert going(page(folder))


def test_before_the_first_step_there_is_a_page(tmp_path: Path) -> None:
    found = page(run_folder(tmp_path / "run", [START]))
    assert "No step is done yet." in found.text
    assert going(page(run_folder(tmp_path / "empty", [])))


def test_a_line_that_is_still_being_written_does_not_count(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", [START, step(1)])
    with (folder / report.LOG).open("a") as log:
        log.write('{"kind": "step", "st')
    assert [line["step"] for line in report.read_log(folder).steps] == [1]


DAMAGED = ["[]", "{", "3", '{"kind": "step"}', '{"kind": ["step"]}', '{"kind": "step", "step": "x"}', "\x00"]


@pytest.mark.parametrize("line", [*DAMAGED, json.dumps(step(2) | {"seconds": math.nan})])
def test_a_damaged_line_is_told_and_ends_no_training(tmp_path: Path, line: str) -> None:
    folder = run_folder(tmp_path / "run", [START, step(1)])
    with (folder / report.LOG).open("a") as log:
        log.write(line + "\n" + json.dumps(step(2)) + "\n")
    found = page(folder)
    assert "1 line of log.jsonl could not be read." in found.text
    assert "Step 2 of 200" in found.text


def test_a_plan_made_later_tells_the_steps(tmp_path: Path) -> None:
    plan = {"kind": "plan", "step": 13, "steps": 60, "seconds_per_step": 0.5, "seconds": 30.0}
    found = page(run_folder(tmp_path / "run", [START, *(step(n) for n in range(1, 31)), plan]))
    assert "Step 30 of 60" in found.text
    assert "About 15.0 s left" in found.text


def test_a_folder_without_a_run_is_refused_and_a_failed_page_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no training run"):
        report.write(tmp_path)
    folder = run_folder(tmp_path / "run", [START, step(1)])
    report.write(folder)
    before = (folder / report.PAGE).read_bytes()
    (folder / report.OPTIONS).write_text("[")
    with pytest.raises(DataError, match=r"options\.json"):
        report.write(folder)
    assert (folder / report.PAGE).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [report.LOG, report.OPTIONS, report.PAGE]


def test_a_loss_that_is_no_number_is_told_and_not_drawn(tmp_path: Path) -> None:
    none = step(5) | {"loss": None, "grad_norm": None}
    lines = [START, *(step(n) for n in range(1, 5)), none, step(6, math.inf), step(7), step(8)]
    html = page(run_folder(tmp_path / "run", [*lines, evaluated(8, math.nan) | {"eval_loss": None}]))
    assert "At 2 steps, the first of them 5." in html.text
    lines_drawn = [attributes["points"] for tag, attributes in html.elements if tag == "polyline"]
    assert len(lines_drawn) == 2 + 2 + 3  # the loss and the norm are broken in two, the three others are whole
    assert not any("nan" in str(points) or "inf" in str(points) for points in lines_drawn)
    assert "Best so far" not in html.text


def test_a_long_run_is_a_short_page(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", [START, *(step(number) for number in range(1, 20_001))])
    report.write(folder)
    html = (folder / report.PAGE).read_text("utf-8")
    assert len(html) < 120_000
    points = next(str(attributes["points"]) for tag, attributes in Page(html).elements if tag == "polyline")
    assert 500 <= len(points.split()) <= report.MOST_POINTS


def test_the_mixture_is_named_and_linked(tmp_path: Path) -> None:
    rows = [kept_row(kept_id(number, source)) for source in "ab" for number in range(3)]
    out = finished_build(tmp_path / "a # b?", rows, warnings=["source c gave no row"])
    (out / "report.html").write_text("a report")
    found = page(run_folder(out / "train", [START], mixture={"out": str(out), "manifest": "ab" * 16}))
    links = [str(attributes["href"]) for tag, attributes in found.elements if tag == "a"]
    assert "../report.html" in links
    assert "a 3 b 3 all 6" in found.text
    assert "source c gave no row" in found.text
    elsewhere = page(run_folder(tmp_path / "run", [START], mixture={"out": str(out)}))
    assert [attributes["href"] for tag, attributes in elsewhere.elements if tag == "a"][-1] == (
        "../a%20%23%20b%3F/report.html"
    )
    gone = page(run_folder(tmp_path / "run", [START], mixture={"out": str(tmp_path / "gone")}))
    assert "not there any more" in gone.text


def test_text_from_data_neither_acts_nor_hides(tmp_path: Path) -> None:
    rows = [kept_row(f"{text.replace('/', '_')}/t/{number:016x}") for number, text in enumerate(HOSTILE)]
    out = finished_build(tmp_path / "out", rows, warnings=HOSTILE)
    values = json.loads((out / "manifest.json").read_text())
    values["recipe"] |= {"name": HOSTILE[0], "description": HOSTILE[3]}
    (out / "manifest.json").write_text(json.dumps(values))
    texts = dict(zip(HOSTILE, HOSTILE, strict=True))
    options = {"options": {"model": HOSTILE[1]}, "mixture": {"out": str(out)}, "texts": texts}
    ends = [{"kind": "end", "reason": text} for text in HOSTILE]
    for end in ends:
        start = START | texts | {"splits": texts}
        folder = run_folder(tmp_path / "run", [start, step(1), step(2), evaluated(2, 1.0), end], **options)
        report.write(folder)
        html = (folder / report.PAGE).read_text("utf-8")
        found = Page(html)
        tags = [tag for tag, _ in found.elements]
        assert not {*tags} & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
        assert (tags.count("style"), tags.count("title")) == (1, 1 + tags.count("circle"))
        assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
        assert not {character for character in html if not character.isprintable() and character not in "\n\t"}
        assert "url(" not in html.split("</style>")[0]


@given(st.lists(st.floats(), min_size=1, max_size=30))
def test_any_numbers_are_drawn_within_the_frame(values: list[float]) -> None:
    plot = report._plot("Loss", {"train": list(enumerate(values, 1))}, 1, "{:.4g}")
    assert (plot is None) == (not any(abs(value) <= report.LARGEST for value in values))
    if plot is None:
        return
    points = [tuple(map(float, point.split(","))) for _, line in plot.lines for point in line.split()]
    assert all(0 <= x <= report.WIDTH and 0 <= y <= report.HEIGHT for x, y in points)
    assert all(0 <= y <= report.HEIGHT for y, _ in plot.up)
    assert 2 <= len(plot.up) <= 9


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 100)), min_size=1, max_size=3000))
def test_thinned_points_keep_their_mean(points: list[tuple[int, float]]) -> None:
    thinned = report._thin(points)
    assert len(thinned) <= report.MOST_POINTS
    if len(points) <= report.MOST_POINTS:
        assert thinned == points
