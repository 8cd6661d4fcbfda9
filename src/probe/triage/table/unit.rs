//! Units, in headers and behind values.

/// A unit, with the factor that leads to the snapshot's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    /// Percent.
    Percent,
    /// Time; milliseconds.
    Time(f64),
    /// Memory; bytes.
    Memory(f64),
    /// Power; milliwatts.
    Power(f64),
    /// Clock; megahertz.
    Frequency(f64),
    /// Degrees Celsius.
    Celsius,
}

impl Unit {
    /// The unit of this name, in lower case: `ms`, `mib`, `%`.
    pub fn named(name: &str) -> Option<Self> {
        const MIB: f64 = (1u64 << 20) as f64;
        Some(match name {
            "%" | "percent" | "pct" | "perc" | "percentage" => Unit::Percent,
            "s" | "sec" | "secs" | "second" | "seconds" => Unit::Time(1e3),
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => Unit::Time(1.0),
            "us" | "usec" | "µs" | "μs" | "micros" | "microsecond" | "microseconds" => Unit::Time(1e-3),
            "ns" | "nsec" | "nanos" | "nanosecond" | "nanoseconds" => Unit::Time(1e-6),
            "b" | "byte" | "bytes" => Unit::Memory(1.0),
            "kib" | "kb" => Unit::Memory(1024.0),
            // NVIDIA's tools write MB and GB where they mean the binary units.
            "mib" | "mb" => Unit::Memory(MIB),
            "gib" | "gb" => Unit::Memory(MIB * 1024.0),
            "mw" | "milliwatt" | "milliwatts" => Unit::Power(1.0),
            "w" | "watt" | "watts" => Unit::Power(1e3),
            "kw" => Unit::Power(1e6),
            "hz" => Unit::Frequency(1e-6),
            "mhz" => Unit::Frequency(1.0),
            "ghz" => Unit::Frequency(1e3),
            "c" | "°c" | "celsius" | "degc" => Unit::Celsius,
            _ => return None,
        })
    }

    /// What a number in this unit is in the snapshot's.
    pub fn factor(self) -> f64 {
        match self {
            Unit::Percent | Unit::Celsius => 1.0,
            Unit::Time(factor) | Unit::Memory(factor) | Unit::Power(factor) | Unit::Frequency(factor) => factor,
        }
    }
}
