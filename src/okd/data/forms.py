"""The forms in which a data set's official files exist, and how a right copy of one is found: on disk, else on a server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from okd.data.arrays import DataError, Split
from okd.data.download import File, Say, download
from okd.plan.settings import DataSettings


@dataclass(frozen=True, kw_only=True)
class Form:
    """One of the forms. Where it is `pickled`, only the official bytes are ever read, whatever data.accept says."""

    files: tuple[File, ...]
    read: Callable[[Sequence[Path]], dict[str, Split]]  # the files, in order
    folders: tuple[str, ...] = ("",)  # where it may lie inside data.folder
    served: bool = False  # mirrors may have it
    sources: tuple[str, ...] = ()  # base addresses of the official hosts
    pickled: bool = False


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Files of a form on this machine. `official`: every checksum is the published one."""

    form: Form
    paths: list[Path]
    official: bool

    def read(self) -> dict[str, Split]:
        return self.form.read(self.paths)


def find(name: str, forms: Sequence[Form], root: Path, settings: DataSettings, say: Say) -> Copy:
    """A copy of the data set's files: in data.folder, else from data.mirror and the official hosts.

    Raises DataError where there is none, or where its bytes are not the official ones and data.accept is `verified`.
    """
    if not forms[0].files:
        return Copy(form=forms[0], paths=[], official=True)
    if settings.folder is not None:
        found = _on_disk(forms, root / Path(settings.folder).expanduser(), settings)
        if found is not None:
            return found
        say(f"data.folder has no files of {name}; downloading them")
    return _downloaded(name, forms, root / "scratch" / "downloads", settings, say)


def _on_disk(forms: Sequence[Form], folder: Path, settings: DataSettings) -> Copy | None:
    """The first right copy; where only wrong ones are there, the first of them that may be read."""
    if not folder.is_dir():
        raise DataError(f"data.folder: {folder} is not a folder")
    wrong: list[tuple[Copy, Path]] = []
    for form in forms:
        for place in form.folders:
            paths = [folder / place / file.name for file in form.files]
            if not all(path.is_file() for path in paths):
                continue
            bad = next((path for file, path in zip(form.files, paths, strict=True) if not file.matches(path)), None)
            if bad is None:
                return Copy(form=form, paths=paths, official=True)
            wrong.append((Copy(form=form, paths=paths, official=False), bad))
    readable = [copy for copy, _ in wrong if not copy.form.pickled]
    if settings.accept == "unverified" and readable:
        return readable[0]
    if wrong:
        raise DataError(f"{wrong[0][1]} is not the official file (size or checksum differs){_way_out(bool(readable), settings)}")
    return None


def _way_out(readable: bool, settings: DataSettings) -> str:
    if settings.accept == "unverified":
        return "; a Python archive is only read where it is"
    return "; data.accept: unverified in params.yaml would take it" if readable else ""


def _downloaded(name: str, forms: Sequence[Form], folder: Path, settings: DataSettings, say: Say) -> Copy:
    mirrors, problems = tuple(settings.mirror or ()), list[str]()
    for form in forms:
        sources = (*mirrors, *form.sources) if form.served else ()
        if not sources:
            continue
        checked = settings.accept == "verified" or form.pickled
        place = folder if checked else folder / "unverified"
        try:
            paths = [download(file, sources, place, checked=checked, say=say) for file in form.files]
        except DataError as error:
            problems.append(str(error))
            continue
        official = checked or all(file.matches(path) for file, path in zip(form.files, paths, strict=True))
        return Copy(form=form, paths=paths, official=official)
    raise DataError(f"{name}: no source has its official files: {'; '.join(problems)}")
