//! The HTML report: its size and its points without a browser, and the page as headless Chromium shows it.

mod browser;
mod pages;
#[path = "../setup/mod.rs"]
mod setup;

use browser::Browser;
use pages::{curves, long_run, page, snapshot};
use serde_json::{Value, json};
use std::path::Path;

/// Most bytes of the page of a run of 60 s at 20 Hz on 8 GPUs.
const BYTES_MAX: usize = 400_000;

/// Texts with less contrast to what is behind them than WCAG 2 wants (4.5:1), with the contrast.
const FAINT: &str = "(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const part = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const paint = parse(getComputedStyle(one).backgroundColor);
      if (paint.length === 3 || paint[3] === 1) return paint;
    }
    return [255, 255, 255];
  };
  // A text of a picture may stand on the time that is shaded.
  const shaded = document.querySelector('.during');
  const texts = [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility()
    && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  const faint = new Set();
  if (texts.length < 40) faint.add(`only ${texts.length} texts were looked at`);
  for (const one of texts) {
    const style = getComputedStyle(one), drawn = one instanceof SVGElement;
    const ink = parse(drawn ? style.fill : style.color);
    const papers = [behind(one)];
    if (drawn && shaded && one.closest('.chart')) papers.push(parse(getComputedStyle(shaded).fill));
    const least = Math.min(...papers.map((paper) => contrast(ink, paper)));
    if (!(least >= 4.5)) faint.add(`${one.tagName} ${one.className.baseVal ?? one.className}: ${least.toFixed(2)}`);
  }
  const query = getComputedStyle(document.getElementById('query'), '::placeholder');
  if (!(contrast(parse(query.color), behind(document.getElementById('query'))) >= 4.5)) faint.add('placeholder');
  return [...faint];
})()";

/// The size of the smallest letters of pictures, pixels.
const SMALLEST: &str = "Math.min(...[...document.querySelectorAll('.chart text')].filter(one => one.checkVisibility()).map(one => \
  parseFloat(getComputedStyle(one).fontSize) * one.getCTM().a), 99)";

fn write(folder: &Path, snapshot: &Value) -> std::path::PathBuf {
    let file = folder.join("snapshot.json");
    std::fs::write(&file, snapshot.to_string()).unwrap();
    page(folder, &file)
}

#[test]
fn a_minute_on_eight_gpus_fits_and_every_point_that_was_read_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let html = std::fs::read_to_string(write(folder.path(), &long_run())).unwrap();
    assert!(html.len() <= BYTES_MAX, "{} bytes", html.len());
    let curves = curves(&html);
    assert_eq!(curves.len(), 8 * 4 + 3, "{curves:?}");
    for (series, said, drawn) in &curves {
        let read = match series.as_str() {
            "accepted" => 227,
            "rejected" => 29,
            power if power.ends_with("-power") => 256 - 15,
            _ => 256,
        };
        assert_eq!((*said, *drawn), (read, read), "{series}");
    }
}

#[test]
fn a_snapshot_of_many_megabytes_is_no_larger_a_page() {
    let mut snapshot = long_run();
    let node = |number: usize| json!({ "name": format!("/encoder/layer.{number}/MatMul_{}", "x".repeat(40)), "op": "MatMul", "provider": "CPUExecutionProvider", "why": "no kernel".repeat(5) });
    snapshot["facts"]["placement"]["listed_nodes"] = json!({ "known": (0..30_000).map(node).collect::<Vec<_>>() });
    assert!(snapshot.to_string().len() > 5_000_000);
    let folder = tempfile::tempdir().unwrap();
    let html = std::fs::read_to_string(write(folder.path(), &snapshot)).unwrap();
    assert!(html.len() <= BYTES_MAX, "{} bytes", html.len());
    assert!(html.contains("placement.listed_nodes[11].name"), "the list is begun");
    assert!(html.contains("and 29988 more, 30000 in all"), "and it is said how it goes on");
}

#[test]
fn what_others_wrote_is_text_wherever_it_stands() {
    const HOSTILE: &str = "</script><img src=x onerror=\"alert(1)\"> ' \u{202e}evil\u{1b}[31m <!-- ";
    fn poison(value: &mut Value, name: &str) {
        // What the program compares, and what must be a number or a moment, stays.
        const KEPT: &[&str] = &["schema", "taken_at", "started_at", "id", "outcome", "why", "at_ms", "stage"];
        match value {
            Value::String(text) if !KEPT.contains(&name) => text.push_str(HOSTILE),
            Value::Array(items) => items.iter_mut().for_each(|item| poison(item, name)),
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| poison(value, name)),
            _ => {}
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["snapshots/a1.json", "cases/all-workers-on-gpu0/snapshot.json", "cases/ort-graph-split/snapshot.json"]
    {
        let text = std::fs::read_to_string(snapshot(name)).unwrap();
        let mut snapshot: Value = serde_json::from_str(&text).unwrap();
        poison(&mut snapshot, "");
        let html = std::fs::read_to_string(write(folder.path(), &snapshot)).unwrap();
        assert!(
            html.contains("&lt;/script&gt;&lt;img src=x onerror=&quot;alert(1)&quot;&gt; &#39;"),
            "{name}: it is told"
        );
        assert_eq!(html.matches("</script>").count(), 1, "{name}: only the page's own script ends");
        assert!(!html.contains("<img") && !html.contains("<!--"), "{name}");
        assert!(!html.contains(['\u{202e}', '\u{1b}']), "{name}: nothing turns the text around");
    }
}

#[test]
fn chromium_shows_it_without_complaint_and_without_a_network() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("a1", "snapshots/a1.json"),
        ("healthy", "snapshots/healthy-server.json"),
        ("active", "snapshots/active.json"),
        ("load", "cases/stress-over-capacity/snapshot.json"),
        ("placement", "cases/ort-graph-split/snapshot.json"),
        ("connections", "cases/balance-one-gpu/snapshot.json"),
        ("four-gpus", "cases/pair-workers-rejected/snapshot.json"),
        ("files", "cases/files-idle/snapshot.json"),
        ("eight-gpus", ""),
    ];
    for (name, path) in cases {
        let file =
            if path.is_empty() { write(folder.path(), &long_run()) } else { page(folder.path(), &snapshot(path)) };
        browser.resize(1100, 800);
        browser.prefer("light");
        browser.open(&file);
        let light = browser.screenshot(&format!("{name}-light"));
        assert_eq!(browser.evaluate(FAINT), json!([]), "{name}: text that is hard to read");
        browser.prefer("dark");
        let dark = browser.screenshot(&format!("{name}-dark"));
        assert_eq!(browser.evaluate(FAINT), json!([]), "{name}: text that is hard to read in the dark");
        assert_ne!(light, dark, "{name}: dark is another picture");
        let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(paper, "rgb(21, 24, 28)", "{name}");
        browser.prefer("light");
        browser.resize(360, 740);
        let width = browser.evaluate("document.documentElement.scrollWidth");
        browser.screenshot(&format!("{name}-phone"));
        let smallest = browser.evaluate(SMALLEST).as_f64().unwrap_or(99.0);
        assert!(smallest >= 9.0, "{name}: letters of {smallest} pixels on a phone");
        assert_eq!(width, 360, "{name}: the page scrolls sideways");
        let buttons = browser
            .evaluate("document.querySelectorAll('.command').length - document.querySelectorAll('button.copy').length");
        assert_eq!(buttons, 0, "{name}: a command has no button");
        browser.resize(794, 1123);
        browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
        let folded = "[...document.querySelectorAll('details:not(#list) > :not(summary)')].filter(one => !one.checkVisibility() || one.getBoundingClientRect().height === 0).length";
        assert_eq!(browser.evaluate(folded), 0, "{name}: something that matters stays folded on paper");
        // No part is moved to a page of its own and leaves the one before it white.
        let tall = browser.evaluate(
            "Math.max(...[...document.querySelectorAll('*')].filter(one => \
             getComputedStyle(one).breakInside === 'avoid').map(one => one.getBoundingClientRect().height), 0)",
        );
        assert!(tall.as_f64().unwrap() < 1_000.0, "{name}: {tall} pixels that must stand on one page");
        browser.screenshot(&format!("{name}-print"));
        browser.call("Emulation.setEmulatedMedia", json!({ "media": "" }));
        let pdf = browser.print(name);
        let pages = pdf.windows(11).filter(|window| window.starts_with(b"/Type /Page") && window[10] != b's').count();
        assert!(pdf.starts_with(b"%PDF") && pages > 0, "{name}: {pages} pages");
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
        assert_eq!(browser.requested(), [format!("file://{}", file.display())], "{name}");
    }
}

#[test]
fn the_timeline_is_drawn_and_the_search_finds_facts_by_path_and_by_value() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &long_run());
    browser.open(&file);
    let drawn =
        "[...document.querySelectorAll('[data-series$=-utilization]')].map(path => path.getTotalLength() > 500)";
    assert_eq!(browser.evaluate(drawn), json!([true, true, true, true, true, true, true, true]));
    // How many rows are seen, and what is said of it.
    let mut search = |words: &str| -> (u64, String) {
        let typed = format!(
            "query.value = {}; query.dispatchEvent(new Event('input')); \
             [[...document.querySelectorAll('#list tbody td:first-child')].filter(cell => cell.checkVisibility()).length, found.textContent]",
            json!(words)
        );
        let said = browser.evaluate(&typed);
        (said[0].as_u64().unwrap(), said[1].as_str().unwrap().to_owned())
    };
    let (all, said) = search("");
    assert_eq!((all, said.as_str()), (0, ""), "the list is folded until somebody searches");
    let (rows, said) = search("execution.window_ms");
    assert_eq!((rows, said.starts_with("1 of ")), (1, true), "{said}");
    let (rows, _) = search("EXECUTION 60000");
    assert_eq!(rows, 1, "by a part of the path and the value");
    let (rows, said) = search("no-such-fact <b>");
    assert_eq!((rows, said.as_str()), (0, "No fact has \u{201c}no-such-fact <b>\u{201d} in its path or value."));
    let (rows, _) = search("");
    assert!(rows > 1000, "{rows} facts are shown when the search is emptied");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn without_scripts_all_of_it_is_there() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = page(folder.path(), &snapshot("snapshots/a1.json"));
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.open(&file);
    let tree = browser.call("DOMSnapshot.captureSnapshot", json!({ "computedStyles": [] }));
    let strings = tree["strings"].to_string();
    for told in
        ["required-field-missing", "no NVIDIA device on the PCI bus", "request.missing_fields", "Show all facts"]
    {
        assert!(strings.contains(told), "{told}");
    }
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(
        html.contains("<noscript>") && html.contains("role=\"search\" hidden"),
        "what needs scripts is hidden without"
    );
    let folder = folder.path().join("list.html");
    // The list of facts unfolds by itself: a details element, no script.
    std::fs::write(&folder, html.replace("<details id=\"list\">", "<details id=\"list\" open>")).unwrap();
    browser.open(&folder);
    let size = browser.call("Page.getLayoutMetrics", json!({}))["cssContentSize"]["height"].as_f64().unwrap();
    assert!(size > 10_000.0, "{size} pixels of facts");
}
