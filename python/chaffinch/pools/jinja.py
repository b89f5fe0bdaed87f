"""Jinja templates from outside, rendered without trusting them.

A template can look at the row and write text. It cannot reach Python's insides (jinja2's sandbox), call what is not
named here, keep going for long or make much text: each step costs, and what a template may spend is counted, not timed,
so that the answer is the same everywhere.
"""

import functools
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes, pass_environment
from jinja2.filters import FILTERS
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Namespace

MOST_SOURCE = 50_000
MOST_TEXT = 4_000_000
MOST_WORK = 50_000_000
STEP = 500
NODE = 100
MOST_NUMBER = 1 << 62

NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem),
    *(nodes.Slice, nodes.Filter, nodes.Test, nodes.Call, nodes.Keyword, nodes.Assign, nodes.NSRef, nodes.If, nodes.For),
    *(nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
    *(nodes.CondExpr, nodes.Neg, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
)
METHODS: dict[type, set[str]] = {
    str: {"split", "lower", "upper", "index", "find", "replace", "join", "strip", "lstrip", "rstrip", "startswith"}
    | {"endswith", "capitalize", "title", "count"},
    list: {"append", "index", "pop", "count"},
    tuple: {"index", "count"},
    dict: {"keys", "values", "items", "update", "pop", "get"},
}
LIBRARY = (
    *("length", "count", "default", "int", "float", "trim", "lower", "upper", "capitalize", "title", "list", "map"),
    *(
        "selectattr",
        "rejectattr",
        "select",
        "reject",
        "abs",
        "unique",
        "first",
        "last",
        "min",
        "max",
        "sort",
        "reverse",
    ),
)
TESTS = (
    *("defined", "undefined", "none", "string", "number", "mapping", "sequence", "iterable", "true", "false", "in"),
    *("boolean", "integer", "float", "odd", "even", "divisibleby", "lower", "upper", "eq", "equalto", "==", "ne", "!="),
    *("lt", "lessthan", "<", "le", "<=", "gt", "greaterthan", ">", "ge", ">="),
)

# What jinja2 and the operators it calls raise where a row does not have what the template looks for.
FAILURES = (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


class RefusedError(ValueError):
    """A template that is not read, and why."""


class DoesNotFitError(Exception):
    """A row that a template cannot ask for."""


class _Spent(threading.local):
    work = drawn = 0
    step = STEP
    key = b""

    def begin(self, key: bytes) -> None:
        self.work, self.drawn, self.step, self.key = 0, 0, STEP, key

    def charge(self, work: int) -> None:
        self.work += work
        if self.work > MOST_WORK:
            raise DoesNotFitError("the template goes on for too long")

    def choose(self, values: Any) -> Any:
        """One of `values`, by the row's key and how many were chosen before."""
        several = list(_metered(values))
        if not several:
            raise DoesNotFitError("a choice of nothing")
        self.drawn += 1
        digest = hashlib.blake2b(self.key, digest_size=8, salt=self.drawn.to_bytes(8, "little")).digest()
        return several[int.from_bytes(digest, "little") % len(several)]


_spent = _Spent()


def _metered(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _spent.charge(_spent.step)
        yield value


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 1


def _limit(size: int) -> None:
    if size > MOST_TEXT:
        raise DoesNotFitError("the template makes too much text")
    # A step can compare the longest text there is.
    _spent.step = max(_spent.step, STEP + size // 64)
    _spent.charge(size)


def _printed(value: Any) -> Any:
    """What `{{ value }}` writes; lists of lists of lists are measured before they are written."""
    if isinstance(value, str):
        _limit(len(value))
        return value
    left = [value]
    while left:
        one = left.pop()
        _spent.charge(NODE + (len(one) if isinstance(one, str) else 0))
        if isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple):
            left += one
        elif not isinstance(one, str | int | float | None):
            if isinstance(one, jinja2.Undefined):
                str(one)
            raise DoesNotFitError(f"{type(one).__name__} is no text")
    return str(value)


@pass_environment
def _join(environment: jinja2.Environment, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    items = list(_metered(value))
    if attribute is not None:
        items = [environment.getitem(item, attribute) for item in items]
    texts = [str(_printed(item)) for item in items]
    _limit(sum(map(len, texts)) + len(str(_printed(d))) * len(texts))
    joined: str = str(d).join(texts)
    return joined


def _replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    whole, before, after = (str(_printed(one)) for one in (text, old, new))
    _limit(len(whole) + (whole.count(before) if count is None else max(count, 0)) * len(after))
    return whole.replace(before, after, -1 if count is None else count)


def _round(value: Any, precision: int = 0, method: str = "common") -> Any:
    if not -20 <= precision <= 20:
        raise DoesNotFitError(f"rounding to {precision} digits")
    return FILTERS["round"](value, precision, method)


def _most_frequent(values: Any) -> list[Any]:
    """Promptsource's filter: those of `values` that come most often, in the order in which they first come."""
    counted = Counter(_metered(values))
    most = max(counted.values(), default=0)
    return [value for value, count in counted.items() if count == most]


def _charged(filter_: Callable[..., Any]) -> Callable[..., Any]:
    at = 1 if hasattr(filter_, "jinja_pass_arg") else 0

    @functools.wraps(filter_)
    def charged(*args: Any, **kwargs: Any) -> Any:
        _spent.charge(_size(args[at]) + STEP)
        return filter_(*args, **kwargs)

    return charged


class _Sandbox(SandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self) -> None:
        # Without the optimiser nothing is worked out before it is metered.
        super().__init__(optimized=False, undefined=jinja2.StrictUndefined, finalize=_printed)
        own = {"join": _join, "replace": _replace, "round": _round, "string": _printed, "most_frequent": _most_frequent}
        own |= {"choice": _spent.choose, "random": _spent.choose, "each": _metered}
        self.filters = {name: _charged(FILTERS[name]) for name in LIBRARY} | own
        self.tests = {name: self.tests[name] for name in TESTS}
        self.globals = {"range": self.globals["range"], "zip": zip, "namespace": Namespace}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Numbers, and texts or lists put together: `"a" * 10**9` would be much of nothing."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            found = super().call_binop(context, operator, left, right)
            if abs(found) > MOST_NUMBER:
                raise DoesNotFitError("a number that is too large")
            return found
        both_texts = isinstance(left, str) and isinstance(right, str)
        if operator == "+" and (both_texts or (isinstance(left, list) and isinstance(right, list))):
            _limit(len(left) + len(right))
            return super().call_binop(context, operator, left, right)
        raise DoesNotFitError(f"{type(left).__name__} {operator} {type(right).__name__}")

    def call(self, context: Any, called: Any, *args: Any, **kwargs: Any) -> Any:
        """Only what METHODS and the globals name."""
        # What jinja2 tells a context of the loop around; no function that may be called takes it.
        kwargs = {key: value for key, value in kwargs.items() if key not in ("_loop_vars", "_block_vars")}
        owner, name = getattr(called, "__self__", None), getattr(called, "__name__", "")
        _spent.charge(STEP)
        if any(called is known for known in self.globals.values()):
            return super().call(context, called, *args, **kwargs)
        if name not in METHODS.get(type(owner), ()):
            raise DoesNotFitError(f"a call of {name or type(called).__name__}")
        _spent.charge(_size(owner) + sum(map(_size, args)))
        if name == "join":
            return _join(self, args[0], str(owner))
        return _replace(owner, *args) if name == "replace" else called(*args, **kwargs)


_SANDBOX = _Sandbox()


def _compiled(source: str) -> jinja2.Template:
    if len(source) > MOST_SOURCE:
        raise RefusedError(f"its text has {len(source):,} characters, at most {MOST_SOURCE:,} are read")
    try:
        tree = _SANDBOX.parse(source)
        for node in tree.find_all(nodes.Node):
            _check(node)
        for loop in [*tree.find_all(nodes.For)]:
            loop.iter = nodes.Filter(loop.iter, "each", [], [], None, None, lineno=loop.lineno)
        code = _SANDBOX.compile(tree)
        return _SANDBOX.template_class.from_code(_SANDBOX, code, _SANDBOX.globals)
    except (jinja2.TemplateError, SyntaxError, RecursionError, MemoryError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
        raise RefusedError(f"it is no Jinja: {what}") from None


def _check(node: nodes.Node) -> None:
    if not isinstance(node, NODES):
        raise RefusedError(f"line {node.lineno}: {type(node).__name__.lower()} is not read")
    if isinstance(node, nodes.For) and node.recursive:
        raise RefusedError(f"line {node.lineno}: a recursive loop is not read")
    known: Mapping[str, Any] = _SANDBOX.filters if isinstance(node, nodes.Filter) else _SANDBOX.tests
    if isinstance(node, nodes.Filter | nodes.Test) and node.name not in known:
        raise RefusedError(f"line {node.lineno}: {type(node).__name__.lower()} {node.name!r} is not known")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise RefusedError(f"line {node.lineno}: attribute {node.attr!r} is Python's own")


# promptsource's stand-in for the separator in a row's own text.
SEPARATOR, HIDDEN = "|||", "3ed2dface8203c4c9dfb1a5dc58e41e0"


class Jinja:
    """A template of prompt and response, as promptsource applies it.

    Raises:
        RefusedError: it does more than a template has to.
    """

    def __init__(self, source: str, answer_choices: str | None) -> None:
        self._text = _compiled(source)
        self._choices = None if answer_choices is None else _compiled(answer_choices)

    def render(self, fields: Mapping[str, Any], key: bytes) -> tuple[str, str]:
        """Prompt and response of a row.

        Args:
            fields: the row's, for this call alone: a template may change lists.
            key: what `choice` and `random` choose by.

        Raises:
            DoesNotFitError: the row lacks what the template looks for, or the template spends too much.
        """
        _spent.begin(key)
        values = {name: _hidden(value) for name, value in fields.items()}
        choices = None
        if self._choices is not None:
            choices = [_shown(part) for part in _write(self._choices, values).split(SEPARATOR)]
        parts = [_shown(part) for part in _write(self._text, values | {"answer_choices": choices}).split(SEPARATOR)]
        if len(parts) != 2:
            raise DoesNotFitError(f"{len(parts)} parts and not two, a prompt and a response")
        return parts[0], parts[1]


def _write(template: jinja2.Template, values: Mapping[str, Any]) -> str:
    written, size = [], 0
    try:
        for piece in template.generate(values):
            size += len(piece)
            if size > MOST_TEXT:
                raise DoesNotFitError("the template makes too much text")
            written.append(piece)
    except FAILURES as error:
        raise DoesNotFitError(f"{type(error).__name__}: {str(error)[:200]}") from None
    return "".join(written)


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        _limit(len(value))
        return value.replace(SEPARATOR, HIDDEN)
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    return {name: _hidden(one) for name, one in value.items()} if isinstance(value, dict) else value


def _shown(text: str) -> str:
    return text.replace(HIDDEN, SEPARATOR).strip()
