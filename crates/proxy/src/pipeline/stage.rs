//! What one toxic does to one direction of one connection: pure, on moments that are handed in.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::line::{Cut, Line, Piece, later};
use crate::toxic::{Bandwidth, Kind, Slicer};

/// A stage that holds so many bytes takes no more, and the sender has to wait.
const ROOM: usize = 16 << 10;
/// The same for latency, which holds all that was sent within its delay.
const ROOM_OF_LATENCY: usize = 4 << 20;
/// At a limited rate, data goes on in portions of so many ms.
const PORTION_MS: u64 = 20;

/// A toxic at work.
#[derive(Debug)]
pub(crate) struct Stage {
    kind: Kind,
    line: Line,
    /// Bytes that `limit_data` let pass.
    passed: u64,
    /// Whether the connection is to end; what comes after that is of no interest.
    is_over: bool,
}

impl Stage {
    pub(crate) fn new(kind: Kind, now: Instant) -> Self {
        let mut stage = Self {
            kind,
            line: Line::default(),
            passed: 0,
            is_over: false,
        };
        stage.begin(now);
        stage
    }

    /// `timeout` counts from the beginning, also when nothing ever comes.
    fn begin(&mut self, now: Instant) {
        if let Kind::Timeout(toxic) = &self.kind
            && toxic.timeout > 0
        {
            let due = later(now, Duration::from_millis(toxic.timeout));
            self.line.add(Piece::Cut(Cut::Close), now, due);
        }
    }

    /// Whether it takes more.
    pub(crate) fn has_room(&self) -> bool {
        let room = match self.kind {
            Kind::Latency(_) => ROOM_OF_LATENCY,
            _ => ROOM,
        };
        self.line.bytes() < room
    }

    /// Takes a piece that came at this moment.
    pub(crate) fn push(&mut self, piece: Piece, arrived: Instant) {
        if self.is_over {
            return;
        }
        match (&self.kind, piece) {
            (Kind::Latency(toxic), Piece::Data(data)) => {
                let due = later(arrived, toxic.draw());
                self.line.add(Piece::Data(data), arrived, due);
            }
            (Kind::Bandwidth(toxic), Piece::Data(data)) => {
                pace(toxic, &mut self.line, data, arrived);
            }
            (Kind::Slicer(toxic), Piece::Data(data)) => {
                slice(toxic, &mut self.line, data, arrived);
            }
            (Kind::SlowClose(toxic), end @ (Piece::End | Piece::Cut(_))) => {
                let due = later(arrived, Duration::from_millis(toxic.delay));
                self.line.add(end, arrived, due);
            }
            (Kind::Timeout(_), piece) => {
                self.line.empty();
                match piece {
                    Piece::Data(_) => self.begin(arrived),
                    end => self.line.add(end, arrived, arrived),
                }
            }
            (Kind::ResetPeer(toxic), _) => {
                let due = later(arrived, Duration::from_millis(toxic.timeout));
                self.line.add(Piece::Cut(Cut::Reset), arrived, due);
                self.is_over = true;
            }
            (Kind::LimitData(toxic), Piece::Data(mut data)) => {
                let rest = toxic.bytes.saturating_sub(self.passed);
                data.truncate(usize::try_from(rest).unwrap_or(usize::MAX));
                self.passed += data.len() as u64;
                self.is_over = self.passed >= toxic.bytes;
                if !data.is_empty() {
                    self.line.add(Piece::Data(data), arrived, arrived);
                }
                if self.is_over {
                    self.line.add(Piece::Cut(Cut::Close), arrived, arrived);
                }
            }
            (_, piece) => self.line.add(piece, arrived, arrived),
        }
    }

    /// The next piece that may go on now.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Piece> {
        self.line.take(now)
    }

    /// When the next piece may go on.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.line.next_due()
    }

    /// Goes on with other attributes, also for what waits.
    pub(crate) fn update(&mut self, kind: Kind, now: Instant) {
        self.kind = kind;
        match self.kind {
            // What it let pass it has let pass.
            Kind::LimitData(_) => {}
            Kind::Timeout(_) => {
                self.line.empty();
                self.begin(now);
            }
            // A rate holds from now on, and not for the time that has passed.
            Kind::Bandwidth(_) | Kind::Slicer(_) => {
                for (piece, _) in self.line.empty() {
                    self.push(piece, now);
                }
            }
            // A delay holds from when the piece came.
            Kind::Latency(_) | Kind::SlowClose(_) | Kind::ResetPeer(_) => {
                self.is_over = false;
                for (piece, arrived) in self.line.empty() {
                    self.push(piece, arrived);
                }
            }
        }
    }

    /// What goes on at once when the toxic is taken away.
    pub(crate) fn release(mut self) -> Vec<Piece> {
        match self.kind {
            // Bytes are missing, so nobody could make sense of what would come next.
            Kind::Timeout(_) => vec![Piece::Cut(Cut::Close)],
            _ => self
                .line
                .empty()
                .into_iter()
                .map(|(piece, _)| piece)
                .collect(),
        }
    }
}

/// Each portion goes when a line of this rate would have brought all of it.
fn pace(toxic: &Bandwidth, line: &mut Line, mut data: Bytes, arrived: Instant) {
    let portion = toxic.rate.saturating_mul(PORTION_MS);
    let portion = usize::try_from(portion).unwrap_or(usize::MAX).max(1);
    while !data.is_empty() {
        let part = match toxic.rate {
            0 => std::mem::take(&mut data),
            _ => data.split_to(portion.min(data.len())),
        };
        let takes = match (part.len() as u64)
            .saturating_mul(1_000_000)
            .checked_div(toxic.rate)
        {
            Some(nanoseconds) => Duration::from_nanos(nanoseconds),
            None => Duration::MAX,
        };
        let begins = line.last_due().map_or(arrived, |last| last.max(arrived));
        line.add(Piece::Data(part), arrived, later(begins, takes));
    }
}

fn slice(toxic: &Slicer, line: &mut Line, mut data: Bytes, arrived: Instant) {
    let pause = Duration::from_micros(toxic.delay);
    while !data.is_empty() {
        let part = data.split_to(toxic.draw().min(data.len()));
        let due = line.last_due().map_or(arrived, |last| later(last, pause));
        line.add(Piece::Data(part), arrived, due.max(arrived));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toxic::{Latency, LimitData, ResetPeer, SlowClose, Timeout};
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn data(bytes: &[u8]) -> Piece {
        Piece::Data(Bytes::copy_from_slice(bytes))
    }

    fn latency(latency: u64) -> Kind {
        let jitter = 0;
        Kind::Latency(Latency { latency, jitter })
    }

    fn bandwidth(rate: u64) -> Kind {
        Kind::Bandwidth(Bandwidth { rate })
    }

    fn timeout(timeout: u64) -> Kind {
        Kind::Timeout(Timeout { timeout })
    }

    /// Everything that comes out, each with its ms since the beginning, in steps of a ms.
    fn run(
        stage: &mut Stage,
        begin: Instant,
        ms_range: std::ops::RangeInclusive<u64>,
    ) -> Vec<(u64, Piece)> {
        let mut out = Vec::new();
        for at in ms_range {
            while let Some(piece) = stage.take(begin + ms(at)) {
                out.push((at, piece));
            }
        }
        out
    }

    fn bytes(out: &[(u64, Piece)]) -> Vec<u8> {
        let mut all = Vec::new();
        for (_, piece) in out {
            if let Piece::Data(data) = piece {
                all.extend_from_slice(data);
            }
        }
        all
    }

    #[test]
    fn latency_counts_from_the_arrival_and_does_not_add_up() {
        let begin = Instant::now();
        let mut stage = Stage::new(latency(100), begin);
        for (at, text) in [(0, b"a"), (10, b"b"), (20, b"c")] {
            stage.push(data(text), begin + ms(at));
        }
        stage.push(Piece::End, begin + ms(25));
        assert_eq!(stage.next_due(), Some(begin + ms(100)));
        let out = run(&mut stage, begin, 0..=200);
        let expected = [
            (100, data(b"a")),
            (110, data(b"b")),
            (120, data(b"c")),
            (120, Piece::End),
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn latency_keeps_the_order_whatever_the_jitter() {
        let begin = Instant::now();
        let kind = Kind::Latency(Latency {
            latency: 50,
            jitter: 50,
        });
        let mut stage = Stage::new(kind, begin);
        for byte in 0..100 {
            stage.push(data(&[byte]), begin + ms(u64::from(byte)));
        }
        let out = run(&mut stage, begin, 0..=300);
        assert_eq!(bytes(&out), (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn another_latency_holds_also_for_what_waits() {
        let begin = Instant::now();
        let mut stage = Stage::new(latency(60_000), begin);
        stage.push(data(b"a"), begin);
        stage.push(data(b"b"), begin + ms(30));
        stage.update(latency(50), begin + ms(40));
        assert_eq!(
            run(&mut stage, begin, 40..=90),
            [(50, data(b"a")), (80, data(b"b"))]
        );
    }

    #[test]
    fn bandwidth_is_the_rate_whatever_the_sizes() {
        let begin = Instant::now();
        let mut stage = Stage::new(bandwidth(10), begin);
        // 10 bytes a ms: 3,000 bytes take 300 ms.
        stage.push(data(&[1; 2_500]), begin);
        stage.push(data(&[2; 100]), begin);
        stage.push(data(&[3; 400]), begin);
        stage.push(Piece::End, begin);
        let out = run(&mut stage, begin, 0..=400);
        for (at, _) in &out {
            let so_far = out.iter().take_while(|(then, _)| then <= at).cloned();
            let so_far = bytes(&so_far.collect::<Vec<_>>()).len() as u64;
            assert!(so_far <= at * 10, "{so_far} bytes at {at} ms");
        }
        assert_eq!(bytes(&out).len(), 3_000);
        assert_eq!(out.last(), Some(&(300, Piece::End)));
        // What was not used is not saved up.
        stage.push(data(&[4; 1_000]), begin + ms(1_000));
        let out = run(&mut stage, begin, 1_000..=1_200);
        assert_eq!(out.first().map(|(at, _)| *at), Some(1_020));
        assert_eq!(out.last().map(|(at, _)| *at), Some(1_100));
    }

    #[test]
    fn another_rate_holds_from_now_on() {
        let begin = Instant::now();
        let mut stage = Stage::new(bandwidth(0), begin);
        stage.push(data(&[1; 1_000]), begin);
        assert_eq!(run(&mut stage, begin, 0..=5_000), []);
        stage.update(bandwidth(10), begin + ms(5_000));
        let out = run(&mut stage, begin, 5_000..=6_000);
        assert_eq!(bytes(&out).len(), 1_000);
        assert_eq!(out.first().map(|(at, _)| *at), Some(5_020));
        assert_eq!(out.last().map(|(at, _)| *at), Some(5_100));
    }

    #[test]
    fn a_slow_line_makes_the_sender_wait() {
        let begin = Instant::now();
        let mut stage = Stage::new(bandwidth(1), begin);
        assert!(stage.has_room());
        stage.push(data(&[0; ROOM]), begin);
        assert!(!stage.has_room());
        run(&mut stage, begin, 0..=100);
        assert!(stage.has_room());
    }

    #[test]
    fn only_the_end_is_slow() {
        let begin = Instant::now();
        let mut stage = Stage::new(Kind::SlowClose(SlowClose { delay: 100 }), begin);
        stage.push(data(b"a"), begin);
        stage.push(Piece::End, begin + ms(5));
        assert_eq!(
            run(&mut stage, begin, 0..=200),
            [(0, data(b"a")), (105, Piece::End)]
        );
    }

    #[test]
    fn a_timeout_counts_from_the_last_data_or_from_the_beginning() {
        let begin = Instant::now();
        let close = Piece::Cut(Cut::Close);
        let mut stage = Stage::new(timeout(100), begin);
        assert_eq!(run(&mut stage, begin, 0..=150), [(100, close.clone())]);

        let mut stage = Stage::new(timeout(100), begin);
        stage.push(data(b"a"), begin + ms(60));
        assert_eq!(run(&mut stage, begin, 0..=200), [(160, close)]);

        let mut stage = Stage::new(timeout(100), begin);
        stage.push(Piece::End, begin + ms(60));
        assert_eq!(run(&mut stage, begin, 0..=200), [(60, Piece::End)]);
    }

    #[test]
    fn a_timeout_of_0_lasts_until_it_is_taken_away_and_closes_then() {
        let begin = Instant::now();
        let mut stage = Stage::new(timeout(0), begin);
        stage.push(data(b"a"), begin);
        assert_eq!(stage.next_due(), None);
        assert_eq!(stage.release(), [Piece::Cut(Cut::Close)]);
    }

    #[test]
    fn the_first_data_resets() {
        let begin = Instant::now();
        let mut stage = Stage::new(Kind::ResetPeer(ResetPeer { timeout: 20 }), begin);
        assert_eq!(stage.next_due(), None);
        stage.push(data(b"a"), begin + ms(10));
        stage.push(data(b"b"), begin + ms(15));
        stage.push(Piece::End, begin + ms(16));
        assert_eq!(
            run(&mut stage, begin, 0..=100),
            [(30, Piece::Cut(Cut::Reset))]
        );
    }

    #[test]
    fn a_reset_on_its_way_takes_the_new_time() {
        let begin = Instant::now();
        let mut stage = Stage::new(Kind::ResetPeer(ResetPeer { timeout: 60_000 }), begin);
        stage.push(data(b"a"), begin + ms(10));
        stage.update(Kind::ResetPeer(ResetPeer { timeout: 50 }), begin + ms(20));
        assert_eq!(
            run(&mut stage, begin, 20..=100),
            [(60, Piece::Cut(Cut::Reset))]
        );
    }

    #[test]
    fn slices_hold_all_bytes_and_come_apart_from_each_other() {
        let begin = Instant::now();
        let kind = Kind::Slicer(Slicer {
            average_size: 10,
            size_variation: 5,
            delay: 3_000,
        });
        let mut stage = Stage::new(kind, begin);
        let sent: Vec<u8> = (0..200).collect();
        stage.push(data(&sent), begin + ms(1));
        let out = run(&mut stage, begin, 0..=500);
        assert_eq!(bytes(&out), sent);
        assert_eq!(out[0].0, 1);
        for two in out.windows(2) {
            assert_eq!(two[1].0 - two[0].0, 3);
        }
        for (_, piece) in &out[..out.len() - 1] {
            assert!((5..=15).contains(&bytes(&[(0, piece.clone())]).len()));
        }
    }

    #[test]
    fn so_much_passes_and_then_the_connection_ends() {
        let begin = Instant::now();
        let limit = |bytes| Kind::LimitData(LimitData { bytes });
        let mut stage = Stage::new(limit(5), begin);
        stage.push(data(b"abc"), begin);
        assert_eq!(run(&mut stage, begin, 0..=1), [(0, data(b"abc"))]);
        stage.update(limit(6), begin);
        stage.push(data(b"defgh"), begin);
        stage.push(data(b"ijk"), begin);
        let out = run(&mut stage, begin, 0..=1);
        assert_eq!(out, [(0, data(b"def")), (0, Piece::Cut(Cut::Close))]);

        let mut stage = Stage::new(limit(0), begin);
        stage.push(data(b"abc"), begin);
        assert_eq!(run(&mut stage, begin, 0..=1), [(0, Piece::Cut(Cut::Close))]);
    }

    #[test]
    fn what_waits_goes_on_when_a_toxic_is_taken_away() {
        let begin = Instant::now();
        for kind in [
            latency(1_000),
            bandwidth(1),
            Kind::SlowClose(SlowClose { delay: 1_000 }),
        ] {
            let mut stage = Stage::new(kind, begin);
            stage.push(data(&[7; 100]), begin);
            stage.push(Piece::End, begin);
            let released = stage.release();
            assert_eq!(released.last(), Some(&Piece::End));
            let released: Vec<_> = released.into_iter().map(|piece| (0, piece)).collect();
            assert_eq!(bytes(&released), [7; 100]);
        }
    }

    proptest! {
        #[test]
        fn no_attributes_overflow(latency: u64, jitter: u64, rate: u64, delay: u64, size in 1_u64.., variation: u64) {
            let begin = Instant::now();
            for kind in [
                Kind::Latency(Latency { latency, jitter }),
                bandwidth(rate),
                timeout(delay),
                Kind::SlowClose(SlowClose { delay }),
                Kind::ResetPeer(ResetPeer { timeout: delay }),
                Kind::LimitData(LimitData { bytes: delay }),
                Kind::Slicer(Slicer { average_size: size, size_variation: variation, delay }),
            ] {
                let mut stage = Stage::new(kind.clone(), begin);
                for _ in 0..20 {
                    stage.push(data(&[0; 100]), begin);
                }
                stage.push(Piece::End, begin);
                stage.update(kind, begin);
                stage.take(begin);
                stage.release();
            }
        }
    }
}
