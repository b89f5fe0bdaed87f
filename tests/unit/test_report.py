import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from chaffinch.errors import DataError
from chaffinch.report import write_report
from tests.unit.finished import bad_row, finished_build, kept_id, kept_row, removed_row

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} {% include 'report.html.jinja' %}",
    "</style></pre></svg><iframe src=//evil>",
    "red \x1b[31m bell \x07 eight-bit \x9b",
    "abc \u202e txt.exe \u2066 isolate",
    "\x00",
    "tag \U000e0041 characters",
    "&lt;b&gt; &#0;",
]


class Page(HTMLParser):
    """The elements and the text of a page, as a browser has them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        # A mark stands within a word; every other element is a word of its own.
        self.parts.append("" if ("class", "mark") in attrs else " ")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.parts).split())


def page(out: Path) -> Page:
    return Page(write_report(out).read_text(encoding="utf-8"))


def test_headline_numbers_add_up_and_have_separators(tmp_path: Path) -> None:
    kept = [kept_row(kept_id(number)) for number in range(1_234)]
    removed = [removed_row(kept_id(number, "b"), "dedup", "duplicate of prompt") for number in range(2_000)]
    text = page(finished_build(tmp_path / "out", kept, removed, [bad_row()])).text
    assert "Every row is accounted for: 3,235 in the files = 1,234 kept + 2,000 removed + 1 quarantined." in text
    assert "duplicate of prompt 2,000 61.8 %" in text


def test_every_anchor_of_the_contents_exists(tmp_path: Path) -> None:
    removed = [removed_row(kept_id(9), "sample", "over the quota")]
    elements = page(finished_build(tmp_path / "out", removed=removed)).elements
    ids = {attributes.get("id") for _, attributes in elements}
    links = [str(attributes["href"]) for tag, attributes in elements if tag == "a"]
    assert len(links) >= 10
    assert {link.removeprefix("#") for link in links} <= ids


def hostile_build(out: Path) -> Path:
    kept = [
        kept_row(f"a/task/{number:016x}", category=text, language=text, prompt=text, response=text)
        for number, text in enumerate(HOSTILE)
    ]
    removed = [removed_row(kept_id(100 + number), "clean", text) for number, text in enumerate(HOSTILE)]
    bad = [bad_row(reason=text, raw=text, file=text) for text in HOSTILE]
    examples = {
        "clean": {
            text: [
                {
                    "row_id": text,
                    "prompt": text,
                    "response": text,
                    "witness": text,
                    "witness_prompt": text,
                    "score": 0.5,
                }
            ]
            for text in HOSTILE
        }
    }
    finished_build(out, kept, removed, bad, examples=examples, warnings=HOSTILE, classes=dict.fromkeys(HOSTILE, 1))
    manifest = json.loads((out / "manifest.json").read_text())
    for number, text in enumerate(HOSTILE):
        manifest["inputs"].append(
            {**manifest["inputs"][0], "file": text, "source": text, "hash": text, "notes": {text: text}}
        )
        manifest["stages"][1]["notes"][text] = text
        manifest["sample"].append(
            {
                "by": [text],
                "strata": [{"stratum": text, "available": 1, "asked": 2, "taken": 1, "shortfall": 1}],
            }
        )
        manifest["recipe"][f"key {number}"] = text
        manifest["outputs"].append({**manifest["outputs"][0], "file": text, "hash": text})
        manifest["build"][text] = text
    manifest["recipe"] |= {"name": HOSTILE[0], "description": HOSTILE[1], "mode": HOSTILE[2]}
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


def test_text_from_data_neither_acts_nor_hides(tmp_path: Path) -> None:
    html = write_report(hostile_build(tmp_path / "out")).read_text(encoding="utf-8")
    found = Page(html)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert {tag for tag, _ in found.elements if tag in {"style", "title", "head", "body"}} == {
        "style",
        "title",
        "head",
        "body",
    }
    assert sum(tag == "style" for tag, _ in found.elements) == 1
    hidden = {character for character in html if not character.isprintable() and character not in "\n\t"}
    assert not hidden
    for shown in (
        "<script>alert(1)</script>",
        "{{7*7}} {% include 'report.html.jinja' %}",
        "⟨U+202E⟩ txt.exe",
        "␛[31m",
        "&#0;",
    ):
        assert shown in found.text


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    html = write_report(hostile_build(tmp_path / "out")).read_text(encoding="utf-8")
    found = Page(html)
    policy = next(attributes["content"] for _, attributes in found.elements if attributes.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert not [
        attributes for _, attributes in found.elements if {"src", "srcset", "action", "data"} & attributes.keys()
    ]
    assert all(str(attributes["href"]).startswith("#") for _, attributes in found.elements if "href" in attributes)
    style = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_a_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    text = "grain " * 200_000
    rows = [
        {
            "row_id": kept_id(9),
            "prompt": text,
            "response": None,
            "witness": None,
            "witness_prompt": None,
            "score": None,
        }
    ]
    removed = [removed_row(kept_id(9), "clean", "too long")]
    path = write_report(
        finished_build(
            tmp_path / "out", removed=removed, bad=[bad_row(raw=text)], examples={"clean": {"too long": rows}}
        )
    )
    assert path.stat().st_size < 100_000
    assert Page(path.read_text(encoding="utf-8")).text.count("… 1,199,300 more characters") == 2


@pytest.mark.parametrize("kind", ["jsonl", "datasets"])
def test_every_format_gives_the_same_report(tmp_path: Path, kind: str) -> None:
    kept = [
        kept_row(kept_id(number), prompt="word " * number, category="café" if number % 2 else None)
        for number in range(9)
    ]
    expected = write_report(finished_build(tmp_path / "parquet", kept)).read_bytes()
    assert write_report(finished_build(tmp_path / kind, kept, kind=kind)).read_bytes() == expected


def test_a_row_longer_than_a_block_of_json(tmp_path: Path) -> None:
    kept = [kept_row(kept_id(0), prompt="long " * 5_000_000), kept_row(kept_id(1))]
    text = page(finished_build(tmp_path / "out", kept, kind="jsonl")).text
    assert "longest 1,048,576" in text


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"sources": {"a": {"read": 5, "quarantined": 0, "removed": {}, "kept": 3}}},
            "source a: 5 rows read, but 3 removed or kept",
        ),
        (
            {"sources": {"a": {"read": 2, "quarantined": 0, "removed": {}, "kept": 2}}},
            "2 rows are kept, the mixture holds 3",
        ),
    ],
)
def test_rows_that_vanish_are_shouted_about(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    text = page(finished_build(tmp_path / "out", **changes)).text
    assert "Rows are not accounted for" in text
    assert fault in text
    assert "Every row is accounted for" not in text


def test_shortfalls_come_first_and_are_marked(tmp_path: Path) -> None:
    strata = [
        {"stratum": "full", "available": 9, "asked": 5, "taken": 5, "shortfall": 0},
        {"stratum": ["lima", None], "available": 3, "asked": 5000, "taken": 3, "shortfall": 4997},
        {"stratum": "rest", "available": 3, "asked": None, "taken": 3, "shortfall": 0},
    ]
    found = page(finished_build(tmp_path / "out", sample=[{"by": ["source", "category"], "strata": strata}]))
    assert "lima / (unknown) 3 5,000 3 4,997 full 9 5 5 0 rest 3 all 3 0" in found.text
    assert [tag for tag, attributes in found.elements if attributes.get("class") == "short"] == ["tr"]


def test_readers_notes_are_added_up(tmp_path: Path) -> None:
    one = {"source": "a", "hash": "ab", "bytes": 1, "rows": 1, "rejected": 0}
    inputs = [
        {**one, "file": "a/1.json", "notes": {"NaN in JSON": 2, "encoding": "BOM", "CRLF": 0}},
        {**one, "file": "a/2.json", "notes": {"NaN in JSON": 1_000}},
    ]
    text = page(finished_build(tmp_path / "out", inputs=inputs)).text
    assert "a NaN in JSON 1,002 2 a encoding BOM 1 2 files" in text


def test_nothing_kept_nothing_removed(tmp_path: Path) -> None:
    text = page(finished_build(tmp_path / "out", kept=[])).text
    assert "No stage removed any row." in text
    assert "Every row of every file could be read." in text


def test_ledger_and_quarantine_may_be_missing(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out")
    (out / "ledger.parquet").unlink()
    (out / "quarantine.parquet").unlink()
    assert "Every row of every file could be read." in page(out).text


def test_the_same_folder_gives_the_same_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    out = hostile_build(tmp_path / "out")
    before = {path.name for path in out.iterdir()}
    first = write_report(out).read_bytes()
    assert write_report(out).read_bytes() == first
    assert {path.name for path in out.iterdir()} == before | {"report.html"}


def test_no_build_no_report(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no finished build\nhint: "):
        write_report(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"stages": [{}]}', '{"sources": {"a": 3}}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json.*\nhint: build again"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "datasets"])
def test_a_damaged_mixture_is_named(tmp_path: Path, kind: str) -> None:
    out = finished_build(tmp_path / "out", kind=kind)
    file = next(path for path in sorted((out / "data").rglob("*")) if path.is_file())
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    with pytest.raises(DataError, match=f"{file.name}: .*\nhint: the file is damaged"):
        write_report(out)


def test_a_mixture_without_files_is_named(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out")
    for file in (out / "data").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="files are gone\nhint: build again"):
        write_report(out)
