//! A model in several safetensors files, by its index: `model.safetensors.index.json`.
//!
//! Format: the object `weight_map` names the file of each tensor
//! (<https://huggingface.co/docs/transformers/big_models#sharded-checkpoints>).

use super::external::open_inside;
use super::opened::Opened;
use super::refusal::told;
use super::safetensors::{self, HEADER_LIMIT_BYTES, Header, Stretch};
use super::sums::TensorSums;
use super::wire::{Fault, ReadAt};
use crate::snapshot::ExternalFile;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::io::BufReader;
use std::path::Path;

/// Most shards.
const SHARD_LIMIT: usize = 10_000;
/// Most tensors that are read from all headers together.
const TENSOR_LIMIT: u64 = 4_000_000;

/// The names of the tensors by file.
#[derive(Debug, Default, PartialEq)]
pub struct WeightMap(pub BTreeMap<String, HashSet<String>>);

impl WeightMap {
    /// Tensors that the index names.
    pub fn tensors(&self) -> u64 {
        self.0.values().map(|names| names.len() as u64).sum()
    }
}

/// Reads an index of `file_bytes` bytes.
pub fn read<S: ReadAt>(source: &S, file_bytes: u64) -> Result<WeightMap, Fault> {
    /// Everything else in the index is for other readers.
    #[derive(Deserialize)]
    struct Index {
        weight_map: WeightMap,
    }
    if file_bytes > HEADER_LIMIT_BYTES {
        return Err(Fault::TooLarge(format!("an index of {file_bytes} bytes")));
    }
    let text = BufReader::with_capacity(64 << 10, Stretch { source, at: 0, end: file_bytes });
    match serde_json::from_reader::<_, Index>(text) {
        Ok(index) => Ok(index.weight_map),
        Err(error) if error.is_io() => Err(Fault::Io(error.into())),
        Err(error) => Err(Fault::Malformed { at: 0, what: format!("it does not fit the format: {error}") }),
    }
}

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor)
    }
}

struct MapVisitor;

impl<'de> Visitor<'de> for MapVisitor {
    type Value = WeightMap;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object that names a file for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
        let mut found = BTreeMap::<String, HashSet<String>>::new();
        while let Some((tensor, file)) = map.next_entry::<String, String>()? {
            if let Some(names) = found.get_mut(&file) {
                names.insert(tensor);
            } else if found.len() < SHARD_LIMIT {
                found.insert(file, [tensor].into());
            } else {
                return Err(serde::de::Error::custom(format!("it names more than {SHARD_LIMIT} files")));
            }
        }
        Ok(WeightMap(found))
    }
}

/// Each shard against the index, and the tensors of those that are sound.
pub fn check(map: &WeightMap, folder: &Path) -> (Vec<ExternalFile>, TensorSums) {
    let mut sums = TensorSums::default();
    let mut files = Vec::new();
    for (location, names) in &map.0 {
        let fault = match shard(folder, location, names) {
            _ if sums.tensors > TENSOR_LIMIT => format!("not read: the shards before hold {TENSOR_LIMIT} tensors"),
            Ok(shard) => {
                sums.merge(shard);
                String::new()
            }
            Err(fault) => fault,
        };
        files.push(ExternalFile { location: location.clone(), sound: fault.is_empty(), fault });
    }
    (files, sums)
}

/// The tensors of one shard, or what is wrong with it.
fn shard(folder: &Path, location: &str, names: &HashSet<String>) -> Result<TensorSums, String> {
    let Opened { file, file_bytes } = open_inside(folder, location)?;
    let place = folder.join(location);
    let Header { sums, names: held, .. } =
        safetensors::read(&file, file_bytes).map_err(|fault| told(fault, &place, "a safetensors file").detail)?;
    let mut missing: Vec<&String> = names.difference(&held).collect();
    missing.sort_unstable();
    match missing.as_slice() {
        [] => Ok(sums),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            Err(format!("{} lacks tensor '{first}'{more}, which the index places there", place.display()))
        }
    }
}
