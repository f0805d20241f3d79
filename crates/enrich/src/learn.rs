//! Which events say who has an address: leases, VPN sessions, logons.

use std::net::IpAddr;

use pugmark_event::time::{HOUR, Micros, SECOND};
use pugmark_event::{Batch, fields};
use serde::{Deserialize, Serialize};

use crate::bindings::{Bindings, Role};

/// What one kind of event says. Events that failed say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    /// Values of `event.action`.
    pub actions: Vec<String>,
    /// The field with the address: a registered name or an attribute.
    pub address: String,
    /// What the address has.
    pub role: Role,
    /// The fields with the holder; the first that is there counts. Empty: nobody has the address
    /// any longer.
    #[serde(default)]
    pub holder: Vec<String>,
    /// How long the holder is believed to keep it, in seconds, if nothing else is seen.
    #[serde(default)]
    pub seconds: u32,
    /// Only private addresses: behind a public one there may be many users.
    #[serde(default)]
    pub private: bool,
}

/// Windows' default for a lease; clients renew after half of it.
const LEASE: Micros = 8 * 24 * HOUR;
/// A session over VPN, and a day's work.
const SESSION: Micros = 24 * HOUR;
const LOGON: Micros = 8 * HOUR;

impl Learn {
    /// What the parser packs that come with Pugmark tell.
    pub fn builtin() -> Vec<Learn> {
        let lease = [
            "dhcp_ack",
            "dhcp_lease",
            "dhcp_lease_assigned",
            "dhcp_lease_renewed",
            "dhcp_lease_rebound",
            "dhcp_bootp_assigned",
        ];
        let end =
            ["dhcp_release", "dhcp_lease_released", "dhcp_lease_expired", "dhcp_lease_deleted"];
        let openvpn = ["openvpn_address_assigned", "openvpn_address_learned"];
        let logon = ["login", "ssh_login", "rdp_login", "logon"];
        let new = |actions: &[&str], address: &str, role, holder: &[&str], time: Micros| Learn {
            actions: actions.iter().map(ToString::to_string).collect(),
            address: address.into(),
            role,
            holder: holder.iter().map(ToString::to_string).collect(),
            seconds: (time / SECOND) as u32,
            private: false,
        };
        let user = ["user.target.name", "user.name"];
        vec![
            new(&lease, "source.ip", Role::Host, &["source.domain"], LEASE),
            new(&lease, "source.ip", Role::Mac, &["source.mac"], LEASE),
            new(&end, "source.ip", Role::Host, &[], 0),
            new(&end, "source.ip", Role::Mac, &[], 0),
            new(&["vpn_address_assigned"], "asa.assigned_ip", Role::User, &["user.name"], SESSION),
            new(&openvpn, "openvpn.inner_ip", Role::User, &["user.name"], SESSION),
            Learn { private: true, ..new(&logon, "source.ip", Role::User, &user, LOGON) },
        ]
    }
}

/// Tells `bindings` what the events of a batch say, in their order.
pub(crate) fn learn(rules: &[Learn], batch: &Batch, bindings: &mut Bindings) {
    let Some(actions) = batch.text(fields::EVENT_ACTION) else { return };
    for (row, action) in actions.iter().enumerate() {
        let Some(action) = action else { continue };
        for rule in rules.iter().filter(|rule| rule.actions.iter().any(|a| a == action)) {
            one(rule, batch, row, bindings);
        }
    }
}

fn one(rule: &Learn, batch: &Batch, row: usize, bindings: &mut Bindings) -> Option<()> {
    if value(batch, row, fields::EVENT_OUTCOME.name()) == Some("failure") {
        return None;
    }
    let text = value(batch, row, &rule.address)?;
    let address: IpAddr = text.parse().ok()?;
    // "No address" is written as an address.
    if address.is_unspecified() || (rule.private && !is_private(address)) {
        return None;
    }
    let time = *batch.event_times().get(row)?;
    if rule.holder.is_empty() {
        bindings.release(rule.role, text, time);
        return None;
    }
    let holder = rule.holder.iter().find_map(|name| value(batch, row, name))?;
    // A machine's own account is no user.
    if rule.role == Role::User && holder.ends_with('$') {
        return None;
    }
    let until = time.saturating_add(Micros::from(rule.seconds) * SECOND);
    bindings.learn(rule.role, text, holder, time, until);
    Some(())
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// The text of a column or of an attribute.
fn value<'a>(batch: &'a Batch, row: usize, name: &str) -> Option<&'a str> {
    use arrow::array::Array as _;
    let text = match fields::by_ecs_name(name) {
        Some(id) => batch.text(id).filter(|column| column.is_valid(row))?.value(row),
        None => batch.attributes().get(row, name)?.text(),
    };
    Some(text).filter(|text| !text.is_empty() && *text != "-")
}
