//! What names, words and values mean: lists, and nothing that changes.

use std::net::IpAddr;

use pugmark_event::time::Micros;
use pugmark_event::{FieldId, fields};

use crate::time;

/// Longest text that is looked at as a value, in bytes.
const VALUE_BYTES_MAX: usize = 2048;

/// Longest name that is believed to be one, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// An address, IPv4 or IPv6.
    Ip,
    /// An address with a port behind it: `192.0.2.7:443`.
    Endpoint,
    /// Digits alone.
    Number,
    /// A date with a time, or an epoch number.
    Time,
    /// A path of a file.
    Path,
    /// A URL.
    Url,
    /// Anything else.
    Text,
}

impl Shape {
    /// The word that people read.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Ip => "ip",
            Shape::Endpoint => "ip and port",
            Shape::Number => "number",
            Shape::Time => "time",
            Shape::Path => "path",
            Shape::Url => "url",
            Shape::Text => "text",
        }
    }

    /// The shape of one value.
    pub(super) fn of(text: &str, received: Micros) -> Shape {
        let text = text.trim();
        if text.is_empty() || text.len() > VALUE_BYTES_MAX {
            return Shape::Text;
        }
        let is_path = |start: &str| text.starts_with(start) && text.len() > 1;
        if text.parse::<IpAddr>().is_ok() {
            Shape::Ip
        } else if endpoint(text).is_some() {
            Shape::Endpoint
        } else if time::value(text, received).is_some() {
            Shape::Time
        } else if text.bytes().all(|b| b.is_ascii_digit()) {
            Shape::Number
        } else if text.split_once("://").is_some_and(|(scheme, _)| is_word(scheme)) {
            Shape::Url
        } else if is_path("/") || text.get(1..3) == Some(":\\") {
            Shape::Path
        } else {
            Shape::Text
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The address and the port of `192.0.2.7:443`, `[2001:db8::7]:443`.
pub(super) fn endpoint(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once([':', '/'])?;
    // What is small after a slash is the length of a network.
    if text.contains('/') && port.parse::<u16>().is_ok_and(|port| port <= 128) {
        return None;
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_bare = bare.is_some() || !host.contains(':');
    let host = bare.unwrap_or(host);
    let fits = is_bare && host.parse::<IpAddr>().is_ok() && port.parse::<u16>().is_ok();
    fits.then_some((host, port))
}

/// Fields, the shapes that they take, and the names that products give them, in lower case and
/// without what stands between words. Names stand best first.
#[rustfmt::skip]
const NAMES: &[(FieldId, &[Shape], &[&str])] = {
    use Shape::{Endpoint, Ip, Number, Path, Text, Url};
    &[
        (
            fields::SOURCE_IP,
            &[Ip, Endpoint],
            &[
                "sourceip", "srcip", "rip", "sourceipaddress", "sourceaddress", "srcaddr",
                "srcaddress",
                "saddr", "clientip", "clientipaddress", "clientaddress", "clientaddr", "cip",
                "callerip", "calleripaddress", "remoteip", "remoteipaddress", "remoteaddr",
                "remoteaddress", "rhost", "peerip", "peeraddr", "peeraddress", "actorip",
                "actoripaddress", "userip", "loginip", "originip", "fromip", "idorigh", "src",
                "source", "client", "remote", "peer", "remotehost", "clienthost", "xforwardedfor",
                "ipaddress", "ipaddr", "ip", "address", "addr", "from", "host", "externalip",
            ],
        ),
        (
            fields::SOURCE_PORT,
            &[Number],
            &[
                "sourceport", "srcport", "sport", "spt", "clientport", "remoteport", "peerport",
                "rport", "cport", "idorigp", "port",
            ],
        ),
        (
            fields::DESTINATION_IP,
            &[Ip, Endpoint],
            &[
                "destinationip", "dstip", "lip", "destip", "destinationaddress",
                "destinationipaddress",
                "dstaddr", "dstaddress", "daddr", "destaddr", "serverip", "serveraddress",
                "targetip", "targetaddress", "localip", "localaddr", "localaddress", "idresph",
                "dst", "dest", "destination", "server", "target", "to",
            ],
        ),
        (
            fields::DESTINATION_PORT,
            &[Number],
            &[
                "destinationport", "dstport", "destport", "dport", "dpt", "serverport",
                "localport", "lport", "targetport", "idrespp",
            ],
        ),
        (
            fields::USER_NAME,
            &[Text],
            &[
                "username", "user", "usr", "uname", "suser", "login", "loginname",
                "userprincipalname", "subjectusername", "sourceusername", "srcuser", "authuser",
                "remoteuser", "csusername", "accountname", "account", "acct", "actorname",
                "actorlogin", "actoremail", "actor", "useremail", "usrname", "operator", "email",
                "principalname",
                "principalemail", "principal", "performedby", "initiatedby", "caller", "userid",
                "identity", "who", "admin", "ruser", "actoralternateid", "subject",
            ],
        ),
        (fields::USER_ID, &[Number], &["userid", "uid", "auid", "actorid", "user", "accountid"]),
        (
            fields::USER_TARGET_NAME,
            &[Text],
            &[
                "targetuser", "targetusername", "duser", "dstuser", "destinationusername",
                "targetaccount", "affecteduser", "targetlogin",
            ],
        ),
        (
            fields::HOST_NAME,
            &[Text],
            &[
                "hostname", "computername", "computer", "devicename", "devname", "dvchost",
                "machine", "machinename", "nodename", "node", "servername", "agentname",
                "hostidentifier",
            ],
        ),
        (
            fields::SOURCE_HOST,
            &[Text],
            &[
                "sourcehost", "srchost", "shost", "sourcehostname", "clienthostname", "srcname",
                "workstation", "workstationname", "remotehost", "rhost", "clientname",
            ],
        ),
        (
            fields::DESTINATION_HOST,
            &[Text],
            &["destinationhost", "dsthost", "desthost", "dhost", "destinationhostname", "sni"],
        ),
        (fields::HTTP_METHOD, &[Text], &["httpmethod", "requestmethod", "method", "verb"]),
        (
            fields::HTTP_STATUS,
            &[Number],
            &[
                "httpstatuscode", "httpstatus", "statuscode", "responsestatuscode",
                "responsestatus", "responsecode", "scstatus", "status",
            ],
        ),
        (
            fields::URL_ORIGINAL,
            &[Url, Path],
            &["url", "requesturl", "requesturi", "uri", "httpurl", "request", "requestpath"],
        ),
        (
            fields::USER_AGENT,
            &[Text],
            &["useragent", "httpuseragent", "clientuseragent", "rawuseragent", "ua"],
        ),
        (
            fields::FILE_PATH,
            &[Path],
            &["filepath", "filename", "file", "fullpath", "path", "targetfile", "objectname"],
        ),
        (
            fields::PROCESS_EXECUTABLE,
            &[Path],
            &["executable", "exe", "image", "imagepath", "processpath", "process", "processname"],
        ),
        (fields::PROCESS_NAME, &[Text], &["processname", "process", "proc", "comm"]),
        (fields::PROCESS_PID, &[Number], &["pid", "processid"]),
        (
            fields::PROCESS_COMMAND_LINE,
            &[Text, Path],
            &["commandline", "cmdline", "processcommandline", "cmd", "command"],
        ),
        (
            fields::SESSION_ID,
            &[Text, Number],
            &["sessionid", "session", "sessid", "externalsessionid"],
        ),
        (fields::NETWORK_TRANSPORT, &[Text], &["transport", "proto", "protocol"]),
        (
            fields::EVENT_ACTION,
            &[Text],
            &[
                "eventaction", "eventname", "eventtype", "operationname", "operation", "action",
                "actiontype", "activity", "activityname", "event", "act",
            ],
        ),
        (fields::EVENT_CODE, &[Text, Number], &["eventid", "eventcode", "messageid", "msgid"]),
        (
            fields::RULE_NAME,
            &[Text],
            &["rulename", "rule", "policyname", "policy", "signature", "alertname", "threatname"],
        ),
        (
            fields::ERROR_CODE,
            &[Text, Number],
            &["errorcode", "failurereason", "failurecode", "reason"],
        ),
        (fields::DNS_QUESTION, &[Text], &["queryname", "qname", "query"]),
    ]
};

/// How sure a meaning is whose name is listed.
const LISTED: f64 = 0.9;
/// And one of whose name only the end is listed.
const END_LISTED: f64 = 0.7;
/// What one place further down the list takes from it.
const PLACE: f64 = 0.005;

/// The field that a product means by this name when its values look like that, and how sure it is.
pub(super) fn field_of(name: &str, shape: Shape) -> Option<(FieldId, f64)> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let ends = std::iter::successors(Some(name), |rest| Some(rest.split_once('.')?.1));
    ends.zip([LISTED].into_iter().chain(std::iter::repeat(END_LISTED))).find_map(|(end, sure)| {
        let bare = bare(end);
        NAMES.iter().filter(|(_, shapes, _)| shapes.contains(&shape)).find_map(|(id, _, names)| {
            let place = names.iter().position(|name| *name == bare)?;
            Some((other_side(*id, name), sure - PLACE * place as f64))
        })
    })
}

/// What is said of somebody who acted or of where it came from, inside of what was acted on.
fn other_side(id: FieldId, name: &str) -> FieldId {
    const OTHERS: &[&str] = &["target", "object", "destination", "dest", "dst", "server"];
    let is_other = name.rsplit('.').skip(1).any(|part| OTHERS.contains(&bare(part).as_str()));
    match id {
        fields::USER_NAME if is_other => fields::USER_TARGET_NAME,
        fields::SOURCE_IP if is_other => fields::DESTINATION_IP,
        fields::SOURCE_PORT if is_other => fields::DESTINATION_PORT,
        id => id,
    }
}

/// A name in lower case, without what stands between its words.
pub(super) fn bare(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Names that many products use, so that having one says nothing about who wrote the record.
#[rustfmt::skip]
pub(super) const COMMON: &[&str] = &[
    "time", "timestamp", "ts", "date", "datetime", "level", "severity", "msg", "message", "host",
    "hostname", "name", "id", "type", "user", "username", "status", "action", "ip", "port", "pid",
    "event", "source", "src", "dst", "error", "version", "method", "path", "url", "uri", "query",
    "service", "syslogpriority", "syslogfacility", "syslogmsgid", "tag", "logger", "caller",
    "thread", "result", "reason", "code", "proto", "duration", "bytes", "file", "line", "stream",
];

/// Names whose value tells products apart.
#[rustfmt::skip]
const TELLING: &[&str] = &[
    "vendor", "product", "application", "appname", "app", "service", "servicename", "provider",
    "module", "kind", "logtype", "eventsource", "sourcetype", "subsystem", "component", "workload",
];

/// True when the value of this name tells who wrote the record.
pub(super) fn is_telling(name: &str) -> bool {
    let bare = bare(name);
    TELLING.iter().any(|telling| bare.ends_with(telling))
}

/// Words in the names of values that say how something ended, best first.
#[rustfmt::skip]
const OUTCOMES: &[&str] = &[
    "outcome", "success", "result", "disposition", "verdict", "decision", "allowed", "blocked",
    "failed", "status", "state", "response", "action", "eventtype", "eventname", "event",
    "activity", "operation", "error", "type",
];

/// How far down the list the name stands, if its values may say how something ended.
pub(super) fn outcome_rank(name: &str) -> Option<usize> {
    let bare = bare(name.rsplit('.').next().unwrap_or(name));
    OUTCOMES.iter().position(|word| bare.contains(word))
}

/// What a value says of how it ended, under a name that [`outcome_rank`] knows.
pub(super) fn outcome_of(name: &str, value: &str) -> Option<&'static str> {
    let name = bare(name);
    let is_bad = ["fail", "block", "deny", "denied", "error"].iter().any(|bad| name.contains(bad));
    let is_good = ["success", "allowed", "granted", "outcome", "result"];
    let is_truth = is_bad || is_good.iter().any(|good| name.contains(good));
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" if is_truth => Some(if is_bad { FAILURE } else { SUCCESS }),
        "false" | "no" | "0" if is_truth => Some(if is_bad { SUCCESS } else { FAILURE }),
        _ => outcome(words(value).iter().map(String::as_str)),
    }
}

pub(super) const SUCCESS: &str = "success";
pub(super) const FAILURE: &str = "failure";

/// What words say of how it ended; one that failed goes before any that succeeded.
pub(super) fn outcome<'a>(words: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    const BAD: &[&str] = &[
        "fail",
        "denied",
        "deny",
        "denies",
        "refus",
        "invalid",
        "error",
        "reject",
        "block",
        "dropped",
        "unauthori",
        "forbid",
        "incorrect",
        "illegal",
        "disallow",
        "unsuccess",
        "wrong",
        "abort",
        "unknown",
        "unable",
        "lockout",
        "mismatch",
        "prohibit",
    ];
    const BAD_ALONE: &[&str] = &["not", "bad", "drop", "cannot", "locked", "err"];
    const GOOD: &[&str] =
        &["accept", "succe", "grant", "allow", "permit", "complete", "approve", "authenticated"];
    const GOOD_ALONE: &[&str] = &["ok", "pass", "passed", "opened", "authorized", "established"];
    // A word with digits is a name: `fail2ban`.
    let starts = |list: &[&str], word: &str| {
        word.chars().all(char::is_alphabetic) && list.iter().any(|start| word.starts_with(start))
    };
    let mut good = false;
    for word in words {
        if starts(BAD, word) || BAD_ALONE.contains(&word) {
            return Some(FAILURE);
        }
        good |= starts(GOOD, word) || GOOD_ALONE.contains(&word);
    }
    good.then_some(SUCCESS)
}

/// The ECS category that words speak of.
pub(super) fn category<'a>(words: impl Iterator<Item = &'a str> + Clone) -> Option<&'static str> {
    #[rustfmt::skip]
    const CATEGORIES: &[(&str, &[&str])] = &[
        ("malware", &["virus", "malware", "infected", "trojan", "quarantine", "quarantined"]),
        ("authentication", &[
            "login", "logon", "logged", "logout", "signin", "sso", "mfa", "auth", "authentication",
            "authenticated", "authenticate", "password", "publickey", "credentials", "session",
        ]),
        ("iam", &["account", "group", "role", "useradd", "userdel", "usermod", "permission"]),
        ("email", &["mail", "smtp", "mailbox", "recipient", "sender"]),
        ("database", &["sql", "database", "statement", "table"]),
        ("web", &["http", "https", "url", "webserver", "request"]),
        ("file", &["file", "directory", "folder", "upload", "download"]),
        ("network", &[
            "connection", "connect", "connected", "disconnected", "disconnect", "packet", "dns",
            "firewall", "traffic", "tunnel", "listening", "interface", "dhcp", "socket",
        ]),
        ("configuration", &["config", "configuration", "configured", "policy", "setting"]),
        ("process", &["process", "started", "starting", "stopped", "exec", "daemon", "command"]),
    ];
    CATEGORIES
        .iter()
        .find(|(_, list)| words.clone().any(|word| list.contains(&word)))
        .map(|(category, _)| *category)
}

/// Words that are in any sentence and name no deed.
#[rustfmt::skip]
const STOP: &[&str] = &[
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "by", "for", "from", "has", "have",
    "in", "into", "is", "it", "its", "of", "on", "or", "that", "the", "this", "to", "was", "were",
    "while", "will", "with", "port", "user", "host", "via",
];

/// True for a word that a deed may be named after.
pub(super) fn is_content(word: &str) -> bool {
    word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase()) && !STOP.contains(&word)
}

/// The words of a text or a name in lower case: `LoginFailed`, `user.login_failed`.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in text.chars().take(VALUE_BYTES_MAX) {
        let starts = !c.is_alphanumeric() || (c.is_uppercase() && was_lower);
        was_lower = c.is_lowercase();
        if starts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_decide_the_field() {
        for (name, value, expected) in [
            ("srcip", "192.0.2.7", "source.ip"),
            ("client.ip", "2001:db8::7", "source.ip"),
            ("request.Client_IP", "192.0.2.7:80", "source.ip"),
            ("srcip", "anna", ""),
            ("Src-Port", "4711", "source.port"),
            ("userName", "anna", "user.name"),
            ("user", "1001", "user.id"),
            ("user", "192.0.2.7", ""),
            ("rhost", "gate.example", "source.domain"),
            ("target.user.name", "anna", "user.target.name"),
            ("client", "192.0.2.0/24", ""),
            ("client", "192.0.2.7/4711", "source.ip"),
            ("file", "/etc/passwd", "file.path"),
            ("uid2", "1", ""),
        ] {
            let found = field_of(name, Shape::of(value, 0)).map_or("", |(id, _)| id.name());
            assert_eq!(found, expected, "{name} {value}");
        }
    }

    #[test]
    fn words_say_how_it_ended() {
        for (text, expected) in [
            ("Failed password", Some(FAILURE)),
            ("Accepted password", Some(SUCCESS)),
            ("accepted, then failed", Some(FAILURE)),
            ("USER_LOGIN_SUCCESS", Some(SUCCESS)),
            ("LoginUnsuccessful", Some(FAILURE)),
            ("password changed", None),
        ] {
            let words = words(text);
            assert_eq!(outcome(words.iter().map(String::as_str)), expected, "{text}");
        }
        for (name, value, expected) in [
            ("success", "true", Some(SUCCESS)),
            ("blocked", "true", Some(FAILURE)),
            ("status", "true", None),
            ("status", "OK", Some(SUCCESS)),
        ] {
            assert_eq!(outcome_of(name, value), expected, "{name} {value}");
        }
    }
}
