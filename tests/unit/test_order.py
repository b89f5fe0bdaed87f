import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.order import lexsort


@given(st.lists(st.tuples(st.integers(0, 3), st.floats()), max_size=20))
def test_the_order_is_numpys(rows: list[tuple[int, float]]) -> None:
    keys = [np.array([row[0] for row in rows]), np.array([row[1] for row in rows])]
    assert lexsort(keys).tolist() == np.lexsort(keys).tolist()


def test_what_numpy_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="all keys need to be the same shape"):
        lexsort([np.zeros(2), np.zeros(3)])


SORT = """
import numpy as np
from chaffinch.order import lexsort
key = np.random.default_rng(0).random(3_000_000)
while True:
    try:
        print("sorting", flush=True)
        lexsort([key] * 200)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        break
"""


def test_ctrl_c_does_not_wait_for_the_sort() -> None:
    # The sort alone would take a minute and more.
    with subprocess.Popen([sys.executable, "-c", SORT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sorting\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "stopped\n"
