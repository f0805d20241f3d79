//! People at their desks: name look-ups, connections, Windows logons and programs.

use super::super::company::{DOMAIN, PEOPLE, Person, SITES};
use super::super::lines::{Channel, windows};
use super::super::random::Random;
use super::super::{DAY, Day, HOUR, MINUTE, SECOND};
use super::{browse, resolve};

const DOMAIN_NAME: &str = "NORTHWIND";

/// Writes the working day of everybody, and what the computers do by themselves.
pub(super) fn write(day: &mut Day, random: &mut Random) {
    for person in PEOPLE {
        let from = person.from * HOUR + random.between(-20, 20) * MINUTE;
        let until = from + person.hours * HOUR;
        arrive(day, random, person, from);
        let mut at = from;
        while at < until {
            at += random.between(10, 110) * SECOND;
            act(day, random, person, at);
        }
        computer_alone(day, random, person);
    }
    new_colleague(day);
}

/// One thing that a person does: mostly a page, now and then a program or a file.
fn act(day: &mut Day, random: &mut Random, person: &Person, at: i64) {
    match random.between(0, 10) {
        0 | 1 => program(day, random, person, at),
        2 => logon_to_server(day, random, person, at),
        _ => browse(day, random, at, person.address),
    }
}

fn arrive(day: &mut Day, random: &mut Random, person: &Person, at: i64) {
    if random.chance(30) {
        day.add(at - 9 * SECOND, "windows", |t| {
            let fields = [
                ("TargetUserName", person.user),
                ("TargetDomainName", DOMAIN_NAME),
                ("LogonType", "2"),
                ("IpAddress", "127.0.0.1"),
                ("Status", "0xc000006d"),
                ("SubStatus", "0xc000006a"),
            ];
            windows(t, Channel::Security, person.workstation, 4625, &fields)
        });
    }
    day.add(at, "windows", |t| {
        let fields = [
            ("TargetUserName", person.user),
            ("TargetDomainName", DOMAIN_NAME),
            ("TargetLogonId", "0x3e7a1"),
            ("LogonType", "2"),
            ("LogonProcessName", "User32 "),
            ("IpAddress", "127.0.0.1"),
        ];
        windows(t, Channel::Security, person.workstation, 4624, &fields)
    });
}

fn logon_to_server(day: &mut Day, random: &mut Random, person: &Person, at: i64) {
    let port = random.between(49_152, 65_536).to_string();
    let logon = format!("0x{}", random.hex(6));
    day.add(at, "windows", |t| {
        let fields = [
            ("TargetUserName", person.user),
            ("TargetDomainName", DOMAIN_NAME),
            ("TargetLogonId", logon.as_str()),
            ("LogonType", "3"),
            ("AuthenticationPackageName", "Kerberos"),
            ("WorkstationName", person.workstation),
            ("IpAddress", person.address),
            ("IpPort", port.as_str()),
        ];
        windows(t, Channel::Security, DOMAIN.0, 4624, &fields)
    });
    day.add(at + random.between(5, 300) * SECOND, "windows", |t| {
        let fields = [
            ("TargetUserName", person.user),
            ("TargetDomainName", DOMAIN_NAME),
            ("TargetLogonId", logon.as_str()),
            ("LogonType", "3"),
        ];
        windows(t, Channel::Security, DOMAIN.0, 4634, &fields)
    });
}

fn program(day: &mut Day, random: &mut Random, person: &Person, at: i64) {
    let program = random.favour(person.programs);
    let command = format!("\"{}\" {}", program.image, program.arguments);
    let user = format!("{DOMAIN_NAME}\\{}", person.user);
    let pid = random.between(1_200, 19_000).to_string();
    let guid = format!("{{{}-0000-0000-0000-{}}}", random.hex(8), random.hex(12));
    day.add(at, "windows", |t| {
        let fields = [
            ("User", user.as_str()),
            ("Image", program.image),
            ("CommandLine", command.trim_end()),
            ("ParentImage", r"C:\Windows\explorer.exe"),
            ("ProcessId", pid.as_str()),
            ("ProcessGuid", guid.as_str()),
            ("IntegrityLevel", "Medium"),
        ];
        windows(t, Channel::Sysmon, person.workstation, 1, &fields)
    });
    let (name, address) = *random.favour(SITES);
    let port = random.between(49_152, 65_536).to_string();
    day.add(at + random.between(1, 9) * SECOND, "windows", |t| {
        let fields = [
            ("User", user.as_str()),
            ("Image", program.image),
            ("ProcessId", pid.as_str()),
            ("ProcessGuid", guid.as_str()),
            ("Protocol", "tcp"),
            ("SourceIp", person.address),
            ("SourcePort", port.as_str()),
            ("DestinationIp", address),
            ("DestinationHostname", name),
            ("DestinationPort", "443"),
        ];
        windows(t, Channel::Sysmon, person.workstation, 3, &fields)
    });
}

/// Updates and time keeping, day and night.
fn computer_alone(day: &mut Day, random: &mut Random, person: &Person) {
    let mut at = random.between(0, HOUR);
    while at < DAY {
        let (name, answer) = ("updates.office.example", "198.51.100.104");
        resolve(day, random, at, person.address, name, answer);
        let account = format!("{}$", person.workstation.to_uppercase());
        day.add(at, "windows", |t| {
            let fields = [
                ("TargetUserName", account.as_str()),
                ("TargetDomainName", DOMAIN_NAME),
                ("LogonType", "3"),
                ("IpAddress", person.address),
            ];
            windows(t, Channel::Security, DOMAIN.0, 4624, &fields)
        });
        at += random.between(20 * MINUTE, 70 * MINUTE);
    }
}

/// The one alert of the day that is nothing: a planned new account.
fn new_colleague(day: &mut Day) {
    day.add(10 * HOUR + 12 * MINUTE, "windows", |t| {
        let fields = [
            ("SubjectUserName", "ben"),
            ("SubjectDomainName", DOMAIN_NAME),
            ("TargetUserName", "karim"),
            ("TargetDomainName", DOMAIN_NAME),
            ("SamAccountName", "karim"),
        ];
        windows(t, Channel::Security, DOMAIN.0, 4720, &fields)
    });
}
