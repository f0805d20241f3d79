//! How the records of a block were read: what stands in no column of their events.

use hashbrown::HashMap;

/// The format and the program of each record of a block, in their order.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    rows: Vec<(&'static str, u32)>,
    /// Programs in the order in which they first came; place 0 is none, so they count from 1.
    programs: Vec<String>,
    places: HashMap<String, u32>,
}

impl Readings {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), ..Self::default() }
    }

    pub(crate) fn push(&mut self, format: &'static str, program: Option<&str>) {
        let place = match program {
            None | Some("") => 0,
            Some(program) => self.place(program),
        };
        self.rows.push((format, place));
    }

    fn place(&mut self, program: &str) -> u32 {
        // Most records are of the program of the one before.
        if let Some((_, last)) = self.rows.last()
            && *last > 0
            && self.programs[*last as usize - 1] == program
        {
            return *last;
        }
        if let Some(place) = self.places.get(program) {
            return *place;
        }
        self.programs.push(program.to_string());
        let place = self.programs.len() as u32;
        self.places.insert(program.to_string(), place);
        place
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The format that read the record at `row`: `json`, `syslog`, `plain`.
    pub fn format(&self, row: usize) -> &'static str {
        self.rows.get(row).map_or("", |(format, _)| format)
    }

    /// The program that wrote it, as its envelope says (the syslog tag); empty when it says none.
    pub fn program(&self, row: usize) -> &str {
        let place = self.rows.get(row).map_or(0, |(_, place)| *place as usize);
        place.checked_sub(1).and_then(|at| self.programs.get(at)).map_or("", String::as_str)
    }
}
