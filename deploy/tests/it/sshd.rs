//! A real sshd on loopback, with its own keys, configuration and port, and an ssh_config that leads to it.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deploy::{Connection, Connections, Destination, RemoteCommand, SshSettings, Sudo};

/// How long anything that must happen may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a login or a command that should succeed may take.
pub const LIMIT: Duration = Duration::from_secs(20);

pub struct Sshd {
    child: Child,
    pub folder: tempfile::TempDir,
    pub port: u16,
}

impl Sshd {
    /// One of its own.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// As [`Sshd::start`], with more lines of sshd_config.
    pub fn start_with(more: &str) -> Self {
        let program = ["/usr/sbin/sshd", "/run/current-system/sw/bin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("an sshd (apt-get install openssh-server)");
        // Debian's sshd wants it when it is started by root; as another user it is not needed.
        let _ = fs::create_dir_all("/run/sshd");
        let folder = tempfile::Builder::new().prefix("sshd").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        make_key(&at("host_key"));
        make_key(&at("key"));
        fs::copy(at("key.pub"), at("authorized_keys")).unwrap();
        let port = free_port();
        let show = |name: &str| at(name).display().to_string();
        fs::write(
            at("sshd_config"),
            format!(
                "{more}\nListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\n\
                 PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nMaxStartups 100\nLogLevel VERBOSE\n",
                show("host_key"),
                show("authorized_keys")
            ),
        )
        .unwrap();
        let public = fs::read_to_string(at("host_key.pub")).unwrap();
        let words: Vec<&str> = public.split(' ').collect();
        fs::write(
            at("known_hosts"),
            format!("[127.0.0.1]:{port} {} {}\n", words[0], words[1]),
        )
        .unwrap();
        let child = Command::new(program)
            .args(["-D", "-f", &show("sshd_config"), "-E", &show("log")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let sshd = Self {
            child,
            folder,
            port,
        };
        sshd.configure("target", "");
        let deadline = Instant::now() + PATIENCE;
        while !greets(port) {
            assert!(Instant::now() < deadline, "sshd does not greet");
            std::thread::sleep(Duration::from_millis(10));
        }
        sshd
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends an alias for this sshd to the ssh_config; `more` comes first, and the first value wins.
    pub fn configure(&self, alias: &str, more: &str) {
        let file = self.path("ssh_config");
        let mut text = fs::read_to_string(&file).unwrap_or_default();
        text.push_str(&format!(
            "Host {alias}\n{more}\nHostName 127.0.0.1\nPort {}\nUser {}\nIdentityFile {}\nIdentitiesOnly yes\n\
             UserKnownHostsFile {}\nGlobalKnownHostsFile none\n",
            self.port,
            user(),
            self.path("key").display(),
            self.path("known_hosts").display()
        ));
        fs::write(&file, text).unwrap();
        // ssh refuses a configuration that others can write.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn settings(&self) -> SshSettings {
        SshSettings {
            config_file: Some(self.path("ssh_config")),
            control_directory: self.path("c"),
            connect_timeout: Duration::from_secs(5),
            max_sessions: 8,
        }
    }

    pub fn connections(&self) -> Connections {
        Connections::new(self.settings())
    }

    /// How many logins have succeeded.
    pub fn logins(&self) -> usize {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.matches("Accepted publickey").count()
    }

    /// The process ids of the ssh masters whose sockets are in our control directory.
    pub fn masters(&self) -> Vec<i32> {
        let directory = self.path("c").display().to_string();
        processes(|arguments| {
            arguments
                .first()
                .is_some_and(|name| name.starts_with("ssh"))
                && arguments.iter().any(|word| word.starts_with(&directory))
        })
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn to(address: &str) -> Destination {
    Destination::new(address, Sudo::No).unwrap()
}

/// The running processes whose argument vector satisfies a condition.
pub fn processes(condition: impl Fn(&[String]) -> bool) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        if condition(&arguments) {
            found.push(number);
        }
    }
    found
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn make_key(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-"
}

/// What a command says that repeats its arguments, each with a NUL after it.
pub async fn echo(connection: &Connection, words: &[&str]) -> Vec<u8> {
    let command = RemoteCommand::new("printf")
        .arguments(["%s\\0"])
        .arguments(words.iter().copied());
    connection.run(command).await.unwrap().stdout
}

pub fn shell(script: &str) -> RemoteCommand {
    RemoteCommand::new("/bin/sh").arguments(["-c", script])
}
