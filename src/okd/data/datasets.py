"""The data sets: where each comes from, what its bytes must be, and how `okd fetch` makes them ready."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from okd.data import arrays, imagenet, images
from okd.data.arrays import DataError, Manifest, Split, channel_statistics, manifest_file
from okd.data.cifar import CIFAR10, CIFAR100
from okd.data.digits import DIGITS
from okd.data.download import Say, one_at_a_time
from okd.data.forms import Form, find
from okd.data.mnist import BORDER, MNIST
from okd.data.svhn import SVHN, SVHN_EXTRA
from okd.plan.catalog import Normalisation, catalog, unknown
from okd.plan.settings import DataSettings, open_project, write_atomically

OFFICIAL = DataSettings(accept="verified", folder=None, mirror=None, root=None)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a data set comes from, and what is known about it."""

    source: str
    licence: str
    forms: tuple[Form, ...]
    content: Mapping[str, str]  # the official content hash of each split, as far as we have seen the official bytes
    published: Normalisation | None = None  # mean and deviation of the training set's channels, as others give them
    border: int = 0  # pixels that we added on every side
    shown: bool = True  # a report may show some of its images


OWN = Origin(source="a folder of images that the user supplies", licence="the user knows", forms=(), content={})
ORIGINS: Mapping[str, Origin] = {
    "digits": Origin(
        source="scikit-learn load_digits: test set of the UCI ML hand-written digits, E. Alpaydin and C. Kaynak, 1998",
        licence="CC BY 4.0",
        forms=DIGITS,
        content={
            "train": "10d284a7b01c05c691bc380febb8dad82dd411ded3dc801f909fa60c53805b57",
            "test": "28805a632f4bf5aca078bbfeaeda12d7fa59dd2b0f31379e5676bee5d6feebfe",
        },
    ),
    "mnist": Origin(
        source="http://yann.lecun.com/exdb/mnist: Y. LeCun, C. Cortes, C. J. C. Burges; 28x28 with a border of 2 zeros, 3 equal channels",
        licence="CC BY-SA 3.0",
        forms=MNIST,
        content={
            "train": "df91ea74e327e4e3718d41fad8f45b3b5be942df65137889391714bf5dd8ae21",
            "test": "18f1ffa0041b004b16af446aa1a424ab888c8a5ceefecee2c642008a36f2fb0b",
        },
        published=Normalisation(mean=[0.1307] * 3, std=[0.3081] * 3),
        border=BORDER,
    ),
    "cifar10": Origin(
        source="https://www.cs.toronto.edu/~kriz/cifar.html: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        licence="none stated; cite the technical report",
        forms=CIFAR10,
        content={"train": "8d0334533b9da7cb69c452c72bc29978d439ff3651180b7c6e82663d850c85ac"},
        published=Normalisation(mean=[0.4914, 0.4822, 0.4465], std=[0.2470, 0.2435, 0.2616]),
    ),
    "cifar100": Origin(
        source="https://www.cs.toronto.edu/~kriz/cifar.html: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        licence="none stated; cite the technical report",
        forms=CIFAR100,
        content={
            "train": "775d2652d138b929b340f01cd36db4c855863f33d1f095ac249c802656273e49",
            "test": "d52a2cd09b57fb672b5193dccb335a958fb7041821bf6a200216772f6f94aea5",
        },
        published=Normalisation(mean=[0.5071, 0.4865, 0.4409], std=[0.2673, 0.2564, 0.2762]),
    ),
    "svhn": Origin(
        source="http://ufldl.stanford.edu/housenumbers: Y. Netzer et al., Reading Digits in Natural Images, 2011; cropped digits",
        licence="non-commercial use only",
        forms=SVHN,
        content={},
        published=Normalisation(mean=[0.4377, 0.4438, 0.4728], std=[0.1980, 0.2010, 0.1970]),
    ),
    "svhn-extra": Origin(
        source="http://ufldl.stanford.edu/housenumbers: Y. Netzer et al., 2011; cropped digits, train and extra together for training",
        licence="non-commercial use only",
        forms=SVHN_EXTRA,
        content={},
    ),
    "imagenet": Origin(
        source="https://www.image-net.org: O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2012; user's copy",
        licence="non-commercial research and education only; must be asked for",
        forms=(),
        content={},
        shown=False,
    ),
}


def fetch(name: str, root: Path, settings: DataSettings = OFFICIAL, say: Say = lambda line: None) -> str:
    """Make data/<name>/ hold checked arrays and data/<name>.manifest.json describe them; say in one line what was done.

    Idempotent. Raises DataError where the bytes are not the official ones, or not those of a manifest that is there already.
    """
    known = catalog().datasets
    if name not in known:
        raise DataError(unknown("data set", name, known))
    folder, file = root / "data" / name, manifest_file(root, name)
    ready, prepare, check = _STEPS[known[name].layout]
    arrays_lie = arrays.folder_of(name, root, settings.root if known[name].layout == "arrays" else None)
    lock = root / "scratch" / f"fetch-{name}.lock" if arrays_lie == folder else arrays_lie.with_name(f".{name}.lock")  # all who share it
    folder.parent.mkdir(exist_ok=True)
    with one_at_a_time(lock, lambda: say(f"another process is fetching {name}; waiting")):
        done = "checked"
        if not (file.exists() and ready(arrays_lie)):
            prepare(name, root, settings, say)
            done = "prepared"
        manifest = check(name, root, settings)
        require_accepted(manifest, settings)
        if arrays_lie != folder:
            arrays.write_list(folder, arrays_lie)
        write_atomically(folder / "READY", lambda stream: stream.write(hashlib.sha256(file.read_bytes()).hexdigest() + "\n"))
    return f"data/{name}: {done}{'' if manifest.verified else ', but not verified to be the official data'}"


def _prepare(name: str, root: Path, settings: DataSettings, say: Say) -> None:
    """Write the arrays, and the manifest where there is none."""
    file, folder = manifest_file(root, name), arrays.folder_of(name, root, settings.root)
    known = Manifest.read(file) if file.exists() else None
    if settings.root is not None:
        arrays.require_ours(folder)
    copy = find(name, ORIGINS[name].forms, root, settings, say)
    splits = copy.read()
    fresh = describe(name, splits, official=copy.official, known=known)
    require_accepted(fresh, settings)
    _require_equal(fresh, known)
    arrays.write(folder, splits)
    if known is None:
        write_atomically(file, lambda stream: stream.write(fresh.to_json()))


def _prepare_images(name: str, root: Path, settings: DataSettings, say: Say) -> None:
    """Write the lists of files, and the manifest where there is none."""
    file, entry, origin = manifest_file(root, name), catalog().datasets[name], ORIGINS.get(name, OWN)
    known = Manifest.read(file) if file.exists() else None
    folder = images.supplied_folder(name, root, settings)
    packed = imagenet.packed(folder)
    listings, official = imagenet.listings(folder, settings, say) if packed else (images.listings_of(folder, say), True)
    fresh = Manifest(
        name=name,
        revision=entry.revision or 0,
        classes=entry.classes,
        shape=[3, entry.size, entry.size],
        mean=[],
        std=[],
        source=origin.source,
        licence=origin.licence,
        splits=images.described(entry, folder, listings),
        verified=official,
        names=listings["train"].classes,
    )
    require_accepted(fresh, settings)
    _require_equal(fresh, known)
    images.write(root / "data" / name, listings.items())
    if known is None:
        write_atomically(file, lambda stream: stream.write(fresh.to_json()))


def _require_equal(fresh: Manifest, known: Manifest | None) -> None:
    if known is not None and fresh != known:
        raise DataError(f"data/{fresh.name}: what was prepared is not what data/{fresh.name}.manifest.json describes; nothing was written")


def _check_arrays(name: str, root: Path, settings: DataSettings) -> Manifest:
    return read_arrays(name, root, settings)[0]


def _check_images(name: str, root: Path, settings: DataSettings) -> Manifest:
    manifest, listings = images.load(name, root)
    images.check_sizes(listings.values(), images.supplied_folder(name, root, settings))
    return manifest


_STEPS = {"arrays": (arrays.complete, _prepare, _check_arrays), "images": (images.complete, _prepare_images, _check_images)}


def describe(name: str, splits: Mapping[str, Split], *, official: bool, known: Manifest | None = None) -> Manifest:
    """The manifest of prepared arrays.

    A split whose content hash we know is verified by that, whatever file it came in; another one by its file's checksum (`official`).
    """
    entry, origin = catalog().datasets[name], ORIGINS[name]
    facts = {split: arrays.facts(part, entry.classes) for split, part in splits.items()}
    trusted = _trusted(name, known)
    mean, std = channel_statistics(splits["train"].images)
    return Manifest(
        name=name,
        revision=entry.revision or 0,
        classes=entry.classes,
        shape=list(splits["train"].images.shape[1:]),
        mean=mean,
        std=std,
        source=origin.source,
        licence=origin.licence,
        splits=facts,
        verified=all(part.sha256 == trusted[split] if split in trusted else official for split, part in facts.items()),
    )


def _trusted(name: str, known: Manifest | None) -> dict[str, str]:
    """The content hashes that we know: those in the code, and those of a verified manifest (trust on first use)."""
    first_use = {split: part.sha256 for split, part in known.splits.items()} if known and known.verified else {}
    return first_use | dict(ORIGINS[name].content)


def read_arrays(name: str, root: Path, settings: DataSettings | None = None) -> tuple[Manifest, dict[str, Split]]:
    """The checked arrays, memory-mapped; without `settings`, where params.yaml says.

    Raises DataError where a byte differs from the manifest, or the manifest from what we know.
    """
    if settings is None:
        settings = open_project(root).settings.data if (root / "params.yaml").is_file() else OFFICIAL
    manifest, splits = arrays.load(name, root, arrays.folder_of(name, root, settings.root))
    for split, expected in ORIGINS[name].content.items() if manifest.verified else ():
        if manifest.splits[split].sha256 != expected:
            raise DataError(f"data/{name}.manifest.json says verified, but its {split} images or labels are not the official ones")
    return manifest, splits


def require_accepted(manifest: Manifest, settings: DataSettings) -> None:
    """Raises DataError for data that are not known to be the official ones, unless data.accept allows them."""
    if not manifest.verified and settings.accept == "verified":
        raise DataError(
            f"data/{manifest.name} is not known to be the official data: delete it and its manifest and run `okd fetch {manifest.name}` "
            "again, or set data.accept: unverified in params.yaml"
        )
