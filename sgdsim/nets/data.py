"""Image data sets read from a folder of the reader's, and the digits that ship with scikit-learn.

Nothing is ever replaced silently: a set that is not there raises, and every row of a sweep names the set that it
used together with its checksum.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sgdsim.nets.host_random import generator

__all__ = ["DataSet", "data_folder", "load", "read_idx"]

SETS = ("digits", "mnist", "fashion", "cifar10")
RAW = {"mnist": "MNIST/raw", "fashion": "FashionMNIST/raw"}
PARENT = {"mnist": "mnist", "fashion": "fashion-mnist", "cifar10": "cifar-10"}
REMEDY = {
    "mnist": "the four files *-ubyte.gz of MNIST belong in MNIST/raw there (torchvision.datasets.MNIST fetches them)",
    "fashion": "the four files *-ubyte.gz of Fashion-MNIST belong in FashionMNIST/raw there "
               "(sgdsim.nets.download_fashion_mnist() fetches them)",
    "cifar10": "mosaics train-00.webp ... (50 x 100 images of 32 x 32 pixels each) and train-labels-idx1-ubyte, "
               "and the same for test, belong in cifar-10 there",
}


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images and labels, normalised by the mean and deviation of the training images.

    Attributes
    ----------
    name : str
        One of `digits`, `mnist`, `fashion`, `cifar10`.
    train_x, test_x : ndarray, shape (n, channels, height, width), float32
        Images; mean and deviation per channel.
    train_y, test_y : ndarray, shape (n,), int64
        Classes.
    sha256 : str
        Checksum of the pixels and labels in use, before normalisation.
    """

    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    sha256: str

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.train_x.shape[1:]))
        return f"DataSet({self.name}: {len(self.train_y)} + {len(self.test_y)} images {shape}, {self.sha256[:12]})"


def data_folder() -> Path:
    """Folder that data sets are read from: `$SGDSIM_DATA`, or `~/.cache/sgdsim/data`."""
    return Path(os.environ.get("SGDSIM_DATA") or Path.home() / ".cache" / "sgdsim" / "data")


@lru_cache(maxsize=8)
def load(name: str, images: int | None = None, test_images: int | None = None, pool: int = 1) -> DataSet:
    """Read a data set.

    Parameters
    ----------
    name : str
        `digits` (always there), `mnist`, `fashion` or `cifar10`.
    images, test_images : int, optional
        Use that many of the first training and test images; all by default.
    pool : int
        1, or 2 to halve height and width by averaging 2 x 2 pixels (28 x 28 becomes 14 x 14).

    Raises
    ------
    ValueError
        Unknown name, or more images asked for than there are.
    FileNotFoundError
        Names the folder that was looked in and what to do.

    Examples
    --------
    >>> load("digits", images=1280)
    DataSet(digits: 1280 + 517 images 1 x 8 x 8, ...)
    """
    if name not in SETS:
        raise ValueError(f"name is {name!r}; allowed: {', '.join(SETS)}")
    if pool not in (1, 2):
        raise ValueError(f"pool is {pool!r}; allowed: 1 or 2")
    for what, asked in (("images", images), ("test_images", test_images)):
        if asked is not None and asked < 1:
            raise ValueError(f"{what} is {asked}; allowed: at least 1")
    read = {"digits": _digits, "cifar10": _cifar10}.get(name, lambda *n: _idx_set(name, *n))
    arrays = tuple(np.ascontiguousarray(a) for a in read(images, test_images))
    for what, asked, labels in (("images", images, arrays[1]), ("test_images", test_images, arrays[3])):
        if asked is not None and asked != len(labels):
            raise ValueError(f"{what} is {asked}; {name} has {len(labels)}")
    digest = hashlib.sha256(repr([a.shape for a in arrays]).encode())
    for array in arrays:
        digest.update(array.tobytes())
    train_x, train_y, test_x, test_y = arrays
    train, test = _normalised(train_x, test_x, pool)
    return DataSet(name, train, train_y.astype(np.int64), test, test_y.astype(np.int64), digest.hexdigest())


def _normalised(train: np.ndarray, test: np.ndarray, pool: int) -> list[np.ndarray]:
    images = [np.asarray(x, dtype=np.float64) for x in (train, test)]
    if pool == 2:
        n, c, h, w = images[0].shape
        images = [x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(len(x), c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))
                  for x in images]
    mean, deviation = (f(images[0], axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    return [((x - mean) / deviation).astype(np.float32) for x in images]


def _digits(images: int | None, test_images: int | None) -> tuple[np.ndarray, ...]:
    """1280 training and 517 test images; mixed once, because the file is ordered by writer."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = generator(0, "split of digits").permutation(len(bunch.target))
    x, y = bunch.images[order, None].astype(np.uint8), bunch.target[order].astype(np.uint8)
    train, test = slice(0, min(images or 1280, 1280)), slice(1280, 1280 + (test_images or 517))
    return x[train], y[train], x[test], y[test]


def _folder(name: str, inner: str = "") -> Path:
    root = data_folder()
    for folder in (root / PARENT[name] / inner, root / inner if inner else root):
        if folder.is_dir() and (name != "cifar10" or (folder / "train-labels-idx1-ubyte").is_file()):
            return folder
    raise FileNotFoundError(f"data set {name!r} is not in {root} (set SGDSIM_DATA to another folder): {REMEDY[name]}")


def read_idx(path: Path, count: int | None = None) -> np.ndarray:
    """Array of an idx file of bytes, packed by gzip or not; at most `count` entries of its first axis."""
    packed = path.with_name(path.name + ".gz")
    if not packed.is_file() and not path.is_file():
        raise FileNotFoundError(f"neither {packed.name} nor {path.name} is in {path.parent}")
    with gzip.open(packed) if packed.is_file() else open(path, "rb") as file:
        head = file.read(4)
        if head[:3] != b"\0\0\x08":
            raise ValueError(f"{path.name} is not an idx file of bytes: it begins with {head!r}")
        shape = np.frombuffer(file.read(4 * head[3]), ">i4").astype(int)
        shape[0] = min(shape[0], count or shape[0])
        return np.frombuffer(file.read(int(np.prod(shape))), np.uint8).reshape(shape)


def _idx_set(name: str, images: int | None, test_images: int | None) -> tuple[np.ndarray, ...]:
    folder = _folder(name, RAW[name])
    arrays = []
    for prefix, count in (("train", images), ("t10k", test_images)):
        arrays += [read_idx(folder / f"{prefix}-images-idx3-ubyte", count)[:, None],
                   read_idx(folder / f"{prefix}-labels-idx1-ubyte", count)]
    return tuple(arrays)


def _cifar10(images: int | None, test_images: int | None) -> tuple[np.ndarray, ...]:
    from PIL import Image

    folder = _folder("cifar10")
    arrays = []
    for prefix, count in (("train", min(images or 50_000, 50_000)), ("test", min(test_images or 10_000, 10_000))):
        tiles = []
        for k in range(-(-count // 5000)):
            with Image.open(folder / f"{prefix}-{k:02d}.webp") as mosaic:
                pixels = np.asarray(mosaic.convert("RGB")).reshape(50, 32, 100, 32, 3).swapaxes(1, 2)
            tiles.append(pixels.reshape(5000, 32, 32, 3).transpose(0, 3, 1, 2))
        arrays += [np.concatenate(tiles)[:count], read_idx(folder / f"{prefix}-labels-idx1-ubyte", count)]
    return tuple(arrays)
