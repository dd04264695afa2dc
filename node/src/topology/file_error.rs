//! What is wrong with a file that a person wrote: [`FileError`] names the file, the line where it
//! is known, the key and the mend.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong in a configuration or topology file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file, once it is known.
    pub file: Option<PathBuf>,
    /// The line, from 1, where the format tells it.
    pub line: Option<usize>,
    /// The key; empty where the text is no TOML at all.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do; empty where the problem says it.
    pub mend: String,
}

impl FileError {
    /// A problem of `key`.
    #[must_use]
    pub fn new(
        key: impl Into<String>,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let (key, problem, mend) = (key.into(), problem.into(), mend.into());
        Self { file: None, line: None, key, problem, mend }
    }

    /// What the TOML reader found in `text`, with the line and the key written there.
    #[must_use]
    pub fn toml(text: &str, error: &toml::de::Error) -> Self {
        let mut found = Self::new("", error.message().replace('\n', ", "), "");
        let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
            return found;
        };
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        found.line = Some(before.matches('\n').count() + 1);
        let line = text[start..].lines().next().unwrap_or("");
        if let Some((key, _)) = line.split_once('=') {
            found.key = key.trim().to_owned();
        }
        found
    }

    /// The same problem, in `file`.
    #[must_use]
    pub fn in_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", file.display())?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": ")?;
        } else if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.problem)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "; {}", self.mend) }
    }
}

impl std::error::Error for FileError {}
