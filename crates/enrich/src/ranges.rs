//! What a range of addresses is for: private, loopback, documentation; a cloud, Tor, a list of the
//! user's. The smallest range around an address counts.
//!
//! Sources: RFC 6890 and IANA's special-purpose registries; for clouds and Tor the lists that they
//! publish, which come in as bytes.

use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;
use serde::Deserialize;

use crate::span::Spans;

/// Most ranges in one list; all clouds together publish a tenth of it.
pub const RANGES_MAX: usize = 1_000_000;
/// Longest label, in bytes; longer ones are cut.
const LABEL_BYTES_MAX: usize = 128;

/// Ranges that a standard sets aside.
const BUILTIN: &[(&str, &str)] = &[
    ("0.0.0.0/8", "unspecified"),         // RFC 791
    ("10.0.0.0/8", "private"),            // RFC 1918
    ("100.64.0.0/10", "carrier_nat"),     // RFC 6598
    ("127.0.0.0/8", "loopback"),          // RFC 1122
    ("169.254.0.0/16", "link_local"),     // RFC 3927
    ("169.254.169.254/32", "metadata"),   // where clouds serve credentials to their machines
    ("172.16.0.0/12", "private"),         // RFC 1918
    ("192.0.0.0/24", "reserved"),         // RFC 6890
    ("192.0.2.0/24", "documentation"),    // RFC 5737
    ("192.88.99.0/24", "reserved"),       // RFC 7526
    ("192.168.0.0/16", "private"),        // RFC 1918
    ("198.18.0.0/15", "benchmark"),       // RFC 2544
    ("198.51.100.0/24", "documentation"), // RFC 5737
    ("203.0.113.0/24", "documentation"),  // RFC 5737
    ("224.0.0.0/4", "multicast"),         // RFC 5771
    ("240.0.0.0/4", "reserved"),          // RFC 1112
    ("255.255.255.255/32", "broadcast"),  // RFC 919
    ("::/128", "unspecified"),            // RFC 4291
    ("::1/128", "loopback"),              // RFC 4291
    ("64:ff9b:1::/48", "private"),        // RFC 8215
    ("100::/64", "reserved"),             // RFC 6666
    ("2001:2::/48", "benchmark"),         // RFC 5180
    ("2001:db8::/32", "documentation"),   // RFC 3849
    ("3fff::/20", "documentation"),       // RFC 9637
    ("fc00::/7", "private"),              // RFC 4193
    ("fd00:ec2::254/128", "metadata"),    // the same in IPv6, Amazon's
    ("fe80::/10", "link_local"),          // RFC 4291
    ("ff00::/8", "multicast"),            // RFC 4291
];

/// Why a list of ranges is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RangesError {
    /// A line is no range.
    #[error("line {line}: `{text}` is no address and no range such as 192.0.2.0/24; correct it")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The start of the line.
        text: String,
    },
    /// The JSON has none of the known forms.
    #[error("this JSON is no list of ranges of AWS, Google or Azure ({0}); give one range a line")]
    Json(String),
    /// A list has too many ranges.
    #[error("the list has more than {RANGES_MAX} ranges; split it or leave the smallest out")]
    TooMany,
}

/// Ranges under a label: `tor`, `aws`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    ranges: Vec<(IpNet, String)>,
}

impl List {
    /// Reads a list: one range or address a line, `#` begins a comment; or the JSON that AWS,
    /// Google and Azure publish. The label of a range with a region is `aws eu-west-1`.
    ///
    /// # Errors
    /// When a line is no range, the JSON is of another form, or there are too many.
    pub fn read(label: &str, bytes: &[u8]) -> Result<List, RangesError> {
        let ranges = match bytes.trim_ascii_start().first() {
            Some(b'{') => json(label, bytes)?,
            _ => lines(label, bytes)?,
        };
        match ranges.len() > RANGES_MAX {
            true => Err(RangesError::TooMany),
            false => Ok(List { ranges }),
        }
    }

    /// Number of ranges.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

fn lines(label: &str, bytes: &[u8]) -> Result<Vec<(IpNet, String)>, RangesError> {
    let label = cut(label);
    let mut ranges = Vec::new();
    for (line, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        let wrong = || RangesError::Line { line, text: text.chars().take(60).collect() };
        ranges.push((range(text).ok_or_else(wrong)?, label.to_string()));
        if ranges.len() > RANGES_MAX {
            return Err(RangesError::TooMany);
        }
    }
    Ok(ranges)
}

fn range(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LABEL_BYTES_MAX)]
}

/// The forms of AWS (`ip-ranges.json`), Google (`cloud.json`) and Azure (`ServiceTags`).
#[derive(Deserialize)]
struct Published {
    #[serde(default)]
    prefixes: Vec<Prefix>,
    #[serde(default)]
    ipv6_prefixes: Vec<Prefix>,
    #[serde(default)]
    values: Vec<Tag>,
}

#[derive(Deserialize)]
struct Prefix {
    #[serde(alias = "ipv6_prefix", alias = "ipv4Prefix", alias = "ipv6Prefix")]
    ip_prefix: IpNet,
    #[serde(default, alias = "scope")]
    region: String,
}

#[derive(Deserialize)]
struct Tag {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    #[serde(default)]
    region: String,
    #[serde(default)]
    address_prefixes: Vec<IpNet>,
}

fn json(label: &str, bytes: &[u8]) -> Result<Vec<(IpNet, String)>, RangesError> {
    let read: Result<Published, _> = serde_json::from_slice(bytes);
    let all = read.map_err(|error| RangesError::Json(error.to_string()))?;
    let named = |region: &str| match region {
        "" | "GLOBAL" | "global" => cut(label).to_string(),
        region => cut(&format!("{label} {region}")).to_string(),
    };
    let prefixes = all.prefixes.into_iter().chain(all.ipv6_prefixes);
    let mut ranges: Vec<_> = prefixes.map(|p| (p.ip_prefix, named(&p.region))).collect();
    for Tag { properties } in all.values {
        let label = named(&properties.region);
        ranges.extend(properties.address_prefixes.into_iter().map(|net| (net, label.clone())));
    }
    // A range is listed for a region and, again, for the whole cloud: the region says more.
    ranges.sort_by_key(|(_, label)| label.len());
    match ranges.is_empty() {
        true => Err(RangesError::Json("it has no ranges".into())),
        false => Ok(ranges),
    }
}

/// Labels by address.
#[derive(Debug, Clone)]
pub struct Ranges {
    v4: Spans<u32>,
    v6: Spans<u128>,
    labels: Vec<String>,
}

impl Ranges {
    /// The ranges that standards set aside and those of the lists. Of equal ranges the last counts.
    pub fn new(lists: &[List]) -> Ranges {
        let builtin = BUILTIN.iter().filter_map(|(net, label)| Some((net.parse().ok()?, *label)));
        let listed = lists.iter().flat_map(|list| &list.ranges);
        let listed = listed.map(|(net, label)| (*net, label.as_str()));
        let (mut v4, mut v6, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut known: HashMap<&str, u32> = HashMap::new();
        for (net, label) in builtin.chain(listed) {
            let value = *known.entry(label).or_insert_with(|| {
                labels.push(label.to_string());
                labels.len() as u32 - 1
            });
            match net {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into(), value)),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into(), value)),
            }
        }
        Ranges { v4: Spans::of(v4), v6: Spans::of(v6), labels }
    }

    /// The label of the smallest range around an address.
    pub fn lookup(&self, address: IpAddr) -> Option<&str> {
        let label = match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.find(v4.into()),
            IpAddr::V6(v6) => self.v6.find(v6.into()),
        };
        Some(self.labels.get(label? as usize)?.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AWS: &str = r#"{"syncToken": "1", "prefixes": [
        {"ip_prefix": "3.5.140.0/22", "region": "ap-northeast-2", "service": "AMAZON"},
        {"ip_prefix": "15.230.0.0/16", "region": "GLOBAL", "service": "AMAZON"}],
        "ipv6_prefixes": [{"ipv6_prefix": "2600:1f00::/24", "region": "us-east-1"}]}"#;
    const GOOGLE: &str = r#"{"creationTime": "x", "prefixes": [
        {"ipv4Prefix": "34.1.208.0/20", "service": "Google Cloud", "scope": "africa-south1"},
        {"ipv6Prefix": "2600:1900:8000::/44", "scope": "us-central1"}]}"#;
    const AZURE: &str = r#"{"cloud": "Public", "values": [
        {"name": "AzureCloud.westeurope", "properties": {"region": "westeurope",
            "addressPrefixes": ["13.69.0.0/17", "2603:1020::/40"]}},
        {"name": "AzureCloud", "properties": {"region": "", "addressPrefixes": ["13.69.0.0/17"]}}]}"#;

    #[track_caller]
    fn check(address: &str, expected: Option<&str>) {
        let lists = [
            List::read("aws", AWS.as_bytes()).unwrap(),
            List::read("google", GOOGLE.as_bytes()).unwrap(),
            List::read("azure", AZURE.as_bytes()).unwrap(),
            List::read("tor", b"# exits\r\n198.96.155.3\r\n\r\n2a0b:f4c2::/40 # range\n").unwrap(),
            List::read("office", b"10.1.0.0/16\n10.1.2.0/24\n").unwrap(),
            List::read("printers", b"10.1.2.128/25\n10.0.0.0/8").unwrap(),
        ];
        let ranges = Ranges::new(&lists);
        assert_eq!(ranges.lookup(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn the_smallest_range_counts() {
        check("8.8.8.8", None);
        check("192.168.1.1", Some("private"));
        check("172.15.255.255", None);
        check("172.31.255.255", Some("private"));
        check("100.64.0.1", Some("carrier_nat"));
        check("169.254.1.1", Some("link_local"));
        check("169.254.169.254", Some("metadata"));
        check("127.0.0.1", Some("loopback"));
        check("::ffff:127.0.0.1", Some("loopback"));
        check("::1", Some("loopback"));
        check("::2", None);
        check("203.0.113.9", Some("documentation"));
        check("2001:db8::1", Some("documentation"));
        check("224.0.0.251", Some("multicast"));
        check("255.255.255.255", Some("broadcast"));
        check("fe80::1", Some("link_local"));
        check("fd12::1", Some("private"));
        check("ff02::1", Some("multicast"));
        check("10.9.9.9", Some("printers"));
        check("10.1.0.1", Some("office"));
        check("10.1.2.1", Some("office"));
        check("10.1.2.129", Some("printers"));
        check("3.5.140.7", Some("aws ap-northeast-2"));
        check("15.230.1.1", Some("aws"));
        check("2600:1f00::1", Some("aws us-east-1"));
        check("34.1.208.1", Some("google africa-south1"));
        check("2600:1900:8000::1", Some("google us-central1"));
        check("13.69.0.1", Some("azure westeurope"));
        check("2603:1020::1", Some("azure westeurope"));
        check("198.96.155.3", Some("tor"));
        check("198.96.155.4", None);
        check("2a0b:f4c2::1", Some("tor"));
    }

    #[test]
    fn ranges_of_the_standards_are_ranges() {
        for (net, _) in BUILTIN {
            let parsed: IpNet = net.parse().unwrap();
            assert_eq!(parsed, parsed.trunc(), "{net}");
        }
    }

    #[test]
    fn a_wrong_list_says_where() {
        let line = |line, text: &str| RangesError::Line { line, text: text.into() };
        for (list, expected) in [
            ("192.0.2.0/24\nexample.org\n", line(2, "example.org")),
            ("192.0.2.0/33", line(1, "192.0.2.0/33")),
            ("{\"prefixes\": []}", RangesError::Json("it has no ranges".into())),
        ] {
            assert_eq!(List::read("x", list.as_bytes()), Err(expected), "{list}");
        }
        let json = List::read("x", br#"{"prefixes": [{"ip_prefix": "x"}]}"#);
        assert!(matches!(json, Err(RangesError::Json(_))));
    }

    proptest! {
        #[test]
        fn any_list_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80),
                                       text in "[0-9./:{}\"a-f\n]{0,60}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                if let Ok(list) = List::read("x", bytes) {
                    Ranges::new(&[list]).lookup(IpAddr::from([192, 0, 2, 1]));
                }
            }
        }
    }
}
