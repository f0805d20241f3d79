"""DuckDB in this process, on a typed table. usage: duck.py FOLDER"""

import json
import sys
import time
from pathlib import Path

import duckdb

from protocol import serve

FOLDER = Path(sys.argv[1])
FILE = FOLDER / "typed.duckdb"
CONNECTION = duckdb.connect(str(FILE))


def load(corpus, parts):
    """Takes over the typed columns that ClickHouse wrote as Parquet, in the same order."""
    done = FOLDER / "duckdb.json"
    if done.exists():
        return json.loads(done.read_text())
    CONNECTION.execute("SET memory_limit = '6GB'; SET preserve_insertion_order = true")
    parquet = FOLDER / "typed.parquet"
    CONNECTION.execute(
        f"CREATE OR REPLACE TABLE events AS SELECT * FROM read_parquet('{parquet}') ORDER BY source, ts"
    )
    CONNECTION.execute("CHECKPOINT")
    rows = CONNECTION.execute("SELECT count(*) FROM events").fetchone()[0]
    answer = {"rows": rows, "bytes": {"source, ts": FILE.stat().st_size}}
    done.write_text(json.dumps(answer))
    parquet.unlink()
    return answer


def ask(sql):
    start = time.perf_counter()
    found = CONNECTION.execute(sql).fetchall()
    took = time.perf_counter() - start
    return {"ms": took * 1e3, "rows": len(found), "sum": sum(row[-1] for row in found if isinstance(row[-1], int))}


def run(sql):
    CONNECTION.execute(sql)
    return {}


def version():
    return {"version": "DuckDB " + duckdb.__version__}


serve({"load": load, "ask": ask, "run": run, "version": version})
