//! A doorbell that remembers, and deliveries to ring it with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use sha2::Sha256;
use tokio::sync::Semaphore;
use webhook::{
    Delivery, Doorbell, NotRecorded, Peer, ReceiverSettings, Secret, Secrets, Verdict, routes,
};

pub const SECRET: &str = "fixture-secret";
pub const BODY_LIMIT: u64 = 1024 * 1024;

/// What becomes of a ring.
pub enum Recording {
    Works,
    Fails,
    /// Works once there is a permit.
    Waits(Semaphore),
}

pub struct Bell {
    pub secrets: Mutex<Arc<Secrets>>,
    pub rung: Mutex<Vec<Delivery>>,
    /// Event and verdict, as metrics would count them.
    pub answered: Mutex<Vec<(&'static str, &'static str)>>,
    pub recording: Recording,
}

impl Doorbell for Bell {
    fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets.lock().unwrap())
    }

    async fn ring(&self, delivery: Delivery) -> Result<(), NotRecorded> {
        match &self.recording {
            Recording::Works => {}
            Recording::Fails => return Err(NotRecorded::new("the disk is full")),
            Recording::Waits(permits) => permits.acquire().await.unwrap().forget(),
        }
        self.rung.lock().unwrap().push(delivery);
        Ok(())
    }

    fn answered(&self, event: &'static str, verdict: Verdict) {
        self.answered.lock().unwrap().push((event, verdict.label()));
    }
}

impl Bell {
    pub fn new(recording: Recording) -> Arc<Bell> {
        Arc::new(Bell {
            secrets: Mutex::new(secrets(&[SECRET])),
            rung: Mutex::default(),
            answered: Mutex::default(),
            recording,
        })
    }

    pub fn working() -> Arc<Bell> {
        Bell::new(Recording::Works)
    }

    pub fn rung(&self) -> Vec<Delivery> {
        self.rung.lock().unwrap().clone()
    }

    pub fn take_rung(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.rung.lock().unwrap())
    }

    pub fn take_answered(&self) -> Vec<(&'static str, &'static str)> {
        std::mem::take(&mut self.answered.lock().unwrap())
    }
}

pub fn secrets(keys: &[&str]) -> Arc<Secrets> {
    let keys = keys.iter().map(|key| Secret::new(key.as_bytes()).unwrap());
    Arc::new(Secrets::new(keys.collect()).unwrap())
}

pub fn settings() -> ReceiverSettings {
    ReceiverSettings {
        path: "/hook".to_owned(),
        body_limit: BODY_LIMIT,
    }
}

pub fn sign(secret: &str, json: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    hex::encode(mac.chain_update(json).finalize().into_bytes())
}

/// An answer as the sender sees it.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// Sends a request to the routes without a socket. Whatever is asked, the answer closes its
/// connection, leads nowhere else, is short, and is counted once.
pub async fn send(bell: &Arc<Bell>, request: Request<Full<Bytes>>) -> Answer {
    // A line of the log that is first come by where nobody listens can stay off in the whole process, also for the
    // test beside this one that does listen (tracing-core, `callsite`): so somebody always does.
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap();
    });
    let before = bell.answered.lock().unwrap().len();
    let service = TowerToHyperService::new(warp::service(routes(settings(), Arc::clone(bell))));
    let (parts, body) = service.call(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(parts.headers["connection"], "close");
    assert!(!parts.status.is_redirection() && !parts.headers.contains_key("location"));
    assert!(bytes.len() < 250);
    assert_eq!(bell.answered.lock().unwrap().len(), before + 1);
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// A request before it is sent, open to every kind of tampering.
#[derive(Clone)]
pub struct Sent {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Sent {
    /// A JSON delivery as Gitea sends it, signed.
    pub fn json(event: &str, json: &str) -> Sent {
        Sent {
            method: Method::POST,
            path: "/hook".to_owned(),
            headers: HeaderMap::new(),
            body: json.as_bytes().to_vec(),
        }
        .with("content-type", "application/json")
        .with("x-gitea-delivery", "d7df0387-0cc9-42c0-9b9c-886af0a803ec")
        .with("x-gitea-event", event)
        .with("x-gitea-event-type", event)
        .with("x-gitea-signature", &sign(SECRET, json.as_bytes()))
    }

    /// A push to the branch `main` of `a/b`, signed.
    pub fn push() -> Sent {
        Sent::json(
            "push",
            r#"{"ref":"refs/heads/main","before":"01","after":"02","repository":{"full_name":"a/b"}}"#,
        )
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Sent {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub fn and_also(mut self, name: &'static str, value: &str) -> Sent {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub fn without(mut self, name: &str) -> Sent {
        self.headers.remove(name);
        self
    }

    pub fn is_form(&self) -> bool {
        self.headers["content-type"] == "application/x-www-form-urlencoded"
    }

    /// The JSON text that was signed.
    pub fn signed(&self) -> Vec<u8> {
        if !self.is_form() {
            return self.body.clone();
        }
        let mut fields = form_urlencoded::parse(&self.body);
        fields.next().unwrap().1.into_owned().into_bytes()
    }

    /// The same request with another JSON text in it, wrapped as the first one was.
    pub fn with_json(mut self, json: &[u8]) -> Sent {
        self.body = if self.is_form() {
            let encoded: String = form_urlencoded::byte_serialize(json).collect();
            format!("payload={encoded}").into_bytes()
        } else {
            json.to_vec()
        };
        self
    }

    /// The same request with one bit of the decoded signature flipped in each SHA-256 header.
    pub fn with_flipped_signature(mut self, bit: usize) -> Sent {
        for (name, prefix) in [
            ("x-gitea-signature", ""),
            ("x-forgejo-signature", ""),
            ("x-gogs-signature", ""),
            ("x-hub-signature-256", "sha256="),
        ] {
            if let Some(value) = self.headers.get(name) {
                let digits = value.to_str().unwrap().strip_prefix(prefix).unwrap();
                let mut bytes = hex::decode(digits).unwrap();
                bytes[bit / 8] ^= 1 << (bit % 8);
                self = self.with(name, &format!("{prefix}{}", hex::encode(bytes)));
            }
        }
        self
    }

    pub fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(self.body.clone())));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        let peer = Peer::Tcp("192.0.2.7:4711".parse().unwrap());
        request.extensions_mut().insert(peer);
        request
    }

    /// The request as it goes over a wire.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = self.head();
        wire.extend(format!("content-length: {}\r\n\r\n", self.body.len()).bytes());
        wire.extend(&self.body);
        wire
    }

    /// The head as it goes over a wire, without a length and without the line that ends it.
    pub fn head(&self) -> Vec<u8> {
        let mut wire = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\n",
            self.method, self.path
        )
        .into_bytes();
        for (name, value) in &self.headers {
            if name != "content-length" && name != "host" {
                wire.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
            }
        }
        wire
    }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[expect(clippy::disallowed_methods, reason = "test data is read from the disk")]
pub fn read(path: &str) -> Vec<u8> {
    std::fs::read(data().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths below `tests/data` of all files in a folder with this ending, without it, in order.
pub fn names(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(data().join(folder)).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|file| Some(format!("{folder}/{}", file.strip_suffix(ending)?)))
        .collect();
    names.sort();
    names
}

/// A delivery as a real server sent it, to our path.
pub fn recorded(name: &str) -> Sent {
    #[derive(serde::Deserialize)]
    struct Head {
        method: String,
        headers: Vec<(String, String)>,
    }
    let head: Head = serde_json::from_slice(&read(&format!("{name}.headers.json"))).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in head.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(&value).unwrap());
    }
    Sent {
        method: head.method.parse().unwrap(),
        path: "/hook".to_owned(),
        headers,
        body: read(&format!("{name}.body")),
    }
}
