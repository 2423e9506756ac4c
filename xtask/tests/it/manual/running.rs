//! Commands that run beside the test.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::{fs, io};

use anyhow::Result;
use nix::unistd::Pid;
use xtask::claim::record_process;
use xtask::process::wait_for_end;
use xtask::wait::wait_until;

use crate::scene::{SOON, Scene};

/// A command that runs beside the test.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: PathBuf,
}

impl Running {
    pub fn start(scene: &Scene, name: &str, arguments: &[&str]) -> Result<Self> {
        let out = scene.daemon.directory().join(name);
        let file = fs::File::create(&out)?;
        let mut command = scene.daemon.command(arguments);
        let child = command
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file)
            .spawn()?;
        Self::record(scene, child, out)
    }

    /// Starts it with nobody at the other end of its standard output and standard error.
    pub fn deaf(scene: &Scene, arguments: &[&str]) -> Result<Self> {
        let (out, err) = (io::pipe()?.1, io::pipe()?.1);
        let mut command = scene.daemon.command(arguments);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        Self::record(scene, command.spawn()?, "/dev/null".into())
    }

    /// Ends with the daemon's claim, whatever becomes of the test.
    fn record(scene: &Scene, child: Child, out: PathBuf) -> Result<Self> {
        record_process(&scene.daemon.directory(), child.id())?;
        Ok(Self { child, out })
    }

    pub fn wait_for_line(&self, words: &str) -> Result<()> {
        let says = |text: &String| text.contains(words);
        wait_until(words, SOON, || Ok(fs::read_to_string(&self.out)?), says).map(drop)
    }

    pub fn pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }

    /// Waits for its end; gives its exit code and what it said.
    pub fn end(mut self) -> Result<(Option<i32>, String)> {
        let status = wait_for_end(&mut self.child, SOON)?;
        Ok((status.code(), fs::read_to_string(&self.out)?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
