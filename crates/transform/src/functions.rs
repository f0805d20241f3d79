//! Which functions of VRL a transform may call.
//!
//! The same bytes must give the same event today and in a year, on every machine, and a log line
//! must not cost memory without bound. Every function of the library stands in one of two lists,
//! and a test fails when an upgrade brings one that stands in neither: until then it is withheld.

use vrl::compiler::function::{ArgumentList, Compiled, Example, FunctionCompileContext, closure};
use vrl::compiler::state::TypeState;
use vrl::compiler::{Function, Parameter};

/// What a program may call.
pub const OFFERED: &[&str] = &[
    "abs",
    "append",
    "array",
    "assert",
    "assert_eq",
    "basename",
    "bool",
    "camelcase",
    "ceil",
    "chunks",
    "community_id",
    "compact",
    "contains",
    "contains_all",
    "decode_base16",
    "decode_base64",
    "decode_charset",
    "decode_mime_q",
    "decode_percent",
    "decode_punycode",
    "del",
    "dirname",
    "downcase",
    "encode_base16",
    "encode_base64",
    "encode_csv",
    "encode_json",
    "encode_key_value",
    "encode_logfmt",
    "encode_percent",
    "encode_punycode",
    "ends_with",
    "exists",
    "filter",
    "find",
    "flatten",
    "float",
    "floor",
    "for_each",
    "format_int",
    "format_number",
    "format_timestamp",
    "from_entries",
    "from_unix_timestamp",
    "get",
    "haversine",
    "includes",
    "int",
    "ip_aton",
    "ip_cidr_contains",
    "ip_ntoa",
    "ip_ntop",
    "ip_pton",
    "ip_subnet",
    "ip_to_ipv6",
    "ipv6_to_ipv4",
    "is_array",
    "is_boolean",
    "is_empty",
    "is_float",
    "is_integer",
    "is_ipv4",
    "is_ipv6",
    "is_json",
    "is_null",
    "is_nullish",
    "is_object",
    "is_regex",
    "is_string",
    "is_timestamp",
    "join",
    "kebabcase",
    "keys",
    "length",
    "map_keys",
    "map_values",
    "match",
    "match_any",
    "match_array",
    "merge",
    "mod",
    "object",
    "object_from_array",
    "parse_apache_log",
    "parse_aws_alb_log",
    "parse_aws_cloudwatch_log_subscription_message",
    "parse_aws_vpc_flow_log",
    "parse_bytes",
    "parse_cef",
    "parse_common_log",
    "parse_csv",
    "parse_duration",
    "parse_float",
    "parse_glog",
    "parse_influxdb",
    "parse_int",
    "parse_json",
    "parse_key_value",
    "parse_logfmt",
    "parse_nginx_log",
    "parse_query_string",
    "parse_regex",
    "parse_regex_all",
    "parse_timestamp",
    "parse_tokens",
    "parse_url",
    "parse_user_agent",
    "parse_xml",
    "pascalcase",
    "pop",
    "push",
    "redact",
    "remove",
    "replace",
    "round",
    "screamingsnakecase",
    "shannon_entropy",
    "sieve",
    "slice",
    "snakecase",
    "split",
    "split_path",
    "starts_with",
    "string",
    "strip_ansi_escape_codes",
    "strip_whitespace",
    "strlen",
    "tally",
    "tally_value",
    "timestamp",
    "to_bool",
    "to_entries",
    "to_float",
    "to_int",
    "to_string",
    "to_syslog_facility",
    "to_syslog_facility_code",
    "to_syslog_level",
    "to_syslog_severity",
    "to_unix_timestamp",
    "truncate",
    "unique",
    "unnest",
    "upcase",
    "uuid_from_friendly_id",
    "values",
    "zip",
];

const CLOCK: &str = "it reads the clock: the same record would give another event tomorrow";
const CHANCE: &str = "its result is random: the same record would give another event each time";
const OUTSIDE: &str = "a transform sees the event alone: no environment, no files, no network";
const BOMB: &str = "a small record could become gigabytes";
const DEEP: &str = "a log line could nest its values without bound";
const BACKTRACKS: &str = "it backtracks: a log line could keep it busy for ever; use parse_regex";
const COSTLY: &str = "a log line could decide how much it costs";
const NO_FIELD: &str = "its result is no text that a field could hold";
const KEYS: &str = "a transform holds no keys";

/// What it may not, and why.
pub const WITHHELD: &[(&str, &str)] = &[
    ("now", CLOCK),
    ("parse_klog", CLOCK),
    ("parse_linux_authorization", CLOCK),
    ("parse_syslog", CLOCK),
    ("uuid_v7", CLOCK),
    ("random_bool", CHANCE),
    ("random_bytes", CHANCE),
    ("random_float", CHANCE),
    ("random_int", CHANCE),
    ("uuid_v4", CHANCE),
    ("dns_lookup", OUTSIDE),
    ("get_env_var", OUTSIDE),
    ("get_hostname", OUTSIDE),
    ("get_timezone_name", OUTSIDE),
    ("http_request", OUTSIDE),
    ("log", OUTSIDE),
    ("reverse_dns", OUTSIDE),
    ("parse_etld", OUTSIDE),
    ("parse_proto", OUTSIDE),
    ("encode_proto", OUTSIDE),
    ("validate_json_schema", OUTSIDE),
    ("decode_gzip", BOMB),
    ("decode_lz4", BOMB),
    ("decode_snappy", BOMB),
    ("decode_zlib", BOMB),
    ("decode_zstd", BOMB),
    ("parse_yaml", BOMB),
    ("range", BOMB),
    ("replace_with", BOMB),
    ("parse_cbor", DEEP),
    ("parse_ruby_hash", DEEP),
    ("set", DEEP),
    ("unflatten", DEEP),
    ("tag_types_externally", DEEP),
    ("parse_grok", BACKTRACKS),
    ("parse_groks", BACKTRACKS),
    ("match_datadog_query", COSTLY),
    ("to_regex", COSTLY),
    ("type_def", NO_FIELD),
    ("encode_charset", NO_FIELD),
    ("encode_gzip", NO_FIELD),
    ("encode_lz4", NO_FIELD),
    ("encode_snappy", NO_FIELD),
    ("encode_zlib", NO_FIELD),
    ("encode_zstd", NO_FIELD),
    ("encrypt", KEYS),
    ("encrypt_ip", KEYS),
    ("decrypt", KEYS),
    ("decrypt_ip", KEYS),
    ("hmac", KEYS),
];

/// The functions of the library that are offered.
pub(crate) fn offered() -> Vec<Box<dyn Function>> {
    vrl::stdlib::all()
        .into_iter()
        .filter(|function| OFFERED.contains(&function.identifier()))
        .map(|function| match function.identifier() {
            "replace" => Box::new(Fixed { inner: function, keyword: "with" }) as Box<dyn Function>,
            _ => function,
        })
        .collect()
}

/// Why a function is withheld; `None` for one that is offered or does not exist.
pub(crate) fn withheld(name: &str) -> Option<&'static str> {
    WITHHELD.iter().find(|(withheld, _)| *withheld == name).map(|(_, why)| *why)
}

/// A function one of whose arguments must be known before it runs: where a record gives both what
/// is replaced and what it is replaced with, the result grows with the square of its size.
#[derive(Debug)]
struct Fixed {
    inner: Box<dyn Function>,
    keyword: &'static str,
}

impl Function for Fixed {
    fn identifier(&self) -> &'static str {
        self.inner.identifier()
    }

    fn usage(&self) -> &'static str {
        self.inner.usage()
    }

    fn category(&self) -> &'static str {
        self.inner.category()
    }

    fn return_kind(&self) -> u16 {
        self.inner.return_kind()
    }

    fn examples(&self) -> &'static [Example] {
        self.inner.examples()
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.inner.parameters()
    }

    fn closure(&self) -> Option<closure::Definition> {
        self.inner.closure()
    }

    fn compile(
        &self,
        state: &TypeState,
        ctx: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        arguments.required_literal(self.keyword, state)?;
        self.inner.compile(state, ctx, arguments)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_function_of_the_library_is_offered_or_withheld() {
        let both = OFFERED.iter().copied().chain(WITHHELD.iter().map(|(name, _)| *name));
        let mut listed = BTreeSet::new();
        for name in both {
            assert!(listed.insert(name), "{name} is listed twice");
        }
        let library = vrl::stdlib::all();
        let library: BTreeSet<&str> = library.iter().map(|f| f.identifier()).collect();
        let unknown: Vec<_> = library.difference(&listed).collect();
        assert!(unknown.is_empty(), "decide on {unknown:?}: clock, chance, outside, memory, time?");
        let gone: Vec<_> = OFFERED.iter().filter(|name| !library.contains(*name)).collect();
        assert!(gone.is_empty(), "{gone:?} are offered, but there are none");
    }
}
