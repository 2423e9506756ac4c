//! What `served.rs` asks the daemon for.

/// The tip of `try-this` once `scene/push.fast-import` is pushed.
pub const PUSHED: &str = "79802b5e68dc5a11d88f0f2926746e0489391149";

/// What the control socket carries out, in this order. Whoever follows an order follows
/// it for a host that nothing else has woken.
pub const ANSWERED: [(&str, &str); 20] = [
    (
        "/v1/suspend",
        r#"{"hosts":{"named":["cyt-pi","spare"]},"why":"a new disk","by":"ada"}"#,
    ),
    (
        "/v1/suspend",
        r#"{"hosts":{"named":["cyt-pi"]},"why":"a new disk","by":"bob"}"#,
    ),
    (
        "/v1/suspend",
        r#"{"hosts":{"named":["cyt-pi"]},"why":"a new fan","by":"bob"}"#,
    ),
    (
        "/v1/resume",
        r#"{"hosts":{"named":["cyt-pi","tester"]},"why":"it is in","by":"bob"}"#,
    ),
    (
        "/v1/unpin",
        r#"{"hosts":{"named":["printer","cyt-pi"]},"by":"ada"}"#,
    ),
    (
        "/v1/unpin",
        r#"{"hosts":"all","why":"as it was","by":"ada"}"#,
    ),
    (
        "/v1/plan",
        r#"{"named":["uConsole","build-done","fresh","uConsole"]}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["lazyworkhorse"]},"insistence":"asked","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["sick"]},"insistence":"forced","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["window"]},"insistence":"none","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["half"]},"insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["spare"]},"instead":{"branch":"try-this"},"insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["router"]},"instead":{"branch":"main"},"action":"test","insistence":"asked","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["dry"]},"instead":{"revision":"78f76367"},"insistence":"asked","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["rolled-failed"]},"instead":"proven","insistence":"asked","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["full"]},"then":"reboot","insistence":"asked","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["build-failed"]},"then":"nothing","insistence":"asked","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["build-backing-off"]},"action":"build","insistence":"asked","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["vault"]},"insistence":"forced","follow":"to_the_end","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["sandbox"]},"insistence":"forced","follow":"no","by":"ada"}"#,
    ),
];

/// What the control socket refuses.
pub const REFUSED: [(&str, &str); 27] = [
    ("/v1/plan", ""),
    ("/v1/plan", "{"),
    ("/v1/plan", r#""everything""#),
    ("/v1/plan", r#"{"named":[]}"#),
    ("/v1/plan", r#"{"named":["cyt-p"]}"#),
    ("/v1/plan", r#"{"named":["-"]}"#),
    ("/v1/suspend", "{}"),
    ("/v1/suspend", r#"{"hosts":"all","by":"ada"}"#),
    ("/v1/suspend", r#"{"hosts":"all","why":"  ","by":"ada"}"#),
    (
        "/v1/suspend",
        r#"{"hosts":"all","why":"a new disk","by":""}"#,
    ),
    (
        "/v1/suspend",
        r#"{"hosts":"all","why":"a new disk","by":"ada","unheard":1}"#,
    ),
    (
        "/v1/suspend",
        r#"{"hosts":{"named":[]},"why":"a new disk","by":"ada"}"#,
    ),
    (
        "/v1/suspend",
        r#"{"hosts":{"named":["no-such-name"]},"why":"a new disk","by":"ada"}"#,
    ),
    ("/v1/resume", r#"{"hosts":"all","by":"ada"}"#),
    ("/v1/unpin", r#"{"hosts":{"named":["cyt-p"]},"by":"ada"}"#),
    ("/v1/reconcile", r#"{"hosts":"all"}"#),
    (
        "/v1/reconcile",
        r#"{"hosts":"all","insistence":"nonsense","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":"all","insistence":"asked","follow":"no","by":"ada","unheard":1}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":"all","action":"nonsense","insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":"all","insistence":"asked","follow":"no","by":""}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["uconsole"]},"insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["kiosk"]},"instead":{"branch":"nope"},"insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["kiosk"]},"instead":{"revision":"nonsense"},"insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["kiosk"]},"instead":"proven","insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["kiosk"]},"instead":{"generation":41},"insistence":"asked","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["vault"]},"instead":{"branch":"main"},"insistence":"forced","follow":"no","by":"ada"}"#,
    ),
    (
        "/v1/reconcile",
        r#"{"hosts":{"named":["attic"]},"instead":{"branch":"main"},"insistence":"forced","follow":"no","by":"ada"}"#,
    ),
];

/// The routes of the control socket, and what is none.
pub const ROUTES: [(&str, &str); 14] = [
    ("GET", "/"),
    ("GET", "/v1"),
    ("GET", "/v1/nothing"),
    ("GET", "/v1/suspend"),
    ("POST", "/v1/status"),
    ("DELETE", "/v1/history"),
    ("GET", "/v1/history/?host=cyt-pi&limit=1"),
    ("GET", "/v1/history?limit=nonsense"),
    ("GET", "/v1/history?host=-"),
    ("GET", "/v1/history?host=cyt-p"),
    ("GET", "/v1/history?kind=nonsense"),
    ("GET", "/v1/history?limit=1&limit=2"),
    ("GET", "/v1/history?unheard=of&host=lazyworkhorse&limit=1"),
    ("GET", "/v1/history?limit=0&host=lazyworkhorse"),
];

/// What the command line is asked for through the daemon.
pub const COMMANDS: [&str; 26] = [
    "status",
    "history --limit 60 --kind deployment",
    "history --host rebooting",
    "history --host cyt-p",
    "plan --host cyt-pi --host vault --host build-done --host attic",
    "plan --host uconsole",
    "suspend --host cyt-pi --why 'a new disk'",
    "suspend --host cyt-pi --why 'a new disk'",
    "resume --host cyt-pi --host spare --host tester --why 'it is in'",
    "suspend --host cyt-p --why 'a slip'",
    "suspend --host cyt-pi --why ''",
    "unpin --host printer --host cyt-pi",
    "--host lazyworkhorse",
    "--host half --no-wait",
    "--host booter --branch try-this",
    "--host vault",
    "--host build-failed",
    "--host kiosk --branch nope",
    "--host kiosk --revision nonsense",
    "--host attic --branch main",
    "rollback --host rolled-failed",
    "rollback --host frozen",
    "rollback --host frozen --to 41",
    "reboot --host sick",
    "history --host booter --limit 2",
    "history --host printer --limit 2",
];

/// A path, headers and a body: what a forge delivers, signed with the secret of the scene, and what nobody signed so.
pub const DELIVERIES: [(&str, &[&str], &str); 8] = [
    (
        "/hook",
        &["X-Gitea-Event: push", "X-Gitea-Delivery: 1", UNSIGNED],
        PUSH,
    ),
    (
        "/hook",
        &["X-Gitea-Event: push", "X-Gitea-Delivery: 2"],
        PUSH,
    ),
    (
        "/other",
        &["X-Gitea-Event: push", "X-Gitea-Delivery: 3", SIGNED_PUSH],
        PUSH,
    ),
    (
        "/hook",
        &["X-Gitea-Event: issues", "X-Gitea-Delivery: 4", SIGNED_PUSH],
        PUSH,
    ),
    ("/hook", &["X-Gitea-Event: push", SIGNED_PUSH], PUSH),
    (
        "/hook",
        &["X-Gitea-Event: push", "X-Gitea-Delivery: 5", SIGNED_TEST],
        TEST,
    ),
    (
        "/hook",
        &[
            "X-Gitea-Event: push",
            "X-Gitea-Delivery: 6",
            SIGNED_ELSEWHERE,
        ],
        ELSEWHERE,
    ),
    (
        "/hook",
        &[
            "X-Gitea-Event: push",
            "X-Gitea-Delivery: 0c2f7c5e-0000-4000-8000-000000000007",
            SIGNED_PUSH,
        ],
        PUSH,
    ),
];

const UNSIGNED: &str =
    "X-Gitea-Signature: 0000000000000000000000000000000000000000000000000000000000000000";
const PUSH: &str = r#"{"ref":"refs/heads/try-this","before":"e2a3f9338fa7fd2572361e2ce6d9bca80c6ddb87","after":"79802b5e68dc5a11d88f0f2926746e0489391149","repository":{"full_name":"Infra-Team/infra"}}"#;
const SIGNED_PUSH: &str =
    "X-Gitea-Signature: 5b0d2141f55ffe9d46976d971bde90c92edfba6c52840c6a53b8a616be222774";
const TEST: &str = r#"{"ref":"refs/heads/main","before":"78f76367f8f6cb91002440c1a6c5cad575f28089","after":"78f76367f8f6cb91002440c1a6c5cad575f28089","repository":{"full_name":"infra-team/infra"}}"#;
const SIGNED_TEST: &str =
    "X-Gitea-Signature: 2b92e77275dd927f1b63a1a380b8d5ae7879be6719ae92b8911e265bdea6671d";
const ELSEWHERE: &str = r#"{"ref":"refs/heads/main","before":"78f76367f8f6cb91002440c1a6c5cad575f28089","after":"d78633bceb063bed4382935c53397e6a94adc8da","repository":{"full_name":"nobody/follows"}}"#;
const SIGNED_ELSEWHERE: &str =
    "X-Gitea-Signature: 4dafeaae61559c016a3dc49142af380dd5f5592968e8380a71e4caed6697413d";
