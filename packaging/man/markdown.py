"""A page from one of the documents: the Markdown that docs/ uses, and an error for any other."""

import re

import roff

_SPAN = re.compile(r"`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)|(?<!\w)\*\*?(.+?)\*\*?(?!\w)")
# Where a line in a cell may end: behind a blank, and inside a name.
_BREAKS = re.compile(r"\s|(?<=[/_])")
# What is left of 80 columns for text.
_LINE = 70


def _inline(markdown):
    """Code is bold, emphasis italic; of a link its text stays."""
    formatted, end = "", 0
    for span in _SPAN.finditer(markdown):
        formatted += roff.text(markdown[end:span.start()])
        code, linked, _, stressed = span.groups()
        if code:
            formatted += roff.bold(code)
        elif linked:
            formatted += _inline(linked)
        else:
            formatted += roff.italic(stressed)
        end = span.end()
    return formatted + roff.text(markdown[end:])


def _cells(row):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def _table(rows):
    """Rows of a table, the first one its head, in columns that fit a terminal together."""
    table = [_cells(row) for number, row in enumerate(rows) if number != 1]
    if any(len(row) != len(table[0]) for row in table):
        raise ValueError(f"rows of different lengths: {rows[0]}")
    widths = _widths(list(zip(*table)))
    lines = [".PP", ".TS", "allbox tab(\t);", " ".join(f"lbw({width}n)" for width in widths),
             " ".join(f"lw({width}n)" for width in widths) + "."]
    lines += ["\t".join(_cell(cell, width) for cell, width in zip(row, widths)) for row in table]
    return [*lines, ".TE"]


def _widths(columns):
    """What each column gets of a terminal's line: what it needs, or the widest ones less, never less than a word."""
    widths = [max(len(cell) for cell in column) for column in columns]
    least = [max(len(part) for cell in column for part in _BREAKS.split(cell)) for column in columns]
    while sum(widths) > _LINE - 3 * len(columns):
        shrinking = [number for number in range(len(columns)) if widths[number] > least[number]]
        if not shrinking:
            break
        widths[max(shrinking, key=lambda number: widths[number])] -= 1
    return widths


def _cell(markdown, width):
    """A cell in which names may be broken as well, at their strokes."""
    if len(markdown) <= width:
        return roff.guarded(_inline(markdown)) or r"\&"
    breakable = re.sub(r"(?<=\w)([/_])(?=\w)", r"\1\\:", _inline(markdown))
    return "\n".join(["T{", *roff.paragraph(breakable), "T}"])


class _Blocks:
    """The document's blocks one after the other, each as lines of man(7)."""

    def __init__(self, markdown):
        self.lines = markdown.splitlines()
        self.number = 0

    def take_while(self, matches):
        begin = self.number
        while self.number < len(self.lines) and matches(self.lines[self.number]):
            self.number += 1
        return self.lines[begin:self.number]

    def __iter__(self):
        while self.number < len(self.lines):
            line = self.lines[self.number]
            if not line.strip():
                self.number += 1
            elif heading := re.match(r"(#{2,4}) (.+)", line):
                self.number += 1
                yield self.heading(len(heading[1]), heading[2])
            elif line.startswith("```"):
                self.number += 1
                yield roff.example(self.take_while(lambda text: not text.startswith("```")))
                self.number += 1
            elif line.startswith("|"):
                yield _table(self.take_while(lambda text: text.startswith("|")))
            elif line.startswith("- "):
                yield self.item()
            else:
                words = self.take_while(lambda text: text.strip() and not re.match(r"#|```|\||- ", text))
                if not words:
                    raise ValueError(f"line {self.number + 1} is of no known kind: {line}")
                yield [".PP", *roff.paragraph(_inline(" ".join(words)))]

    @staticmethod
    def heading(depth, markdown):
        plain = markdown.replace("`", "")
        return [f'.SH "{roff.text(plain.upper())}"'] if depth == 2 else [f'.SS "{roff.text(plain)}"']

    def item(self):
        """An item of a list, with the lines that go on, indented below its text."""
        first = self.lines[self.number][2:]
        self.number += 1
        more = self.take_while(lambda text: re.match(r"  \S", text))
        return [r".IP \(bu 2", *roff.paragraph(_inline(" ".join([first, *map(str.strip, more)])))]


def page(markdown, name, abstract, date, version):
    """(file name, text) of a document as a page of section 5. Its title is left out, and its table of contents."""
    _, _, body = markdown.partition("\n")
    introduction, _, rest = body.partition("\n## ")
    introduction = "\n".join(line for line in introduction.splitlines() if not line.startswith("- ["))
    lines = [".SH NAME", rf"{roff.literal(name)} \- {roff.text(abstract)}", ".SH DESCRIPTION"]
    for block in _Blocks(introduction):
        lines += block
    for block in _Blocks("## " + rest):
        lines += block
    lines += [".SH SEE ALSO", r".BR vne\-agent (1)"]
    return f"{name}.5", roff.page(name, 5, date, version, lines)
