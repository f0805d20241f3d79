"""ClickHouse in this process (chdb), on a typed MergeTree. usage: clickhouse.py FOLDER"""

import json
import sys
import time
from pathlib import Path

from chdb import session

import typed
from protocol import serve

FOLDER = Path(sys.argv[1])
SESSION = session.Session(str(FOLDER / "clickhouse"))
# What is measured for size: the smallest of these.
ORDERS = ["source, ts", "source, host, user_name, ts"]
# One file per column also where the table is small.
WIDE = "SETTINGS min_bytes_for_wide_part = 0"
TIME_CODECS = "CODEC(Delta, ZSTD(3))"


def rows(sql):
    text = SESSION.query(sql, "JSONCompact").bytes()
    return json.loads(text)["data"]


def create(table, corpus, order, indexes=""):
    codec = lambda name: TIME_CODECS if name == "ts" else "CODEC(ZSTD(3))"
    listed = ", ".join(f"{name} {kind} {codec(name)}" for name, kind in typed.columns(corpus))
    SESSION.query(f"DROP TABLE IF EXISTS {table} SYNC")
    SESSION.query(f"CREATE TABLE {table} ({listed}{indexes}) ENGINE = MergeTree ORDER BY ({order}) {WIDE}")


def bytes_of(table):
    active = f"FROM system.parts WHERE active AND table = '{table}'"
    return int(rows(f"SELECT sum(bytes_on_disk) {active}")[0][0])


def load(corpus, parts):
    """Fills one table per order, and one with indexes for the questions; answers their sizes."""
    done = FOLDER / "clickhouse.json"
    if done.exists():
        return json.loads(done.read_text())
    sizes = {}
    for at, order in enumerate(ORDERS):
        create(f"ordered{at}", corpus, order)
        if at == 0:
            for part in parts:
                SESSION.query(typed.insert("ordered0", corpus, part["name"], part["file"]))
        else:
            SESSION.query(f"INSERT INTO ordered{at} SELECT * FROM ordered0")
        SESSION.query(f"OPTIMIZE TABLE ordered{at} FINAL")
        sizes[order] = bytes_of(f"ordered{at}")
    message = "table = 'ordered0' AND name = 'message'"
    sizes["its message column"] = int(rows(
        f"SELECT sum(data_compressed_bytes) FROM system.columns WHERE {message}")[0][0])
    indexes = (
        ", INDEX words message TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(message))"
        ", INDEX addresses source_ip TYPE bloom_filter GRANULARITY 1"
    )
    create("events", corpus, ORDERS[0], indexes)
    SESSION.query("INSERT INTO events SELECT * FROM ordered0")
    SESSION.query("OPTIMIZE TABLE events FINAL")
    sizes["with indexes"] = bytes_of("events")
    parquet = FOLDER / "typed.parquet"
    parquet.unlink(missing_ok=True)
    SESSION.query(f"SELECT * FROM ordered0 INTO OUTFILE '{parquet}' FORMAT Parquet")
    for at in range(1, len(ORDERS)):
        SESSION.query(f"DROP TABLE ordered{at} SYNC")
    SESSION.query("DROP TABLE ordered0 SYNC")
    answer = {"rows": int(rows("SELECT count() FROM events")[0][0]), "bytes": sizes}
    done.write_text(json.dumps(answer))
    return answer


def ask(sql):
    start = time.perf_counter()
    found = rows(sql)
    took = time.perf_counter() - start
    return {"ms": took * 1e3, "rows": len(found), "sum": sum(int(row[-1]) for row in found if str(row[-1]).isdigit())}


def run(sql):
    SESSION.query(sql)
    return {}


def version():
    return {"version": "chdb, ClickHouse " + rows("SELECT version()")[0][0]}


serve({"load": load, "ask": ask, "run": run, "version": version})
