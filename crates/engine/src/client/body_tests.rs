use proptest::prelude::*;

use super::*;

/// What a body comes to whose bytes come in such pieces: its content, and what was left over.
fn read<'b>(
    framing: Framing,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> Result<(Vec<u8>, Option<usize>), SendError> {
    let mut body = Body::new(framing);
    let mut content = Vec::new();
    let mut left = None;
    for piece in pieces {
        if let Some(left) = &mut left {
            *left += piece.len();
            continue;
        }
        let progress = body.feed(piece, &mut |bytes| {
            content.extend_from_slice(bytes);
            Enough::NotYet
        })?;
        if let Progress::Ended(used) = progress {
            left = Some(piece.len() - used);
        }
    }
    Ok((content, left))
}

const CHUNKS: &[u8] = b"4;name=value\r\nabcd\r\n0a\r\n0123456789\r\n0\r\nx-after: 1\r\n\r\nrest";

#[test]
fn chunks_are_put_together() {
    let read = read(Framing::Chunked, [CHUNKS]).unwrap();
    assert_eq!(read, (b"abcd0123456789".to_vec(), Some(4)));
}

#[test]
fn a_length_ends_a_body_and_a_close_one_that_has_none() {
    let of_length = read(Framing::Length(3), [&b"abcd"[..]]).unwrap();
    assert_eq!(of_length, (b"abc".to_vec(), Some(1)));
    assert_eq!(read(Framing::Length(0), [&b""[..]]).unwrap().1, Some(0));
    let mut body = Body::new(Framing::UntilClose);
    assert_eq!(
        body.feed(b"ab", &mut |_| Enough::NotYet).unwrap(),
        Progress::Open
    );
    assert!(body.close());
    for framing in [Framing::Length(3), Framing::Chunked] {
        let mut body = Body::new(framing);
        let _ = body.feed(b"2\r\n", &mut |_| Enough::NotYet);
        assert!(framing == Framing::Length(3) || !body.close());
    }
    assert!(!Body::new(Framing::Length(1)).close());
}

#[test]
fn whoever_has_had_enough_gets_no_more() {
    let mut seen = 0;
    let progress = Body::new(Framing::Chunked).feed(CHUNKS, &mut |bytes| {
        seen += bytes.len();
        Enough::Yes
    });
    assert_eq!((progress.unwrap(), seen), (Progress::Enough, 4));
}

#[test]
fn what_are_no_chunks_is_an_error() {
    let long = format!("{}\r\n", "1;".repeat(LONGEST_LINE));
    let fields = format!("0\r\n{}", "x: 1\r\n".repeat(LONGEST_LINE));
    for wrong in [
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "+1\r\n",
        "1\n",
        "1\r\nab\r\n",
        "ffffffffffffffff\r\n",
        " 1\r\n",
        &long,
        &fields,
    ] {
        let read = read(Framing::Chunked, [wrong.as_bytes()]);
        assert!(read.is_err(), "{}", &wrong[..wrong.len().min(40)]);
    }
}

proptest! {
    #[test]
    fn it_does_not_matter_where_the_network_cuts(cuts in prop::collection::vec(0..CHUNKS.len(), 0..8)) {
        let mut cuts = cuts;
        cuts.extend([0, CHUNKS.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &CHUNKS[cut[0]..cut[1]]);
        let (content, left) = read(Framing::Chunked, pieces).unwrap();
        prop_assert_eq!((content.as_slice(), left), (&b"abcd0123456789"[..], Some(4)));
    }

    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, text in "[0-9a-f\r\n;]{0,40}", length: u64) {
        for framing in [Framing::Chunked, Framing::Length(length), Framing::UntilClose] {
            let _ = read(framing, [bytes.as_slice(), text.as_bytes()]);
        }
    }
}
