//! What happened, line by line, as a person reads it.

pub mod log;

use std::collections::VecDeque;
use std::path::Path;

use parking_lot::Mutex;
use tokio::time::Instant;

/// More lines than this are not kept; the oldest go first.
const LINES_KEPT: usize = 400_000;
/// The parameters of 64-bit FNV-1a, for the digest of all lines.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What happened, with the simulated time of each line.
#[derive(Debug)]
pub struct Story {
    began: Instant,
    folder: String,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    lines: VecDeque<String>,
    digest: u64,
    count: u64,
}

impl Story {
    /// An empty one that begins now. The folder of the state has another name in each run, and is told as `/state`.
    pub fn begin(folder: &Path) -> Self {
        Self {
            folder: folder.display().to_string(),
            began: Instant::now(),
            told: Mutex::new(Told {
                lines: VecDeque::new(),
                digest: FNV_BASIS,
                count: 0,
            }),
        }
    }

    /// Tells a line: `about` is a host, `controller`, `forge`, ….
    pub fn tell(&self, about: &str, what: &str) {
        let what = what.replace(&self.folder, "/state");
        let line = format!("{} {about}: {what}", self.time());
        let mut told = self.told.lock();
        for byte in line.bytes() {
            told.digest = (told.digest ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
        told.count += 1;
        if told.lines.len() == LINES_KEPT {
            told.lines.pop_front();
        }
        told.lines.push_back(line);
    }

    /// The simulated time, as `day 1 02:03:04.567`.
    fn time(&self) -> String {
        let elapsed = self.began.elapsed();
        let seconds = elapsed.as_secs();
        let (day, hour) = (1 + seconds / 86_400, seconds / 3600 % 24);
        let (minute, second) = (seconds / 60 % 60, seconds % 60);
        let milliseconds = elapsed.subsec_millis();
        format!("day {day} {hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
    }

    /// A number that stands for every line that was ever told, and how many there were.
    pub fn digest(&self) -> (u64, u64) {
        let told = self.told.lock();
        (told.digest, told.count)
    }

    /// Every line that is kept.
    pub fn text(&self) -> String {
        self.about(None, usize::MAX)
    }

    /// The last lines about something and about what is everybody's, or about everything.
    pub fn about(&self, what: Option<&str>, at_most: usize) -> String {
        let told = self.told.lock();
        let concerns = |line: &&String| {
            let Some(what) = what else { return true };
            line.contains(what)
                || ["controller: ", "forge: ", "broken: "]
                    .iter()
                    .any(|all| line.contains(all))
        };
        let mut lines: Vec<&String> = told
            .lines
            .iter()
            .rev()
            .filter(concerns)
            .take(at_most)
            .collect();
        lines.reverse();
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}
