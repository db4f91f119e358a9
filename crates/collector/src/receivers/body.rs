//! Bodies of requests, as they arrive: bounded in bytes, in time, and in how long they keep others
//! waiting.

use super::admission::Budget;
use crate::topology::Refusal;
use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, interval_at};
use tonic::Status;

/// A body that takes longer than this holds memory for nothing.
const LONGEST: Duration = Duration::from_secs(30);
/// A body that has taken longer than this, and comes more slowly than [`LEAST_RATE`], makes room as
/// soon as another request waits for it.
const GRACE: Duration = Duration::from_secs(1);
/// In bytes a second.
const LEAST_RATE: f64 = 65_536.0;
/// How often a body that does not come is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Why a body was not taken in whole.
pub(super) enum Incomplete {
    /// It has more bytes than may be.
    TooLarge,
    /// It came slowly, and another request waited for its room.
    Slow,
    /// It has not arrived in time.
    Late,
    /// The connection broke, so that no answer will reach the client.
    Broken,
}

impl Incomplete {
    /// What the client is told, where one body may have `limit` bytes.
    pub(super) fn status(&self, limit: usize) -> Status {
        match self {
            Self::TooLarge => Refusal::TooLarge(limit).status(),
            Self::Slow => Refusal::Overloaded.status(),
            Self::Late | Self::Broken => {
                Status::deadline_exceeded("the request body did not arrive in time")
            }
        }
    }
}

/// Reads a body of at most `limit` bytes, in the pieces in which it comes.
///
/// # Errors
/// [`Incomplete`].
pub(super) async fn read<B>(
    body: B,
    limit: usize,
    budget: &Budget,
) -> Result<Vec<Bytes>, Incomplete>
where
    B: Body<Data = Bytes>,
{
    let began = Instant::now();
    let mut look = interval_at(began + LOOK, LOOK);
    let mut body = pin!(body);
    let mut pieces = Vec::new();
    let mut received = 0;
    loop {
        let frame = tokio::select! {
            // Nothing is looked at while a body comes, and no timer is set for one that is there.
            biased;
            frame = body.frame() => frame,
            _ = look.tick() => {
                let taken = began.elapsed();
                if taken > LONGEST {
                    return Err(Incomplete::Late);
                }
                if is_slow(received, taken) && budget.is_wanted() {
                    return Err(Incomplete::Slow);
                }
                continue;
            }
        };
        let Some(frame) = frame else {
            return Ok(pieces);
        };
        let frame = frame.map_err(|_| Incomplete::Broken)?;
        if let Ok(piece) = frame.into_data() {
            received += piece.len();
            pieces.push(piece);
        }
        if received > limit {
            return Err(Incomplete::TooLarge);
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a rate, and bodies have some MB"
)]
fn is_slow(received: usize, taken: Duration) -> bool {
    taken > GRACE && (received as f64) < LEAST_RATE * taken.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    /// A body of a piece of so many bytes each 500 ms, without end.
    fn drops_of(bytes: usize) -> impl Body<Data = Bytes, Error = Infallible> {
        let pieces = futures::stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(Frame::data(Bytes::from(vec![0; bytes])))
        });
        StreamBody::new(pieces)
    }

    async fn read_beside(
        bytes: usize,
        somebody_waits: bool,
    ) -> (Result<Vec<Bytes>, Incomplete>, Duration) {
        let budget = Budget::new(1, 1, Duration::from_secs(600));
        let _share = budget.reserve().await;
        let began = Instant::now();
        let waits = async {
            if somebody_waits {
                let _ = budget.reserve().await;
            }
            std::future::pending::<()>().await;
        };
        let read = tokio::select! {
            read = read(drops_of(bytes), 1 << 20, &budget) => read,
            () = waits => unreachable!("it waits for ever"),
        };
        (read, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_makes_room_when_another_request_waits() {
        let (read, taken) = read_beside(1, true).await;
        assert!(matches!(read, Err(Incomplete::Slow)));
        assert!(taken < Duration::from_millis(1_200), "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_has_its_time_while_nobody_waits() {
        let (read, taken) = read_beside(1, false).await;
        assert!(matches!(read, Err(Incomplete::Late)));
        assert!(taken >= LONGEST, "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_keeps_its_room() {
        let (read, _) = read_beside(64_000, true).await;
        assert!(matches!(read, Err(Incomplete::TooLarge)));
    }
}
