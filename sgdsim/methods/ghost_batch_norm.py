"""Ghost batch normalisation for torch: a large batch is normalised in parts, with the statistics of small batches.

After Hoffer, Hubara and Soudry (2017). Each of n ghost batches, consecutive parts of the batch, is normalised by its
own mean and (biased) variance; scale and shift are shared. Running statistics r are those of a small-batch run, as if
the ghosts had come one after the other: r <- (1 - m)^n r + m sum_i (1 - m)^(n - i) m_i, with m the momentum. The
weights of this sequential form add up to one; those of the update that the paper prints, as remembered, do not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["GhostBatchNorm1d", "GhostBatchNorm2d", "with_ghost_batches"]


class _GhostBatchNorm(nn.modules.batchnorm._BatchNorm):
    """What both layers share; see `GhostBatchNorm1d`."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: torch.device | str | None = None,
                 dtype: torch.dtype | None = None, *, ghost_batch_size: int) -> None:
        if ghost_batch_size < 1:
            raise ValueError(f"ghost_batch_size is {ghost_batch_size}; allowed: at least 1")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype)
        self.ghost_batch_size = ghost_batch_size

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each ghost batch in training mode; in evaluation mode use the running statistics."""
        self._check_input_dim(input)
        size, of_batch = self.ghost_batch_size, self.training or self.running_mean is None
        if len(input) <= size or not of_batch:
            return super().forward(input)
        values = input[0, 0].numel()  # of a channel in one sample: a ghost of one value cannot be normalised
        if size * values == 1:
            raise ValueError(f"ghost_batch_size is {size}, which leaves one value a channel; allowed: at least 2")
        whole, rest = divmod(len(input), size)
        whole -= rest * values == 1
        parts = [self._whole_ghosts(input[: whole * size], whole)] if whole else []
        if whole * size < len(input):
            parts.append(super().forward(input[whole * size:]))
        return torch.cat(parts)

    def _whole_ghosts(self, x: Tensor, ghosts: int) -> Tensor:
        """Ghosts of full size by one call of torch's batch norm, in which every ghost has channels of its own."""
        side_by_side = x.unflatten(0, (ghosts, -1)).transpose(0, 1).flatten(1, 2)
        mean = variance = None
        if self.training and self.running_mean is not None:
            mean, variance = self.running_mean.new_zeros(2, ghosts * self.num_features)
        scale, shift = (None if p is None else p.repeat(ghosts) for p in (self.weight, self.bias))
        # with momentum 1 torch leaves the statistics of the batch itself in mean and variance
        y = nn.functional.batch_norm(side_by_side, mean, variance, scale, shift, True, 1.0, self.eps)
        if mean is not None and variance is not None:
            self._track(mean.view(ghosts, -1), variance.view(ghosts, -1))
        return y.unflatten(1, (ghosts, self.num_features)).transpose(0, 1).flatten(0, 1)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Take in the statistics (n, features) of n ghosts, one after the other."""
        count, means, variances = self.num_batches_tracked, self.running_mean, self.running_var
        assert count is not None and means is not None and variances is not None  # the caller has looked
        ghosts = len(mean)
        count.add_(ghosts)
        if self.momentum is None:  # the mean over all ghosts so far
            weights, kept = mean.new_full((ghosts,), 1 / float(count)), 1 - ghosts / float(count)
        else:
            kept = (1 - self.momentum) ** ghosts
            age = torch.arange(ghosts - 1, -1, -1, device=mean.device, dtype=mean.dtype)
            weights = self.momentum * (1 - self.momentum) ** age
        # no product of matrices: autocast would round the statistics to sixteen bits
        means.mul_(kept).add_((weights[:, None] * mean).sum(dim=0))
        variances.mul_(kept).add_((weights[:, None] * variance).sum(dim=0))

    def extra_repr(self) -> str:
        """What torch prints in the brackets."""
        return f"{super().extra_repr()}, ghost_batch_size={self.ghost_batch_size}"


class GhostBatchNorm1d(_GhostBatchNorm, nn.BatchNorm1d):
    """Batch normalisation of (B, features) or (B, features, length) in ghost batches; else `torch.nn.BatchNorm1d`.

    A batch that is not a multiple of the ghost size ends in a smaller ghost. Where that would be a single value a
    channel (one sample of shape (features,)), which has no variance, the sample joins the ghost before it. A batch of
    at most the ghost size is one ghost, so that the layer is then plain batch norm, bit for bit. Evaluation with
    running statistics knows no ghosts; without them (`track_running_stats=False`) it does as training does.

    Parameters
    ----------
    num_features, eps, momentum, affine, track_running_stats, device, dtype
        As of `torch.nn.BatchNorm1d`; a state dictionary of either layer loads into the other. With momentum None the
        running statistics are means over all ghosts.
    ghost_batch_size : int
        Samples of a ghost batch; by keyword.

    Raises
    ------
    ValueError
        A ghost size below 1; in `forward`, one that leaves a single value a channel, or an input of wrong shape.

    Notes
    -----
    Hoffer, Hubara and Soudry (2017), with the running statistics in the form of their code, which
    accumulates gradients over the parts of a batch. With several machines each one normalises its own part already.

    Examples
    --------
    >>> layer = GhostBatchNorm1d(2, affine=False, ghost_batch_size=2)
    >>> layer(torch.tensor([[0., 1.], [2., 3.], [10., 20.], [30., 40.]])).round()
    tensor([[-1., -1.],
            [ 1.,  1.],
            [-1., -1.],
            [ 1.,  1.]])
    """


class GhostBatchNorm2d(_GhostBatchNorm, nn.BatchNorm2d):
    """Batch normalisation of images (B, features, height, width) in ghost batches; see `GhostBatchNorm1d`.

    Parameters
    ----------
    num_features, eps, momentum, affine, track_running_stats, device, dtype
        As of `torch.nn.BatchNorm2d`.
    ghost_batch_size : int
        Samples of a ghost batch; by keyword. A ghost of one image is normalised over its pixels.

    Examples
    --------
    >>> GhostBatchNorm2d(3, ghost_batch_size=4)(torch.zeros(10, 3, 5, 5)).shape
    torch.Size([10, 3, 5, 5])
    """


KINDS: dict[type[nn.Module], type[_GhostBatchNorm]] = {
    nn.BatchNorm1d: GhostBatchNorm1d, nn.BatchNorm2d: GhostBatchNorm2d,
    GhostBatchNorm1d: GhostBatchNorm1d, GhostBatchNorm2d: GhostBatchNorm2d}


def with_ghost_batches(model: nn.Module, ghost_batch_size: int) -> nn.Module:
    """Replace every batch norm of a model by one with ghost batches.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place, unless it is itself a batch norm. Parameters and running statistics stay the same tensors, so
        an optimizer that holds them goes on; hooks on the replaced layers are lost.
    ghost_batch_size : int

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    ValueError
        A ghost size below 1, or a batch norm of another kind (of volumes, synchronised, lazy); nothing is changed then.

    Examples
    --------
    >>> with_ghost_batches(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), 16)[1].ghost_batch_size
    16
    """
    found = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)
             and not isinstance(m, nn.modules.instancenorm._InstanceNorm)]
    for layer in found:
        if type(layer) not in KINDS:
            raise ValueError(f"model holds a {type(layer).__name__}; allowed: {', '.join(k.__name__ for k in KINDS)}")
    ghosts = {id(layer): _converted(layer, ghost_batch_size) for layer in found}
    for path, layer in list(model.named_modules(remove_duplicate=False)):  # a layer may be used in several places
        if path and id(layer) in ghosts:
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, ghosts[id(layer)])
    return ghosts.get(id(model), model)


def _converted(layer: nn.Module, ghost_batch_size: int) -> nn.Module:
    assert isinstance(layer, nn.modules.batchnorm._BatchNorm)  # the caller has looked
    new = KINDS[type(layer)](layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats,
                             ghost_batch_size=ghost_batch_size)
    new.weight, new.bias = layer.weight, layer.bias
    new.running_mean, new.running_var = layer.running_mean, layer.running_var
    new.num_batches_tracked = layer.num_batches_tracked
    return new.train(layer.training)

