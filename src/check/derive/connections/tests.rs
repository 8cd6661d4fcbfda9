use super::*;
use crate::snapshot::{MeasuredGpu, Room, SecondRound, ToldGpu};

fn none<T>() -> Fact<T> {
    Fact::unknown(Why::NotAsked, "not part of this test")
}

fn reading(open: u64, told: &[u64], gib: &[u64]) -> SpreadReading {
    let told = told.iter().zip(0..).map(|(count, index)| ToldGpu {
        index,
        connections: Fact::Known(*count),
        used_bytes: none(),
        free_bytes: none(),
        utilization_percent: none(),
    });
    let measured = gib.iter().zip(0..).map(|(gib, index)| MeasuredGpu {
        index,
        uuid: none(),
        total_bytes: Fact::Known(16 << 30),
        used_bytes: Fact::Known(gib << 30),
        server_bytes: Fact::Known(gib << 30),
        server_processes: Fact::Known(1),
        server_pids: Fact::Known(vec![7]),
        utilization_percent: none(),
    });
    SpreadReading {
        open_connections: open,
        told: Fact::Known(told.collect()),
        measured: Fact::Known(measured.collect()),
    }
}

fn attempt(number: u64, claimed: u64, measured: u64, gib: u64) -> Attempt {
    Attempt {
        number,
        accepted: true,
        ended_while_held: false,
        status: Fact::Known(101),
        close_code: none(),
        reason: String::new(),
        opening_ms: 1.0,
        claimed_gpu: Fact::Known(claimed),
        measured_gpu: Fact::Known(measured),
        logged_gpu: Fact::Known(claimed),
        added_bytes: Fact::Known(gib << 30),
    }
}

/// Two connections on two GPUs.
fn room() -> ConnectionsFacts {
    ConnectionsFacts {
        path: Fact::Known("/asr".into()),
        kind: Fact::Known("WebSocket".into()),
        asked: Fact::Known(3),
        attempts: Fact::Known(vec![attempt(1, 0, 0, 4), attempt(2, 1, 1, 4)]),
        readings: Fact::Known(vec![
            reading(0, &[0, 0], &[0, 0]),
            reading(2, &[1, 1], &[4, 4]),
            reading(0, &[0, 0], &[0, 0]),
        ]),
        status_url: Fact::Known("/gpu-status".into()),
        told_limit_per_gpu: Fact::Known(1),
        released_after_ms: Fact::Known(300.0),
        ..ConnectionsFacts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"))
    }
}

fn facts(room: ConnectionsFacts) -> Facts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    facts.connections = room;
    facts
}

fn closed(gib: &[u64]) -> ConnectionsFacts {
    let mut room = room();
    if let Fact::Known(readings) = &mut room.readings {
        readings[2] = reading(0, &[0, 0], gib);
    }
    room
}

fn second_round(mut room: ConnectionsFacts, gib: &[u64]) -> ConnectionsFacts {
    let (full, closed) = (reading(2, &[1, 1], gib), reading(0, &[0, 0], gib));
    room.second_round = Fact::Known(SecondRound { connections: 2, full, closed, closed_after_ms: 300.0 });
    room
}

#[test]
fn a_second_round_tells_a_leak_from_a_cache() {
    assert_eq!(memory::kept(&room()).unwrap(), "");
    assert!(memory::kept(&closed(&[4, 4])).unwrap().contains("are still taken"), "much, and no second round");
    let leak = second_round(closed(&[4, 4]), &[8, 8]);
    assert!(memory::grows(&leak) && memory::kept(&leak).unwrap().contains("after a second round of 2, 17.2 GB"));
    let slow = second_round(closed(&[1, 1]), &[2, 2]);
    assert!(memory::grows(&slow), "a part of it leaks");
    let cache = second_round(closed(&[4, 4]), &[4, 4]);
    assert_eq!(memory::kept(&cache).unwrap(), "");
    assert!(cached(&cache).unwrap().contains("it is kept for the next ones"));
    assert_eq!(cached(&leak), None);
}

#[test]
fn the_numbers_differ_as_the_environment_has_it() {
    let mut facts = facts(room());
    assert_eq!(numbers(&facts), "");
    facts.connections.attempts = Fact::Known(vec![attempt(1, 0, 1, 4), attempt(2, 1, 0, 4)]);
    assert!(
        numbers(&facts).starts_with("the server's GPU 0, 1 is NVML's GPU 1, 0: CUDA counts"),
        "{}",
        numbers(&facts)
    );
    let unknown = Unknown::new(Why::NotAsked, "not part of this test");
    let gpu = |index: u64, uuid: &str| {
        let gpu = crate::snapshot::Gpu::all_unknown(index, &unknown);
        crate::snapshot::Gpu { uuid: Fact::Known(uuid.into()), ..gpu }
    };
    facts.nvml.gpus = Fact::Known(vec![gpu(0, "GPU-aa"), gpu(1, "GPU-bb")]);
    for list in ["1,0", "GPU-bb,GPU-aa"] {
        facts.process.environment = Fact::Known([("CUDA_VISIBLE_DEVICES".to_owned(), list.to_owned())].into());
        assert!(numbers(&facts).ends_with(&format!("as CUDA_VISIBLE_DEVICES={list} has it")), "{}", numbers(&facts));
    }
    // One number on two GPUs is no numbering.
    facts.connections.attempts = Fact::Known(vec![attempt(1, 0, 1, 4), attempt(2, 0, 0, 4)]);
    assert_eq!(numbers(&facts), "");
}

#[test]
fn processes_are_told_one_for_all_or_one_for_each() {
    assert_eq!(processes(&room()), "one process, 7, has GPU 0 and 1");
    let mut each = room();
    let Fact::Known(readings) = &mut each.readings else { panic!() };
    let Fact::Known(gpus) = &mut readings[1].measured else { panic!() };
    gpus[1].server_pids = Fact::Known(vec![8]);
    assert_eq!(processes(&each), "2 processes, each with one GPU: 7 on GPU 0, 8 on GPU 1");
    let Fact::Known(readings) = &mut each.readings else { panic!() };
    let Fact::Known(gpus) = &mut readings[1].measured else { panic!() };
    gpus[0].server_pids = Fact::unknown(Why::Unsupported, "NVML tells the process ids of the host");
    assert!(processes(&each).contains("is not known: NVML tells the process ids of the host"));
}

#[test]
fn what_ended_while_it_was_held_was_not_refused() {
    let mut room = room();
    let Fact::Known(attempts) = &mut room.attempts else { panic!() };
    attempts[1].accepted = false;
    attempts[1].ended_while_held = true;
    attempts[1].close_code = Fact::Known(1000);
    assert_eq!(entry::lost(&room).unwrap(), "", "an end in order is none");
    let Fact::Known(attempts) = &mut room.attempts else { panic!() };
    attempts[1].close_code = Fact::Known(1006);
    assert_eq!(refused(&room).unwrap(), None);
    let told = "The server ended 1 of the 2 connections that were held without a goodbye: number 2";
    assert_eq!(entry::lost(&room).unwrap(), told);
    assert!(!entry::server_gone(&room));
    let mut gone = attempt(3, 0, 0, 0);
    gone.accepted = false;
    gone.status = Fact::unknown(Why::Absent, "127.0.0.1:8000: connection refused: nothing listens there");
    let Fact::Known(attempts) = &mut room.attempts else { panic!() };
    attempts.push(gone);
    assert!(entry::server_gone(&room) && entry::lost(&room).unwrap().ends_with("nothing listens at its port any more"));
}

#[test]
fn the_checklist_tells_pass_fail_and_what_is_not_known() {
    let outcomes = |room: ConnectionsFacts| {
        checklist(&facts(room)).into_iter().map(|line| (line.outcome, line.proof)).collect::<Vec<_>>()
    };
    use ChecklistOutcome::{Fail, Pass, Unknown as Open};
    let good = outcomes(room());
    let all: Vec<_> = good.iter().map(|(outcome, _)| *outcome).collect();
    assert_eq!(all, [Pass, Pass, Pass, Pass, Pass, Pass, Open, Pass, Pass], "{good:#?}");
    assert!(good[6].1.contains("none of 2 connections was refused; it tells a limit of 1"), "{}", good[6].1);
    let kept = outcomes(closed(&[4, 4]));
    assert_eq!(kept[5].0, Fail);
    let mut untold = room();
    if let Fact::Known(readings) = &mut untold.readings {
        readings.last_mut().unwrap().measured = none();
    }
    let (outcome, proof) = outcomes(untold).swap_remove(5);
    assert_eq!(outcome, Open, "that places are free says nothing of the memory: {proof}");
    let mut blind = room();
    blind.readings = Fact::Known(vec![SpreadReading { measured: none(), ..reading(0, &[0, 0], &[]) }]);
    assert_eq!(outcomes(blind)[4], (Open, "not part of this test".into()));
}
