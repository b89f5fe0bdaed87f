"""Jinja from outside: what it may do, what it may not, and that it ends."""

import pytest

from chaffinch.pools.jinja import DoesNotFitError, Jinja, RefusedError

FIELDS = {"text": "a b c", "label": 1, "items": ["x", "y"], "nested": {"deep": [1, 2]}}


def rendered(source, choices=None, fields=FIELDS, key=b"k"):
    return Jinja(source, choices).render(fields, key)


@pytest.mark.parametrize(
    ("source", "choices", "prompt", "response"),
    [
        ("{{text}} ||| {{label}}", None, "a b c", "1"),
        ("Q {{ text | upper }}|||{{answer_choices[label]}}", "No ||| Yes", "Q A B C", "Yes"),
        ("{% for i in items %}{{loop.index}}{{i}} {% endfor %}|||{{items|length}}", None, "1x 2y", "2"),
        ("{% if label == 1 %}one|||{{text.split()[0]}}{% else %}two|||x{% endif %}", None, "one", "a"),
        (
            "{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + 1 %}{% endfor %}n|||{{ns.n}}",
            None,
            "n",
            "2",
        ),
        ("{{items | join(', ')}}|||{{nested.deep[1] * 2}}", None, "x, y", "4"),
        ("{{text.replace('a', 'A')}}|||{{[1, 1, 2] | most_frequent | first}}", None, "A b c", "1"),
    ],
)
def test_what_promptsource_writes(source, choices, prompt, response):
    assert rendered(source, choices) == (prompt, response)


def test_the_separator_in_a_row_is_text():
    assert rendered("{{text}}|||{{text}}", fields={"text": "a ||| b"}) == ("a ||| b", "a ||| b")


def test_a_choice_is_the_rows_own():
    source = "{{range(1000) | choice}} {{range(1000) | random}}|||x"
    first = rendered(source, key=b"one")
    assert first == rendered(source, key=b"one") != rendered(source, key=b"two")
    left, right = first[0].split()
    assert left != right


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ ''.__class__ }}|||x", "Python's own"),
        ("{% macro m() %}{{ m() }}{% endmacro %}|||x", "macro is not read"),
        ("{% include '/etc/passwd' %}|||x", "include is not read"),
        ("{% import 'os' as os %}|||x", "import is not read"),
        ("{% for a in items recursive %}{{ loop(items) }}{% endfor %}|||x", "recursive loop"),
        ("{{ '%1000000000d' | format(1) }}|||x", "filter 'format' is not known"),
        ("{{ 2 ** 10000000 }}|||x", "pow is not read"),
        ("{{ text ~ text }}|||x", "concat is not read"),
        ("{{ unclosed |||x", "no Jinja"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}|||x", "nested too deeply"),
        ("x" * 60_000 + "|||x", "60,004 characters"),
    ],
)
def test_templates_that_do_too_much_are_refused(source, why):
    with pytest.raises(RefusedError, match=why):
        Jinja(source, None)


@pytest.mark.parametrize(
    "source",
    [
        "{{ text['__class__'] }}",
        "{{ items | map(attribute='__class__') | list }}",
        "{{ text['__class__']['__mro__'] }}",
        "{{ namespace['__init__'] }}",
        "{{ text.format(text) }}",
        "{{ text.encode() }}",
        "{{ 'a' * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ [0] * 1000000000 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(t='ab') %}{% for a in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
        "{% set ns = namespace(t='aa') %}{% for a in range(99) %}{% set ns.t = ns.t.replace('a', 'aaa') %}{% endfor %}",
        "{% set ns = namespace(t='aa') %}{% for a in range(99) %}{% set ns.t = ns.t|replace('a', 'aaa') %}{% endfor %}",
        "{% set ns = namespace(t=[1]) %}{% for a in range(99) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t }}",
        "{% set ns = namespace(t=[1]) %}{% for a in range(99) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ns.t|join}}",
        "{% set ns = namespace(t=3) %}{% for a in range(99) %}{% set ns.t = ns.t * ns.t %}{% endfor %}",
        "{{ 1.5 | round(1000000000, 'ceil') }}",
        "{{ range(1000000000) }}",
        "{{ loop }}",
        "{{ missing }}",
        "{{ items[9] }}",
        "{{ 1 / 0 }}",
        "{{ text.split }}",
        "{{ [] | choice }}",
    ],
)
def test_what_goes_wrong_is_a_template_that_does_not_fit(source):
    """And every one of them ends, with little memory."""
    with pytest.raises(DoesNotFitError):
        rendered(source + "|||x")


@pytest.mark.parametrize("source", ["no separator", "a|||b|||c", "{% if label == 2 %}a|||b{% endif %}"])
def test_a_prompt_and_a_response_are_two_parts(source):
    with pytest.raises(DoesNotFitError, match="parts and not two"):
        rendered(source)


def test_a_template_changes_no_row():
    fields = {"items": ["x"]}
    copied = {"items": [*fields["items"]]}
    source = "{% set _ = items.append('y') %}{{ items | length }}|||x"
    assert rendered(source, fields=fields) == rendered(source, fields=fields) == ("2", "x")
    assert fields == copied
