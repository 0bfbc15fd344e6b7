"""Compiled words for sampling orders: the indices of `sampling.index_blocks` at a few nanoseconds each."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from sgdsim.kernels.normals import SEPARATE, threefry
from sgdsim.random_streams import Stream


class CompiledStream(Stream):
    """A stream whose words come from compiled code, bit-equal to those of `Stream`."""

    def words(self, step: ArrayLike, count: int, offset: int = 0) -> NDArray[np.uint32]:
        """Uniform 32-bit words, (R, count) or (R, S, count), for consecutive steps and no offset."""
        steps = np.atleast_1d(step)
        out = np.empty((len(self), len(steps), count), np.uint32)
        _fill_words(*self.key, int(steps[0]), out)
        return out.reshape(len(self), *np.shape(step), count)


@njit(**SEPARATE)
def _fill_words(key0, key1, first, out):
    blocks, length = out.shape[1:]
    pairs = (length + 1) // 2
    across = blocks > pairs  # the longer of the two axes runs inside
    inner, outer = (blocks, pairs) if across else (pairs, blocks)
    even, odd = np.empty(inner, np.uint32), np.empty(inner, np.uint32)
    for r in range(len(out)):
        for j in range(outer):
            pair, block = (j, first) if across else (0, first + j)
            for k in range(inner):
                even[k], odd[k] = threefry(key0, key1[r], np.uint32(pair + (0 if across else k)),
                                           np.uint32(block + (k if across else 0)))
            for k in range(inner):
                b, i = (k, 2 * j) if across else (j, 2 * k)
                out[r, b, i] = even[k]
                if i + 1 < length:
                    out[r, b, i + 1] = odd[k]
