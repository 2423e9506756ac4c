//! What the program says of itself.

use crate::record::Record;
use crate::scene::Scene;

/// Every command, and none.
const COMMANDS: [&str; 13] = [
    "",
    "serve",
    "plan",
    "status",
    "history",
    "rollback",
    "reboot",
    "suspend",
    "resume",
    "unpin",
    "check",
    "completions",
    "man-pages",
];

#[test]
fn every_command_helps() {
    let (scene, mut record) = (Scene::without_state(), Record::default());
    for command in COMMANDS {
        let lines = [format!("{command} --help"), format!("{command} -h")];
        let lines = lines.each_ref().map(|line| line.trim_start());
        let name = if command.is_empty() {
            "reconcile"
        } else {
            command
        };
        record.text(&format!("help/{name}.txt"), &scene.transcript(&lines));
    }
    record.finish();
}

#[test]
fn the_version_is_that_of_the_package() {
    let ran = Scene::without_state().reconcile("--version");
    assert_eq!(ran.exit, 0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(ran.stdout, format!("reconcile {version}\n"));
}

#[test]
fn help_names_every_command() {
    let help = Scene::without_state().reconcile("--help").stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let named: Vec<&str> = commands
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert_eq!(named, COMMANDS[1..]);
}
