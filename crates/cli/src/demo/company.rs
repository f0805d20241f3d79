//! Northwind Tea: who works there, on which machines, and with what habits.

/// A colleague.
pub(super) struct Person {
    /// Login name, the same on Windows and Linux.
    pub(super) user: &'static str,
    /// The own computer.
    pub(super) workstation: &'static str,
    /// Address of that computer.
    pub(super) address: &'static str,
    /// Hour at which the day at work begins.
    pub(super) from: i64,
    /// Hours at work.
    pub(super) hours: i64,
    /// Programs used, the most used first.
    pub(super) programs: &'static [Program],
    /// Logs in to the servers.
    pub(super) administrator: bool,
}

/// A program that people start.
pub(super) struct Program {
    /// Full path.
    pub(super) image: &'static str,
    /// What follows on the command line.
    pub(super) arguments: &'static str,
}

macro_rules! programs {
    ($($image:literal $arguments:literal)*) => {
        &[$(Program { image: $image, arguments: $arguments }),*]
    };
}

const OFFICE: &[Program] = programs![
    r"C:\Program Files\Mozilla Firefox\firefox.exe" ""
    r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE" ""
    r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE" r"/dde S:\sales\orders.xlsx"
    r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" r"/n S:\letters\supplier.docx"
    r"C:\Windows\explorer.exe" ""
    r"C:\Windows\System32\notepad.exe" r"C:\Users\Public\Documents\notes.txt"
    r"C:\Windows\System32\calc.exe" ""
];
const WORKSHOP: &[Program] = programs![
    r"C:\Program Files\Mozilla Firefox\firefox.exe" ""
    r"C:\Program Files\Git\cmd\git.exe" "pull --ff-only"
    r"C:\Program Files\Microsoft VS Code\Code.exe" r"D:\src\shop"
    r"C:\Windows\System32\OpenSSH\ssh.exe" "web1.northwind.example"
    r"C:\Program Files\PowerShell\7\pwsh.exe" r"-NoLogo -File D:\src\shop\build.ps1"
    r"C:\Windows\System32\mmc.exe" "dsa.msc"
];

macro_rules! people {
    ($(
        $user:ident $address:literal $from:literal $hours:literal $programs:ident $admin:literal
    )*) => {
        &[$(Person {
            user: stringify!($user),
            workstation: concat!("ws-", stringify!($user)),
            address: $address,
            from: $from,
            hours: $hours,
            programs: $programs,
            administrator: $admin,
        }),*]
    };
}

/// The ten people.
pub(super) const PEOPLE: &[Person] = people![
    anna   "10.20.1.11"  8  9 OFFICE   false
    ben    "10.20.1.12"  9  9 WORKSHOP true
    carla  "10.20.1.13"  7  8 OFFICE   false
    dmitri "10.20.1.14" 10  9 WORKSHOP true
    elena  "10.20.1.15"  8  8 OFFICE   false
    farid  "10.20.1.16"  6  8 OFFICE   false
    grace  "10.20.1.17"  9  8 WORKSHOP false
    hugo   "10.20.1.18"  8  6 OFFICE   false
    ines   "10.20.1.19" 12  8 OFFICE   false
    jonas  "10.20.1.20"  9 10 OFFICE   false
];

/// A server: its name and its address.
pub(super) struct Server(pub(super) &'static str, pub(super) &'static str);

/// The web server of the shop, which the Internet reaches.
pub(super) const WEB: Server = Server("web1", "10.20.0.10");
/// The database of the shop.
pub(super) const DATABASE: Server = Server("db1", "10.20.0.20");
/// The application server and build host.
pub(super) const APP: Server = Server("app1", "10.20.0.30");
/// The domain controller, which is also the file server.
pub(super) const DOMAIN: Server = Server("dc1", "10.20.0.5");
/// The firewall, which is also the name server's host.
pub(super) const FIREWALL: Server = Server("fw1", "10.20.0.1");
/// Servers that run Linux.
pub(super) const LINUX: &[Server] = &[WEB, DATABASE, APP];
/// Address of the shop as the Internet sees it.
pub(super) const PUBLIC_ADDRESS: &str = "192.0.2.10";

/// Products of the shop, best sellers first.
pub(super) const PRODUCTS: &[&str] = &[
    "earl-grey",
    "assam",
    "darjeeling",
    "sencha",
    "rooibos",
    "peppermint",
    "chamomile",
    "oolong",
    "pu-erh",
    "jasmine",
    "matcha",
    "genmaicha",
    "lapsang",
    "white-peony",
    "ceylon",
    "keemun",
    "yunnan",
    "nilgiri",
    "gift-box",
    "teapot",
    "strainer",
    "caddy",
];

/// Places that people visit, the most visited first: name and address.
pub(super) const SITES: &[(&str, &str)] = &[
    ("www.search.example", "198.51.100.80"),
    ("mail.northwind.example", "192.0.2.25"),
    ("cdn.search.example", "198.51.100.81"),
    ("news.example", "198.51.100.90"),
    ("calendar.office.example", "198.51.100.101"),
    ("chat.office.example", "198.51.100.102"),
    ("files.office.example", "198.51.100.103"),
    ("bank.example", "203.0.113.180"),
    ("parcel.example", "203.0.113.190"),
    ("maps.search.example", "198.51.100.82"),
    ("git.example", "203.0.113.200"),
    ("packages.debian.example", "203.0.113.210"),
    ("weather.example", "203.0.113.220"),
    ("tea-wholesale.example", "203.0.113.230"),
];

/// Browsers of the visitors, the most common first.
pub(super) const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/19.1 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
     Mobile Safari/537.36",
];

/// How busy the shop is, hour by hour, from midnight.
pub(super) const SHOP_HOURS: [u16; 24] =
    [9, 5, 4, 3, 3, 5, 12, 25, 38, 45, 50, 52, 58, 52, 48, 46, 48, 55, 66, 78, 84, 72, 44, 20];
/// The Internet's own noise knows no night.
pub(super) const ALL_HOURS: [u16; 24] = [1; 24];
