"""Columns of any origin as Arrow: the one place that knows how polars, pandas, datasets and lists differ."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch.errors import DataError


def to_arrow(values: Any, name: str = "column") -> pa.ChunkedArray:
    """One column.

    Args:
        values: a pyarrow array, anything with the Arrow PyCapsule interface (a polars or pandas Series, a
            duckdb relation or a table of one column), a `datasets.Dataset` of one column or a column of one, a
            numpy array, or a sequence of Python values. Memory is shared where its layout allows.
        name: what a message calls it.

    Raises:
        ValueError: a text holds a lone surrogate, values are of several types, or a table has not one column.
    """
    values = _of_datasets(values)
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, pa.Array):
        return pa.chunked_array([values])
    if hasattr(values, "__arrow_c_stream__"):
        in_place = _categorical(values)
        return _only_column(pa.chunked_array(values), name) if in_place is None else in_place
    if hasattr(values, "__arrow_c_array__"):
        return _only_column(pa.chunked_array([pa.array(values)]), name)
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {type(values).__name__}\nhint: give a column, or a list of str")
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return pa.chunked_array([pa.array(values)])
    return _from_python(list(values), name)


def to_texts(values: Any, name: str = "texts") -> pa.Table:
    """One or more text columns: a column, a mapping of names to columns, a table, or a sequence of columns.

    Raises:
        ValueError: a column is not text, or not as long as the others.
    """
    values = _of_datasets(values)
    if isinstance(values, Mapping):
        columns = {str(key): to_arrow(column, f"{name}[{key!r}]") for key, column in values.items()}
        if len(columns) < len(values):
            raise ValueError(f"{name} has two columns of one name: {', '.join(map(repr, values))}\nhint: rename one")
    elif _is_table(values):
        table = pa.table(values)
        check_names(table.column_names, name)
        columns = dict(zip(table.column_names, table.columns, strict=True))
    elif isinstance(values, list | tuple) and len(values) > 0 and _is_column(values[0]):
        columns = {str(at): to_arrow(column, f"{name}[{at}]") for at, column in enumerate(values)}
    else:
        columns = {name: to_arrow(values, name)}
    if not columns:
        raise ValueError(f"{name} has no column\nhint: give at least one column of text")
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name} has columns of different lengths: {lengths}")
    return pa.table({key: _text(column, key) for key, column in columns.items()})


def check_names(names: list[str], where: object) -> None:
    """Refuses columns of which two have one name.

    Raises:
        DataError: naming it, and `where` it is.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{where}: two columns are named {twice[0]!r}\nhint: rename one")


def plain_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text of any form, a dictionary's too, as large strings: most of pyarrow's kernels know no views."""
    if isinstance(column.type, pa.DictionaryType):
        chunks = [chunk.dictionary.cast(pa.large_string()).take(chunk.indices) for chunk in column.chunks]
        return pa.chunked_array(chunks, pa.large_string())
    return column.cast(pa.large_string())


def to_labels(values: Any, name: str) -> pa.Table:
    """A column of labels, as a table of one column.

    Raises:
        ValueError: it is not text.
    """
    return pa.table({name: _text(to_arrow(values, name), name)})


def to_numpy(array: Any) -> npt.NDArray[Any]:
    """An Arrow array of numbers without nulls as numpy, sharing its memory."""
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
    return np.asarray(pa.array(array).to_numpy())


def _of_datasets(values: Any) -> Any:
    """The Arrow table of a `datasets.Dataset`, or of a column's data set: `datasets` itself reads row by row."""
    if not type(values).__module__.startswith("datasets."):
        return values
    if hasattr(values, "column_name"):
        return values.source.with_format("arrow")[:][values.column_name]
    if hasattr(values, "num_rows") and not isinstance(values, Mapping):
        return values.with_format("arrow")[:]
    raise ValueError(f"{type(values).__name__} is no table\nhint: choose one split of it, not streamed")


def _is_table(values: Any) -> bool:
    if isinstance(values, pa.Table | pa.RecordBatch):
        return True
    if not hasattr(values, "__arrow_c_stream__"):
        return False
    schema = getattr(values, "__arrow_c_schema__", None)
    kind = pa.chunked_array(values).type if schema is None else None
    return isinstance(kind, pa.StructType) or hasattr(values, "columns")


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes)


def _categorical(values: Any) -> pa.ChunkedArray | None:
    """A pandas or polars categorical with its codes where they lie; exporting it, both write every row's code anew."""
    dtype: Any = getattr(values, "dtype", None)
    if type(dtype).__name__ == "CategoricalDtype":
        codes = pa.chunked_array([pa.array(values.array.codes)])
        labels = pa.array(dtype.categories)
        if len(codes) == 0 or np.min(values.array.codes) < 0:
            return None  # pandas writes its nulls as -1
    elif type(dtype).__name__ == "Categorical" and type(dtype.categories).__name__ == "Categories":
        highest = values.to_physical().max()
        if highest is None or highest >= len(values) // 64:
            return None  # labels are asked for one by one, those that other columns brought too
        codes = pa.chunked_array(values.to_physical())
        labels = pa.array(islice(dtype.categories, highest + 1), pa.large_string())
    else:
        return None
    return pa.chunked_array([pa.DictionaryArray.from_arrays(chunk, labels, safe=False) for chunk in codes.chunks])


def _only_column(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if not isinstance(column.type, pa.StructType):
        return column
    fields = column.type.num_fields
    if fields != 1:
        raise ValueError(f"{name} is a table of {fields} columns\nhint: choose one of them")
    return pa.chunked_array([chunk.flatten()[0] for chunk in column.chunks], column.type[0].type)


def _text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    kind = column.type.value_type if isinstance(column.type, pa.DictionaryType) else column.type
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise ValueError(f"{name} is {column.type}, not text\nhint: cast it to str first")
    return column


def _from_python(values: list[Any], name: str) -> pa.ChunkedArray:
    if not any(isinstance(value, str) for value in values):
        try:
            return pa.chunked_array([pa.array(values)])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise ValueError(f"{name}: {error}") from error
    try:
        return pa.chunked_array([pa.array(values, pa.large_string())])
    except UnicodeEncodeError as error:
        row = next(row for row, value in enumerate(values) if isinstance(value, str) and not is_unicode(value))
        raise ValueError(
            f"{name}: row {row} holds a lone surrogate, {ascii(values[row])[:80]}, which is no Unicode text\n"
            'hint: mend it with text.encode("utf-8", "replace").decode(), or leave the row out'
        ) from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        row = next(row for row, value in enumerate(values) if not isinstance(value, str | None))
        kind = type(values[row]).__name__
        raise ValueError(f"{name}: row {row} is {kind}, not str\nhint: give only str and None") from error


def is_unicode(text: str) -> bool:
    """False where there is a lone surrogate, which Python and escapes in JSON can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
