"""From where a process is to what it shares with the others."""

from okd.plan.run import Run
from okd.training.collective import join
from okd.training.place import Place
from okd.training.processes import Alone
from okd.training.sharding import Sharded
from okd.training.stop import Stop


def company(place: Place, run: Run, stop: Stop) -> Alone:
    """Meet the other processes. Raises Stopped where they do not come, ValueError where the run cannot be shared out so."""
    join(stop)
    return Sharded(place)
