"""Snakemake's own report carries ours, whole."""

import zipfile
from pathlib import Path

import pytest
from small import finished_checkout

pytestmark = pytest.mark.slow


def test_the_zip_holds_the_page_as_it_is(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout = finished_checkout(tmp_path / "checkout", tmp_path_factory)
    checkout.run("snakemake", "--cores", "1", "--report", "report.zip")
    page = (checkout.root / "reports" / "report.html").read_bytes()
    assert page.rstrip().endswith(b"</html>")
    with zipfile.ZipFile(checkout.root / "report.zip") as archive:
        (name,) = [name for name in archive.namelist() if "/data/raw/" in name and name.endswith("report.html")]
        assert archive.read(name) == page
