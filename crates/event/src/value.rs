//! One value as a parser saw it, before it has found its column.

/// A borrowed scalar. Numbers keep the text they were written as, so nothing is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// JSON null, or a dash where a format says "nothing".
    Null,
    /// Text.
    Text(&'a str),
    /// A number as written: `42`, `-1.5e3`.
    Number(&'a str),
    /// True or false.
    Bool(bool),
    /// An array, or an object too deep to flatten, as JSON text.
    Json(&'a str),
}

impl<'a> Value<'a> {
    /// The value as text; null is the empty string.
    pub fn text(self) -> &'a str {
        match self {
            Value::Null => "",
            Value::Text(s) | Value::Number(s) | Value::Json(s) => s,
            Value::Bool(true) => "true",
            Value::Bool(false) => "false",
        }
    }

    /// The letter that marks the kind of an attribute beside its text.
    pub fn kind(self) -> char {
        match self {
            Value::Null => 'z',
            Value::Text(_) => 's',
            Value::Number(_) => 'n',
            Value::Bool(_) => 'b',
            Value::Json(_) => 'j',
        }
    }

    /// Rebuilds a value from its text and kind letter. An unknown letter means text.
    pub fn from_kind(kind: u8, text: &'a str) -> Value<'a> {
        match kind {
            b'z' => Value::Null,
            b'n' => Value::Number(text),
            b'b' => Value::Bool(text == "true"),
            b'j' => Value::Json(text),
            _ => Value::Text(text),
        }
    }
}

/// So many digits fit into an integer, whatever they are.
const SHORT_DIGITS_MAX: usize = 18;

/// Reads an integer only where writing it again gives the same text, so that `007` or `+5` is
/// never silently changed into another value.
pub fn exact_integer(text: &str) -> Option<i64> {
    let (digits, is_negative) = match text.as_bytes() {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    let is_odd = matches!(digits, [] | [b'0', _, ..]) || text == "-0";
    if is_odd || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() > SHORT_DIGITS_MAX {
        return text.parse().ok();
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some(if is_negative { -number } else { number })
}

/// Reads an address only where its canonical text is the text itself.
pub fn exact_address(text: &str) -> Option<std::net::IpAddr> {
    // The longest textual address is 45 bytes; longer text is not worth parsing.
    if text.len() > 45 || text.len() < 2 {
        return None;
    }
    let first = text.as_bytes()[0];
    if !first.is_ascii_hexdigit() && first != b':' {
        return None;
    }
    if let Some(address) = dotted(text.as_bytes()) {
        return Some(address.into());
    }
    let address: std::net::IpAddr = text.parse().ok()?;
    // IPv4 has one spelling that parses; IPv6 has many.
    match address {
        std::net::IpAddr::V4(_) => Some(address),
        std::net::IpAddr::V6(v6) => (v6.to_string() == text).then_some(address),
    }
}

/// Reads IPv4, the address of nearly every record, in one pass.
fn dotted(text: &[u8]) -> Option<std::net::Ipv4Addr> {
    let (mut octets, mut at) = ([0u8; 4], 0);
    for (i, octet) in octets.iter_mut().enumerate() {
        if i > 0 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let start = at;
        let mut number = 0u32;
        while let Some(digit) = text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10)
            && at - start < 3
        {
            number = number * 10 + u32::from(digit);
            at += 1;
        }
        let padded = at - start > 1 && text[start] == b'0';
        if at == start || padded {
            return None;
        }
        *octet = u8::try_from(number).ok()?;
    }
    (at == text.len()).then(|| octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_integers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("007", None),
            ("+5", None),
            ("-0", None),
            ("", None),
            ("-", None),
            ("5 ", None),
            ("1e3", None),
        ] {
            assert_eq!(exact_integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn only_canonical_addresses_are_addresses() {
        for (text, expected) in [
            ("192.0.2.1", true),
            ("192.0.2.01", false),
            ("2001:db8::1", true),
            ("2001:DB8::1", false),
            ("2001:db8:0::1", false),
            ("::1", true),
            ("cafe", false),
            ("", false),
        ] {
            assert_eq!(exact_address(text).is_some(), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn integers_are_those_that_are_written_the_same_again(text in "-?[0-9]{0,20}|[-+0-9a]{0,4}") {
            let expected: Option<i64> = text.parse().ok();
            let expected = expected.filter(|number| number.to_string() == text);
            proptest::prop_assert_eq!(exact_integer(&text), expected);
        }

        #[test]
        fn dotted_reads_what_the_standard_reads(
            text in "[0-9]{0,4}(\\.[0-9]{0,4}){0,5}|[0-9.a]{0,16}",
        ) {
            let expected: Option<std::net::Ipv4Addr> = text.parse().ok();
            proptest::prop_assert_eq!(dotted(text.as_bytes()), expected);
        }
    }

    #[test]
    fn kinds_round_trip() {
        for value in [
            Value::Null,
            Value::Text("5"),
            Value::Number("5"),
            Value::Bool(true),
            Value::Bool(false),
            Value::Json("[1]"),
        ] {
            assert_eq!(Value::from_kind(value.kind() as u8, value.text()), value);
        }
    }
}
