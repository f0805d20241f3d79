//! Functions that hash text.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Call, Family, Function, of_text, text_of};
use crate::cell::Cell;

pub(super) const FAMILY: Family = Family {
    title: "Hashes",
    functions: &[
        Function {
            name: "md5",
            usage: "md5(text)",
            about: "MD5 in hexadecimal (RFC 1321): to compare with lists of indicators, not to \
                protect.",
            examples: &[("md5(\"abc\")", "900150983cd24fb0d6963f7d28e17f72")],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(hashed::<Md5>),
        },
        Function {
            name: "sha1",
            usage: "sha1(text)",
            about: "SHA-1 in hexadecimal (FIPS 180-4).",
            examples: &[("sha1(\"abc\")", "a9993e364706816aba3e25717850c26c9cd0d89d")],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(hashed::<Sha1>),
        },
        Function {
            name: "sha256",
            usage: "sha256(text)",
            about: "SHA-256 in hexadecimal (FIPS 180-4).",
            examples: &[(
                "sha256(\"abc\")",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            )],
            args: 1..=1,
            shape: text_of,
            call: Call::Plain(hashed::<Sha256>),
        },
    ],
};

fn hashed<D: Digest>(args: &[Cell]) -> Cell {
    of_text(args, |text| {
        D::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    })
}
