//! `reconcile serve`, running in a scene.

use std::fs::{self, File};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Answer, Request, ask_at, ask_socket};
use crate::scene::Scene;

/// What has not come about by then will not.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The daemon of a scene; ended with the test.
#[derive(Debug)]
pub struct Daemon<'a> {
    scene: &'a Scene,
    process: Child,
}

impl<'a> Daemon<'a> {
    /// Starts it and waits until it listens.
    pub fn start(scene: &'a Scene) -> Self {
        let mut command = scene.command("serve");
        command
            .stdout(File::create(scene.path("serve.out")).unwrap())
            .stderr(File::create(scene.path("serve.log")).unwrap());
        let mut daemon = Self {
            scene,
            process: command.spawn().unwrap(),
        };
        let socket = scene.path("state/control.sock");
        wait_until("it listens", || {
            assert_eq!(daemon.process.try_wait().unwrap(), None, "{}", daemon.log());
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
        daemon
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.scene.path("serve.log")).unwrap()
    }

    /// What the control socket answers now.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.control(Request {
            method: "GET",
            path,
            headers: &[],
            body: "",
        });
        serde_json::from_str(&answer.body).unwrap()
    }

    /// What the control socket answers, beside what was asked.
    pub fn told(&self, method: &str, path: &str, body: &str) -> Value {
        let headers = &[];
        let request = Request {
            method,
            path,
            headers,
            body,
        };
        let answer = self.control(request);
        let body: Value = serde_json::from_str(body).unwrap_or_else(|_| json!(body));
        self.beside(format!("{method} {path}"), body, &answer)
    }

    /// What an address answers, beside what was asked.
    pub fn told_at(&self, address: &str, request: Request<'_>) -> Value {
        let Request {
            method,
            path,
            headers,
            body,
        } = request;
        let asked = json!({ "headers": headers, "body": body });
        let asked = if body.is_empty() { json!("") } else { asked };
        self.beside(format!("{method} {path}"), asked, &ask_at(address, request))
    }

    /// Ends it as systemd does, and waits until it has ended.
    pub fn stop(&mut self) -> ExitStatus {
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -TERM \"$0\"", &self.id().to_string()]);
        assert!(kill.status().unwrap().success());
        wait_until("it ends", || self.process.try_wait().unwrap())
    }

    fn control(&self, request: Request<'_>) -> Answer {
        ask_socket(&self.scene.path("state/control.sock"), request)
    }

    fn beside(&self, asked: String, sent: Value, answer: &Answer) -> Value {
        let normal = &self.scene.normal;
        let body = match answer.kind.as_str() {
            "application/json" => normal.json(&answer.body),
            "application/x-ndjson" => answer.body.lines().map(|line| normal.json(line)).collect(),
            _ => json!(normal.text(&answer.body)),
        };
        json!({
            "request": asked, "sent": sent,
            "status": answer.status, "content_type": answer.kind, "body": body,
        })
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until there is something.
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}
