//! What README and the guides tell people is true: the program understands every command line and every piece of a
//! config in them, no link leads nowhere, and the list of guides has them all.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::Arguments;
use crate::config::{Source, parse};

/// A fenced block of Markdown.
struct Block {
    /// File and line, for a complaint.
    place: String,
    /// What the fence names: `sh`, `toml`.
    language: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README and the guides, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let mut files = vec![root().join("README.md")];
    let guides = fs::read_dir(root().join("docs")).unwrap();
    files.extend(guides.map(|entry| entry.unwrap().path()));
    files.retain(|file| file.extension().is_some_and(|kind| kind == "md"));
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            (file, text)
        })
        .collect()
}

/// The fenced blocks of a page. One in a list is indented, and so are its lines.
fn blocks(file: &Path, page: &str) -> Vec<Block> {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (number, line) in page.lines().enumerate() {
        let indentation = line.len() - line.trim_start().len();
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let block = Block {
                    place: format!("{name}:{}", number + 1),
                    language: language.trim().to_owned(),
                    text: String::new(),
                };
                open = Some((indentation, block));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (None, Some((outside, block))) => {
                block
                    .text
                    .push_str(line.get(*outside..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name} has a fence without an end");
    blocks
}

fn blocks_of_all(language: &str) -> Vec<Block> {
    pages()
        .iter()
        .flat_map(|(file, page)| blocks(file, page))
        .filter(|block| block.language == language)
        .collect()
}

/// What stands between backquotes outside of the fences.
fn spans(page: &str) -> Vec<String> {
    let mut is_fenced = false;
    let mut spans = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// The calls of our program in shell lines, as words; also those behind another program that runs it in a container,
/// as another user, or after `--`.
fn calls(script: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for line in script.replace("\\\n", " ").lines() {
        let Some(words) = shlex::split(line) else {
            assert!(!line.contains("reconcile "), "not a shell line: {line}");
            continue;
        };
        let apart = |word: String| match word.strip_suffix(';') {
            Some(word) => vec![word.to_owned(), ";".to_owned()],
            None => vec![word],
        };
        let words: Vec<String> = words.into_iter().flat_map(apart).collect();
        let ends = |word: &String| ["|", "||", "&&", ";", "&"].contains(&word.as_str());
        for command in words.split(ends) {
            let is_ours = |word: &str| word == "reconcile" || word.ends_with("/bin/reconcile");
            let is_run_by = |before: &[String]| match before.last() {
                None => true,
                Some(last) if last == "--" || last == "sudo" || is_ours(last) => true,
                // NAME=value before a command.
                Some(last) => before.len() == 1 && last.contains('='),
            };
            let starts = (0..command.len())
                .rev()
                .find(|index| is_ours(&command[*index]) && is_run_by(&command[..*index]));
            let Some(start) = starts else { continue };
            let call = command[start..].iter();
            calls.push(
                call.take_while(|word| !word.contains('>'))
                    .cloned()
                    .collect(),
            );
        }
    }
    calls
}

/// A piece of a config, with what it needs besides to be one, in each of the places where it may belong.
fn completed(piece: &str) -> Vec<String> {
    const REPOSITORY: &str = "[repositories.\"infra-team/infra\"]\nurl = \"https://gitea.example/infra-team/infra.git\"\n";
    let rest = |piece: &str| {
        let mut text = String::new();
        if !piece.contains("[repositories.") {
            text.push_str(REPOSITORY);
        }
        if !piece.contains("[hosts.") {
            text.push_str("[hosts.cyt-pi]\n");
        }
        text
    };
    let mut texts = vec![format!("{piece}\n{}", rest(piece))];
    for table in [REPOSITORY, "[hosts.cyt-pi]\n", "[defaults]\n"] {
        let piece = format!("{table}{piece}\n");
        texts.push(format!("{piece}{}", rest(&piece)));
    }
    texts
}

/// Why no place of the config takes a piece of it.
fn complaint(piece: &str) -> Option<String> {
    let mut first = None;
    for text in completed(piece) {
        let source = Source {
            file: "/etc/reconcile/reconcile.toml".into(),
            text,
            working_directory: "/".into(),
        };
        let why = match parse(source, &[].into_iter().collect()) {
            Ok(loaded) if loaded.warnings.is_empty() => return None,
            Ok(loaded) => loaded.warnings.to_string(),
            Err(mistakes) => mistakes.to_string(),
        };
        first.get_or_insert(why);
    }
    first
}

#[test]
fn every_command_line_in_readme_and_guides_is_understood() {
    let mut count = 0;
    for block in blocks_of_all("sh") {
        for call in calls(&block.text) {
            count += 1;
            if let Err(error) = Arguments::try_parse_from(&call) {
                let asks = [
                    clap::error::ErrorKind::DisplayHelp,
                    clap::error::ErrorKind::DisplayVersion,
                ];
                assert!(
                    asks.contains(&error.kind()),
                    "{}: {call:?}: {error}",
                    block.place
                );
            }
        }
    }
    assert!(count > 20, "only {count} command lines were found");
}

#[test]
fn every_command_that_readme_and_guides_name_in_passing_exists() {
    for (file, page) in pages() {
        for span in spans(&page) {
            // Such a one may leave out what a whole command line needs.
            if !span.starts_with("reconcile ") || span.contains('…') {
                continue;
            }
            let words = shlex::split(&span).unwrap();
            if let Err(error) = Arguments::try_parse_from(&words) {
                let missing = clap::error::ErrorKind::MissingRequiredArgument;
                assert_eq!(error.kind(), missing, "{}: {error}", file.display());
            }
        }
    }
}

#[test]
fn every_piece_of_a_config_in_readme_and_guides_is_taken() {
    let pieces = blocks_of_all("toml");
    for Block { place, text, .. } in &pieces {
        if let Some(complaint) = complaint(text) {
            panic!("{place}: {complaint}");
        }
    }
    assert!(pieces.len() > 5, "only {} were found", pieces.len());
}

#[test]
fn every_guide_is_listed() {
    let list = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for (file, _) in pages() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            name == "README.md" || list.contains(&format!("]({name})")),
            "docs/README.md does not list {name}"
        );
    }
}

#[test]
fn no_link_leads_nowhere() {
    for (file, page) in pages() {
        for link in page.split("](").skip(1) {
            let Some((target, _)) = link.split_once(')') else {
                continue;
            };
            let path = target.split('#').next().unwrap_or_default();
            let is_elsewhere = path.contains("://") || path.is_empty();
            assert!(
                is_elsewhere || file.parent().unwrap().join(path).exists(),
                "{} links to {target}, which does not exist",
                file.display()
            );
        }
    }
}

#[test]
fn calls_are_found_wherever_they_stand_in_a_line() {
    let script = "reconcile status   # what runs\nsudo reconcile check && reconcile --host a \\\n  --force\n\
                  docker compose exec reconcile reconcile plan --all\nsudo -u reconcile -- reconcile status > file\n\
                  RECONCILE_LOG_LEVEL=debug /usr/local/bin/reconcile serve\n\
                  systemctl restart reconcile\ninstall -m 755 target/release/reconcile /usr/local/bin/\n";
    let found: Vec<String> = calls(script).iter().map(|call| call.join(" ")).collect();
    assert_eq!(
        found,
        [
            "reconcile status",
            "reconcile check",
            "reconcile --host a --force",
            "reconcile plan --all",
            "reconcile status",
            "/usr/local/bin/reconcile serve"
        ]
    );
    assert!(Arguments::try_parse_from(["reconcile", "--hots", "a"]).is_err());
}

#[test]
fn a_piece_of_a_config_is_taken_only_where_it_belongs_and_is_right() {
    for good in [
        "[hosts.cyt-pi.reboot]\npolicy = \"when-required\"\n",
        "allowed_signers_file = \"signers\"\n",
        "build_on = \"target\"\n",
    ] {
        assert_eq!(complaint(good), None, "{good}");
    }
    for bad in ["[hosts.cyt-pi]\nbuild_on = \"traget\"\n", "color = 1\n"] {
        assert!(complaint(bad).is_some(), "{bad}");
    }
}
