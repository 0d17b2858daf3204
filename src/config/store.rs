//! Where state lives.

use std::path::PathBuf;

use super::problem::Problems;

const NOT_YET: &str = "not supported by this version yet: unset it to run in embedded mode";

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "State")]
pub(super) struct Raw {
    /// Folder of the database and of generated secrets; made when missing
    #[arg(long, value_name = "FOLDER", default_value = "./data")]
    data_dir: String,
    /// PostgreSQL connection URL; not supported by this version yet, leave it unset [default: unset: state is kept in DATA_DIR]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Redis connection URL; not supported by this version yet, leave it unset [default: unset: counters are kept in process]
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
}

/// Where state lives.
#[derive(Debug, Clone)]
pub struct Store {
    /// Folder of the database and of generated secrets. May not exist yet.
    pub data_dir: PathBuf,
}

/// Which way to run was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One process, state in `DATA_DIR`.
    Embedded,
    /// Several replicas around shared databases. Asked for by `DATABASE_URL`; refused so far.
    Clustered,
}

impl Raw {
    pub(super) fn check(&self, problems: &mut Problems) -> (Store, Mode) {
        let data_dir = PathBuf::from(&self.data_dir);
        if data_dir.exists() && !data_dir.is_dir() {
            problems.refuse_given("DATA_DIR", &self.data_dir, "a folder, or a path where one can be made");
        }
        // Never shown: these URLs carry passwords.
        for (variable, given) in [("DATABASE_URL", &self.database_url), ("REDIS_URL", &self.redis_url)] {
            if given.is_some() {
                problems.refuse(variable, NOT_YET);
            }
        }
        let mode = if self.database_url.is_some() { Mode::Clustered } else { Mode::Embedded };
        (Store { data_dir }, mode)
    }
}
