"""Gathers the logs below a folder of published data into one file per source.

usage: shared_logs.py DATA OUT

Only what a log shipper would send is taken: text logs and JSON lines, also out of zip, gzip and
tar. Windows event files (binary), rule sets, indicator lists, templates and time series are not
logs and stay out. Lines keep their bytes; empty ones, and fail2ban's expectations, are dropped.
OUT/corpus.json names each source with its records and bytes.
"""

import gzip
import io
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path


def zipped(path):
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith((".json", ".log")):
                yield archive.read(name)


def tarred(path):
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.isfile() and member.name.endswith((".json", ".log")):
                yield archive.extractfile(member).read()


def plain(path):
    yield path.read_bytes()


def gzipped(path):
    with gzip.open(path) as file:
        yield file.read()


# Source (`*` is the name of the file's folder), where, and how a file there is read.
PLACES = [
    ("mordor", "mordor", "*.zip", zipped),
    ("mordor", "mordor", "*.tar.gz", tarred),
    ("crowdsec", "parsers/crowdsec", "*.log", plain),
    ("fail2ban", "parsers/fail2ban", "*", plain),
    ("loghub-*", "templates", "*_2k.log", plain),
    ("zeek-tsv", "network", "*.log.gz", gzipped),
    ("zeek-json", "network", "*.json.gz", gzipped),
    ("cowrie", "honeypot", "cowrie.json*", plain),
    ("panther", "cloud-saas", "*.jsonl", plain),
]


def wanted(source, path):
    text = {"README", "LICENSE", "COPYING"}
    if path.suffix in (".md", ".yaml", ".yml") or path.stem in text:
        return False
    return "reduced" not in path.name


def lines(data, source):
    for line in data.split(b"\n"):
        line = line.rstrip(b"\r")
        if not line.strip() or (source == "fail2ban" and line.lstrip().startswith(b"#")):
            continue
        yield line


def main():
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    parts = {}
    for source, folder, pattern, read in PLACES:
        for path in sorted((data / folder).rglob(pattern)):
            if not path.is_file() or not wanted(source, path):
                continue
            name = source.replace("*", path.parent.name.lower())
            part = parts.setdefault(name, {"name": name, "records": 0, "bytes": 0, "file": f"{name}.log"})
            mode = "ab" if part["records"] else "wb"
            with open(out / part["file"], mode) as file:
                for member in read(path):
                    buffer = io.BytesIO()
                    for line in lines(member, source):
                        buffer.write(line + b"\n")
                        part["records"] += 1
                    part["bytes"] += file.write(buffer.getbuffer())
    kept = [part for part in parts.values() if part["records"]]
    about = {"name": "shared", "needles": [], "rare_address": None, "parts": kept}
    # Written last: a folder without it is not complete.
    temporary = out / "corpus.json.new"
    temporary.write_text(json.dumps(about, indent=1) + "\n")
    os.replace(temporary, out / "corpus.json")


if __name__ == "__main__":
    main()
