//! A folder that stands for a host, with stub programs for systemd and Nix, to try the scripts on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What runs on a host to activate.
pub const SUPERVISOR: &str = concat!(
    include_str!("../../src/host/holder.sh"),
    include_str!("../../src/host/platform.sh"),
    include_str!("../../src/host/supervisor/steps.sh"),
    include_str!("../../src/host/supervisor/room.sh"),
    include_str!("../../src/host/supervisor/health.sh"),
    include_str!("../../src/host/supervisor/switching.sh"),
    include_str!("../../src/host/supervisor/specialisation.sh"),
    include_str!("../../src/host/supervisor/activation.sh"),
    include_str!("../../src/host/supervisor/ending.sh"),
    include_str!("../../src/host/supervisor/calls.sh")
);
/// What runs on a host to look at it.
pub const OBSERVE: &str = concat!(
    include_str!("../../src/host/holder.sh"),
    include_str!("../../src/host/platform.sh"),
    include_str!("../../src/host/observe.sh")
);
/// What runs on a host to reboot it.
pub const REBOOT: &str = concat!(
    include_str!("../../src/host/holder.sh"),
    include_str!("../../src/host/reboot.sh")
);
/// What runs on a host to collect its garbage.
pub const COLLECT: &str = concat!(
    include_str!("../../src/host/holder.sh"),
    include_str!("../../src/host/collect.sh")
);
/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The deployment.
pub const ID: &str = "d-12345678";
pub const OLD: &str = "/nix/store/0c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-old";
pub const NEW: &str = "/nix/store/1c2wdbdjv3dsqnw5q1j9vkdkfg3gd7b8-nixos-system-new";

/// The shells that the scripts must run in, as far as they are installed.
pub fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["dash"], vec!["bash", "--posix"], vec!["busybox", "sh"]];
    let installed: Vec<_> = all
        .into_iter()
        .filter(|words| {
            Command::new(words[0])
                .args(&words[1..])
                .args(["-c", "exit 0"])
                .status()
                .is_ok_and(|status| status.success())
        })
        .collect();
    assert!(!installed.is_empty());
    installed
}

/// What a plan says by default; later lines count.
pub const PLAN: &str = "SWITCH_PAUSE=0\nactivate_seconds=60\nacknowledge_seconds=0\nsettle_seconds=0\non_degraded=rollback\non_rollback_failed=stay\ncheck_boot=yes\nboot_reserve=1048576\nspecialisation=\nspecialisation_rule=kept\n\
                    ignored_units=''\nprobes() {\n    :\n}\n";

pub struct FakeHost {
    folder: tempfile::TempDir,
    shell: Vec<&'static str>,
    plan: String,
}

impl FakeHost {
    pub fn new(shell: &[&'static str]) -> Self {
        // On tmpfs, as /run is: there a lock's file has the numbers that /proc/locks tells.
        let place = if Path::new("/dev/shm").is_dir() {
            "/dev/shm"
        } else {
            "/tmp"
        };
        let folder = tempfile::Builder::new()
            .prefix("fakehost")
            .tempdir_in(place)
            .unwrap();
        let host = Self {
            folder,
            shell: shell.to_vec(),
            plan: PLAN.to_owned(),
        };
        for name in [
            "run/reconcile",
            "run/nixos",
            "nix/var/nix/profiles",
            "nix/var/nix/gcroots",
            "proc/sys/kernel/random",
            "etc",
            "boot",
            "stubs",
            "units",
        ] {
            fs::create_dir_all(host.path(name)).unwrap();
        }
        host.write("proc/uptime", "4711.42 9000.00\n");
        host.write("proc/sys/kernel/random/boot_id", "the-boot-id\n");
        host.write("etc/machine-id", "the-machine-id\n");
        for system in [OLD, NEW] {
            host.install(system, 0);
        }
        host.link("run/current-system", OLD);
        host.link("run/booted-system", OLD);
        host.link("nix/var/nix/profiles/system", OLD);
        host.stubs();
        host
    }

    /// A host that waits so long for an acknowledgement.
    pub fn that_waits(shell: &[&'static str], seconds: u32) -> Self {
        let mut host = Self::new(shell);
        host.plan(&format!("acknowledge_seconds={seconds}"));
        host
    }

    /// What the new system has to prove: more lines of the plan.
    pub fn plan(&mut self, lines: &str) {
        self.plan = format!("{PLAN}{lines}\n");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name.trim_start_matches('/'))
    }

    pub fn root(&self) -> String {
        self.folder.path().display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The file that runs is written by another process: whoever is forked while this one has it open for writing has
    /// it open too until they execute, and running it meanwhile fails with ETXTBSY (execve(2)).
    pub fn program(&self, name: &str, script: &str) {
        let text = format!("{name}.text");
        self.write(&text, &format!("#!/bin/sh\n{script}\n"));
        let written = Command::new("install")
            .args(["-m", "755"])
            .args([self.path(&text), self.path(name)])
            .status();
        assert!(written.unwrap().success());
        fs::remove_file(self.path(&text)).unwrap();
    }

    pub fn link(&self, name: &str, target: &str) {
        let _ = fs::remove_file(self.path(name));
        symlink(self.path(target), self.path(name)).unwrap();
    }

    /// Where a link leads, as the host itself would see it.
    pub fn target(&self, name: &str) -> String {
        let target = fs::canonicalize(self.path(name)).unwrap();
        target
            .display()
            .to_string()
            .trim_start_matches(&self.root())
            .to_owned()
    }

    /// A system whose activation moves the host to it and ends with that code.
    pub fn install(&self, system: &str, code: i32) {
        self.activation(
            system,
            &format!(
                "case $1 in test | switch) ln -sfn {0}{system} {0}/run/current-system ;; esac\n\
                 echo \"output of $1\"\nexit {code}",
                self.root()
            ),
        );
    }

    /// A system whose activation is that script. Every call of it is noted first.
    pub fn activation(&self, system: &str, script: &str) {
        self.program(
            &format!("{system}/bin/switch-to-configuration"),
            &format!("echo \"$1 {system}\" >>{}/calls\n{script}", self.root()),
        );
    }

    /// What was called so far, in order: activations, nix-env, syncs.
    pub fn calls(&self) -> String {
        self.read("calls").replace(&self.root(), "")
    }

    /// Kills the unit that runs and all its children, as systemd does with a whole control group.
    pub fn kill_unit(&self) {
        let group = format!("-{}", self.read("main-pid").trim());
        let status = Command::new("kill").args(["-9", "--", &group]).status();
        assert!(status.unwrap().success());
    }

    fn has_a_unit(&self) -> bool {
        fs::read_dir(self.path("units")).is_ok_and(|mut units| units.next().is_some())
    }

    fn stubs(&self) {
        let root = self.root();
        self.program(
            "stubs/nix-env",
            &format!(
                "echo \"nix-env $*\" >>{root}/calls\n[ \"$1 $3\" = '-p --set' ] && ln -sfn \"{root}$4\" \"$2\""
            ),
        );
        self.program("stubs/sync", &format!("echo \"sync $*\" >>{root}/calls"));
        self.program(
            "stubs/systemctl",
            &format!(
                "case $1 in\n\
                 show) for unit; do :; done\n\
                 case \"$*\" in\n\
                 *NRestarts*) cat {root}/restarts 2>/dev/null ;;\n\
                 *ExecMainStatus*) cat {root}/status/$unit 2>/dev/null || echo 1 ;;\n\
                 *TriggeredBy*) cat {root}/triggers/$unit 2>/dev/null ;;\n\
                 *) cat {root}/units/$unit 2>/dev/null || echo inactive ;;\n\
                 esac ;;\n\
                 list-units) cat {root}/failed 2>/dev/null ;;\n\
                 is-system-running) [ \"$2\" != --wait ] || {{ echo wait >>{root}/calls; cat {root}/booted >{root}/state; }}\n\
                 cat {root}/state 2>/dev/null || echo degraded; exit 1 ;;\n\
                 start | restart) echo \"systemctl $*\" >>{root}/calls ;;\n\
                 reboot) echo \"systemctl reboot\" >>{root}/calls; if cat {root}/reboot-fails 2>/dev/null; then exit 1; fi ;;\n\
                 reset-failed) rm -f {root}/units/$2 ;;\n\
                 esac"
            ),
        );
        for tool in ["busctl", "loginctl"] {
            self.program(
                &format!("stubs/{tool}"),
                &format!("[ ! -e {root}/{tool}-is-dead ]"),
            );
        }
        // Runs the unit apart from its caller, with nothing of its environment, as systemd does.
        self.program(
            "stubs/systemd-run",
            &format!(
                "printf '%s\\n' \"$@\" >>{root}/systemd-run\n\
                 set -- \"$@\" --\n\
                 while [ \"$1\" != -- ]; do\n\
                 case $1 in\n\
                 --unit=*) unit=${{1#*=}}.service ;;\n\
                 --setenv=PATH=*) path=${{1#--setenv=PATH=}} ;;\n\
                 --setenv=HOME=*) home=${{1#--setenv=HOME=}} ;;\n\
                 --property=ExecStopPost=*) post=${{1#--property=ExecStopPost=-}} ;;\n\
                 --*) ;;\n\
                 *) set -- \"$@\" \"$1\" ;;\n\
                 esac\n\
                 shift\n\
                 done\n\
                 shift\n\
                 [ ! -e {root}/units/$unit ] || {{ echo \"Unit $unit was already loaded\" >&2; exit 1; }}\n\
                 echo active >{root}/units/$unit\n\
                 (setsid env -i PATH={root}/stubs:$path HOME=$home \"$@\" >{root}/journal 2>&1 </dev/null &\n\
                 echo $! >{root}/main-pid; wait $!; code=$?\n\
                 env -i PATH={root}/stubs:$path SERVICE_RESULT=$([ $code = 0 ] && echo success || echo signal) $post\n\
                 rm -f {root}/units/$unit) >/dev/null 2>&1 &"
            ),
        );
    }

    /// One of the scripts, made for this folder.
    pub fn script(&self, text: &str) -> String {
        let ours = text.replacen("root=''", &format!("root='{}'", self.root()), 1);
        assert_ne!(ours, text);
        format!("{}{ours}", self.plan)
    }

    /// Runs a script that comes by standard input, as over ssh.
    pub fn run(&self, script: &str, words: &[&str]) -> Output {
        use std::io::Write;
        let mut child = self
            .command()
            .arg("-s")
            .arg("--")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // A script that was cut off may end before it has read everything.
        let _ = input.write_all(script.as_bytes());
        drop(input);
        child.wait_with_output().unwrap()
    }

    /// A shell with the stubs first in its PATH.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).env(
            "PATH",
            format!("{}/stubs:/usr/bin:/bin:/usr/sbin:/sbin", self.root()),
        );
        command
    }

    /// One verb of the supervisor, as it comes over ssh.
    pub fn call(&self, words: &[&str]) -> String {
        let output = self.run(&self.script(SUPERVISOR), words);
        String::from_utf8(output.stdout).unwrap()
    }

    /// `start`, from a file as the real one.
    pub fn begin(&self, action: &str) -> String {
        let file = self.path(&format!(
            "run/reconcile/.received-{:?}",
            std::thread::current().id()
        ));
        fs::write(&file, self.script(SUPERVISOR)).unwrap();
        let output = self
            .command()
            .arg(&file)
            .args(["start", ID, action, NEW, OLD, "60"])
            .output()
            .unwrap();
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The verdict so far; empty if there is none.
    pub fn verdict(&self) -> String {
        self.read(&format!("run/reconcile/{ID}/verdict"))
            .trim()
            .to_owned()
    }

    /// What the profile names.
    pub fn profile(&self) -> String {
        self.target("nix/var/nix/profiles/system")
    }

    /// What runs.
    pub fn running(&self) -> String {
        self.target("run/current-system")
    }

    /// Starts a switch, and waits until it waits for an acknowledgement.
    pub fn begin_and_await(&self) {
        assert_eq!(self.begin("switch"), "new");
        let report = self.call(&["wait", ID, "20"]);
        assert!(report.contains("\nverdict awaiting\n"), "{report}");
    }

    /// Starts, waits, and gives the verdict.
    pub fn deploy(&self, action: &str) -> String {
        assert_eq!(self.begin(action), "new");
        let report = self.call(&["wait", ID, "20"]);
        assert!(report.contains("boot-id the-boot-id\n"), "{report}");
        assert!(
            report.contains(&format!("\nverdict {}\n", self.verdict())),
            "{report}"
        );
        self.verdict()
    }
}

impl Drop for FakeHost {
    /// Nothing may run on without its folder; what is killed has its ending run, as by systemd.
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let began_one = self.path("main-pid").exists();
        while began_one && self.has_a_unit() && Instant::now() < deadline {
            let group = format!("-{}", self.read("main-pid").trim());
            let _ = Command::new("kill")
                .args(["-9", "--", &group])
                .stderr(Stdio::null())
                .status();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
