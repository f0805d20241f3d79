//! A moment in UTC as the different products write it.

/// A moment, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Microseconds since the Unix epoch.
    pub(super) micros: i64,
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Stamp {
    /// Takes `micros` since the Unix epoch apart.
    pub(super) fn new(micros: i64) -> Stamp {
        let seconds = micros.div_euclid(1_000_000);
        let clock = seconds.rem_euclid(86_400);
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        Stamp { micros, year, month, day, hour, minute, second }
    }

    /// `2026-11-23T10:00:00.123Z`
    pub(super) fn rfc3339(self) -> String {
        let millis = self.micros.rem_euclid(1_000_000) / 1000;
        format!("{}T{}.{millis:03}Z", self.date(), self.clock())
    }

    /// `2026-11-23`
    pub(super) fn date(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// `10:00:00`
    pub(super) fn clock(self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    /// `23/Nov/2026:10:00:00 +0000`
    pub(super) fn access_log(self) -> String {
        let month = MONTHS[self.month - 1];
        format!("{:02}/{month}/{:04}:{} +0000", self.day, self.year, self.clock())
    }

    /// `1795428000.123`
    pub(super) fn epoch(self) -> String {
        let millis = self.micros.rem_euclid(1_000_000) / 1000;
        format!("{}.{millis:03}", self.micros.div_euclid(1_000_000))
    }
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar, counted in
/// eras of 400 years that begin in March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        assert_eq!(Stamp::new(seconds * 1_000_000).rfc3339(), expected);
    }

    #[test]
    fn moments_are_written_in_utc() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(1_795_428_000, "2026-11-23T10:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.000Z");
        check(4_102_444_799, "2099-12-31T23:59:59.000Z");
        assert_eq!(Stamp::new(1_795_428_000_000_000).access_log(), "23/Nov/2026:10:00:00 +0000");
    }
}
