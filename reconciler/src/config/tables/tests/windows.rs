//! `windows` and `freezes`, in `[defaults]` and `[hosts.NAME]`.

use crate::config::testing::{BASE, config, mistakes};

fn shown<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

#[test]
fn a_host_has_the_windows_and_freezes_of_the_defaults_or_its_own_instead() {
    let config = config(&format!(
        r#"{BASE}
[hosts.cyt-pi]
windows = [
    {{ days = ["mon-wed", "Saturday"], from = "22:00", to = "24:00", time_zone = "America/New_York" }},
    {{ days = ["sat-mon"], from = "05:30", to = "04:00", time_zone = "UTC" }},
]
[hosts.any]
windows = []
freezes = []
[defaults]
windows = [{{ from = "02:00", to = "05:00", time_zone = "Europe/Berlin" }}]
freezes = [{{ from = "2026-12-20T06:00", to = "2027-01-02", time_zone = "Europe/Berlin", why = "nobody is there" }}]
"#
    ));
    let of = |name: &str| &config.hosts[name];
    assert_eq!(
        shown(&of("spare").maintenance.windows),
        ["daily 02:00 to 05:00 Europe/Berlin"]
    );
    assert_eq!(
        shown(&of("spare").maintenance.freezes),
        ["frozen until 2027-01-02 00:00 Europe/Berlin: nobody is there"]
    );
    assert_eq!(
        shown(&of("cyt-pi").maintenance.windows),
        [
            "mon tue wed sat 22:00 to 00:00 America/New_York",
            "mon sat sun 05:30 to 04:00 UTC"
        ]
    );
    assert_eq!(
        of("cyt-pi").maintenance.freezes,
        of("spare").maintenance.freezes
    );
    assert!(of("any").maintenance.windows.is_empty() && of("any").maintenance.freezes.is_empty());
}

#[test]
fn what_cannot_be_a_window_or_a_freeze_is_told_with_its_mend() {
    let found = mistakes(&format!(
        r#"{BASE}
windows = [
    {{ days = ["mo"], from = "2am", to = "25:00", time_zone = "Europe/Berln" }},
    {{ days = [], from = "02:00", to = "05:00", time_zone = "UTC" }},
    {{ from = "02:00", to = "05:00" }},
    {{ form = "02:00", to = "05:00", time_zone = "nowhere" }},
]
freezes = [
    {{ from = "2026-12-20T00:00+01:00", to = "2026-02-30", time_zone = "UTC", why = "x" }},
    {{ from = "2026-12-20", to = "2026-12-20", time_zone = "UTC", why = "a\nb" }},
    "winter",
]
"#
    ))
    .to_string();
    for part in [
        "reconcile.toml:7:16: hosts.spare.windows.days: `mo` is not a day of the week",
        "write it as in \"mon\" or \"mon-fri\"",
        "`2am` is not a time of day",
        "`25:00` is not a time of day",
        "`Europe/Berln` is not a time zone",
        "did you mean `Europe/Berlin`?",
        "the list is empty",
        "has no `time_zone`",
        "unknown key `form`",
        "has no `from`",
        "`nowhere` is not a time zone",
        "`2026-12-20T00:00+01:00` is not a date and a time",
        "`2026-02-30` is not a date and a time",
        "the freeze ends before it begins",
        "has a control character",
        "a table is expected, not a string",
    ] {
        assert!(found.contains(part), "expected {part:?} in:\n{found}");
    }
}
