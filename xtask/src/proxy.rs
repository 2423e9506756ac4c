//! A TCP proxy that delays: real fleets are 20 to 100 ms away, loopback is not.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How much is read at once; what TCP itself hands over on loopback.
const CHUNK: usize = 64 << 10;

/// Listens on loopback and passes bytes on, later.
#[derive(Debug)]
pub struct DelayingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    one_way: AtomicU64,
    open: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl DelayingProxy {
    /// Starts a proxy to `target` whose round trip takes `round_trip` longer than the target's own.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(target: SocketAddr, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            one_way: AtomicU64::new(0),
            open: AtomicBool::new(true),
            streams: Mutex::default(),
        });
        let proxy = Self {
            address,
            shared: Arc::clone(&shared),
        };
        proxy.set_round_trip(round_trip);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if !shared.open.load(Ordering::SeqCst) {
                    break;
                }
                if let Ok(stream) = stream {
                    let shared = Arc::clone(&shared);
                    // A target that refuses shows as a connection that closes at once.
                    thread::spawn(move || shared.join(stream));
                }
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the delay, also of connections that are open.
    pub fn set_round_trip(&self, round_trip: Duration) {
        let half = u64::try_from(round_trip.as_micros() / 2).unwrap_or(u64::MAX);
        self.shared.one_way.store(half, Ordering::SeqCst);
    }

    /// Breaks every open connection, as a NAT that forgets them does; new ones are served.
    pub fn drop_connections(&self) {
        for stream in self.shared.streams().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for DelayingProxy {
    fn drop(&mut self) {
        self.shared.open.store(false, Ordering::SeqCst);
        self.drop_connections();
        // Wakes the listening thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: Arc<Self>, near: TcpStream) -> std::io::Result<()> {
        thread::sleep(self.one_way());
        let far = TcpStream::connect(self.target)?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
            self.streams().push(stream.try_clone()?);
        }
        for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
            let (sender, receiver) = channel();
            thread::spawn(move || read(from, &sender));
            let shared = Arc::clone(&self);
            thread::spawn(move || shared.write(to, &receiver));
        }
        Ok(())
    }

    fn one_way(&self) -> Duration {
        Duration::from_micros(self.one_way.load(Ordering::SeqCst))
    }

    /// Writes each piece when it is old enough; the order is kept, and pieces on their way do not wait for one another.
    fn write(&self, mut to: TcpStream, pieces: &Receiver<(Instant, Vec<u8>)>) {
        for (read_at, piece) in pieces {
            thread::sleep(self.one_way().saturating_sub(read_at.elapsed()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

fn read(mut from: TcpStream, pieces: &Sender<(Instant, Vec<u8>)>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let piece = chunk.get(..count).unwrap_or_default().to_vec();
        if pieces.send((Instant::now(), piece)).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it reads.
    fn echo() -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        Ok(address)
    }

    #[test]
    fn a_round_trip_takes_as_long_as_was_asked_and_bytes_arrive_whole() -> Result<()> {
        let proxy = DelayingProxy::start(echo()?, Duration::from_millis(60))?;
        let mut stream = TcpStream::connect(proxy.address())?;
        let text: Vec<u8> = (0..200_000_u32)
            .map(|number| u8::try_from(number % 251).unwrap())
            .collect();
        let start = Instant::now();
        let mut writer = stream.try_clone()?;
        let sent = text.clone();
        thread::spawn(move || writer.write_all(&sent));
        let mut received = vec![0; text.len()];
        stream.read_exact(&mut received)?;
        assert!(start.elapsed() >= Duration::from_millis(60));
        assert!(received == text);
        Ok(())
    }

    #[test]
    fn dropped_connections_end_and_new_ones_are_served() -> Result<()> {
        let proxy = DelayingProxy::start(echo()?, Duration::ZERO)?;
        let mut stream = TcpStream::connect(proxy.address())?;
        stream.write_all(b"a")?;
        stream.read_exact(&mut [0])?;
        proxy.drop_connections();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        let mut stream = TcpStream::connect(proxy.address())?;
        stream.write_all(b"b")?;
        stream.read_exact(&mut [0])?;
        Ok(())
    }
}
