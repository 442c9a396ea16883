"""Python's collector is slowed down while programs are built, and no longer."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.collecting import SELDOM, seldom_collected


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(701, 10, 10)
    yield
    gc.set_threshold(*before)


def test_a_program_is_built_with_few_collections() -> None:
    seen: list[int] = []

    @sg.compile
    def f(x):
        seen.append(gc.get_threshold()[0])
        return x * 2

    f(np.ones(3))
    assert seen == [SELDOM]
    assert gc.get_threshold()[0] == 701


def test_thresholds_come_back_after_an_error_and_not_before_the_last() -> None:
    def failing() -> None:
        with seldom_collected():
            with seldom_collected():
                pass
            assert gc.get_threshold()[0] == SELDOM
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert gc.get_threshold()[0] == 701


@pytest.mark.parametrize("chosen", [0, 10 * SELDOM])
def test_who_turned_the_collector_off_or_down_keeps_it_so(chosen: int) -> None:
    gc.set_threshold(chosen)
    with seldom_collected():
        assert gc.get_threshold()[0] == chosen
    assert gc.get_threshold()[0] == chosen


def test_thresholds_set_meanwhile_stay() -> None:
    with seldom_collected():
        gc.set_threshold(5000)
    assert gc.get_threshold()[0] == 5000
