"""Published values: each stands in its paper file exactly as printed, once, and in the right place."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from okd.plan.paper import PaperFile, read_papers
from okd.plan.published import Published

ROOT = Path(__file__).parents[2]
CHECKSUMS = Path(__file__).with_name("published.sha256.json")
PRINTED_ROLES = ("result", "text_claim")
BLANK = {"one": "N/A", "kdcl": "-", "md": "NaN"}  # how a paper prints a cell without a value

Reference = dict[str, str]  # one cell of the reference: network, method, variant, peer, dataset, metric, value, std, note, ...
Place = tuple[str, str]  # row and column of a table in a paper file


def in_okddip(table: str, cell: Reference) -> Place:
    """Networks are rows; OKDDip has a column for each setting where a table compares them."""
    settings = {"network-based": "OKDDip / net", "branch-based": "OKDDip / br"}
    return cell["network"], settings.get(cell.get("variant", ""), cell["method"])


def in_one(table: str, cell: Reference) -> Place:
    """The first two tables have a row per network and method, the comparisons a row per method and columns per network."""
    networks = {
        "ResNeXt-29-8x64d": "ResNeXt-29 (8x64d)",
        "DenseNet-BC-L190-k40": "DenseNet-BC (L=190, k=40)",
        "SE-ResNet-18": "SeNet-ResNet-18",
    }
    datasets = {"CIFAR-10": "CIFAR10", "CIFAR-100": "CIFAR100", "SVHN": "SVHN", "n/a": "Params"}
    metrics = {"error_top1": "Error (%)", "train_cost": "TrCost", "test_cost": "TeCost"}
    network, method = networks.get(cell["network"], cell["network"]), cell["method"]
    with_method = {"Vanilla": network, "ONE": f"{network} + ONE"}
    match table:
        case "one-cifar-svhn":
            return with_method[method], datasets[cell["dataset"]]
        case "one-imagenet":
            return with_method[method], {"error_top1": "Top-1", "error_top5": "Top-5"}[cell["metric"]]
        case "one-text-me":
            return network.removesuffix(" (inferred)"), method
    return method, f"{network} / {metrics[cell['metric']]}"


def in_kdcl(table: str, cell: Reference) -> Place:
    """Methods are rows and networks columns, but for the pairs (rows) and the number of networks (columns)."""
    labels = {"MobileNetV2": "MBV2", "MobileNetV2x0.5": "MBV2x0.5"}
    network, method = labels.get(cell["network"], cell["network"]), cell["method"]
    match table:
        case "kdcl-t3":
            members = cell.get("variant", "").partition(", ")[0]
            column = {"acc_top1": "Top-1", "acc_top5": "Top-5", "params_m": "Params"}[cell["metric"]]
            return f"{method}, {members}" if members else method, column
        case "kdcl-t4":
            peer = labels.get(cell["peer"], cell["peer"])
            return pair(network, peer, cell), f"{method.removeprefix('KDCL-')} / model {cell['position']}"
        case "kdcl-t5":
            return network, cell["num_networks"]
    with_icl = f"{method}, ICL" if cell.get("icl") == "true" else method
    return with_icl, "Gain" if cell["metric"] == "gain_pp" else network


def in_md(table: str, cell: Reference) -> Place:
    """Pairs are rows, where a table has them; of networks and methods, either may be the columns."""
    match table:
        case "md-t1-cifar10" | "md-t1-cifar100" | "md-t2":
            method = {"Independent": "I", "MD": "MD"}[cell["method"]]
            return pair(cell["network"], cell["peer"], cell), f"{method} / m{cell['position']}"
        case "md-t3":
            return cell["method"], f"{cell['network']} / {cell['dataset']}"
        case "md-t4":
            return f"{pair(cell['network'], cell['peer'], cell)} / m{cell['position']}", cell["temperature"]
        case "md-t5":
            return f"m{cell['position']}", cell["t_d"]
        case "md-t6":
            return cell["network"], f"{cell['dataset']} / {cell['method']}"
        case "md-text-gains":  # the partner stands at the end of the note: "49.79-43.85 with VGG", "75.45-72.57, VGG+VGG"
            return f"{cell['network']} with {re.split('[ +]', cell['note'])[-1]}", "Gain"
    return cell["network"], cell["statistic"].capitalize()


def pair(network: str, peer: str, cell: Reference) -> str:
    """Both networks in the order in which the paper prints them."""
    return f"{network}, {peer}" if cell["position"] == "1" else f"{peer}, {network}"


PLACES: dict[str, Callable[[str, Reference], Place]] = {"okddip": in_okddip, "one": in_one, "kdcl": in_kdcl, "md": in_md}


def printed(paper: str, cell: Reference) -> str:
    """The string that the paper prints, digits and marks included."""
    if cell["value"] == "null":
        return BLANK[paper]
    spread = f" +- {cell['std']}" if "std" in cell else ""
    star = "*" if cell.get("note", "").startswith("asterisk") or cell.get("label", "").endswith("*") else ""
    return cell["value"] + spread + star + ("M" if cell.get("metric") == "params_m" else "")


def published(paper: PaperFile) -> dict[str, dict[Place, str | None]]:
    """By table that has any: every published string by its place."""
    return {
        table.id: {
            (row, column): value for row, values in table.published.items() for column, value in zip(table.columns, values, strict=True)
        }
        for table in paper.tables
        if table.published
    }


@pytest.fixture(scope="module")
def papers() -> dict[str, PaperFile]:
    return {name: paper for name, (paper, _) in read_papers(ROOT).items()}


@pytest.fixture(scope="module")
def reference() -> dict[str, dict[str, list[Reference]]]:
    """By paper and table, with every scalar as text, so that 2.00 stays 2.00."""
    if "OKD_REFERENCE" not in os.environ:
        pytest.skip("OKD_REFERENCE is unset: published values are checked by their checksums only")
    file = Path(os.environ["OKD_REFERENCE"]) / "papers" / "tables.yaml"
    data = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return {
        paper: {table["id"]: table["cells"] for table in content["tables"] if table["role"] in PRINTED_ROLES}
        for paper, content in data["papers"].items()
    }


def test_every_paper_has_its_places(papers: dict[str, PaperFile]) -> None:
    assert set(PLACES) <= set(papers)  # your own papers have no reference


@pytest.mark.parametrize("paper", PLACES)
def test_published_values_are_the_reference(
    paper: str, papers: dict[str, PaperFile], reference: dict[str, dict[str, list[Reference]]]
) -> None:
    ours = published(papers[paper])
    assert ours.keys() == reference[paper].keys()
    for table, cells in reference[paper].items():
        expected = {PLACES[paper](table, cell): printed(paper, cell) for cell in cells}
        assert len(expected) == len(cells), f"{table}: two reference values in one place"
        assert ours[table] == expected, table


@pytest.mark.parametrize("paper", PLACES)
def test_published_values_are_the_checked_transcription(paper: str, papers: dict[str, PaperFile]) -> None:
    known = json.loads(CHECKSUMS.read_text(encoding="utf-8"))[paper]
    assert {table: checksum(values) for table, values in published(papers[paper]).items()} == known, (
        "published values or their labels changed: compare them with the paper, then update published.sha256.json"
    )


def checksum(values: dict[Place, str | None]) -> str:
    """SHA-256 of a table's published strings with their places, one a line, in order."""
    return hashlib.sha256("".join(f"{row}\t{column}\t{value}\n" for (row, column), value in values.items()).encode()).hexdigest()


def test_how_many_values_the_papers_print(papers: dict[str, PaperFile]) -> None:
    """22 tables of 447 cells, 430 of them with a value and 17 blank or NaN, and 13 values in the running text."""
    tables = {table: values for name in PLACES for table, values in published(papers[name]).items()}
    in_text = {table: values for table, values in tables.items() if "-text-" in table}
    printed_cells = [value for table, values in tables.items() if table not in in_text for value in values.values()]
    blank = [value for value in printed_cells if value is None or Published.parse(value).value is None]
    assert (len(tables) - len(in_text), len(printed_cells), len(printed_cells) - len(blank), len(blank)) == (22, 447, 430, 17)
    assert sorted(set(map(str, blank))) == ["-", "N/A", "NaN"]
    values_in_text = [value for values in in_text.values() for value in values.values()]
    assert (len(in_text), len(values_in_text), sum(Published.parse(str(value)).value is None for value in values_in_text)) == (3, 13, 0)
