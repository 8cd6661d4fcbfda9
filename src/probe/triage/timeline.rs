//! Readings by time in bounded memory: slots of equal width, which doubles when there are too many of them.

/// What a slot holds, and how two neighbours become one.
pub trait Merge: Default {
    /// Takes the later neighbour's content.
    fn merge(&mut self, later: Self);
}

/// Slots by time, milliseconds.
#[derive(Debug)]
pub struct Timeline<T> {
    width_ms: f64,
    most: usize,
    /// In the order of time; empty ones are not kept.
    slots: Vec<(i64, T)>,
    last: usize,
    shift_ms: f64,
}

/// Width of a slot at first, milliseconds.
const FIRST_WIDTH_MS: f64 = 50.0;

impl<T: Merge> Timeline<T> {
    /// An empty one of at most this many slots.
    pub fn new(most: usize) -> Self {
        Self { width_ms: FIRST_WIDTH_MS, most: most.max(2), slots: Vec::new(), last: 0, shift_ms: 0.0 }
    }

    /// The slot of a time.
    pub fn at(&mut self, ms: f64) -> &mut T {
        let slot = self.slot(ms);
        if self.slots.get(self.last).is_none_or(|(at, _)| *at != slot) {
            self.last = self.place(slot).unwrap_or_else(|_| {
                if self.slots.len() >= self.most {
                    self.widen();
                }
                // Widening may have made room in a slot that is there.
                let slot = self.slot(ms);
                self.place(slot).unwrap_or_else(|place| {
                    self.slots.insert(place, (slot, T::default()));
                    place
                })
            });
        }
        &mut self.slots[self.last].1
    }

    /// Moves everything by as much.
    pub fn shift(&mut self, ms: f64) {
        self.shift_ms += ms;
    }

    /// Visits every slot's content.
    pub fn each(&mut self, visit: &mut impl FnMut(&mut T)) {
        self.slots.iter_mut().for_each(|(_, content)| visit(content));
    }

    /// Beginning and end of each slot, milliseconds, with its content, in the order of time.
    pub fn slots(&self) -> impl Iterator<Item = (f64, f64, &T)> {
        let (width, shift) = (self.width_ms, self.shift_ms);
        self.slots
            .iter()
            .map(move |(at, content)| (*at as f64 * width + shift, (*at + 1) as f64 * width + shift, content))
    }

    fn place(&self, slot: i64) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&slot, |(at, _)| *at)
    }

    fn slot(&self, ms: f64) -> i64 {
        ((ms - self.shift_ms) / self.width_ms).floor() as i64
    }

    /// Joins neighbours until half of the room is free.
    fn widen(&mut self) {
        while self.slots.len() > self.most / 2 && self.width_ms < 1e15 {
            self.width_ms *= 2.0;
            let old = std::mem::take(&mut self.slots);
            for (at, content) in old {
                let at = at.div_euclid(2);
                match self.slots.last_mut() {
                    Some((last, kept)) if *last == at => kept.merge(content),
                    _ => self.slots.push((at, content)),
                }
            }
        }
        self.last = 0;
    }
}
