"""Jinja in the sandbox against plain jinja2, as promptsource has it."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch.pools.jinja import DoesNotFitError, Jinja
from tests.promptsource_twin import apply

TEXT = st.lists(st.sampled_from(["a", "B", " ", "\n", "|", "{", "%", "é", "|||", "{{x}}"]), max_size=8).map("".join)
TEMPLATES = [
    ("{{a}}\n|||\n{{b}}", None),
    ("{{a}} {{ items | join(', ') }}|||{{answer_choices[n]}}", "No ||| Yes ||| {{a}}"),
    ("{% for one in items %}{{ loop.index }}: {{ one | trim }}\n{% endfor %}|||{{ items | length }}", None),
    ("{% if a | length > 2 %}{{ a[:2] }}{% else %}short{% endif %}|||{{ b | lower | replace('b', 'c') }}", None),
    ("{{ a.split() | unique | list }}|||{{ n + 1 }} {{ n * 2 }} {{ (n / 3) | round(2) }}", None),
    (
        "{% set seen = [] %}{% for one in items %}{{ seen.append(one) or '' }}{% endfor %}{{ seen }}|||{{ seen[-1] }}",
        None,
    ),
    ("{{ items | most_frequent | first }}|||{{ items.index(b) }}", None),
    ("{{ nested.deep[0] }}{{ nested['key'] }}|||{{ items | select('equalto', b) | list | length }}", None),
]


@settings(max_examples=200)
@given(st.sampled_from(TEMPLATES), TEXT, TEXT, st.lists(TEXT, max_size=4), st.integers(-3, 5))
def test_the_sandbox_writes_what_jinja_writes(template, a, b, items, n):
    example = {"a": a, "b": b, "items": items, "n": n, "nested": {"deep": [a, b], "key": n}}
    try:
        wanted = apply(*template, copy.deepcopy(example))
    except Exception:
        wanted = []
    try:
        found = list(Jinja(*template).render(copy.deepcopy(example), b"key"))
    except DoesNotFitError:
        found = None
    assert found == (wanted if len(wanted) == 2 else None)
