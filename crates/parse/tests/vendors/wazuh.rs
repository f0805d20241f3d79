//! Wazuh's rule tests: whether a line is recognised as a record of the product that wrote it.
//!
//! Each section holds `log N pass = LINE` (or `fail`, which says nothing about the decoder) and
//! `decoder = NAME`. Decoders whose name does not tell the product are looked up with their file.

use crate::event::{Event, entries, name, parser, shared};
use crate::products::{listed, names};
use crate::score::{Row, Score};

/// Per cent of the lines of listed products that are recognised; the project's bar is 70.
const BAR_LISTED_PERCENT: usize = 84;
/// Per cent of all lines, without those that Wazuh made up to test its own rule syntax.
const BAR_ALL_PERCENT: usize = 86;
const LINES_MIN: usize = 350;

/// Decoders of made-up programs: no pack can recognise them.
const MADE_UP: &str = "test_";

struct Meaning {
    /// `file/decoder`; either may be `*`.
    decoder: &'static str,
    product: &'static str,
    /// Packs, as [`names`] takes them.
    packs: &'static [&'static str],
}

const fn means(
    decoder: &'static str,
    product: &'static str,
    packs: &'static [&'static str],
) -> Meaning {
    Meaning { decoder, product, packs }
}

/// The first that fits. What is not here is a product that is not listed; a pack that is called
/// like the decoder recognises it.
const MEANINGS: &[Meaning] = &[
    // The decoder of PostgreSQL takes cPanel's lines by mistake; the file says what they are.
    means("cpanel.ini/*", "cPanel", &["cpanel/*"]),
    means("exim.ini/*", "Exim", &["exim/*", "*/exim"]),
    means("nextcloud.ini/*", "Nextcloud", &["nextcloud/*"]),
    means("owlh.ini/*", "Zeek", &["zeek/*"]),
    means("sysmon.ini/windows", "Sysmon", &["microsoft/*", "*/sysmon"]),
    means("firewalld.ini/*", "firewalld", &["firewalld/*", "*/firewalld"]),
    means("mailscanner.ini/*", "MailScanner", &["mailscanner/*"]),
    means("dovecot.ini/*", "Dovecot", &["dovecot/*"]),
    // `su(pam_unix)` may be told from the program as well as from the module.
    means("*/pam", "sudo/su/PAM", &["*/pam", "pam/*", "*/su", "linux/*", "openssh/sshd"]),
    means("*/su", "sudo/su/PAM", &["*/su", "shadow/*", "*/pam", "pam/*", "linux/*"]),
    means("*/sudo", "sudo/su/PAM", &["sudo/sudo", "*/sudo"]),
    means("*/sshd", "OpenSSH", &["openssh/*", "*/sshd", "*/pam", "pam/*"]),
    means("*/macos-date-format-sshd", "OpenSSH", &["openssh/*", "*/sshd", "*/pam", "pam/*"]),
    // AppArmor writes its audit records through the kernel's log.
    means("*/kernel", "kernel/iptables", &["linux/*", "apparmor/*", "*/kernel"]),
    means("*/systemd", "systemd-journald", &["systemd/*", "*/systemd", "*/journald", "linux/*"]),
    // Which server wrote an access line cannot be told from the line.
    means("*/web-accesslog", "Apache", &["ncsa/*", "apache/*", "nginx/*"]),
    means("*/apache-errorlog", "Apache", &["apache/*", "modsecurity/*"]),
    means("*/nginx-errorlog", "nginx", &["nginx/*", "modsecurity/*"]),
    means("*/web-accesslog-iis-default", "IIS", &["microsoft/iis", "*/iis"]),
    means("*/web-accesslog-iis6", "IIS", &["microsoft/iis", "*/iis"]),
    means("*/squid-accesslog", "Squid", &["squid/*"]),
    means("*/postfix-reject", "Postfix", &["postfix/*"]),
    means("*/named", "BIND and Unbound", &["isc/named", "isc/bind", "*/named", "*/bind"]),
    means("*/openvpn", "OpenVPN", &["openvpn/*"]),
    means("*/checkpoint-smart1", "Check Point", &["checkpoint/*", "check_point/*"]),
    means("*/cisco-asa", "Cisco ASA", &["cisco/asa", "cisco/firepower", "cisco/ftd"]),
    means("*/cisco-ios", "Cisco IOS", &["cisco/ios", "cisco/nxos", "cisco/ldp"]),
    means("*/junos-ids", "Juniper", &["juniper/*"]),
    means("*/junos-rt-flow", "Juniper", &["juniper/*"]),
    // ScreenOS is Juniper's as well.
    means("*/netscreenfw", "Juniper", &["juniper/*"]),
    means("*/paloalto_system", "Palo Alto", &["paloalto/*", "palo_alto/*", "paloaltonetworks/*"]),
    means("*/paloalto_traffic", "Palo Alto", &["paloalto/*", "palo_alto/*", "paloaltonetworks/*"]),
    // The agent's own logs, still called after OSSEC.
    means("*/ar_log", "Wazuh", &["wazuh/*", "ossec/*"]),
    means("*/ossec-logcollector", "Wazuh", &["wazuh/*", "ossec/*"]),
];

struct Line {
    text: String,
    decoder: String,
}

/// The lines of an ini file with the decoder of their section.
fn lines(ini: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending: Vec<String> = Vec::new();
    for row in ini.lines() {
        let (key, value) = row.split_once('=').unwrap_or((row, ""));
        let words: Vec<&str> = key.split_whitespace().collect();
        match words[..] {
            ["log", _, "pass"] => pending.push(value.trim().to_string()),
            ["decoder"] => {
                let decoder = value.trim().to_string();
                lines.extend(pending.drain(..).map(|text| Line { text, decoder: decoder.clone() }));
            }
            // A section without a decoder says nothing about the product.
            _ if row.starts_with('[') => pending.clear(),
            _ => {}
        }
    }
    lines
}

fn meaning(file: &str, decoder: &str) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|meaning| {
        let (of_file, of_decoder) = meaning.decoder.split_once('/').unwrap();
        (of_file == "*" || of_file == file) && (of_decoder == "*" || of_decoder == decoder)
    })
}

/// The pack that read the event: `event.module`, or, for a reader that does not write it, the pack
/// that its log source is called after.
fn recognised(event: &Event, packs: &[&str]) -> bool {
    let module = event.text("event.module");
    if !module.is_empty() {
        return names(packs, &module);
    }
    let (product, service) = (event.text("logsource.product"), event.text("logsource.service"));
    let category = event.text("logsource.category");
    packs.iter().filter_map(|pack| pack.split_once('/')).any(|(of_vendor, of_product)| {
        [&product, &service].iter().any(|name| *name == of_vendor || *name == of_product)
            || (of_vendor == "ncsa" && category == "webserver")
    })
}

#[test]
fn products_are_recognised_as_by_wazuh() {
    let Some(root) = shared("wazuh-ini/tools/rules-testing/tests") else { return };
    let parser = parser();
    let mut score = Score::new("wazuh: lines recognised as the right product", ["lines"]);
    let mut made_up = Score::new("wazuh: lines of made-up programs, never recognised", ["lines"]);
    for path in entries(&root) {
        let file = name(&path);
        for line in lines(&String::from_utf8_lossy(&std::fs::read(&path).unwrap())) {
            let meaning = meaning(file, &line.decoder);
            let own = format!("*/{}", line.decoder);
            let vendor = format!("{}/*", line.decoder);
            let own = [own.as_str(), vendor.as_str()];
            let (product, packs) =
                meaning.map_or((&*line.decoder, &own[..]), |m| (m.product, m.packs));
            // Wazuh's rules are given no name of a source, so neither are the packs.
            let event = Event::read(&parser, &line.text, "wazuh");
            let right = recognised(&event, packs);
            let row = Row { apart: !listed(product), name: product.to_string() };
            let score = if line.decoder.starts_with(MADE_UP) { &mut made_up } else { &mut score };
            score.note(&row, 0, right, file, || {
                format!("{}\n  expected {packs:?}\n  got {}", line.text, event.shown())
            });
        }
    }
    made_up.print();
    score.print();
    check(&score, &made_up);
}

fn check(score: &Score<1>, made_up: &Score<1>) {
    let ([listed], [apart], [unreal]) =
        (score.total(false), score.total(true), made_up.total(true));
    let (right, asserted) = (listed.right + apart.right, listed.asserted + apart.asserted);
    let percent = right * 100 / asserted.max(1);
    #[allow(clippy::print_stderr)] // the score is the purpose
    {
        let of_all = asserted + unreal.asserted;
        eprintln!(
            "ALL LINES {right}/{asserted} {percent} %, made-up programs included {right}/{of_all}"
        );
    }
    assert!(asserted >= LINES_MIN, "only {asserted} lines were found");
    assert!(listed.percent() >= BAR_LISTED_PERCENT, "{} % of listed products", listed.percent());
    assert!(percent >= BAR_ALL_PERCENT, "{percent} % of all lines");
}

#[test]
fn lines_go_with_the_decoder_of_their_section() {
    let ini = "[a]\nlog 1 pass = one=1\nlog 2 pass = two\nlog 3 fail = three\nrule = 1\n\
               decoder = first\n[b]\nlog 1 pass = four\n[c]\nlog 1 pass = five\ndecoder = \n";
    let lines: Vec<(String, String)> =
        lines(ini).into_iter().map(|line| (line.text, line.decoder)).collect();
    let expected = [("one=1", "first"), ("two", "first"), ("five", "")];
    assert_eq!(lines, expected.map(|(text, decoder)| (text.to_string(), decoder.to_string())));
}
