//! Where an archive is cut into pieces: at places that its bytes choose, not their position.
//!
//! When a file in the middle changes its length, cuts at fixed distances all move; cuts chosen by
//! the bytes around them are the same again a little after the change. So most pieces of a layer
//! with one changed file are those of the layer before it, and need not be compressed again.
//!
//! The choice is a rolling hash of the last 64 bytes ("gear", as in FastCDC, USENIX ATC 2016): a
//! piece ends where its upper bits are zero.

/// The bytes that the hash has in sight: each shift moves one of them out at the top.
const WINDOW: usize = 64;

/// How long pieces are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    /// No piece but the last is shorter.
    pub(super) least: usize,
    /// Beyond the least, a piece ends after this many bytes on average: a power of two.
    pub(super) average: usize,
    /// No piece is longer.
    pub(super) most: usize,
}

/// Cuts what it is shown.
#[derive(Debug)]
pub(super) struct Cutter {
    lengths: Lengths,
    /// Bytes of the piece so far.
    length: usize,
    hash: u64,
}

/// What to do with the bytes that were shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// All of them belong to the piece, and it goes on.
    None,
    /// The piece ends after so many of them.
    After(usize),
}

impl Cutter {
    /// At the start of a piece.
    pub(super) fn new(lengths: Lengths) -> Cutter {
        Cutter { lengths, length: 0, hash: 0 }
    }

    /// Looks for the end of the piece in its next bytes. Depends on the bytes of the piece alone,
    /// not on the portions they come in.
    pub(super) fn cut(&mut self, bytes: &[u8]) -> Cut {
        let Lengths { least, average, most } = self.lengths;
        let mask = !(u64::MAX >> average.trailing_zeros());
        // Nothing is in sight of a cut at `least` or later before this.
        let blind = (least - WINDOW).saturating_sub(self.length).min(bytes.len());
        self.length += blind;
        for (index, byte) in bytes.iter().enumerate().skip(blind) {
            self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            self.length += 1;
            let chosen = self.length >= least && self.hash & mask == 0;
            if chosen || self.length == most {
                (self.length, self.hash) = (0, 0);
                return Cut::After(index + 1);
            }
        }
        Cut::None
    }
}

/// A number for each byte, with no pattern: SplitMix64 (Steele, Lea and Flood 2014) from zero. It is
/// part of the format: other numbers would make other bytes.
const GEAR: [u64; 256] = {
    let mut gear = [0; 256];
    let mut state: u64 = 0;
    let mut index = 0;
    while index < gear.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        gear[index] = number ^ (number >> 31);
        index += 1;
    }
    gear
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTHS: Lengths = Lengths { least: 256, average: 1024, most: 4096 };

    /// The ends of all pieces, when the bytes come in portions of this length.
    fn ends(bytes: &[u8], portion: usize) -> Vec<usize> {
        let mut cutter = Cutter::new(LENGTHS);
        let mut ends = Vec::new();
        for (index, mut part) in bytes.chunks(portion).enumerate() {
            let mut at = index * portion;
            while let Cut::After(length) = cutter.cut(part) {
                at += length;
                ends.push(at);
                part = &part[length..];
            }
        }
        ends
    }

    /// Bytes without a pattern.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn lengths(ends: &[usize]) -> Vec<usize> {
        let starts = [0].into_iter().chain(ends.iter().copied());
        ends.iter().zip(starts).map(|(end, start)| end - start).collect()
    }

    #[test]
    fn pieces_have_the_lengths_that_were_asked_for() {
        let bytes = noise(1 << 20);
        let lengths = lengths(&ends(&bytes, bytes.len()));
        assert!(lengths.iter().all(|length| (256..=4096).contains(length)));
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((900..1500).contains(&mean), "{mean}");
    }

    #[test]
    fn bytes_without_a_place_to_cut_are_cut_at_the_most() {
        let bytes = vec![0; 10_000];
        assert_eq!(ends(&bytes, 10_000), [4096, 8192]);
    }

    #[test]
    fn what_follows_a_change_is_cut_as_before() {
        let before = noise(200_000);
        let mut after = before.clone();
        after.splice(100_000..100_010, *b"another length of it");
        let old = ends(&before, 4096);
        let new: Vec<usize> = ends(&after, 4096).iter().map(|end| end.wrapping_sub(10)).collect();
        let tail = |ends: &[usize]| ends.iter().copied().filter(|end| *end > 110_000).count();
        let same = new.iter().filter(|end| **end > 110_000 && old.contains(end)).count();
        assert!(tail(&old) > 50 && same == tail(&old), "{same} of {}", tail(&old));
    }

    proptest! {
        #[test]
        fn portions_make_no_difference(seed in any::<u8>(), portion in 1..5000_usize) {
            let bytes: Vec<u8> = noise(20_000).iter().map(|byte| byte.wrapping_mul(seed | 1)).collect();
            prop_assert_eq!(ends(&bytes, portion), ends(&bytes, bytes.len()));
        }
    }
}
