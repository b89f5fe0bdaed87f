"""What becomes of each kind of record, good or bad."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from chaffinch.readers import Shard, read_source
from chaffinch.recipe.source import Source

DATA = Path("data")


@pytest.fixture
def read(tmp_path):
    """Reads one file of the given name and content as a source; rows, rejects and notes."""

    def read(name: str, content: str | bytes, **words):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        source = Source(name="s", files=name, **words)
        [shard] = read_source(source, tmp_path / "data", tmp_path / "cache", threads=2)
        return rows_of(shard), rejects_of(shard), shard.notes

    return read


def rows_of(shard: Shard) -> list[dict]:
    rows = pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all().to_pylist()
    assert len(rows) == shard.rows
    return rows


def rejects_of(shard: Shard) -> list[dict]:
    if shard.quarantine is None:
        assert shard.rejected == 0
        return []
    rejects = pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all().to_pylist()
    assert len(rejects) == shard.rejected
    return rejects


def row(**fields) -> str:
    return json.dumps({"instruction": "i", "output": "o", **fields})


NATURAL = {
    "Contributors": ["x"],
    "Categories": ["A", "B"],
    "Definition": ["first", "second"],
    "Input_language": ["English"],
    "Output_language": ["Spanish"],
    "Positive Examples": [{"input": "p", "output": "q", "explanation": ""}],
    "Instances": [
        {"id": "task5-1", "input": "a", "output": ["b", "c", "b"]},
        {"id": "task5-1", "input": "d", "output": "e"},
        {"id": "task6-9", "input": "f", "output": ["g"], "extra": 1.50},
        {"id": "task5-2", "input": "h", "output": []},
    ],
    "Instance License": ["CC"],
}


def test_natural_instructions_in_the_released_schema(read):
    rows, rejects, notes = read("task005_x.json", json.dumps(NATURAL))
    assert [row["input"] for row in rows] == ["a", "d", "f"]
    assert [row["references"] for row in rows] == [["b", "c"], ["e"], ["g"]]
    assert {row["instruction"] for row in rows} == {"first\nsecond"}
    first = rows[0]
    assert (first["source"], first["task"], first["category"]) == ("s", "task005_x", "A; B")
    assert (first["language"], first["licence"], first["messages"]) == ("English>Spanish", "CC", None)
    assert [row["meta"] for row in rows][::2] == ['{"id":"task5-1"}', '{"id":"task6-9","extra":1.5}']
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert [(bad["pointer"], bad["reason"]) for bad in rejects] == [("/Instances/3", "no reference")]
    assert notes == {"repeated_reference": 1, "duplicate_id": 1, "id_of_other_task": 1}


@pytest.mark.parametrize("indent", [None, 4])
def test_natural_instructions_with_keys_in_any_order_and_nan(read, indent):
    instances = [{"input": "a", "output": ["b"]}]
    content = {"Instances": instances, "URL": [float("nan")], "Definition": "d", "Title": "t"}
    rows, rejects, _ = read("subtask.json", json.dumps(content, indent=indent))
    assert [(row["instruction"], row["input"], row["references"]) for row in rows] == [("d", "a", ["b"])]
    assert (rows[0]["category"], rows[0]["language"], rows[0]["meta"]) == (None, None, None)
    assert rejects == []


def test_natural_instructions_cut_off_keeps_the_instances_before(read):
    text = json.dumps(NATURAL)
    rows, [bad], notes = read("t.json", text[: text.index('"f"')])
    assert len(rows) == 2
    assert (bad["pointer"], bad["reason"]) == ("/Instances/2", "truncated: the file ends inside a value")
    assert notes["truncated_file"] == 1


def test_natural_instructions_without_a_usable_definition_loses_each_instance(read):
    rows, rejects, _ = read("t.json", json.dumps({**NATURAL, "Definition": {"a": 1}}))
    assert rows == []
    assert [bad["reason"] for bad in rejects] == ["Definition is not text"] * 4


def test_task_table_fills_gaps_by_name_and_alias(read, tmp_path):
    table = [
        {
            "task": "task1_long.name",
            "category": "C",
            "input_language": ["French"],
            "output_language": ["French"],
        },
        {"task": "other", "category": "D", "aliases": ["task1_long"], "input_language": "English"},
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.json").write_text(json.dumps(table))
    content = json.dumps({"Definition": "d", "Instances": [{"input": "a", "output": "b"}]})
    words = {"task_table": "table.json", "category": "constant", "licence": "MIT"}
    [named], _, _ = read("task1_long.name.json", content, **words)
    assert (named["category"], named["language"], named["licence"]) == ("C", "French", "MIT")
    [alias], _, _ = read("task1_long.json", content, **words)
    assert (alias["category"], alias["language"]) == ("D", "English")
    [unknown], _, _ = read("task2.json", content, **words)
    assert (unknown["category"], unknown["language"]) == ("constant", None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"prompt": "p", "completion": "c"}, ("p", "", ["c"])),
        ({"question": "p", "context": "x", "answer": "c"}, ("p", "x", ["c"])),
        ({"query": "p", "response": ["c", "d"]}, ("p", "", ["c", "d"])),
        ({"problem": "p", "references": ["c"]}, ("p", "", ["c"])),
        ({"input": "x", "output": 3}, ("", "x", ["3"])),
        ({"instruction": "p", "input": None, "output": [1.50, True]}, ("p", "", ["1.5", "true"])),
        ({"instruction": None, "prompt": "p", "output": ""}, ("p", "", [""])),
        ({"instruction": "", "input": "", "output": "c"}, ("", "", ["c"])),
    ],
)
def test_fields_are_known_by_many_names(read, line, expected):
    [row], rejects, _ = read("a.jsonl", json.dumps(line))
    assert (row["instruction"], row["input"], row["references"]) == expected
    assert (row["meta"], rejects) == (None, [])


def test_fields_can_be_named_and_what_is_left_is_kept(read):
    line = '{"z": [1,  NaN], "q": "ask", "a": "reply", "t": 7, "c": ["x", "y"], "\\"k\\u0001": "\\n"'
    line += ', "instruction": "other"}'
    fields = {"instruction": "q", "output": ["no", "a"], "task": "t", "category": "c"}
    [row], _, notes = read("a.jsonl", line, fields=fields)
    assert (row["instruction"], row["references"], row["task"], row["category"]) == (
        "ask",
        ["reply"],
        "7",
        "x; y",
    )
    assert row["meta"] == '{"z":[1,  NaN],"\\"k\\u0001":"\\n","instruction":"other"}'
    assert notes == {"number_as_text": 1}


def test_the_last_of_repeated_keys_counts(read):
    many = ", ".join(f'"k{number}": {number}' for number in range(40))
    line = f'{{"instruction": "1", {many}, "output": "x", "k1": "again", "instruction": "2"}}'
    [row], _, _ = read("a.jsonl", line)
    parsed = json.loads(line)
    assert row["instruction"] == parsed.pop("instruction")
    assert row["references"] == [parsed.pop("output")]
    assert list(json.loads(row["meta"]).items()) == list(parsed.items())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"instruction": "i"}', "no reference"),
        ('{"instruction": "i", "output": null}', "no reference"),
        ('{"instruction": "i", "output": []}', "no reference"),
        ('{"output": "o"}', "no instruction and no input"),
        ('{"instruction": null, "input": null, "output": "o"}', "no instruction and no input"),
        ('{"instruction": NaN, "output": "o"}', "instruction is not text"),
        ('{"instruction": -Infinity, "output": "o"}', "instruction is not text"),
        ('{"instruction": {"a": 1}, "output": "o"}', "instruction is not text"),
        ('{"instruction": ["a"], "output": "o"}', "instruction is not text"),
        ('{"instruction": "i", "output": ["o", null]}', "output is neither text nor a list of texts"),
        ('{"instruction": "i", "output": {}}', "output is neither text nor a list of texts"),
        ("[1]", "not an object"),
        ("12", "not an object"),
        ('{"instruction": "i", "output": "\\ud800"}', "lone surrogate: no Unicode text holds it"),
        ('{"instruction": "i", "output": "o", "x": "\\udc00x"}', "lone surrogate: no Unicode text holds it"),
        ('{"instruction": "i", "output": "o",}', "invalid JSON: trailing comma"),
        ('{"instruction": "i", "output": "o"} {}', "invalid JSON: more than one value"),
        ('{"instruction": "i", "output": "\0"}', "invalid JSON: control character in a string"),
        ('{"instruction": "i", "output": "o", "x": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ('{"instruction": "i", "output": 01}', "invalid JSON: invalid number"),
        ('{"instruction": "i" "output": "o"}', "invalid JSON: expected `,` or `}`"),
        ('{"instruction": "i", "output": "\\x"}', "invalid JSON: invalid escape"),
        ('{"instruction": "i", "output": "o"', "invalid JSON: it ends too early"),
        (b'{"instruction": "i", "output": "\xff"}', "invalid UTF-8"),
        (b'{"instruction": "i", "output": "o", "x": {"\xff": 1}}', "invalid UTF-8"),
        ("garbage", "invalid JSON: expected a value"),
    ],
)
@pytest.mark.parametrize("form", ["lines", "array"])
def test_a_bad_record_costs_that_record_only(read, line, reason, form):
    line = line.encode() if isinstance(line, str) else line
    records = [row(output="1").encode(), line, row(output="2").encode()]
    if form == "lines":
        rows, [bad], _ = read("a.jsonl", b"\n".join(records))
        assert (bad["position"], bad["pointer"]) == (2, "line 2")
    else:
        if line.endswith(b"{}") or line.endswith(b'"o"'):
            pytest.skip("in an array this is damage to the array itself")
        rows, [bad], _ = read("a.json", b"[" + b", ".join(records) + b"]")
        assert (bad["position"], bad["pointer"]) == (1, "/1")
    assert bad["reason"] == reason
    assert bad["file"] in ("a.json", "a.jsonl")
    assert bad["raw"] == line.decode("utf-8", "replace")[:500]
    assert [row["references"] for row in rows] == [["1"], ["2"]]


@pytest.mark.parametrize(
    ("content", "rows", "reasons"),
    [
        ("[" + row() + ",]", 1, ["invalid JSON: trailing comma"]),
        ("[" + row() + " " + row() + "]", 1, ["invalid JSON: expected `,` or `]`"]),
        ("[" + row() + "] x", 1, ["invalid JSON: more than one value"]),
        ("[" + row() + ", {", 1, ["truncated: the file ends inside a value"]),
        ("[" + row() + ",", 1, ["truncated: the file ends inside a value"]),
        ("[" + "[" * 100_000, 0, ["truncated: the file ends inside a value"]),
        ("[]", 0, []),
        ("{\n  " + row()[1:-1] + "\n}", 1, []),
        ("{\n  " + row()[1:-1] + "\n", 0, ["truncated: the file ends inside a value"]),
    ],
)
def test_damage_to_an_array_keeps_what_came_before(read, content, rows, reasons):
    found, rejects, _ = read("a.json", content)
    assert (len(found), [bad["reason"] for bad in rejects]) == (rows, reasons)


@pytest.mark.parametrize("content", ["", "\n \r\n", "\ufeff"])
def test_an_empty_file_has_no_rows_and_says_so(read, content):
    rows, rejects, notes = read("a.json", content)
    assert (rows, rejects) == ([], [])
    assert notes["empty_file"] == 1


def test_byte_order_mark_carriage_returns_and_blank_lines_are_no_content(read):
    rows, _, notes = read("a.json", "\ufeff" + row(output="1") + "\r\n\r\n  \r\n" + row(output="2") + "\r\n")
    assert [(row["position"], row["references"]) for row in rows] == [(1, ["1"]), (4, ["2"])]
    assert notes == {"bom": 1, "crlf": 1}
    [csv], _, notes = read("a.csv", "\ufeffinstruction,output\r\na,b\r\n")
    assert (csv["instruction"], csv["references"]) == ("a", ["b"])
    assert notes == {"bom": 1, "crlf": 1}


def test_nul_and_every_escape_come_out_as_json_loads_gives_them(read):
    line = '{"instruction": "\\u0000\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00 \u2028", "output": "o"}'
    [row], _, _ = read("a.jsonl", line)
    assert row["instruction"] == json.loads(line)["instruction"]


def test_a_last_line_that_was_cut_off(read):
    rows, [bad], notes = read("a.jsonl", row() + "\n" + row()[:-3])
    assert (len(rows), bad["reason"], bad["pointer"]) == (
        1,
        "truncated: the file ends inside a value",
        "line 2",
    )
    assert notes == {"truncated_file": 1}


@pytest.mark.parametrize("form", ["lines", "array", "csv"])
def test_a_packed_file_that_was_cut_off_keeps_the_rows_before(read, form):
    words = [f"{number * 7919 % 10007}" for number in range(5000)]
    lines = [row(output=word) for word in words]
    text = {"lines": "\n".join(lines), "array": f"[{', '.join(lines)}]", "csv": "instruction,output\n"}[form]
    if form == "csv":
        text += "\n".join(f"i,{word}" for word in words)
    packed = gzip.compress(text.encode())
    name = {"lines": "a.jsonl.gz", "array": "a.json.gz", "csv": "a.csv.gz"}[form]
    rows, [bad], notes = read(name, packed[: len(packed) // 2])
    assert 0 < len(rows) < 5000
    assert [row["references"] for row in rows] == [[word] for word in words[: len(rows)]]
    assert bad["reason"].startswith("truncated")
    assert notes == {"truncated_file": 1}


CONVERSATION = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]


def test_conversations_of_every_dialect(read):
    turns = [
        {"role": "system", "content": "s"},
        {"from": "prompter", "value": "u"},
        {"from": "function_call", "value": "f"},
        {"from": "observation", "value": "t"},
        {"role": "assistant", "content": "", "weight": 1},
    ]
    lines = [
        {"conversations": CONVERSATION, "id": "x"},
        {"messages": turns},
        {"conversation": turns, "tools": "[]"},
    ]
    rows, rejects, notes = read("a.jsonl", "\n".join(map(json.dumps, lines)))
    assert rejects == []
    assert rows[0]["messages"] == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert [turn["role"] for turn in rows[1]["messages"]] == [
        "system",
        "user",
        "tool_call",
        "tool",
        "assistant",
    ]
    assert [(row["instruction"], row["input"], row["references"]) for row in rows] == [("", "", [])] * 3
    assert [row["meta"] for row in rows] == ['{"id":"x"}', None, '{"tools":"[]"}']
    assert notes == {"turn_key_ignored": 2}


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "empty conversation"),
        ([{"from": "narrator", "value": "a"}], "invalid role"),
        ([{"value": "a"}], "invalid role"),
        ([{"from": 3, "value": "a"}], "invalid role"),
        ([{"from": "human"}], "a turn's content is not text"),
        ([{"from": "human", "value": None}], "a turn's content is not text"),
        ([{"from": "human", "value": [{"type": "text"}]}], "a turn's content is not text"),
        (["a"], "a turn is not an object"),
        ("a", "messages are not a list of turns"),
        (None, "no messages"),
    ],
)
def test_bad_conversations_are_quarantined(read, turns, reason):
    lines = [json.dumps({"conversations": value}) for value in (CONVERSATION, turns)]
    rows, [bad], _ = read("a.jsonl", "\n".join(lines))
    assert (len(rows), bad["reason"]) == (1, reason)


def test_self_instruct_has_a_row_per_instance(read):
    instances = [{"input": "a", "output": "b"}, {"input": "c"}, {"input": "", "output": "d", "n": 1}]
    lines = [{"id": 7, "instruction": "i", "instances": instances}, {"instruction": "i", "instances": []}]
    rows, rejects, _ = read("a.jsonl", "\n".join(map(json.dumps, lines)))
    assert [(row["instruction"], row["input"], row["references"]) for row in rows] == [
        ("i", "a", ["b"]),
        ("i", "", ["d"]),
    ]
    assert [row["meta"] for row in rows] == ['{"id":7}', '{"id":7,"n":1}']
    assert [(bad["pointer"], bad["reason"]) for bad in rejects] == [
        ("line 1/instances/1", "no reference"),
        ("line 2", "no instances"),
    ]


def test_tables_with_and_without_header(read):
    rows, rejects, _ = read("a.csv", 'instruction,output,x\n"a, ""b""\nc",d,e\n\nf,g\nh,i,j\n"k')
    assert [(row["position"], row["instruction"], row["meta"]) for row in rows] == [
        (2, 'a, "b"\nc', '{"x":"e"}'),
        (6, "h", '{"x":"j"}'),
    ]
    assert [(bad["position"], bad["reason"]) for bad in rejects] == [
        (5, "wrong number of columns"),
        (7, "truncated: the file ends inside a value"),
    ]
    columns = ["question", "answer", "why"]
    [row], _, _ = read("b.tsv", '"a" b\t"c\td\n', columns=columns)
    assert (row["instruction"], row["references"], row["meta"]) == ('"a" b', ['"c'], '{"why":"d"}')
    [row], _, _ = read("c.txt", "a|b\n", columns=columns[:2], delimiter="|", instruction="unused")
    assert (row["instruction"], row["references"]) == ("a", ["b"])


def test_a_table_whose_cells_are_not_utf8(read):
    rows, [bad, split], _ = read("a.csv", b"instruction,output\na,\xff\n\xc3,\xa9\nb,c\n")
    assert [row["instruction"] for row in rows] == ["b"]
    assert (bad["reason"], split["reason"], bad["raw"]) == ("invalid UTF-8", "invalid UTF-8", "a,\ufffd")


def test_edits_change_what_they_name_and_are_counted(read):
    lines = [
        {"instruction": "ASK", "input": "No input", "output": "a<|endoftext|>"},
        {"instruction": "ASK", "input": "No input", "output": "1 #### 2\nThe answer is: 2"},
        {"instruction": "ASK", "input": "KEEP", "output": ["b", "b<|endoftext|>"]},
    ]
    edits = [
        {"name": "strip-suffix", "values": "<|endoftext|>"},
        {"name": "blank", "values": "No input"},
        {"name": "mathinstruct-reasoning"},
        {"name": "lowercase-input", "field": "instruction"},
    ]
    rows, _, notes = read("a.jsonl", "\n".join(map(json.dumps, lines)), edits=edits)
    assert [(row["instruction"], row["input"], row["references"]) for row in rows] == [
        ("ask", "", ["a"]),
        ("ask", "", ["1\nThe answer is: 2"]),
        ("ask", "KEEP", ["b"]),
    ]
    assert notes == {
        "edit_strip_suffix": 2,
        "edit_blank": 2,
        "edit_mathinstruct_reasoning": 1,
        "edit_lowercase_input": 3,
        "repeated_reference": 1,
    }


def test_a_fraction_of_the_rows_is_chosen_by_content(read):
    lines = [row(input=f"Row {number}") for number in range(2000)]
    edits = [{"name": "lowercase-input", "fraction": 0.3}]
    rows, _, notes = read("a.jsonl", "\n".join(lines), edits=edits)
    chosen = {row["input"].lower() for row in rows if row["input"].islower()}
    assert len(chosen) == notes["edit_lowercase_input"]
    assert 500 < len(chosen) < 700
    reversed_rows, _, _ = read("b.jsonl", "\n".join(reversed(lines)), edits=edits)
    assert {row["input"] for row in reversed_rows if row["input"].islower()} == chosen


def test_a_constant_instruction_is_for_rows_that_have_none(read):
    lines = [json.dumps({"input": "a", "output": "b"}), row(), json.dumps({"output": "b"})]
    rows, [bad], _ = read("a.jsonl", "\n".join(lines), instruction="do")
    assert [row["instruction"] for row in rows] == ["do", "i"]
    assert bad["reason"] == "no instruction and no input"
