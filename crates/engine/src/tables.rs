//! Tables that a query may look values up in: the user's own, and what enrichment knows of
//! addresses.

use std::net::IpAddr;
use std::sync::Arc;

use pugmark_enrich::Lookup;
use pugmark_event::time::Micros;
use pugmark_query::eval::{LookupTable, Tables};

use crate::Reader;

/// Country and network by address.
const GEO: &str = "geo";
/// Columns of [`GEO`].
const GEO_COLUMNS: [&str; 3] = ["country", "network", "organization"];
/// The label of the list of ranges that an address is in.
const RANGES: &str = "ranges";
/// The column of [`RANGES`].
const LABEL: &str = "label";

/// The tables of a reader's enrichment, as they are when they are asked for.
pub struct LookupTables(pub Arc<Reader>);

impl Tables for LookupTables {
    fn names(&self) -> Vec<String> {
        let Some(enrichment) = self.0.enrichment() else { return Vec::new() };
        let own = enrichment.lookups().into_iter().map(|lookup| lookup.name);
        own.chain([GEO, RANGES].map(str::to_string)).collect()
    }

    fn table(&self, name: &str) -> Option<Arc<dyn LookupTable>> {
        let enrichment = self.0.enrichment()?;
        if let Some(table) = enrichment.table(name) {
            return Some(Arc::new(Own(table)));
        }
        match name {
            GEO => Some(Arc::new(Geo(self.0.clone()))),
            RANGES => Some(Arc::new(Ranges(self.0.clone()))),
            _ => None,
        }
    }
}

/// A table of the user's.
struct Own(Arc<Lookup>);

impl LookupTable for Own {
    fn columns(&self) -> Vec<String> {
        self.0.columns().to_vec()
    }

    fn goes_by_time(&self, _: &str) -> bool {
        self.0.goes_by_time()
    }

    fn value(&self, key: &str, time: Option<Micros>, column: &str) -> Option<String> {
        // Without a time, what holds until further notice: at the last moment that a row has.
        let mut found = self.0.at(key, time.unwrap_or(Micros::MAX - 1));
        found.find(|(name, _)| *name == column).map(|(_, value)| value.to_string())
    }
}

struct Geo(Arc<Reader>);

impl LookupTable for Geo {
    fn columns(&self) -> Vec<String> {
        GEO_COLUMNS.map(str::to_string).to_vec()
    }

    fn goes_by_time(&self, _: &str) -> bool {
        false
    }

    fn value(&self, key: &str, _: Option<Micros>, column: &str) -> Option<String> {
        let address: IpAddr = key.parse().ok()?;
        self.0.enrichment()?.place(address, |place| match column {
            "country" => place.country.map(str::to_string),
            "network" => place.network.map(|number| number.to_string()),
            _ => place.organization.map(str::to_string),
        })
    }
}

struct Ranges(Arc<Reader>);

impl LookupTable for Ranges {
    fn columns(&self) -> Vec<String> {
        vec![LABEL.to_string()]
    }

    fn goes_by_time(&self, _: &str) -> bool {
        false
    }

    fn value(&self, key: &str, _: Option<Micros>, _: &str) -> Option<String> {
        self.0.enrichment()?.label(key.parse().ok()?)
    }
}
