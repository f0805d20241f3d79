//! The matcher against another engine, rsigma-eval: the same rules over the same events must match
//! alike, but for the faults of the other engine that [`known`] lists.
//!
//! Events come from recordings, read by our own parser, and from a generator that builds them of
//! the rules' own values. The other engine gets what the columns show: a flat map from the names
//! that rules use. Both get the rules of an event's log source and no others.
//!
//! By default a part of each recording is read and the generator runs for a while;
//! `PUGMARK_ORACLE=all` reads everything and generates ten times as much.

#![allow(clippy::print_stderr, reason = "tests say what they skipped and counted")]
#![allow(clippy::iter_over_hash_type, reason = "so the other engine keeps its selections")]
#![allow(clippy::cmp_owned, reason = "what is compared is how a number is written")]

mod engines;
mod files;
mod generated;
mod known;
mod recordings;

/// True when everything is to be read.
fn everything() -> bool {
    std::env::var("PUGMARK_ORACLE").is_ok_and(|value| value == "all")
}
