"""Data sets from files that the tests write; the network is never tried."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sgdsim.nets import data, download

pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("SGDSIM_DATA", str(tmp_path))
    data.load.cache_clear()
    yield
    data.load.cache_clear()


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


def write_images(folder: Path, n: int = 40, packed: bool = True) -> dict[str, np.ndarray]:
    stream, arrays = np.random.default_rng(3), {}
    folder.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        arrays[prefix] = stream.integers(256, size=(n, 28, 28)).astype(np.uint8)
        arrays[prefix + " labels"] = stream.integers(10, size=n).astype(np.uint8)
        for name, array in ((f"{prefix}-images-idx3-ubyte", arrays[prefix]),
                            (f"{prefix}-labels-idx1-ubyte", arrays[prefix + " labels"])):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return arrays


@pytest.mark.parametrize("name, inside", [
    ("fashion", "fashion-mnist/FashionMNIST/raw"), ("fashion", "FashionMNIST/raw"), ("mnist", "MNIST/raw")])
@pytest.mark.parametrize("packed", [True, False])
def test_idx_files(tmp_path: Path, name: str, inside: str, packed: bool) -> None:
    arrays = write_images(tmp_path / inside, packed=packed)
    found = data.load(name, images=30, pool=1)
    pixels = arrays["train"][:30].astype(float)
    assert np.allclose(found.train_x[:, 0], (pixels - pixels.mean()) / pixels.std(), atol=1e-6)
    # the test images are normalised by the mean and deviation of the training images
    assert np.allclose(found.test_x[:, 0], (arrays["t10k"] - pixels.mean()) / pixels.std(), atol=1e-6)
    assert (found.train_y == arrays["train labels"][:30]).all() and found.test_y.dtype == np.int64
    assert found.train_x.dtype == np.float32 and len(found.test_y) == 40


def test_pooling_averages_two_by_two(tmp_path: Path) -> None:
    arrays = write_images(tmp_path / "MNIST" / "raw")
    found = data.load("mnist", pool=2)
    whole = arrays["train"].astype(float)
    mean = (whole[:, ::2, ::2] + whole[:, 1::2, ::2] + whole[:, ::2, 1::2] + whole[:, 1::2, 1::2]) / 4
    assert found.train_x.shape == (40, 1, 14, 14)
    assert np.allclose(found.train_x[:, 0], (mean - mean.mean()) / mean.std(), atol=1e-6)


def test_cifar10_mosaics(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    stream, folder = np.random.default_rng(4), tmp_path / "cifar-10"
    folder.mkdir()
    tiles = {}
    for prefix, count in (("train", 2), ("test", 1)):
        for k in range(count):
            tile = np.zeros((5000, 32, 32, 3), np.uint8)
            tile[:, :2, :3] = stream.integers(256, size=(5000, 2, 3, 3))
            tiles[f"{prefix}-{k:02d}"] = tile
            mosaic = tile.reshape(50, 100, 32, 32, 3).swapaxes(1, 2).reshape(1600, 3200, 3)
            # the reader goes by content, and PNG is written faster; one file is a true WebP
            options = {"format": "PNG", "compress_level": 1} if prefix == "train" else {"lossless": True, "method": 0}
            image.fromarray(mosaic).save(folder / f"{prefix}-{k:02d}.webp", **options)
        labels = stream.integers(10, size=5000 * count).astype(np.uint8)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    found = data.load("cifar10", images=5003, test_images=7)
    pixels = np.concatenate([tiles["train-00"], tiles["train-01"]])[:5003].transpose(0, 3, 1, 2).astype(float)
    mean, deviation = pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    assert found.train_x.shape == (5003, 3, 32, 32) and found.test_x.shape == (7, 3, 32, 32)
    test = tiles["test-00"][:7].transpose(0, 3, 1, 2).astype(float)
    assert np.allclose(found.test_x, (test - mean[:, None, None]) / deviation[:, None, None], atol=1e-5)
    assert np.allclose(found.train_x[[0, 4999, 5002]],
                       ((pixels - mean[:, None, None]) / deviation[:, None, None])[[0, 4999, 5002]], atol=1e-5)


def test_checksum_is_that_of_the_images_in_use(tmp_path: Path) -> None:
    write_images(tmp_path / "MNIST" / "raw")
    whole, same, part = data.load("mnist"), data.load("mnist", images=40), data.load("mnist", images=30)
    assert whole.sha256 == same.sha256 != part.sha256 and len(whole.sha256) == 64


def test_digits_are_always_there() -> None:
    digits = data.load("digits")
    assert digits.train_x.shape == (1280, 1, 8, 8) and digits.test_x.shape == (517, 1, 8, 8)
    assert abs(digits.train_x.mean()) < 1e-5 and abs(digits.train_x.std() - 1) < 1e-5
    images = {image.tobytes() for image in digits.train_x}
    assert not images & {image.tobytes() for image in digits.test_x}
    assert set(np.bincount(digits.test_y) > 30) == {True}  # mixed: every class is in the test set


@pytest.mark.parametrize("name, remedy", [("mnist", "MNIST/raw"), ("fashion", "download_fashion_mnist"),
                                          ("cifar10", "train-00.webp")])
def test_a_missing_set_is_an_error_with_a_remedy(tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(FileNotFoundError, match=remedy) as caught:
        data.load(name)
    assert str(tmp_path) in str(caught.value) and "SGDSIM_DATA" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_images(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte.gz"):
        data.load("mnist")


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "MNIST" / "raw")
    for arguments, words in ((("svhn",), "svhn"), (("mnist", 41), "images is 41; mnist has 40"),
                             (("mnist", 0), "images is 0"), (("digits", 1281), "1281"),
                             (("digits", None, 518), "test_images is 518"), (("mnist", None, None, 3), "pool is 3")):
        with pytest.raises(ValueError, match=words):
            data.load(*arguments)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"no images here"))
    with pytest.raises(ValueError, match="not an idx file"):
        data.load("mnist")


def test_download_checks_what_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    content = {name: name.encode() for name in download.SHA256}
    monkeypatch.setattr(download, "SHA256", {n: hashlib.sha256(c).hexdigest() for n, c in content.items()})
    for name, words in content.items():
        (source / name).write_bytes(words)
    folder = download.download_fashion_mnist(target, source.as_uri() + "/")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == content
    for path in source.iterdir():
        path.unlink()
    assert download.download_fashion_mnist(target, source.as_uri() + "/") == folder  # all there: nothing is fetched
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    (source / "train-labels-idx1-ubyte.gz").write_bytes(b"altered on the way")
    with pytest.raises(OSError, match="expected"):
        download.download_fashion_mnist(target, source.as_uri() + "/")
    assert not (folder / "train-labels-idx1-ubyte.gz").exists()
