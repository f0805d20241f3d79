//! Care: what keeps the data of years trustworthy.
//!
//! [`check`] finds what is wrong, [`backup`] keeps a second copy, [`replay`] gives records that
//! were set aside another chance, and [`reparse`] reads stored records again with today's parsers.

pub(crate) mod account;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod read;
pub(crate) mod reparse;
pub(crate) mod replay;
