//! Times as logs write them, from microseconds since 1970 in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment taken apart.
pub(crate) struct Parts {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Parts {
    pub(crate) fn of(micros: i64) -> Self {
        let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        Self { year, month, day, hour, minute, second, micros }
    }

    /// `2026-11-01T10:00:00.123456Z` (RFC 3339).
    pub(crate) fn rfc3339(&self) -> String {
        format!("{}T{}.{:06}Z", self.date(), self.clock(), self.micros)
    }

    /// `01/Nov/2026:10:00:00 +0000`, as access logs have it.
    pub(crate) fn access_log(&self) -> String {
        let month = MONTHS[self.month - 1];
        format!("{:02}/{month}/{}:{} +0000", self.day, self.year, self.clock())
    }

    /// `2026-11-01`.
    pub(crate) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// `10:00:00`.
    pub(crate) fn clock(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }
}

/// Now, in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Year, month and day of a day since 1970, counting in 400-year eras that start in March.
fn date_of(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_logs_write_them() {
        assert_eq!(Parts::of(1_793_527_200_123_456).rfc3339(), "2026-11-01T10:00:00.123456Z");
        assert_eq!(Parts::of(1_793_527_200_000_000).access_log(), "01/Nov/2026:10:00:00 +0000");
        assert_eq!(Parts::of(951_782_400_000_000).date(), "2000-02-29");
        assert_eq!(Parts::of(-1).rfc3339(), "1969-12-31T23:59:59.999999Z");
    }
}
