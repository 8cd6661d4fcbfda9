//! What is sent: bodies that differ in a few bytes, of which only those are kept apart.

use hyper::body::Bytes;
use std::io::IoSlice;

/// Bytes that are compared at once.
const BLOCK: usize = 256;

/// Bodies that are sent in turn. However large they are and however many, what they have in common is in memory once, and
/// stays in the processor's cache.
#[derive(Debug, Clone, Default)]
pub struct Bodies {
    first: Bytes,
    others: Vec<Other>,
}

/// How a body differs from the first one.
#[derive(Debug, Clone)]
struct Other {
    /// Bytes that are the same at the beginning, and at the end.
    before: usize,
    after: usize,
    between: Bytes,
}

/// One body.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a>(pub(super) [&'a [u8]; 3]);

impl Bodies {
    /// One body.
    pub fn new(first: Bytes) -> Self {
        Self { first, others: Vec::new() }
    }

    /// Adds another one.
    pub fn push(&mut self, body: &[u8]) {
        let first: &[u8] = &self.first;
        let shorter = first.len().min(body.len());
        let before = alike(first.chunks(BLOCK).zip(body.chunks(BLOCK)), first.iter().zip(body));
        let after = alike(first.rchunks(BLOCK).zip(body.rchunks(BLOCK)), first.iter().rev().zip(body.iter().rev()));
        let after = after.min(shorter - before);
        let between = body.get(before..body.len() - after).unwrap_or_default();
        self.others.push(Other { before, after, between: Bytes::copy_from_slice(between) });
    }

    /// The first one.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Their lengths together, bytes.
    pub fn bytes(&self) -> u64 {
        let others = self.others.iter().map(|other| (other.before + other.between.len() + other.after) as u64);
        self.first.len() as u64 + others.sum::<u64>()
    }

    /// Keeps the first one alone.
    pub fn keep_first(&mut self) {
        self.others.clear();
    }

    /// The body of a request by the request's number.
    pub fn turn(&self, number: u64) -> Body<'_> {
        let turn = usize::try_from(number % self.count() as u64).unwrap_or_default();
        let other = turn.checked_sub(1).and_then(|turn| self.others.get(turn));
        let Some(Other { before, after, between }) = other else { return Body([&self.first, &[], &[]]) };
        let end = self.first.len() - after;
        Body([self.first.get(..*before).unwrap_or_default(), between, self.first.get(end..).unwrap_or_default()])
    }
}

/// How many bytes are the same: by blocks, then one by one.
fn alike<'a>(
    blocks: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    single: impl Iterator<Item = (&'a u8, &'a u8)>,
) -> usize {
    let whole = blocks.take_while(|(one, other)| one.len() == BLOCK && one == other).count() * BLOCK;
    whole + single.skip(whole).take_while(|(one, other)| one == other).count()
}

impl From<Vec<Bytes>> for Bodies {
    fn from(all: Vec<Bytes>) -> Self {
        let mut all = all.into_iter();
        let mut bodies = Self::new(all.next().unwrap_or_default());
        all.for_each(|body| bodies.push(&body));
        bodies
    }
}

impl Body<'_> {
    /// Its length, bytes.
    pub fn len(&self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }
}

/// What is left of these parts behind so many bytes, for one call to the system.
pub(super) fn left<'a, const N: usize>(parts: &[&'a [u8]; N], mut sent: usize) -> [IoSlice<'a>; N] {
    parts.map(|part| {
        let passed = sent.min(part.len());
        sent -= passed;
        IoSlice::new(part.get(passed..).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_common_is_kept_once() {
        let picture = vec![7_u8; 100_000];
        let mut bodies = Bodies::new(Bytes::from(picture.clone()));
        for number in 1..=200_u8 {
            let mut other = picture.clone();
            other[500] = number.wrapping_add(7);
            bodies.push(&other);
        }
        assert_eq!((bodies.count(), bodies.bytes()), (201, 20_100_000));
        assert!(bodies.others.iter().all(|other| other.between.len() == 1));
        bodies.keep_first();
        assert_eq!((bodies.count(), bodies.turn(5).len()), (1, 100_000));
    }

    proptest! {
        #[test]
        fn each_comes_out_as_it_went_in(all in prop::collection::vec(prop::collection::vec(0u8..3, 0..12), 1..6), sent in 0usize..20) {
            let bodies = Bodies::from(all.iter().cloned().map(Bytes::from).collect::<Vec<_>>());
            prop_assert_eq!(bodies.bytes(), all.iter().map(|body| body.len() as u64).sum::<u64>());
            for (number, body) in all.iter().enumerate() {
                let told = bodies.turn((number + all.len()) as u64);
                prop_assert_eq!(&told.0.concat(), body);
                prop_assert_eq!(told.len(), body.len());
                let behind: Vec<u8> = left(&told.0, sent).iter().flat_map(|part| part.to_vec()).collect();
                prop_assert_eq!(&behind[..], body.get(sent..).unwrap_or_default());
            }
        }
    }
}
