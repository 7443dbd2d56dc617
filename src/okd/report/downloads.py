"""A table to take away: LaTeX, Markdown, BibTeX, and the manifest of all that stands beside the report."""

import hashlib
import re
from pathlib import Path

from okd.evaluation.records import CellRecord, PaperRecord, Summary, TableRecord

FORMATS = {"csv": "CSV", "json": "JSON", "tex": "LaTeX", "md": "Markdown", "bib": "BibTeX"}
MANIFEST = "manifest.json"

TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "±": r"$\pm$",
}
TEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def downloads(table: TableRecord, paper: PaperRecord, scale: str) -> dict[str, str]:
    """Texts by ending; CSV and JSON are the table's own files."""
    return {"tex": latex(table, scale), "md": markdown(table, scale), "bib": bibtex(paper)}


def ours(cell: CellRecord) -> str:
    """Our number as the table shows it, with the word that keeps a reader from taking it for more than it is."""
    if cell.ours is None:
        return "" if cell.state == "paper blank" else cell.state
    text = f"{cell.ours.mean:.{cell.decimals}f}" + (f" ± {cell.ours.spread:.{cell.decimals}f}" if cell.ours.spread is not None else "")
    return text if cell.state in ("measured", "counted") else f"{text} ({cell.state})"


def theirs(cell: CellRecord) -> str:
    return (cell.printed or "").replace("+-", "±")


def caption(table: TableRecord, scale: str) -> str:
    warning = "" if scale == "paper" else f" Scale {scale}: these are not results."
    return f"{table.title}. First line ours, second line as published.{warning}"


def latex(table: TableRecord, scale: str) -> str:
    """A booktabs table that compiles after `\\usepackage{booktabs}`."""
    lines = ["% needs \\usepackage{booktabs}"]
    for cell in table.cells:
        if cell.runs:
            lines.append(
                f"% {_one_line(cell.address)}: n = {len(cell.seeds)} of {cell.planned}, runs {', '.join(run.key for run in cell.runs)}"
            )
    lines += ["\\begin{table}", "\\centering", f"\\caption{{{tex(caption(table, scale))}}}"]
    lines += [f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}", "\\toprule", _tex_row(["", *table.columns]), "\\midrule"]
    for row in table.rows:
        cells = [table.cell(row, column) for column in table.columns]
        lines += [_tex_row([row, *map(ours, cells)]), _tex_row(["", *map(theirs, cells)])]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}", ""])


def _tex_row(texts: list[str]) -> str:
    return " & ".join(map(tex, texts)) + r" \\"


def tex(text: str) -> str:
    """Plain text as LaTeX; characters beyond Latin-1 become question marks."""
    known = "".join(character if character in TEX or ord(character) < 256 else "?" for character in _one_line(text))
    return re.sub("|".join(map(re.escape, TEX)), lambda found: TEX[found[0]], known)


def markdown(table: TableRecord, scale: str) -> str:
    lines = [markdown_text(caption(table, scale)), "", _md_row(["", *table.columns]), _md_row(["---"] * (len(table.columns) + 1))]
    for row in table.rows:
        cells = [table.cell(row, column) for column in table.columns]
        lines.append(
            _md_row([markdown_text(row)] + [f"{markdown_text(ours(cell))}<br>{markdown_text(theirs(cell))}" for cell in cells], raw=True)
        )
    return "\n".join([*lines, ""])


def _md_row(texts: list[str], raw: bool = False) -> str:
    return "| " + " | ".join(texts if raw else map(markdown_text, texts)) + " |"


def markdown_text(text: str) -> str:
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", _one_line(text))


def bibtex(paper: PaperRecord) -> str:
    """The paper's entry, and ours."""
    cited = paper.citation
    fields = {"title": f"{{{tex(paper.title)}}}"}
    if cited:
        fields |= {"author": tex(cited.authors.replace(", ", " and ")), "note": tex(cited.venue)}
        year = re.search(r"\b(19|20)[0-9]{2}\b", cited.venue)
        fields |= {"year": year[0]} if year else {}
        fields |= {"eprint": tex(cited.arxiv), "archiveprefix": "arXiv"} if cited.arxiv else {}
        fields |= {"doi": tex(cited.doi)} if cited.doi else {}
    own = {"title": "{okd: online knowledge distillation, reproduced}", "author": "{The okd authors}", "year": "2026", "version": "0.1.0"}
    return _entry(paper.name, fields) + _entry("okd", own)


def _entry(key: str, fields: dict[str, str]) -> str:
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{re.sub('[^a-z0-9-]', '-', key.lower())},\n{lines}}}\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def manifest(folder: Path, summary: Summary, names: set[str]) -> dict[str, object]:
    """SHA-256 of every file that stands beside the report."""
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names - {MANIFEST})}
    return {"version": summary.version, "scale": summary.scale, "files": hashes}
