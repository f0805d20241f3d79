//! Access logs of web servers: the common and the combined format, as Apache and nginx write them
//! (httpd.apache.org/docs/2.4/logs.html), with an optional virtual host in front.

use std::borrow::Cow;

use pugmark_event::fields;
use pugmark_event::value::exact_address;

use super::{Context, Format, closing_quote, cut_at, cut_at_last};
use crate::found::{Found, Val};
use crate::time;

/// The bracket with the time starts within this many bytes, else it is no access log.
const HEAD_BYTES_MAX: usize = 512;

pub(crate) const FORMAT: Format = Format { name: "access", looks, read };

fn looks(record: &[u8]) -> bool {
    let head = &record[..record.len().min(HEAD_BYTES_MAX)];
    time_at(head).is_some()
}

/// Where ` [dd/Mon/yyyy:` starts.
fn time_at(head: &[u8]) -> Option<usize> {
    let brackets = memchr::memchr_iter(b'[', head).filter_map(|at| at.checked_sub(1));
    brackets.filter(|at| head[*at] == b' ').find(|at| {
        matches!(head.get(at + 2..at + 14),
            Some([a, b, b'/', _, _, _, b'/', _, _, _, _, b':'])
                if a.is_ascii_digit() && b.is_ascii_digit())
            || matches!(head.get(at + 2..at + 13),
                Some([a, b'/', _, _, _, b'/', _, _, _, _, b':']) if a.is_ascii_digit())
    })
}

fn read<'a>(record: &'a str, _: &Context<'_>) -> Option<Found<'a>> {
    let head = &record.as_bytes()[..record.len().min(HEAD_BYTES_MAX)];
    let at = time_at(head)?;
    let mut found = Found::of_line("access");
    client(&record[..at], &mut found)?;
    let rest = &record[at + 2..];
    let (stamp, used) = time::clf(rest.as_bytes())?;
    found.stamp = Some(stamp);
    let rest = rest.get(used..)?.strip_prefix(']')?.trim_start_matches(' ');
    let (line, rest) = quoted(rest)?;
    request(line, &mut found);
    let rest = rest.trim_start_matches(' ');
    let (status, rest) = cut_at(rest, b' ').unwrap_or((rest, ""));
    if !status.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    number(fields::HTTP_STATUS, status, &mut found);
    let (bytes, rest) = cut_at(rest, b' ').unwrap_or((rest, ""));
    number(fields::HTTP_BYTES, bytes, &mut found);
    agents(rest, &mut found);
    Some(found)
}

fn number<'a>(id: pugmark_event::FieldId, text: &'a str, found: &mut Found<'a>) {
    if !text.is_empty() && text != "-" {
        found.fields.push((id, Val::Number(Cow::Borrowed(text))));
    }
}

/// `[vhost] client ident user`; a user name may hold blanks, and some servers leave parts out.
fn client<'a>(head: &'a str, found: &mut Found<'a>) -> Option<()> {
    let (mut clients, mut rest) = chain(head);
    let others = || rest.split(' ').filter(|t| !t.is_empty()).count();
    let mut known = address(clients);
    if known.is_none() && others() > 2 {
        virtual_host(clients, found);
        (clients, rest) = chain(rest);
        known = address(clients);
    }
    let (first, _) = cut_at(clients, b',').unwrap_or((clients, ""));
    match known {
        _ if first.is_empty() => return None,
        Some(address) => found.field(fields::SOURCE_IP, address),
        None => found.field(fields::SOURCE_HOST, first),
    }
    if first.len() < clients.len() {
        found.attribute("http.forwarded_for", clients);
    }
    let rest = rest.trim_matches(' ');
    let (ident, user) = cut_at(rest, b' ').unwrap_or((rest, ""));
    found.attribute("http.ident", ident);
    // Everything to the end: a user name may hold blanks.
    let user = user.trim_start_matches(' ').trim_end();
    found.field(fields::USER_NAME, user.trim_matches('"'));
    Some(())
}

/// The first address of a client and its proxies.
fn address(clients: &str) -> Option<&str> {
    let is_address =
        |text: &str| exact_address(text).is_some() || text.parse::<std::net::IpAddr>().is_ok();
    match cut_at(clients, b',') {
        None => Some(clients).filter(|text| is_address(text)),
        Some(_) => clients.split(',').map(str::trim).find(|text| is_address(text)),
    }
}

/// The client, and behind commas the proxies on its way, where a server writes the header
/// `X-Forwarded-For`; and the rest.
fn chain(head: &str) -> (&str, &str) {
    let head = head.trim_start_matches(' ');
    let mut end = memchr::memchr(b' ', head.as_bytes()).unwrap_or(head.len());
    while head[..end].ends_with(',') {
        let next = head[end..].trim_start_matches(' ');
        if next.is_empty() {
            break;
        }
        end = head.len() - next.len() + next.find(' ').unwrap_or(next.len());
    }
    head.split_at(end)
}

/// `shop.example` or `shop.example:443`.
fn virtual_host<'a>(name: &'a str, found: &mut Found<'a>) {
    match name.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            found.field(fields::DESTINATION_HOST, name);
            number(fields::DESTINATION_PORT, port, found);
        }
        _ => found.field(fields::DESTINATION_HOST, name),
    }
}

/// A quoted text in which `\` hides the next byte; returns it still escaped, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let end = closing_quote(inner.as_bytes())?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// `GET /path?query HTTP/1.1`; what is no request line is kept as it is.
fn request<'a>(line: &'a str, found: &mut Found<'a>) {
    let is_method =
        |m: &str| (2..=32).contains(&m.len()) && m.bytes().all(|b| b.is_ascii_alphabetic());
    let Some((method, rest)) = cut_at(line, b' ').filter(|(m, _)| is_method(m)) else {
        return found.attribute("http.request.line", line);
    };
    found.field(fields::HTTP_METHOD, method);
    let url = match cut_at_last(rest, b' ') {
        Some((url, version)) if version.starts_with("HTTP/") => {
            found.attribute("http.version", &version[5..]);
            url
        }
        _ => rest,
    };
    found.field(fields::URL_ORIGINAL, url);
    let (path, query) = match cut_at(url, b'?') {
        Some((path, query)) => (path, query),
        None => (url, ""),
    };
    if let Some(path) = path_of(path) {
        found.field(fields::URL_PATH, path);
    }
    found.field(fields::URL_QUERY, query);
}

/// The path of a URL in origin or absolute form (RFC 9112 section 3.2).
fn path_of(url: &str) -> Option<&str> {
    if url.starts_with('/') || url == "*" {
        return Some(url);
    }
    let (_, rest) = url.split_once("://")?;
    Some(rest.find('/').map_or("/", |at| &rest[at..]))
}

/// `"referer" "agent"` of the combined format; more than that is kept as it is.
fn agents<'a>(rest: &'a str, found: &mut Found<'a>) {
    let Some((referrer, after)) = quoted(rest.trim_start_matches(' ')) else {
        return found.attribute("http.extra", rest.trim());
    };
    found.field(fields::HTTP_REFERRER, referrer);
    let Some((agent, after)) = quoted(after.trim_start_matches(' ')) else {
        return found.attribute("http.extra", after.trim());
    };
    found.field(fields::USER_AGENT, agent);
    found.attribute("http.extra", after.trim());
}
