//! Keys of 128 bits as small numbers: equal keys, equal numbers, and no others.

/// Odd constants of Steele and Vigna's multiplicative generators; any that mix would do.
const LOW: u64 = 0xd134_2543_de82_ef95;
const HIGH: u64 = 0xaf25_1af3_b0f0_25b5;

/// Its high bits choose a slot.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
pub(super) fn hash(key: u128) -> u64 {
    let product = u128::from(key as u64 ^ LOW) * u128::from((key >> 64) as u64 ^ HIGH);
    product as u64 ^ (product >> 64) as u64
}

/// Numbers distinct keys from 1 on, in the order of appearance; 0 is a key that is not there.
pub(super) struct Numbers {
    /// Open addressing; a slot of 0 is empty.
    slots: Vec<u32>,
    shift: u32,
    /// By number; the first is no key's.
    keys: Vec<u128>,
}

impl Default for Numbers {
    fn default() -> Self {
        let mut empty = Self { slots: Vec::new(), shift: 0, keys: vec![0] };
        empty.resize(0);
        empty
    }
}

impl Numbers {
    /// Forgets all keys and makes place for `expected`.
    pub(super) fn clear(&mut self, expected: usize) {
        self.keys.truncate(1);
        self.resize(expected);
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len() - 1
    }

    fn resize(&mut self, expected: usize) {
        let size = (expected * 4).next_power_of_two().max(64);
        self.slots.clear();
        self.slots.resize(size, 0);
        self.shift = 64 - size.trailing_zeros();
    }

    /// The key's slot: its own, or the empty one that it would take.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a few bits choose the slot")]
    fn probe(&self, key: u128) -> usize {
        let mut at = (hash(key) >> self.shift) as usize;
        loop {
            let number = self.slots[at];
            if number == 0 || self.keys[number as usize] == key {
                return at;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The key's number, given now if it has none.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "tokens are counted in u32")]
    pub(super) fn number(&mut self, key: u128) -> u32 {
        if self.keys.len() * 2 > self.slots.len() {
            self.grow();
        }
        let at = self.probe(key);
        if self.slots[at] == 0 {
            self.slots[at] = self.keys.len() as u32;
            self.keys.push(key);
        }
        self.slots[at]
    }

    /// The key's number, 0 when it has none.
    #[inline]
    pub(super) fn find(&self, key: u128) -> u32 {
        self.slots[self.probe(key)]
    }

    #[cold]
    #[expect(clippy::cast_possible_truncation, reason = "tokens are counted in u32")]
    fn grow(&mut self) {
        self.resize(self.keys.len());
        for number in 1..self.keys.len() {
            let at = self.probe(self.keys[number]);
            self.slots[at] = number as u32;
        }
    }
}
