//! Who lives in the corpus: people, machines, strangers, and how often each is seen.

use std::collections::VecDeque;

use crate::random::{Random, Zipf, mix};

const FIRST: [&str; 20] = [
    "ada", "bela", "chen", "dina", "emil", "fay", "goran", "hana", "ivo", "jana", "kofi", "lena",
    "marek", "nora", "omar", "petra", "quinn", "rosa", "sven", "tara",
];
const LAST: [&str; 20] = [
    "abel", "brandt", "costa", "dvorak", "eriksen", "fischer", "garcia", "horvat", "ito", "jensen",
    "kaya", "lund", "moreau", "novak", "okafor", "park", "rossi", "silva", "tanaka", "weber",
];
const WORDS: [&str; 24] = [
    "account", "basket", "blog", "cart", "catalog", "checkout", "contact", "customer", "delivery",
    "docs", "export", "faq", "image", "invoice", "item", "login", "news", "offer", "order",
    "price", "product", "review", "search", "user",
];

/// Addresses of these ranks come a few times in millions of records.
const RARE_RANKS: std::ops::Range<usize> = 20_000..40_000;

/// The populations, and the chance that picks from them.
pub(crate) struct World {
    pub(crate) random: Random,
    users: Zipf,
    servers: Zipf,
    workstations: Zipf,
    strangers: Zipf,
    paths: Zipf,
    names: Zipf,
    /// Words that the next messages are to carry.
    hidden: VecDeque<String>,
    /// The last address of [`RARE_RANKS`] that a source had.
    rare: Option<String>,
}

impl World {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            users: Zipf::new(2_000, 1.0),
            servers: Zipf::new(120, 0.8),
            workstations: Zipf::new(1_800, 0.5),
            strangers: Zipf::new(60_000, 1.0),
            paths: Zipf::new(5_000, 1.1),
            names: Zipf::new(20_000, 1.05),
            hidden: VecDeque::new(),
            rare: None,
        }
    }

    /// `nora.park17`
    pub(crate) fn user(&mut self) -> String {
        let rank = self.users.rank(&mut self.random);
        let (first, last) = (FIRST[rank % 20], LAST[rank / 20 % 20]);
        if rank < 400 { format!("{first}.{last}") } else { format!("{first}.{last}{}", rank / 400) }
    }

    /// A server's number; its name and address follow from it.
    pub(crate) fn server(&mut self) -> usize {
        self.servers.rank(&mut self.random)
    }

    /// `10.20.x.y`, the address of a workstation, and its number.
    pub(crate) fn workstation(&mut self) -> (usize, String) {
        let rank = self.workstations.rank(&mut self.random);
        (rank, format!("10.20.{}.{}", rank / 250, rank % 250 + 2))
    }

    /// An address of the internet, from the range that RFC 2544 keeps for benchmarks.
    pub(crate) fn stranger(&mut self) -> String {
        let rank = self.strangers.rank(&mut self.random);
        address_of(rank)
    }

    /// A stranger who sent something; a rare one is remembered, so that one can ask for him.
    pub(crate) fn sender(&mut self) -> String {
        let rank = self.strangers.rank(&mut self.random);
        let address = address_of(rank);
        if RARE_RANKS.contains(&rank) {
            self.rare = Some(address.clone());
        }
        address
    }

    /// An address that few records have as their source, if any did so far.
    pub(crate) fn rare(&self) -> Option<&str> {
        self.rare.as_deref()
    }

    /// `/catalog/item/4711`
    pub(crate) fn path(&mut self) -> String {
        let rank = self.paths.rank(&mut self.random);
        let spread = mix(rank as u64) as usize;
        let (first, second) = (WORDS[spread % 24], WORDS[spread / 24 % 24]);
        match rank % 4 {
            0 => format!("/{first}"),
            1 => format!("/{first}/{second}"),
            2 => format!("/static/{first}-{:07x}.js", spread >> 36),
            _ => format!("/{first}/{second}/{}", spread >> 16 & 0xffff),
        }
    }

    /// `cdn3.news-offer.example`
    pub(crate) fn domain(&mut self) -> String {
        let rank = self.names.rank(&mut self.random);
        let spread = mix(rank as u64 + 1) as usize;
        let (first, second) = (WORDS[spread % 24], WORDS[spread / 24 % 24]);
        match rank % 3 {
            0 => format!("www.{first}-{second}.example"),
            1 => format!("cdn{}.{first}-{second}.example", spread >> 20 & 7),
            _ => format!("{:x}.{first}.example", spread >> 40),
        }
    }

    pub(crate) fn port(&mut self) -> u64 {
        self.random.between(32_768, 61_000)
    }

    /// One of the next messages carries this word.
    pub(crate) fn hide(&mut self, word: &str) {
        self.hidden.push_back(word.to_string());
    }

    /// Whether each hidden word found its message.
    pub(crate) fn all_hidden(&self) -> bool {
        self.hidden.is_empty()
    }

    /// What a message ends with: nothing nearly always, else a word that was to be hidden.
    pub(crate) fn ending(&mut self) -> String {
        self.hidden.pop_front().map_or_else(String::new, |word| format!(" ref {word}"))
    }

    /// 32 hexadecimal digits: half of a SHA-256, the key of a person.
    pub(crate) fn hex32(&mut self) -> String {
        format!("{:016x}{:016x}", self.random.next(), self.random.next())
    }

    /// `{3f2504e0-4f89-11d3-9a0c-0305e82c3301}`
    pub(crate) fn guid(&mut self) -> String {
        let (a, b) = (self.random.next(), self.random.next());
        let (a1, a2, a3) = (a >> 32, a >> 16 & 0xffff, a & 0xffff);
        format!("{{{a1:08x}-{a2:04x}-{a3:04x}-{:04x}-{:012x}}}", b >> 48, b & 0xffff_ffff_ffff)
    }
}

/// The address of the stranger of a rank.
fn address_of(rank: usize) -> String {
    let spread = mix(rank as u64);
    format!("198.{}.{}.{}", 18 + spread % 2, spread >> 8 & 255, spread >> 16 & 255)
}
