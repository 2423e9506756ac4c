//! git over HTTP for whoever has the token: `git http-backend`(1) behind a listener on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use xtask::process::{run, run_with_input};

/// What `Authorization` has to be for a user and a token.
pub fn basic(user: &str, token: &str) -> Result<String> {
    let login = format!("{user}:{token}");
    let encoded = run_with_input(Command::new("base64").arg("--wrap=0"), login.as_bytes())?;
    Ok(format!("Basic {encoded}"))
}

/// Serves one folder of bare repositories until it is dropped.
pub struct TokenForge {
    state: Arc<State>,
    address: SocketAddr,
}

struct State {
    folder: PathBuf,
    backend: PathBuf,
    authorization: String,
    is_over: AtomicBool,
    /// Every `Authorization` header that came.
    seen: Mutex<Vec<String>>,
}

impl TokenForge {
    /// Serves the repositories below `folder` to who has this `Authorization`.
    pub fn start(folder: &Path, authorization: &str) -> Result<Self> {
        let backend = run(Command::new("git").arg("--exec-path"))?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            folder: folder.to_path_buf(),
            backend: Path::new(backend.trim()).join("git-http-backend"),
            authorization: authorization.to_owned(),
            is_over: AtomicBool::new(false),
            seen: Mutex::new(Vec::new()),
        });
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that breaks off has said enough.
                let _ = stream.map(|stream| served.answer(stream));
            }
        });
        Ok(Self { state, address })
    }

    /// Where a repository is.
    pub fn url(&self, full_name: &str) -> String {
        format!("http://{}/{full_name}.git", self.address)
    }

    /// How often a repository was asked for with these words.
    pub fn asked_with(&self, authorization: &str) -> usize {
        let seen = self
            .state
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|one| *one == authorization).count()
    }
}

impl Drop for TokenForge {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        // Whoever listens sees it at the next caller.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn answer(&self, mut stream: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        ensure!(header("transfer-encoding").is_empty(), "no chunks here");
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let authorization = header("authorization");
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(authorization.clone());
        drop(seen);
        let answer = if authorization == self.authorization {
            self.git(&first, &headers, &body)?
        } else if authorization.is_empty() {
            b"HTTP/1.1 401 Who?\r\nWWW-Authenticate: Basic realm=\"Gitea\"\r\nContent-Length: 0\r\n\
              Connection: close\r\n\r\n"
                .to_vec()
        } else {
            // A server that is out to have the token told to others.
            let length = authorization.len();
            format!(
                "HTTP/1.1 403 {authorization}\r\nX-You-Said: {authorization}\r\n\
                 Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{authorization}"
            )
            .into_bytes()
        };
        stream.write_all(&answer)?;
        Ok(stream.shutdown(Shutdown::Both)?)
    }

    /// CGI (RFC 3875), as much of it as git needs.
    fn git(&self, first: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> Result<Vec<u8>> {
        let mut words = first.split(' ');
        let method = words.next().context("no method")?;
        let target = words.next().context("no target")?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let kind = headers.get("content-type").map_or("", String::as_str);
        let mut child = Command::new(&self.backend)
            .env("GIT_PROJECT_ROOT", &self.folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_TYPE", kind)
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().context("no standard input")?;
        input.write_all(body)?;
        drop(input);
        let output = child.wait_with_output()?.stdout;
        let end = output.windows(4).position(|four| four == b"\r\n\r\n");
        let length = output.len() - end.context("no headers")? - 4;
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n")
                .into_bytes();
        answer.extend(output);
        Ok(answer)
    }
}
