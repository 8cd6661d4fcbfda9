//! The screen of a watch, drawn to text.

use super::*;
use crate::probe::watch::{GpuTurn, ServerTurn};
use crate::snapshot::Unknown;
use proptest::prelude::*;

fn unsupported<T>() -> std::result::Result<T, Unknown> {
    Err(Unknown::new(Why::Unsupported, "the card does not tell it"))
}

fn gpu(index: u64, percent: f64) -> GpuTurn {
    GpuTurn {
        index,
        uuid: None,
        name: Some("Tesla T4".into()),
        memory_total_bytes: Some(16 << 30),
        utilization_percent: Ok(percent),
        utilization_max_percent: Ok(percent),
        memory_used_bytes: Ok(f64::from(1 << 30) * 4.0),
        power_milliwatts: Ok(20e3 + 500.0 * percent),
        temperature_celsius: Ok(61.0),
        sm_clock_mhz: unsupported(),
        sm_activity_percent: unsupported(),
        throttle_reasons: unsupported(),
        lost: None,
    }
}

fn served(gained: f64) -> ServerTurn {
    let of = |value: f64| Ok(value);
    ServerTurn {
        gained: of(gained),
        succeeded: of(gained),
        failed: of(0.0),
        queue_ms: of(gained * 2.0),
        infer_ms: of(3.87),
        request_ms: of(20.0),
        running: unsupported(),
        waiting: unsupported(),
    }
}

fn turn(second: u32, gpus: Vec<GpuTurn>, server: Option<ServerTurn>) -> Turn {
    let time = format!("14:32:{:02}", second % 60);
    Turn { at_ms: 1.7e12 + f64::from(second) * 1e3, time, gpus, server, notes: Vec::new() }
}

fn view_of(gpus: u64, seconds: u32) -> WatchView {
    let mut view = WatchView::new("http://127.0.0.1:8000/", true, 1.0);
    for second in 1..=seconds {
        let all = (0..gpus).map(|index| gpu(index, f64::from(second * 10 % 101))).collect();
        view.take(&turn(second, all, Some(served(f64::from(second)))));
    }
    view
}

#[test]
fn one_gpu_has_rows_of_bars() {
    let mut view = view_of(1, 10);
    view.note("14:32:10", "metrics are gone: http://127.0.0.1:8002/metrics answers 503");
    let screen = view.draw(80, 24, 0).lines;
    let blank = String::new();
    let expected = [
        "gpu-doctor watch  http://127.0.0.1:8000/               10 s, every 1 s  14:32:10",
        "server  55 requests",
        "  requests/s                               ▁▂▃▄▄▅▆▇██ 10.0  at most 10.0",
        "  queue                                    ▁▂▃▄▄▅▆▇██ 20.00ms  at most 20.00ms",
        "  inference                                ██████████ 3.87ms  at most 3.87ms",
        "",
        "GPU 0 Tesla T4  61°C",
        "  utilization                              ▁▂▃▄▄▅▆▇██ 100%",
        "  memory                                   ▂▂▂▂▂▂▂▂▂▂ 25%  4096MB of 16384MB",
        "  power                                    ▃▄▄▅▆▆▇▇██ 70.0W  at most 70.0W",
    ];
    assert_eq!(screen[..10], expected.map(str::to_owned), "{}", screen.join("\n"));
    assert!(screen[10..22].iter().all(|line| *line == blank), "{}", screen.join("\n"));
    assert_eq!(screen[22], "# 14:32:10 metrics are gone: http://127.0.0.1:8002/metrics answers 503");
    assert_eq!((screen.len(), screen[23].as_str()), (24, "q: end, with the diagnosis"));
}

#[test]
fn eight_gpus_fit_into_the_usual_window_and_more_are_scrolled() {
    let screen = view_of(8, 10).draw(80, 24, 0).lines;
    let text = screen.join("\n");
    assert_eq!(screen[5], "GPU  GPU%               Mem%, MemUsed               Power               Temp", "{text}");
    assert_eq!(screen[6], "  0    ▁▂▃▄▄▅▆▇██ 100%    ▂▂▂▂▂▂▂▂▂▂    25% 4096MB    ▃▄▄▅▆▆▇▇██   70.0W  61°C", "{text}");
    assert!((0..8).all(|index| screen[6 + index].starts_with(&format!("{index:>3}  "))), "{text}");
    assert!(!text.contains("arrow"), "{text}");
    let view = view_of(30, 3);
    let first = view.draw(80, 24, 0);
    assert!(first.lines[23].ends_with("; arrow keys: 1 to 17 of 30 GPUs"), "{}", first.lines[23]);
    let last = view.draw(80, 24, 1000);
    assert_eq!(last.scrolled, 13);
    assert!(last.lines[22].starts_with(" 29  ") && last.lines[23].ends_with("14 to 30 of 30 GPUs"), "{last:?}");
}

#[test]
fn what_is_not_told_is_no_number() {
    let mut view = view_of(1, 2);
    let mut silent = gpu(0, 50.0);
    (silent.power_milliwatts, silent.utilization_percent) = (unsupported(), unsupported());
    let gone = Unknown::new(Why::Absent, "answers 503");
    view.take(&turn(3, vec![silent], Some(ServerTurn::unknown(&gone))));
    let screen = view.draw(80, 24, 0).lines.join("\n");
    assert!(screen.contains("▁▂· n/a"), "{screen}");
    assert!(screen.contains("n/a  at most 30.0W"), "{screen}");
    assert!(screen.contains("server  3 requests\n"), "{screen}");
    // What was gained while the page was gone was gained in all that time.
    view.take(&turn(4, vec![gpu(0, 0.0)], Some(served(10.0))));
    let screen = view.draw(80, 24, 0).lines.join("\n");
    assert!(screen.contains(" 5.0  at most 5.0"), "{screen}");
    let mut lost = gpu(0, 50.0);
    lost.lost = Some(Unknown::new(Why::Absent, "GPU is lost"));
    view.take(&turn(5, vec![lost], None));
    let screen = view.draw(80, 24, 0).lines.join("\n");
    assert!(screen.contains("GPU 0 Tesla T4  ERR! GPU is lost") && screen.contains("▁· ERR!"), "{screen}");
}

#[test]
fn an_hour_on_a_screen_stays_small() {
    let view = view_of(8, 3600);
    assert!(view.draw(300, 24, 0).lines.iter().all(|line| line.chars().count() <= 300));
}

#[test]
fn an_interval_that_tells_nothing_is_written_once() {
    let nothing = || {
        let unread = Unknown::new(Why::Absent, "no page");
        turn(1, Vec::new(), Some(ServerTurn::unknown(&unread)))
    };
    let written = |verbose: bool| {
        let (mut lines, mut out) = (WatchLines::new(true, verbose), Vec::new());
        for second in 0..9 {
            let one = if second == 6 { turn(7, vec![gpu(0, 1.0)], Some(served(1.0))) } else { nothing() };
            lines.turn(&one, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(false).matches(" n/a ").count(), 4, "{}", written(false));
    assert_eq!(written(false).matches("nothing is read").count(), 2, "{}", written(false));
    assert_eq!(written(true).matches(" n/a ").count(), 16, "{}", written(true));
}

proptest! {
    #[test]
    fn any_window_is_filled_and_not_left(columns in 0usize..200, rows in 0usize..60, gpus in 0u64..20, scroll in 0usize..40) {
        let mut view = view_of(gpus, 3);
        view.note("14:32:10", "\u{1b}[2J 日本語 a note that is long, and longer than most windows of a terminal are wide, really");
        let frame = view.draw(columns, rows, scroll);
        prop_assert!(frame.lines.len() <= rows.max(1));
        for line in &frame.lines {
            prop_assert!(line.chars().count() <= columns, "{line}");
            prop_assert!(!line.chars().any(char::is_control), "{line}");
        }
    }
}
