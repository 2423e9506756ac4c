//! What is recorded, and how what is seen now differs from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Set to write what is recorded anew.
const UPDATE: &str = "UPDATE_RECORDED";

/// What one test sees, beside what is recorded of it.
#[derive(Debug, Default)]
pub struct Record {
    differences: Vec<String>,
}

impl Record {
    /// A text is compared exactly.
    pub fn text(&mut self, name: &str, seen: &str) {
        let recorded = fs::read_to_string(file(name)).ok();
        self.compare(name, seen, recorded.as_deref() == Some(seen));
    }

    /// Of JSON it does not matter how it is laid out, nor in which order keys stand.
    pub fn json(&mut self, name: &str, seen: &Value) {
        let recorded = fs::read_to_string(file(name)).ok();
        let recorded: Option<Value> = recorded.and_then(|text| serde_json::from_str(&text).ok());
        let text = format!("{}\n", serde_json::to_string_pretty(seen).unwrap());
        self.compare(name, &text, recorded.as_ref() == Some(seen));
    }

    /// Fails if anything differs.
    pub fn finish(self) {
        assert!(
            self.differences.is_empty(),
            "what is seen has changed; only if it is meant, run this test with {UPDATE}=1:\n{}",
            self.differences.join("\n")
        );
    }

    fn compare(&mut self, name: &str, seen: &str, is_same: bool) {
        if is_same {
            return;
        }
        let file = file(name);
        if std::env::var_os(UPDATE).is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, seen).unwrap();
        } else {
            self.differences.push(difference(&file, seen));
        }
    }
}

fn file(name: &str) -> PathBuf {
    folder().join("outputs").join(name)
}

/// Where everything about these tests lies.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

fn difference(recorded: &Path, seen: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let now = folder.path().join("now");
    fs::write(&now, seen).unwrap();
    let mut diff = Command::new("diff");
    diff.arg("-uN").arg(recorded).arg(now);
    String::from_utf8_lossy(&diff.output().unwrap().stdout).into_owned()
}
