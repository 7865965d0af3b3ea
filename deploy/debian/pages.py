#!/usr/bin/env python3
"""What the program says of itself with --help, as a manual page and as the service's file of settings.

usage: pages.py manual|environment PROGRAM
"""
import re
import subprocess
import sys
import textwrap

# Set by the unit, where the default of the program is of no use to a service.
BY_UNIT = {"CREDITLEDGER_DATA": "/var/lib/creditledger"}


def said(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def commands(program):
    """(name, summary) of each, and what the help says after them."""
    text = said(program, "--help")
    listed, after = text.split("Commands:\n")[1].split("\n\n", 1)
    return [line.split(None, 1) for line in listed.splitlines()], after


def parts(program, command):
    """Usage line, options as (flag, argument, text), and the paragraphs after them."""
    text = said(program, command, "--help")
    usage = text.splitlines()[0].removeprefix("Usage: ")
    listed, _, details = text.split("\nOptions:\n", 1)[1].partition("\n\n")
    options = []
    for line in listed.splitlines():
        match = re.match(r"  (--[\w-]+)(?: (\S+))?(?:\s+(.*))?$", line)
        if match:
            options.append([match[1], match[2] or "", match[3] or ""])
        else:
            options[-1][2] = (options[-1][2] + " " + line.strip()).strip()
    # A flag without an argument has its text right behind it.
    for option in options:
        if option[1] and not re.fullmatch(r"[A-Z][\w|,.-]*", option[1]):
            option[1], option[2] = "", (option[1] + " " + option[2]).strip()
    return usage, options, details.rstrip("\n")


def roff(text):
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def manual(program):
    listed, after = commands(program)
    out = [f'.TH CREDITLEDGER 1 "" "creditledger {said(program, "--version").split()[1]}" "User Commands"',
           ".SH NAME", r"creditledger \- double-entry ledger server", ".SH SYNOPSIS", r".B creditledger", "COMMAND",
           "[OPTIONS]", ".SH DESCRIPTION",
           "Every movement of value is an immutable, balanced record; every balance is derived from the records.",
           r"Flags come before the environment, the environment before the default.", ".SH COMMANDS"]
    for name, summary in listed:
        usage, options, details = parts(program, name)
        out += [f".SS {roff(name)}", roff(summary[0].upper() + summary[1:]) + ".", ".PP", r"\fB" + roff(usage) + r"\fR"]
        for flag, argument, text in options:
            out += [".TP", r"\fB" + roff(flag) + r"\fR" + (r" \fI" + roff(argument) + r"\fR" if argument else ""), roff(text)]
        if details:
            out += [".PP", ".nf", roff(details), ".fi"]
    out += [".SH EXIT STATUS", "0 all is well, 1 a fault was found, 2 wrong usage, 3 the environment is in the way.", ".SH FILES"]
    for path, text in [("/etc/creditledger/creditledger.env", "settings of the service"),
                       ("/etc/creditledger/ROLE.env", "settings of creditledger@ROLE.service alone"),
                       ("/var/lib/creditledger", "the embedded database"),
                       ("/usr/share/doc/creditledger", "API, operations, record format")]:
        out += [".TP", f".I {roff(path)}", roff(text)]
    return "\n".join(out) + "\n"


def environment(program):
    out = ["# Settings of creditledger.service and creditledger@.service, read by systemd: NAME=VALUE a line, no 'export'. A",
           "# line that begins with # is a default. 'systemctl restart creditledger' applies changes.",
           "# See creditledger(1) and /usr/share/doc/creditledger/docs/operations.md."]
    for flag, argument, text in parts(program, "serve")[1]:
        match = re.search(r"^(.*) \((?:default (.*); )?also (CREDITLEDGER_\w+)\)$", text)
        if not match:
            continue
        means, default, name = match[1], match[2] or "", match[3]
        default = BY_UNIT.get(name, default)
        if not argument:
            means, default = means + "; 1 switches it on", ""
        out += ["", *textwrap.wrap(f"{flag}: {means}", 110, initial_indent="# ", subsequent_indent="# "), f"#{name}={default}"]
    out += ["", "# Traces go to a collector of OpenTelemetry, if one is named: see docs/tracing.md.",
            "#OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"]
    return "\n".join(out) + "\n"


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("manual", "environment"):
        sys.exit(__doc__)
    sys.stdout.write((manual if sys.argv[1] == "manual" else environment)(sys.argv[2]))


main()
