//! Sources that listen. One file each, one line here.

pub mod syslog;
