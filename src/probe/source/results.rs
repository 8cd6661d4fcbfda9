//! Calls whose result is computed only while it is iterated over, and whether the code names that result again.
//!
//! `WhisperModel.transcribe` of faster-whisper gives back a generator: its decoder runs as segments are taken, and not at
//! all if nobody takes them (README.md of SYSTRAN/faster-whisper, "Warning: segments is a generator").

use super::handlers::Blocks;
use super::syntax::{Call, Source};
use crate::probe::server_log::text::told;
use crate::snapshot::LazyResult;
use std::ops::Range;

/// The package whose calls these are, and their name.
pub const PACKAGE: &str = "faster_whisper";
const METHOD: &str = "transcribe";
/// Modules whose function of that name computes at once.
const EAGER: &[&str] = &["whisper", "whisperx", "mlx_whisper"];
/// Calls told of one file, at most.
const CALLS_MAX: usize = 20;

/// Reads one source. A call at the top of a file, or in a function that warms up, serves no request and is passed over.
pub fn read(source: &Source, file: &str) -> Vec<LazyResult> {
    let blocks = Blocks::of(source);
    let mut found = Vec::new();
    for call in source.calls() {
        let Some((object, METHOD)) = call.callee.rsplit_once('.') else { continue };
        if EAGER.contains(&object) || found.len() == CALLS_MAX {
            continue;
        }
        let block = blocks.owner.get(call.tokens.start).copied().flatten().and_then(|index| blocks.all.get(index));
        let taken = is_taken(source, &call, block.map(|block| block.body.clone()));
        let warms = block.is_none_or(|block| block.name.to_ascii_lowercase().contains("warm"));
        if warms && !taken {
            continue;
        }
        let begin = statement(source, call.tokens.start).unwrap_or(call.tokens.start);
        found.push(LazyResult {
            text: told(&source.written(begin..call.tokens.end), 0),
            at: format!("{file}:{}", call.line),
            function: block.map_or(String::new(), |block| block.name.to_owned()),
            taken,
        });
    }
    // `to_thread(model.transcribe, path)`: whoever calls it there takes what it gives back.
    let handed_on = (1..source.tokens.len())
        .find(|at| source.word(*at) == METHOD && source.word(at - 1) == "." && source.word(at + 1) != "(");
    if let Some(at) = handed_on {
        let line = source.tokens.get(at).map_or(0, |token| token.line);
        let text = told(&source.written(at.saturating_sub(2)..at + 1), 0);
        found.push(LazyResult { text, at: format!("{file}:{line}"), function: String::new(), taken: true });
    }
    found
}

/// The token with which the statement begins in which `at` stands; none inside brackets.
fn statement(source: &Source, at: usize) -> Option<usize> {
    let mut begin = at;
    while let Some(before) = begin.checked_sub(1) {
        if source.ends_line(before) || source.word(before) == ";" || source.word(before) == ":" {
            break;
        }
        if source.closing(before).is_some() {
            return None;
        }
        begin = source.opening(before).unwrap_or(before);
    }
    Some(begin)
}

/// Whether what the call gives back is used in any way that may iterate over it.
fn is_taken(source: &Source, call: &Call, body: Option<Range<usize>>) -> bool {
    let (start, end) = (call.tokens.start, call.tokens.end);
    let Some(begin) = statement(source, start) else { return true };
    let ends = |at: usize| at >= source.tokens.len() || source.ends_line(at) || source.word(at) == ";";
    // Of the pair that is given back, the second part tells the language and the length alone.
    let second = source.word(end) == "[" && source.word(end + 1) == "1" && source.word(end + 2) == "]" && ends(end + 3);
    let first = source.word(end) == "[" && source.word(end + 1) == "0" && source.word(end + 2) == "]" && ends(end + 3);
    let words: Vec<&str> = (begin..start).map(|at| source.word(at)).collect();
    let names = match words.as_slice() {
        [] | ["await"] => return !ends(end) && !second,
        [names @ .., "="] | [names @ .., "=", "await"] => names,
        _ => return true,
    };
    let names: Vec<&str> = names.iter().copied().filter(|word| !["(", ")"].contains(word)).collect();
    let body = body.unwrap_or(0..source.tokens.len());
    let others = || body.clone().filter(|at| !(begin..end).contains(at));
    let names_it = |name: &str, at: usize| {
        source.is_name(at)
            && source.word(at) == name
            && at.checked_sub(1).is_none_or(|before| source.word(before) != ".")
    };
    match names.as_slice() {
        _ if second => false,
        ["_", ",", _] if ends(end) => false,
        [name, ",", _] if ends(end) => others().any(|at| names_it(name, at)),
        [name] if first => others().any(|at| names_it(name, at)),
        [name] if ends(end) => others().any(|at| {
            let is_second = source.word(at + 1) == "[" && source.word(at + 2) == "1" && source.word(at + 3) == "]";
            names_it(name, at) && !is_second
        }),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(body: &str) -> Vec<bool> {
        let lines: String = body.lines().map(|line| format!("    {line}\n")).collect();
        let text =
            format!("from faster_whisper import WhisperModel\nmodel = WhisperModel('x')\ndef asr(file):\n{lines}");
        read(&Source::of(&text), "/srv/app.py").iter().map(|one| one.taken).collect()
    }

    #[test]
    fn a_result_that_nothing_names_is_not_taken() {
        for body in [
            "segments, info = model.transcribe(file)\nreturn {'language': info.language}",
            "_, info = model.transcribe(file, beam_size=5)\nreturn info",
            "model.transcribe(file)\nreturn 'done'",
            "result = model.transcribe(file)\nreturn {'language': result[1].language}",
            "result = model.transcribe(file)",
            "info = model.transcribe(file)[1]\nreturn info.duration",
            "begun = time.time(); segments, info = model.transcribe(file); ms = time.time() - begun\nreturn ms",
            "(segments, info) = model.transcribe(file)\nreturn info.segments",
            "with lock:\n    segments, info = self.model.transcribe(\n        file,\n        language='de')\nreturn info",
        ] {
            assert_eq!(taken(body), [false], "{body}");
        }
    }

    #[test]
    fn a_result_that_is_named_again_may_be_taken() {
        for body in [
            "segments, info = model.transcribe(file)\nreturn ' '.join(s.text for s in segments)",
            "segments, _ = model.transcribe(file)\nsegments = list(segments)",
            "return model.transcribe(file)",
            "return list(model.transcribe(file)[0])",
            "for s in model.transcribe(file)[0]:\n    print(s.text)",
            "segments = model.transcribe(file)[0]\nreturn [s.text for s in segments]",
            "result = model.transcribe(file)\nreturn consume(result)",
            "self.segments, info = model.transcribe(file)\nreturn info",
            "segments, info = await run(model.transcribe(file))",
            "yield model.transcribe(file)",
            "result = model.transcribe(file)\nfor s in result[0]: print(s)",
            "return asyncio.run(asyncio.to_thread(model.transcribe, file))",
        ] {
            assert_eq!(taken(body), [true], "{body}");
        }
    }

    #[test]
    fn a_warm_up_serves_no_request() {
        let text = "from faster_whisper import WhisperModel\nm = WhisperModel('x')\nm.transcribe(silence)\ndef warm_up():\n    m.transcribe(silence)\n";
        assert_eq!(read(&Source::of(text), "app.py"), []);
        assert_eq!(taken("whisper.transcribe(file)"), [false; 0], "openai-whisper computes at once");
    }

    #[test]
    fn it_is_told_with_its_place() {
        let text = "import faster_whisper\ndef asr(f):\n    segments, info = model.transcribe(f, token='hf_abcdefghijklmnopqrstuvwxyz0123456789')\n    return info\n";
        let found = read(&Source::of(text), "/srv/app.py");
        assert_eq!((found[0].at.as_str(), found[0].function.as_str()), ("/srv/app.py:3", "asr"));
        assert!(found[0].text.starts_with("segments, info = model.transcribe(f"), "{}", found[0].text);
        assert!(!found[0].text.contains("hf_abcdefghij"), "{}", found[0].text);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(def f\\(\\):\n|    |model\\.transcribe|segments, info = |[(\\[\\])=,;:.1 a]|\n|list|return ){0,40}") {
            for one in read(&Source::of(&text), "f") {
                prop_assert!(one.text.chars().count() <= 300);
            }
        }
    }
}
