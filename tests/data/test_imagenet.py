"""ImageNet's three archives: read where they lie; the same as the folder that torchvision makes of them."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ownimages import edit, paint
from pickles import tar
from scipy.io import savemat
from torchvision.datasets import ImageFolder
from torchvision.datasets import imagenet as theirs

from conftest import TINY, make_project
from okd.data import imagenet as module
from okd.data import images
from okd.data.arrays import DataError, manifest_file
from okd.data.datasets import fetch
from okd.data.download import File
from okd.data.imagenet import DEVKIT, TRAIN, VAL
from okd.data.stream import Centred, Pictures
from okd.plan.catalog import catalog
from okd.plan.settings import DataSettings

WNIDS = ("n01440764", "n02105855", "n15075141")
NUMBERS = {2: WNIDS[0], 1: WNIDS[1], 3: WNIDS[2]}  # ImageNet's own numbers do not follow the alphabet
TRUTH = [3, 1, 2, 2, 1, 3]
SETTINGS = DataSettings(accept="verified", folder="../there", mirror=None, root=None)


def jpeg(folder: Path, seed: int) -> bytes:
    paint(folder / "one.jpg", seed)
    return (folder / "one.jpg").read_bytes()


def plain_tar(members: list[tuple[str, bytes]]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def meta() -> bytes:
    """Three classes and one of their ancestors."""
    entries = [*((number, wnid, 0) for number, wnid in sorted(NUMBERS.items())), (4, "n00001740", 3)]
    fields = [("ILSVRC2012_ID", float), ("WNID", object), ("words", object), ("gloss", object), ("num_children", float)]
    synsets = np.array([(number, wnid, "a word", "what it means", children) for number, wnid, children in entries], fields)
    raw = io.BytesIO()
    savemat(raw, {"synsets": synsets[:, None]})
    return raw.getvalue()


def pack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archives, small, with their checksums in the place of the official ones; in the order of nobody's alphabet."""
    folder.mkdir(parents=True)
    by_class = {wnid: [(f"{wnid}_{7 * n}.JPEG", jpeg(folder, 10 * k + n)) for n in (3, 1, 2)] for k, wnid in enumerate(WNIDS)}
    train = plain_tar([(f"{wnid}.tar", plain_tar(by_class[wnid])) for wnid in reversed(WNIDS)])
    val = plain_tar([(f"ILSVRC2012_val_{n:08}.JPEG", jpeg(folder, 50 + n)) for n in (2, 1, 3, 6, 5, 4)])
    lines = "".join(f"{number}\n" for number in TRUTH).encode()
    devkit = tar([(module.META, meta()), (module.TRUTH, lines), ("ILSVRC2012_devkit_t12/readme.txt", b"hello")])
    (folder / "one.jpg").unlink()
    for file, raw in ((TRAIN, train), (VAL, val), (DEVKIT, devkit)):
        (folder / file.name).write_bytes(raw)
    declare(folder, monkeypatch)
    entry = catalog().datasets["imagenet"].model_copy(update={"classes": 3, "train": 9, "test": 6, "size": 16})
    monkeypatch.setitem(catalog().datasets, "imagenet", entry)
    return folder


def declare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is official from now on, for us and for torchvision."""
    for name, file, split in (("TRAIN", TRAIN, "train"), ("VAL", VAL, "val"), ("DEVKIT", DEVKIT, "devkit")):
        md5 = hashlib.md5((folder / file.name).read_bytes()).hexdigest()
        monkeypatch.setattr(module, name, File(name=file.name, digest=f"md5:{md5}", size=None))
        monkeypatch.setitem(theirs.ARCHIVE_META, split, (file.name, md5))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pack(tmp_path / "there" / "imagenet", monkeypatch)
    (tmp_path / "here").mkdir()
    return make_project(tmp_path / "here", monkeypatch, paper=TINY)


def unpack_by_torchvision(folder: Path) -> None:
    theirs.parse_devkit_archive(folder)
    theirs.parse_train_archive(folder)
    theirs.parse_val_archive(folder)


def test_checksums_are_torchvision_s() -> None:
    assert {name: f"md5:{md5}" for name, md5 in theirs.ARCHIVE_META.values()} == {file.name: file.digest for file in (TRAIN, VAL, DEVKIT)}


def test_archives_and_the_folder_that_torchvision_makes_of_them_are_one_data_set(root: Path) -> None:
    """The same manifest and lists from both, labels as torchvision's ImageFolder has them, and nothing copied."""
    there = root.parent / "there" / "imagenet"
    before = {file.name for file in there.iterdir()}
    assert fetch("imagenet", root, SETTINGS) == "data/imagenet: prepared"
    assert fetch("imagenet", root, SETTINGS) == "data/imagenet: checked"
    assert {file.name for file in there.iterdir()} == before
    manifest, lists = manifest_file(root, "imagenet").read_text(), (root / "data" / "imagenet" / "train.files").read_text()
    assert json.loads(manifest)["names"] == list(WNIDS)
    from_archives = {split: [pictures[index] for index in range(len(pictures))] for split, pictures in opened(root).items()}
    unpack_by_torchvision(there)
    shutil.rmtree(root / "data" / "imagenet")
    fetch("imagenet", root, SETTINGS)
    assert manifest_file(root, "imagenet").read_text() == manifest
    assert (root / "data" / "imagenet" / "train.files").read_text() == lists
    assert not (root / "data" / "imagenet" / "train.offsets").exists()
    for split, folder in (("train", "train"), ("test", "val")):
        pictures, samples = opened(root)[split], ImageFolder(str(there / folder)).samples
        assert [(str(there / path), int(label)) for path, label in zip(pictures.listing.paths, pictures.labels, strict=True)] == samples
        assert len(pictures) == {"train": 9, "test": 6}[split]
        assert all(_equal(pictures[index], from_archives[split][index]) for index in range(len(pictures)))


def _equal(one: object, other: object) -> bool:
    return isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and torch.equal(one, other)


def opened(root: Path) -> dict[str, Pictures]:
    _, listings = images.load("imagenet", root)
    folder = images.supplied_folder("imagenet", root, SETTINGS)
    images.check_sizes(listings.values(), folder)
    return {split: Pictures(listing, folder, Centred(16)) for split, listing in listings.items()}


def member(raw: bytes, name: str) -> int:
    """Where a member's header begins."""
    return raw.index(name.encode())


def as_type(kind: bytes) -> Callable[[bytes], bytes]:
    """The first image's header says that it is something else; the checksum of the header is right."""

    def change(raw: bytes) -> bytes:
        start = member(raw, "n15075141_")
        header = bytearray(raw[start : start + 512])
        header[156:157] = kind
        return raw[:start] + signed(header) + raw[start + 512 :]

    return change


def signed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def renamed(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        start = member(raw, old)
        header = bytearray(raw[start : start + 512])
        header[: len(old)] = new.encode()
        return raw[:start] + signed(header) + raw[start + 512 :]

    return change


def sized(size: int) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        start = member(raw, "n15075141_")
        header = bytearray(raw[start : start + 512])
        header[124:136] = b"%011o\0" % size
        return raw[:start] + signed(header) + raw[start + 512 :]

    return change


HARM: dict[str, tuple[File, Callable[[bytes], bytes], str]] = {
    "symbolic link": (TRAIN, as_type(tarfile.SYMTYPE), "does not belong"),
    "hard link": (TRAIN, as_type(tarfile.LNKTYPE), "does not belong"),
    "device": (TRAIN, as_type(tarfile.CHRTYPE), "does not belong"),
    "long name": (TRAIN, as_type(tarfile.GNUTYPE_LONGNAME), "does not belong"),
    "extended header": (TRAIN, as_type(tarfile.XHDTYPE), "does not belong"),
    "path that leads out": (TRAIN, renamed("n15075141_21.JPEG", "../../../evil.JPG"), "does not belong"),
    "another file": (TRAIN, renamed("n15075141_21.JPEG", "n15075141_21.HTML"), "does not belong"),
    "longer than the archive": (TRAIN, sized(1 << 30), "does not belong"),
    "another order": (TRAIN, lambda raw: raw.replace(b"n15075141.tar", b"n15075141.tgz"), "damaged|does not belong"),
    "header damaged": (TRAIN, lambda raw: raw[:100] + b"\xff" + raw[101:], "damaged"),
    "cut": (TRAIN, lambda raw: raw[: len(raw) // 2], "does not belong|ends early"),
    "a validation image too many": (VAL, renamed("ILSVRC2012_val_00000004", "ILSVRC2012_val_00000007"), "ground truth has 6 lines"),
    "no ground truth": (DEVKIT, lambda raw: tar([(module.META, meta())]), "has no ILSVRC2012_devkit_t12/data/ILSVRC2012_validation"),
    "ground truth of words": (DEVKIT, lambda raw: tar([(module.META, meta()), (module.TRUTH, b"cat\n")]), "is no list of class numbers"),
    "no synsets": (DEVKIT, lambda raw: tar([(module.META, b"MATLAB 5.0"), (module.TRUTH, b"1\n")]), "cannot be read"),
}


@pytest.mark.parametrize("harm", HARM)
def test_harmful_archives(harm: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where their checksums are waived, they are refused by what is in them, and nothing is written."""
    file, change, words = HARM[harm]
    if file is not DEVKIT:  # spares a process of its own
        monkeypatch.setattr(module, "_truth", lambda devkit: [NUMBERS[number] for number in TRUTH])
    edit(root.parent / "there" / "imagenet" / file.name, change)
    with pytest.raises(DataError, match=words) as caught:
        fetch("imagenet", root, SETTINGS.model_copy(update={"accept": "unverified"}))
    assert "\n" not in str(caught.value)
    assert file.name in str(caught.value)
    assert not manifest_file(root, "imagenet").exists()
    assert not (root / "data" / "imagenet").exists()


def test_other_bytes_are_refused_or_marked(root: Path) -> None:
    there = root.parent / "there" / "imagenet"
    edit(there / VAL.name, lambda raw: raw[:-1] + b"\1")  # behind the last member: only the checksum can tell
    with pytest.raises(DataError, match=r"ILSVRC2012_img_val\.tar is not the official file"):
        fetch("imagenet", root, SETTINGS)
    assert not (root / "data" / "imagenet").exists()
    said = fetch("imagenet", root, SETTINGS.model_copy(update={"accept": "unverified"}))
    assert said == "data/imagenet: prepared, but not verified to be the official data"
    assert json.loads(manifest_file(root, "imagenet").read_text())["verified"] is False


def test_what_has_changed_is_noticed(root: Path) -> None:
    there = root.parent / "there" / "imagenet"
    fetch("imagenet", root, SETTINGS)
    pictures = opened(root)["train"]
    archive = pictures.listing.archive
    assert archive is not None
    edit(there / TRAIN.name, lambda raw: raw[: archive.offsets[4]] + b"\0" + raw[archive.offsets[4] + 1 :])
    assert isinstance(pictures[3], torch.Tensor)
    assert isinstance(pictures[4], DataError)
    assert "has changed since" in str(pictures[4])
    edit(there / TRAIN.name, lambda raw: raw[:-512])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar has .* bytes; it had"):
        opened(root)
    (root / "data" / "imagenet" / "train.offsets").write_text("1  x\n2\n")
    with pytest.raises(DataError, match="missing or differs"):
        opened(root)
    (there / VAL.name).unlink()
    shutil.rmtree(root / "data" / "imagenet")
    with pytest.raises(DataError, match=r"no ILSVRC2012_img_val\.tar"):
        fetch("imagenet", root, SETTINGS)


def test_real_images(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty of the official files in a tar of tars: found by their bytes."""
    import subprocess
    import sys

    command = [sys.executable, str(reference / "data" / "unpack.py"), str(tmp_path / "raw"), "imagenet-sample60"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    files = sorted((tmp_path / "raw").rglob("*.JPEG"))
    assert len(files) == 60
    inner = [(f"{file.parent.name}.tar", plain_tar([(f"{file.parent.name}_{n}.JPEG", file.read_bytes())])) for n, file in enumerate(files)]
    (tmp_path / TRAIN.name).write_bytes(plain_tar(inner))
    with (tmp_path / TRAIN.name).open("rb") as stream:
        rows = list(module._training(module._Tape(stream, tmp_path / TRAIN.name)))
    raw = (tmp_path / TRAIN.name).read_bytes()
    for file, (path, size, digest, start) in zip(files, rows, strict=True):
        assert path.startswith(f"train/{file.parent.name}/")
        assert raw[start : start + size] == file.read_bytes()
        assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
