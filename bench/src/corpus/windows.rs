//! Windows Security and Sysmon as JSON, one flat object a line, as agents ship them.

use std::fmt::Write as _;

use super::World;
use crate::time::Parts;

const IMAGES: [(u32, (&str, &str)); 8] = [
    (30, (r"C:\\Windows\\System32\\svchost.exe", "svchost.exe -k netsvcs -p -s Schedule")),
    (20, (r"C:\\Windows\\System32\\conhost.exe", r"\\??\\C:\\Windows\\system32\\conhost.exe 0x4")),
    (14, (r"C:\\Windows\\System32\\cmd.exe", "cmd.exe /c ver")),
    (12, (r"C:\\Program Files\\Mozilla Firefox\\firefox.exe", "firefox.exe -contentproc -childID")),
    (10, (r"C:\\Windows\\System32\\taskhostw.exe", "taskhostw.exe Install $(Arg0)")),
    (8, (r"C:\\Windows\\explorer.exe", r"C:\\Windows\\explorer.exe /factory,{75dff2b7}")),
    (4, (r"C:\\Windows\\System32\\net.exe", "net use")),
    (
        2,
        (
            r"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
            r"powershell.exe -NoProfile -File C:\\ops\\inventory.ps1",
        ),
    ),
];
const LOGON_TYPES: [(u32, u8); 5] = [(70, 3), (15, 5), (8, 2), (4, 7), (3, 10)];

type Write = fn(&mut World, &mut String);

/// Event id, channel, the fields after the common ones.
const EVENTS: [(u32, (u16, Channel, Write)); 7] = [
    (30, (4624, SECURITY, logon)),
    (5, (4625, SECURITY, failed_logon)),
    (15, (4688, SECURITY, created)),
    (20, (1, SYSMON, process)),
    (20, (3, SYSMON, connection)),
    (8, (22, SYSMON, question)),
    (2, (11, SYSMON, file)),
];

/// Its name and its provider.
type Channel = (&'static str, &'static str);

const SECURITY: Channel = ("Security", "Microsoft-Windows-Security-Auditing");
const SYSMON: Channel = ("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon");

pub(super) fn write(world: &mut World, time: &Parts, line: &mut String) {
    let (id, (channel, provider), fields) = world.random.weighted(&EVENTS);
    let (computer, time, record) =
        (world.workstation().0, time.rfc3339(), world.random.below(1 << 26));
    let _ = write!(
        line,
        "{{\"EventID\":{id},\"Channel\":\"{channel}\",\"Provider_Name\":\"{provider}\",\
         \"Computer\":\"WS{computer:04}.corp.example\",\"TimeCreated\":\"{time}\",\
         \"EventRecordID\":{record}",
    );
    fields(world, line);
    line.push('}');
}

fn logon(world: &mut World, line: &mut String) {
    let (user, address, kind) =
        (world.user(), world.workstation().1, world.random.weighted(&LOGON_TYPES));
    let (id, port) = (world.random.below(1 << 32), world.port());
    let _ = write!(
        line,
        ",\"SubjectUserName\":\"-\",\"TargetUserName\":\"{user}\",\"TargetDomainName\":\"CORP\",\
         \"TargetLogonId\":\"0x{id:x}\",\"LogonType\":{kind},\"AuthenticationPackageName\":\
         \"Kerberos\",\"IpAddress\":\"{address}\",\"IpPort\":\"{port}\",\"WorkstationName\":\"-\"",
    );
}

fn failed_logon(world: &mut World, line: &mut String) {
    let (user, address, port) = (world.user(), world.workstation().1, world.port());
    let _ = write!(
        line,
        ",\"TargetUserName\":\"{user}\",\"TargetDomainName\":\"CORP\",\"Status\":\"0xc000006d\",\
         \"SubStatus\":\"0xc000006a\",\"LogonType\":3,\"IpAddress\":\"{address}\",\
         \"IpPort\":\"{port}\"",
    );
}

fn created(world: &mut World, line: &mut String) {
    let ((image, command), user) = (world.random.weighted(&IMAGES), world.user());
    let (pid, parent) = (world.random.between(500, 40_000), world.random.between(500, 40_000));
    let _ = write!(
        line,
        ",\"SubjectUserName\":\"{user}\",\"NewProcessName\":\"{image}\",\"CommandLine\":\
         \"{command}\",\"NewProcessId\":\"0x{pid:x}\",\"ProcessId\":\"0x{parent:x}\",\
         \"ParentProcessName\":\"C:\\\\Windows\\\\System32\\\\services.exe\"",
    );
}

fn process(world: &mut World, line: &mut String) {
    let ((image, command), user) = (world.random.weighted(&IMAGES), world.user());
    let (guid, pid, parent) = (world.guid(), world.random.between(500, 40_000), world.guid());
    let command = match world.random.chance(0.0002) {
        true => "powershell.exe -nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQA",
        false => command,
    };
    let (a, b) = (world.hex32(), world.hex32());
    let _ = write!(
        line,
        ",\"ProcessGuid\":\"{guid}\",\"ProcessId\":{pid},\"Image\":\"{image}\",\"CommandLine\":\
         \"{command}\",\"User\":\"CORP\\\\{user}\",\"IntegrityLevel\":\"Medium\",\"Hashes\":\
         \"SHA256={a}{b}\",\"ParentProcessGuid\":\"{parent}\",\"ParentImage\":\
         \"C:\\\\Windows\\\\explorer.exe\",\"ParentCommandLine\":\"C:\\\\Windows\\\\explorer.exe\"",
    );
}

fn connection(world: &mut World, line: &mut String) {
    let ((image, _), user, from) =
        (world.random.weighted(&IMAGES), world.user(), world.workstation().1);
    let (guid, to, port) = (world.guid(), world.stranger(), world.port());
    let _ = write!(
        line,
        ",\"ProcessGuid\":\"{guid}\",\"Image\":\"{image}\",\"User\":\"CORP\\\\{user}\",\
         \"Protocol\":\"tcp\",\"Initiated\":\"true\",\"SourceIp\":\"{from}\",\"SourcePort\":{port},\
         \"DestinationIp\":\"{to}\",\"DestinationPort\":443",
    );
}

fn question(world: &mut World, line: &mut String) {
    let ((image, _), guid, name) = (world.random.weighted(&IMAGES), world.guid(), world.domain());
    let address = world.stranger();
    let _ = write!(
        line,
        ",\"ProcessGuid\":\"{guid}\",\"Image\":\"{image}\",\"QueryName\":\"{name}\",\
         \"QueryStatus\":\"0\",\"QueryResults\":\"::ffff:{address};\"",
    );
}

fn file(world: &mut World, line: &mut String) {
    let ((image, _), guid, user) = (world.random.weighted(&IMAGES), world.guid(), world.user());
    let name = world.random.below(1 << 40);
    let _ = write!(
        line,
        ",\"ProcessGuid\":\"{guid}\",\"Image\":\"{image}\",\"TargetFilename\":\
         \"C:\\\\Users\\\\{user}\\\\AppData\\\\Local\\\\Temp\\\\{name:x}.tmp\"",
    );
}
