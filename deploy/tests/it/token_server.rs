//! A server of private files, which opens to a token.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The token of the user `reconcile`.
pub const TOKEN: &str = "t0ken-that-nobody-may-see";

pub struct Server {
    pub port: u16,
    /// Who has this lock holds every answer back.
    pub answers: Arc<tokio::sync::Mutex<()>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Each request's path and whether it came with the token, and whether anybody showed the token.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

/// Serves a folder to who knows the token, repositories in it by git's own protocol, and looks at
/// every process's arguments at each request.
pub async fn serve(folder: PathBuf) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server {
        port,
        answers: Arc::default(),
        seen: Arc::default(),
    };
    let (answers, seen) = (server.answers.clone(), server.seen.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (folder, answers, seen) = (folder.clone(), answers.clone(), seen.clone());
            tokio::spawn(async move {
                let answer = answer(&mut stream, &folder, &seen).await;
                drop(answers.lock().await);
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    server
}

async fn answer(stream: &mut TcpStream, folder: &Path, seen: &Mutex<Vec<String>>) -> Vec<u8> {
    let head = Head::read(stream).await;
    let (path, _) = head.path_and_query();
    // base64 of "reconcile:" and the token.
    let allowed =
        head.value("Authorization") == "Basic cmVjb25jaWxlOnQwa2VuLXRoYXQtbm9ib2R5LW1heS1zZWU=";
    seen.lock().push(format!("{path} {allowed}"));
    if arguments_of_all().contains(TOKEN) {
        seen.lock().push("the token is in a process list".into());
    }
    if !allowed {
        return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n".to_vec();
    }
    if let Ok(body) = fs::read(folder.join(path.trim_start_matches('/'))) {
        return [
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(),
            body,
        ]
        .concat();
    }
    let mut body = vec![0; head.value("Content-Length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let output = of_git(&head, &body, folder).await;
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n".to_vec(), output].concat()
}

/// The first line of a request, and its headers.
struct Head(String);

impl Head {
    async fn read(stream: &mut TcpStream) -> Self {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) == 1 {
            head.push(byte[0]);
        }
        Self(String::from_utf8_lossy(&head).into_owned())
    }

    fn method(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    fn path_and_query(&self) -> (&str, &str) {
        let target = self.0.split(' ').nth(1).unwrap_or_default();
        target.split_once('?').unwrap_or((target, ""))
    }

    fn value(&self, name: &str) -> &str {
        let wanted = |line: &&str| line.split(':').next().unwrap().eq_ignore_ascii_case(name);
        let line = self.0.lines().find(wanted);
        line.map_or("", |line| line.split_once(':').unwrap().1.trim())
    }
}

/// What git answers to a request (git-http-backend(1)).
async fn of_git(head: &Head, body: &[u8], folder: &Path) -> Vec<u8> {
    let (path, query) = head.path_and_query();
    let mut backend = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", head.method())
        .env("CONTENT_TYPE", head.value("Content-Type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", head.value("Content-Encoding"))
        .env("GIT_PROTOCOL", head.value("Git-Protocol"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = backend.stdin.take().unwrap();
    input.write_all(body).await.unwrap();
    drop(input);
    backend.wait_with_output().await.unwrap().stdout
}

/// The arguments and environments of every process but this one.
fn arguments_of_all() -> String {
    let own = std::process::id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy() != own)
        .flat_map(|entry| {
            ["cmdline", "environ"].map(|file| fs::read(entry.path().join(file)).unwrap_or_default())
        })
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}
