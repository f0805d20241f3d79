//! The shop's access log, in the combined format.

use std::fmt::Write as _;

use super::World;
use crate::time::Parts;

const AGENTS: [(u32, &str); 6] = [
    (
        40,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
          Chrome/142.0.0.0 Safari/537.36",
    ),
    (
        25,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
          like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
    ),
    (15, "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"),
    (12, "Mozilla/5.0 (compatible; ExampleBot/2.1; +http://bot.example/about)"),
    (6, "okhttp/5.1.0"),
    (2, "curl/8.16.0"),
];
const STATUS: [(u32, u16); 8] =
    [(830, 200), (60, 304), (40, 302), (45, 404), (8, 403), (7, 401), (6, 500), (4, 502)];
const METHODS: [(u32, &str); 4] = [(88, "GET"), (10, "POST"), (1, "PUT"), (1, "HEAD")];

pub(super) fn write(world: &mut World, time: &Parts, line: &mut String) {
    let address = world.sender();
    let (method, mut path) = (world.random.weighted(&METHODS), world.path());
    if world.random.chance(0.15) {
        let _ = write!(path, "?page={}&sort=price", world.random.below(40));
    }
    if world.random.chance(0.00005) {
        path.push_str("?id=1%27%20UNION%20SELECT%20username,password%20FROM%20users--");
    }
    let status = world.random.weighted(&STATUS);
    let size = if status == 304 { 0 } else { world.random.size(4_000) };
    let referrer = match world.random.below(3) {
        0 => "-".to_string(),
        _ => format!("https://shop.example{}", world.path()),
    };
    let (time, agent) = (time.access_log(), world.random.weighted(&AGENTS));
    let _ = write!(
        line,
        "{address} - - [{time}] \"{method} {path} HTTP/1.1\" {status} {size} \"{referrer}\" \
         \"{agent}\"",
    );
}
