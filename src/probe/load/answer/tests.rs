//! Answers as servers send them, in pieces of any size.

use super::*;
use proptest::prelude::*;

/// What an answer comes to: its status, its body, whether the connection may be kept.
type Told = Result<(u16, Vec<u8>, bool), Fault>;

fn told_of(mut answer: Answer, pieces: &[&[u8]], closes: bool) -> Told {
    for piece in pieces {
        if answer.is_whole() {
            break;
        }
        answer.read(piece)?;
    }
    if closes && !answer.is_whole() {
        answer.close()?;
    }
    let status = answer.status().filter(|_| answer.is_whole()).ok_or(Fault::TimedOut)?;
    Ok((status, answer.body().to_vec(), answer.may_be_kept()))
}

/// Of an answer whose connection closes behind it.
fn told(bytes: &[u8]) -> Told {
    told_of(Answer::new(false, false), &[bytes], true)
}

fn good(status: u16, body: &str, kept: bool) -> Told {
    Ok((status, body.into(), kept))
}

#[test]
fn a_body_ends_where_its_head_says() {
    assert_eq!(told(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), good(200, "ok", true));
    assert_eq!(told(b"HTTP/1.1 200\r\nContent-Length: 2, 2\r\ncontent-length:2\r\n\r\nok"), good(200, "ok", true));
    assert_eq!(told(b"HTTP/1.1 500 No\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"), good(500, "", false));
    assert_eq!(told(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"), good(200, "until the end", false));
    assert_eq!(told(b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx"), good(200, "x", false));
    let kept = b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx";
    assert_eq!(told(kept), good(200, "x", true));
    assert_eq!(told(b"HTTP/1.1 204 No\r\ncontent-length: 7\r\n\r\n"), good(204, "", true), "never a body");
    // What comes behind it is not its own, and nobody asked for it.
    assert_eq!(told(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200"), good(200, "ok", false));
    let early = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 x\r\ncontent-length: 1\r\n\r\ny";
    assert_eq!(told(early), good(201, "y", true), "the last head is the answer's");
    assert_eq!(told(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"), good(101, "", false));
    let of_head = told_of(Answer::new(true, false), &[b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"], false);
    assert_eq!(of_head, good(200, "", true), "an answer to HEAD");
}

#[test]
fn chunks_are_joined() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: gzip, Chunked\r\n\r\n";
    let of = |body: &str| told(format!("{head}{body}").as_bytes());
    assert_eq!(of("5\r\nhello\r\n6;a=\"b\"\r\n world\r\n0\r\n\r\n"), good(200, "hello world", true));
    assert_eq!(of("00A\r\n0123456789\r\n0 \r\nexpires: never\r\nx: y\r\n\r\n"), good(200, "0123456789", true));
    assert_eq!(of("0\r\n\r\nmore"), good(200, "", false));
    for wrong in ["\r\n", "g\r\n", "5\nhello", "5\r\nhello!\r\n", "ffffffffffffffff1\r\n", "0\r\nx\n", "5\r\nhello\n"] {
        assert_eq!(of(wrong), Err(Fault::NotHttp), "{wrong:?}");
    }
    for half in ["", "5", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nx: y\r\n"] {
        assert_eq!(of(half), Err(Fault::ClosedEarly), "{half:?}");
    }
    let endless = format!("5;{}", "x".repeat(100_000));
    assert_eq!(of(&endless), Err(Fault::NotHttp), "bounded");
    let coded = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nuntil the end";
    assert_eq!(told(coded), good(200, "until the end", false));
}

#[test]
fn half_an_answer_is_none() {
    for half in
        ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "HTTP/1.1 100 Continue\r\n\r\n"]
    {
        assert_eq!(told(half.as_bytes()), Err(Fault::ClosedEarly), "{half:?}");
    }
    for wrong in [
        "SSH-2.0-server\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    ] {
        assert_eq!(told(wrong.as_bytes()), Err(Fault::NotHttp), "{wrong:?}");
    }
    let mut endless = Answer::new(false, false);
    endless.read(b"HTTP/1.1 200 OK\r\nx: ").unwrap();
    let line = vec![b'x'; 64 << 10];
    assert_eq!((0..8).try_for_each(|_| endless.read(&line)), Err(Fault::NotHttp), "bounded");
}

#[test]
fn a_long_body_is_counted_and_its_beginning_kept() {
    let mut answer = Answer::new(false, true);
    answer.read(b"HTTP/1.1 200 OK\r\nX-Time: 7\r\nx-time: 8\r\ncontent-length: 1000000\r\n\r\n").unwrap();
    let times: Vec<_> = answer.headers().get_all("x-time").iter().collect();
    assert_eq!(times, ["7", "8"]);
    (0..1000).for_each(|_| answer.read(&[b'x'; 1000]).unwrap());
    assert!(answer.is_whole() && answer.may_be_kept());
    assert_eq!(answer.body().len(), KEPT_MAX);
    answer.clear();
    assert!(answer.headers().is_empty() && answer.status().is_none() && !answer.is_whole());
    answer.read(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny").unwrap();
    assert_eq!((answer.body(), answer.headers().len()), (&b"y"[..], 1));
}

fn heads() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("content-length: 5".to_owned()),
        Just("transfer-encoding: chunked".into()),
        Just("connection: close".into()),
        "[a-z-]{1,9}: [ -~]{0,9}",
    ];
    (prop::collection::vec(line, 0..4), prop::sample::select(vec![100, 200, 204, 500]), 0u8..2).prop_map(
        |(lines, status, minor)| {
            let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            format!("HTTP/1.{minor} {status} x\r\n{lines}\r\n")
        },
    )
}

proptest! {
    /// However the network cuts it, it is the same answer.
    #[test]
    fn pieces_make_no_difference(
        heads in prop::collection::vec(heads(), 1..3),
        body in prop_oneof![Just("5\r\nhello\r\n0\r\n\r\n".to_owned()), Just("hello".into()), "[0-9a-f\r\n;x]{0,20}"],
        cuts in prop::collection::vec(0usize..200, 0..6),
    ) {
        let bytes = format!("{}{body}", heads.concat()).into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).filter(|piece| !piece.is_empty()).collect();
        let (whole, cut) = (told(&bytes), told_of(Answer::new(false, false), &pieces, true));
        match (&whole, &cut) {
            // What comes later than the answer cannot be seen in time.
            (Ok(whole), Ok(cut)) => prop_assert_eq!((whole.0, &whole.1), (cut.0, &cut.1)),
            _ => prop_assert_eq!(&whole, &cut),
        }
    }

    #[test]
    fn no_bytes_break_it(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..5), begin in heads()) {
        let mut all: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let _ = told_of(Answer::new(false, true), &all, true);
        all.insert(0, begin.as_bytes());
        let _ = told_of(Answer::new(false, true), &all, true);
    }
}
