"""A whole data set in the memory of the device that trains on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sgdsim.nets.data import DataSet

__all__ = ["ResidentData", "resident"]


@dataclass(frozen=True, eq=False)
class ResidentData:
    """Images and labels on one device, normalised by the mean and deviation of the training images.

    Attributes
    ----------
    x, test_x : Tensor, shape (n, channels, height, width), float32
    y, test_y : Tensor, shape (n,), int64
        Classes.
    classes : int
    name, sha256 : str
        Of the data set; see `sgdsim.nets.data.DataSet`.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int
    name: str
    sha256: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return tuple(self.x.shape[1:])


@lru_cache(maxsize=2)
def resident(data: DataSet, device: str = "cpu") -> ResidentData:
    """Copy a data set to a device; the last two are kept, so that the cells of a sweep copy it once.

    Parameters
    ----------
    data : DataSet
        From `sgdsim.nets.data.load`.
    device : str

    Examples
    --------
    >>> from sgdsim.nets.data import load
    >>> resident(load("digits", images=1280)).shape
    (1, 8, 8)
    """
    x, y, test_x, test_y = (torch.from_numpy(a).to(device)
                            for a in (data.train_x, data.train_y, data.test_x, data.test_y))
    classes = 1 + int(max(data.train_y.max(), data.test_y.max()))
    return ResidentData(x, y, test_x, test_y, classes, data.name, data.sha256)
