"""Exponentials, logarithms and the logistic family."""

from __future__ import annotations

from stablegrad.ops.record import POSITIVE, REAL, elementwise

exp = elementwise(
    "exp",
    family="exponential",
    kernel=lambda xp, x: xp.exp(x),
    ball=lambda x: x.exp(),
    partials=lambda y, x: (y,),
    domain=(REAL,),
    range=POSITIVE,
    cost=5,
    lax="exp",
    aten="exp",
    source="DLMF 4.2",
    doc="The exponential function.",
    example=">>> sg.ops.exp(sg.tensor([0.0])).numpy()\narray([1.], dtype=float32)",
)
