"""From where a process is to what it shares with the others."""

from okd.plan.run import Run
from okd.training.distributed.apart import Apart
from okd.training.distributed.collective import join
from okd.training.distributed.folder import Folder
from okd.training.distributed.place import Place, Split, shares
from okd.training.distributed.sharding import Sharded
from okd.training.distributed.wire import Wire
from okd.training.processes import Alone
from okd.training.stop import Stop


def company(place: Place, run: Run, stop: Stop) -> Alone:
    """Meet the other processes. Raises Stopped where they do not come, ValueError where the run cannot be shared out so."""
    if place.split is Split.BATCH:
        join(stop)
        return Sharded(place)
    held = shares(run, place.count)
    if place.exchange is not None:
        return Apart(place, run, stop, Folder(place, run, held, stop))
    join(stop)
    return Apart(place, run, stop, Wire(place, run, held, stop))
