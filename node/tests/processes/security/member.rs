//! One member of a cluster of its own, as a process with its log and its files: [`Member`].

use holm::server::client::{Ask, Client, Endpoint};
use holm::server::cluster::free_ports;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// When something that must happen counts as not happening.
pub(crate) const STUCK: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_holm");

/// A process; it is killed, and its files are gone, when this is dropped.
pub(crate) struct Member {
    pub(crate) endpoint: Endpoint,
    /// Where it accepts HTTP.
    pub(crate) at: String,
    child: Child,
    folder: TempDir,
}

impl Member {
    /// A member with these settings, which leads its cluster of one.
    pub(crate) async fn start(settings: &str) -> Self {
        Self::start_in(folder(), "http", settings).await
    }

    /// One whose settings name files in `folder`.
    pub(crate) async fn start_in(folder: TempDir, scheme: &str, settings: &str) -> Self {
        let port = free_ports(1).expect("a free port")[0];
        let at = format!("127.0.0.1:{port}");
        let text = format!(
            "cluster = \"local\"\nnode = 1\nstorage = \"memory\"\ninsecure = true\n\
             allow_memory_majority = true\n\
             http = \"{at}\"\nmembers = [{{ id = 1, island = \"here\" }}]\n\
             islands = [{{ name = \"here\" }}]\n{settings}"
        );
        let config = folder.path().join("holm.toml");
        fs::write(&config, text).expect("written");
        let log = File::create(folder.path().join("log")).expect("made");
        let mut command = command();
        command.args(["serve", "--bootstrap", "--stop-with-stdin", "--config"]).arg(config);
        command.env("HOLM_LOG", "trace").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("it starts");
        let endpoint = Endpoint::parse(&format!("{scheme}://{at}")).expect("sound");
        let mut member = Self { endpoint, at, child, folder };
        member.up().await;
        member
    }

    /// Waits until it accepts connections and leads.
    async fn up(&mut self) {
        let start = Instant::now();
        while !self.log().contains("leader term=") || TcpStream::connect(&self.at).await.is_err() {
            assert!(start.elapsed() < STUCK, "it does not come up:\n{}", self.log());
            let ended = self.child.try_wait().expect("looked at");
            assert!(ended.is_none(), "it ended ({ended:?}):\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// All that it has logged so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.folder.path().join("holm.toml")).expect("there")
    }

    /// Changes its configuration, which it reads when it is told to.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.folder.path().join("holm.toml"), text).expect("written");
    }

    /// Sends it SIGHUP.
    pub(crate) fn hang_up(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::HUP).expect("it runs");
    }

    /// The most bytes of memory that it has held at once.
    pub(crate) fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("there");
        let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        kib.expect("a number") * 1024
    }

    /// Runs the command line; its exit code, standard output and standard error.
    pub(crate) fn holm(&self, words: &[&str]) -> (i32, String, String) {
        let output = command().args(words).stdin(Stdio::null()).output().expect("it ran");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code().expect("it ended"), text(output.stdout), text(output.stderr))
    }

    /// Where a file beside the member's is.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().expect("text")
    }

    /// Keeps a file beside the member's, and says where.
    pub(crate) fn keep(&self, name: &str, text: &str, mode: u32) -> String {
        keep(&self.folder, name, text, mode)
    }

    /// Sends bytes, and reads until the member closes the connection.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.at).await.expect("connected");
        // It may be closed before all is sent.
        let _ = stream.write_all(bytes).await;
        heard(stream).await
    }

    /// The sum of a metric's samples whose labels contain `label`.
    pub(crate) async fn metric(&self, client: &Client, name: &str, label: &str) -> u64 {
        let answer = client.ask(&self.endpoint, &Ask::get("/metrics"), STUCK).await;
        let text = String::from_utf8(answer.expect("an answer").body.to_vec()).expect("text");
        let of_it = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        of_it.filter_map(value).sum()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It is gone already if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes until the end of a connection.
pub(crate) async fn heard(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    // A connection that is reset has said what it had to say.
    while let Ok(count @ 1..) = within(stream.read(&mut piece)).await {
        bytes.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STUCK, future).await.expect("it is not stuck")
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn keep(folder: &TempDir, name: &str, text: &str, mode: u32) -> String {
    let path = folder.path().join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
    path.into_os_string().into_string().expect("text")
}

/// One of the certificates and keys of these tests.
pub(crate) fn certificate(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates");
    fs::read_to_string::<PathBuf>(folder.join(name)).expect("there")
}

fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("HOLM_")) {
            command.env_remove(name);
        }
    }
    command
}
