"""Many processes, on one machine or several: sweeps and data-parallel training through torch.distributed."""

from __future__ import annotations

from sgdsim.nets.distributed.data_parallel import train_data_parallel
from sgdsim.nets.distributed.group import Place, process_group

__all__ = ["Place", "process_group", "train_data_parallel"]
