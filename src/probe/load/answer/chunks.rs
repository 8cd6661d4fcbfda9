//! A body in chunks (RFC 9112, section 7.1).

use super::super::fault::Fault;

/// Digits of a chunk's size, at most: those of 64 bits.
const DIGITS_MAX: u8 = 16;
/// Bytes of extensions and trailers, at most.
const ASIDE_MAX: u32 = 64 << 10;

/// Where in the chunks it stands.
#[derive(Debug)]
pub struct Chunks {
    at: At,
    /// Bytes of extensions and trailers so far.
    aside: u32,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size's digits, up to the end of its line.
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataEnd,
    /// At the start of a line behind the last chunk.
    Trailer,
    TrailerLine,
    TrailerLineEnd,
    LastEnd,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { at: At::Size { size: 0, digits: 0 }, aside: 0 }
    }
}

impl Chunks {
    /// Reads on, and gives what the chunks hold to `keep`. Once the last chunk is over it tells how many of the bytes
    /// belonged to it.
    ///
    /// # Errors
    /// These are no chunks.
    pub fn read(&mut self, bytes: &[u8], keep: &mut impl FnMut(&[u8])) -> Result<Option<usize>, Fault> {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            if let At::Data { left } = &mut self.at {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                keep(rest.get(..count).unwrap_or_default());
                *left -= count as u64;
                used += count;
                if *left == 0 {
                    self.at = At::DataReturn;
                }
                continue;
            }
            let Some(byte) = rest.first() else { break };
            used += 1;
            match self.step(*byte)? {
                Some(at) => self.at = at,
                None => return Ok(Some(used)),
            }
        }
        Ok(None)
    }

    /// Where it stands after this byte; nothing at the end.
    fn step(&mut self, byte: u8) -> Result<Option<At>, Fault> {
        Ok(Some(match (self.at, byte) {
            (At::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                At::Size { size: (size << 4) | digit, digits: digits + 1 }
            }
            (At::Size { size, digits: 1.. } | At::Extension { size }, b'\r') => At::SizeEnd { size },
            (At::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => At::Extension { size },
            (At::Extension { size }, _) if byte != b'\n' => {
                self.pass()?;
                At::Extension { size }
            }
            (At::SizeEnd { size: 0 }, b'\n') => At::Trailer,
            (At::SizeEnd { size }, b'\n') => At::Data { left: size },
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::Size { size: 0, digits: 0 },
            (At::Trailer, b'\r') => At::LastEnd,
            (At::TrailerLine, b'\r') => At::TrailerLineEnd,
            (At::Trailer | At::TrailerLine, _) if byte != b'\n' => {
                self.pass()?;
                At::TrailerLine
            }
            (At::TrailerLineEnd, b'\n') => At::Trailer,
            (At::LastEnd, b'\n') => return Ok(None),
            _ => return Err(Fault::NotHttp),
        }))
    }

    fn pass(&mut self) -> Result<(), Fault> {
        self.aside += 1;
        if self.aside > ASIDE_MAX { Err(Fault::NotHttp) } else { Ok(()) }
    }
}
