"""Lines through weight space, rescaled layers and the sharpness of modules, against plain evaluations."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from sgdsim.methods.box_sharpness import largest_rise_of_quadratic  # noqa: E402
from sgdsim.nets.architectures import cross_entropy, small_cnn  # noqa: E402
from sgdsim.nets.curvature import Curvature  # noqa: E402
from sgdsim.nets.loss_lines import (  # noqa: E402
    along,
    between,
    evaluate,
    filter_normalised,
    loss_line,
    recompute_statistics,
)
from sgdsim.nets.module_sharpness import (  # noqa: E402
    filter_normalised_rise,
    module_objective,
    module_sharpness,
    random_directions,
)
from sgdsim.nets.rescaling import rescale_before_normalisation, rescale_units  # noqa: E402
from sgdsim.nets.threads import one_thread  # noqa: E402


@pytest.fixture(autouse=True)
def _quiet():
    torch.manual_seed(0)
    with one_thread():
        yield


def perceptron(norm=True, **settings):
    parts = [nn.BatchNorm1d(8, **settings)] if norm else []
    more = [nn.BatchNorm1d(6, **settings)] if norm else []
    return nn.Sequential(nn.Linear(5, 8), *parts, nn.ReLU(), nn.Linear(8, 6), *more, nn.ReLU(), nn.Linear(6, 3)).double()


def images(n=40):
    return torch.randn(n, 5, dtype=torch.float64), torch.randint(3, (n,))


@pytest.mark.parametrize("curved", [False, True])
def test_the_ends_of_a_line_are_the_networks(curved):
    first, second, data = perceptron(), perceptron(), images()
    before = copy.deepcopy(first.state_dict())
    line = loss_line(between(first, second, curved=curved), data, data, positions=[0.0, 0.5, 1.0])
    for column, model in ((0, first), (2, second)):
        own = recompute_statistics(copy.deepcopy(model), data[0])
        assert line.losses[0, column] == pytest.approx(evaluate(own, *data)[0], rel=1e-10)
    assert line.losses.shape == line.accuracies.shape == (2, 3) and (line.losses[0] == line.losses[1]).all()
    assert all((before[name] == value).all() for name, value in first.state_dict().items()), "left as it was"


def test_points_of_straight_and_curved_lines():
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    a, b = first.weight.item(), second.weight.item()
    assert between(first, second)(-1.0).weight.item() == pytest.approx(2 * a - b, rel=1e-5)
    assert between(first, second, curved=True)(0.5).weight.item() == pytest.approx((a + b) / 2**0.5, rel=1e-5)


def test_statistics_are_those_of_all_inputs_at_once():
    """With them evaluation mode gives what training mode gives on the whole set, up to n / (n - 1) in the variance."""
    model, (x, y) = perceptron(), images(400)
    for _ in range(3):
        model.train()(torch.randn(7, 5, dtype=torch.float64) + 4)      # statistics of something else
    expected = evaluate(model.train(), x, y)[0]
    stale = evaluate(model.eval(), x, y)[0]
    assert evaluate(recompute_statistics(model, x), x, y)[0] == pytest.approx(expected, rel=3e-3)
    assert abs(stale - expected) > 0.03 * expected and not model.training
    assert {module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm1d)} == {0.1}


def test_layers_without_running_statistics_are_left_alone():
    model, (x, y) = perceptron(track_running_stats=False), images()
    inside = evaluate(model.train(), x, y)[0]
    assert evaluate(recompute_statistics(model, x), x, y)[0] == pytest.approx(inside, rel=1e-12)


def test_momentum_comes_back_after_an_error():
    model = perceptron()
    with pytest.raises(ValueError):
        recompute_statistics(model, torch.zeros(1, 5, dtype=torch.float64))
    assert model[1].momentum == 0.1 and not model[1].training


def test_directions_are_as_long_as_the_filters():
    model = small_cnn((1, 8, 8), 10, 0, channels=(4, 6), batch_norm=True)
    direction = filter_normalised(model, seed=1)
    for p, d in zip(model.parameters(), direction, strict=True):
        if p.dim() < 2:
            assert not d.any()
        else:
            torch.testing.assert_close(d.flatten(1).norm(dim=1), p.detach().flatten(1).norm(dim=1))
    again, other = filter_normalised(model, seed=1), filter_normalised(model, seed=2)
    assert (direction[0] == again[0]).all() and (direction[0] != other[0]).any()
    moved = along(model, direction)(0.5)
    torch.testing.assert_close(moved[0].weight, model[0].weight + 0.5 * direction[0])


@pytest.mark.parametrize("factor", [0.05, 3.0, 40.0])
@pytest.mark.parametrize("training", [True, False])
def test_layers_before_a_normalisation_may_be_rescaled(factor, training):
    model, (x, _) = perceptron(eps=1e-14), images()
    for _ in range(3):
        model.train()(x)
    changed = rescale_before_normalisation(model, factor).train(training)
    torch.testing.assert_close(changed(x), model.train(training)(x), rtol=1e-7, atol=1e-7)
    assert changed[0].weight[0, 0] == factor * model[0].weight[0, 0]


def test_the_hessian_of_a_rescaled_layer_shrinks_by_the_square():
    model, data = perceptron(eps=1e-14), images(30)
    block = slice(0, 48)                                   # first layer: 5 x 8 weights and 8 biases
    first = Curvature(model.train(), cross_entropy, data).dense()[block, block]
    second = Curvature(rescale_before_normalisation(model, 5.0), cross_entropy, data).dense()[block, block]
    np.testing.assert_allclose(second, first / 25, atol=1e-9)
    one, other = (module_sharpness(m, cross_entropy, data, 0.05, floor=0.0, starts=2)
                  for m in (model, rescale_before_normalisation(model, 5.0)))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-4)
    moved = module_sharpness(rescale_before_normalisation(model, 0.1), cross_entropy, data, 0.01, starts=2)
    assert moved.value > 2 * module_sharpness(model, cross_entropy, data, 0.01, starts=2).value
    rises = [filter_normalised_rise(m, cross_entropy, data) for m in (model, rescale_before_normalisation(model, 5.0))]
    assert rises[0] == pytest.approx(rises[1], rel=1e-6)


@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_units_may_be_rescaled(factor):
    model, (x, _) = perceptron(norm=False), images()
    changed = rescale_units(model, factor)
    torch.testing.assert_close(changed(x), model(x))
    assert (changed[-1].bias == model[-1].bias).all() and changed[0].bias[0] == factor * model[0].bias[0]


def test_the_objective_of_a_module_is_its_loss_in_double_precision():
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    x, y = images()
    objective, point = module_objective(model, cross_entropy, (x.float(), y))
    value, gradient = objective(point)
    assert (objective(point)[0], gradient.dtype) == (value, np.float64), "dropout is off"
    plain = copy.deepcopy(model).double().train()
    plain[3].p = 0.0
    assert value == pytest.approx(cross_entropy(plain(x.float().double()), y).item(), rel=1e-12)
    shift = np.random.default_rng(0).standard_normal(len(point))
    slope = (objective(point + 1e-6 * shift)[0] - objective(point - 1e-6 * shift)[0]) / 2e-6
    assert gradient @ shift == pytest.approx(slope, rel=1e-6)
    halves, _ = module_objective(nn.Sequential(model[0], model[2], model[4]), cross_entropy,
                                 [(x.float()[:10], y[:10]), (x.float()[10:], y[10:])])
    whole, _ = module_objective(nn.Sequential(model[0], model[2], model[4]), cross_entropy, (x.float(), y))
    small = np.ones(75)
    assert halves(small)[0] == pytest.approx(whole(small)[0], rel=1e-12), "batches weighted by their size"


def test_sharpness_of_a_linear_model_is_the_exact_one():
    """Least squares with orthogonal inputs: the Hessian is diagonal, so that the box's best corner is known."""
    model = nn.Linear(4, 1, bias=False).double()
    x = torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64))
    data = x, (x @ model.weight.T).detach()
    found = module_sharpness(model, nn.functional.mse_loss, data, 1e-3, starts=2)
    expected = 50 * 1e-6 * (2 * np.arange(1, 5) ** 2 / 4) @ (np.abs(model.weight.detach().numpy()[0]) + 1) ** 2
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    directions = random_directions(4, 2, seed=0)
    subspace = module_sharpness(model, nn.functional.mse_loss, data, 1e-3, directions=directions, starts=10)
    hessian = 2 * directions.T @ np.diag(np.arange(1, 5) ** 2 / 4) @ directions
    half_widths = 1e-3 * (np.abs(np.linalg.pinv(directions) @ model.weight.detach().numpy()[0]) + 1)
    assert subspace.value == pytest.approx(100 * largest_rise_of_quadratic(hessian, half_widths), rel=1e-6)


@pytest.mark.parametrize("call, message", [
    (lambda: between(nn.Linear(1, 2), nn.Linear(2, 2)), "same parameters"),
    (lambda: along(nn.Linear(1, 2), [torch.zeros(2, 1)]), "direction has 1 tensors"),
    (lambda: loss_line(lambda _: nn.Identity(), positions=[0.0]), "data holds 0 sets"),
    (lambda: loss_line(lambda _: nn.Identity(), images(), positions=[]), "0 points"),
    (lambda: rescale_before_normalisation(perceptron(), 0.0), "factor=0.0"),
    (lambda: rescale_before_normalisation(perceptron(norm=False), 2.0), "no linear layer"),
    (lambda: rescale_units(perceptron(), 2.0), "BatchNorm1d"),
    (lambda: rescale_units(nn.Sequential(nn.Linear(1, 1)), 2.0), "1 linear layers"),
])
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
