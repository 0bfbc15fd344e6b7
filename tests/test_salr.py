"""SALR, SAM and the gradient-norm rate: against plain optimizers bit for bit, and against loops written out here."""

from __future__ import annotations

import copy
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from sgdsim.methods.probing import mean_unit_gradient, probing, unit_gradient  # noqa: E402
from sgdsim.methods.relative_rate import GradientNormRate  # noqa: E402
from sgdsim.methods.running_median import RunningMedian  # noqa: E402
from sgdsim.methods.salr import SALR  # noqa: E402
from sgdsim.methods.sam import SAM  # noqa: E402
from sgdsim.nets.threads import one_thread  # noqa: E402

BASES = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=1e-3),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}
WRAPPERS = {
    "salr": lambda model, base: SALR(model, base),
    "salr, uneven": lambda model, base: SALR(model, base, n_descent=2, n_ascent=3, every=1, probe_length=0.05, cap=2.0),
    "norm": lambda model, base: GradientNormRate(model, base),
    "sam": lambda model, base: SAM(model, base),
}


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
    with one_thread():
        yield


class Rich(nn.Module):
    """Batch norm, dropout, a buffer that the output depends on and that each evaluation in training mode changes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.calls = self.calls + 1  # replaced, not changed in place
        return self.layers(x) + 0.01 * self.calls


def task(batches=6, dtype=torch.float32):
    return [(torch.randn(16, 6, dtype=dtype), torch.randint(3, (16,))) for _ in range(batches)]


def closure_of(model, optimizer, x, y, seen=None):
    def closure():
        optimizer.zero_grad()
        output = model(x)
        loss = nn.functional.cross_entropy(output, y)
        loss.backward()
        if seen is not None:
            seen.append((loss.item(), torch.get_rng_state()))
        return loss

    return closure


def everything(model, optimizer):
    """All that training depends on, as tensors."""
    state = [value for p in model.parameters() for value in optimizer.state[p].values()
             if isinstance(value, torch.Tensor)]
    return [*map(torch.clone, [*model.parameters(), *model.buffers(), *state, torch.get_rng_state()])]


def same(left, right):
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("base", BASES)
def test_at_ratio_one_salr_is_the_base_optimizer_bit_for_bit(base):
    """The first step has ratio 1, no later one has a probe: weights, buffers, state and random numbers are equal."""
    model, data, start = Rich(), task(), torch.get_rng_state()
    twin = copy.deepcopy(model)
    plain, wrapped = BASES[base](twin.parameters()), SALR(model, BASES[base](model.parameters()), every=100)
    for x, y in data:
        wrapped.step(closure_of(model, wrapped, x, y))
    ends = everything(model, wrapped)
    torch.set_rng_state(start)
    for x, y in data:
        plain.step(closure_of(twin, plain, x, y))
    assert same(ends, everything(twin, plain))
    assert wrapped.evaluations == len(data) + 10 and model.calls == len(data)


@pytest.mark.parametrize("n", [(5, 5), (0, 3), (4, 0), (1, 2)])
def test_a_probe_leaves_no_trace_and_sees_one_function(n):
    """After a probe all is as after one evaluation, gradients too; all evaluations had the same masks and buffers."""
    model, (x, y) = Rich(), task(1)[0]
    twin, start, seen = copy.deepcopy(model), torch.get_rng_state(), []
    base = torch.optim.SGD(model.parameters(), lr=0.0)
    wrapped = SALR(model, base, n_descent=n[0], n_ascent=n[1], probe_length=0.1)
    wrapped.step(closure_of(model, wrapped, x, y, seen))
    ends, gradients = everything(model, wrapped), [p.grad.clone() for p in model.parameters()]
    assert len(seen) == 1 + sum(n) and all(torch.equal(state, seen[0][1]) for _, state in seen)
    assert len({loss for loss, _ in seen}) == len(seen)
    torch.set_rng_state(start)
    closure_of(twin, base, x, y)()
    assert same(ends, everything(twin, base))
    reference = [p.grad for p in twin.parameters()]
    assert same(gradients, reference)


def test_modes_come_back_even_when_the_closure_changes_them_or_fails():
    model, (x, y) = Rich(), task(1)[0]
    wrapped, calls = SALR(model, torch.optim.SGD(model.parameters(), lr=0.1)), []
    before = [p.clone() for p in model.parameters()]

    def closure():
        calls.append([m.training for m in model.modules()])
        if len(calls) == 7:
            raise RuntimeError("out of luck")
        loss = closure_of(model, wrapped, x, y)()
        model.eval()
        return loss

    with pytest.raises(RuntimeError, match="out of luck"):
        wrapped.step(closure)
    assert all(all(modes) for modes in calls) and not model.training  # as after one evaluation
    assert same(before, list(model.parameters())) and model.calls == 1


def test_salr_is_the_rule_written_out():
    """Losses at both ends by an independent loop over flat vectors; ratios to the median; steps of gradient descent."""
    model, data = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double(), task(9, torch.float64)
    twin, rate, gamma = copy.deepcopy(model), 0.3, 0.05
    wrapped = SALR(model, torch.optim.SGD(model.parameters(), lr=rate), probe_length=gamma, n_descent=3, n_ascent=4,
                   every=2, cap=1.1)
    w, factors, measured = nn.utils.parameters_to_vector(twin.parameters()).detach(), [], []

    def value(point, x, y):
        nn.utils.vector_to_parameters(point, twin.parameters())
        loss = nn.functional.cross_entropy(twin(x), y)
        return loss.item(), nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(twin.parameters())))

    for t, (x, y) in enumerate(data):
        if t % 2 == 0:
            ends = []
            for steps, sign in ((3, -1), (4, 1)):
                point = w.clone()
                for _ in range(steps):
                    g = value(point, x, y)[1]
                    point = point + sign * gamma * g / g.norm()
                ends.append(value(point, x, y)[0])
            measured.append(ends[1] - ends[0])
            factors.append(min(measured[-1] / statistics.median(measured), 1.1))
        w = w - rate * factors[-1] * value(w, x, y)[1]
        wrapped.step(closure_of(model, wrapped, x, y))
        assert wrapped.factor == pytest.approx(factors[-1], rel=1e-9)
        here = nn.utils.parameters_to_vector(model.parameters()).detach()
        torch.testing.assert_close(here, w, rtol=1e-10, atol=1e-12)
    assert wrapped.history.values() == pytest.approx(sorted(measured), rel=1e-9)
    assert len(set(factors)) > 2 and max(factors) == 1.1


def test_per_sample_direction_is_the_mean_of_normalised_gradients():
    model, (x, y) = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double(), task(1, torch.float64)[0]
    parameters, loss = list(model.parameters()), nn.functional.cross_entropy
    one = [torch.autograd.grad(loss(model(a[None]), b[None]), parameters) for a, b in zip(x, y, strict=True)]
    flat = torch.stack([torch.cat([g.flatten() for g in gradients]) for gradients in one])
    expected = (flat / flat.norm(dim=1, keepdim=True)).mean(dim=0)
    found = torch.cat([u.flatten() for u in mean_unit_gradient(model, loss, x, y, parameters)])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert found.norm() < 1
    frozen = mean_unit_gradient(model, loss, x, y, parameters[:2])  # only two are trained
    assert [u.shape for u in frozen] == [p.shape for p in parameters[:2]]
    wrapped = SALR(model, torch.optim.SGD(parameters, lr=0.1), direction="per_sample", loss=loss)
    wrapped.step(closure_of(model, wrapped, x, y), batch=(x, y))
    batch = SALR(model, torch.optim.SGD(parameters, lr=0.1))
    batch.step(closure_of(model, batch, x, y))
    assert 0 < wrapped.history.value < batch.history.value  # shorter steps, not along the batch's gradient


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("base", BASES)
def test_resumed_training_is_uninterrupted_training(wrapper, base, tmp_path):
    """Saved after three steps and loaded into fresh objects: the end is the same, medians and all."""
    data, model = task(7), Rich()
    optimizer = WRAPPERS[wrapper](model, BASES[base](model.parameters()))
    for x, y in data[:3]:
        optimizer.step(closure_of(model, optimizer, x, y))
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()},
               tmp_path / "saved.pt")
    copied, copied_optimizer = copy.deepcopy((model, optimizer))
    for x, y in data[3:]:
        optimizer.step(closure_of(model, optimizer, x, y))
    ends = everything(model, optimizer)
    saved, fresh = torch.load(tmp_path / "saved.pt"), Rich()
    again = WRAPPERS[wrapper](fresh, BASES[base](fresh.parameters()))
    fresh.load_state_dict(saved["model"])
    again.load_state_dict(saved["optimizer"])
    for one, its in ((fresh, again), (copied, copied_optimizer)):
        torch.set_rng_state(saved["random"])
        for x, y in data[3:]:
            its.step(closure_of(one, its, x, y))
        assert same(ends, everything(one, its)) and its.evaluations == optimizer.evaluations
        assert its.param_groups is its.base.param_groups and its.state is its.base.state


@pytest.mark.parametrize("on_base", [True, False])
def test_schedulers_and_groups_set_the_base_rate(on_base):
    """Two groups with rates of their own; a scheduler on either optimizer; a group that comes later."""
    model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    base = torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.2}], lr=0.1)
    optimizer, rates = SALR(model, base, every=1, probe_length=0.1), []
    optimizer.add_param_group({"params": list(model[2].parameters()), "lr": 0.05})
    schedule = torch.optim.lr_scheduler.StepLR(base if on_base else optimizer, 2, gamma=0.1)
    for x, y in task(4):
        before = [p.detach().clone() for p in model.parameters()]
        optimizer.step(closure_of(model, optimizer, x, y))
        rates.append([group["lr"] for group in optimizer.param_groups])
        for p, old, rate in zip(model.parameters(), before, (*2 * rates[-1][:1], *2 * rates[-1][1:]), strict=True):
            torch.testing.assert_close(p.detach(), old - rate * optimizer.factor * p.grad)
        schedule.step()
    assert rates == [[0.2, 0.05]] * 2 + [[pytest.approx(0.02), pytest.approx(0.005)]] * 2
    assert len(optimizer.parameters()) == 4 and optimizer.factor != 1


def test_zero_gradients_overflow_and_negative_sharpness():
    w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    unused = nn.Parameter(torch.ones(1, dtype=torch.float64))
    scale = [1.0]
    optimizer = SALR(nn.Module(), torch.optim.SGD([w, unused], lr=0.1), every=1, probe_length=0.1)

    def closure():
        optimizer.zero_grad()
        loss = scale[0] * w.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)  # at the minimum: no direction, sharpness 0, median 0
    assert optimizer.factor == 1 and (w == 0).all() and optimizer.history.values() == [0.0]
    with torch.no_grad():
        w.fill_(1.0)
    optimizer.step(closure)
    assert optimizer.factor == 2 and unused.grad is None and unused == 1  # over the mean of itself and zero
    for scale[0] in (float("inf"), 1e200, float("nan")):  # the gradient of the second is finite, its square is not
        with torch.no_grad():
            w.fill_(1e150)
        optimizer.step(closure)
        assert optimizer.factor == 1 and len(optimizer.history) == 2
    rate = SALR(nn.Module(), torch.optim.SGD([unused], lr=0.1))
    for measured, factor in ((1.0, 1.0), (2.0, 4 / 3), (-1.0, 0.0)):
        rate._take_in(measured)
        assert rate.factor == pytest.approx(factor)


def test_sam_is_two_gradients_written_out():
    """The step is that of the base with the gradient at the raised weights; the running statistics see one batch."""
    model, (x, y) = Rich(), task(1)[0]
    model.layers[3].p = 0.0
    twin = copy.deepcopy(model)
    parameters = list(twin.parameters())
    plain = torch.optim.SGD(parameters, lr=0.1)
    closure_of(twin, plain, x, y)()
    buffers = [b.clone() for b in twin.buffers()]
    before, u = [p.detach().clone() for p in parameters], unit_gradient(parameters)
    twin.calls.zero_()
    with torch.no_grad():
        for p, v in zip(parameters, u, strict=True):
            p.add_(0.2 * v)
    closure_of(twin, plain, x, y)()
    optimizer = SAM(model, torch.optim.SGD(model.parameters(), lr=0.1), radius=0.2)
    optimizer.step(closure_of(model, optimizer, x, y))
    for p, old, q in zip(model.parameters(), before, parameters, strict=True):
        torch.testing.assert_close(p.detach(), old - 0.1 * q.grad)
    assert same(buffers, list(model.buffers())) and optimizer.evaluations == 2


def test_sam_without_radius_is_the_base_optimizer():
    model, data, start = Rich(), task(3), torch.get_rng_state()
    twin = copy.deepcopy(model)
    plain = torch.optim.Adam(twin.parameters())
    optimizer = SAM(model, torch.optim.Adam(model.parameters()), radius=0.0)
    for x, y in data:
        optimizer.step(closure_of(model, optimizer, x, y))
    ends = everything(model, optimizer)
    torch.set_rng_state(start)
    for x, y in data:
        plain.step(closure_of(twin, plain, x, y))
    assert same(ends, everything(twin, plain))


def test_gradient_norm_rate_is_the_ratio_of_norms():
    model, norms = nn.Linear(6, 3).double(), []
    optimizer = GradientNormRate(model, torch.optim.SGD(model.parameters(), lr=0.5), every=1)
    for x, y in task(5, torch.float64):
        optimizer.step(closure_of(model, optimizer, x, y))
        norms.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item())
        assert optimizer.factor == pytest.approx(norms[-1] / statistics.median(norms), rel=1e-12)
    assert optimizer.evaluations == 5


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_running_median(values):
    running = RunningMedian()
    for k, value in enumerate(values):
        running.push(value)
        assert running.value == pytest.approx(statistics.median(values[: k + 1]), rel=1e-12, abs=1e-300)
    assert running.values() == sorted(values) and len(running) == len(values)
    assert RunningMedian(running.values()).value == running.value


@pytest.mark.parametrize("settings, message", [
    ({"probe_length": 0.0}, "probe_length=0.0"), ({"n_descent": -1}, "n_descent=-1"), ({"every": 0}, "every=0"),
    ({"every": 2.5}, "every=2.5"), ({"n_ascent": 1.5}, "n_ascent=1.5"),
    ({"n_descent": 0, "n_ascent": 0}, "not both 0"), ({"cap": 0.0}, "cap=0.0"), ({"direction": "up"}, "direction='up'"),
    ({"direction": "per_sample"}, "loss=None"),
    ({"direction": "per_sample", "loss": nn.functional.cross_entropy}, "batch norm"),
])
def test_bad_settings_are_named(settings, message):
    model = Rich()
    with pytest.raises(ValueError, match=message):
        SALR(model, torch.optim.SGD(model.parameters(), lr=0.1), **settings)


def test_other_bad_input_is_named():
    model = nn.Linear(6, 3)
    base, (x, y) = torch.optim.SGD(model.parameters(), lr=0.1), task(1)[0]
    with pytest.raises(ValueError, match="base is Linear"):
        SALR(model, model)
    with pytest.raises(ValueError, match="radius=-1"):
        SAM(model, base, radius=-1.0)
    with pytest.raises(ValueError, match="closure is None"):
        SAM(model, base).step()
    with pytest.raises(ValueError, match="returned None"):
        SALR(model, base).step(lambda: None)
    with pytest.raises(ValueError, match="batch=None"):
        SALR(model, base, direction="per_sample", loss=nn.functional.cross_entropy).step(lambda: 0.0)
    with pytest.raises(ValueError, match="median of no numbers"):
        _ = RunningMedian().value
    for other in (base, SAM(model, base), GradientNormRate(model, base)):
        with pytest.raises(ValueError, match="no state of SALR"):
            SALR(model, base).load_state_dict(other.state_dict())
    for wrong in (torch.optim.LBFGS(model.parameters()), SAM(model, base)):
        with pytest.raises(ValueError, match=f"base is {type(wrong).__name__}"):
            SAM(model, wrong)
    with pytest.raises(ValueError, match="model is generator"):
        SALR(model.parameters(), base)
    with torch.no_grad(), probing(model, list(model.parameters()), closure_of(model, base, x, y)) as probe:
        assert probe.evaluate() == float(probe.loss)
