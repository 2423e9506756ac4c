//! `destinations` and `sudo`, in `[defaults]` and `[hosts.NAME]`.

use crate::config::testing::{BASE, config, mistakes};

#[test]
fn a_destination_may_become_root_for_all_but_copies() {
    let config = config(
        r#"
[repositories."infra-team/infra"]
url = "https://gitea.example/infra-team/infra.git"
[defaults]
sudo = "except-copy"
[hosts.a]
[hosts.b]
destinations = [{ ssh = "b", sudo = true }, { ssh = "c", sudo = false }, "d"]
"#,
    );
    let sudo = |name: &str| -> Vec<deploy::Sudo> {
        let destinations = config.hosts[name].reach.destinations.iter();
        destinations.map(|one| one.sudo).collect()
    };
    use deploy::Sudo::{ExceptCopy, No, Yes};
    assert_eq!(sudo("a"), [ExceptCopy]);
    assert_eq!(sudo("b"), [Yes, No, ExceptCopy]);
    let found = mistakes(&format!("{BASE}sudo = \"except-copies\"\n")).to_string();
    assert!(found.contains("did you mean `except-copy`?"), "{found}");
}
