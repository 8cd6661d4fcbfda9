//! What an input of another length costs: the known-good request with its audio cut shorter, sent twice.
//!
//! onnxruntime's CUDA provider searches for the fastest convolution anew for every shape that it has not seen. Only where
//! the server has that provider mapped, and the request carries a WAV file, is it worth four requests more.

use super::round;
use crate::probe::service::conversation::{Answered, Conversation, accepts};
use crate::probe::service::transport::{Outgoing, Payload};
use crate::snapshot::{ExecutionFacts, Fact, Facts, OtherLength, Unknown, Why};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shares of the audio that are kept.
const SHARES: [f64; 2] = [0.83, 0.61];
/// Who asks for fewer requests in the window wants no four more.
const ASKED_LEAST: u32 = 10;
/// Requests longer than this are not sent four times more, milliseconds.
const LONGEST_MS: f64 = 3000.0;
/// Time that must be left when the last of them has been sent.
const SPARE: Duration = Duration::from_secs(1);
/// Chunks of a WAV file that are passed over before its data, at most.
const CHUNKS_MAX: usize = 64;

/// Sends the good request with shorter audio. `usage` tells what the server has mapped, `asked` how many requests the window
/// may have.
///
/// # Errors
/// Why it was not done.
pub fn measure(
    talk: &Conversation,
    good: &Answered,
    median_ms: Option<f64>,
    asked: u32,
    usage: &ExecutionFacts,
    facts: &Facts,
) -> Result<Vec<OtherLength>, Unknown> {
    let not_asked = |detail: &str| Err(Unknown::new(Why::NotAsked, detail));
    let mapped = [&facts.process.gpu_libraries, &usage.gpu_libraries_after];
    if !mapped.into_iter().filter_map(Fact::known).any(|all| all.contains_key("onnxruntime_cuda_provider")) {
        return not_asked("the server was not seen to have onnxruntime's CUDA provider mapped");
    }
    if asked < ASKED_LEAST {
        return not_asked("few requests were asked for (--requests), so none with other lengths were sent");
    }
    if median_ms.is_none_or(|median| median > LONGEST_MS) {
        return not_asked("a request takes too long to be sent four times more");
    }
    let Some(outgoing) = good.message.outgoing(talk.server, talk.everywhere) else {
        return not_asked("the good request could not be formed again");
    };
    let mut measured = Vec::new();
    for share in SHARES {
        let Some(shorter) = shortened(&outgoing, share) else {
            return not_asked("the good request carries no WAV file that could be cut shorter");
        };
        let (first_ms, again_ms) = (once(talk, &shorter)?, once(talk, &shorter)?);
        measured.push(OtherLength { body_bytes: shorter.payload.bytes(), first_ms, again_ms });
    }
    Ok(measured)
}

/// Sends the request, and tells how long its accepted answer took, milliseconds.
fn once(talk: &Conversation, outgoing: &Outgoing) -> Result<f64, Unknown> {
    let left = talk.http.time_left();
    if left < SPARE * 2 {
        return Err(Unknown::new(Why::TimedOut, "the probe's time was used up before shorter inputs could be sent"));
    }
    let begun = Instant::now();
    let reply = talk.http.send(outgoing, left - SPARE);
    match reply.map(|reply| accepts(&reply)) {
        Ok(true) => Ok(round(begun.elapsed().as_secs_f64() * 1e3)),
        Ok(false) => Err(Unknown::new(Why::Unsupported, "the server does not accept the request with shorter audio")),
        Err(failure) => Err(Unknown::new(failure.why, failure.text)),
    }
}

/// The request with its first WAV file cut to this share.
fn shortened(outgoing: &Outgoing, share: f64) -> Option<Outgoing> {
    let mut shorter = outgoing.clone();
    match &mut shorter.payload {
        Payload::Empty => return None,
        Payload::Bytes { bytes, .. } => *bytes = Arc::from(cut(bytes, share)?),
        Payload::Multipart(parts) => {
            let (part, bytes) = parts.iter_mut().find_map(|part| cut(&part.bytes, share).map(|bytes| (part, bytes)))?;
            part.bytes = Arc::from(bytes);
        }
    }
    Some(shorter)
}

/// A WAV file with its first `share` of samples: the chunks up to the data, sizes corrected. `None` if it is no WAV file of
/// plain samples.
pub fn cut(wav: &[u8], share: f64) -> Option<Vec<u8>> {
    let number = |at: usize| Some(u32::from_le_bytes(wav.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize);
    if wav.get(..4)? != b"RIFF" || wav.get(8..12)? != b"WAVE" {
        return None;
    }
    let (mut at, mut frame_bytes) = (12_usize, 0_usize);
    for _ in 0..CHUNKS_MAX {
        let size = number(at.checked_add(4)?)?;
        let body = at.checked_add(8)?;
        match wav.get(at..at + 4)? {
            b"fmt " => {
                let field = |offset: usize| {
                    Some(u16::from_le_bytes(wav.get(body + offset..body + offset + 2)?.try_into().ok()?))
                };
                // Plain integers, floats, or either with more than two channels: only those may be cut anywhere.
                if !matches!(field(0)?, 1 | 3 | 0xfffe) {
                    return None;
                }
                frame_bytes = field(12)?.into();
            }
            b"data" => {
                // Writers to a pipe leave the size at its highest.
                let there = size.min(wav.len().checked_sub(body)?);
                let frames = there.checked_div(frame_bytes)?;
                let kept = ((frames as f64 * share) as usize).checked_mul(frame_bytes).filter(|kept| *kept > 0)?;
                let mut shorter = wav.get(..body.checked_add(kept)?)?.to_vec();
                let whole = u32::try_from(shorter.len() - 8).ok()?;
                shorter.get_mut(4..8)?.copy_from_slice(&whole.to_le_bytes());
                shorter.get_mut(at + 4..body)?.copy_from_slice(&u32::try_from(kept).ok()?.to_le_bytes());
                return Some(shorter);
            }
            _ => {}
        }
        // Chunks begin at even offsets.
        at = body.checked_add(size)?.checked_add(size % 2)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPEECH: &[u8] = include_bytes!("../../../../fixtures/samples/speech.wav");

    #[test]
    fn a_wav_file_is_cut_between_samples_and_stays_one() {
        let shorter = cut(SPEECH, 0.5).unwrap();
        let size = |wav: &[u8], at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(size(&shorter, 4), shorter.len() - 8);
        let data = shorter.windows(4).position(|four| four == b"data").unwrap();
        assert_eq!(size(&shorter, data + 4), shorter.len() - data - 8);
        assert!((shorter.len() as f64 / SPEECH.len() as f64 - 0.5).abs() < 0.01);
        assert_eq!(size(&shorter, data + 4) % 2, 0, "16 bit samples stay whole");
        assert_eq!(shorter[data + 8..], SPEECH[data + 8..shorter.len()]);
        let again = cut(&shorter, 1.0).unwrap();
        assert_eq!(again, shorter);
    }

    #[test]
    fn what_is_no_wav_file_of_samples_is_left_alone() {
        assert_eq!(cut(b"", 0.5), None);
        assert_eq!(cut(b"RIFF\x24\0\0\0WAVE", 0.5), None);
        assert_eq!(cut(include_bytes!("../../../../fixtures/samples/image.png"), 0.5), None);
        let mut adpcm = SPEECH.to_vec();
        adpcm[20] = 2;
        assert_eq!(cut(&adpcm, 0.5), None);
        let mut frameless = SPEECH.to_vec();
        frameless[32..34].copy_from_slice(&[0, 0]);
        assert_eq!(cut(&frameless, 0.5), None);
        let mut piped = SPEECH.to_vec();
        let data = piped.windows(4).position(|four| four == b"data").unwrap();
        piped[data + 4..data + 8].copy_from_slice(&[0xff; 4]);
        assert_eq!(cut(&piped, 0.5), cut(SPEECH, 0.5));
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_or_left_alone(mut bytes in prop::collection::vec(any::<u8>(), 0..200), share in 0.0_f64..1.0) {
            let _ = cut(&bytes, share);
            let mut wav = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0".to_vec();
            wav.append(&mut bytes);
            if let Some(shorter) = cut(&wav, share) {
                prop_assert!(shorter.len() <= wav.len());
            }
        }
    }
}
