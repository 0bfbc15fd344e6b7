"""Fetches Fashion-MNIST; what arrives is kept only when its checksum is right."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path

from sgdsim.nets.data import data_folder

__all__ = ["download_fashion_mnist"]

ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}


def download_fashion_mnist(folder: str | os.PathLike[str] | None = None, address: str = ADDRESS) -> Path:
    """Download the four files of Fashion-MNIST (29 MiB; Xiao, Rasul and Vollgraf 2017, MIT licence).

    Parameters
    ----------
    folder : path, optional
        Where data sets are kept, `sgdsim.nets.data.data_folder()` by default.
    address : str
        Where the files lie; the address that the authors publish by default.

    Returns
    -------
    Path
        The folder with the files. Files that are there already are checked and kept.

    Raises
    ------
    OSError
        No network, or a file with another checksum (which is not kept).
    """
    target = (data_folder() if folder is None else Path(folder)) / "FashionMNIST" / "raw"
    target.mkdir(parents=True, exist_ok=True)
    for name, expected in SHA256.items():
        path = target / name
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == expected:
            continue
        with urllib.request.urlopen(address + name, timeout=60) as answer:
            content = answer.read()
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise OSError(f"{address}{name} has the SHA-256 {found}; expected {expected}")
        part = path.with_suffix(".part")
        part.write_bytes(content)
        os.replace(part, path)
    return target
