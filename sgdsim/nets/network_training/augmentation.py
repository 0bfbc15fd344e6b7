"""Random crops and mirror images, made on the device from offsets that are drawn on the host."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["PADDING", "crop", "padded", "placements"]

PADDING = 4  # pixels on every side: He et al. (2016) for images of 32 x 32


def padded(x: Tensor, padding: int = PADDING) -> Tensor:
    """Images (n, channels, height, width) with a margin of zeros, which is the mean colour of normalised images.

    Examples
    --------
    >>> padded(torch.ones(1, 1, 2, 2), padding=1).sum(dim=(2, 3)), padded(torch.ones(1, 1, 2, 2), 1).shape
    (tensor([[4.]]), torch.Size([1, 1, 4, 4]))
    """
    return torch.nn.functional.pad(x, (padding, padding, padding, padding))


def placements(stream: np.random.Generator, images: int, padding: int = PADDING) -> np.ndarray:
    """Where each of a sequence of images is cut out: rows top, left (0 to 2 padding) and mirrored (0 or 1).

    One number of the stream for each image, so that a sequence is the same however it is split into calls, and the
    k-th image that training sees is cut in the same way at every batch size and on every device.

    Parameters
    ----------
    stream : numpy.random.Generator
    images : int
        Length of the sequence.
    padding : int

    Returns
    -------
    ndarray of int64, shape (3, images)

    Examples
    --------
    >>> placements(np.random.default_rng(0), 1000, padding=2).max(axis=1)
    array([4, 4, 1])
    """
    places = 2 * padding + 1
    top, rest = np.divmod(stream.integers(2 * places**2, size=images), 2 * places)
    return np.stack([top, *np.divmod(rest, 2)])


def crop(images: Tensor, rows: Tensor, placement: Tensor, padding: int = PADDING) -> Tensor:
    """Cut images out of padded ones by one gather, which reads no value back to the host.

    Parameters
    ----------
    images : Tensor, shape (n, channels, height + 2 padding, width + 2 padding)
        From `padded`.
    rows : Tensor of int64, shape (B,)
        Which images.
    placement : Tensor of int64, shape (3, B)
        From `placements`.
    padding : int

    Returns
    -------
    Tensor, shape (B, channels, height, width)

    Notes
    -----
    Four pixels of padding and a mirror image with probability 1/2 are the augmentation of He et al. (2016).

    Examples
    --------
    >>> image = padded(torch.arange(1., 5.).view(1, 1, 2, 2), padding=1)
    >>> place = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 1, 0]])  # as it was, mirrored, shifted down and right
    >>> crop(image, torch.zeros(3, dtype=torch.int64), place, padding=1).int().tolist()
    [[[[1, 2], [3, 4]]], [[[2, 1], [4, 3]]], [[[0, 0], [0, 1]]]]
    """
    top, left, mirrored = placement
    height, width = (side - 2 * padding for side in images.shape[2:])
    down, right = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    columns = torch.where(mirrored[:, None] == 1, width - 1 - right, right) + left[:, None]
    channels = torch.arange(images.shape[1], device=images.device)[:, None, None]
    return images[rows[:, None, None, None], channels, (top[:, None] + down)[:, None, :, None],
                  columns[:, None, None, :]]
