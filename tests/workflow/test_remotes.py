"""A DVC remote is one setting: what one person has pushed, a fresh clone pulls, and no engine wants anything done again."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from project import Checkout, tree
from small import RUNS, finished_checkout

KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def checkout(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return finished_checkout(tmp_path / "checkout", tmp_path_factory)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server on this machine that has one bucket."""
    boto3, server = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="shared")
        client.close()
        yield f"http://{host}:{port}"
    finally:
        running.stop()


def on_folder(checkout: Checkout, folder: Path) -> None:
    checkout.dvc("remote", "add", "--default", "store", str(folder))


def on_s3(checkout: Checkout, server: str) -> None:
    checkout.stub |= KEYS
    checkout.dvc("remote", "add", "--default", "store", "s3://shared/okd")
    checkout.dvc("remote", "modify", "store", "endpointurl", server)  # Amazon's own needs none


def pushed_and_pulled(checkout: Checkout, add_remote: Callable[[Checkout], None]) -> None:
    add_remote(checkout)
    checkout.commit()
    checkout.dvc("push")
    clone = checkout.clone(checkout.root.parent / "clone")
    clone.stub |= checkout.stub
    assert not (clone.root / "data" / "digits").exists()
    assert len(clone.wanted_by_snakemake()) == RUNS, "there is something to pull"
    clone.dvc("pull")
    for folder in ("data", "results"):
        here, there = tree(checkout.root / folder), tree(clone.root / folder)
        assert {name: digest for name, digest in here.items() if not name.endswith("READY")} == there
    assert any(name.endswith("train_images.npy") for name in tree(clone.root / "data"))
    assert clone.wanted_by_snakemake() == []
    assert clone.named_by_dvc() == []
    assert clone.okd("fetch", "digits").lines() == []
    assert clone.trained() == []
    assert clone.git("status", "--short").out == ""


@pytest.mark.slow
def test_folder(checkout: Checkout, tmp_path: Path) -> None:
    pushed_and_pulled(checkout, lambda one: on_folder(one, tmp_path / "remote"))


@pytest.mark.slow
def test_s3(checkout: Checkout, s3: str) -> None:
    pushed_and_pulled(checkout, lambda one: on_s3(one, s3))


@pytest.mark.slow
def test_arrays_outside_the_checkout_never_reach_cache_or_remote(checkout: Checkout, tmp_path: Path) -> None:
    """`data.root`: a list of them does; a clone that pulls it prepares its own."""
    (tmp_path / "big").mkdir()
    arrays = {hashlib.md5(file.read_bytes()).hexdigest() for file in (checkout.root / "data" / "digits").glob("*.npy")}
    assert len(arrays) == 4
    assert arrays <= cached(checkout), "without the setting they are there"
    for old in ("data/digits", ".dvc/cache"):
        checkout.run("rm", "-r", old)
    checkout.edit("params.yaml", "root: null ", "root: ../big ")
    checkout.okd("fetch", "digits")
    checkout.okd("record")
    assert [file.name for file in sorted((checkout.root / "data" / "digits").iterdir())] == ["READY", "arrays.files"]
    assert not arrays & cached(checkout)
    assert checkout.wanted_by_snakemake() == checkout.named_by_dvc() == []
    on_folder(checkout, tmp_path / "remote")
    checkout.commit()
    checkout.dvc("push")
    (tmp_path / "elsewhere").mkdir()
    clone = checkout.clone(tmp_path / "elsewhere" / "clone")
    clone.dvc("pull")
    assert clone.wanted_by_snakemake() == clone.named_by_dvc() == []
    failed = clone.okd("fetch", "digits", code=4)
    assert "data.root:" in failed.text
    (tmp_path / "elsewhere" / "big").mkdir()
    clone.okd("fetch", "digits")
    assert tree(tmp_path / "elsewhere" / "big" / "digits") == tree(tmp_path / "big" / "digits")
    assert clone.git("status", "--short").out == ""


def cached(checkout: Checkout) -> set[str]:
    """The MD5 of everything in DVC's cache."""
    folder = checkout.root / ".dvc" / "cache" / "files" / "md5"
    return {file.parent.name + file.name for file in folder.rglob("*") if file.is_file()}
