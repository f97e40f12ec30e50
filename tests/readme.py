"""The tables of README.md that programs fill, each between <!-- NAME --> and <!-- /NAME -->."""

import pathlib
import re

README = pathlib.Path(__file__).resolve().parent.parent / "README.md"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def number(value):
    return f"{value:,}" if isinstance(value, int) else value


def update(name, text):
    before, _, after = split(name)
    README.write_text(f"{before}\n{text}{after}")


def figures(name):
    """The whole numbers in a table's cells, by row's first cell and column's first cell."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in split(name)[1].splitlines()
        if line.startswith("|")
    ]
    return {
        (row[0], column): int(cell.replace(",", ""))
        for row in rows[2:]
        for column, cell in zip(rows[0], row)
        if re.fullmatch(r"[\d,]+", cell)
    }


def split(name):
    text = README.read_text()
    match = re.fullmatch(rf"(.*<!-- {name} -->)\n(.*)(<!-- /{name} -->.*)", text, re.S)
    if not match:
        raise SystemExit(f"README.md: no <!-- {name} --> ... <!-- /{name} -->")
    return match.groups()
