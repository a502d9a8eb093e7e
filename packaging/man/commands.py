"""Pages of section 1 from what a program's `--experimental-dump-help` says: the help texts are the only source."""

import re

import roff

# What every page lists once, in the program's own.
_EVERYWHERE = {"help", "version"}


def _options_of(command):
    return [argument for argument in command.get("arguments", [])
            if argument["kind"] != "positional" and argument.get("shouldDisplay", True)]


def _positionals_of(command):
    return [argument for argument in command.get("arguments", [])
            if argument["kind"] == "positional" and argument.get("shouldDisplay", True)]


def _spelling(option):
    """`-h`, `--help`, with its value where it takes one."""
    names = [("-" if name["kind"] == "short" else "--") + name["name"] for name in option["names"]]
    value = f" {roff.italic(option['valueName'])}" if option["kind"] == "option" else ""
    return ", ".join(roff.bold(name) + value for name in names)


def _usage(argument):
    if argument["kind"] == "positional":
        usage = roff.italic(argument["valueName"])
        if argument["parsingStrategy"] == "postTerminator":
            usage = f"{roff.bold('--')} {usage}"
    else:
        preferred = dict(argument, names=[argument["preferredName"]])
        usage = _spelling(preferred)
    repeated = r" \&..." if argument["isRepeating"] else ""
    return f"[{usage}{repeated}]" if argument["isOptional"] else usage + repeated


def _synopsis(path, command):
    own = [option for option in _options_of(command) if option["preferredName"]["name"] not in _EVERYWHERE]
    # A program's own arguments come last, after --.
    arguments = sorted(own + _positionals_of(command), key=lambda each: each["parsingStrategy"] == "postTerminator")
    return roff.paragraph(" ".join([roff.bold(path), *map(_usage, arguments)]))


def _description(discussion):
    """A discussion's lines: indented ones, and those of a table of two columns, are shown as they are."""
    lines, block = [], []

    def end_block():
        if block:
            lines.extend(roff.example(block))
            lines.append(".PP")
            block.clear()

    for line in discussion.split("\n"):
        if line.startswith("  "):
            block.append(line[2:])
            continue
        end_block()
        lines += roff.paragraph(roff.text(line)) if line else [".PP"]
    end_block()
    while lines and lines[-1] == ".PP":
        lines.pop()
    return lines


def _explanation(argument):
    """What an argument is, with its values and its default as the help has them."""
    said = argument.get("abstract", "")
    notes = []
    if argument.get("allValues"):
        notes.append(f"values: {', '.join(argument['allValues'])}")
    if argument.get("defaultValue") is not None:
        notes.append(f"default: {argument['defaultValue']}")
    return roff.paragraph(roff.text(f"{said} ({'; '.join(notes)})" if notes else said)) or [r"\&"]


def _entries(arguments, name):
    lines = []
    for argument in arguments:
        lines += [".TP", name(argument), *_explanation(argument)]
    return lines


def _command_page(program, command, date, version):
    path = f"{program} {command['commandName']}"
    name = path.replace(" ", "-")
    lines = [".SH NAME", f"{roff.literal(name)} \\- {roff.text(_phrase(command['abstract']))}", ".SH SYNOPSIS",
             *_synopsis(path, command), ".SH DESCRIPTION", *roff.paragraph(roff.text(command["abstract"]))]
    if command.get("discussion"):
        lines += [".PP", *_description(command["discussion"])]
    if positionals := _positionals_of(command):
        lines += [".SH ARGUMENTS", *_entries(positionals, lambda argument: roff.italic(argument["valueName"]))]
    if options := _options_of(command):
        lines += [".SH OPTIONS", *_entries(options, _spelling)]
    lines += [".SH EXIT STATUS", "The exit statuses are listed in", r".BR vne\-agent (1).",
              ".SH SEE ALSO", r".BR vne\-agent (1),", r".BR vne\-policy (5)"]
    return f"{name}.1", roff.page(name, 1, date, version, lines)


def _phrase(abstract):
    """An abstract as whatis(1) shows it: without the full stop."""
    return abstract.rstrip(".")


def _program_page(command, date, version):
    program = command["commandName"]
    about, _, statuses = command["discussion"].partition("\n\nExit statuses:\n")
    lines = [".SH NAME", f"{roff.literal(program)} \\- {roff.text(_phrase(command['abstract']))}", ".SH SYNOPSIS",
             f"{roff.bold(program)} {roff.italic('subcommand')} [{roff.italic('arguments')}]",
             ".SH DESCRIPTION", *_description(about), ".SH SUBCOMMANDS"]
    for subcommand in _subcommands(command):
        lines += [".TP", f".BR {roff.literal(program)}\\-{roff.literal(subcommand['commandName'])} (1)",
                  *roff.paragraph(roff.text(subcommand["abstract"]))]
    lines += [".SH OPTIONS", *_entries(_options_of(command), _spelling), ".SH EXIT STATUS"]
    for status, meaning in re.findall(r"^  (\d+) +((?:.|\n {3,})+)", statuses, re.MULTILINE):
        lines += [".TP", status, *roff.paragraph(roff.text(" ".join(meaning.split())))]
    lines += [".SH FILES", ".TP", roff.italic("/etc/vne/policy.yaml"),
              "The policy that the daemon keeps in force; see", r".BR vne\-policy (5).",
              ".TP", roff.italic("/sys/fs/bpf/vne"), "What the kernel holds of the instance that is called vne.",
              ".SH SEE ALSO", r".BR vne\-policy (5),", ".BR cgroups (7)"]
    return f"{program}.1", roff.page(program, 1, date, version, lines)


def _subcommands(command):
    return [subcommand for subcommand in command["subcommands"]
            if subcommand.get("shouldDisplay", True) and subcommand["commandName"] != "help"]


def pages(help_tree, date, version):
    """(file name, text) of each page."""
    command = help_tree["command"]
    yield _program_page(command, date, version)
    for subcommand in _subcommands(command):
        yield _command_page(command["commandName"], subcommand, date, version)
