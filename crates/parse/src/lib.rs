//! Records to events: formats, parser packs, issues. Parsing never fails.
