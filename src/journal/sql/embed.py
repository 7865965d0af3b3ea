"""Makes a C file that holds migrations: embed.py OUTPUT INCLUDE PREFIX FILE.sql...

Defines `const struct PREFIX_migration PREFIX_migrations[]` and `PREFIX_migration_count`, in the order of the files'
numbers. The SQL is written as a list of characters: string literals have a length limit in standard C.
"""
import os
import sys

output, include, prefix = sys.argv[1:4]
files = sorted(sys.argv[4:], key=os.path.basename)
with open(output, "w") as out:
    out.write(f'#include "{include}"\n\n')
    for number, path in enumerate(files, 1):
        name = os.path.basename(path)
        if int(name.split("_")[0]) != number:
            sys.exit(f"{path}: migrations are numbered 0001, 0002 ... without a gap")
        with open(path, "rb") as sql:
            data = sql.read() + b"\0"
        out.write(f"static const char sql_{number}[] = {{\n")
        for i in range(0, len(data), 24):
            out.write("    " + "".join(f"{byte if byte < 128 else byte - 256}," for byte in data[i : i + 24]) + "\n")
        out.write("};\n\n")
    out.write(f"const struct {prefix}_migration {prefix}_migrations[] = {{\n")
    for number, path in enumerate(files, 1):
        out.write(f'    {{"{os.path.basename(path)}", sql_{number}}},\n')
    out.write(f"}};\nconst unsigned {prefix}_migration_count = {len(files)};\n")
