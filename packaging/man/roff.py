"""Text for man(7): what has a meaning there is written so that it has none."""

import textwrap

_CHARACTERS = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "“": r"\(lq",
               "”": r"\(rq", "…": r"\&..."}


def text(plain):
    """Characters of a sentence. A hyphen stays one; two of them begin an option, as it is typed."""
    characters = (character if character == "-" else _CHARACTERS.get(character, character) for character in plain)
    return "".join(characters).replace("--", r"\-\-")


def literal(plain):
    """Characters that somebody may type, as they are typed."""
    return "".join(_CHARACTERS.get(character, character) for character in plain)


def bold(plain):
    return rf"\fB{literal(plain)}\fP"


def italic(plain):
    return rf"\fI{literal(plain)}\fP"


def guarded(line):
    """A line that does not begin with a request."""
    return rf"\&{line}" if line[:1] in (".", "'") else line


def paragraph(formatted):
    """Lines of formatted text: short ones, as the formatter fills them anyway."""
    lines = textwrap.wrap(formatted, 110, break_long_words=False, break_on_hyphens=False)
    return [guarded(line) for line in lines]


def example(lines):
    return [".PP", ".RS 4", ".nf", *(guarded(literal(line)) for line in lines), ".fi", ".RE"]


def _without_needless(lines):
    """A heading is followed by a paragraph anyway."""
    before = [""] + lines
    return [line for line, last in zip(lines, before) if line != ".PP" or not last.startswith((".SH", ".SS", ".PP"))]


def page(name, section, date, source, lines):
    """A whole page. The first line asks for the table preprocessor, which a page without tables does not mind."""
    head = [r"'\" t"] if ".TS" in lines else []
    return "\n".join([*head, f'.TH "{name.upper()}" "{section}" "{date}" "{source}" "Virtual Network Environments"',
                      ".nh", ".ad l", *_without_needless(lines)]) + "\n"
