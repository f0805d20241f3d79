"""Asks over the PostgreSQL protocol with psycopg; the case in postgres.rs starts the server."""

import datetime
import decimal
import sys
import threading

import psycopg

UTC = datetime.timezone.utc
ROOT = "203.0.113.7"


def connect(**more):
    place = f"host=127.0.0.1 port={sys.argv[1]} user=reader dbname=pugmark"
    return psycopg.connect(place, **more)


def check(cursor, sql, parameters, expected, prepare=None):
    """The first row, or the name of the error."""
    try:
        cursor.execute(sql, parameters, prepare=prepare)
        found = cursor.fetchone()
    except psycopg.Error as error:
        found = type(error).__name__
    assert found == expected, f"{sql} {parameters}: {found!r} is not {expected!r}"


# What is asked, with which values, and the row that answers.
QUESTIONS = [
    ("SELECT 1, 'a', true, NULL, 0.5::float8", (), (1, "a", True, None, 0.5)),
    ("SELECT 12.50::numeric(10, 2)", (), (decimal.Decimal("12.50"),)),
    ("SELECT '2026-11-23'::date", (), (datetime.date(2026, 11, 23),)),
    (
        "SELECT '2026-11-23T10:00:00.25Z'::timestamptz",
        (),
        (datetime.datetime(2026, 11, 23, 10, 0, 0, 250000, UTC),),
    ),
    ("SELECT ARRAY['a', NULL, 'b c']", (), (["a", None, "b c"],)),
    ("SELECT event_ids, techniques FROM alerts", (), ([3], ["T1078.003", "T1021.004"])),
    ("SELECT attributes FROM spans", (), (
        {"span.id": "s1", "span.name": "GET /", "span.duration.us": "1500", "parent.id": "p"},
    )),
    ("SELECT count(*) FROM events WHERE source_ip = %s", (ROOT,), (2,)),
    ("SELECT count(*) FROM events WHERE source_ip = ANY(%s)", ([ROOT, "x"],), (2,)),
    ("SELECT count(*) FROM events WHERE event_id = ANY(%s)", ([1, 2, 99],), (2,)),
    ("SELECT count(*) FROM events WHERE event_id > %s", (5,), (2,)),
    ("SELECT event_id FROM events ORDER BY 1 LIMIT %s OFFSET %s", (1, 2), (3,)),
    ("SELECT value FROM metrics WHERE value > %s", (decimal.Decimal("0.25"),), (0.5,)),
    ("SELECT count(*) FROM events WHERE attributes['ssh.method'] = %s", ("password",), (3,)),
    (
        "SELECT count(*) FROM events WHERE event_time < %s",
        (datetime.datetime(2100, 1, 1, tzinfo=UTC),),
        (7,),
    ),
    ("SELECT count(*) > 0 FROM events WHERE received_time > now() - %s::interval", ("1 day",), (True,)),
    ("SELECT %s", ("it's",), ("it's",)),
    ("SELECT count(*) FROM events WHERE source_ip = %s", ("' OR 1=1 --",), (0,)),
    ("SELECT nothing FROM events", (), "UndefinedColumn"),
    ("SELECT * FROM nothing", (), "UndefinedTable"),
    ("SELEC 1", (), "SyntaxError"),
    ("DELETE FROM events WHERE event_id = %s", (1,), "ReadOnlySqlTransaction"),
    ("SELECT 1 / %s", (0,), "DivisionByZero"),
]


def questions():
    with connect(autocommit=True) as connection:
        for binary in (False, True):
            for prepare in (False, True):
                cursor = connection.cursor(binary=binary)
                for sql, parameters, expected in QUESTIONS:
                    check(cursor, sql, parameters, expected, prepare)


def transactions():
    with connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        cursor = connection.cursor()
        check(cursor, "SELECT nothing", (), "UndefinedColumn")
        check(cursor, "SELECT 1", (), "InFailedSqlTransaction")
        connection.rollback()
        check(cursor, "SELECT 1", (), (1,))


def many_rows():
    with connect() as connection:
        rows = connection.cursor().stream("SELECT * FROM generate_series(1, 5000)")
        assert sum(row[0] for row in rows) == 5000 * 5001 // 2
    with connect() as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(50)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(50))


def cancel():
    long = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 9999) b"
    with connect(autocommit=True) as connection:
        threading.Timer(0.5, connection.cancel_safe).start()
        check(connection.cursor(), long, (), "QueryCanceled")
        connection.execute("SET statement_timeout = '300ms'")
        check(connection.cursor(), long, (), "QueryCanceled")
        check(connection.cursor(), "SHOW statement_timeout", (), ("300ms",))


# What Grafana, Metabase and drivers ask when they connect: they must have an answer.
INTROSPECTION = [
    "SHOW server_version_num",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SELECT current_setting('server_version_num')::int / 100",
    "SELECT version(), current_schema(), pg_backend_pid() > 0, current_schemas(true)",
    """SELECT quote_ident(table_name) FROM information_schema.tables
       WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog')
       AND quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user
         ELSE trim(s[i]) END FROM generate_series(
           array_lower(string_to_array(current_setting('search_path'), ','), 1),
           array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS i,
         string_to_array(current_setting('search_path'), ',') s)""",
    """SELECT quote_ident(column_name), data_type FROM information_schema.columns
       WHERE CASE WHEN array_length(parse_ident('public.events'), 1) = 2
       THEN quote_ident(table_schema) = (parse_ident('public.events'))[1]
       AND quote_ident(table_name) = (parse_ident('public.events'))[2] ELSE false END""",
    """SELECT n.nspname, c.relname, CASE c.relkind WHEN 'r' THEN 'TABLE' ELSE NULL END,
       d.description, stat.n_live_tup FROM pg_catalog.pg_class c
       INNER JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid
       LEFT JOIN pg_catalog.pg_description d ON c.oid = d.objoid AND d.objsubid = '0'
         AND d.classoid = 'pg_class'::regclass
       LEFT JOIN pg_stat_user_tables stat ON n.nspname = stat.schemaname
         AND c.relname = stat.relname
       WHERE n.nspname !~ '^pg_' AND c.relkind IN ('r', 'p', 'v', 'f', 'm')""",
    """SELECT * FROM (SELECT current_database() AS current_database, n.nspname, c.relname,
       a.attname, a.atttypid, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,
       a.atttypmod, a.attlen, t.typtypmod,
       row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum,
       nullif(a.attidentity, '') AS attidentity, nullif(a.attgenerated, '') AS attgenerated,
       pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc, dsc.description, t.typbasetype,
       t.typtype FROM pg_catalog.pg_namespace n
       JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)
       JOIN pg_catalog.pg_attribute a ON (a.attrelid = c.oid)
       JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)
       LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum)
       LEFT JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid)
       LEFT JOIN pg_catalog.pg_class dc ON (dc.oid = dsc.classoid AND dc.relname = 'pg_class')
       LEFT JOIN pg_catalog.pg_namespace dn
         ON (dc.relnamespace = dn.oid AND dn.nspname = 'pg_catalog')
       WHERE c.relkind IN ('r', 'p', 'v', 'f', 'm') AND a.attnum > 0 AND NOT a.attisdropped
       AND c.relname LIKE 'events') c WHERE true AND attname LIKE '%' ORDER BY attnum""",
    """SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME,
       a.attname AS COLUMN_NAME, (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ
       FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
       JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid)
       JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) WHERE i.indisprimary""",
]


def introspection():
    with connect(autocommit=True) as connection:
        for sql in INTROSPECTION:
            cursor = connection.cursor()
            cursor.execute(sql)
            rows = cursor.fetchall() if cursor.description else None
            assert rows != [] or "pg_index" in sql, sql


for part in (questions, transactions, many_rows, cancel, introspection):
    part()
