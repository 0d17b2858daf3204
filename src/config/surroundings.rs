//! What a process finds around itself: environment variables, a `.env` file, a terminal or none.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{ErrorKind, IsTerminal};

use super::problem::{Problem, Problems};

const FILE: &str = ".env";

/// Everything that settings are read from besides the command line, taken once, so that tests can bring their own.
pub struct Surroundings {
    variables: BTreeMap<OsString, OsString>,
    file: BTreeMap<String, String>,
    file_problem: Option<Problem>,
    stderr_is_terminal: bool,
}

impl Surroundings {
    /// Those of this process: its environment, `.env` in its working directory, its standard error.
    #[must_use]
    pub fn of_process() -> Self {
        let mut surroundings = Self {
            variables: std::env::vars_os().collect(),
            file: BTreeMap::new(),
            file_problem: None,
            stderr_is_terminal: std::io::stderr().is_terminal(),
        };
        match std::fs::read_to_string(FILE) {
            Ok(text) => surroundings.read_file(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => surroundings.file_problem = Some(Problem::about(FILE, format!("cannot be read: {error}"))),
        }
        surroundings
    }

    /// Made up, for tests: these variables, this text as the `.env` file, no terminal.
    #[must_use]
    pub fn made_up(variables: &[(&str, &str)], file: &str) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut surroundings = Self { variables, file: BTreeMap::new(), file_problem: None, stderr_is_terminal: false };
        surroundings.read_file(file);
        surroundings
    }

    #[cfg(test)]
    pub(super) fn set(&mut self, variable: &str, value: OsString) {
        self.variables.insert(variable.into(), value);
    }

    fn read_file(&mut self, text: &str) {
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            match line {
                Ok((name, value)) => {
                    // The first of two lines of the same name wins, as the file's usual readers have it.
                    self.file.entry(name).or_insert(value);
                }
                // Its own message would quote the line, and with it perhaps a secret.
                Err(error) => {
                    self.file_problem.get_or_insert_with(|| not_understood(text, &error));
                }
            }
        }
    }

    /// The value of a variable: the environment's, else the file's. Empty counts as unset.
    pub(super) fn find(&self, variable: &str, problems: &mut Problems) -> Option<String> {
        let given = self.variables.get(&OsString::from(variable)).filter(|value| !value.is_empty());
        match given.map(|value| value.to_str()) {
            Some(Some(value)) => Some(value.to_owned()),
            Some(None) => {
                problems.refuse(variable, "is not valid UTF-8");
                None
            }
            None => self.file.get(variable).filter(|value| !value.is_empty()).cloned(),
        }
    }

    /// What is wrong with the `.env` file itself.
    pub(super) fn file_problem(&self) -> Option<&Problem> {
        self.file_problem.as_ref()
    }

    /// Whether people read standard error.
    pub(super) fn stderr_is_terminal(&self) -> bool {
        self.stderr_is_terminal
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("stderr_is_terminal", &self.stderr_is_terminal).finish_non_exhaustive()
    }
}

fn not_understood(text: &str, error: &dotenvy::Error) -> Problem {
    let number = match error {
        dotenvy::Error::LineParse(line, _) => {
            let start = line.lines().next().unwrap_or_default();
            text.lines().position(|candidate| candidate == start)
        }
        _ => None,
    };
    let place = number.map_or_else(|| FILE.to_owned(), |index| format!("{FILE} line {}", index + 1));
    Problem::about(place, "is not understood; allowed: NAME=value, NAME=\"value\", NAME='value', # comment")
}
