//! Ends a load before a GPU gets too hot: from the temperature on at which its hardware slows itself down, nothing that is
//! measured tells of the server any more.

use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::Recording;
use crate::snapshot::Facts;

/// A GPU's index and the temperature at which it slows down, degrees Celsius.
pub type Limit = (u64, f64);

/// The limits that the GPUs tell.
pub fn limits(facts: &Facts) -> Vec<Limit> {
    let gpus = facts.nvml.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let limit = |slowdown: &u64| Some(*slowdown as f64).filter(|limit| *limit > 0.0);
    gpus.iter().filter_map(|gpu| Some((gpu.index, limit(gpu.temperature_slowdown_celsius.known()?)?))).collect()
}

/// The first GPU that was last read at its limit, in words.
pub fn too_hot(recording: &Recording, limits: &[Limit]) -> Option<String> {
    limits.iter().find_map(|(index, limit)| {
        let gpu = recording.gpus.iter().find(|gpu| gpu.index == *index)?;
        let (_, celsius) = gpu.readings(Counter::Temperature).last()?;
        (celsius >= limit)
            .then(|| format!("GPU {index} reached {celsius:.0} °C; from {limit:.0} °C on its hardware slows it down"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::nvml::recording::GpuRecording;

    #[test]
    fn a_gpu_at_its_limit_ends_the_load_and_one_below_does_not() {
        let mut gpu = GpuRecording::new(1);
        gpu.push(Counter::Temperature, 10.0, 95.0);
        gpu.push(Counter::Temperature, 20.0, 89.0);
        let mut recording = Recording { gpus: vec![gpu], ..Recording::default() };
        assert_eq!(too_hot(&recording, &[(1, 90.0)]), None, "it has cooled down");
        recording.gpus[0].push(Counter::Temperature, 30.0, 90.0);
        let words = too_hot(&recording, &[(0, 50.0), (1, 90.0)]).unwrap();
        assert_eq!(words, "GPU 1 reached 90 °C; from 90 °C on its hardware slows it down");
        assert_eq!(too_hot(&recording, &[]), None);
    }
}
