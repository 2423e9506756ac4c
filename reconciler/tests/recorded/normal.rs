//! What differs from run to run, replaced by a word for it; everything else is compared.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// A clock that was read by two processes may differ by its resolution.
const BEFORE: Duration = Duration::from_secs(2);
/// A time that is now, or so soon, was made in this run: the scene's backoff is an hour and its jitter, and what the
/// scene itself tells is of years before and after.
const SOON: Duration = Duration::from_secs(2 * 60 * 60);

/// How a time looks: `d` is a digit.
const RFC_3339: &str = "dddd-dd-ddTdd:dd:dd";
const IN_A_TABLE: &str = "dddd-dd-dd dd:dd:dd";
const IN_A_NOTE: &str = "dd-dd dd:dd:dd";

/// What is replaced in one run.
#[derive(Debug)]
pub struct Normal {
    words: Vec<(String, &'static str)>,
    began: Timestamp,
}

impl Normal {
    /// Of a run that works in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            words: vec![(folder.display().to_string(), "<folder>")],
            began: Timestamp::now(),
        }
    }

    /// Replaces `text` too.
    pub fn hide(&mut self, text: String, word: &'static str) {
        self.words.push((text, word));
    }

    /// A text with what differs replaced, and without the spaces that pad the last column of a table.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (hidden, word) in &self.words {
            text = text.replace(hidden, word);
        }
        let text = without_modules(&self.without_times(&text));
        let mut lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
        // What several hosts wrote at once stands in the history in an order that chance has made.
        let is_of_this_run = |line: &&str| line.trim_start().starts_with("<time>  ");
        for rows in lines.chunk_by_mut(|one, other| is_of_this_run(one) && is_of_this_run(other)) {
            rows.sort_unstable();
        }
        lines.join("\n")
    }

    /// The value of a JSON text.
    pub fn json(&self, text: &str) -> Value {
        let mut value = serde_json::from_str(&self.text(text)).unwrap();
        hide_what_time_decides(&mut value);
        value
    }

    /// A number that may be a time in seconds.
    pub fn number(&self, text: &str) -> String {
        let is_now = text
            .parse::<f64>()
            .ok()
            .and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok())
            .is_some_and(|at| self.is_of_this_run(at));
        if is_now { "<time>" } else { text }.to_owned()
    }

    fn is_of_this_run(&self, at: Timestamp) -> bool {
        self.began - BEFORE <= at && at <= self.began + SOON
    }

    fn without_times(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = ' ';
        while let Some(next) = rest.chars().next() {
            let found = (!before.is_ascii_digit()).then(|| self.time_at_the_start_of(rest));
            let (said, length) = match found.flatten() {
                Some(length) => ("<time>", length),
                None => (&rest[..next.len_utf8()], next.len_utf8()),
            };
            shown.push_str(said);
            before = next;
            rest = &rest[length..];
        }
        shown
    }

    /// How long the time of this run is that the text begins with.
    fn time_at_the_start_of(&self, text: &str) -> Option<usize> {
        let length = if is_like(text, RFC_3339) {
            let fraction = |c: char| c == '.' || c.is_ascii_digit();
            let zone = text[RFC_3339.len()..].find(|c| !fraction(c))?;
            RFC_3339.len() + zone + 1
        } else if is_like(text, IN_A_TABLE) {
            IN_A_TABLE.len()
        } else if is_like(text, IN_A_NOTE) {
            IN_A_NOTE.len()
        } else {
            return None;
        };
        let said = text.get(..length)?.trim_end_matches('Z').replace(' ', "T");
        let said = match length {
            length if length == IN_A_NOTE.len() => format!("{}{said}", self.began.strftime("%Y-")),
            _ => said,
        };
        let at: DateTime = said.parse().ok()?;
        let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
        self.is_of_this_run(at).then_some(length)
    }
}

fn is_like(text: &str, pattern: &str) -> bool {
    let mut characters = text.chars();
    pattern.chars().all(|wanted| {
        characters.next().is_some_and(|found| {
            if wanted == 'd' {
                found.is_ascii_digit()
            } else {
                found == wanted
            }
        })
    })
}

/// A line of the log names the module that has written it, and modules may move.
fn without_modules(text: &str) -> String {
    const CRATE: &str = " reconciler::";
    let mut parts = text.split(CRATE);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_a_path = |c: char| c.is_ascii_lowercase() || c == '_' || c == ':';
        let rest = part.trim_start_matches(is_of_a_path);
        shown.push_str(&format!("{CRATE}<module>:{rest}"));
    }
    shown
}

/// Our version is that of the package, the free space is that of this machine, and what is appended to the history by
/// several at once gets its number by chance.
fn hide_what_time_decides(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("version") == Some(&json!(env!("CARGO_PKG_VERSION"))) {
                fields.insert("version".to_owned(), json!("<version>"));
                if let Some(Value::Object(store)) = fields.get_mut("store") {
                    store.insert("free_bytes".to_owned(), json!("<free>"));
                }
            }
            if fields.contains_key("id") && fields.get("at") == Some(&json!("<time>")) {
                fields.insert("id".to_owned(), json!("<id>"));
            }
            fields.values_mut().for_each(hide_what_time_decides);
        }
        Value::Array(elements) => elements.iter_mut().for_each(hide_what_time_decides),
        _ => {}
    }
}

#[test]
fn a_time_of_this_run_is_hidden_and_any_other_is_kept() {
    let normal = Normal {
        words: vec![("/tmp/.tmpx".to_owned(), "<folder>")],
        began: "2026-06-01T10:00:00Z".parse().unwrap(),
    };
    for (said, shown) in [
        ("at 2026-06-01T10:00:01.25Z.", "at <time>."),
        ("2026-06-01 10:00:01  spare", "<time>  spare"),
        (
            "overdue since 06-01 10:00:01; away",
            "overdue since <time>; away",
        ),
        ("until 2026-06-01T11:10:00Z", "until <time>"),
        ("2026-06-01T09:00:00Z", "2026-06-01T09:00:00Z"),
        ("01-15 08:00:00", "01-15 08:00:00"),
        ("at 2100-01-01T06:07:08Z", "at 2100-01-01T06:07:08Z"),
        ("größer 7 /tmp/.tmpx/a  \nb", "größer 7 <folder>/a\nb"),
        (
            " WARN reconciler::a::b_c: said",
            " WARN reconciler::<module>: said",
        ),
    ] {
        assert_eq!(normal.text(said), shown);
    }
    assert_eq!(normal.number("1780308001.5"), "<time>");
    assert_eq!(normal.number("1768467600"), "1768467600");
}
