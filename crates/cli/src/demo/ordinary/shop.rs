//! Visitors of the web shop: what the web server, the shop and the firewall write about them.

use super::super::company::{BROWSERS, PRODUCTS, PUBLIC_ADDRESS, SHOP_HOURS};
use super::super::lines::{self, Flow, Request};
use super::super::random::Random;
use super::super::{DAY, Day, MINUTE, SECOND};
use super::visitor;

const VISITS: usize = 2_600;
const WORDS: &[&str] =
    &["green+tea", "assam", "gift+for+mum", "decaf", "loose+leaf", "teapot", "sample+box", "chai"];

/// Writes a day of visits, and the health check that runs every minute.
pub(super) fn write(day: &mut Day, random: &mut Random) {
    for _ in 0..VISITS {
        visit(day, random);
    }
    for at in (0..DAY).step_by(MINUTE as usize) {
        let request = Request {
            address: "10.20.0.30",
            method: "GET",
            url: "/healthz",
            status: 200,
            bytes: 2,
            referrer: "-",
            agent: "curl/8.14.1",
        };
        day.add(at + random.between(0, SECOND), "nginx", |t| request.line(t));
    }
}

fn visit(day: &mut Day, random: &mut Random) {
    let start = random.time_of_day(&SHOP_HOURS);
    let address = visitor(random);
    let agent = *random.favour(BROWSERS);
    let mut at = start;
    let mut referrer = String::from("https://www.search.example/");
    let mut url = String::from("/");
    let pages = random.between(2, 10);
    for _ in 0..pages {
        page(day, random, at, &address, &url, &referrer, agent);
        at += random.between(4, 75) * SECOND;
        referrer = format!("https://shop.northwind.example{url}");
        url = next_page(random);
    }
    if random.chance(12) {
        order(day, random, at, &address, agent);
    }
    let flow = Flow {
        source: &address,
        source_port: random.between(1_024, 65_536),
        destination: PUBLIC_ADDRESS,
        port: 443,
        protocol: 6,
        action: "accept",
        policy: 1,
        seconds: (at - start) / SECOND,
        sent_bytes: pages * random.between(700, 1_500),
        received_bytes: pages * random.between(9_000, 90_000),
    };
    day.add(at, "firewall", |t| flow.line(t));
}

fn next_page(random: &mut Random) -> String {
    match random.between(0, 10) {
        0 => "/tea".to_string(),
        1 => format!("/search?q={}", random.favour(WORDS)),
        2 => "/basket".to_string(),
        3 => format!("/img/{}.webp", random.favour(PRODUCTS)),
        _ => format!("/tea/{}", random.favour(PRODUCTS)),
    }
}

fn page(
    day: &mut Day,
    random: &mut Random,
    at: i64,
    address: &str,
    url: &str,
    referrer: &str,
    agent: &str,
) {
    let status = match random.between(0, 200) {
        0 => 404,
        1 => 500,
        2..12 => 304,
        _ => 200,
    };
    let bytes = if status == 304 { 0 } else { random.between(1_200, 48_000) };
    let request = Request { address, method: "GET", url, status, bytes, referrer, agent };
    day.add(at, "nginx", |t| request.line(t));
    if url.starts_with("/img/") || url == "/" {
        return;
    }
    let (level, message) =
        if status == 500 { ("error", "page failed") } else { ("info", "page served") };
    let fields = [
        ("trace.id", random.hex(16)),
        ("source.ip", address.to_string()),
        ("url.path", url.split('?').next().unwrap_or(url).to_string()),
        ("http.response.status_code", status.to_string()),
        ("duration_ms", random.between(4, 180).to_string()),
    ];
    let fields = fields.each_ref().map(|(key, value)| (*key, value.as_str()));
    day.add(at + random.between(1_000, 90_000), "shop", |t| {
        lines::shop(t, level, message, &fields)
    });
}

fn order(day: &mut Day, random: &mut Random, at: i64, address: &str, agent: &str) {
    let steps = [("POST", "/basket/add", 303), ("GET", "/checkout", 200), ("POST", "/pay", 303)];
    for (i, (method, url, status)) in steps.into_iter().enumerate() {
        let bytes = random.between(300, 9_000);
        let referrer = "https://shop.northwind.example/basket";
        let request = Request { address, method, url, status, bytes, referrer, agent };
        day.add(at + i as i64 * 20 * SECOND, "nginx", |t| request.line(t));
    }
    let fields = [
        ("trace.id", random.hex(16)),
        ("source.ip", address.to_string()),
        ("order.id", format!("N{}", random.between(100_000, 999_999))),
        ("order.product", random.favour(PRODUCTS).to_string()),
        ("order.total_cents", random.between(690, 14_900).to_string()),
        ("user.name", format!("customer{}", random.between(1, 4_000))),
    ];
    let fields = fields.each_ref().map(|(key, value)| (*key, value.as_str()));
    day.add(at + 41 * SECOND, "shop", |t| lines::shop(t, "info", "order placed", &fields));
}
