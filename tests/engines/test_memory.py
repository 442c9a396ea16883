"""Runs on arrays do not fetch memory from the system again and again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import stablegrad as sg

x = np.linspace(0.1, 1, {size})

@sg.compile
def f(x):
    return sg.numpy.sum(sg.numpy.tanh(sg.numpy.sin(x) * x + 0.5) - x)

g = sg.compile(sg.value_and_grad(f))
for _ in range(5):
    g(x)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    g(x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others keep memory as they do")
@pytest.mark.parametrize("size", [3_000, 10_000, 30_000])
def test_memory_stays_with_the_process(size):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(size=size)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 10
