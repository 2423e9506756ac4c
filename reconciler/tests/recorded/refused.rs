//! What cannot be done, why, and the exit code that says so.

use std::fs;

use crate::daemon::Daemon;
use crate::record::Record;
use crate::scene::Scene;

#[test]
fn a_wrong_command_line_is_told_with_the_mend() {
    let (scene, mut record) = (Scene::new(), Record::default());
    let told = [
        "",
        "nonsense",
        "--json",
        "--branch main",
        "--all --host cyt-pi",
        "--host cyt-pi --branch main --revision 78f76367",
        "--host cyt-pi --action nonsense",
        "--host cyt-pi --branch 'no branch'",
        "--host cyt-pi status",
        "--all serve",
        "--config reconcile.toml",
        "status --host cyt-pi",
        "status nonsense",
        "suspend --host cyt-pi",
        "suspend --why 'nobody named'",
        "suspend --host cyt-pi --why ''",
        "suspend --host cyt-pi --why '  '",
        "suspend --host cyt-p --why 'a slip'",
        "suspend --host cyt-pi --host no-such-name --why 'a slip'",
        "resume --host cyt-pi",
        "resume --host uconsole --why 'a slip'",
        "unpin",
        "unpin --host lazyworkhors",
        "rollback",
        "rollback --host cyt-p",
        "rollback --host spare",
        "rollback --host cyt-pi --to nonsense",
        "rollback --host cyt-pi --to 0123456789",
        "rollback --host cyt-pi --to 41",
        "rollback --host fresh --to 41",
        "rollback --host vault --to 932661d9815d928c65346c84992ac74168fb6fc6",
        "rollback --all",
        "reboot",
        "reboot --host cyt-p",
        "--host cyt-p",
        "--host no-such-name --force",
        "--host cyt-pi --no-wait",
        "--host cyt-pi --branch nope",
        "--host cyt-pi --revision nonsense",
        "--host cyt-pi --revision 1234567",
        "--host vault --branch main",
        "--host attic --branch main",
        "--host attic --revision 78f76367",
        "completions nonsense",
        "man-pages no-such-folder",
        "history --host spare --limit 2",
    ];
    record.text("refused.txt", &scene.transcript(&told));
    record.finish();
}

#[test]
fn a_state_that_cannot_be_used_is_left_as_it_is() {
    let mut record = Record::default();
    let told = ["status", "history --json", "serve"];

    let newer = Scene::new();
    newer.remember(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of a later program', 1, X'00', 0);",
    );
    record.text("state/newer.txt", &newer.transcript(&told));

    let not_a_database = Scene::new();
    let file = not_a_database.path("state/state.db");
    fs::write(
        &file,
        "not a database, but long enough to look at: ".repeat(100),
    )
    .unwrap();
    record.text(
        "state/not-a-database.txt",
        &not_a_database.transcript(&told),
    );

    let damaged = Scene::new();
    let file = damaged.path("state/state.db");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xff);
    fs::write(&file, &bytes).unwrap();
    let said = damaged.transcript(&told);
    // Which page SQLite names depends on how it lays them out.
    let said = said
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("stderr: Tree "));
    record.text("state/damaged.txt", &said.collect::<String>());
    assert_eq!(fs::read(&file).unwrap(), bytes);

    let of_another_program = Scene::without_state();
    of_another_program.remember("CREATE TABLE wishes (something TEXT);");
    record.text(
        "state/of-another-program.txt",
        &of_another_program.transcript(&told),
    );

    let no_folder = Scene::without_state();
    fs::write(no_folder.path("state"), "a file").unwrap();
    record.text("state/no-folder.txt", &no_folder.transcript(&told));
    record.finish();
}

#[test]
fn a_state_that_a_daemon_works_on_is_used_through_it_or_not_at_all() {
    let (scene, mut record) = (Scene::new(), Record::default());
    scene.write_config(
        "state_directory = \"state\"\noperator.listen = \"off\"\nlog.format = \"json\"\n",
    );
    let mut daemon = Daemon::start(&scene);
    let same = ["serve", "--all", "status"];
    let mut told = scene.transcript(&same);
    scene.write_config(
        "state_directory = \"state\"\ncontrol_socket = \"another.sock\"\noperator.listen = \"off\"\n",
    );
    let another = [
        "status",
        "history",
        "plan --all",
        "suspend --all --why 'nobody is there'",
        "--all",
        "serve",
        "check --offline",
    ];
    told.push('\n');
    told.push_str(&scene.transcript(&another));
    let told = told.replace(&format!("(process {})", daemon.id()), "(process <process>)");
    record.text("state/locked.txt", &told);
    daemon.stop();
    record.finish();
}

#[test]
fn a_config_that_is_not_there_is_told_with_where_it_was_looked_for() {
    let (scene, mut record) = (Scene::without_state(), Record::default());
    let mut told = scene.transcript(&["--config no-such-file.toml status"]);
    let words = "status";
    let mut named = scene.command(words);
    named.env("RECONCILE_CONFIG", "named-by-a-variable.toml");
    told.push_str(&format!("\n{}", scene.run(words, &mut named).told()));
    record.text("no-config.txt", &told);
    record.finish();
}
