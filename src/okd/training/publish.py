"""Publishing a result: five files in one folder, moved to their place by one rename. No torch here."""

import hashlib
import shutil
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from okd.plan.store import Index, Places, sync_folder, write_json
from okd.training.disk import write_durably, writing
from okd.training.stop import Stopped


def publish_files(
    places: Places,
    contents: Mapping[str, bytes],
    record: Callable[[dict[str, str]], dict[str, Any]],
    *,
    may_write: Callable[[], None],
) -> None:
    """Write four files and then result.json, which `record` makes from their SHA-256; rename the run's whole folder into place.

    A kill at any moment leaves the old result, none, or the new one. `may_write` raises Stopped where the lock is lost. Raises Stopped
    where the plan has changed while the run trained, DiskError.
    """
    may_write()
    try:
        with writing(places.folder, sum(map(len, contents.values()))):
            _publish(places, contents, record, may_write)
    except OSError:
        may_write()  # whoever took over clears away what this one had begun
        raise


def _publish(
    places: Places, contents: Mapping[str, bytes], record: Callable[[dict[str, str]], dict[str, Any]], may_write: Callable[[], None]
) -> None:
    run, results = places.run, places.root / "results"
    begun = results / "new" / f"{run.id}.{run.key}"
    shutil.rmtree(begun, ignore_errors=True)
    new = begun / uuid.uuid4().hex  # no two trainers ever write into one folder
    inner = new / run.key
    inner.mkdir(parents=True)
    for name, raw in contents.items():
        write_durably(inner / name, raw)
    write_json(inner / "result.json", record({name: hashlib.sha256(raw).hexdigest() for name, raw in contents.items()}))
    write_durably(new / "key", f"{run.key}\n".encode())
    sync_folder(inner)
    sync_folder(new)
    may_write()
    planned = Index(places.root).key(run.id)
    if planned != run.key:
        shutil.rmtree(begun, ignore_errors=True)
        raise Stopped(f"{run.id}: the plan changed while this trained ({run.key} is now {planned}); nothing was published")
    places.results.mkdir(parents=True, exist_ok=True)
    old = results / "old" / f"{run.id}.{uuid.uuid4().hex}"
    if places.folder.exists():
        old.parent.mkdir(parents=True, exist_ok=True)
        places.folder.rename(old)
    new.rename(places.folder)
    sync_folder(places.results)
    shutil.rmtree(begun, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
