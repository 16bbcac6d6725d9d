// SPDX-License-Identifier: Apache-2.0
//! The extents of one log, in the order of their numbers.
//!
//! Where a backlog is deep, nearly all of its extents are alike: full, each right behind the other, in the same file.
//! Such extents are kept in packs, at a tenth of the memory, with lengths of records in as few bits as they differ in, and
//! are taken out one by one when something happens to them. Nobody else sees a difference.

use super::extent::{Extent, Region, Removed, Sizes};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Extents in a pack, at most: so many are looked through to find one.
const MOST_MEMBERS: usize = 128;

/// What tells an extent in a pack from the others in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    // Its region's first byte, from the pack's on, and its length.
    start: u32,
    len: u32,
    width: u16,
}

/// Lengths of records that do not differ much, each in a few bits.
#[derive(Clone, Debug, Default)]
struct Near {
    // The least, and how many bits tell how much longer each is.
    base: u32,
    bits: u32,
    words: Vec<u64>,
}

impl Near {
    // For lengths from the least to the most, with what room the bits give on both sides.
    fn between(least: u32, most: u32) -> Near {
        let bits = u32::BITS - (most - least).leading_zeros();
        let spare = u32::try_from((1u64 << bits) - 1 - u64::from(most - least)).unwrap_or(0);
        Near { base: least.saturating_sub(spare / 2), bits, words: Vec::new() }
    }

    fn has_room_for(&self, [least, most]: [u32; 2]) -> bool {
        least >= self.base && u64::from(most - self.base) < 1u64 << self.bits
    }

    fn get(&self, at: usize) -> u32 {
        if self.bits == 0 {
            return self.base;
        }
        let (bit, mask) = (at * self.bits as usize, (1u64 << self.bits) - 1);
        let word = |index: usize| self.words.get(index).copied().unwrap_or(0);
        let (index, shift) = (bit / 64, bit % 64);
        let both = u128::from(word(index)) | u128::from(word(index + 1)) << 64;
        self.base + ((both >> shift) as u64 & mask) as u32
    }

    fn set(&mut self, at: usize, size: u32) {
        if self.bits == 0 {
            return;
        }
        let (bit, mask) = (at * self.bits as usize, (1u128 << self.bits) - 1);
        let (index, shift) = (bit / 64, bit % 64);
        let needed = (bit + self.bits as usize).div_ceil(64);
        if self.words.len() < needed {
            self.words.resize(needed, 0);
        }
        let (clear, more) = (mask << shift, u128::from(size - self.base) << shift);
        for (half, index) in [index, index + 1].into_iter().enumerate() {
            if let Some(word) = self.words.get_mut(index) {
                *word = *word & !((clear >> (64 * half)) as u64) | (more >> (64 * half)) as u64;
            }
        }
    }
}

/// Extents that follow each other without a gap, all of whose entries exist and have their records in one file.
#[derive(Clone, Debug)]
struct Pack {
    file: u32,
    offset: u64,
    // Places in all of them.
    width: u64,
    members: Vec<Member>,
    // By place, from `skip` on: what was taken apart may leave its own behind.
    sizes: Near,
    skip: usize,
}

impl Pack {
    // A pack of two extents, of which the second's first place is so many behind the first's, if they are alike.
    fn of(first: &Extent, at: u64, second: &Extent) -> Option<Pack> {
        let [least, most] = bounds(&first.sizes);
        let others = bounds(&second.sizes);
        let Region { file, offset, .. } = first.region;
        let sizes = Near::between(least.min(others[0]), most.max(others[1]));
        let mut pack = Pack { file, offset, width: 0, members: Vec::new(), sizes, skip: 0 };
        (pack.take(0, first) && pack.take(at, second)).then_some(pack)
    }

    // Takes an extent in whose first place is so many behind the pack's; answers whether it did.
    fn take(&mut self, at: u64, extent: &Extent) -> bool {
        let plain = extent.present.is_empty()
            && extent.span == 1
            && !extent.linked
            && extent.record_file == extent.region.file;
        let fits = plain
            && at == self.width
            && extent.region.file == self.file
            && self.members.len() < MOST_MEMBERS
            && self.sizes.has_room_for(bounds(&extent.sizes));
        let start = extent.region.offset.checked_sub(self.offset).and_then(|start| u32::try_from(start).ok());
        let (len, width) = (u32::try_from(extent.region.len), u16::try_from(extent.width));
        let (true, Some(start), Ok(len), Ok(width)) = (fits, start, len, width) else { return false };
        let behind = self.skip + self.width as usize;
        for place in 0..usize::from(width) {
            self.sizes.set(behind + place, extent.sizes.get(place));
        }
        self.members.push(Member { start, len, width });
        self.width += u64::from(width);
        if self.members.len() == MOST_MEMBERS {
            self.sizes.words.shrink_to_fit();
        }
        true
    }

    fn extent(&self, at: u64, member: &Member) -> Extent {
        let offset = self.offset + u64::from(member.start);
        let region = Region { file: self.file, offset, len: u64::from(member.len) };
        let (from, width) = (self.skip + at as usize, u32::from(member.width));
        let sizes = || (0..width as usize).map(|place| self.sizes.get(from + place));
        let first = self.sizes.get(from);
        let sizes = if sizes().all(|size| size == first) {
            Sizes::Same(first)
        } else {
            let short: Option<Vec<u16>> = sizes().map(|size| u16::try_from(size).ok()).collect();
            short.map_or_else(|| Sizes::Long(sizes().collect()), Sizes::Short)
        };
        Extent { width, live: width, sizes, ..Extent::new(region, self.file, false, 1, first) }
    }

    // Its extents, each with how many places its first is behind the pack's, from one on for which `skip` says no, which
    // is asked with the first place and the one behind the last.
    fn extents(&self, skip: impl Fn(u64, u64) -> bool) -> impl Iterator<Item = (u64, Extent)> {
        let mut at = 0;
        let placed = self.members.iter().map(move |member| {
            let before = at;
            at += u64::from(member.width);
            (before, member)
        });
        let rest = placed.skip_while(move |(at, member)| skip(*at, at + u64::from(member.width)));
        rest.map(|(at, member)| (at, self.extent(at, member)))
    }

    // Takes the extent apart that has this place: what is before it, how many places its first is behind the pack's,
    // itself, and what is behind it.
    fn apart(mut self, place: u64) -> Option<(Option<Pack>, u64, Extent, Option<Pack>)> {
        let (at, extent) = self.extents(|_, end| end <= place).next()?;
        let behind = at + u64::from(extent.width);
        let (mut before, mut found) = (0, 0);
        while before < at {
            before += u64::from(self.members.get(found)?.width);
            found += 1;
        }
        let members = self.members.split_off(found + 1);
        self.members.truncate(found);
        let left = (found > 0).then(|| {
            self.members.shrink_to_fit();
            Pack { width: at, members: std::mem::take(&mut self.members), ..self.clone() }
        });
        // Mostly it is taken from the front: then lengths stay where they are.
        let (skip, width) = (self.skip + behind as usize, self.width - behind);
        let right = (!members.is_empty()).then_some(Pack { skip, width, members, ..self });
        Some((left, at, extent, right))
    }

    // Bytes of the records of all.
    fn bytes(&self) -> u64 {
        let places = self.skip..self.skip + self.width as usize;
        match self.sizes.bits {
            0 => u64::from(self.sizes.base) * self.width,
            _ => places.map(|at| u64::from(self.sizes.get(at))).sum(),
        }
    }
}

// The least and the greatest length.
fn bounds(sizes: &Sizes) -> [u32; 2] {
    let of = |sizes: &mut dyn Iterator<Item = u32>| {
        sizes.fold([u32::MAX, 0], |[least, most], size| [least.min(size), most.max(size)])
    };
    match sizes {
        Sizes::Same(size) => [*size; 2],
        Sizes::Short(sizes) => of(&mut sizes.iter().copied().map(u32::from)),
        Sizes::Long(sizes) => of(&mut sizes.iter().copied()),
    }
}

#[derive(Clone, Debug)]
enum Slot {
    One(Extent),
    Pack(Pack),
}

impl Slot {
    // Its extents, each with the number of its first place, if `first` is the slot's: of a pack, from one on for which
    // `skip` says no, which is asked with its first number and its last.
    fn extents(
        &self,
        first: u64,
        skip: impl Fn(u64, u64) -> bool,
    ) -> impl Iterator<Item = (u64, Cow<'_, Extent>)> {
        let (one, pack) = match self {
            Slot::One(extent) => (Some(extent), None),
            Slot::Pack(pack) => (None, Some(pack)),
        };
        let one = one.map(|extent| (first, Cow::Borrowed(extent)));
        let members = pack.map(|pack| pack.extents(move |at, behind| skip(first + at, first + (behind - 1))));
        let members = members.into_iter().flatten();
        one.into_iter().chain(members.map(move |(at, extent)| (first + at, Cow::Owned(extent))))
    }
}

/// Extents by the number of their first place. They do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Extents {
    slots: BTreeMap<u64, Slot>,
    // Extents beyond the first in each pack.
    more: usize,
}

impl PartialEq for Extents {
    // What is packed is a matter of history.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Extents {}

impl Extents {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() + self.more
    }

    /// All of them, each with the number of its first place.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Cow<'_, Extent>)> {
        self.slots.iter().flat_map(|(first, slot)| slot.extents(*first, |_, _| false))
    }

    /// Those that begin at `seq` or behind it.
    pub fn since(&self, seq: u64) -> impl Iterator<Item = (u64, Cow<'_, Extent>)> {
        self.slots_around(seq, move |first, _| first < seq).skip_while(move |(first, _)| *first < seq)
    }

    /// Those that end at `seq` or behind it.
    pub fn reaching(&self, seq: u64) -> impl Iterator<Item = (u64, Cow<'_, Extent>)> {
        let all = self.slots_around(seq, move |_, last| last < seq);
        all.skip_while(move |(first, extent)| last_of(*first, extent) < seq)
    }

    // From the slot on in which `seq` would be.
    fn slots_around(
        &self,
        seq: u64,
        skip: impl Fn(u64, u64) -> bool + Copy,
    ) -> impl Iterator<Item = (u64, Cow<'_, Extent>)> {
        let start = self.slots.range(..=seq).next_back().map_or(seq, |(first, _)| *first);
        self.slots.range(start..).flat_map(move |(first, slot)| slot.extents(*first, skip))
    }

    /// Those that have links.
    pub fn linked(&self) -> impl Iterator<Item = &Extent> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::One(extent) if extent.linked => Some(extent),
            _ => None,
        })
    }

    /// Puts an extent there, instead of one that may begin at the same place.
    pub fn insert(&mut self, seq: u64, extent: Extent) {
        self.loosen(seq);
        self.slots.insert(seq, Slot::One(extent));
    }

    /// The last one, with the number of its first place.
    pub fn last_mut(&mut self) -> Option<(u64, &mut Extent)> {
        if let Some((first, Slot::Pack(pack))) = self.slots.last_key_value() {
            let last = first + pack.width - 1;
            self.loosen(last);
        }
        match self.slots.iter_mut().next_back()? {
            (first, Slot::One(extent)) => Some((*first, extent)),
            (_, Slot::Pack(_)) => None,
        }
    }

    /// The extent before the one that begins at `seq` will not grow any more.
    pub fn close_before(&mut self, seq: u64) {
        let mut before = self.slots.range_mut(..seq).rev();
        let Some((first, Slot::One(closed))) = before.next() else { return };
        closed.close();
        let first = *first;
        let taken = match before.next() {
            Some((key, Slot::Pack(pack))) => pack.take(first - key, closed),
            Some((key, slot)) => {
                let pack = match &*slot {
                    Slot::One(extent) => Pack::of(extent, first - key, closed),
                    Slot::Pack(_) => None,
                };
                let taken = pack.is_some();
                pack.into_iter().for_each(|pack| *slot = Slot::Pack(pack));
                taken
            }
            None => false,
        };
        if taken {
            self.slots.remove(&first);
            self.more += 1;
        }
    }

    /// Removes the entries with numbers from `first` to `last`, inclusive. Tells of each extent, or of several in the
    /// same file, which file has its operations, which its records, whether these are links, and what was removed.
    pub fn remove(&mut self, first: u64, last: u64, mut gone: impl FnMut([u32; 2], bool, Removed)) {
        self.loosen(first);
        self.loosen(last);
        let start = self.slots.range(..=first).next_back().map_or(first, |(key, _)| *key);
        let mut dead = Vec::new();
        for (key, slot) in self.slots.range_mut(start..=last.max(start)) {
            match slot {
                Slot::One(extent) => {
                    if last_of(*key, extent) < first || *key > last {
                        continue;
                    }
                    let removed = extent.remove(first.saturating_sub(*key), last - *key);
                    gone([extent.region.file, extent.record_file], extent.linked, removed);
                    if extent.live == 0 {
                        dead.push(*key);
                    }
                }
                // Those that were to be taken apart have been.
                Slot::Pack(pack) if (first..=last).contains(key) => {
                    gone([pack.file; 2], false, Removed { count: pack.width, bytes: pack.bytes() });
                    dead.push(*key);
                }
                Slot::Pack(_) => {}
            }
        }
        for key in dead {
            if let Some(Slot::Pack(pack)) = self.slots.remove(&key) {
                self.more -= pack.members.len() - 1;
            }
        }
    }

    /// Cuts the extent that spans `seq` in two, so that another can be put between. No entry at `seq` exists, though
    /// it may be the first place of an extent.
    pub fn make_room(&mut self, seq: u64) {
        self.cut(seq);
        if let Some(end) = seq.checked_add(1) {
            self.cut(end);
        }
        self.slots.remove(&seq);
    }

    /// Sees to it that no extent spans `seq` and the number before it.
    pub fn cut(&mut self, seq: u64) {
        let Some(before) = seq.checked_sub(1) else { return };
        self.loosen(before);
        let Some((first, Slot::One(extent))) = self.slots.range_mut(..seq).next_back() else {
            return;
        };
        let (first, at) = (*first, seq - *first);
        if at >= u64::from(extent.width) {
            return;
        }
        let mut right = extent.split_off(at as u32);
        if extent.live == 0 {
            self.slots.remove(&first);
        }
        // Extents begin with an entry, where that can be had.
        if let Some(place) = right.next(0) {
            let right = if place == 0 { right } else { right.split_off(place as u32) };
            self.slots.insert(seq + place, Slot::One(right));
        }
    }

    // Sees to it that the extent that spans `seq` is in no pack.
    fn loosen(&mut self, seq: u64) {
        let Some((key, Slot::Pack(pack))) = self.slots.range(..=seq).next_back() else { return };
        let key = *key;
        if seq - key >= pack.width {
            return;
        }
        let Some(Slot::Pack(pack)) = self.slots.remove(&key) else { return };
        self.more -= pack.members.len() - 1;
        let Some((left, at, extent, right)) = pack.apart(seq - key) else { return };
        let behind = key + at + u64::from(extent.width);
        self.slots.insert(key + at, Slot::One(extent));
        for (first, pack) in [(key, left), (behind, right)] {
            if let Some(pack) = pack {
                self.more += pack.members.len() - 1;
                self.slots.insert(first, Slot::Pack(pack));
            }
        }
    }

    /// Memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        // What a map's node costs besides its values, and how full nodes usually are.
        const SLACK: u64 = 3;
        let heap = |slot: &Slot| match slot {
            Slot::One(extent) => extent.heap_bytes(),
            Slot::Pack(pack) => {
                (pack.members.capacity() * size_of::<Member>() + pack.sizes.words.capacity() * 8) as u64
            }
        };
        self.slots.len() as u64 * (size_of::<Slot>() as u64 + 8) * SLACK / 2
            + self.slots.values().map(heap).sum::<u64>()
    }
}

// The number of an extent's last place.
fn last_of(first: u64, extent: &Extent) -> u64 {
    first.saturating_add(u64::from(extent.width) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: u32 = 200;

    fn extent(nth: u64) -> Extent {
        let region = Region { file: 1, offset: 4096 + nth * 65536, len: 65536 };
        let one = Extent::new(region, 1, false, 1, 300);
        Extent { width: WIDTH, live: WIDTH, ..one }
    }

    fn full(count: u64) -> Extents {
        let mut extents = Extents::default();
        for nth in 0..count {
            let seq = nth * u64::from(WIDTH);
            extents.insert(seq, extent(nth));
            extents.close_before(seq);
        }
        extents
    }

    fn firsts(extents: &Extents) -> Vec<u64> {
        extents.iter().map(|(first, _)| first).collect()
    }

    #[test]
    fn full_extents_that_follow_each_other_take_a_tenth_and_are_what_they_were() {
        let extents = full(1000);
        assert_eq!((extents.len(), firsts(&extents).len()), (1000, 1000));
        assert!(extents.slots.len() < 10, "{}", extents.slots.len());
        let alone = 1000 * size_of::<Extent>() as u64;
        assert!(extents.memory_bytes() < alone / 5, "{} of {alone}", extents.memory_bytes());
        for (nth, (first, found)) in extents.iter().enumerate() {
            assert_eq!((first, &*found), (nth as u64 * u64::from(WIDTH), &extent(nth as u64)));
        }
        let reached: Vec<u64> = extents.reaching(70_199).take(2).map(|(first, _)| first).collect();
        assert_eq!(reached, [70_000, 70_200]);
        assert_eq!(extents.since(70_001).next().map(|(first, _)| first), Some(70_200));
    }

    #[test]
    fn what_is_removed_from_the_middle_of_a_pack_leaves_the_rest_packed() {
        let mut extents = full(100);
        let mut removed = Vec::new();
        extents.remove(5_050, 5_050, |_, _, one| removed.push(one));
        assert_eq!(removed, [Removed { count: 1, bytes: 300 }]);
        assert_eq!((extents.len(), extents.slots.len()), (100, 4));
        assert!(extents.reaching(5_050).next().is_some_and(|(first, found)| !found.has(5_050 - first)));
        removed.clear();
        extents.remove(1_010, 9_989, |_, _, one| removed.push(one));
        assert_eq!(removed.iter().map(|one| one.count).sum::<u64>(), 8_979);
        assert_eq!(extents.len(), 5 + 1 + 1 + 50);
        extents.remove(0, u64::MAX, |_, _, one| removed.push(one));
        assert_eq!(removed.iter().map(|one| one.count).sum::<u64>(), 19_999);
        assert_eq!((extents.len(), extents.more), (0, 0));
    }

    #[test]
    fn only_what_is_alike_and_has_no_gap_is_packed() {
        let other = |change: fn(&mut Extent)| {
            let mut extents = full(3);
            let mut one = extent(3);
            change(&mut one);
            extents.insert(600, one);
            extents.close_before(600);
            extents.insert(900, extent(9));
            extents.close_before(900);
            extents.slots.len()
        };
        assert_eq!(other(|_| {}), 2, "a pack, and the newest");
        let changes: [fn(&mut Extent); 5] = [
            |one| one.region.file = 2,
            |one| one.region.offset = 0,
            |one| one.linked = true,
            |one| one.span = 2,
            |one| _ = one.remove(5, 5),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert!(other(change) > 2, "change {at}");
        }
        let mut extents = full(2);
        extents.insert(401, extent(2));
        extents.close_before(401);
        extents.insert(900, extent(3));
        extents.close_before(900);
        assert_eq!(extents.slots.len(), 3, "a number is missing before the third");
    }

    #[test]
    fn lengths_take_the_bits_in_which_they_differ() {
        let varied = |nth: u64| {
            let sizes = (0..WIDTH).map(|place| 300 + (place * 7 + nth as u32 * 13) % 120);
            Extent { sizes: Sizes::Short(sizes.map(|size| size as u16).collect()), ..extent(nth) }
        };
        let mut extents = Extents::default();
        for nth in 0..300 {
            let seq = nth * u64::from(WIDTH);
            extents.insert(seq, varied(nth));
            extents.close_before(seq);
        }
        assert!(extents.slots.len() < 10, "{}", extents.slots.len());
        let bits = 300 * u64::from(WIDTH) * 7;
        assert!(extents.memory_bytes() < bits / 8 * 5 / 4, "{}", extents.memory_bytes());
        // From the front, from the middle, and what is left.
        let mut removed = Vec::new();
        let ranges = [(0, 0), (0, 2_999), (10_100, 10_100), (20_000, 39_999)];
        for (first, last) in ranges {
            extents.remove(first, last, |_, _, one| removed.push(one));
        }
        for (first, found) in extents.iter() {
            let original = varied(first / u64::from(WIDTH));
            for place in found.places() {
                let at = (first % u64::from(WIDTH) + place) as usize;
                assert_eq!(found.sizes.get(place as usize), original.sizes.get(at), "{first} {place}");
            }
        }
        let bytes: u64 = (0..300).map(|nth| varied(nth).bytes()).sum();
        extents.remove(0, u64::MAX, |_, _, one| removed.push(one));
        assert_eq!(removed.iter().map(|one| one.bytes).sum::<u64>(), bytes);
        assert_eq!(removed.iter().map(|one| one.count).sum::<u64>(), 300 * u64::from(WIDTH));
        let far = |size| Extent { sizes: Sizes::Same(size), ..extent(1) };
        assert!(Pack::of(&extent(0), u64::from(WIDTH), &far(u32::MAX)).is_some_and(|mut pack| {
            pack.take(2 * u64::from(WIDTH), &far(200)) && pack.extents(|_, _| false).count() == 3
        }));
    }

    #[test]
    fn the_last_of_a_pack_can_go_on_growing_when_what_came_behind_it_has_gone() {
        let mut extents = full(10);
        extents.remove(1_800, 1_999, |_, _, _| {});
        assert_eq!(extents.slots.len(), 1);
        let (first, last) = extents.last_mut().expect("nine are left");
        assert_eq!((first, last.clone()), (1_600, extent(8)));
        assert_eq!((extents.len(), firsts(&extents).len()), (9, 9));
        extents.cut(250);
        assert_eq!(firsts(&extents)[..4], [0, 200, 250, 400]);
        assert_eq!(extents.len(), 10);
    }
}
