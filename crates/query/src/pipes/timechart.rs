//! `timechart`: figures along time. Read as `stats` by a span of time.

use super::{Command, Example, Takes, field, figures, span};
use crate::plan::{Aggregate, Named, Pipe, TIMECHART_COLUMN};

use super::Stats;

pub(super) const COMMAND: Command = Command {
    name: "timechart",
    other_names: &["timeslice", "make-series", "bin"],
    usage: "timechart span=5m count() by host.name",
    about: "Computes figures for each stretch of time, and for each value of a field in it.",
    doc: "Without `span` a round width is chosen that makes at most 120 stretches of the range. \
          Stretches without a row are left out. The same as `stats ... by span(@timestamp, 5m)`, \
          which takes more groups and a time zone.",
    examples: &[
        Example {
            query: "* | timechart span=30m count()",
            rows: &["2026-11-23T10:00:00Z · 7", "2026-11-23T11:30:00Z · 1"],
        },
        Example {
            query: "event.outcome:* | timechart span=1h count(), rate() by event.outcome",
            rows: &[
                "2026-11-23T10:00:00Z · failure · 3 · 0.0008333333333333334",
                "2026-11-23T10:00:00Z · success · 1 · 0.0002777777777777778",
                "2026-11-23T11:00:00Z · failure · 1 · 0.0002777777777777778",
            ],
        },
    ],
    takes: Takes::Figures(&["span=", "by", "as"]),
    read: |parser| {
        let span = if parser.option("span") { Some(span(parser)?) } else { None };
        let mut list = figures(parser, &["by"])?;
        if list.is_empty() {
            list.push(Aggregate::count());
        }
        let by = if parser.keyword("by") { Some(field(parser)?) } else { None };
        let time = parser.field(TIMECHART_COLUMN, parser.cursor.at)?;
        let bucket = match span {
            Some(span) => Named::span(time, span),
            None => Named::auto_span(time),
        };
        let by = std::iter::once(bucket).chain(by.map(Named::field)).collect();
        Ok(vec![Pipe::Stats(Stats { figures: list, by })])
    },
};
