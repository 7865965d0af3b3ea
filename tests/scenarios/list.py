"""Prints the names of the scenarios in a directory, for meson."""
import os
import sys

print("\n".join(sorted(f for f in os.listdir(sys.argv[1]) if f.endswith(".scenario"))))
