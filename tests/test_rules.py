"""Every rule against torch.optim step by step, and against the algebra that defines it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdsim.problems import Quadratic
from sgdsim.rules import SGD, Adam, Averaged, HeavyBall, Nesterov, TorchNesterov
from sgdsim.schedules import Cosine, HalfThenHalve, InverseTime, StepDecay
from sgdsim.simulation import simulate

IN_TORCH = [SGD(0.1), HeavyBall(0.1, 0.9), TorchNesterov(0.1, 0.9), Adam(0.1), Adam(0.05, 0.5, 0.9, 1e-3),
            HeavyBall(0.1, 0.0), SGD(0.1, schedule=InverseTime(5)), TorchNesterov(0.1, 0.5, schedule=Cosine(40))]


def gradient(w, t):
    return np.sin(3 * w) + 0.1 * np.cos(t) * w


@pytest.mark.parametrize("rule", IN_TORCH, ids=repr)
def test_rule_follows_torch(rule):
    torch = pytest.importorskip("torch")
    w = np.array([[1.0, -2.0, 0.3]])
    p = torch.nn.Parameter(torch.tensor(w))
    optimizer = getattr(torch.optim, rule.torch_name)([p], **rule.torch_options())
    factor = rule.schedule or (lambda step: 1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    state = rule.init(w)
    for t in range(40):
        w, state = rule.update(gradient(rule.query(w, state), t), state, w, t)
        p.grad = torch.tensor(gradient(p.detach().numpy(), t))
        optimizer.step()
        scheduler.step()
        np.testing.assert_allclose(rule.report(w, state), p.detach().numpy(), rtol=1e-12, atol=1e-13)


def test_torch_stores_the_look_ahead_point():
    """The same gradients move Nesterov's method and torch's: torch's parameter is y = w + beta (w - w_before)."""
    ours, torchs = Nesterov(0.1, 0.8), TorchNesterov(0.1, 0.8)
    w = p = np.array([[1.0, -2.0]])
    displacement, velocity = ours.init(w), torchs.init(p)
    for t in range(30):
        y = ours.query(w, displacement)
        np.testing.assert_allclose(y, p, rtol=1e-12)
        w, displacement = ours.update(gradient(y, t), displacement, w, t)
        p, velocity = torchs.update(gradient(p, t), velocity, p, t)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.integers(0, 12))
def test_average_is_the_mean_of_the_iterates(steps, start):
    rule = Averaged(SGD(1.0), start=start)
    w = np.zeros((1, 1))
    state, path = rule.init(w), [0.0]
    for t, g in enumerate(steps):
        w, state = rule.update(np.full((1, 1), g), state, w, t)
        path.append(w.item())
    wanted = np.mean(path[start:]) if start < len(path) else path[-1]
    np.testing.assert_allclose(rule.report(w, state).item(), wanted, rtol=1e-9, atol=1e-9)


def test_a_sweep_is_the_same_as_one_rate_at_a_time():
    problem = Quadratic([2.0, 0.5], noise_covariance=[1.0, 1.0])
    together = simulate(problem, HeavyBall([0.1, 0.3], 0.5), steps=20, replicas=3, seed=1, method="reference")
    for i, rate in enumerate((0.1, 0.3)):
        alone = simulate(problem, HeavyBall(rate, 0.5), steps=20, replicas=3, seed=1, method="reference")
        np.testing.assert_array_equal(together.values[i], alone.values)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: SGD(-0.1), "learning_rate=-0.1"),
    (lambda: SGD([0.1, 0.0]), "learning_rate=0 "),
    (lambda: SGD(float("nan")), "learning_rate=nan"),
    (lambda: SGD([[0.1]]), r"learning_rate has shape \(1, 1\)"),
    (lambda: SGD(0.1, schedule=0.5), "schedule=0.5"),
    (lambda: HeavyBall(0.1, 1.0), "momentum=1.0"),
    (lambda: Adam(0.1, beta2=1.0), "beta2=1.0"),
    (lambda: Adam(0.1, epsilon=0.0), "epsilon=0.0"),
    (lambda: Averaged(SGD(0.1), start=-1), "start=-1"),
    (lambda: InverseTime(0), "offset=0"),
    (lambda: Cosine(-1), "total=-1"),
    (lambda: HalfThenHalve(0), "total=0"),
    (lambda: StepDecay((1,), 0.0), "factor=0.0"),
])
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@given(st.integers(1, 5000))
def test_half_then_halve_ends_at_two_to_the_minus_ten(total):
    factors = [HalfThenHalve(total)(t) for t in range(total)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == 1.0
    assert sum(f == 1.0 for f in factors) == (total + 1) // 2
    if total >= 20:
        assert factors[-1] == 2.0**-10
