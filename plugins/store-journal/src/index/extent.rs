// SPDX-License-Identifier: Apache-2.0
//! Entries of one log that lie near each other in one file.
//!
//! The index does not keep where each entry is: it keeps the region of the file in which a run of entries lies, and
//! a reader walks that region. So a million small messages cost a few thousand extents.

/// Entries further apart than this are not put in one extent.
pub const MAX_WIDTH: u64 = 4096;

/// Batches are joined in one extent while their region is not longer than this.
pub const MAX_JOINED_BYTES: u64 = 64 * 1024;

/// A part of a file that holds whole batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The file.
    pub file: u32,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

/// Lengths of the records of an extent, by place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All are of this length.
    Same(u32),
    /// Each has its own, below 64 KiB.
    Short(Vec<u16>),
    /// Each has its own.
    Long(Vec<u32>),
}

impl Sizes {
    /// The length at a place.
    pub fn get(&self, at: usize) -> u32 {
        match self {
            Sizes::Same(size) => *size,
            Sizes::Short(sizes) => sizes.get(at).copied().map_or(0, u32::from),
            Sizes::Long(sizes) => sizes.get(at).copied().unwrap_or(0),
        }
    }

    // Appends lengths until there are `width` and the last is `size`. Places without an entry have length 0.
    fn extend(&mut self, old_width: usize, width: usize, size: u32) {
        if let Sizes::Same(same) = self {
            if *same == size {
                return;
            }
            let same = *same;
            *self = match u16::try_from(same) {
                Ok(same) => Sizes::Short(vec![same; old_width]),
                Err(_) => Sizes::Long(vec![same; old_width]),
            };
        }
        if let (Sizes::Short(sizes), true) = (&*self, size > u32::from(u16::MAX)) {
            *self = Sizes::Long(sizes.iter().copied().map(u32::from).collect());
        }
        match self {
            Sizes::Same(_) => {}
            Sizes::Short(sizes) => {
                sizes.resize(width - 1, 0);
                sizes.push(size as u16);
            }
            Sizes::Long(sizes) => {
                sizes.resize(width - 1, 0);
                sizes.push(size);
            }
        }
    }

    fn split_off(&mut self, at: usize) -> Sizes {
        match self {
            Sizes::Same(size) => Sizes::Same(*size),
            Sizes::Short(sizes) => Sizes::Short(sizes.split_off(at.min(sizes.len()))),
            Sizes::Long(sizes) => Sizes::Long(sizes.split_off(at.min(sizes.len()))),
        }
    }

    fn heap_bytes(&self) -> u64 {
        match self {
            Sizes::Same(_) => 0,
            Sizes::Short(sizes) => sizes.capacity() as u64 * 2,
            Sizes::Long(sizes) => sizes.capacity() as u64 * 4,
        }
    }
}

/// What a removal took from an extent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Entries.
    pub count: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

/// Entries of one log in one region. The number of the first place is the key under which the extent is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where the operations that made the entries are.
    pub region: Region,
    /// The file that has the records; the region's own, save for links to earlier batches.
    pub record_file: u32,
    /// Whether the entries are links, so that their records' bytes are counted elsewhere.
    pub linked: bool,
    /// Numbers covered by each entry. Entries that cover several have an extent of their own.
    pub span: u64,
    /// Places: from the first entry to the last.
    pub width: u32,
    /// Entries that exist.
    pub live: u32,
    /// Lengths of the records, by place.
    pub sizes: Sizes,
    /// Which places have an entry that exists, 64 to a word; empty: all.
    pub present: Vec<u64>,
}

fn words(width: u32) -> usize {
    width.div_ceil(64) as usize
}

impl Extent {
    /// An extent of one entry.
    pub fn new(region: Region, record_file: u32, linked: bool, span: u64, size: u32) -> Self {
        let sizes = Sizes::Same(size);
        Self { region, record_file, linked, span, width: 1, live: 1, sizes, present: Vec::new() }
    }

    /// Whether a place has an entry that exists.
    pub fn has(&self, at: u64) -> bool {
        if at >= u64::from(self.width) {
            return false;
        }
        self.present.is_empty()
            || self.present.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// The first place from `at` on that has an entry.
    pub fn next(&self, at: u64) -> Option<u64> {
        if self.present.is_empty() {
            return (at < u64::from(self.width)).then_some(at);
        }
        let (start, shift) = ((at / 64) as usize, at % 64);
        let mut masked = self.present.get(start)? >> shift << shift;
        for index in start..self.present.len() {
            if index > start {
                masked = *self.present.get(index)?;
            }
            if masked != 0 {
                return Some(index as u64 * 64 + u64::from(masked.trailing_zeros()));
            }
        }
        None
    }

    /// Tries to take in one more entry, `at` places after the first; answers whether it did.
    pub fn join(&mut self, at: u64, region: Region, like: &Extent) -> bool {
        let end = region.offset + region.len;
        let fits = self.region.file == region.file
            && self.record_file == like.record_file
            && self.linked == like.linked
            && self.span == 1
            && like.span == 1
            && at >= u64::from(self.width)
            && at < MAX_WIDTH
            && region.offset >= self.region.offset
            && (region == self.region || end - self.region.offset <= MAX_JOINED_BYTES.max(self.region.len));
        if !fits {
            return false;
        }
        let (old, width) = (self.width, at as u32 + 1);
        if width > old + 1 && self.present.is_empty() {
            self.fill_present();
        }
        self.width = width;
        if !self.present.is_empty() {
            self.present.resize(words(width), 0);
            self.set(at);
        }
        self.live += 1;
        self.sizes.extend(old as usize, width as usize, like.sizes.get(0));
        self.region.len = self.region.len.max(end - self.region.offset);
        true
    }

    fn set(&mut self, at: u64) {
        if let Some(word) = self.present.get_mut((at / 64) as usize) {
            *word |= 1 << (at % 64);
        }
    }

    fn fill_present(&mut self) {
        self.present = vec![u64::MAX; words(self.width)];
        if let (Some(last), rest @ 1..) = (self.present.last_mut(), self.width % 64) {
            *last = (1 << rest) - 1;
        }
    }

    /// Removes the entries from place `from` to `to`, inclusive, those that exist.
    pub fn remove(&mut self, from: u64, to: u64) -> Removed {
        let to = to.min(u64::from(self.width) - 1);
        let mut removed = Removed::default();
        if from == 0 && to + 1 == u64::from(self.width) {
            removed = Removed { count: u64::from(self.live), bytes: self.bytes() };
            self.live = 0;
            return removed;
        }
        let mut at = from;
        while let Some(place) = self.next(at).filter(|place| *place <= to) {
            if self.present.is_empty() {
                self.fill_present();
            }
            if let Some(word) = self.present.get_mut((place / 64) as usize) {
                *word &= !(1 << (place % 64));
            }
            removed.count += 1;
            removed.bytes += u64::from(self.sizes.get(place as usize));
            at = place + 1;
        }
        self.live -= removed.count as u32;
        removed
    }

    /// Bytes of the records of the entries that exist.
    pub fn bytes(&self) -> u64 {
        if let Sizes::Same(size) = self.sizes {
            return u64::from(size) * u64::from(self.live);
        }
        self.places().map(|place| u64::from(self.sizes.get(place as usize))).sum()
    }

    /// The places that have an entry, in order.
    pub fn places(&self) -> impl Iterator<Item = u64> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let place = self.next(at)?;
            at = place + 1;
            Some(place)
        })
    }

    /// Cuts at a place: what is from there on is answered; its first place is `at`. Both halves may be empty of
    /// entries.
    pub fn split_off(&mut self, at: u32) -> Extent {
        if self.present.is_empty() {
            self.fill_present();
        }
        let mut right = self.clone();
        right.sizes = self.sizes.split_off(at as usize);
        right.width = self.width - at;
        right.present = vec![0; words(right.width)];
        right.live = 0;
        for place in self.places().skip_while(|place| *place < u64::from(at)) {
            right.set(place - u64::from(at));
            right.live += 1;
        }
        self.width = at;
        self.present.truncate(words(at));
        if let (Some(last), rest @ 1..) = (self.present.last_mut(), at % 64) {
            *last &= (1 << rest) - 1;
        }
        self.live -= right.live;
        right
    }

    /// Memory behind this extent, besides itself.
    pub fn heap_bytes(&self) -> u64 {
        self.sizes.heap_bytes() + self.present.capacity() as u64 * 8
    }

    /// Gives back what was allocated for growth: the extent will not grow any more.
    pub fn close(&mut self) {
        match &mut self.sizes {
            Sizes::Same(_) => {}
            Sizes::Short(sizes) => sizes.shrink_to_fit(),
            Sizes::Long(sizes) => sizes.shrink_to_fit(),
        }
        self.present.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(offset: u64) -> Region {
        Region { file: 1, offset, len: 512 }
    }

    fn entry(size: u32) -> Extent {
        Extent::new(region(4096), 1, false, 1, size)
    }

    #[test]
    fn entries_join_and_leave_and_the_sums_follow() {
        let mut extent = entry(10);
        for at in 1..200 {
            assert!(extent.join(at, region(4096), &entry(10)));
        }
        assert_eq!((extent.live, extent.bytes(), extent.present.len()), (200, 2000, 0));
        assert_eq!(extent.remove(10, 19), Removed { count: 10, bytes: 100 });
        assert_eq!(extent.remove(15, 29), Removed { count: 10, bytes: 100 });
        assert_eq!((extent.next(10), extent.has(29), extent.has(30)), (Some(30), false, true));
        assert!(extent.join(205, region(4608), &entry(70_000)));
        assert_eq!(extent.places().count(), 181);
        assert_eq!((extent.has(202), extent.bytes()), (false, 1800 + 70_000));
        assert_eq!(extent.region.len, 1024);
        assert_eq!(extent.remove(0, u64::MAX).count, 181);
    }

    #[test]
    fn halves_of_an_extent_have_what_the_whole_had() {
        let mut extent = entry(1);
        for at in 1..300 {
            assert!(extent.join(at, region(4096), &entry(at as u32)));
        }
        extent.remove(100, 120);
        let (bytes, live) = (extent.bytes(), extent.live);
        let right = extent.split_off(110);
        assert_eq!(extent.live + right.live, live);
        assert_eq!(extent.bytes() + right.bytes(), bytes);
        assert_eq!((extent.width, right.width, right.next(0)), (110, 190, Some(11)));
    }

    #[test]
    fn what_lies_too_far_away_does_not_join() {
        let far = Region { file: 1, offset: 4096 + MAX_JOINED_BYTES, len: 512 };
        assert!(!entry(1).join(1, far, &entry(1)));
        assert!(!entry(1).join(MAX_WIDTH, region(4096), &entry(1)));
        assert!(!entry(1).join(0, region(4096), &entry(1)));
        let linked = Extent::new(region(4096), 1, true, 1, 1);
        assert!(!entry(1).join(1, region(4096), &linked));
    }
}
