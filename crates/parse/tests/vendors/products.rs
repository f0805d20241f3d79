//! The products that count towards the bars, and how a pack is recognised as one of them.

/// A case of any other product is printed apart.
pub(crate) const LISTED: &[&str] = &[
    "1Password",
    "AWS CloudTrail",
    "AWS GuardDuty",
    "AWS S3 access",
    "AWS VPC Flow",
    "Apache",
    "Azure and Entra",
    "BIND and Unbound",
    "Caddy",
    "Check Point",
    "Cisco ASA",
    "Cisco IOS",
    "Cloudflare",
    "Docker",
    "Dovecot",
    "EDR JSON",
    "ELB/ALB",
    "Falco",
    "Fortinet",
    "GCP audit",
    "GitHub audit",
    "GitLab",
    "Google Workspace",
    "HAProxy",
    "IIS",
    "ISC DHCP",
    "Juniper",
    "Keycloak",
    "Kubernetes audit",
    "Linux auditd",
    "Microsoft 365",
    "MikroTik",
    "MongoDB",
    "MySQL",
    "Nextcloud",
    "Okta",
    "OpenSSH",
    "OpenVPN",
    "Palo Alto",
    "Postfix",
    "PostgreSQL",
    "Redis",
    "Slack audit",
    "Snort",
    "Squid",
    "Suricata EVE",
    "Sysmon",
    "Traefik",
    "Vault",
    "Wazuh",
    "Windows Defender",
    "Windows PowerShell",
    "Windows Security",
    "Windows System",
    "WireGuard",
    "WordPress",
    "Zeek",
    "containerd",
    "cron",
    "dnsmasq",
    "kernel/iptables",
    "nginx",
    "osquery",
    "pfSense/OPNsense",
    "sudo/su/PAM",
    "systemd-journald",
];

pub(crate) fn listed(product: &str) -> bool {
    LISTED.contains(&product)
}

/// True if a pack, `vendor/product`, is one of those meant: `cisco/asa` names one, `cisco/*` all of
/// a vendor and `*/asa` one of any vendor.
pub(crate) fn names(meant: &[&str], pack: &str) -> bool {
    let Some((vendor, product)) = pack.split_once('/') else { return false };
    meant.iter().filter_map(|one| one.split_once('/')).any(|(of_vendor, of_product)| {
        (of_vendor == "*" || of_vendor == vendor) && (of_product == "*" || of_product == product)
    })
}

#[test]
fn a_pack_is_named_in_full_or_by_either_half() {
    for (meant, pack, expected) in [
        ("cisco/asa", "cisco/asa", true),
        ("cisco/asa", "cisco/ios", false),
        ("cisco/*", "cisco/ios", true),
        ("*/sshd", "openssh/sshd", true),
        ("*/sshd", "openssh/sftp", false),
        ("*/sshd", "", false),
    ] {
        assert_eq!(names(&[meant], pack), expected, "{meant} {pack}");
    }
}
