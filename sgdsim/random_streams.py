"""Counter-based random numbers: a draw is a function of (seed, purpose, replica, step, position) alone.

Replica 17 therefore sees the same numbers alone or among ten thousand, in one block or in ten, whichever
thread computes it, and a run resumes at step t without replaying the steps before it.

The generator is Threefry-2x32 with 13 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
as 1, 2, 3", SC 2011).  Its key is (a, b + replica), where (a, b) are two words of the seed, one pair per
purpose; its counter is (pair, step).  Positions 2i and 2i + 1 of a step are the two halves of pair i.
The compiled kernels compute the same words, and the same normals up to single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

PURPOSES = ("start", "data", "noise", "order")
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = np.uint32(0x1BD11BDA)
_PAIRS_AT_ONCE = 16_384  # temporaries of a block stay in the second-level cache
_TWO_32 = 2.0**32


def threefry2x32(key: tuple[ArrayLike, ArrayLike], counter: tuple[ArrayLike, ArrayLike],
                 rounds: int = 13) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Threefry-2x32: two keyed pseudo-random 32-bit words for each counter.

    Parameters
    ----------
    key, counter : pairs of arrays of 32-bit words, which broadcast against each other.
    rounds : number of rounds; 13 is the least that passes BigCrush, 20 the authors' default.

    Source: Salmon, Moraes, Dror and Shaw (SC 2011), section 4.2.

    >>> x0, x1 = threefry2x32((0, 0), (0, 0), rounds=20)
    >>> hex(int(x0)), hex(int(x1))
    ('0x6b200159', '0x99ba4efe')
    """
    key0, key1, count0, count1 = (np.asarray(word, dtype=np.uint32) for word in (*key, *counter))
    words = (key0, key1, key0 ^ key1 ^ _PARITY)
    shape = np.broadcast_shapes(key0.shape, key1.shape, count0.shape, count1.shape)
    x0, x1, high = (np.empty(shape or (1,), np.uint32) for _ in range(3))
    np.add(count0, key0, out=x0)
    np.add(count1, key1, out=x1)
    for done in range(1, rounds + 1):
        rotation = _ROTATIONS[(done - 1) % 8]
        x0 += x1
        np.right_shift(x1, np.uint32(32 - rotation), out=high)
        np.left_shift(x1, np.uint32(rotation), out=x1)
        x1 |= high
        x1 ^= x0
        if done % 4 == 0:
            turn = done // 4
            x0 += words[turn % 3]
            x1 += words[(turn + 1) % 3]
            x1 += np.uint32(turn)
    return x0.reshape(shape), x1.reshape(shape)


def box_muller(x0: NDArray[np.uint32], x1: NDArray[np.uint32],
               dtype: DTypeLike = np.float64) -> tuple[NDArray, NDArray]:
    """Two independent standard normals from two words: radius from `x0`, angle from `x1`.

    radius = sqrt(-2 ln((x0 + 1/2) / 2^32)), angle = pi x1 / 2^31 with `x1` read as a signed integer, so the
    largest value that can occur is 6.76.  In single precision the results are within 2e-6 of those in double.

    >>> cosine, sine = box_muller(np.uint32([0]), np.uint32([0]))
    >>> round(float(cosine[0]), 2), float(sine[0])
    (6.76, 0.0)
    """
    real: Any = np.dtype(dtype).type
    # A word near 2^32 has no single-precision neighbour below 1: the logarithm needs double precision.
    radius = np.sqrt((-2 * np.log((x0 + 0.5) / _TWO_32)).astype(real))
    angle = x1.view(np.int32).astype(real) * real(np.pi / 2**31)
    return radius * np.cos(angle), radius * np.sin(angle)


@dataclass(frozen=True, eq=False)
class Stream:
    """Random numbers of one purpose for R replicas, addressed by step and position.

    Parameters
    ----------
    seed : int or numpy.random.SeedSequence
    purpose : one of "start", "data", "noise", "order"; each has numbers of its own.
    replicas : R for the replicas 0, ..., R - 1, or an array (R,) of replica ids.

    Every draw takes a `step` and returns one row per replica, (R, count); several steps, (S,), give (R, S, count).
    `offset` skips that many positions, so that one step can serve several needs.  The number at a position does
    not depend on how many are asked for.

    Raises ValueError for an unknown purpose, a negative seed or ids that are not in [0, 2^32).

    >>> noise = Stream(seed=1, purpose="noise", replicas=1000)
    >>> noise.normals(step=7, count=3).shape
    (1000, 3)
    >>> alone = Stream(seed=1, purpose="noise", replicas=[17])
    >>> bool((alone.normals(7, 3)[0] == noise.normals(7, 3)[17]).all())
    True
    """

    seed: int | np.random.SeedSequence
    purpose: str
    replicas: int | ArrayLike
    ids: NDArray[np.int64] = field(init=False, repr=False)
    key: tuple[np.uint32, NDArray[np.uint32]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.purpose not in PURPOSES:
            raise ValueError(f"purpose is {self.purpose!r}; allowed are {', '.join(PURPOSES)}")
        ids = _replica_ids(self.replicas)
        first, second = _seed_words(self.seed, self.purpose)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "key", (first, (ids + int(second)).astype(np.uint32)))

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, which: slice | ArrayLike) -> Stream:
        """The same stream for some of its replicas (a slice, or indices into its rows)."""
        return Stream(self.seed, self.purpose, self.ids[np.asarray(which) if not isinstance(which, slice) else which])

    def words(self, step: ArrayLike, count: int, offset: int = 0) -> NDArray[np.uint32]:
        """Uniform 32-bit words, (R, count) or (R, S, count)."""
        return self._draw(step, count, offset, np.uint32, lambda x0, x1: (x0, x1))

    def normals(self, step: ArrayLike, count: int, dtype: DTypeLike = np.float64, offset: int = 0) -> NDArray:
        """Standard normal numbers, (R, count) or (R, S, count), by Box-Muller in the precision of `dtype`."""
        return self._draw(step, count, offset, dtype, lambda x0, x1: box_muller(x0, x1, dtype))

    def uniforms(self, step: ArrayLike, count: int, offset: int = 0) -> NDArray[np.float64]:
        """Uniform numbers strictly between 0 and 1, (R, count) or (R, S, count): (word + 1/2) / 2^32."""
        return (self.words(step, count, offset) + np.float64(0.5)) / _TWO_32

    def integers(self, step: ArrayLike, count: int, high: int, offset: int = 0) -> NDArray[np.int64]:
        """Integers uniform on 0, ..., high - 1, (R, count) or (R, S, count): floor(word * high / 2^32).

        The probability of a value is 1/high up to a relative error below high / 2^32.
        """
        if not 1 <= high <= 2**32:
            raise ValueError(f"high is {high}; allowed are 1 to 2^32")
        product = self.words(step, count, offset).astype(np.uint64) * np.uint64(high)
        return (product >> np.uint64(32)).astype(np.int64)

    def permutation(self, step: ArrayLike, n: int, offset: int = 0) -> NDArray[np.int64]:
        """Random permutations of 0, ..., n - 1, (R, n) or (R, S, n): the order that sorts n words.

        Equal words keep their order; two of n words are equal with probability below n^2 / 2^33.
        """
        tagged = self.words(step, n, offset).astype(np.uint64) << np.uint64(32) | np.arange(n, dtype=np.uint64)
        tagged.sort(axis=-1)
        return (tagged & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def _draw(self, step: ArrayLike, count: int, offset: int, dtype: DTypeLike,
              convert: Callable[[NDArray, NDArray], tuple[NDArray, NDArray]]) -> NDArray:
        steps = _checked_steps(step, count, offset)
        pairs = np.arange(offset // 2, (offset + count + 1) // 2, dtype=np.uint32)
        skipped = offset % 2
        out = np.empty((len(self), steps.size, count), dtype)
        rows_at_once = max(1, _PAIRS_AT_ONCE // max(1, steps.size * pairs.size))
        for first in range(0, len(self), rows_at_once):
            rows = slice(first, first + rows_at_once)
            key = (self.key[0], self.key[1][rows, None, None])
            even, odd = convert(*threefry2x32(key, (pairs, steps.reshape(-1, 1))))
            out[rows, :, skipped::2] = even[..., skipped:][..., :(count - skipped + 1) // 2]
            out[rows, :, 1 - skipped::2] = odd[..., :(count + skipped) // 2]
        return out.reshape(len(self), *steps.shape, count)


def _checked_steps(step: ArrayLike, count: int, offset: int) -> NDArray[np.uint32]:
    steps = np.asarray(step)
    if steps.ndim > 1 or not np.issubdtype(steps.dtype, np.integer) or not np.all((0 <= steps) & (steps < 2**32)):
        raise ValueError(f"step is {step!r}; allowed are an integer or a 1-d array of integers in [0, 2^32)")
    if count < 0 or offset < 0 or offset + count > 2**33:
        raise ValueError(f"count is {count} and offset {offset}; allowed are positions in [0, 2^33)")
    return steps.astype(np.uint32)


def _replica_ids(replicas: int | ArrayLike) -> NDArray[np.int64]:
    ids = np.arange(replicas) if isinstance(replicas, (int, np.integer)) else np.asarray(replicas)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer) or not np.all((0 <= ids) & (ids < 2**32)):
        raise ValueError(f"replicas is {replicas!r}; allowed are a count or a 1-d array of ids in [0, 2^32)")
    if isinstance(replicas, (int, np.integer)) and replicas < 1:
        raise ValueError(f"replicas is {replicas}; at least 1 is allowed")
    return ids.astype(np.int64)


def _seed_words(seed: int | np.random.SeedSequence, purpose: str) -> NDArray:
    if not isinstance(seed, np.random.SeedSequence):
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed is {seed!r}; allowed are a non-negative integer or a SeedSequence")
        seed = np.random.SeedSequence(int(seed))
    branch = (*seed.spawn_key, PURPOSES.index(purpose))
    return np.random.SeedSequence(seed.entropy, spawn_key=branch, pool_size=seed.pool_size).generate_state(2)
