#!/usr/bin/env python3
"""Holds what the pure rooms' libraries need from outside against a short list: memory, strings and numbers.

usage: purity.py ROOM=LIBRARY...
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402

# Memory and strings; formatting into memory; how a broken invariant ends. vfprintf, stderr and abort are base/err.c's alone.
ALLOWED = set("""
    malloc calloc realloc free abort memcpy memmove memset memcmp memchr memmem memrchr
    strlen strcmp strncmp strcasecmp strncasecmp strchr strrchr strstr strnlen
    snprintf vsnprintf __snprintf_chk __vsnprintf_chk __memcpy_chk __memset_chk __memmove_chk __stack_chk_fail
    qsort bsearch fprintf vfprintf fputc fputs fwrite fflush stderr __fprintf_chk __vfprintf_chk
    __errno_location strtol strtoul strtoll strtoull __isoc23_strtol __isoc23_strtoll __isoc23_strtoull __ctype_b_loc
    _GLOBAL_OFFSET_TABLE_ __assert_fail __muloti4
""".split())
# jansson builds and reads JSON in memory; real numbers occur inside metadata, never as amounts.
ALLOWED_PREFIXES = {"api": ("json_", "strtod", "strpbrk")}


def symbols(library, option):
    output = subprocess.run(["nm", option, library], capture_output=True, text=True, check=True).stdout
    return {m[1] for m in re.finditer(r"^\s*(?:[0-9a-f]+\s+)?[A-Zuvwi]\s+(\S+)$", output, re.M)}


def main():
    libraries = dict(argument.split("=", 1) for argument in sys.argv[1:])
    defined = set()
    for library in libraries.values():
        defined |= symbols(library, "--defined-only")
    tap = Tap()
    for room, library in libraries.items():
        if not room.startswith("("):
            needed = symbols(library, "--undefined-only") - defined - ALLOWED
            tap.check(f"{room} needs nothing but memory, strings and numbers",
                      sorted(s for s in needed if not s.startswith(ALLOWED_PREFIXES.get(room, ("\0",)))))
    tap.done()


main()
