"""What must never change a result: looking, names, the order of rules, other outputs."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

import stablegrad as sg
from stablegrad import program
from stablegrad.ir import Term, make, rebuild, topological
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import INPUT, const
from stablegrad.rewrite import Database, Procedure, Rewriter
from stablegrad.rules import DATABASES
from stablegrad.settings import Settings
from stablegrad.transforms.expand import Expander

PROGRAMS = 40
UNARY = "exp log sigmoid tanh softplus log1p expm1 sqrt square abs negative erf sin".split()
BINARY = ["add", "subtract", "multiply", "divide", "logaddexp", "hypot", "maximum"]


def random_program(rng: random.Random, leaves: list[sg.Tensor], length: int, look: bool = False):
    """A random expression; with ``look``, intermediate values are looked at on the way."""
    values = list(leaves)
    eye = random.Random(length)
    for _ in range(length):
        if rng.random() < 0.55:
            result = getattr(sg.ops, rng.choice(UNARY))(rng.choice(values))
        else:
            name = rng.choice(BINARY)
            other = rng.choice([*values, 1.0, 2.0, 0.5])
            result = getattr(sg.ops, name)(rng.choice(values), other)
        values.append(result)
        if look and eye.random() < 0.5:
            eye.choice(values).numpy()
            repr(values[-1])
    return values[-1]


def inputs(seed: int, dtype: type) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-3, 2)
    return [np.asarray(rng.standard_normal(5) * scale, dtype) for _ in range(3)]


def value_and_gradients(seed: int, dtype: type, *, look: bool = False, shuffled: bool = False):
    leaves = [sg.tensor(v, requires_grad=True) for v in inputs(seed, dtype)]
    if shuffled:  # other objects, made in another order
        made = {i: sg.tensor(inputs(seed, dtype)[i], requires_grad=True) for i in (2, 0, 1)}
        leaves = [made[i] for i in range(3)]
    result = random_program(random.Random(seed), leaves, 14, look=look)
    gradients = sg.autograd.grad(result.sum(), leaves, allow_unused=True)
    arrays = [result.numpy(), *[g.numpy() for g in gradients if g is not None]]
    return [a.tobytes() for a in arrays]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_looking_never_changes_a_later_result(seed, dtype):
    plain = value_and_gradients(seed, dtype)
    looked = value_and_gradients(seed, dtype, look=True)
    assert plain == looked, f"seed {seed}"


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_the_order_in_which_leaves_are_made_never_changes_a_result(seed):
    program.forget()
    plain = value_and_gradients(seed, np.float64)
    program.forget()
    assert plain == value_and_gradients(seed, np.float64, shuffled=True), f"seed {seed}"


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_other_outputs_never_change_a_result(seed):
    leaves = [sg.tensor(v, requires_grad=True) for v in inputs(seed, np.float64)]
    result = random_program(random.Random(seed), leaves, 14)
    gradient = sg.autograd.grad(result.sum(), leaves[:1], allow_unused=True)[0]
    term = (result if gradient is None else gradient).term
    alone = program.evaluate([term], Settings())[0]
    inner = [t for t in topological([result.term]) if t.args and t.dtype == np.float64]
    together = program.evaluate([term, result.term, *inner], Settings())[0]
    assert alone.tobytes() == together.tobytes(), f"seed {seed}"


def normal_forms(databases: Sequence[Database], roots: list[Term]) -> list[Term]:
    """Programs and their gradients by the first input, as these rules leave them."""
    expander = Expander(Settings())
    expander.rewriter.databases = tuple(databases)
    wanted = []
    for root in roots:
        wanted.append(root)
        below = topological([root])
        by = next((t for t in below if t.op is INPUT and t.dtype == np.float64), None)
        if by is not None and root.dtype == np.float64:
            wanted.append(gradient(root, by, const(1, root.dtype, root.shape)))
    return expander(wanted)


def numbered_program(seed: int, length: int = 14) -> Term:
    leaves = [sg.tensor(v) for v in inputs(seed, np.float64)]
    result = random_program(random.Random(seed), leaves, length)
    _, _leaves, numbers = program.numbered([result.term])
    (root,) = rebuild([result.term], dict(numbers))
    return root


@pytest.fixture(scope="module")
def programs() -> tuple[list[Term], list[Term]]:
    """Random programs, and what all rules make of them and of their gradients."""
    roots = [numbered_program(seed) for seed in range(PROGRAMS)]
    return roots, normal_forms(DATABASES, roots)


@pytest.mark.parametrize("shuffle", range(100))
def test_the_order_of_rules_never_changes_a_program(shuffle, programs):
    roots, expected = programs
    databases = []
    for database in DATABASES:
        shuffled = Database(database.name)
        for rule in random.Random(shuffle).sample(database.rules, len(database.rules)):
            shuffled.add(rule)
        databases.append(shuffled)
    some = range(shuffle % 10, PROGRAMS, 10)  # each program under ten orders
    got = normal_forms(databases, [roots[i] for i in some])
    assert got == normal_forms(DATABASES, [roots[i] for i in some])
    assert set(got) <= set(expected), f"shuffle {shuffle}"


class Unscreened(Database):
    """A database that tries each of its rules at every term with their root."""

    def at(self, term):
        return [rule for rule, *_ in self._index.get(term.op.name, ())]


def test_no_rule_is_screened_out_where_it_fires(programs):
    """What is skipped as hopeless by the ops below a term would have found nothing."""
    databases = []
    for database in DATABASES:
        all_tried = Unscreened(database.name)
        for rule in database.rules:
            all_tried.add(rule)
        databases.append(all_tried)
    roots, expected = programs
    assert normal_forms(databases, roots) == expected
    for rule in (r for database in DATABASES for r in database.rules):
        if isinstance(rule, Procedure):
            root = example_of(rule)
            assert normal_forms(databases, [root]) == normal_forms(DATABASES, [root]), rule.name


def example_of(rule: Procedure) -> Term:
    """The example of a procedure over inputs that have the shape it asks for."""
    count = len(signature(rule.example).parameters)
    for shape in ((), (3,), (2, 3), (3, 3)):
        given = [make(INPUT, (), (i,), shape, np.dtype(np.float64)) for i in range(count)]
        try:
            return rule.example(*given)
        except (sg.StablegradError, ValueError, IndexError):
            continue
    raise AssertionError(f"no shape fits the example of {rule.name}")


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_the_order_of_arguments_never_changes_a_result(seed):
    data = inputs(seed, np.float64)

    def f(*xs):
        return random_program(random.Random(seed), list(xs), 14).sum()

    def turned(*xs):
        return f(xs[2], xs[0], xs[1])

    value, slopes = sg.value_and_grad(f, argnums=(0, 1, 2))(*data)
    again, others = sg.value_and_grad(turned, argnums=(2, 0, 1))(data[1], data[2], data[0])
    assert value.numpy().tobytes() == again.numpy().tobytes(), f"seed {seed}"
    for a, b in zip(slopes, others, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), f"seed {seed}"


def test_excluding_stabilize_gives_exactly_the_naive_program():
    x = sg.tensor([50.0])
    with sg.rules(exclude="stabilize"):
        y = sg.ops.log(1 - sg.ops.sigmoid(x))
        assert sg.explain(y).ops == ("sigmoid", "subtract", "log")
        assert not sg.explain(y).fired
    assert sg.explain(sg.ops.log(1 - sg.ops.sigmoid(x))).ops == ("negative", "log_sigmoid")


def test_what_a_mask_blocks_needs_no_guard():
    """The derivative of log is nan at -1, but not behind a mask that blocks it, at any order."""
    x = sg.tensor(np.array([-1.0, 0.0, 2.0, np.nan]))

    def masked(x):
        return sg.ops.where(x > 0, sg.ops.log(x), 0.0).sum()

    assert sg.grad(masked)(x).tolist() == [0.0, 0.0, 0.5, 0.0]
    assert sg.grad(lambda x: sg.grad(masked)(x).sum())(x).tolist() == [0.0, 0.0, -0.25, 0.0]
    with np.errstate(invalid="ignore"):
        assert np.isnan(sg.grad(lambda x: sg.ops.log(x).sum())(x).numpy()[0])


def test_a_mask_common_to_a_sum_does_not_send_the_rewriter_round_in_circles():
    x = sg.tensor(np.array([0.5, -0.5]), requires_grad=True)
    y = sg.ops.where(x > 0, sg.ops.maximum(x, 0.0) * 3.0 + sg.ops.sqrt(x), x * 0.5)
    z = sg.ops.where(y > 0, y * 0.5 + sg.ops.maximum(y, x), x).sum()
    z.backward()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("endless", ["nested", "in a row"])
def test_rules_without_an_end_are_told(endless):
    database = Database("endless")

    @database.procedure("cos", example=sg.ops.cos, source="none")
    def grows(term: Term) -> Term | None:
        """Every result has what it began from inside."""
        inner = sg.ops.cos(term.args[0] + 1)
        return inner if endless == "in a row" else sg.ops.sinh(inner)

    x = make(INPUT, (), (0,), (), np.dtype(np.float64))
    with pytest.raises(RuntimeError, match=r"rules loop at .*grows"):
        Rewriter((database,), Settings())([sg.ops.cos(x)])


SHUFFLED = """
import random, sys

class Shuffle:  # once the ops are declared, before the rules are made of them
    def find_spec(self, name, path, target=None):
        if name == "stablegrad.rules":
            from stablegrad import ir
            ops = list(ir.OPS.values())
            uids = sorted(op.uid for op in ops)
            order = random.Random(int(sys.argv[1])).sample(ops, len(ops))
            ir.OPS.clear()
            for op, uid in zip(order, uids):
                ir.OPS[op.name] = op
                object.__setattr__(op, "uid", uid)
            print(len(ops) > 300)

sys.meta_path.insert(0, Shuffle())
from tests.test_invariance import DATABASES, normal_forms, numbered_program
from stablegrad.ir import topological

roots = normal_forms(DATABASES, [numbered_program(seed) for seed in range(int(sys.argv[2]))])
for term in topological(roots):
    print(term.op.name, term.params, term.key, [a.key for a in term.args])
for rule in DATABASES[0].rules:
    print(rule.name, rule.lhs.key if hasattr(rule, "lhs") else rule.roots)
"""


def test_the_order_in_which_ops_are_declared_never_changes_a_program():
    """Rules are completed, sums ordered and ties decided by names and structure alone."""

    def made(shuffle: int) -> str:
        command = [sys.executable, "-c", SHUFFLED, str(shuffle), str(PROGRAMS)]
        root = Path(__file__).parents[1]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
        return done.stdout

    expected = made(0)
    assert expected.startswith("True")
    assert len(expected.splitlines()) > PROGRAMS
    for shuffle in range(1, 5):
        assert made(shuffle) == expected, f"shuffle {shuffle}"
