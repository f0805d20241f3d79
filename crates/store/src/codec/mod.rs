//! The template codec: a record is stored as a template, the event's fields, and what is left over.
//!
//! [`encode::Encoder`] finds for each record a [`template::Template`] that gives it back byte for
//! byte from the values of its event; [`decode`] puts the record together again. A record that no
//! template fits is kept as it is. [`words`] says what a word is, for filters and for search.

pub(crate) mod clock;
pub(crate) mod decode;
pub(crate) mod derive;
pub(crate) mod encode;
pub(crate) mod rows;
pub(crate) mod stored;
pub(crate) mod template;
pub(crate) mod words;
