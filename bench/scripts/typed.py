"""The typed table that a ClickHouse user would make of each corpus, and how it is filled.

Every field has the narrowest type that holds it: numbers as numbers, addresses as IPv4, hex ids as
bytes, words that repeat as LowCardinality. JSON records keep all their keys and nothing else; text
records keep their fields and the whole line as `message`, which is what one searches.
"""

WORD, TEXT = "LowCardinality(String)", "String"

# Column, type, key in JSON records of the corpus `ndjson`.
NDJSON = [
    ("ts", "DateTime64(6, 'UTC')", "@timestamp"),
    ("level", WORD, "log.level"),
    ("service", WORD, "service.name"),
    ("host", WORD, "host.name"),
    ("user_name", WORD, "user.name"),
    ("source_ip", "IPv4", "source.ip"),
    ("source_port", "UInt16", "source.port"),
    ("destination_ip", "IPv4", "destination.ip"),
    ("destination_port", "UInt16", "destination.port"),
    ("transport", WORD, "network.transport"),
    ("action", WORD, "event.action"),
    ("source_bytes", "UInt64", "source.bytes"),
    ("destination_bytes", "UInt64", "destination.bytes"),
    ("method", WORD, "http.request.method"),
    ("path", WORD, "url.path"),
    ("status", "UInt16", "http.response.status_code"),
    ("body_bytes", "UInt64", "http.response.body.bytes"),
    ("agent", WORD, "user_agent.original"),
    ("request_id", "FixedString(16)", "http.request.id"),
    ("trace_id", "FixedString(16)", "trace.id"),
    ("duration_us", "UInt64", "duration_us"),
    ("dns_name", WORD, "dns.question.name"),
    ("dns_type", WORD, "dns.question.type"),
    ("dns_id", "UInt16", "dns.id"),
    ("process", WORD, "process.name"),
    ("pid", "UInt32", "process.pid"),
    ("message", TEXT, "message"),
]

# The corpus `mixed`: columns of all its kinds.
MIXED = [
    ("ts", "DateTime64(6, 'UTC')"), ("level", WORD), ("service", WORD), ("host", WORD),
    ("user_name", WORD), ("source_ip", "IPv4"), ("source_port", "UInt16"),
    ("destination_ip", "IPv4"), ("destination_port", "UInt16"), ("transport", WORD),
    ("action", WORD), ("source_bytes", "UInt64"), ("destination_bytes", "UInt64"),
    ("method", WORD), ("path", TEXT), ("status", "UInt16"), ("body_bytes", "UInt64"),
    ("referrer", TEXT), ("agent", WORD), ("trace_id", "FixedString(16)"), ("duration_us", "UInt64"),
    ("error_code", "UInt16"), ("error_retry", "UInt8"), ("dns_name", WORD), ("dns_type", WORD),
    ("dns_answer", "IPv4"), ("pid", "UInt32"), ("session", "UInt64"), ("policy", "UInt16"),
    ("firewall_service", WORD), ("from_zone", WORD), ("to_zone", WORD), ("duration_s", "UInt64"),
    ("event_code", "UInt16"), ("channel", WORD), ("provider", WORD), ("record_id", "UInt32"),
    ("target_user", WORD), ("target_domain", WORD), ("logon_id", TEXT), ("logon_type", "UInt8"),
    ("package", WORD), ("workstation", WORD), ("win_status", WORD), ("win_substatus", WORD),
    ("image", WORD), ("command_line", WORD), ("process_id", TEXT), ("parent_id", TEXT),
    ("parent_image", WORD), ("parent_command_line", WORD), ("process_guid", "UUID"),
    ("parent_guid", "UUID"), ("integrity", WORD), ("hashes", TEXT), ("initiated", WORD),
    ("query_status", WORD), ("target_file", TEXT), ("message", TEXT),
]

LINE = ("LineAsString", "line String")


def text(pattern, columns, more=None):
    """Reads lines: each column is a group of the pattern, cast by its wrapper."""
    groups = {name: wrap.format(f"g[{at}]") for at, (name, wrap) in enumerate(columns, 1) if name}
    groups["message"] = "line"
    groups.update(more or {})
    escaped = pattern.replace("\\", "\\\\").replace("'", "\\'")
    return {"format": LINE, "with": f"extractGroups(line, '{escaped}') AS g", "columns": groups}


def json_of(pairs, wrap=None, more=None):
    """Reads NDJSON: pairs of column and (key, type)."""
    wrap = wrap or {}
    structure = ", ".join(f"`{key}` {kind}" for key, kind in {pair[1:] for pair in pairs})
    columns = {name: wrap.get(name, "{}").format(f"`{key}`") for name, key, _ in pairs}
    columns.update(more or {})
    return {"format": ("JSONEachRow", structure), "with": None, "columns": columns}


TIME = "parseDateTime64BestEffort({}, 6, 'UTC')"
NUMBER = "toUInt64OrZero({})"
IP = "toIPv4OrDefault({})"
HEX = "toFixedString(unhex({}), 16)"
GUID = "toUUIDOrDefault(trim(BOTH '{{}}' FROM {}))"


def ndjson_kind():
    plain = [
        (name, key, "String" if kind.startswith(("Fixed", "Date")) else kind)
        for name, kind, key in NDJSON
    ]
    return json_of(plain, {"ts": TIME, "request_id": HEX, "trace_id": HEX})


def app():
    pairs = [
        ("ts", "@timestamp", TEXT), ("level", "log.level", WORD), ("message", "message", TEXT),
        ("service", "service.name", WORD), ("host", "host.name", WORD),
        ("user_name", "user.name", WORD), ("source_ip", "source.ip", "IPv4"),
        ("path", "url.path", TEXT), ("trace_id", "trace.id", TEXT),
        ("duration_us", "duration_us", "UInt64"), ("error_code", "error", "Tuple(code UInt16, retry UInt8)"),
    ]
    wrap = {"ts": TIME, "trace_id": HEX, "error_code": "{}.code"}
    return json_of(pairs, wrap, {"error_retry": "`error`.retry"})


def windows():
    keys = {
        "event_code": ("EventID", "UInt16"), "channel": ("Channel", WORD),
        "provider": ("Provider_Name", WORD), "host": ("Computer", WORD),
        "ts": ("TimeCreated", TEXT), "record_id": ("EventRecordID", "UInt32"),
        "target_user": ("TargetUserName", WORD), "target_domain": ("TargetDomainName", WORD),
        "logon_id": ("TargetLogonId", TEXT), "logon_type": ("LogonType", "UInt8"),
        "package": ("AuthenticationPackageName", WORD), "workstation": ("WorkstationName", WORD),
        "win_status": ("Status", WORD), "win_substatus": ("SubStatus", WORD),
        "command_line": ("CommandLine", WORD), "process_guid": ("ProcessGuid", TEXT),
        "parent_guid": ("ParentProcessGuid", TEXT), "integrity": ("IntegrityLevel", WORD),
        "hashes": ("Hashes", TEXT), "parent_command_line": ("ParentCommandLine", WORD),
        "transport": ("Protocol", WORD), "initiated": ("Initiated", WORD),
        "destination_port": ("DestinationPort", "UInt16"), "dns_name": ("QueryName", WORD),
        "query_status": ("QueryStatus", WORD), "target_file": ("TargetFilename", TEXT),
    }
    pairs = [(name, key, kind) for name, (key, kind) in keys.items()]
    also = [
        "SubjectUserName", "User", "IpAddress", "SourceIp", "IpPort", "SourcePort",
        "DestinationIp", "NewProcessName", "Image", "NewProcessId", "ProcessId",
        "ParentProcessName", "ParentImage", "QueryResults",
    ]
    reader = json_of(pairs, {"ts": TIME, "process_guid": GUID, "parent_guid": GUID}, {
        "user_name": "if(`User` != '', `User`, `SubjectUserName`)",
        "source_ip": "toIPv4OrDefault(if(`SourceIp` != '', `SourceIp`, `IpAddress`))",
        "source_port": "toUInt16OrZero(if(`SourcePort` != '', `SourcePort`, `IpPort`))",
        "destination_ip": "toIPv4OrDefault(`DestinationIp`)",
        "image": "if(`Image` != '', `Image`, `NewProcessName`)",
        "process_id": "if(`NewProcessId` != '', `NewProcessId`, `ProcessId`)",
        "parent_id": "if(`NewProcessId` != '', `ProcessId`, '')",
        "parent_image": "if(`ParentImage` != '', `ParentImage`, `ParentProcessName`)",
        "dns_answer": "toIPv4OrDefault(extract(`QueryResults`, '([0-9.]+);'))",
    })
    name, structure = reader["format"]
    reader["format"] = (name, structure + "".join(f", `{key}` String" for key in also))
    return reader


KINDS = {
    "ndjson": dict.fromkeys(["nginx", "app", "firewall", "dns", "sshd"], ndjson_kind()),
    "mixed": {
        "app": app(),
        "windows": windows(),
        "nginx": text(
            r'^(\S+) - - \[([^\]]+)\] "(\S+) (\S+) HTTP/1\.1" (\d+) (\d+) "([^"]*)" "([^"]*)"',
            [("source_ip", IP), ("ts", "parseDateTime({}, '%d/%b/%Y:%H:%i:%s +0000', 'UTC')"),
             ("method", "{}"), ("path", "{}"), ("status", NUMBER), ("body_bytes", NUMBER),
             ("referrer", "{}"), ("agent", "{}")],
        ),
        "firewall": text(
            r'^date=(\S+) time=(\S+) devname="([^"]*)" .* srcip=(\S+) srcport=(\d+) '
            r'srcintf="([^"]*)" dstip=(\S+) dstport=(\d+) dstintf="([^"]*)" sessionid=(\d+) '
            r'proto=(\d+) action="([^"]*)" policyid=(\d+) service="([^"]*)" duration=(\d+) '
            r'sentbyte=(\d+) rcvdbyte=(\d+)',
            [(None, ""), (None, ""), ("host", "{}"), ("source_ip", IP), ("source_port", NUMBER),
             ("from_zone", "{}"), ("destination_ip", IP), ("destination_port", NUMBER),
             ("to_zone", "{}"), ("session", NUMBER), ("transport", "{}"), ("action", "{}"),
             ("policy", NUMBER), ("firewall_service", "{}"), ("duration_s", NUMBER),
             ("source_bytes", NUMBER), ("destination_bytes", NUMBER)],
            {"ts": TIME.format("concat(g[1], ' ', g[2])")},
        ),
        "dns": text(
            r"^<30>1 (\S+) (\S+) dnsmasq (\d+) - - (?:query\[(\S+)\]|reply) (\S+) "
            r"(?:from (\S+)|is (\S+))$",
            [("ts", TIME), ("host", "{}"), ("pid", NUMBER), ("dns_type", "{}"),
             ("dns_name", "{}"), ("source_ip", IP), ("dns_answer", IP)],
        ),
        "sshd": text(
            r"^<86>1 (\S+) (\S+) sshd (\d+) - - (.*)$",
            [("ts", TIME), ("host", "{}"), ("pid", NUMBER)],
            {
                "user_name": r"extract(g[4], '(?:for invalid user|for user|Invalid user|for) (\\S+)')",
                "source_ip": r"toIPv4OrDefault(extract(g[4], '(?:from|by) ([0-9.]+) port'))",
                "source_port": r"toUInt16OrZero(extract(g[4], 'port (\\d+)'))",
            },
        ),
    },
}


def columns(corpus):
    """Name and type of every column, the source first."""
    listed = [(name, kind) for name, kind, _ in NDJSON] if corpus == "ndjson" else MIXED
    return [("source", WORD)] + listed


def insert(table, corpus, kind, path):
    """The statement that fills the table from one kind's file."""
    reader = KINDS[corpus][kind]
    values = {"source": f"'{kind}'", **reader["columns"]}
    names = ", ".join(values)
    selected = ", ".join(f"{value} AS v{at}" for at, value in enumerate(values.values()))
    form, structure = reader["format"]
    structure = structure.replace("\\", "\\\\").replace("'", "\\'")
    head = f"WITH {reader['with']} " if reader["with"] else ""
    return (
        f"INSERT INTO {table} ({names}) {head}"
        f"SELECT {selected} FROM file('{path}', '{form}', '{structure}')"
    )
