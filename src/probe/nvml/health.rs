//! Readings about a GPU's state of health. Those that nvml-wrapper does not wrap are called as nvml.h declares them.

use super::throttle;
use crate::snapshot::{Fact, MigDevice, RemappedRows};
use nvml_wrapper::enum_wrappers::device::{EccCounter, GpuVirtualizationMode, MemoryError, TemperatureThreshold};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION;
use nvml_wrapper::{Device, Nvml};

/// `nvmlGpuFabricInfo_v3_t` and its predecessor, which is a part of it (nvml.h): number of the version and size.
const FABRIC_INFO_VERSIONS: [u32; 2] = [3 << 24 | 40, 2 << 24 | 36];
/// The version of a structure is not the library's (nvml.h, NVML_ERROR_ARGUMENT_VERSION_MISMATCH).
const VERSION_MISMATCH: u32 = 25;
/// Most MIG devices of one GPU that are believed; seven is the most that a card has.
const MIG_DEVICES_MAX: u32 = 64;

/// Temperature at which clocks are lowered or the GPU is shut down. NVML says 0 where it does not know.
pub fn threshold(device: &Device<'_>, which: TemperatureThreshold) -> Result<u32, NvmlError> {
    match device.temperature_threshold(which)? {
        0 => Err(NvmlError::NotSupported),
        celsius => Ok(celsius),
    }
}

/// The bit set of reasons for lower clocks. The call was renamed with driver 535; both names live on.
pub fn throttle_reasons(nvml: &Nvml, device: &Device<'_>) -> Result<u64, NvmlError> {
    let older = nvml_sym(nvml.lib().nvmlDeviceGetCurrentClocksThrottleReasons.as_ref());
    let call = older.or_else(|_| nvml_sym(nvml.lib().nvmlDeviceGetCurrentClocksEventReasons.as_ref()))?;
    let mut bits = 0;
    // SAFETY: writes one integer, the handle is the wrapper's own.
    nvml_try(unsafe { call(device.handle(), &mut bits) })?;
    Ok(bits)
}

/// The same by name.
pub fn throttle_reason_names(nvml: &Nvml, device: &Device<'_>) -> Result<Vec<String>, NvmlError> {
    throttle_reasons(nvml, device).map(throttle::names)
}

/// Memory errors: of that kind, since then.
pub fn ecc_errors(device: &Device<'_>, corrected: bool, since: EccCounter) -> Result<u64, NvmlError> {
    device.total_ecc_errors(if corrected { MemoryError::Corrected } else { MemoryError::Uncorrected }, since)
}

/// Rows of memory that were replaced by spare ones.
pub fn remapped_rows(nvml: &Nvml, device: &Device<'_>) -> Result<RemappedRows, NvmlError> {
    let call = nvml_sym(nvml.lib().nvmlDeviceGetRemappedRows.as_ref())?;
    let (mut correctable, mut uncorrectable, mut pending, mut failure) = (0, 0, 0, 0);
    // SAFETY: writes four integers, the handle is the wrapper's own.
    nvml_try(unsafe { call(device.handle(), &mut correctable, &mut uncorrectable, &mut pending, &mut failure) })?;
    Ok(RemappedRows {
        correctable: correctable.into(),
        uncorrectable: uncorrectable.into(),
        pending: pending != 0,
        failure: failure != 0,
    })
}

/// The MIG devices; without MIG, or with its mode off, there are none.
pub fn mig_devices(device: &Device<'_>) -> Result<Vec<MigDevice>, NvmlError> {
    match device.mig_mode() {
        Ok(mode) if mode.current == 1 => {}
        // A card that knows no MIG has no MIG devices either.
        Ok(_) | Err(NvmlError::NotSupported) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    let mut devices = Vec::new();
    for index in 0..device.mig_device_count()?.min(MIG_DEVICES_MAX) {
        match device.mig_device_by_index(index) {
            Ok(mig) => {
                let place = format!("nvmlDeviceGetUUID of MIG device {index}");
                let uuid = mig.uuid().map_err(|error| super::error::unknown(error, &place));
                devices.push(MigDevice { index: index.into(), uuid: Fact::from(uuid) });
            }
            // The count is of places; this one is empty.
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(devices)
}

/// How the GPU is virtualized.
pub fn virtualization(device: &Device<'_>) -> Result<&'static str, NvmlError> {
    Ok(match device.virtualization_mode()? {
        GpuVirtualizationMode::Bare => "none",
        GpuVirtualizationMode::PassThrough => "passthrough",
        GpuVirtualizationMode::Vgpu => "vgpu",
        GpuVirtualizationMode::HostVgpu => "host_vgpu",
        GpuVirtualizationMode::HostVsga => "host_vsga",
    })
}

/// The license of a virtual GPU. NVML tells only whether it is licensed, not whether the grace is over.
pub fn license(nvml: &Nvml, device: &Device<'_>) -> Result<&'static str, NvmlError> {
    let call = nvml_sym(nvml.lib().nvmlDeviceGetGridLicensableFeatures_v4.as_ref())?;
    // SAFETY: the structure is plain integers and texts, the handle is the wrapper's own.
    let features = unsafe {
        let mut features = std::mem::zeroed();
        nvml_try(call(device.handle(), &mut features))?;
        features
    };
    let count = features.licensableFeaturesCount as usize;
    let enabled = || features.gridLicensableFeatures.iter().take(count).filter(|feature| feature.featureEnabled != 0);
    Ok(match features.isGridLicenseSupported {
        0 => "not_needed",
        _ if enabled().next().is_none() => "not_needed",
        _ if enabled().any(|feature| feature.featureState != 0) => "licensed",
        _ => "unlicensed",
    })
}

/// State of the NVLink fabric.
pub fn fabric_state(nvml: &Nvml, device: &Device<'_>) -> Result<&'static str, NvmlError> {
    let state = match nvml_sym(nvml.lib().nvmlDeviceGetGpuFabricInfoV.as_ref()) {
        Ok(call) => {
            let mut answer = Err(NvmlError::NotSupported);
            for version in FABRIC_INFO_VERSIONS {
                // SAFETY: plain integers; the version tells the library how much of it to fill.
                answer = unsafe {
                    let mut info = zeroed_for(call);
                    info.version = version;
                    nvml_try(call(device.handle(), &mut info)).map(|()| info.state)
                };
                if !matches!(&answer, Err(NvmlError::UnexpectedVariant(VERSION_MISMATCH))) {
                    break;
                }
            }
            answer?
        }
        // Drivers before 550 have only the older call.
        Err(_) => {
            let call = nvml_sym(nvml.lib().nvmlDeviceGetGpuFabricInfo.as_ref())?;
            // SAFETY: plain integers, the handle is the wrapper's own.
            unsafe {
                let mut info = std::mem::zeroed();
                nvml_try(call(device.handle(), &mut info))?;
                info.state
            }
        }
    };
    Ok(match u32::from(state) {
        0 => "not_supported",
        1 => "not_started",
        2 => "in_progress",
        3 => "completed",
        other => return Err(NvmlError::UnexpectedVariant(other)),
    })
}

/// A zeroed structure of the type that the call fills; nvml-wrapper does not hand its name on.
///
/// # Safety
/// Zeros are a valid `T`.
unsafe fn zeroed_for<D, T>(_: &unsafe extern "C" fn(D, *mut T) -> u32) -> T {
    // SAFETY: promised by the caller.
    unsafe { std::mem::zeroed() }
}

/// What the driver asks for to bring the GPU back.
pub fn recovery_action(device: &Device<'_>) -> Result<&'static str, NvmlError> {
    let mut answers = device.field_values_for(&[FieldId(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)])?;
    let Some(answer) = answers.pop() else { return Err(NvmlError::NoData) };
    let action = match answer?.value? {
        SampleValue::U32(value) => u64::from(value),
        SampleValue::U64(value) => value,
        SampleValue::I64(value) => u64::try_from(value).map_err(|_| NvmlError::NoData)?,
        SampleValue::F64(value) => value as u64,
    };
    Ok(match action {
        0 => "none",
        1 => "reset",
        2 => "reboot",
        3 => "drain_p2p",
        4 => "drain_and_reset",
        _ => return Err(NvmlError::NoData),
    })
}
