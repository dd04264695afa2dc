//! What only a terminal gets to see, on one of the test's own: colours, unless `NO_COLOR` is set,
//! and bars of long work. Nobody else gets either.

use holm::server::cluster::free_ports;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What begins a colour, a clear of a line, and whatever else a terminal is told.
const ESCAPE: &str = "\x1b[";
/// When something that must happen counts as not happening.
const STUCK: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A program on a terminal, ended with this.
struct Shown {
    screen: File,
    child: Child,
}

impl Shown {
    fn start(words: &[&str], no_color: bool) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("it can be used");
        let name = ptsname(&screen, Vec::new()).expect("its name");
        let name = Path::new(OsStr::from_bytes(name.as_bytes())).to_owned();
        let open = || OpenOptions::new().read(true).write(true).open(&name).expect("its other end");
        let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
        command.args(words).stdin(open()).stdout(open()).stderr(open());
        command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("HOLM_LOG");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let child = command.spawn().expect("it starts");
        // The command holds the other end too: without it the screen never ends.
        drop(command);
        Self { screen: screen.into(), child }
    }

    /// What it shows until it says this, or ends.
    fn until(&mut self, word: &str) -> String {
        let (mut shown, mut piece) = (String::new(), [0; 4096]);
        while !shown.contains(word) {
            let mut ready = [PollFd::new(&self.screen, PollFlags::IN)];
            let count = poll(&mut ready, Some(&STUCK)).expect("it can be waited for");
            assert!(count > 0, "nothing more comes: {shown:?}");
            // A terminal whose other end is closed gives an error.
            let Ok(count @ 1..) = self.screen.read(&mut piece) else { break };
            shown.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        shown
    }

    fn all(mut self) -> String {
        let shown = self.until("\0 is never shown");
        assert!(self.child.wait().expect("it ended").success(), "{shown}");
        shown
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it says where nothing is a terminal: on standard output, and on standard error.
fn piped(words: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holm"));
    let output = command.args(words).stdin(Stdio::null()).env_remove("NO_COLOR").output();
    let output = output.expect("it ran");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

#[test]
fn help_has_colours_on_a_terminal_that_wants_them_alone() {
    let words = ["members", "--help"];
    assert!(Shown::start(&words, false).all().contains(ESCAPE));
    let plain = Shown::start(&words, true).all();
    assert!(!plain.contains(ESCAPE) && plain.contains("Usage"), "{plain:?}");
    assert!(!piped(&words).0.contains(ESCAPE));
}

#[test]
fn a_members_log_has_colours_on_a_terminal_that_wants_them_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("c");
    piped(&["init", "--members", "1", "--dir", dir.to_str().expect("text")]);
    let config = dir.join("node1/holm.toml");
    let ports = free_ports(2).expect("ports");
    let [links, http] = [0, 1].map(|nth: usize| format!("127.0.0.1:{}", ports[nth]));
    for (no_color, forms) in [(false, Some("--bootstrap")), (true, None)] {
        let config = config.to_str().expect("text");
        let listens = ["--listen", links.as_str(), "--http", http.as_str()];
        let mut words = [&["serve", "--config", config], &listens[..]].concat();
        words.extend(forms);
        let log = Shown::start(&words, no_color).until("listening for HTTP");
        assert!(log.contains("INFO"), "{log:?}");
        assert_eq!(log.contains(ESCAPE), !no_color, "{log:?}");
    }
}

#[test]
fn long_work_has_a_bar_on_a_terminal_alone() {
    let words = ["bench", "--clients", "1", "--seconds", "1"];
    let shown = Shown::start(&words, false).all();
    assert!(shown.contains("1 clients") && shown.contains(ESCAPE), "{shown:?}");
    let (out, error) = piped(&words);
    assert!(out.contains("p50"), "{out}");
    assert!(!out.contains(ESCAPE) && error.is_empty(), "{out} {error}");
}
