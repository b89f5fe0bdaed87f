"""promptsource's own files: 2,085 templates in 279 of them."""

import copy

import jinja2
import jinja2.meta
import pytest

from chaffinch.pools import files
from chaffinch.pools.jinja import DoesNotFitError, Jinja
from tests.promptsource_twin import ENVIRONMENT, apply

pytestmark = pytest.mark.real

# Rows are made of what a template asks for: no two data sets have the same fields, and few are here.
VALUES = [
    "Some text, with a comma. And 2 sentences",
    1,
    ["first one", "second"],
    {"text": ["x y", "z"], "label": ["A", "B"], "sentence": "s", "value": "v"},
    [{"text": "x", "label": "A", "sentence": ["s"], "value": 3}],
]


@pytest.fixture(scope="module")
def imported(real):
    return files.import_promptsource(real / "promptsource" / "templates")


def test_all_but_two_are_imported(imported):
    assert (len(imported.pools), imported.templates) == (279, 2083)
    assert [reason for _, _, reason in imported.refused] == ["line 5: filter 'format' is not known"] * 2


def test_pools_are_read_again_as_they_were(imported, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(files.dump(imported.pools), encoding="utf-8")
    assert files.read(str(path)) == imported.pools


def test_the_sandbox_writes_what_jinja_writes(imported):
    same = unfit = 0
    for pool in imported.pools:
        for template in pool.templates:
            if "choice" in template.jinja.replace("answer_choices", "") or "random" in template.jinja:
                continue
            named = sorted(
                name
                for source in (template.jinja, template.answer_choices or "")
                for name in jinja2.meta.find_undeclared_variables(ENVIRONMENT.parse(source))
                if name not in ("answer_choices", "range", "zip", "namespace")
            )
            for number in range(len(VALUES)):
                example = {name: VALUES[(number + len(name)) % len(VALUES)] for name in named}
                try:
                    wanted = apply(template.jinja, template.answer_choices, copy.deepcopy(example))
                except Exception:
                    wanted = []
                try:
                    found = list(Jinja(template.jinja, template.answer_choices).render(copy.deepcopy(example), b""))
                except DoesNotFitError:
                    found = None
                assert found == (wanted if len(wanted) == 2 else None), (pool.name, template.id, example)
                same += found is not None
                unfit += found is None
    assert same > 2500
    assert unfit > 1000
