//! The toxics that one direction of one connection goes through, one after the other: pure, on
//! moments that are handed in.

mod line;
mod stage;

use std::collections::VecDeque;

use tokio::time::Instant;

pub(crate) use line::{Cut, Piece};
use stage::Stage;

use crate::toxic::Toxic;

#[derive(Debug)]
struct Place {
    toxic: String,
    /// None: by its toxicity, the toxic spares this connection.
    stage: Option<Stage>,
}

/// Takes pieces at one end and gives them out at the other, in the same order.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    places: Vec<Place>,
    /// What has passed all toxics.
    passed: VecDeque<Piece>,
}

impl Pipeline {
    pub(crate) fn new<'a>(toxics: impl Iterator<Item = &'a Toxic>, now: Instant) -> Self {
        let mut pipeline = Self::default();
        toxics.for_each(|toxic| pipeline.add(toxic, now));
        pipeline
    }

    /// Whether it takes more. If not, the sender has to wait.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_from(0)
    }

    pub(crate) fn push(&mut self, piece: Piece, now: Instant) {
        self.push_to(0, piece, now);
    }

    /// The next piece that has passed everything.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Piece> {
        while self.advance(now) {}
        self.passed.pop_front()
    }

    /// When something happens next, provided that everything has been popped that there was.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        let stages = self.places.iter().filter_map(|place| place.stage.as_ref());
        // What was due before waits for room, which what is due later makes.
        stages
            .filter_map(Stage::next_due)
            .filter(|due| *due > now)
            .min()
    }

    /// Adds a toxic at the end.
    pub(crate) fn add(&mut self, toxic: &Toxic, now: Instant) {
        self.places.push(Place {
            toxic: toxic.name.clone(),
            stage: toxic.hits().then(|| Stage::new(toxic.kind.clone(), now)),
        });
    }

    /// Goes on with what a toxic is now, and draws anew whether it spares this connection.
    pub(crate) fn update(&mut self, toxic: &Toxic, now: Instant) {
        let Some(at) = self.find(&toxic.name) else {
            return;
        };
        let hits = toxic.hits();
        match (self.places[at].stage.take(), hits) {
            (Some(mut stage), true) => {
                stage.update(toxic.kind.clone(), now);
                self.places[at].stage = Some(stage);
            }
            (Some(stage), false) => self.release(stage, at + 1, now),
            (None, true) => self.places[at].stage = Some(Stage::new(toxic.kind.clone(), now)),
            (None, false) => {}
        }
    }

    /// Takes a toxic away; what it holds goes on.
    pub(crate) fn remove(&mut self, toxic: &str, now: Instant) {
        if let Some(at) = self.find(toxic)
            && let Some(stage) = self.places.remove(at).stage
        {
            self.release(stage, at, now);
        }
    }

    fn find(&self, toxic: &str) -> Option<usize> {
        self.places.iter().position(|place| place.toxic == toxic)
    }

    fn release(&mut self, stage: Stage, to: usize, now: Instant) {
        for piece in stage.release() {
            self.push_to(to, piece, now);
        }
    }

    fn has_room_from(&self, at: usize) -> bool {
        let mut stages = self.places[at..]
            .iter()
            .filter_map(|place| place.stage.as_ref());
        stages
            .next()
            .map_or(self.passed.is_empty(), Stage::has_room)
    }

    fn push_to(&mut self, at: usize, piece: Piece, now: Instant) {
        let mut stages = self.places[at..]
            .iter_mut()
            .filter_map(|place| place.stage.as_mut());
        match stages.next() {
            Some(stage) => stage.push(piece, now),
            None => self.passed.push_back(piece),
        }
    }

    /// Moves what is due and has room before it; says whether anything moved.
    fn advance(&mut self, now: Instant) -> bool {
        let mut has_moved = false;
        for at in (0..self.places.len()).rev() {
            while self.has_room_from(at + 1)
                && let Some(stage) = &mut self.places[at].stage
                && let Some(piece) = stage.take(now)
            {
                self.push_to(at + 1, piece, now);
                has_moved = true;
            }
        }
        has_moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toxic::{Bandwidth, Kind, Latency, LimitData, Slicer, SlowClose, Stream, Timeout};
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::time::Duration;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn data(bytes: &[u8]) -> Piece {
        Piece::Data(Bytes::copy_from_slice(bytes))
    }

    fn toxic(name: &str, kind: Kind) -> Toxic {
        Toxic {
            name: name.to_owned(),
            kind,
            stream: Stream::Upstream,
            toxicity: 1.0,
        }
    }

    fn latency(name: &str, latency: u64) -> Toxic {
        let jitter = 0;
        toxic(name, Kind::Latency(Latency { latency, jitter }))
    }

    fn bandwidth(rate: u64) -> Toxic {
        toxic("rate", Kind::Bandwidth(Bandwidth { rate }))
    }

    /// Goes from due to due as the relay does; what comes out, with its ms.
    fn run(pipeline: &mut Pipeline, begin: Instant, from: u64) -> Vec<(u128, Piece)> {
        let mut out = Vec::new();
        let mut now = begin + ms(from);
        loop {
            while let Some(piece) = pipeline.pop(now) {
                out.push(((now - begin).as_millis(), piece));
            }
            match pipeline.next_due(now) {
                Some(due) => now = due,
                None => return out,
            }
        }
    }

    #[test]
    fn without_toxics_everything_passes_at_once_and_one_piece_at_a_time() {
        let now = Instant::now();
        let mut pipeline = Pipeline::default();
        assert!(pipeline.has_room());
        pipeline.push(data(b"a"), now);
        assert!(!pipeline.has_room());
        assert_eq!(pipeline.pop(now), Some(data(b"a")));
        pipeline.push(Piece::End, now);
        assert_eq!(pipeline.pop(now), Some(Piece::End));
        assert_eq!(pipeline.pop(now), None);
    }

    #[test]
    fn toxics_act_one_after_the_other() {
        let begin = Instant::now();
        let toxics = [latency("a", 100), latency("b", 50), bandwidth(1)];
        let mut pipeline = Pipeline::new(toxics.iter(), begin);
        pipeline.push(data(&[0; 20]), begin);
        pipeline.push(Piece::End, begin);
        assert_eq!(
            run(&mut pipeline, begin, 0),
            [(170, data(&[0; 20])), (170, Piece::End)]
        );
    }

    #[test]
    fn a_full_stage_holds_up_the_ones_before_it_and_nothing_is_lost() {
        let begin = Instant::now();
        let toxics = [latency("a", 10), bandwidth(1)];
        let mut pipeline = Pipeline::new(toxics.iter(), begin);
        for _ in 0..10 {
            pipeline.push(data(&[0; 10_000]), begin);
        }
        pipeline.push(Piece::End, begin);
        let out = run(&mut pipeline, begin, 0);
        assert_eq!(out.last(), Some(&(100_010, Piece::End)));
    }

    #[test]
    fn changes_act_on_what_is_on_its_way() {
        let begin = Instant::now();
        let mut pipeline = Pipeline::new([latency("a", 60_000)].iter(), begin);
        pipeline.push(data(b"1"), begin);
        pipeline.add(&latency("b", 100), begin + ms(10));
        assert_eq!(pipeline.pop(begin + ms(20)), None);
        pipeline.remove("a", begin + ms(30));
        assert_eq!(pipeline.next_due(begin + ms(30)), Some(begin + ms(130)));
        pipeline.update(&latency("b", 70), begin + ms(40));
        assert_eq!(run(&mut pipeline, begin, 40), [(100, data(b"1"))]);
        pipeline.remove("not there", begin);
        pipeline.update(&latency("not there", 1), begin);
    }

    #[test]
    fn a_toxic_that_spares_the_connection_does_nothing_until_it_is_drawn_anew() {
        let begin = Instant::now();
        let spared = Toxic {
            toxicity: 0.0,
            ..latency("a", 100)
        };
        let mut pipeline = Pipeline::new([spared.clone()].iter(), begin);
        pipeline.push(data(b"1"), begin);
        assert_eq!(pipeline.pop(begin), Some(data(b"1")));
        pipeline.update(&latency("a", 100), begin);
        pipeline.push(data(b"2"), begin);
        assert_eq!(pipeline.pop(begin), None);
        pipeline.update(&spared, begin);
        assert_eq!(pipeline.pop(begin), Some(data(b"2")));
        pipeline.remove("a", begin);
        pipeline.push(data(b"3"), begin);
        assert_eq!(pipeline.pop(begin), Some(data(b"3")));
    }

    #[test]
    fn a_cut_comes_after_the_data_before_it_and_passes_later_toxics_as_an_end_does() {
        let begin = Instant::now();
        let toxics = [
            toxic("limit", Kind::LimitData(LimitData { bytes: 2 })),
            latency("late", 50),
            toxic("slow", Kind::SlowClose(SlowClose { delay: 100 })),
        ];
        let mut pipeline = Pipeline::new(toxics.iter(), begin);
        pipeline.push(data(b"123"), begin);
        let expected = [(50, data(b"12")), (150, Piece::Cut(Cut::Close))];
        assert_eq!(run(&mut pipeline, begin, 0), expected);
    }

    #[test]
    fn a_timeout_that_is_taken_away_cuts() {
        let begin = Instant::now();
        let swallow = toxic("t", Kind::Timeout(Timeout { timeout: 0 }));
        let mut pipeline = Pipeline::new([swallow].iter(), begin);
        pipeline.push(data(b"123"), begin);
        assert_eq!(pipeline.pop(begin), None);
        assert_eq!(pipeline.next_due(begin), None);
        assert!(pipeline.has_room());
        pipeline.remove("t", begin);
        assert_eq!(pipeline.pop(begin), Some(Piece::Cut(Cut::Close)));
    }

    /// Any toxic that loses nothing.
    fn harmless() -> impl Strategy<Value = Kind> {
        prop_oneof![
            (0..500_u64, 0..100_u64)
                .prop_map(|(latency, jitter)| Kind::Latency(Latency { latency, jitter })),
            (0..50_u64).prop_map(|rate| Kind::Bandwidth(Bandwidth { rate })),
            (0..500_u64).prop_map(|delay| Kind::SlowClose(SlowClose { delay })),
            (1..50_u64, 0..60_u64, 0..5_000_u64).prop_map(
                |(average_size, size_variation, delay)| {
                    Kind::Slicer(Slicer {
                        average_size,
                        size_variation,
                        delay,
                    })
                }
            ),
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Wait(u64),
        Add(Kind, f64),
        Update(usize, Kind, f64),
        Remove(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let toxicity = || prop_oneof![Just(0.0), Just(1.0)];
        prop_oneof![
            4 => (1..20_000_usize).prop_map(Step::Push),
            4 => (0..300_u64).prop_map(Step::Wait),
            1 => (harmless(), toxicity()).prop_map(|(kind, share)| Step::Add(kind, share)),
            1 => (0..8_usize, harmless(), toxicity())
                .prop_map(|(at, kind, share)| Step::Update(at, kind, share)),
            1 => (0..8_usize).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_overtakes_another_whatever_changes(steps in prop::collection::vec(step(), 0..40)) {
            let mut now = Instant::now();
            let mut pipeline = Pipeline::default();
            let mut toxics: Vec<Toxic> = Vec::new();
            let (mut sent, mut got) = (Vec::new(), Vec::new());
            let receive = |piece, got: &mut Vec<u8>| match piece {
                Piece::Data(data) => got.extend_from_slice(&data),
                other => panic!("{other:?} came before the end"),
            };
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(length) if pipeline.has_room() => {
                        let from = sent.len();
                        sent.extend((from..from + length).map(|n| (n % 251) as u8));
                        pipeline.push(data(&sent[from..]), now);
                    }
                    Step::Push(_) => {}
                    Step::Wait(time) => now += ms(time),
                    Step::Add(kind, toxicity) => {
                        let new = Toxic { toxicity, ..toxic(&number.to_string(), kind) };
                        pipeline.add(&new, now);
                        toxics.push(new);
                    }
                    Step::Update(at, kind, toxicity) => {
                        let same = |t: &&mut Toxic| std::mem::discriminant(&t.kind) == std::mem::discriminant(&kind);
                        if let Some(changed) = toxics.get_mut(at).filter(same) {
                            *changed = Toxic { kind, toxicity, ..changed.clone() };
                            pipeline.update(changed, now);
                        }
                    }
                    Step::Remove(at) if at < toxics.len() => pipeline.remove(&toxics.remove(at).name, now),
                    Step::Remove(_) => {}
                }
                while let Some(piece) = pipeline.pop(now) {
                    receive(piece, &mut got);
                }
            }
            pipeline.push(Piece::End, now);
            toxics.iter().for_each(|toxic| pipeline.remove(&toxic.name, now));
            loop {
                match pipeline.pop(now) {
                    Some(Piece::End) => break,
                    Some(piece) => receive(piece, &mut got),
                    None => panic!("the end did not come"),
                }
            }
            prop_assert_eq!(pipeline.pop(now), None);
            prop_assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        }
    }
}
