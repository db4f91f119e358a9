//! One connection: from the client to the server and back, each way through its toxics.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use crate::link::{Lane, Links};
use crate::pipeline::{Cut, Piece};
use crate::toxic::Stream;

/// At most so many bytes are read at once.
const PORTION: usize = 16 << 10;

/// Connects a client to the server and passes on what both send, until both have ended or the
/// connection is cut. Dropped, it closes both.
pub(crate) async fn relay(mut client: TcpStream, upstream: Arc<str>, links: Arc<Links>) {
    // The client sees a connection that is closed at once: the proxy has no way to refuse it, as
    // it is open already.
    let Ok(mut server) = TcpStream::connect(&*upstream).await else {
        return;
    };
    for stream in [&client, &server] {
        // Not possible only on a connection that is gone, which the first read will tell.
        let _ = stream.set_nodelay(true);
    }
    let link = links.open();
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let ended = tokio::try_join!(
        pass(from_client, to_server, link.lane(Stream::Upstream)),
        pass(from_server, to_client, link.lane(Stream::Downstream)),
    );
    if let Err(Cut::Reset) = ended {
        for stream in [&client, &server] {
            let _ = stream.set_zero_linger();
        }
    }
}

/// Passes one direction on until it has ended; an error ends the other direction as well.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, lane: &Lane) -> Result<(), Cut> {
    let mut read = BytesMut::new();
    let mut has_ended = false;
    let mut writing = Bytes::new();
    loop {
        let now = Instant::now();
        let (has_room, due) = {
            let mut pipeline = lane.pipeline();
            if writing.is_empty() {
                match pipeline.pop(now) {
                    Some(Piece::Data(data)) => writing = data,
                    Some(Piece::End) => break,
                    Some(Piece::Cut(cut)) => return Err(cut),
                    None => {}
                }
            }
            (pipeline.has_room(), pipeline.next_due(now))
        };
        if read.capacity() < PORTION / 4 {
            read.reserve(PORTION);
        }
        tokio::select! {
            written = to.write(&writing), if !writing.is_empty() => {
                writing.advance(written.map_err(broken)?);
            }
            got = from.read_buf(&mut read), if has_room && !has_ended => {
                has_ended = got.map_err(broken)? == 0;
                let piece = match has_ended {
                    true => Piece::End,
                    false => Piece::Data(read.split().freeze()),
                };
                lane.pipeline().push(piece, Instant::now());
            }
            () = tokio::time::sleep_until(due.unwrap_or(now)), if due.is_some() => {}
            () = lane.changed() => {}
        }
    }
    to.shutdown().await.map_err(broken)
}

/// A side that is gone is gone for the other side, too, and in the same manner.
fn broken(_: io::Error) -> Cut {
    Cut::Reset
}
