//! Numbers of payment cards: 13 to 19 digits in a range of a network, with a right Luhn sum.
//!
//! One number in ten has a right sum, so much else must fit: the length that the network gives to
//! its cards, digits in one piece or in the groups that are printed on cards with one separator,
//! and neither a letter, a sign nor a decimal point beside them. Ranges are those that the networks
//! publish (ISO/IEC 7812).

use std::ops::Range;

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// First digits (from, to) and the lengths that go with them.
const RANGES: &[(u32, u32, &[usize])] = &[
    (4, 4, &[13, 16, 19]),                       // Visa
    (51, 55, &[16]),                             // Mastercard
    (2221, 2720, &[16]),                         // Mastercard
    (34, 34, &[15]),                             // American Express
    (37, 37, &[15]),                             // American Express
    (300, 305, &[14]),                           // Diners Club
    (36, 36, &[14]),                             // Diners Club
    (38, 39, &[14, 16]),                         // Diners Club
    (6011, 6011, &[16, 19]),                     // Discover
    (644, 659, &[16, 19]),                       // Discover
    (3528, 3589, &[16, 17, 18, 19]),             // JCB
    (62, 62, &[16, 17, 18, 19]),                 // UnionPay
    (2200, 2204, &[16, 17, 18, 19]),             // Mir
    (5018, 5018, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    (5020, 5020, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    (5038, 5038, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    (5893, 5893, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    (6304, 6304, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    (6759, 6763, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
];

/// The groups in which digits are printed.
const GROUPS: &[&[usize]] = &[&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3]];

/// Calls `emit` for each card number.
///
/// A number of 13 digits covers every 13th byte, so only those are looked at.
pub(super) fn find(text: &[u8], emit: &mut dyn FnMut(Range<usize>)) {
    let belongs = |b: u8| b.is_ascii_digit() || b == b' ' || b == b'-';
    let mut at = DIGITS_MIN - 1;
    let mut done = 0;
    while let Some(byte) = text.get(at) {
        if !belongs(*byte) {
            at += DIGITS_MIN;
            continue;
        }
        let before = text[done..at].iter().rev().take_while(|b| belongs(**b)).count();
        let after = text[at..].iter().take_while(|b| belongs(**b)).count();
        let run = at - before..at + after;
        numbers(text, run.clone(), emit);
        done = run.end;
        at = run.end + DIGITS_MIN;
    }
}

/// Looks for cards in a run of digits, blanks and dashes.
fn numbers(text: &[u8], run: Range<usize>, emit: &mut dyn FnMut(Range<usize>)) {
    if run.len() < DIGITS_MIN {
        return;
    }
    let mut at = run.start;
    while at < run.end {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let piece = digits(text, at);
        let whole = if piece < DIGITS_MIN { grouped(text, at) } else { at..at + piece };
        if is_card(text, &whole) {
            at = whole.end;
            emit(whole);
        } else {
            at += piece;
        }
    }
}

fn digits(text: &[u8], at: usize) -> usize {
    text[at..].iter().take_while(|b| b.is_ascii_digit()).count()
}

/// The longest of [`GROUPS`] that stands here; empty if none does.
fn grouped(text: &[u8], start: usize) -> Range<usize> {
    let fitting = GROUPS.iter().filter_map(|groups| {
        let (mut at, mut separator) = (start, None);
        for (index, group) in groups.iter().enumerate() {
            if index > 0 {
                let this = text.get(at).filter(|b| matches!(**b, b' ' | b'-'))?;
                if *separator.get_or_insert(*this) != *this {
                    return None;
                }
                at += 1;
            }
            if digits(text, at.min(text.len())) != *group {
                return None;
            }
            at += group;
        }
        Some(start..at)
    });
    fitting.max_by_key(|range| range.end).unwrap_or(start..start)
}

fn is_card(text: &[u8], range: &Range<usize>) -> bool {
    let mut number = [0; DIGITS_MAX];
    let mut count = 0;
    for byte in text[range.clone()].iter().filter(|b| b.is_ascii_digit()) {
        let Some(place) = number.get_mut(count) else { return false };
        *place = byte - b'0';
        count += 1;
    }
    let number = &number[..count];
    count >= DIGITS_MIN && is_in_range(number) && luhn(number) && stands_alone(text, range)
}

fn is_in_range(number: &[u8]) -> bool {
    let first = |count| number[..count].iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
    RANGES.iter().any(|(from, to, lengths)| {
        let start = first(from.ilog10() as usize + 1);
        (*from..=*to).contains(&start) && lengths.contains(&number.len())
    })
}

/// The check of ISO/IEC 7812: every second digit from the right doubled, sum divisible by ten.
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// No part of a word, of a decimal fraction, of a negative number, of a longer row of digits.
fn stands_alone(text: &[u8], range: &Range<usize>) -> bool {
    let joins = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let before = &text[..range.start];
    let escaped = matches!(before, [.., b'\\', b'n' | b'r' | b't']);
    let encoded =
        matches!(before, [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    let starts = escaped
        || encoded
        || match *before {
            [.., b'.'] => false,
            [.., sign, b'-' | b'+'] => sign.is_ascii_alphabetic(),
            [b'-' | b'+'] => false,
            [.., digit, b' '] => !digit.is_ascii_digit(),
            [.., last] => !joins(last),
            [] => true,
        };
    let ends = match text[range.end..] {
        [b'.' | b'-' | b' ', digit, ..] => !digit.is_ascii_digit(),
        [next, ..] => !joins(next),
        [] => true,
    };
    starts && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        find(text.as_bytes(), &mut |range| found.push(&text[range]));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn cards_are_found() {
        check("4111111111111111", &["4111111111111111"]);
        check("pan=4111-1111-1111-1111 ok", &["4111-1111-1111-1111"]);
        check("5555 5555 5555 4444", &["5555 5555 5555 4444"]);
        check("card 378282246310005,", &["378282246310005"]);
        check("3782 822463 10005", &["3782 822463 10005"]);
        check("\"30569309025904\"", &["30569309025904"]);
        check("6011111111111117; 3530111333300000", &["6011111111111117", "3530111333300000"]);
        check("2223003122003222 6200000000000005", &[]);
        check("2223003122003222, 6200000000000005", &["2223003122003222", "6200000000000005"]);
        check("6759649826438453|4222222222222", &["6759649826438453", "4222222222222"]);
        check(";4111111111111111=2512", &["4111111111111111"]);
        check("order-4111111111111111 and\\n4111111111111111", &["4111111111111111"; 2]);
        check("a 4111111111111111 b", &["4111111111111111"]);
        check("%3D4111111111111111%26", &["4111111111111111"]);
        let far = format!("{}4111111111111111{}", ".x".repeat(50), "y.".repeat(0));
        check(&far, &[]);
        check(
            &format!("{} 4111111111111111 {}", "x.".repeat(50), "y.".repeat(9)),
            &["4111111111111111"],
        );
    }

    #[test]
    fn numbers_are_no_cards() {
        check("4111111111111112", &[]);
        check("1795428000123456", &[]);
        check("blk_-4111111111111111", &[]);
        check("x=-4111111111111111 0.4111111111111111 4111111111111111.5", &[]);
        check("a4111111111111111 4111111111111111b", &[]);
        check("41111111111111110000000", &[]);
        check("4111 1111-1111 1111", &[]);
        check("4111  1111 1111 1111", &[]);
        check("41 11 11 11 11 11 11 11", &[]);
        check("2026-11-23 10", &[]);
        check("", &[]);
        check("9111111111111111", &[]);
    }

    #[test]
    fn a_card_is_found_at_any_place() {
        for before in 0..40 {
            let text = format!("{}4111111111111111", ":".repeat(before));
            check(&text, &["4111111111111111"]);
            check(&format!("{text}:::::"), &["4111111111111111"]);
        }
    }
}
