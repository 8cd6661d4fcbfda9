//! How much of the multiprocessors is in use, by GPM: Hopper and later, whole GPUs and MIG instances.

use super::counter::COUNTERS;
use super::round::Round;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::gpm::{GpmSample, gpm_metrics_get};
use nvml_wrapper::{Device, Nvml};

/// Most MIG devices of one GPU that are believed; seven is the most that a card has.
const MIG_DEVICES_MAX: u32 = 16;

/// One GPU's samples.
pub struct Gpm<'n> {
    /// The instances that are watched, each with its last sample; `None` stands for the whole GPU.
    watched: Vec<(Option<u32>, Option<GpmSample<'n>>)>,
}

impl<'n> Gpm<'n> {
    /// Whether and how the GPU is watched.
    pub fn begin(nvml: &'n Nvml, device: &Device<'n>) -> Result<Self, NvmlError> {
        // The wrapper panics where it cannot give a sample back.
        nvml_sym(nvml.lib().nvmlGpmSampleFree.as_ref())?;
        if !device.gpm_support()? {
            return Err(NvmlError::NotSupported);
        }
        let watched: Vec<Option<u32>> = match device.mig_mode() {
            Ok(mode) if mode.current == 1 => instances(nvml, device)?.into_iter().map(Some).collect(),
            _ => vec![None],
        };
        if watched.is_empty() {
            return Err(NvmlError::NotSupported);
        }
        Ok(Self { watched: watched.into_iter().map(|instance| (instance, None)).collect() })
    }

    /// The share of the multiprocessors in use since the last reading, percent; of several instances the highest. `None`
    /// as long as there is nothing to compare with.
    pub fn read(
        &mut self,
        nvml: &'n Nvml,
        device: &Device<'n>,
        index: u64,
        round: &Round,
    ) -> Result<Option<f64>, NvmlError> {
        let mut highest: Option<f64> = None;
        for (instance, earlier) in &mut self.watched {
            round.mark(index, COUNTERS + 2);
            let now = match instance {
                None => device.gpm_sample()?,
                Some(instance) => device.gpm_mig_sample(*instance)?,
            };
            if let Some(earlier) = earlier.as_ref() {
                let told = gpm_metrics_get(nvml, earlier, &now, &[GpmMetricId::SmUtil])?.pop();
                let value = told.ok_or(NvmlError::NoData)??.value;
                highest = Some(highest.map_or(value, |other| if value > other { value } else { other }));
            }
            *earlier = Some(now);
        }
        Ok(highest)
    }
}

/// Ids of the GPU instances behind the MIG devices, each once.
fn instances(nvml: &Nvml, device: &Device<'_>) -> Result<Vec<u32>, NvmlError> {
    let call = nvml_sym(nvml.lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut ids = Vec::new();
    for place in 0..device.mig_device_count()?.min(MIG_DEVICES_MAX) {
        let mig = match device.mig_device_by_index(place) {
            Ok(mig) => mig,
            // The count is of places; this one is empty.
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => continue,
            Err(error) => return Err(error),
        };
        let mut id = 0;
        // SAFETY: writes one integer, the handle is the wrapper's own.
        nvml_try(unsafe { call(mig.handle(), &mut id) })?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}
