//! What holds for every checked name, whatever it names.

use std::path::{Component, Path};

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Invalid;
use crate::names::{BranchName, DeliveryId, HostName, RepositoryName, Revision};

/// Texts that somebody with bad intent, or a broken program, might send as a name.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-a-zA-Z0-9._/]{0,70}",
        "[ -~]{0,70}",
        "[a-c.-/@{~^:?*\\[\\\\ \\x00-\\x1f\\x7f\u{80}-\u{9f}ä漢🦀]{0,12}",
        "\\PC{0,40}",
        any::<String>(),
        "[0-9a-fA-F]{38,42}",
        Just("; rm -rf / #".to_owned()),
        Just("$(id)`id`${IFS}".to_owned()),
        Just("-oProxyCommand=id".to_owned()),
        Just("../../etc/passwd".to_owned()),
        Just("a/../b".to_owned()),
    ]
}

/// A name is what it was made from, by every way in and out; and what is refused is refused by every way.
fn check_ways<N>(text: &str) -> Result<Option<N>, TestCaseError>
where
    N: TryFrom<String, Error = Invalid>
        + std::str::FromStr<Err = Invalid>
        + AsRef<str>
        + std::fmt::Display
        + std::fmt::Debug
        + PartialEq
        + Serialize
        + DeserializeOwned,
{
    let parsed = text.parse::<N>();
    let json = serde_json::to_string(text).unwrap();
    match parsed {
        Ok(name) => {
            prop_assert_eq!(name.as_ref(), text);
            prop_assert_eq!(name.to_string(), text);
            prop_assert_eq!(serde_json::to_string(&name).unwrap(), json.clone());
            prop_assert_eq!(&serde_json::from_str::<N>(&json).unwrap(), &name);
            prop_assert_eq!(&N::try_from(text.to_owned()).unwrap(), &name);
            Ok(Some(name))
        }
        Err(error) => {
            prop_assert!(N::try_from(text.to_owned()).is_err());
            prop_assert!(serde_json::from_str::<N>(&json).is_err());
            let message = error.to_string();
            prop_assert!(!message.chars().any(char::is_control), "{message:?}");
            prop_assert!(message.len() < 1100, "{message:?}");
            Ok(None)
        }
    }
}

/// A text that no shell takes for anything but a word, and no program for an option.
fn is_plain_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
}

/// Whether the path stays below the folder that it is joined to, `depth` levels down.
fn stays_below(text: &str, depth: usize) -> bool {
    Path::new(text).components().count() == depth
        && Path::new(text)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_host_name_is_a_plain_word_and_one_folder(text in hostile()) {
        if let Some(name) = check_ways::<HostName>(&text)? {
            let name = name.as_str();
            prop_assert!(is_plain_word(name) && !name.contains('/') && name.len() <= 63);
            prop_assert!(stays_below(name, 1) && !name.contains("..") && !name.starts_with('.'));
        }
    }

    #[test]
    fn a_repository_name_is_a_plain_word_and_two_folders(text in hostile()) {
        if let Some(name) = check_ways::<RepositoryName>(&text)? {
            prop_assert!(is_plain_word(name.as_str()) && stays_below(name.as_str(), 2));
            prop_assert!(is_plain_word(name.owner()) && is_plain_word(name.name()));
            prop_assert_eq!(format!("{}/{}", name.owner(), name.name()), text.clone());
            prop_assert!(name.is_called(&text.to_uppercase()));
        }
    }

    #[test]
    fn a_branch_name_has_no_control_character_and_leaves_no_folder(text in hostile()) {
        if let Some(name) = check_ways::<BranchName>(&text)? {
            let name = name.as_str();
            prop_assert!(!name.chars().any(char::is_control) && !name.starts_with('-'));
            prop_assert!(stays_below(name, name.split('/').count()) && !name.contains(".."));
        }
    }

    #[test]
    fn a_revision_is_forty_lower_case_digits(text in hostile()) {
        if let Some(revision) = check_ways::<Revision>(&text)? {
            prop_assert!(revision.as_str().bytes().all(|b| b"0123456789abcdef".contains(&b)));
            prop_assert_eq!(revision.as_str().len(), 40);
            prop_assert_eq!(revision.short(), &text[..12]);
        }
    }

    #[test]
    fn a_delivery_id_can_be_printed(text in hostile()) {
        if let Some(id) = check_ways::<DeliveryId>(&text)? {
            prop_assert!(id.as_str().bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert!((1..=64).contains(&id.as_str().len()));
        }
    }

    #[test]
    fn every_lower_case_sha1_but_zero_is_a_revision(text in "[0-9a-f]{40}") {
        prop_assume!(text.bytes().any(|b| b != b'0'));
        prop_assert!(text.parse::<Revision>().is_ok());
    }
}

#[test]
fn a_refused_text_is_printed_escaped_and_cut() {
    let text = format!("\u{1b}[31m\n{}", "x".repeat(10_000));
    let message = Invalid::new("host name", &text, "no").to_string();
    assert!(message.starts_with("\"\\u{1b}[31m\\nxxx"), "{message}");
    assert!(message.contains("…\" is not a host name: no"), "{message}");
    assert!(message.len() < 200);
}

/// Checks which texts are names of a kind, and that each refusal says the rule that the text breaks.
fn check<N: std::str::FromStr<Err = Invalid>>(accepted: &[&str], refused: &[(&str, &str)]) {
    for text in accepted {
        if let Err(error) = text.parse::<N>() {
            panic!("{error}");
        }
    }
    for (text, why) in refused {
        match text.parse::<N>() {
            Ok(_) => panic!("{text:?} was accepted"),
            Err(error) => assert!(error.why().contains(why), "{text:?}: {error}"),
        }
    }
}

#[test]
fn the_fleets_hosts_have_names_and_options_and_folders_have_not() {
    let (longest, longer) = ("h".repeat(63), "h".repeat(64));
    check::<HostName>(
        &[
            "lazyworkhorse",
            "cyt-pi",
            "uConsole",
            "a",
            "9",
            "web_1.example.org",
            &longest,
        ],
        &[
            ("", "empty"),
            (&longer, "63"),
            ("-oProxyCommand=x", "only letters"),
            ("-a", "begin"),
            (".hidden", "begin"),
            ("_a", "begin"),
            ("a..b", "'..'"),
            ("a/b", "only letters"),
            ("a b", "only letters"),
            ("a;id", "only letters"),
            ("größe", "only letters"),
            ("a\n", "only letters"),
        ],
    );
}

#[test]
fn a_repository_has_an_owner_and_a_name() {
    let long = format!("{}/b", "a".repeat(101));
    check::<RepositoryName>(
        &["infra-team/infra", "a/.profile", "A.b_c/d-e.git", "1/2"],
        &[
            ("infra", "owner/name"),
            ("/infra", "empty"),
            ("infra/", "empty"),
            ("a/b/c", "one '/'"),
            ("a/..", "folders"),
            ("./b", "folders"),
            ("-a/b", "'-'"),
            ("a/-b", "'-'"),
            ("a/b c", "only letters"),
            (&long, "100"),
        ],
    );
    let name: RepositoryName = "Infra-Team/infra".parse().unwrap();
    assert!(name.is_called("infra-team/Infra") && !name.is_called("infra-team/infra2"));
}

#[test]
fn a_revision_is_refused_with_the_reason() {
    let (zeros, sha256) = ("0".repeat(40), "a".repeat(64));
    check::<Revision>(
        &["0123456789abcdef0123456789abcdef01234567"],
        &[
            ("", "40 digits"),
            ("0123456", "40 digits"),
            ("0123456789ABCDEF0123456789abcdef01234567", "lower-case"),
            ("HEAD", "lower-case"),
            (&zeros, "no commit"),
            (&sha256, "SHA-256"),
        ],
    );
}

#[test]
fn a_branch_is_refused_with_the_reason() {
    let (longest, longer) = ("ä".repeat(127), "ä".repeat(128));
    check::<BranchName>(
        &[
            "main",
            "feature/größer",
            "漢字",
            "🦀",
            "a@b",
            "a.b",
            "release-1.0",
            "(x)",
            "$x;`",
            &longest,
        ],
        &[
            ("", "empty"),
            (&longer, "255"),
            ("a\u{9b}31m", "control"),
            ("a\n", "control"),
            ("a b", "space"),
            ("a~1", "space"),
            ("a..b", "'..'"),
            ("a@{1}", "'@{'"),
            ("a.", "end with '.'"),
            ("-d", "begin with '-'"),
            ("HEAD", "checked out"),
            ("@", "checked out"),
            ("/a", "'/'"),
            ("a//b", "'/'"),
            ("a/", "'/'"),
            (".a", "begin with '.'"),
            ("a/.b", "begin with '.'"),
            ("a.lock/b", ".lock"),
        ],
    );
    let branch: BranchName = "feature/x".parse().unwrap();
    assert_eq!(branch.reference(), "refs/heads/feature/x");
}

/// Asks git whether it takes a text as a branch's reference.
fn git_takes(text: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "git is the judge of this test")]
    let git = std::process::Command::new("git")
        .arg("check-ref-format")
        .arg(format!("refs/heads/{text}"))
        .status();
    git.expect("git is installed").success()
}

proptest! {
    // Each case runs git once.
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn git_agrees_about_what_a_branch_is(
        text in prop_oneof![
            "[a-b./@{~^:?*\\[\\\\ \\x01-\\x1f\\x7fä-]{1,6}",
            "(a|\\.|/|\\.lock|@|\\{|-){1,5}",
            "[^\\x00]{1,8}",
        ]
    ) {
        let stricter = text.chars().any(char::is_control)
            || text.starts_with('-')
            || text == "HEAD"
            || text == "@"
            || text.len() > 255;
        let ours = text.parse::<BranchName>().is_ok();
        prop_assert_eq!(ours, git_takes(&text) && !stricter, "{:?}", text);
    }
}
