"""Weight decay, the noise of SGD and the rank of weights: what is exact, what the bound can say, what networks do."""

from __future__ import annotations

from sgdsim.claims.low_rank_bias.deep_networks import (
    all_three_lower_the_rank,
    updates_and_batch_size_in_convolutions,
)
from sgdsim.claims.low_rank_bias.fixed_points import (
    rank_is_a_source_of_the_noise,
    rest_needs_rank_one,
    violated_rank_makes_noise,
)
from sgdsim.claims.low_rank_bias.gradient_rank import batch_norm_takes_one_rank, rank_of_a_batch_gradient
from sgdsim.claims.low_rank_bias.memory import decaying_rates_keep_the_memory, momentum_shortens_the_memory
from sgdsim.claims.low_rank_bias.network_kinds import (
    batch_norm_keeps_ranks,
    convolutions_lose_rank_late,
    low_rank_is_not_what_generalises,
)
from sgdsim.claims.low_rank_bias.networks import (
    faded_past_sets_the_rank,
    rank_falls_with_decay_and_rate,
    small_batches_lower_rank,
)
from sgdsim.claims.low_rank_bias.null_model import random_gradients_fill_all_ranks
from sgdsim.claims.low_rank_bias.settling import decay_balances_layers, sgd_never_settles
from sgdsim.claims.low_rank_bias.unrolling import (
    bound_is_empty_in_practice,
    rank_bound_of_weight_decay,
    weights_are_recent_gradients,
)

__all__ = [
    "rank_of_a_batch_gradient",
    "batch_norm_takes_one_rank",
    "weights_are_recent_gradients",
    "rank_bound_of_weight_decay",
    "momentum_shortens_the_memory",
    "decaying_rates_keep_the_memory",
    "bound_is_empty_in_practice",
    "random_gradients_fill_all_ranks",
    "rest_needs_rank_one",
    "sgd_never_settles",
    "violated_rank_makes_noise",
    "rank_is_a_source_of_the_noise",
    "decay_balances_layers",
    "rank_falls_with_decay_and_rate",
    "small_batches_lower_rank",
    "faded_past_sets_the_rank",
    "low_rank_is_not_what_generalises",
    "batch_norm_keeps_ranks",
    "convolutions_lose_rank_late",
    "all_three_lower_the_rank",
    "updates_and_batch_size_in_convolutions",
]
