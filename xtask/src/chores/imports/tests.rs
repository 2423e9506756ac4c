use std::fs;

use super::*;
use crate::workspace::root;

/// Where the planted crates' `lib.rs` lies in their folder.
const ROOT_FILE: &str = "lib.rs";

/// The floors of a planted crate, the top first.
const FLOORS: [&str; 2] = ["above", "below"];

/// What is wrong with a crate of these files.
fn wrong(files: &[(&str, &str)], floors: Option<&[&str]>, tests: Tests) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap())?;
        fs::write(file, text)?;
    }
    let tree = Tree::read(folder.path(), &folder.path().join(ROOT_FILE), tests)?;
    let floors: Option<Vec<String>> =
        floors.map(|floors| floors.iter().copied().map(str::to_owned).collect());
    Ok(wrong_with(&tree, floors.as_deref()))
}

fn upwards(files: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut all = vec![(ROOT_FILE, "mod above;\nmod below;\n")];
    all.extend(files);
    wrong(&all, Some(&FLOORS), Tests::LeftOut)
}

fn circles(files: &[(&str, &str)]) -> Result<Vec<String>> {
    wrong(files, None, Tests::LeftOut)
}

#[test]
fn an_import_from_above_is_named_with_its_file_and_line() -> Result<()> {
    let found = upwards(&[
        ("above.rs", "pub struct Daemon;"),
        ("below.rs", "//! Below.\n\nuse crate::above::Daemon;\n"),
    ])?;
    assert_eq!(
        found,
        ["below.rs:3 uses crate::above::Daemon of above.rs, which is above it"]
    );
    Ok(())
}

#[test]
fn what_is_above_may_import_what_is_below() -> Result<()> {
    let found = upwards(&[
        (
            "above.rs",
            "use crate::below::Config;\nuse super::below;\nfn f() { below::read() }",
        ),
        ("below.rs", "pub struct Config; pub fn read() {}"),
    ])?;
    assert!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn a_whole_path_in_code_is_an_import_like_any_other() -> Result<()> {
    let above = (
        "above.rs",
        "pub struct Daemon; pub fn start() -> u8 { 1 } pub const ONE: u8 = 1;",
    );
    for code in [
        "fn f() { crate::above::start(); }",
        "fn f() { super::above::start(); }",
        "struct Holds { one: Vec<crate::above::Daemon> }",
        "fn f() { println!(\"{}\", crate::above::start()); }",
        "fn f() { println!(\"{}\", Some(1).map(|one: u8| one + super::above::ONE)) }",
        "fn f(n: u8) { match n { crate::above::ONE => {} _ => {} } }",
        "impl From<crate::above::Daemon> for u8 { fn from(_: crate::above::Daemon) -> u8 { 1 } }",
        "use super::above; fn f() { above::start(); }",
        "use super::above as other; fn f() { other::start(); }",
        "fn f() { use crate::above::start; start(); }",
        "fn f() { use crate::above; above::start(); }",
        "use crate::above::*;",
        "#[derive(Default)] struct A { #[serde(with = \"crate::above::start\")] a: u8 }",
        "struct A { #[arg(value_parser = crate::above::start)] a: u8 }",
        "mod inner { fn f() { super::super::above::start(); } }",
    ] {
        let found = upwards(&[above, ("below.rs", &format!("\n{code}"))])?;
        assert!(!found.is_empty(), "{code}");
        for one in found {
            assert!(one.starts_with("below.rs:2 uses "), "{code}: {one}");
        }
    }
    Ok(())
}

#[test]
fn a_re_export_leads_to_where_a_thing_is_defined() -> Result<()> {
    let files = [
        (
            ROOT_FILE,
            "pub mod above;\npub mod below;\npub use above::Daemon;\npub use above::*;\n",
        ),
        (
            "above/mod.rs",
            "mod inner;\npub use inner::Daemon as Server;\npub use inner::*;\n",
        ),
        ("above/inner.rs", "pub struct Daemon; pub struct Reload;"),
    ];
    for name in [
        "Daemon",
        "Server",
        "Reload",
        "above::Server",
        "above::inner::Daemon",
    ] {
        let below = format!("use crate::{name};");
        let files = [files.as_slice(), &[("below.rs", &below)]].concat();
        let found = wrong(&files, Some(&FLOORS), Tests::LeftOut)?;
        assert_eq!(
            found,
            [format!(
                "below.rs:1 uses crate::{name} of above/inner.rs, which is above it"
            )]
        );
    }
    Ok(())
}

#[test]
fn a_re_export_from_above_is_an_import_from_above() -> Result<()> {
    for export in [
        "pub use crate::above::Daemon;",
        "pub(crate) use crate::above;",
    ] {
        let found = upwards(&[("above.rs", "pub struct Daemon;"), ("below.rs", export)])?;
        assert!(
            found.len() == 1 && found[0].starts_with("below.rs:1 uses crate::above"),
            "{export}: {found:?}"
        );
    }
    Ok(())
}

#[test]
fn the_roof_uses_everything_and_is_used_by_nobody() -> Result<()> {
    let files = [
        (
            ROOT_FILE,
            "mod above;\nmod below;\npub use above::Daemon;\npub struct Own;\n",
        ),
        ("above.rs", "pub struct Daemon;"),
        ("below.rs", "use crate::Own;"),
    ];
    let found = wrong(&files, Some(&FLOORS), Tests::LeftOut)?;
    assert_eq!(
        found,
        ["below.rs:1 uses crate::Own of lib.rs, which is above it"]
    );
    Ok(())
}

#[test]
fn a_module_without_a_floor_has_to_be_added_to_the_list() -> Result<()> {
    let files = [
        (ROOT_FILE, "mod below;\nmod cellar;\n"),
        ("below.rs", ""),
        ("cellar.rs", ""),
    ];
    let found = wrong(&files, Some(&FLOORS), Tests::LeftOut)?;
    assert_eq!(
        found,
        [
            "lib.rs:2: cellar has no floor: add it to [workspace.metadata.floors] in the root Cargo.toml"
        ]
    );
    assert!(wrong(&files, None, Tests::LeftOut)?.is_empty());
    Ok(())
}

#[test]
fn tests_may_import_from_above() -> Result<()> {
    let found = upwards(&[
        ("above.rs", "pub struct Daemon;"),
        (
            "below.rs",
            "#[cfg(test)]\nmod tests { use crate::above::Daemon; }\n\
             #[cfg(test)]\nmod testing;\n\
             #[cfg(all(test, unix))]\nuse crate::above::Daemon;\n\
             struct Own;\nimpl Own { #[cfg(test)] fn f() { crate::above::Daemon; } }\n",
        ),
        ("below/testing.rs", "use crate::above::Daemon;"),
    ])?;
    assert!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn a_name_that_only_looks_alike_is_no_import() -> Result<()> {
    let found = upwards(&[
        ("above.rs", "pub mod windows; pub fn above() {}"),
        ("above/windows.rs", "pub struct Refused;"),
        (
            "below.rs",
            "use std::fs;\nuse ::above::Daemon;\nuse other::above;\n\
             struct Below { above: u8, windows: Vec<u8> }\n\
             enum Why { Refused }\n\
             /// See [`crate::above`], and `crate::above::windows::Refused`.\n\
             pub(in crate::above) fn f(below: Below, above: u8) -> Why {\n\
                 let windows = [1_u8].windows(1).count() + below.windows.len() + usize::from(below.above);\n\
                 println!(\"crate::above {above} {windows}\", above = above);\n\
                 self::Why::Refused;\n\
                 fs::read(\"above::windows\");\n\
                 Why::Refused\n\
             }\n",
        ),
    ])?;
    assert!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn a_module_that_is_imported_is_not_used_by_what_only_bears_its_name() -> Result<()> {
    let found = upwards(&[
        ("above.rs", "pub fn start() {}"),
        (
            "below.rs",
            "use super::above;\nuse ::above::Daemon;\n\
             macro_rules! started { ($above:ident) => { $above::start() } }\n\
             fn f() { ::above::start(); println!(\"{}\", ::above::start()); println!(\"{}\", 1.above::<u8>()); }\n",
        ),
    ])?;
    assert!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn two_siblings_that_import_one_another_are_a_circle() -> Result<()> {
    let found = circles(&[
        (ROOT_FILE, "mod claim;\nmod emulation;\nmod cache;"),
        (
            "claim.rs",
            "use crate::emulation::Release;\npub struct Claim;\nfn f() { Release::now(); println!(\"{}\", Release::now()) }",
        ),
        (
            "emulation.rs",
            "\npub struct Release(crate::claim::Claim);\nuse crate::cache;",
        ),
        ("cache.rs", ""),
    ])?;
    assert_eq!(
        found,
        ["claim.rs, emulation.rs import one another:\n    \
          claim.rs:1 uses crate::emulation::Release of emulation.rs\n    \
          emulation.rs:2 uses crate::claim::Claim of claim.rs"]
    );
    Ok(())
}

#[test]
fn a_parent_and_a_child_that_import_one_another_are_a_circle() -> Result<()> {
    let found = circles(&[
        (ROOT_FILE, "mod engine;"),
        (
            "engine.rs",
            "mod images;\nuse images::toolchain;\npub struct Engine;",
        ),
        (
            "engine/images.rs",
            "use super::Engine;\npub fn toolchain(_: Engine) {}",
        ),
    ])?;
    assert_eq!(
        found,
        ["engine/images.rs, engine.rs import one another:\n    \
          engine.rs:2 uses images::toolchain of engine/images.rs\n    \
          engine/images.rs:1 uses super::Engine of engine.rs"]
    );
    Ok(())
}

#[test]
fn a_face_that_re_exports_closes_a_circle_of_three() -> Result<()> {
    let found = circles(&[
        (
            ROOT_FILE,
            "mod fleet;\nmod claim;\npub struct Setup;\npub use fleet::Fleet;",
        ),
        ("fleet/mod.rs", "mod boot;\npub use boot::Fleet;"),
        (
            "fleet/boot.rs",
            "use crate::claim::Claim;\npub struct Fleet;",
        ),
        ("claim.rs", "use crate::Setup;\npub struct Claim;"),
    ])?;
    assert_eq!(
        found,
        ["claim.rs, fleet/boot.rs, lib.rs import one another:\n    \
          lib.rs:4 uses fleet::Fleet of fleet/boot.rs\n    \
          fleet/boot.rs:1 uses crate::claim::Claim of claim.rs\n    \
          claim.rs:1 uses crate::Setup of lib.rs"]
    );
    Ok(())
}

#[test]
fn siblings_that_meet_at_their_parents_face_are_no_circle() -> Result<()> {
    let found = circles(&[
        (
            ROOT_FILE,
            "pub mod names;\nmod record;\npub use record::Record;\npub use names::Host;",
        ),
        (
            "names.rs",
            "mod host;\nmod macros;\npub use host::Host;\nuse std::fs;",
        ),
        (
            "names/host.rs",
            "use super::macros::checked;\nchecked!(Host);\n",
        ),
        (
            "names/macros.rs",
            "macro_rules! checked { ($name:ident) => { struct $name; } }\npub(crate) use checked;",
        ),
        (
            "record.rs",
            "use crate::Host;\nuse crate::names;\npub struct Record(names::Host);",
        ),
    ])?;
    assert!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn in_a_crate_of_tests_what_is_for_tests_counts() -> Result<()> {
    let files = [
        (
            ROOT_FILE,
            "#[cfg(test)]\nmod story;\npub struct Scene;\nuse story::told;",
        ),
        ("story.rs", "use crate::Scene;\npub fn told(_: Scene) {}"),
    ];
    assert_eq!(wrong(&files, None, Tests::Built)?.len(), 1);
    Ok(())
}

#[test]
fn this_crate_has_no_circle() -> Result<()> {
    let workspace = root();
    for (file, tests) in [
        ("xtask/src/lib.rs", Tests::LeftOut),
        ("xtask/tests/it/main.rs", Tests::Built),
    ] {
        let tree = Tree::read(&workspace, &workspace.join(file), tests)?;
        assert_eq!(wrong_with(&tree, None), Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn floors_are_read_from_the_workspaces_metadata() -> Result<()> {
    let floors = Floors::read(&serde_json::json!({ "floors": { "hub": ["cli", "state"] } }))?;
    assert_eq!(floors.of("hub").unwrap(), ["cli", "state"]);
    assert!(floors.of("leaf").is_none());
    assert!(Floors::read(&serde_json::Value::Null)?.of("hub").is_none());
    assert!(Floors::read(&serde_json::json!({ "floors": { "hub": "cli" } })).is_err());
    Ok(())
}

#[test]
fn a_file_that_is_not_there_or_not_rust_is_named() {
    let missing = circles(&[(ROOT_FILE, "\nmod gone;")]).unwrap_err();
    assert!(
        missing
            .to_string()
            .ends_with("lib.rs:2: no file for mod gone"),
        "{missing}"
    );
    let broken = circles(&[(ROOT_FILE, "fn f() {}\nfn {")]).unwrap_err();
    assert!(broken.to_string().contains("lib.rs:2: "), "{broken}");
}
