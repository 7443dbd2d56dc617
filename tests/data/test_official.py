"""The real bytes: they are what the code says they are, and what others measured."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from okd.data.arrays import Manifest, channel_statistics, manifest_file
from okd.data.datasets import ORIGINS, fetch, read_arrays
from okd.data.names import NAMES
from okd.plan.catalog import catalog
from okd.plan.settings import DataSettings


def unpack(reference: Path, out: Path, name: str) -> DataSettings:
    subprocess.run([sys.executable, str(reference / "data" / "unpack.py"), str(out), name], check=True, stdout=subprocess.DEVNULL)
    return DataSettings(accept="verified", folder=str(out), mirror=None, root=None)


def check(name: str, root: Path) -> Manifest:
    """Counts are the catalog's, the channels are the published ones to the last digit that is published."""
    manifest, splits = read_arrays(name, root)
    entry, origin = catalog().datasets[name], ORIGINS[name]
    assert (manifest.splits["train"].count, manifest.splits["test"].count) == (entry.train, entry.test)
    assert manifest.shape == [3, entry.size, entry.size]
    assert origin.published
    inner = slice(origin.border, entry.size - origin.border)
    mean, std = channel_statistics(splits["train"].images[:, :, inner, inner])
    assert np.round(mean, 4).tolist() == origin.published.mean
    assert np.round(std, 4).tolist() == origin.published.std
    return manifest


def test_cifar100(reference: Path, tmp_path: Path) -> None:
    fetch("cifar100", tmp_path, unpack(reference, tmp_path / "raw", "cifar100"))
    manifest = check("cifar100", tmp_path)
    assert manifest.verified
    assert set(manifest.splits["train"].per_class) == {500}
    assert set(manifest.splits["test"].per_class) == {100}
    check_names(tmp_path / "raw")


SUPERCLASSES = """
aquatic_mammals beaver dolphin otter seal whale
fish aquarium_fish flatfish ray shark trout
flowers orchid poppy rose sunflower tulip
food_containers bottle bowl can cup plate
fruit_and_vegetables apple mushroom orange pear sweet_pepper
household_electrical_devices clock keyboard lamp telephone television
household_furniture bed chair couch table wardrobe
insects bee beetle butterfly caterpillar cockroach
large_carnivores bear leopard lion tiger wolf
large_man-made_outdoor_things bridge castle house road skyscraper
large_natural_outdoor_scenes cloud forest mountain plain sea
large_omnivores_and_herbivores camel cattle chimpanzee elephant kangaroo
medium_mammals fox porcupine possum raccoon skunk
non-insect_invertebrates crab lobster snail spider worm
people baby boy girl man woman
reptiles crocodile dinosaur lizard snake turtle
small_mammals hamster mouse rabbit shrew squirrel
trees maple_tree oak_tree palm_tree pine_tree willow_tree
vehicles_1 bicycle bus motorcycle pickup_truck train
vehicles_2 lawn_mower rocket streetcar tank tractor
"""


def check_names(folder: Path) -> None:
    """The coarse label, which stands beside each fine one in the official file and is used nowhere else, groups the names as published."""
    records = np.fromfile(folder / "cifar-100-binary" / "test.bin", np.uint8).reshape(-1, 3074)
    groups = [line.split()[1:] for line in SUPERCLASSES.split("\n") if line]
    assert len(groups) == 20
    for coarse, group in enumerate(groups):
        fine = np.unique(records[records[:, 0] == coarse, 1])
        assert [NAMES["cifar100"][label] for label in fine] == group


def test_mnist(reference: Path, tmp_path: Path) -> None:
    fetch("mnist", tmp_path, unpack(reference, tmp_path / "raw", "mnist"))
    manifest, splits = check("mnist", tmp_path), read_arrays("mnist", tmp_path)[1]
    assert manifest.verified
    assert manifest.splits["train"].per_class == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert not splits["test"].images[:, :, :2].any()
    assert (splits["test"].images[:, 0] == splits["test"].images[:, 2]).all()


@pytest.mark.slow
def test_cifar10_of_which_twenty_images_are_not_official(reference: Path, tmp_path: Path) -> None:
    settings = unpack(reference, tmp_path / "raw", "cifar10")
    with pytest.raises(Exception, match=r"test_batch\.bin is not the official file"):
        fetch("cifar10", tmp_path, settings)
    assert not manifest_file(tmp_path, "cifar10").exists()
    said = fetch("cifar10", tmp_path, settings.model_copy(update={"accept": "unverified"}))
    assert "not verified" in said
    assert not check("cifar10", tmp_path).verified
