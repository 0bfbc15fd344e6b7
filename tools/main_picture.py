"""Draw book/_assets/main_picture.svg, the picture of the README: exact curves and simulated means."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from sgdsim import SGD, Quadratic, simulate
from sgdsim.moments import sgd_moments, stationary_risk
from sgdsim.show import book_style

TARGET = Path(__file__).resolve().parents[1] / "book/_assets/main_picture.svg"
RATES = [0.02, 0.1, 0.5]


def main():
    """Simulate, draw, save."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    book_style()
    curvatures, noise, start = np.array([2.0, 1.0, 0.5, 0.25]), np.full(4, 0.5), np.full(4, 2.0)
    run = simulate(Quadratic(curvatures, noise_covariance=noise), SGD(learning_rate=RATES), w0=start, steps=2000,
                   replicas=2000, seed=3, record=60)
    figure, ax = plt.subplots(figsize=(8, 3.8))
    for i, rate in enumerate(RATES):
        moments = sgd_moments(curvatures, noise, rate, run.steps, mean0=start)
        risk = np.einsum("kii,i->k", moments.second_moment, curvatures) / 2
        (line,) = ax.plot(run.steps, risk, label=f"learning rate {rate:g}: exact")
        ax.plot(run.steps, run.mean[i], "o", color=line.get_color(), markersize=3.5, label="2000 simulated paths")
        ax.axhline(stationary_risk(curvatures, noise, rate), color=line.get_color(), linestyle=":", linewidth=1)
    ax.set(xscale="symlog", yscale="log", xlabel="step", ylabel="excess risk", xlim=(0, run.steps[-1]))
    ax.legend(ncols=1)
    figure.savefig(TARGET, facecolor="white", metadata={"Date": None})


if __name__ == "__main__":
    main()
