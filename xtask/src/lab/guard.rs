//! What takes the lab down, however it ends: [`Guard`]. A process of its own waits until its
//! standard input ends, which it does when the lab says so, fails, is interrupted or is killed. It
//! ends the members that it was told of, removes the lab's namespaces, and no others.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Signals that end the lab must not end this.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
members=
while read -r member; do members="$members $member"; done
[ -z "$members" ] || kill -9 $members 2>/dev/null
for space in $(ip netns list | cut -d ' ' -f 1); do
    case $space in "$1"*) ip netns delete "$space" ;; esac
done
rm -rf "$2"
"#;

pub(super) struct Guard {
    process: Child,
}

impl Guard {
    /// Watches over the namespaces whose names begin so, and this folder.
    pub(super) fn over(spaces: &str, folder: &Path) -> Result<Self, String> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "holm-lab-guard", spaces]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let process = command.spawn().map_err(|error| format!("sh: {error}"))?;
        Ok(Self { process })
    }

    /// This process ends with the lab.
    pub(super) fn ends(&mut self, member: u32) -> Result<(), String> {
        let input = self.process.stdin.as_mut().ok_or("the guard's input is closed")?;
        writeln!(input, "{member}").map_err(|error| format!("the guard is gone: {error}"))
    }
}

impl Drop for Guard {
    /// Takes all down, and waits until it is.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        match self.process.wait() {
            Ok(status) if status.success() => (),
            other => eprintln!("xtask lab: the guard did not take all down: {other:?}"),
        }
    }
}
