"""Prints the names of the fuzz targets in a directory, for meson."""
import os
import sys

print("\n".join(sorted(f[5:-2] for f in os.listdir(sys.argv[1]) if f.startswith("fuzz_") and f.endswith(".c"))))
