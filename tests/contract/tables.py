"""Reads the X-macro tables of the C headers, and the contract."""
import re

import yaml

from tap import read


def rows(path, table):
    """The rows of `#define TABLE(X)` as lists of their arguments' texts, strings joined."""
    text = re.sub(r"/\*.*?\*/", "", read(path), flags=re.S).replace("\\\n", " ")
    body = re.search(r"#define " + table + r"\(X\)(.*)", text)[1]
    found = []
    for call in re.findall(r"\bX\(((?:\"(?:[^\"\\]|\\.)*\"|[^()\"])*)\)", body):
        parts = re.findall(r"(?:\"(?:[^\"\\]|\\.)*\"\s*)+|[^,]+", call)
        found.append([argument(p.strip()) for p in parts if p.strip()])
    return found


def argument(text):
    if text.startswith('"'):
        return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)).replace('\\"', '"')
    return text


def contract():
    return yaml.safe_load(read("api/openapi.yaml"))


def limits():
    """Name to number of base/limits.h."""
    text = read("src/base/limits.h")
    pairs = re.findall(r"^#define (LIMIT_\w+) (?:INT64_C\()?(\d+)\)?", text, re.M)
    return {name: int(value) for name, value in pairs}
