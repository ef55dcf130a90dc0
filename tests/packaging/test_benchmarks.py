"""The benchmarks' own code, where an error would falsify figures."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def test_walks_in_c_keep_the_arrays_that_they_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    walks = pytest.importorskip("benchmarks.walk.test_walk")
    ffi = SimpleNamespace(new=lambda _: SimpleNamespace(), cast=lambda _, address: address)
    lib = SimpleNamespace(**dict.fromkeys(("walk_dependent", "walk_naive", "walk_ring", "walk_groups")))
    monkeypatch.setattr(walks.native, "load", lambda _: (lib, ffi))
    memory = SimpleNamespace(view=SimpleNamespace(window=0, window_base=0))
    runs, pa, fault = walks.references(memory, 0, np.zeros(4, np.uint64))
    kept = [weakref.ref(pa), weakref.ref(fault)]
    del pa, fault
    gc.collect()
    assert all(array() is not None for array in kept)
    runs.clear()
    gc.collect()
    assert all(array() is None for array in kept)
