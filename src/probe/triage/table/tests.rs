use super::header::{Column, Table};
use super::number::{Cell, read};
use super::rows::{Delimiter, Row, Rows};
use super::time::{self, DayOrder};
use super::unit::Unit;
use crate::probe::triage::evidence::Clock;
use crate::probe::triage::form::Head;
use proptest::prelude::*;
use std::path::Path;

/// A row: its line and its cells.
type Found = (u64, Vec<String>);

/// Every row and every fault, the bytes fed in blocks of this size.
fn rows(bytes: &[u8], block: usize) -> (Vec<Found>, Vec<(u64, &'static str)>) {
    let mut found = Vec::new();
    let mut rows = Rows::new(Delimiter::Byte(b','), 64);
    let mut each = |row: &Row| found.push((row.line, (0..row.len()).map(|cell| row.text(cell).into_owned()).collect()));
    bytes.chunks(block.max(1)).for_each(|block| rows.feed(block, &mut each));
    rows.end(&mut each);
    (found, rows.faults().to_vec())
}

fn cells(bytes: &str) -> Vec<Vec<String>> {
    rows(bytes.as_bytes(), 1 << 20).0.into_iter().map(|(_, cells)| cells).collect()
}

#[test]
fn quoted_cells_hold_delimiters_quotes_and_line_feeds() {
    let text = "a,\"b,c\",\"d \"\"e\"\"\"\r\n1,\"two\nlines\",3\n4,5\" disk,6\n";
    assert_eq!(cells(text), [vec!["a", "b,c", "d \"e\""], vec!["1", "two\nlines", "3"], vec!["4", "5\" disk", "6"]]);
    let lines: Vec<u64> = rows(text.as_bytes(), 7).0.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 4], "numbers are those of the first line");
}

#[test]
fn after_a_quote_that_is_never_closed_rows_go_on() {
    let text = format!("a,b\n1,\"open\n{}", "2,3\n".repeat(100));
    for block in [3, 64, 1 << 20] {
        let (found, faults) = rows(text.as_bytes(), block);
        assert_eq!(found.len(), 102, "block {block}");
        assert_eq!(found[101], (102, vec!["2".to_owned(), "3".to_owned()]));
        assert_eq!(faults[0], (2, "a quote is not closed"));
    }
}

#[test]
fn a_line_without_an_end_takes_no_memory_and_is_told() {
    let mut bytes = b"a,b\n".to_vec();
    bytes.extend(vec![b'x'; 10 << 20]);
    bytes.extend(b"\n1,2\n");
    let (found, faults) = rows(&bytes, 64 << 10);
    assert_eq!(faults, [(2, "the line is longer than 1 MiB and was left out")]);
    assert_eq!(found.last(), Some(&(3, vec!["1".to_owned(), "2".to_owned()])));
}

#[test]
fn numbers_of_programs_and_of_spreadsheets() {
    let number = |text: &str| read(text.as_bytes(), false);
    for (text, value) in
        [("0.0", 0.0), ("12", 12.0), ("1.5e-3", 0.0015), ("-2", -2.0), ("+5", 5.0), ("1,234.5", 1234.5)]
    {
        assert_eq!(number(text), Cell::Number(value, None), "{text}");
    }
    assert_eq!(number("12 %"), Cell::Number(12.0, Some(Unit::Percent)));
    assert_eq!(number("1024 MiB"), Cell::Number(1024.0, Unit::named("mib")));
    assert_eq!(number("61.53 W"), Cell::Number(61.53, Some(Unit::Power(1e3))));
    assert_eq!(read(b"1.234,5", true), Cell::Number(1234.5, None));
    assert_eq!(read(b"12,5", true), Cell::Number(12.5, None));
    assert_eq!(number("12,5"), Cell::Invalid, "it is no thousand");
    for nothing in ["", "-", "null", "None"] {
        assert_eq!(number(nothing), Cell::Empty, "{nothing}");
    }
    for dumb in ["[N/A]", "N/A", "[Not Supported]"] {
        assert_eq!(number(dumb), Cell::NotSupported, "{dumb}");
    }
    for lost in ["ERR!", "[GPU is lost]", "[Unknown Error]"] {
        assert_eq!(number(lost), Cell::Lost, "{lost}");
    }
    for wrong in ["nan", "NaN", "inf", "-inf", "twelve", "1 parsec", ".", "1.2.3", "0x10", "--5"] {
        assert_eq!(number(wrong), Cell::Invalid, "{wrong}");
    }
}

#[test]
fn times_of_many_programs_are_the_same_time() {
    let ms = 1_704_164_645_678.0;
    let read = |text: &str| time::read(text.as_bytes(), DayOrder::default());
    for text in [
        "1704164645.678",
        "1704164645678",
        "1704164645678000",
        "2024-01-02T03:04:05.678Z",
        "2024-01-02 03:04:05.678+00:00",
        "2024-01-02T08:34:05.678+0530",
        "2024-01-01T19:04:05,678-08",
        "2024-01-02 03:04:05.678 UTC",
    ] {
        let moment = read(text).unwrap_or_else(|| panic!("{text} is no time"));
        assert!((moment.ms - ms).abs() < 0.01, "{text}: {}", moment.ms);
        assert_eq!(moment.clock, Clock::Utc, "{text}");
    }
    for text in ["2024/01/02 03:04:05.678", "02.01.2024 03:04:05.678", "1/2/2024, 3:04:05.678 AM"] {
        let moment = read(text).unwrap_or_else(|| panic!("{text} is no time"));
        assert_eq!((moment.ms, moment.clock), (ms, Clock::Local), "{text}");
    }
    assert_eq!(read("14:32:10").map(|moment| (moment.ms, moment.clock)), Some((52_330_000.0, Clock::OfDay)));
    assert_eq!(read("12.5").map(|moment| (moment.ms, moment.clock)), Some((12_500.0, Clock::Relative)));
    assert_eq!(read("12.5s").map(|moment| moment.ms), Some(12_500.0));
    for wrong in
        ["", "nan", "-5", "2024-13-01", "2024-01-02 25:00:00", "yesterday", "1e300", "2024-01-02T03:04:05 parsec"]
    {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn day_and_month_are_told_apart_where_they_can_be() {
    let day = |text: &str, order| {
        time::read(text.as_bytes(), order).map(|moment| (moment.ms / 86_400_000.0, moment.ambiguous))
    };
    let third_of_april = 19_816.0;
    assert_eq!(day("03/04/2024", DayOrder::DayFirst), Some((third_of_april, true)));
    assert_eq!(day("04/03/2024", DayOrder::MonthFirst), Some((third_of_april, true)));
    assert_eq!(day("13/04/2024", DayOrder::MonthFirst), Some((third_of_april + 10.0, false)), "there is no 13th month");
    assert_eq!(day("03.04.2024", DayOrder::MonthFirst), Some((third_of_april, false)));
    let found = table("time;status\n04/03/2024 10:00;200\n13/03/2024 10:00;200\n");
    assert_eq!(found.day_order, DayOrder::DayFirst, "another row tells");
}

fn table(text: &str) -> Table {
    Table::find(&Head::new(Path::new("x.csv"), text.as_bytes(), true)).expect("a table")
}

#[test]
fn headings_are_read_without_their_units() {
    let name = |title: &str| {
        let column = Column::new(title);
        (column.name, column.unit)
    };
    assert_eq!(name("gpu_util_percent"), ("gpuutil".into(), Some(Unit::Percent)));
    assert_eq!(name("utilization.gpu [%]"), ("utilizationgpu".into(), Some(Unit::Percent)));
    assert_eq!(name("memory.used [MiB]"), ("memoryused".into(), Unit::named("mib")));
    assert_eq!(name("power.draw [W]"), ("powerdraw".into(), Some(Unit::Power(1e3))));
    assert_eq!(name("Latency (ms)"), ("latency".into(), Some(Unit::Time(1.0))));
    assert_eq!(name("responseTimeMs"), ("responsetime".into(), Some(Unit::Time(1.0))));
    assert_eq!(name("GPU%"), ("gpu".into(), Some(Unit::Percent)));
    assert_eq!(name("Status Code"), ("statuscode".into(), None));
    assert_eq!(name("duration_s"), ("duration".into(), Some(Unit::Time(1e3))));
}

#[test]
fn delimiters_and_the_header_are_found() {
    for (text, delimiter) in
        [("a,b,c\n1,2,3\n", b','), ("a;b;c\n1,5;2;3\n", b';'), ("a\tb\n1\t2\n", b'\t'), ("a|b\n1|2\n", b'|')]
    {
        assert_eq!(table(text).delimiter, Delimiter::Byte(delimiter), "{text}");
    }
    assert!(table("a;b\n1,5;2\n").decimal_comma && !table("a;b\n1.5;2\n").decimal_comma);
    assert_eq!(table("# made by bench.py\nsep=,\na,b\n1,2\n").header_line, 3);
    assert_eq!(table("2024/01/02 03:04:05, 12 %, 100 MiB\n").header_line, 0, "there is none");
    assert!(Table::find(&Head::new(Path::new("x"), b"just words\nand more\n", true)).is_none());
}

proptest! {
    #[test]
    fn rows_do_not_depend_on_how_they_are_fed(bytes in proptest::collection::vec(prop_oneof![
        Just(b','), Just(b'\n'), Just(b'"'), Just(b'\r'), Just(b' '), any::<u8>()], 0..400), block in 1usize..50) {
        // Blocks decide only where a quote that is never closed is noticed.
        let quotes = bytes.iter().filter(|byte| **byte == b'"').count();
        let whole = rows(&bytes, 1 << 20);
        let parts = rows(&bytes, block);
        if quotes == 0 {
            prop_assert_eq!(&whole, &parts);
        }
        prop_assert_eq!(whole.0.last().map(|(line, _)| *line), parts.0.last().map(|(line, _)| *line));
    }

    #[test]
    fn written_tables_are_read_back(table in proptest::collection::vec(
        proptest::collection::vec("[a-z0-9,\" \n;|]{0,12}[a-z]", 3), 1..20), block in 1usize..70) {
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        let text: String = table.iter().map(line).collect();
        let (found, faults) = rows(text.as_bytes(), block);
        prop_assert!(faults.is_empty());
        prop_assert_eq!(found.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), table);
    }

    #[test]
    fn any_number_is_read_as_rust_reads_it(number in -1e12f64..1e12) {
        match read(format!("{number}").as_bytes(), false) {
            Cell::Number(found, None) => prop_assert!((found - number).abs() <= number.abs() * 1e-12),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn any_bytes_are_a_number_or_none_and_a_time_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Cell::Number(number, _) = read(&bytes, true) {
            prop_assert!(number.is_finite());
        }
        if let Some(moment) = time::read(&bytes, DayOrder::DayFirst) {
            prop_assert!(moment.ms.is_finite());
        }
    }

    #[test]
    fn every_second_of_our_days_is_read_back(second in 0i64..4_102_444_800) {
        let written = jiff::Timestamp::from_second(second).unwrap().to_string();
        let moment = time::read(written.as_bytes(), DayOrder::default());
        prop_assert_eq!(moment.map(|moment| moment.ms), Some(second as f64 * 1e3));
    }
}
