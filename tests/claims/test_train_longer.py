"""The checks on runs that are not measured yet, held against rows made up here: they tell true from false."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from sgdsim.claims import train_longer as claims
from sgdsim.claims.train_longer.gaps import columns
from sgdsim.ledger import Claim
from sgdsim.nets.runs import sweeps

Rows = list[dict[str, Any]]
#: Accuracies of the columns, those of the paper's ResNet-44.
PAPER = {"SB": 0.928, "LB": 0.861, "+LR": 0.893, "+LR+GBN": 0.905, "+RA": 0.925, "+RA+GBN": 0.931}


def made_up(experiment: str, metrics: Any) -> Rows:
    """A row for each planned cell of an experiment of the scale `gpu`, with metrics by its settings."""
    sweep = next(s for s in sweeps("train_longer", "gpu") if s.experiment == experiment)
    noise = np.random.default_rng(7)
    return [{"config": cell, "status": "ok", "metrics": metrics(cell, noise)} for cell in sweep.cells]


def judged(claim: Claim, experiment: str, rows: Rows, claimed: Any = None) -> dict[str, str]:
    """Outcome of each check that reads the experiment."""
    return {check.title: check.function(claim.claimed if claimed is None else claimed, rows).outcome
            for check in claim.checks if check.runs is not None and check.runs.name == f"train_longer/{experiment}"}


def every_check_refutes_a_mutant(claim: Claim, experiment: str, rows: Rows) -> bool:
    """Or holds for one, where the claim itself is refuted."""
    plain = judged(claim, experiment, rows)
    outcomes = [judged(claim, experiment, rows, mutant) for mutant in claim.mutants.values()]
    return all(any(found[title] == {"holds": "refuted", "refuted": "holds"}[plain[title]] for found in outcomes)
               for title in plain)


def accuracy(table: dict[str, float]) -> Any:
    def metrics(cell: dict[str, Any], noise: np.random.Generator) -> dict[str, float]:
        column = "SB"
        if cell["batch_size"] != cell["reference_batch_size"]:
            rate = {"constant": "LB", "sqrt": "+LR"}[cell["rule"]]
            column = ("+RA" if cell["longer"] else rate) + ("+GBN" if cell["norm"] == "ghost" else "")
        return {"test_accuracy": table[column] + 2e-4 * noise.standard_normal()}

    return metrics


@pytest.mark.parametrize("experiment", ["resnet44_gap", "mnist_f1_gap"])
def test_tables(experiment: str) -> None:
    table, whole = claims.table_of_a_residual_network, claims.gap_completely_eliminated
    rows = made_up(experiment, accuracy(PAPER))
    assert set(judged(table, experiment, rows).values()) == {"holds"} == set(judged(whole, experiment, rows).values())
    for claim in (table, whole):
        assert every_check_refutes_a_mutant(claim, experiment, rows)
    rest = made_up(experiment, accuracy(PAPER | {"+RA+GBN": 0.918}))
    assert set(judged(whole, experiment, rest).values()) == {"refuted"}
    flat = made_up(experiment, accuracy(PAPER | {"+LR": 0.861 - 0.01, "+LR+GBN": 0.84}))
    assert set(judged(table, experiment, flat).values()) == {"refuted"}


def path(law: Any) -> Any:
    t = np.unique(np.geomspace(1, 4000, 48).round().astype(int))

    def metrics(cell: dict[str, Any], noise: np.random.Generator) -> dict[str, Any]:
        factor = 1 + 0.01 * noise.standard_normal()
        distance = law(t) * factor * (1 + 1e-3 * noise.standard_normal(t.size))
        return {"curve_t": t.tolist(), "curve_distance": distance.tolist()}

    return metrics


@pytest.mark.parametrize("law, slow", [(lambda t: 1 + np.log(t), True), (lambda t: t**0.4, False)],
                         ids=["logarithm", "power"])
def test_laws(law: Any, slow: bool) -> None:
    claim, other = claims.log_distance_of_a_residual_network, claims.decay_decides_the_law_of_a_residual_network
    rows = made_up("resnet44_distance", path(law))
    found = judged(claim, "resnet44_distance", rows)
    assert found == {"logarithm against power law, three batch sizes": "holds" if slow else "refuted",
                     "slopes at scaled rates": "holds"}
    free, more = (f"resnet44_distance_{name}" for name in ("free", "decayed"))
    assert set(judged(other, free, made_up(free, path(law))).values()) == {"refuted" if slow else "holds"}
    assert set(judged(other, more, made_up(more, path(law))).values()) == {"holds" if slow else "refuted"}
    if slow:
        assert every_check_refutes_a_mutant(claim, "resnet44_distance", rows)
    for experiment in (free, more):
        assert every_check_refutes_a_mutant(other, experiment, made_up(experiment, path(law)))


def test_slopes_that_differ_are_told() -> None:
    def metrics(cell: dict[str, Any], noise: np.random.Generator) -> dict[str, Any]:
        return path(lambda t: 1 + np.log(t) * cell["batch_size"] ** -0.3)(cell, noise)

    rows = made_up("resnet44_distance", metrics)
    found = judged(claims.log_distance_of_a_residual_network, "resnet44_distance", rows)
    assert found["slopes at scaled rates"] == "refuted"


@pytest.mark.parametrize("lost, outcome", [(1, {"holds"}), (5, {"undecided"}), (6, {"undecided"})])
def test_runs_that_diverged_are_left_out(lost: int, outcome: set[str]) -> None:
    """Of six runs of the largest batch, whose rate is the highest."""
    rows = made_up("resnet44_distance", path(lambda t: 1 + np.log(t)))
    for row in rows:
        cell = row["config"]
        if cell["batch_size"] == 2048 and cell["seed"] < lost:
            row.update(status="diverged", metrics={})
    assert set(judged(claims.log_distance_of_a_residual_network, "resnet44_distance", rows).values()) == outcome


def test_a_run_that_diverged_has_learnt_nothing() -> None:
    rows = made_up("mnist_f1_gap", accuracy(PAPER))
    lost = next(row for row in rows if row["config"]["longer"] and row["config"]["norm"] == "ghost")
    lost.update(status="diverged", metrics={})
    assert judged(claims.table_of_a_residual_network, "mnist_f1_gap", rows) == {
        "order of the columns, perceptron F1, MNIST": "undecided"}
    assert 0.0 in columns(rows, 50)["+RA+GBN"] and np.isinf(columns(rows, 50, "train_loss")["+RA+GBN"]).any()
