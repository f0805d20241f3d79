//! The templates, and how they become fewer.
//!
//! **Finding.** A form is the glue of a message and its words, slots alike. Its key is a sum over
//! places, so the key of the same form with more slots costs one subtraction and one addition for
//! each. The templates of one shape (glue, number of items) have few sets of slots between them; a
//! message looks each of them up: a handful of lookups, however many templates there are.
//!
//! **Merging.** Each template stands in one bucket for each of its words, under the key of its form
//! without that word: templates in one bucket differ in nothing but that place. Words that look
//! like values (after `=`, in quotes, with a digit) are left out of all these keys, for they may
//! differ at any time. When a bucket holds enough different words for what else its templates
//! share, they are one template with a slot there.

use super::hash::{Map, mix, stable};
use super::refine::{self, Row};
use super::scan::{Item, SLOT, Scan, at_place};
use super::words;
use super::{Kept, Limits, Merge, SlotKind, TemplateId};

/// Places that can be told apart; `scan::ITEMS_MAX` of them.
pub(super) type Places = u128;

/// Templates of one bucket that are kept in mind.
const BUCKET_MAX: usize = 32;
/// Templates of one shape that are compared one by one, for each message without room.
const COMPARED_MAX: usize = 256;
/// The same, for each merge.
const COVERED_MAX: usize = 2048;
/// Sets of slots of one shape that are looked up.
const MASKS_MAX: usize = 64;
/// Bytes that a last example keeps.
const EXAMPLE_BYTES: usize = 256;
/// Where the template is that takes what no other can.
pub(super) const CATCH_ALL: u32 = 0;

/// One template.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: u64,
    /// Messages that were assigned to it.
    pub(super) count: u64,
    /// Places that are slots.
    pub(super) slots: Places,
    form: u64,
    shape: u64,
    sum: u64,
    /// Number of its making: the older of two templates takes the other in.
    born: u64,
    live: bool,
    /// Words and slots of `first`.
    pub(super) items: Box<[Item]>,
    /// What was scanned of the first message; the static text is taken from here.
    pub(super) first: Box<str>,
    /// A later message, or its beginning.
    pub(super) last: Box<str>,
}

impl Node {
    /// Tells this template from others that had its place.
    pub(super) fn tag(&self) -> u32 {
        self.id as u32
    }

    /// Memory of this template, with its places in the maps.
    fn bytes(&self) -> usize {
        let words = self.items.len() - (self.slots.count_ones() as usize).min(self.items.len());
        size_of::<Self>()
            + size_of_val(&*self.items)
            + self.first.len()
            + EXAMPLE_BYTES
            + 96
            + words * 2 * size_of::<(u64, Bucket)>()
    }

    pub(super) fn is_slot(&self, place: usize) -> bool {
        self.slots >> place & 1 == 1
    }

    pub(super) fn is_catch_all(&self) -> bool {
        self.born == 1
    }

    fn word(&self, place: usize) -> &[u8] {
        self.items[place].bytes(self.first.as_bytes())
    }

    /// Whether everything that `items` has at the places of this template's words is these words.
    fn covers(&self, items: &[Item], text: &[u8]) -> bool {
        self.items.len() == items.len()
            && (0..items.len()).all(|place| {
                let item = &items[place];
                self.is_slot(place)
                    || item.kind.is_none()
                        && item.hash == self.items[place].hash
                        && item.bytes(text) == self.word(place)
            })
    }
}

/// Templates that differ in one place, oldest first. Most buckets hold one.
#[derive(Debug, Clone, Default)]
struct Bucket {
    one: u32,
    more: Vec<u32>,
}

impl Bucket {
    fn all(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.one).chain(self.more.iter().copied())
    }

    fn add(&mut self, index: u32) {
        if self.more.len() + 1 < BUCKET_MAX {
            self.more.push(index);
        }
    }
}

/// Templates with the same glue and number of items.
#[derive(Debug, Clone, Default)]
struct Shape {
    /// Sets of slots with the number of templates that have them, fewest slots first.
    masks: Vec<(Places, u32)>,
    members: Vec<u32>,
}

impl Shape {
    /// Whether it is time to look at all templates at once: at 16, 32, 64, and so on.
    fn has_doubled(&self) -> bool {
        self.members.len() >= 16 && self.members.len().is_power_of_two()
    }

    fn add(&mut self, slots: Places, index: u32) {
        self.members.push(index);
        if let Some((_, count)) = self.masks.iter_mut().find(|(mask, _)| *mask == slots) {
            *count += 1;
            return;
        }
        let width = slots.count_ones();
        let at = self.masks.partition_point(|(mask, _)| mask.count_ones() <= width);
        self.masks.insert(at, (slots, 1));
    }

    fn remove(&mut self, slots: Places, index: u32) {
        if let Some(at) = self.members.iter().position(|member| *member == index) {
            self.members.swap_remove(at);
        }
        if let Some(at) = self.masks.iter().position(|(mask, _)| *mask == slots) {
            self.masks[at].1 -= 1;
            if self.masks[at].1 == 0 {
                self.masks.remove(at);
            }
        }
    }
}

/// All templates.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) limits: Limits,
    nodes: Vec<Node>,
    free: Vec<u32>,
    born: u64,
    bytes: usize,
    /// Key of a form to its template.
    forms: Map<u32>,
    shapes: Map<Shape>,
    /// Key of a form without one word to the templates that have it.
    near: Map<Bucket>,
    /// Live ids to their templates.
    ids: Map<u32>,
    /// Ids that were taken in to those that took them.
    moved: Map<u64>,
    pub(super) merges: Vec<Merge>,
    pub(super) forgotten: u64,
    pub(super) widened: u64,
}

impl Store {
    pub(super) fn new(limits: Limits) -> Self {
        let mut store = Self {
            limits,
            nodes: Vec::new(),
            free: Vec::new(),
            born: 0,
            bytes: 0,
            forms: Map::default(),
            shapes: Map::default(),
            near: Map::default(),
            ids: Map::default(),
            moved: Map::default(),
            merges: Vec::new(),
            forgotten: 0,
            widened: 0,
        };
        let everything = Item { start: 0, end: 0, kind: Some(SlotKind::Text), hash: SLOT };
        store.insert(vec![everything], 0, 0, "");
        store
    }

    /// Live templates, the catch-all among them.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Estimated bytes of all templates, with their maps and the merge log.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.merges.capacity() * 64
    }

    #[inline]
    pub(super) fn node(&self, index: u32) -> &Node {
        &self.nodes[index as usize]
    }

    #[inline]
    pub(super) fn node_mut(&mut self, index: u32) -> &mut Node {
        &mut self.nodes[index as usize]
    }

    /// Live templates, oldest place first.
    pub(super) fn live(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.live)
    }

    /// The template of a live id.
    pub(super) fn by_id(&self, id: u64) -> Option<&Node> {
        self.ids.get(&id).map(|index| self.node(*index))
    }

    /// The live id that an id has become.
    pub(super) fn resolve(&self, id: u64) -> u64 {
        let mut id = id;
        // Every step leads to an older template, so this ends.
        while let Some(next) = self.moved.get(&id) {
            id = *next;
        }
        id
    }

    /// The narrowest template that covers a scanned message.
    pub(super) fn find(&self, scan: &Scan, text: &str) -> Option<u32> {
        let shape = self.shapes.get(&scan.shape)?;
        let own = slots_of(&scan.items);
        shape
            .masks
            .iter()
            .take(MASKS_MAX)
            .filter(|(mask, _)| own & !mask == 0)
            .filter_map(|(mask, _)| {
                self.forms.get(&self.masked(scan.shape, scan.sum, &scan.items, *mask))
            })
            .copied()
            .find(|index| self.node(*index).covers(&scan.items, text.as_bytes()))
    }

    /// Key of a form when the places of `mask` are slots.
    fn masked(&self, shape: u64, sum: u64, items: &[Item], mask: Places) -> u64 {
        mix(shape, self.masked_sum(sum, items, mask))
    }

    fn masked_sum(&self, sum: u64, items: &[Item], mask: Places) -> u64 {
        let mut sum = sum;
        for place in places(mask) {
            if let Some(item) = items.get(place) {
                sum = self.without(sum, place, item.hash);
            }
        }
        sum
    }

    fn without(&self, sum: u64, place: usize, hash: u64) -> u64 {
        sum.wrapping_sub(at_place(self.limits.seed, place, hash)).wrapping_add(at_place(
            self.limits.seed,
            place,
            SLOT,
        ))
    }

    /// All live templates but the catch-all, oldest first.
    pub(super) fn keep(&self) -> Vec<Kept> {
        let mut nodes: Vec<&Node> = self.live().filter(|node| !node.is_catch_all()).collect();
        nodes.sort_by_key(|node| node.born);
        let keep = |node: &Node| Kept {
            id: node.id,
            count: node.count,
            slots: node.slots,
            items: node.items.len() as u8,
            first: node.first.to_string(),
            last: node.last.to_string(),
        };
        nodes.into_iter().map(keep).collect()
    }

    /// Enters a template that was kept, with `scan` of its first text. One that was cut reads
    /// otherwise now, and is learnt anew when it comes again.
    pub(super) fn enter(&mut self, scan: &Scan, kept: &Kept) {
        let known = self.ids.contains_key(&kept.id);
        if self.is_full() || known || scan.items.len() != kept.items as usize {
            return;
        }
        let index = self.insert(scan.items.clone(), scan.shape, scan.sum, &kept.first);
        let all = Places::MAX.checked_shr(128 - scan.items.len() as u32).unwrap_or_default();
        self.widen_node(index, kept.slots & all);
        let node = self.node_mut(index);
        let given = std::mem::replace(&mut node.id, kept.id);
        (node.count, node.last) = (kept.count, kept.last.as_str().into());
        self.ids.remove(&given);
        self.ids.insert(kept.id, index);
        self.settle(index);
    }

    /// A template for a message that none covers; merges what is ripe then. Gives its place.
    pub(super) fn make(&mut self, scan: &Scan, text: &str) -> u32 {
        if self.is_full() {
            return self.widen(scan, text);
        }
        let end = scan.items.last().map_or(0, |item| item.end as usize);
        let long = end > super::scan::BYTES_MAX || scan.items.len() == super::scan::ITEMS_MAX;
        let kept = match scan.items.last() {
            // The rest of a long message is a slot: none of it is static.
            Some(rest) if long => text.get(..rest.start as usize).unwrap_or(text),
            _ => text,
        };
        let index = self.insert(scan.items.clone(), scan.shape, scan.sum, kept);
        let index = self.settle(index);
        if !self.shapes.get(&scan.shape).is_some_and(Shape::has_doubled) {
            return index;
        }
        self.refine(scan.shape);
        self.find(scan, text).unwrap_or(CATCH_ALL)
    }

    /// Merges templates of a shape that differ in several places at once.
    fn refine(&mut self, shape: u64) {
        // Every round leaves fewer templates.
        while let Some((members, differs)) = self.one_template(shape) {
            for member in &members {
                self.unlink(*member);
            }
            let index = self.join(members, differs);
            self.settle(index);
        }
    }

    fn one_template(&self, shape: u64) -> Option<(Vec<u32>, Places)> {
        let (mut keys, mut words, mut rows) = (0, 0, Vec::new());
        for index in self.shapes.get(&shape)?.members.iter().take(COVERED_MAX) {
            let node = self.node(*index);
            for place in (0..node.items.len()).filter(|place| !node.is_slot(*place)) {
                words |= 1 << place;
                let look = words::look(node.first.as_bytes(), &node.items, place);
                keys |= Places::from(look == words::Look::Key) << place;
            }
            let hashes = node.items.iter().map(|item| item.hash).collect();
            rows.push(Row { index: *index, hashes });
        }
        refine::one_template(rows, keys, words)
    }

    fn is_full(&self) -> bool {
        self.len() >= self.limits.templates_max.max(1) || self.bytes() >= self.limits.bytes_max
    }

    /// Without room for another template: the one of this shape that shares most takes the message,
    /// when they share more than half; else the catch-all.
    fn widen(&mut self, scan: &Scan, text: &str) -> u32 {
        let Some((index, differs)) = self.closest(scan, text) else { return CATCH_ALL };
        self.widened += 1;
        self.unlink(index);
        self.widen_node(index, differs);
        self.settle(index)
    }

    fn closest(&self, scan: &Scan, text: &str) -> Option<(u32, Places)> {
        let shape = self.shapes.get(&scan.shape)?;
        let compared = shape.members.iter().take(COMPARED_MAX).map(|index| {
            let node = self.node(*index);
            (*index, differences(node, &scan.items, text.as_bytes()), node.slots)
        });
        let (index, differs, slots) =
            compared.min_by_key(|(_, differs, _)| differs.count_ones())?;
        let words = scan.items.len() as u32 - (slots & !differs).count_ones();
        (differs.count_ones() * 2 < words).then_some((index, differs))
    }

    fn insert(&mut self, items: Vec<Item>, shape: u64, sum: u64, first: &str) -> u32 {
        self.born += 1;
        let node = Node {
            id: 0,
            count: 0,
            slots: slots_of(&items),
            form: mix(shape, sum),
            shape,
            sum,
            born: self.born,
            live: true,
            items: items.into_boxed_slice(),
            first: first.into(),
            last: "".into(),
        };
        self.bytes += node.bytes();
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.name(index);
        index
    }

    /// Gives a template its id: a hash of its first text, or the next one when that is taken.
    fn name(&mut self, index: u32) {
        let text = super::Template::of(self.node(index)).text();
        let mut attempt = 0;
        let mut id = stable(text.as_bytes(), attempt);
        while self.ids.contains_key(&id) || self.moved.contains_key(&id) {
            attempt += 1;
            id = stable(text.as_bytes(), attempt);
        }
        self.node_mut(index).id = id;
        self.ids.insert(id, index);
    }

    /// Links a template and merges until nothing is ripe. Gives the place where it ended up.
    fn settle(&mut self, index: u32) -> u32 {
        let mut index = index;
        // Every round but the last leaves one template less.
        loop {
            let form = self.node(index).form;
            if let Some(twin) = self.forms.get(&form).copied() {
                self.unlink(twin);
                index = self.join(vec![twin, index], 0);
                continue;
            }
            match self.link(index) {
                None => return index,
                Some((members, differs)) => {
                    for member in &members {
                        self.unlink(*member);
                    }
                    index = self.join(members, differs);
                }
            }
        }
    }

    /// Enters a template into the maps. Gives a bucket that is ripe then, with the places in which
    /// its templates differ.
    fn link(&mut self, index: u32) -> Option<(Vec<u32>, Places)> {
        let keys = self.near_keys(index);
        let node = &self.nodes[index as usize];
        let (form, shape, slots) = (node.form, node.shape, node.slots);
        self.forms.insert(form, index);
        self.shapes.entry(shape).or_default().add(slots, index);
        let mut ripe = None;
        for key in keys {
            match self.near.entry(key) {
                hashbrown::hash_map::Entry::Vacant(entry) => {
                    entry.insert(Bucket { one: index, more: Vec::new() });
                }
                hashbrown::hash_map::Entry::Occupied(mut entry) => {
                    entry.get_mut().add(index);
                    if ripe.is_none() {
                        let members: Vec<u32> = entry.get().all().collect();
                        ripe = self.ripe(&members).map(|differs| (members, differs));
                    }
                }
            }
        }
        ripe
    }

    fn unlink(&mut self, index: u32) {
        let keys = self.near_keys(index);
        let node = &self.nodes[index as usize];
        let (form, shape, slots) = (node.form, node.shape, node.slots);
        if self.forms.get(&form) == Some(&index) {
            self.forms.remove(&form);
        }
        if let Some(group) = self.shapes.get_mut(&shape) {
            group.remove(slots, index);
            if group.members.is_empty() {
                self.shapes.remove(&shape);
            }
        }
        for key in keys {
            self.leave(key, index);
        }
    }

    fn leave(&mut self, key: u64, index: u32) {
        let hashbrown::hash_map::Entry::Occupied(mut entry) = self.near.entry(key) else { return };
        let bucket = entry.get_mut();
        if bucket.one != index {
            bucket.more.retain(|member| *member != index);
        } else if bucket.more.is_empty() {
            entry.remove();
        } else {
            bucket.one = bucket.more.remove(0);
        }
    }

    /// The keys under which templates are found that may be the same as this one.
    fn near_keys(&self, index: u32) -> Vec<u64> {
        let node = self.node(index);
        let text = node.first.as_bytes();
        let mut weak = 0;
        let mut strong = Vec::new();
        for place in 0..node.items.len() {
            if node.is_slot(place) {
                continue;
            }
            match words::look(text, &node.items, place) {
                words::Look::Key => {}
                words::Look::Value => weak |= 1 << place,
                words::Look::Word => strong.push(place),
            }
        }
        let sum = self.masked_sum(node.sum, &node.items, weak & !node.slots);
        let mut keys = vec![mix(node.shape, sum)];
        keys.extend(
            strong
                .iter()
                .map(|place| mix(node.shape, self.without(sum, *place, node.items[*place].hash))),
        );
        keys
    }

    /// Whether templates that differ in one place, and maybe in values, are one; the places in
    /// which they differ.
    fn ripe(&self, members: &[u32]) -> Option<Places> {
        let first = self.node(*members.first()?);
        let (mut differs, mut needs_words) = (0, 0);
        let mut place_of_words = None;
        for place in 0..first.items.len() {
            let mut hashes: Vec<u64> = Vec::new();
            let mut plain = 0;
            for member in members {
                let node = self.node(*member);
                let hash = if node.is_slot(place) { SLOT } else { node.items[place].hash };
                if hashes.contains(&hash) {
                    continue;
                }
                hashes.push(hash);
                let look = || words::look(node.first.as_bytes(), &node.items, place);
                plain += u32::from(hash != SLOT && look() == words::Look::Word);
            }
            if hashes.len() < 2 {
                continue;
            }
            differs |= 1 << place;
            if plain > 0 {
                place_of_words = Some(place);
                let slot = hashes.contains(&SLOT);
                let values = hashes.len() as u32 - plain - u32::from(slot);
                needs_words = plain + values * 2 + if slot { words::SLOT_WEIGHT } else { 0 };
            }
        }
        let Some(place) = place_of_words else { return (differs != 0).then_some(differs) };
        let shared = words::shared(first.first.as_bytes(), &first.items, first.slots | differs);
        let enough = words::enough(first.first.as_bytes(), &first.items, place, shared);
        (needs_words >= enough).then_some(differs)
    }

    /// Makes one template of several that are not linked: the oldest, with slots at `differs`.
    /// Gives its place; it is not linked yet.
    fn join(&mut self, members: Vec<u32>, differs: Places) -> u32 {
        let oldest = members.iter().copied().min_by_key(|index| self.node(*index).born);
        let winner = oldest.unwrap_or(CATCH_ALL);
        self.widen_node(winner, differs);
        for member in members {
            if member != winner {
                self.take_in(winner, member);
            }
        }
        self.take_in_covered(winner);
        winner
    }

    /// Takes in the templates of the same shape that a template with more slots covers now.
    fn take_in_covered(&mut self, winner: u32) {
        let node = self.node(winner);
        let Some(shape) = self.shapes.get(&node.shape) else { return };
        let covered: Vec<u32> = (shape.members.iter().take(COVERED_MAX).copied())
            .filter(|index| {
                let other = self.node(*index);
                other.slots & !node.slots == 0 && node.covers(&other.items, other.first.as_bytes())
            })
            .collect();
        for index in covered {
            self.unlink(index);
            self.take_in(winner, index);
        }
    }

    fn take_in(&mut self, winner: u32, loser: u32) {
        let (old, count, kinds) = {
            let node = self.node_mut(loser);
            node.live = false;
            let kinds: Vec<Option<SlotKind>> = node.items.iter().map(|item| item.kind).collect();
            (node.id, node.count, kinds)
        };
        self.bytes -= self.node(loser).bytes();
        self.ids.remove(&old);
        self.free.push(loser);
        let node = self.node_mut(winner);
        node.count += count;
        join_kinds(node, kinds.into_iter());
        // What older template it is, the first message of a template says; its words stay.
        let new = node.id;
        self.log(Merge { from: TemplateId(old), into: TemplateId(new) });
        let loser = self.node_mut(loser);
        loser.id = 0;
        (loser.items, loser.first, loser.last) = (Box::new([]), "".into(), "".into());
    }

    /// Notes a merge. When the log is full, its older half is forgotten.
    fn log(&mut self, merge: Merge) {
        if self.merges.len() >= self.limits.merges_max.max(2) {
            let half = self.merges.len() / 2;
            for old in self.merges.drain(..half) {
                self.moved.remove(&old.from.0);
            }
            self.forgotten += half as u64;
        }
        self.moved.insert(merge.from.0, merge.into.0);
        self.merges.push(merge);
    }

    /// Makes slots of places of a template that is not linked.
    fn widen_node(&mut self, index: u32, places_wide: Places) {
        let node = self.node(index);
        let sum = self.masked_sum(node.sum, &node.items, places_wide & !node.slots);
        let before = node.bytes();
        let node = self.node_mut(index);
        for place in places(places_wide & !node.slots) {
            if let Some(item) = node.items.get_mut(place) {
                (item.kind, item.hash) = (Some(SlotKind::Text), SLOT);
            }
        }
        node.slots |= places_wide;
        (node.sum, node.form) = (sum, mix(node.shape, sum));
        let after = node.bytes();
        self.bytes = self.bytes - before + after;
    }

    /// Counts a message for a template, and keeps it as the last example now and then.
    #[inline]
    pub(super) fn count(&mut self, index: u32, message: &str) {
        let node = self.node_mut(index);
        node.count += 1;
        if node.count.is_power_of_two() {
            node.last = example(message).into();
        }
    }

    /// Lets a template know the kinds that a message has in its slots.
    pub(super) fn see_kinds(&mut self, index: u32, items: &[Item]) {
        join_kinds(self.node_mut(index), items.iter().map(|item| item.kind));
    }
}

/// The beginning of a message, for people to look at.
fn example(message: &str) -> &str {
    &message[..message.floor_char_boundary(EXAMPLE_BYTES.min(message.len()))]
}

fn join_kinds(node: &mut Node, kinds: impl Iterator<Item = Option<SlotKind>>) {
    for (item, kind) in node.items.iter_mut().zip(kinds) {
        if let (Some(known), seen) = (item.kind, kind) {
            item.kind = Some(known.joined(seen.unwrap_or(SlotKind::Text)));
        }
    }
}

/// The places of the slots among `items`.
fn slots_of(items: &[Item]) -> Places {
    let slot = |(place, item): (usize, &Item)| Places::from(item.kind.is_some()) << place;
    items.iter().enumerate().map(slot).fold(0, |all, one| all | one)
}

/// The places in a set, lowest first.
fn places(set: Places) -> impl Iterator<Item = usize> {
    let mut rest = set;
    std::iter::from_fn(move || {
        let place = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(place)
    })
}

/// The places of a template's words at which a message of its shape has something else.
fn differences(node: &Node, items: &[Item], text: &[u8]) -> Places {
    let differs = |place: usize| {
        let item = &items[place];
        !node.is_slot(place) && (item.kind.is_some() || item.bytes(text) != node.word(place))
    };
    let count = items.len().min(node.items.len());
    (0..count).filter(|place| differs(*place)).fold(0, |all, place| all | 1 << place)
}
