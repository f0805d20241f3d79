//! Other projects' samples with what those projects read out of them, as a score per product.
//!
//! Three sets of `../shared/data/parsers`: CrowdSec's parser tests (fields), fail2ban's filter
//! tests (time, failure, host) and Wazuh's rule tests (which product). Only the products of
//! [`products::LISTED`] count towards a bar; the others are printed apart. The packs are read from
//! `content/parsers` at run time, so a changed pack needs no rebuild:
//!
//! ```text
//! cargo test -p pugmark-parse --test vendors -- --nocapture
//! VENDORS_SHOW=nginx cargo test -p pugmark-parse --test vendors crowdsec -- --nocapture
//! ```
//!
//! `VENDORS_SHOW` prints every miss of the products and files whose name holds the text. The misses
//! quote the samples, whose licences are not ours: paste none of them into the repository.

#[path = "vendors/crowdsec.rs"]
mod crowdsec;
#[path = "vendors/event.rs"]
mod event;
#[path = "vendors/fail2ban.rs"]
mod fail2ban;
#[path = "vendors/products.rs"]
mod products;
#[path = "vendors/score.rs"]
mod score;
#[path = "vendors/times.rs"]
mod times;
#[path = "vendors/wazuh.rs"]
mod wazuh;
