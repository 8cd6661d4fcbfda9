//! What is said of each cause beside its name: what it rests on, what it is not.

use crate::load;
use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::diagnose;

/// Of every cause it is said what it rests on; what is ruled out was judged, and is told so that it can be read aloud.
#[test]
fn every_cause_says_what_it_rests_on_and_what_it_is_not() {
    let checks = Checks::load(None).unwrap();
    let (mut causes, mut with_others, mut ruled_out, mut in_words) = (0, 0, 0, 0);
    for case in load::all() {
        let diagnosed = diagnose(&checks, &case.snapshot).unwrap();
        let verdict = |id: &str| diagnosed.findings.iter().find(|one| one.check == id).map(|one| one.verdict.as_str());
        for one in &diagnosed.diagnoses {
            assert!(one.grounds.starts_with("by "), "{}: {} rests on \"{}\"", case.name, one.cause, one.grounds);
            assert!(one.ruled_out.len() <= 12, "{}: {}", case.name, one.cause);
            causes += 1;
            with_others += usize::from(!one.ruled_out.is_empty());
            for other in &one.ruled_out {
                assert_eq!(verdict(&other.cause), Some("clear"), "{}: {} by {}", case.name, other.cause, other.by);
                assert!(!other.by.is_empty() && !other.by.contains("&&"), "{}: {}", case.name, other.by);
                // A fact's path is not for reading aloud.
                in_words += usize::from(!other.by.contains('_'));
                ruled_out += 1;
            }
            let explains = &checks.get(&one.cause).unwrap().spec.explains;
            let beside = diagnosed.diagnoses.iter().filter(|other| other.severity <= one.severity);
            let effects: Vec<&String> = beside.map(|other| &other.cause).filter(|id| explains.contains(id)).collect();
            assert!(effects.is_empty(), "{}: {effects:?} beside {}", case.name, one.cause);
        }
    }
    assert!(causes > 200 && with_others * 100 >= causes * 80, "{with_others} of {causes} causes rule out others");
    assert!(in_words * 100 >= ruled_out * 95, "{in_words} of {ruled_out} are told in words");
}
