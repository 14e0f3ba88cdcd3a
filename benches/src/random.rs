//! Bytes that are the same on every machine: a small generator of random numbers, and text that
//! compresses about as well as source code does.
//!
//! Not for anything that must not be guessed. Files are written elsewhere.

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Between 0 and 1, never 0.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// A length whose mean is `mean` and of which most are shorter, as sizes of files are.
    pub fn length(&mut self, mean: usize, most: usize) -> usize {
        let drawn = -self.unit().ln() * mean as f64;
        (drawn as usize).clamp(1, most)
    }

    /// Bytes that do not compress.
    pub fn noise(&mut self, size: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        let mut bytes: Vec<u8> = words.take(size.div_ceil(8)).flatten().collect();
        bytes.truncate(size);
        bytes
    }

    /// Lines of words that come again and again.
    pub fn text(&mut self, size: usize) -> Vec<u8> {
        const LETTERS: &[u8] = b"etaoinshrdlucmfwypvbgkqjxz_(){};=";
        let word = |random: &mut Random| -> Vec<u8> {
            let length = 2 + random.below(7);
            (0..length).map(|_| LETTERS[random.below(LETTERS.len())]).collect()
        };
        let words: Vec<Vec<u8>> = (0..3000).map(|_| word(self)).collect();
        let mut text = Vec::with_capacity(size + 16);
        while text.len() < size {
            text.extend_from_slice(&words[self.below(words.len())]);
            text.push(if self.below(9) == 0 { b'\n' } else { b' ' });
        }
        text.truncate(size);
        text
    }
}

/// A stock of text that files are cut from: making text for each of them would take longer than
/// writing it.
#[derive(Debug)]
pub struct Stock {
    text: Vec<u8>,
}

impl Stock {
    /// One of `size` bytes.
    pub fn new(random: &mut Random, size: usize) -> Stock {
        Stock { text: random.text(size) }
    }

    /// A piece of it, at most as long as the stock.
    pub fn piece(&self, random: &mut Random, size: usize) -> &[u8] {
        let size = size.min(self.text.len());
        let start = random.below(self.text.len() - size + 1);
        &self.text[start..start + size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        // The first numbers of seed 0, as the algorithm's authors publish them.
        let mut random = Random::new(0);
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next(), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(Random::new(7).text(1000), Random::new(7).text(1000));
        assert_ne!(Random::new(7).noise(64), Random::new(8).noise(64));
    }

    #[test]
    fn lengths_have_the_mean_that_was_asked_for() {
        let mut random = Random::new(1);
        let sum: usize = (0..10_000).map(|_| random.length(8000, 60_000)).sum();
        assert!((7000..9000).contains(&(sum / 10_000)), "{}", sum / 10_000);
    }
}
