//! How each product writes one line.

use super::stamp::Stamp;

/// Facility and severity of a syslog record, as its priority number (RFC 5424, 6.2.1).
#[derive(Clone, Copy)]
pub(super) enum Priority {
    /// authpriv.info
    Login = 86,
    /// authpriv.notice
    Sudo = 85,
    /// cron.info
    Cron = 78,
    /// daemon.info
    Daemon = 30,
}

/// A record of RFC 5424.
pub(super) fn syslog(
    at: Stamp,
    priority: Priority,
    host: &str,
    tag: &str,
    pid: i64,
    text: &str,
) -> String {
    let pid = if pid > 0 { pid.to_string() } else { "-".into() };
    format!("<{}>1 {} {host} {tag} {pid} - - {text}", priority as u8, at.rfc3339())
}

/// A request as nginx writes it in the combined format.
pub(super) struct Request<'a> {
    pub(super) address: &'a str,
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) status: i64,
    pub(super) bytes: i64,
    pub(super) referrer: &'a str,
    pub(super) agent: &'a str,
}

impl Request<'_> {
    /// The line of the access log.
    pub(super) fn line(&self, at: Stamp) -> String {
        let Request { address, method, url, status, bytes, referrer, agent } = self;
        let time = at.access_log();
        format!(
            "{address} - - [{time}] \"{method} {url} HTTP/1.1\" {status} {bytes} \"{referrer}\" \
             \"{agent}\""
        )
    }
}

/// A JSON object: numbers stay numbers, everything else is text.
pub(super) fn json(fields: &[(&str, &str)]) -> String {
    let mut line = String::from("{");
    for (i, (key, value)) in fields.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        line.push_str(&format!("{comma}{}:{}", quoted(key), number_or_text(value)));
    }
    line.push('}');
    line
}

fn number_or_text(value: &str) -> String {
    let plain = !value.is_empty()
        && value.len() < 16
        && value.bytes().all(|b| b.is_ascii_digit())
        && (value == "0" || !value.starts_with('0'));
    if plain { value.to_string() } else { quoted(value) }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A line of the shop's own log.
pub(super) fn shop(at: Stamp, level: &str, message: &str, fields: &[(&str, &str)]) -> String {
    let time = at.rfc3339();
    let mut all = vec![
        ("time", time.as_str()),
        ("level", level),
        ("msg", message),
        ("host", "app1"),
        ("service.name", "shop"),
    ];
    all.extend_from_slice(fields);
    json(&all)
}

/// Where a Windows event was written.
#[derive(Clone, Copy)]
pub(super) enum Channel {
    /// The Security log.
    Security,
    /// Sysmon.
    Sysmon,
}

/// A Windows event as a shipper forwards it: flat JSON with the native names.
pub(super) fn windows(
    at: Stamp,
    channel: Channel,
    host: &str,
    event: i64,
    fields: &[(&str, &str)],
) -> String {
    let (channel, provider) = match channel {
        Channel::Security => ("Security", "Microsoft-Windows-Security-Auditing"),
        Channel::Sysmon => ("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon"),
    };
    let (time, event) = (at.rfc3339(), event.to_string());
    let computer = format!("{host}.northwind.example");
    let mut all = vec![
        ("TimeCreated", time.as_str()),
        ("EventID", event.as_str()),
        ("Channel", channel),
        ("Provider_Name", provider),
        ("Computer", computer.as_str()),
    ];
    all.extend_from_slice(fields);
    json(&all)
}

/// One session as the firewall sees it.
pub(super) struct Flow<'a> {
    pub(super) source: &'a str,
    pub(super) source_port: i64,
    pub(super) destination: &'a str,
    pub(super) port: i64,
    /// IP protocol number: 6 for TCP, 17 for UDP.
    pub(super) protocol: i64,
    pub(super) action: &'a str,
    pub(super) policy: i64,
    pub(super) seconds: i64,
    pub(super) sent_bytes: i64,
    pub(super) received_bytes: i64,
}

impl Flow<'_> {
    /// The line of the firewall's traffic log.
    pub(super) fn line(&self, at: Stamp) -> String {
        let level = if self.action == "deny" { "warning" } else { "notice" };
        let id = if self.action == "deny" { "0000000014" } else { "0000000013" };
        format!(
            "date={} time={} tz=\"+0000\" devname=\"fw1\" devid=\"FGT40FTK00000001\" \
             logid=\"{id}\" type=\"traffic\" subtype=\"forward\" level=\"{level}\" vd=\"root\" \
             srcip={} srcport={} dstip={} dstport={} proto={} action=\"{}\" policyid={} \
             duration={} sentbyte={} rcvdbyte={}",
            at.date(),
            at.clock(),
            self.source,
            self.source_port,
            self.destination,
            self.port,
            self.protocol,
            self.action,
            self.policy,
            self.seconds,
            self.sent_bytes,
            self.received_bytes
        )
    }
}

/// A record of the Linux audit system. `node` names the host, as auditd does when its records are
/// collected from several.
pub(super) fn audit(at: Stamp, node: &str, kind: &str, serial: i64, rest: &str) -> String {
    format!("node={node} type={kind} msg=audit({}:{serial}): {rest}", at.epoch())
}

/// The arguments of an EXECVE record; what is not plain goes in hexadecimal, as the kernel does.
pub(super) fn arguments(words: &[&str]) -> String {
    let mut line = format!("argc={}", words.len());
    for (i, word) in words.iter().enumerate() {
        if word.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
            line.push_str(&format!(" a{i}=\"{word}\""));
        } else {
            let hex: String = word.bytes().map(|b| format!("{b:02X}")).collect();
            line.push_str(&format!(" a{i}={hex}"));
        }
    }
    line
}
