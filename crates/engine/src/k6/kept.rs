//! The module's lines in a log that was kept: by k6 itself, or by what keeps the output of
//! containers. That puts a pod's name, a time or a stream before each line, or packs it into JSON,
//! and cuts lines at 16 KiB, which the first line of a run may be longer than.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::line::{MARK, payload};

/// Container runtimes hand a longer line on in pieces of this many bytes.
const PIECE_BYTES: usize = 16 << 10;
/// A line is not put together beyond this many bytes.
const LONGEST_BYTES: usize = 64 << 20;

/// The module's lines of a log, each with the number, from 1, of the line on which it begins.
pub(super) struct ModuleLines<R> {
    reader: R,
    lines_read: usize,
    /// A line of which more pieces may come.
    begun: Option<Begun>,
    ready: VecDeque<(usize, String)>,
}

struct Begun {
    number: usize,
    text: String,
    /// The log says that more comes; else its length lets one think so.
    is_said: bool,
}

/// Opens a log.
pub(super) fn module_lines(path: &Path) -> io::Result<ModuleLines<BufReader<File>>> {
    let reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    Ok(ModuleLines::new(reader))
}

impl<R: BufRead> ModuleLines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            lines_read: 0,
            begun: None,
            ready: VecDeque::new(),
        }
    }

    /// Lines of the log that have been read, those of others included.
    pub(super) fn lines_read(&self) -> usize {
        self.lines_read
    }

    /// A line as the log has it; none at the end. The last line of a log that a kill cut off says
    /// only a part of what happened.
    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        self.lines_read += 1;
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    fn take(&mut self, piece: &Piece<'_>) {
        let (number, text) = match self.begun.take() {
            Some(begun) if begun.is_said || payload(&piece.text).is_none() => {
                (begun.number, begun.text + &piece.text)
            }
            begun => {
                self.finish(begun);
                (self.lines_read, piece.text.to_string())
            }
        };
        let may_go_on = piece.goes_on || piece.text.len() == PIECE_BYTES;
        let line = Some(Begun {
            number,
            is_said: piece.goes_on,
            text,
        });
        match line {
            Some(line) if may_go_on && line.may_be_the_modules() => self.begun = Some(line),
            line => self.finish(line),
        }
    }

    fn finish(&mut self, line: Option<Begun>) {
        if let Some(Begun { number, text, .. }) = line
            && let Some(payload) = payload(&text)
        {
            self.ready.push_back((number, payload.into_owned()));
        }
    }
}

impl Begun {
    fn may_be_the_modules(&self) -> bool {
        self.text.len() < LONGEST_BYTES && self.text.contains(MARK)
    }
}

impl<R: BufRead> Iterator for ModuleLines<R> {
    type Item = io::Result<(usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            match self.line() {
                Ok(Some(line)) => self.take(&Piece::of(&line)),
                Ok(None) => {
                    let begun = self.begun.take();
                    self.finish(begun);
                    return self.ready.pop_front().map(Ok);
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// What the program that ran in the container wrote, of a line of its log.
struct Piece<'l> {
    text: Cow<'l, str>,
    /// The log says that the line goes on in the next piece.
    goes_on: bool,
}

impl<'l> Piece<'l> {
    fn of(line: &'l str) -> Self {
        let line = line.trim_end_matches('\r');
        if line.starts_with(MARK) {
            return Self {
                text: Cow::Borrowed(line),
                goes_on: false,
            };
        }
        match without_colours(line) {
            Cow::Borrowed(line) => Self::without_prefixes(line),
            Cow::Owned(line) => {
                let piece = Self::without_prefixes(&line);
                Self {
                    text: Cow::Owned(piece.text.into_owned()),
                    goes_on: piece.goes_on,
                }
            }
        }
    }

    /// Without what `kubectl logs --prefix --timestamps`, `docker compose logs`, `docker logs
    /// --timestamps` and the files of container runtimes have before the text.
    fn without_prefixes(line: &str) -> Piece<'_> {
        let mut text = line;
        let mut goes_on = false;
        while let Some((prefix, rest)) = text.split_once(' ') {
            match prefix {
                // The Container Runtime Interface's: a time, a stream, F or P, the text.
                "stdout" | "stderr" => {
                    let Some((tags, rest)) = rest.split_once(' ') else {
                        break;
                    };
                    goes_on = tags.split(':').next() == Some("P");
                    text = rest;
                    break;
                }
                _ if is_pod(prefix) || is_time(prefix) => text = rest,
                _ => match rest.trim_start().strip_prefix("| ") {
                    Some(rest) => text = rest,
                    None => break,
                },
            }
        }
        if text.starts_with("{\"log\":") {
            // Docker's json-file driver: the line's end is in the text.
            #[derive(Deserialize)]
            struct Logged {
                log: String,
            }
            if let Ok(Logged { log }) = serde_json::from_str(text) {
                let whole = log.trim_end_matches(['\r', '\n']);
                return Piece {
                    goes_on: whole.len() == log.len(),
                    text: Cow::Owned(whole.to_owned()),
                };
            }
        }
        Piece {
            text: Cow::Borrowed(text),
            goes_on,
        }
    }
}

/// `[pod/NAME/CONTAINER]`.
fn is_pod(prefix: &str) -> bool {
    prefix.starts_with("[pod/") && prefix.ends_with(']')
}

/// A time of RFC 3339, such as `2026-11-25T02:31:00.1Z`.
fn is_time(prefix: &str) -> bool {
    let form = "0000-00-00T00:00:00";
    let same = |(is, wanted): (u8, u8)| match wanted {
        b'0' => is.is_ascii_digit(),
        wanted => is == wanted,
    };
    prefix.len() > form.len() && prefix.bytes().zip(form.bytes()).all(same)
}

/// Without the colours of a terminal (ECMA-48's SGR sequences).
fn without_colours(line: &str) -> Cow<'_, str> {
    if !line.contains("\x1b[") {
        return Cow::Borrowed(line);
    }
    let mut parts = line.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &str) -> Vec<(usize, String)> {
        ModuleLines::new(log.as_bytes())
            .map(|line| line.unwrap())
            .collect()
    }

    fn texts(log: &str) -> Vec<String> {
        lines(log).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn what_keeps_logs_puts_before_a_line_is_taken_off() {
        for log in [
            "lg1 i 7\n",
            "lg1 i 7\r\n",
            "2026-11-25T02:31:00.123456789Z lg1 i 7\n",
            "2026-11-25T02:31:00+01:00 lg1 i 7\n",
            "[pod/k6-x2x/k6] lg1 i 7\n",
            "[pod/k6-x2x/k6] 2026-11-25T02:31:00.1Z lg1 i 7\n",
            "2026-11-25T02:31:00.1Z stderr F lg1 i 7\n",
            "k6-1  | lg1 i 7\n",
            "\x1b[36mk6-1  | \x1b[0mlg1 i 7\n",
            "k6-1  | 2026-11-25T02:31:00.1Z lg1 i 7\n",
            "{\"log\":\"lg1 i 7\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-25T02:31:00.1Z\"}\n",
            "INFO[0003] lg1 i 7                                      source=console\n",
            "\x1b[36mINFO\x1b[0m[0003] lg1 i 7                       \x1b[36msource\x1b[0m=console\n",
            "[pod/k6/k6] time=\"x\" level=info msg=\"lg1 i 7\" source=console\n",
            "2026-11-25T02:31:00.1Z {\"level\":\"info\",\"msg\":\"lg1 i 7\",\"source\":\"console\"}\n",
        ] {
            assert_eq!(texts(log), ["lg1 i 7"], "{log}");
        }
    }

    #[test]
    fn lines_of_others_are_passed_over() {
        let log = "\nhello\n[x] lg1 i 7\nk6 lg1 i 7\nlg1 i 8\nWARN[0003] lg1 | x\n{\"log\":3}\n";
        assert_eq!(lines(log), [(5, "lg1 i 8".to_owned())]);
    }

    /// A first line, which is longer than a piece, and one behind it.
    fn long() -> [String; 2] {
        let plan = "a plan, ".repeat(5000);
        [
            format!("lg1 run {{\"plan\":\"{plan}\"}}"),
            "lg1 zero 1".into(),
        ]
    }

    /// Each line cut into pieces.
    fn cut(lines: &[String]) -> impl Iterator<Item = (String, bool)> {
        lines.iter().flat_map(|line| {
            let pieces: Vec<&[u8]> = line.as_bytes().chunks(PIECE_BYTES).collect();
            let last = pieces.len() - 1;
            let text = |piece| String::from_utf8_lossy(piece).into_owned();
            let pieces = pieces.into_iter().enumerate();
            let pieces = pieces.map(move |(index, piece)| (text(piece), index < last));
            pieces.collect::<Vec<_>>()
        })
    }

    #[test]
    fn pieces_are_put_together() {
        let long = long();
        let cri = |(text, more)| {
            let tag = if more { "P" } else { "F" };
            format!("2026-11-25T02:31:00.1Z stderr {tag} {text}\n")
        };
        let docker = |(text, more)| {
            let end = if more { "" } else { "\n" };
            format!(
                "{}\n",
                serde_json::json!({"log": format!("{text}{end}"), "stream": "stderr"})
            )
        };
        let bare = |(text, _)| format!("{text}\n");
        let prefixed = |(text, _)| format!("[pod/k6/k6] {text}\n");
        for log in [
            cut(&long).map(cri).collect::<String>(),
            cut(&long).map(docker).collect(),
            cut(&long).map(bare).collect(),
            cut(&long).map(prefixed).collect(),
        ] {
            assert_eq!(texts(&log), long, "{}", &log[..80]);
        }
    }

    #[test]
    fn a_line_of_just_one_piece_is_whole() {
        let line = format!("lg1 b {}", "x".repeat(PIECE_BYTES - 6));
        let log = format!("{line}\nlg1 i 7\n{line}\n");
        assert_eq!(texts(&log), [line.clone(), "lg1 i 7".into(), line]);
    }

    #[test]
    fn the_line_that_a_kill_cut_off_is_left_out() {
        assert_eq!(texts("lg1 i 7\nlg1 i 8"), ["lg1 i 7"]);
    }
}
