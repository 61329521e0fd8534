"""The jobs that RQ runs. Queued jobs name these functions by their place in this package."""

from worker.jobs.draining import drain
from worker.jobs.prune import prune_some
from worker.jobs.sweeping import sweep

__all__ = ["drain", "prune_some", "sweep"]
