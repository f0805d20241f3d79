//! Names by small marks, to dismiss most of them before they are looked up.

/// Which names a set may hold, by a small mark of each that others share.
///
/// Most names that are asked for are in no set: then a mark says so, without a hash or a walk.
#[derive(Debug, Clone, Default)]
pub struct NameMarks([u64; 4]);

impl NameMarks {
    /// Notes a name; false when it was surely not noted before.
    #[inline]
    pub fn note(&mut self, name: &str) -> bool {
        let (word, bit) = place(name);
        let noted = self.0[word] & bit != 0;
        self.0[word] |= bit;
        noted
    }

    /// False when the name was surely not noted.
    #[inline]
    pub fn may_hold(&self, name: &str) -> bool {
        let (word, bit) = place(name);
        self.0[word] & bit != 0
    }
}

/// The bit of a name, made of its length, its ends and its middle.
#[inline]
fn place(name: &str) -> (usize, u64) {
    let bytes = name.as_bytes();
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let (first, last) = (at(0), at(bytes.len().wrapping_sub(1)));
    let ends = first.wrapping_mul(5) ^ last.wrapping_mul(3) ^ at(bytes.len() / 2);
    let mark = (bytes.len() as u8).wrapping_mul(37) ^ ends;
    (usize::from(mark >> 6), 1 << (mark & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_may_be_held() {
        let mut marks = NameMarks::default();
        for name in ["", "a", "EventID", "é", "user.name"] {
            assert!(!marks.may_hold(name), "{name}");
            assert!(!marks.note(name), "{name}");
            assert!(marks.may_hold(name) && marks.note(name), "{name}");
        }
        let strangers = (0..256).map(|i| format!("stranger{i}"));
        assert!(strangers.filter(|name| marks.may_hold(name)).count() < 32);
    }
}
