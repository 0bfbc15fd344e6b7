"""CUDA graphs: a step is captured once and replayed, so that a small batch does not wait for the launches."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Replayed", "capture"]

WARM_UP = 3  # steps before the capture: libraries allocate their workspaces and choose algorithms in them


class Replayed:
    """Calls a step eagerly, or, on a GPU, captures it after a few calls and replays it.

    The first steps of the run are the warm-up that a capture needs, on the stream of the capture. They train as any
    step does, and a capture executes nothing, so no state has to be put back. Where a capture fails, all goes on
    eagerly, and `engine` says so.

    Parameters
    ----------
    step : callable
        Given tensors on the device, of the same shapes at each call; leaves its results in tensors that exist before.
    device : torch.device

    Attributes
    ----------
    engine : str
        How the last call was done: `eager`, `cuda graph`, or `eager, as the capture failed: ...`.
    """

    def __init__(self, step: Callable[..., None], device: torch.device) -> None:
        self.step, self.engine, self.calls = step, "eager", 0
        self.stream = _side_stream(device)
        self.inputs: tuple[Tensor, ...] = ()
        self.replay: Callable[[], None] | None = None

    def __call__(self, *inputs: Tensor) -> None:
        """One step with these inputs."""
        self.calls += 1
        if self.stream is None:
            self.step(*inputs)
            return
        if not self.inputs:
            self.inputs = tuple(tensor.clone() for tensor in inputs)  # a graph reads from the addresses of its capture
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        if self.replay is None and self.calls > WARM_UP:
            self._try_to_capture()
        if self.replay is not None:
            self.replay()
        elif self.stream is None:  # the capture failed
            self.step(*inputs)
        else:
            _aside(self._work, self.stream)

    def _work(self) -> None:
        self.step(*self.inputs)

    def _try_to_capture(self) -> None:
        assert self.stream is not None  # the caller has looked
        try:
            self.replay = capture(self._work, self.stream)
            self.engine = "cuda graph"
        except RuntimeError as error:
            self.engine = f"eager, as the capture failed: {str(error).splitlines()[0]}"
            self.stream = None


def capture(work: Callable[[], None], stream: torch.cuda.Stream) -> Callable[[], None]:
    """Record what `work` launches, without executing it; the function that is returned executes it.

    Raises
    ------
    RuntimeError
        `work` does what cannot be captured, such as waiting for the device.
    """
    graph, collects = torch.cuda.CUDAGraph(), gc.isenabled()
    gc.collect()
    gc.disable()  # an earlier graph that is collected during a capture spoils it
    try:
        # the outer block sets the stream back also when the end of a failed capture raises: the inner one would not
        with torch.cuda.stream(stream), torch.cuda.graph(graph, stream=stream):
            work()
    finally:
        if collects:
            gc.enable()
    return graph.replay


def _aside(work: Callable[[], None], stream: torch.cuda.Stream) -> None:
    """Do something on another stream: after what the current one has been given, and before what it will be."""
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        work()
    current.wait_stream(stream)


def _side_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None
