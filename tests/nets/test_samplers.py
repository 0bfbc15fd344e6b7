"""Samplers in a data loader: the orders they promise, with and without workers; nobody else's random numbers used."""

from __future__ import annotations

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, Dataset  # noqa: E402

from sgdsim.nets import samplers  # noqa: E402
from sgdsim.nets.samplers import Incremental, ShuffleOnce, sampler  # noqa: E402
from sgdsim.sampling import ORDERS  # noqa: E402

N = 11


class Rows(Dataset):
    """Row i is the number i."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> int:
        return index


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def epochs(order: str, count: int = 3, **settings) -> list[list[list[int]]]:
    """Batches of some epochs of one loader."""
    rows = sampler(order, Rows(), generator())
    loader = DataLoader(Rows(), batch_size=4, sampler=rows, generator=generator(0), **settings)
    return [[batch.tolist() for batch in loader] for _ in range(count)]


def flat(epoch: list[list[int]]) -> list[int]:
    return [row for batch in epoch for row in batch]


def test_names_are_those_of_the_simulation() -> None:
    assert set(samplers.ORDERS) < set(ORDERS)


def test_what_an_epoch_holds() -> None:
    first, second, third = map(flat, epochs("reshuffle"))
    assert sorted(first) == sorted(second) == sorted(third) == list(range(N))
    assert first != second != third != first
    once = [flat(epoch) for epoch in epochs("shuffle_once")]
    assert once[0] == once[1] == once[2] != sorted(once[0]) == list(range(N))
    assert [flat(epoch) for epoch in epochs("incremental")] == [list(range(N))] * 3
    drawn = [flat(epoch) for epoch in epochs("replacement", 20)]
    assert {len(epoch) for epoch in drawn} == {N} and len(set(map(tuple, drawn))) == 20
    assert all(len(set(epoch)) < N for epoch in drawn)  # 11 distinct rows of 11: probability 1.4e-4 an epoch


@pytest.mark.parametrize("order", samplers.ORDERS)
@pytest.mark.parametrize("drop_last", [False, True])
def test_two_workers_see_what_none_see(order: str, drop_last: bool) -> None:
    alone = epochs(order, drop_last=drop_last)
    assert [len(batch) for batch in alone[0]] == [4, 4] + [3] * (not drop_last)
    assert epochs(order, drop_last=drop_last, num_workers=2, persistent_workers=True) == alone


@pytest.mark.parametrize("order", samplers.ORDERS)
def test_a_generator_fixes_the_order_and_the_global_one_is_left_alone(order: str) -> None:
    before = torch.get_rng_state()
    first, again = ([list(s) for _ in range(2)] for s in (sampler(order, Rows(), generator()) for _ in range(2)))
    list(sampler(order, Rows()))
    assert first == again
    assert torch.equal(torch.get_rng_state(), before)
    if order != "incremental":
        assert list(sampler(order, range(50), generator(4))) != list(sampler(order, range(50), generator(5)))


def test_the_permutation_is_drawn_once() -> None:
    source = generator()
    once = ShuffleOnce(Rows(), source)
    state = source.get_state()
    one, other = iter(once), iter(once)
    together = [(next(one), next(other)) for _ in range(N)]
    assert [a for a, _ in together] == [b for _, b in together] == list(once)
    assert list(pickle.loads(pickle.dumps(once))) == list(copy.deepcopy(once)) == list(once)
    assert torch.equal(source.get_state(), state) and len(once) == N
    assert len({tuple(ShuffleOnce(range(3), generator(seed))) for seed in range(60)}) == 6


@pytest.mark.parametrize(("make", "words"), [
    (lambda: sampler("sorted", Rows()), "order is 'sorted'; allowed are replacement, reshuffle"),
    (lambda: sampler("reshuffle", []), r"data_source=\[\] must have a length"),
    (lambda: Incremental(iter([])), "must have a length of at least 1"),
    (lambda: ShuffleOnce(Rows(), 3), "generator=3 must be a torch.Generator"),
])
def test_bad_input_is_refused_by_name(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
