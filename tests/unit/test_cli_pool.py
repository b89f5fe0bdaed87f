import json

import pytest
from typer.testing import CliRunner

from chaffinch.cli import app
from chaffinch.pools import files
from chaffinch.recipe.format import PoolUse

TEMPLATES = """\
dataset: glue
subset: mine
templates:
  11111111-aaaa: !Template
    answer_choices: No ||| Yes
    id: 11111111-aaaa
    jinja: "{{text}}\\n\\nIs it?|||{{answer_choices[label]}}"
    metadata: !TemplateMetadata {original_task: true}
    name: ask
    reference: ''
  22222222-bbbb: !Template {name: ask, jinja: '{{text}} ||| {{label}}', answer_choices: null}
  33333333-cccc: !Template {name: no response, jinja: '{{text}}', answer_choices: null}
  44444444-dddd: !Template {name: reaching, jinja: '{{text.__class__}}|||x', answer_choices: null}
  55555555-eeee: !Template {name: number, jinja: 5}
  66666666-ffff: text
"""


def run(*arguments):
    return CliRunner().invoke(app, ["pool", *map(str, arguments)])


def test_promptsource_is_imported_and_what_is_not_is_named(tmp_path):
    (tmp_path / "in" / "glue").mkdir(parents=True)
    (tmp_path / "in" / "glue" / "templates.yaml").write_text(TEMPLATES)
    (tmp_path / "in" / "hostile.yaml").write_text("!!python/object/apply:os.system ['touch pwned']")
    (tmp_path / "in" / "list.yaml").write_text("[1, 2]")
    out = tmp_path / "pools.yaml"
    ran = run(tmp_path / "in", "-o", out, "--json")
    told = json.loads(ran.stdout)
    assert ran.exit_code == 0
    assert told["pools"] == {"glue/mine": 2}
    assert told["templates"] == 2
    reasons = {(one["file"], one["template"]): one["reason"] for one in told["refused"]}
    assert "no `|||`" in reasons["glue/templates.yaml", "no response"]
    assert "Python's own" in reasons["glue/templates.yaml", "reaching"]
    assert "no text" in reasons["glue/templates.yaml", "number"]
    assert ("glue/templates.yaml", "66666666-ffff") in reasons
    assert "could not determine a constructor" in reasons["hostile.yaml", ""]
    assert "no `templates:`" in reasons["list.yaml", ""]
    pool = files.load(PoolUse(file=str(out), sources="s"))
    assert [template.id for template in pool.templates] == ["ask", "ask 22222222"]
    assert pool.templates[0].jinja == "{{text}}\n\nIs it?|||{{answer_choices[label]}}"
    ran = run(tmp_path / "in" / "glue" / "templates.yaml", "-o", out)
    assert ran.exit_code == 0
    assert "1 with 2 templates" in ran.stdout
    assert "reaching" in ran.stdout


def test_nothing_to_import_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    for source, why in ((tmp_path / "empty", "no template to import"), (tmp_path / "none", "no file or folder")):
        ran = run(source, "-o", tmp_path / "out.yaml")
        assert ran.exit_code != 0
        assert why in ran.stderr
        assert "hint:" in ran.stderr
    ran = run(tmp_path / "empty", "-o", tmp_path / "out.json")
    assert ran.exit_code != 0
    assert "does not end in .yaml" in ran.stderr
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("name", files.shipped())
def test_shipped_pools_load(name):
    for pool in files.read(name):
        assert files.load(PoolUse(file=name, pool=pool.name, sources="s")) == pool
