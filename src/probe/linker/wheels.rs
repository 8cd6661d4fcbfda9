//! Which PyPI package brings a CUDA library.
//!
//! Source: the files of the packages on PyPI. From CUDA 13 on only cuDNN keeps the major version in the package's name.

/// The package for `soname` in a deployment on CUDA `cuda_major`; empty if none is known.
///
/// `libcuda.so.1` and `libnvidia-ml.so.1` come with the driver, never with a package.
pub fn package(soname: &str, cuda_major: Option<u32>) -> String {
    let Some((library, rest)) = soname.split_once(".so.") else { return String::new() };
    let own_major: Option<u32> = rest.split('.').next().and_then(|major| major.parse().ok());
    let (name, major) = match library {
        // Their own version is CUDA's; libcudart of CUDA 11 is `.so.11.0`.
        "libcublas" | "libcublasLt" => ("nvidia-cublas", own_major),
        "libcudart" => ("nvidia-cuda-runtime", own_major),
        "libnvrtc" => ("nvidia-cuda-nvrtc", own_major.filter(|major| *major >= 12).or(cuda_major)),
        "libnvJitLink" => ("nvidia-nvjitlink", own_major),
        // These count for themselves.
        "libcufft" => ("nvidia-cufft", own_major.map(|major| major.saturating_add(1))),
        "libcurand" => ("nvidia-curand", cuda_major),
        "libcudnn" => ("nvidia-cudnn", cuda_major),
        _ if library.starts_with("libcudnn_") => ("nvidia-cudnn", cuda_major),
        _ => return String::new(),
    };
    match major {
        None => String::new(),
        Some(major @ 11..=12) => format!("{name}-cu{major}"),
        Some(major @ 13..) if name == "nvidia-cudnn" => format!("{name}-cu{major}"),
        Some(13..) => name.to_string(),
        Some(_) => String::new(),
    }
}

/// CUDA's major version, from the names of the libraries that are asked for.
pub fn cuda_major<'n>(sonames: impl Iterator<Item = &'n str>) -> Option<u32> {
    sonames.into_iter().find_map(|soname| {
        let (library, rest) = soname.split_once(".so.")?;
        ["libcublas", "libcublasLt", "libcudart"].contains(&library).then_some(())?;
        rest.split('.').next()?.parse().ok()
    })
}

/// cuDNN's major version in the name of one of its libraries, also of a renamed copy: `libcudnn-74a4c495.so.9.1.0`.
pub fn cudnn_major(name: &str) -> Option<u64> {
    let (library, version) = name.split_once(".so.")?;
    let is_cudnn = library == "libcudnn" || library.starts_with("libcudnn_") || library.starts_with("libcudnn-");
    version.split('.').next()?.parse().ok().filter(|_| is_cudnn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_beyond_every_number_is_survived() {
        assert_eq!(package("libcufft.so.4294967295", Some(12)), "nvidia-cufft");
    }

    #[test]
    fn each_library_of_the_cuda_provider_has_its_package() {
        for (soname, cuda, expected) in [
            ("libcublasLt.so.12", 12, "nvidia-cublas-cu12"),
            ("libcublas.so.12", 12, "nvidia-cublas-cu12"),
            ("libcudart.so.12", 12, "nvidia-cuda-runtime-cu12"),
            ("libcudnn.so.9", 12, "nvidia-cudnn-cu12"),
            ("libcudnn_adv.so.9", 12, "nvidia-cudnn-cu12"),
            ("libcufft.so.11", 12, "nvidia-cufft-cu12"),
            ("libcurand.so.10", 12, "nvidia-curand-cu12"),
            ("libnvrtc.so.12", 12, "nvidia-cuda-nvrtc-cu12"),
            ("libcublasLt.so.13", 13, "nvidia-cublas"),
            ("libcudart.so.13", 13, "nvidia-cuda-runtime"),
            ("libcufft.so.12", 13, "nvidia-cufft"),
            ("libcurand.so.10", 13, "nvidia-curand"),
            ("libnvrtc.so.13", 13, "nvidia-cuda-nvrtc"),
            ("libcudnn.so.9", 13, "nvidia-cudnn-cu13"),
            ("libcudart.so.11.0", 11, "nvidia-cuda-runtime-cu11"),
            ("libcufft.so.10", 11, "nvidia-cufft-cu11"),
            ("libcuda.so.1", 12, ""),
            ("libstdc++.so.6", 12, ""),
        ] {
            assert_eq!(package(soname, Some(cuda)), expected, "{soname}");
        }
    }

    #[test]
    fn each_file_of_cudnn_tells_its_major_version() {
        let majors =
            ["libcudnn.so.9", "libcudnn_ops_infer.so.8", "libcudnn-74a4c495.so.9.1.0", "libcudnnx.so.9", "libcudnn.so"]
                .map(cudnn_major);
        assert_eq!(majors, [Some(9), Some(8), Some(9), None, None]);
    }

    #[test]
    fn the_major_version_comes_from_libraries_that_carry_it() {
        assert_eq!(cuda_major(["libcudnn.so.9", "libcurand.so.10", "libcublas.so.13"].into_iter()), Some(13));
        assert_eq!(cuda_major(["libcudnn.so.9", "libc.so.6"].into_iter()), None);
    }
}
