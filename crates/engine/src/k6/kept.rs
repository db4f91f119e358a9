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
/// What the line with k6's counts begins with.
const LAST: &[u8] = b"lg1 end {";
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
    /// A piece may end within a letter.
    text: Vec<u8>,
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
    /// only a part of what happened; that with k6's counts says all if it has its end.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if !(memchr::memmem::find(&line, LAST).is_some() && line.ends_with(b"}")) {
            return Ok(None);
        }
        if self.lines_read == 0 && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(.."\u{feff}".len());
        }
        self.lines_read += 1;
        Ok(Some(line))
    }

    fn take(&mut self, piece: Piece) {
        let may_go_on = piece.goes_on || piece.text.len() == PIECE_BYTES;
        let is_a_line = || payload(&String::from_utf8_lossy(&piece.text)).is_some();
        let (number, text) = match self.begun.take() {
            Some(mut begun) if begun.is_said || !is_a_line() => {
                begun.text.extend_from_slice(&piece.text);
                (begun.number, begun.text)
            }
            begun => {
                self.finish(begun);
                (self.lines_read, piece.text)
            }
        };
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
            && let Some(payload) = payload(&String::from_utf8_lossy(&text))
        {
            self.ready.push_back((number, payload.into_owned()));
        }
    }
}

impl Begun {
    fn may_be_the_modules(&self) -> bool {
        self.text.len() < LONGEST_BYTES
            && memchr::memmem::find(&self.text, MARK.as_bytes()).is_some()
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
                Ok(Some(line)) => self.take(Piece::of(&line)),
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
struct Piece {
    text: Vec<u8>,
    /// The log says that the line goes on in the next piece.
    goes_on: bool,
}

/// The same as text.
struct Unprefixed<'l> {
    text: Cow<'l, str>,
    goes_on: bool,
}

impl Piece {
    fn of(line: &[u8]) -> Self {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(MARK.as_bytes()) {
            return Self {
                text: line.to_vec(),
                goes_on: false,
            };
        }
        let text = String::from_utf8_lossy(line);
        if text.contains('\x1b') {
            // Colours, and how k6 moves its progress on a terminal.
            let plain = anstream::adapter::strip_str(&text).to_string();
            let plain = plain.replace('\r', "");
            let Unprefixed { text, goes_on } = Unprefixed::of(&plain);
            return Self {
                text: text.into_owned().into_bytes(),
                goes_on,
            };
        }
        let Unprefixed {
            text: rest,
            goes_on,
        } = Unprefixed::of(&text);
        let text = match rest {
            // What is before it has the same length as text and in the line.
            Cow::Borrowed(rest) => line[text.len() - rest.len()..].to_vec(),
            Cow::Owned(rest) => rest.into_bytes(),
        };
        Self { text, goes_on }
    }
}

impl<'l> Unprefixed<'l> {
    /// Without what `kubectl logs --prefix --timestamps`, `docker compose logs`, `docker logs
    /// --timestamps` and the files of container runtimes have before the text.
    fn of(line: &'l str) -> Self {
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
                return Self {
                    goes_on: whole.len() == log.len(),
                    text: Cow::Owned(whole.to_owned()),
                };
            }
        }
        Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: impl AsRef<[u8]>) -> Vec<(usize, String)> {
        ModuleLines::new(log.as_ref())
            .map(|line| line.unwrap())
            .collect()
    }

    fn texts(log: impl AsRef<[u8]>) -> Vec<String> {
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
            "\x1b[36mINFO\x1b[0m[0003] lg1 i 7         \x1b[36msource\x1b[0m=console\x1b[0K\r\n",
            "\r\x1b[J\x1b[4A\x1b[36mINFO\x1b[0m[0003] lg1 i 7   \x1b[36msource\x1b[0m=console\x1b[0K\r\n",
            "\u{feff}lg1 i 7\n",
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
        let plan = "a plan, 界界 ".repeat(5000);
        [
            format!("lg1 run {{\"plan\":\"{plan}\"}}"),
            "lg1 zero 1".into(),
        ]
    }

    /// Each line cut into pieces.
    fn cut(lines: &[String]) -> impl Iterator<Item = (Vec<u8>, bool)> {
        lines.iter().flat_map(|line| {
            let pieces: Vec<&[u8]> = line.as_bytes().chunks(PIECE_BYTES).collect();
            let last = pieces.len() - 1;
            let pieces = pieces.into_iter().enumerate();
            let pieces = pieces.map(move |(index, piece)| (piece.to_vec(), index < last));
            pieces.collect::<Vec<_>>()
        })
    }

    #[test]
    fn pieces_are_put_together() {
        let long = long();
        type Cut = (Vec<u8>, bool);
        let prefixed = |prefix: &str, text: Vec<u8>| [prefix.as_bytes(), &text, b"\n"].concat();
        let cri = |(text, more): Cut| {
            let tag = if more { "P" } else { "F" };
            prefixed(&format!("2026-11-25T02:31:00.1Z stderr {tag} "), text)
        };
        let bare = |(text, _): Cut| prefixed("", text);
        let of_kubectl = |(text, _): Cut| prefixed("[pod/k6/k6] ", text);
        for log in [
            cut(&long).flat_map(cri).collect::<Vec<u8>>(),
            cut(&long).flat_map(bare).collect(),
            cut(&long).flat_map(of_kubectl).collect(),
        ] {
            assert_eq!(texts(&log), long);
        }
        // Docker packs text, and letters that it cuts are lost.
        let long = long.map(|line| line.replace('界', "x"));
        let docker = |(text, more): Cut| {
            let end = if more { "" } else { "\n" };
            let log = String::from_utf8(text).expect("whole letters") + end;
            format!("{}\n", serde_json::json!({"log": log, "stream": "stderr"})).into_bytes()
        };
        assert_eq!(
            texts(cut(&long).flat_map(docker).collect::<Vec<u8>>()),
            long
        );
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
        let end = "lg1 end {\"scenarios\":{}}";
        assert_eq!(texts(format!("lg1 i 7\n{end}")), ["lg1 i 7", end]);
        assert_eq!(texts("lg1 i 7\nlg1 end {\"scen"), ["lg1 i 7"]);
    }
}
