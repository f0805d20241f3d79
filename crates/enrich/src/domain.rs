//! Names of domains: the part that somebody registered, and what they put before it.
//!
//! `www.shop.example.co.uk` is `www.shop` of `example.co.uk`, since `co.uk` is a public suffix.
//! Source: the Public Suffix List, compiled into the `psl` crate. The last label of a name that the
//! list does not know is its suffix, so `db1.corp.internal` is `db1` of `corp.internal`.

use std::net::IpAddr;

/// Longest name, in bytes (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
/// Longest label, in bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// A name taken apart, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    name: String,
    /// Where the registered domain begins.
    registered: usize,
    /// Where the public suffix begins.
    suffix: usize,
}

impl Domain {
    /// Takes a name apart, with or without a dot at its end. `None` for addresses, for a public
    /// suffix alone, for a single label, and for what is no name.
    pub fn of(name: &str) -> Option<Domain> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let label = |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len());
        let is_name = name.len() <= NAME_BYTES_MAX
            && name.split('.').all(label)
            && !name.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || b == b'/');
        if !is_name || name.parse::<IpAddr>().is_ok() {
            return None;
        }
        let name = name.to_lowercase();
        let domain = psl::domain(name.as_bytes())?;
        let registered = name.len().checked_sub(domain.as_bytes().len())?;
        let suffix = name.len().checked_sub(domain.suffix().as_bytes().len())?;
        let cuts = name.is_char_boundary(registered) && name.is_char_boundary(suffix);
        cuts.then_some(Domain { name, registered, suffix })
    }

    /// What somebody registered: `example.co.uk`.
    pub fn registered(&self) -> &str {
        &self.name[self.registered..]
    }

    /// What they put before it: `www.shop`.
    pub fn subdomain(&self) -> Option<&str> {
        self.name[..self.registered].strip_suffix('.').filter(|name| !name.is_empty())
    }

    /// The public suffix: `co.uk`.
    pub fn suffix(&self) -> &str {
        &self.name[self.suffix..]
    }
}

/// The host in a URL with a scheme: `https://user@www.example.org:8443/x` has `www.example.org`.
pub fn host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.is_empty()
        || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    {
        return None;
    }
    // Browsers read a backslash as a slash; what hides there is not the host.
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<(&str, Option<&str>, &str)>) {
        let domain = Domain::of(name);
        let found = domain.as_ref().map(|d| (d.registered(), d.subdomain(), d.suffix()));
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn a_name_is_taken_apart() {
        check("www.example.com", Some(("example.com", Some("www"), "com")));
        check("WWW.Example.COM.", Some(("example.com", Some("www"), "com")));
        check("example.com", Some(("example.com", None, "com")));
        check("a.b.example.co.uk", Some(("example.co.uk", Some("a.b"), "co.uk")));
        check("x.github.io", Some(("x.github.io", None, "github.io")));
        check("www.ck", Some(("www.ck", None, "ck")));
        check("a.b.c.ck", Some(("b.c.ck", Some("a"), "c.ck")));
        check("db1.corp.internal", Some(("corp.internal", Some("db1"), "internal")));
        check("_ldap._tcp.example.org", Some(("example.org", Some("_ldap._tcp"), "org")));
        check("www.食狮.中国", Some(("食狮.中国", Some("www"), "中国")));
        check(
            "www.xn--85x722f.xn--fiqs8s",
            Some(("xn--85x722f.xn--fiqs8s", Some("www"), "xn--fiqs8s")),
        );
    }

    #[test]
    fn what_has_no_registered_domain_has_none() {
        let long = format!("{}.com", "a".repeat(64));
        let longer = format!("{}com", "a.".repeat(130));
        for name in [
            "",
            ".",
            "com",
            "co.uk",
            "localhost",
            "192.0.2.1",
            "::1",
            "a..com",
            ".example.com",
            &long,
            &longer,
            "a b.com",
            "example.com/x",
            "x\n.com",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn hosts_of_urls() {
        for (url, expected) in [
            ("https://www.example.org/x?y", Some("www.example.org")),
            ("http://user:secret@example.org:8080", Some("example.org")),
            ("http://good.example\\@evil.example/", Some("good.example")),
            ("http://a@b@example.org#x", Some("example.org")),
            ("https://[2001:db8::1]:443/", Some("2001:db8::1")),
            ("/path?u=http://example.org", None),
            ("example.org", None),
            ("http:///x", None),
            ("://x", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_make_the_name(name in "[a-zA-Z0-9.é食_ -]{0,40}|\\PC{0,20}") {
            host(&name);
            if let Some(domain) = Domain::of(&name) {
                let whole = match domain.subdomain() {
                    Some(below) => format!("{below}.{}", domain.registered()),
                    None => domain.registered().to_string(),
                };
                prop_assert_eq!(&whole, &name.strip_suffix('.').unwrap_or(&name).to_lowercase());
                let suffix = format!(".{}", domain.suffix());
                prop_assert!(domain.registered().ends_with(&suffix));
            }
        }
    }
}
