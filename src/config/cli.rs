//! The command line, and what it asks for.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::admin::{AdminVerb, ConfigVerb, Connection, Where};
use super::problem::{Problem, Problems, variable_of};
use super::surroundings::Surroundings;
use super::{Config, Raw};

/// Usage errors and settings that cannot be used end the process with this code.
const EXIT_USAGE: u8 = 2;
const AFTER_HELP: &str = "Every setting is a flag and an environment variable; a .env file in the working directory is \
                          read too. The flag wins over the environment, the environment over the file.\n\
                          HTTPS_PROXY and NO_PROXY are honoured for calls to providers.";

/// The verbs that take all settings.
const WITH_SETTINGS: [&str; 3] = ["serve", "migrate", "rotate-encryption"];

#[derive(Parser)]
#[command(name = "unified-gateway", version, about, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    settings: Raw,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the gateway (also what is done without a command)
    #[command(after_help = AFTER_HELP)]
    Serve(Box<Raw>),
    /// Bring the schema of the database up to date, and leave
    #[command(after_help = AFTER_HELP)]
    Migrate(Box<Raw>),
    /// Encrypt all stored credentials anew with the active key, while the gateway runs; can be stopped and run again
    #[command(after_help = AFTER_HELP)]
    RotateEncryption(Box<Raw>),
    /// Administer a running gateway
    Admin {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        verb: AdminVerb,
    },
    /// The configuration of a running gateway as a file
    Config {
        #[command(flatten)]
        place: Where,
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Print a script that completes this command in a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Look at the models the gateway knows
    #[command(subcommand)]
    Catalog(CatalogVerb),
    /// Print the version
    Version,
}

#[derive(Subcommand)]
enum CatalogVerb {
    /// List known models with their limits and prices
    List {
        /// Only models of this provider
        #[arg(long, value_name = "PROVIDER")]
        provider: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// How many models each adapter has, per operation, instead of the models
        #[arg(long, conflicts_with_all = ["provider", "json"])]
        counts: bool,
    },
    /// Check the catalog's data files
    Validate,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run the gateway.
    Serve(Box<Config>),
    /// Bring the database's schema up to date.
    Migrate(Box<Config>),
    /// Encrypt stored credentials anew with the active key.
    RotateEncryption(Box<Config>),
    /// Administer a running gateway.
    Admin(Box<Connection>, AdminVerb),
    /// The configuration of a running gateway as a file.
    Config(Box<Connection>, ConfigVerb),
    /// Print a completion script.
    Completion(Vec<u8>),
    /// List known models.
    CatalogList {
        /// Only models of this provider.
        provider: Option<String>,
        /// As JSON.
        json: bool,
    },
    /// Count known models per adapter and operation.
    CatalogCounts,
    /// Check the catalog's data files.
    CatalogValidate,
    /// Print the version.
    Version,
}

/// Why there is nothing to run: help was asked for, the command line is not understood, or settings cannot be used.
#[derive(Debug)]
pub enum Stop {
    /// Help, version, or a usage error, rendered by the command line's parser.
    Usage(Box<clap::Error>),
    /// Every setting that cannot be used.
    Settings(Vec<Problem>),
}

impl Stop {
    /// Tells the user (help on standard output, errors on standard error) and answers the process's exit code: 0 after
    /// help and version, else 2.
    #[must_use]
    pub fn print(&self) -> ExitCode {
        // With standard output and error closed there is no one left to tell.
        match self {
            Self::Usage(error) => {
                let _closed = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
            }
            Self::Settings(_) => {
                let _closed = write!(std::io::stderr(), "{self}");
                ExitCode::from(EXIT_USAGE)
            }
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::Settings(problems) => {
                writeln!(f, "These settings cannot be used:")?;
                problems.iter().try_for_each(|problem| writeln!(f, "  {problem}"))
            }
        }
    }
}

impl std::error::Error for Stop {}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        Self::Usage(Box::new(error))
    }
}

/// Reads the command line (program name first) and the settings around this process.
///
/// # Errors
/// [`Stop`] when there is nothing to run; print it and leave with its exit code.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Stop> {
    parse_with(args, &Surroundings::of_process())
}

/// [`parse`] with surroundings of the caller's making.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(args: impl IntoIterator<Item = OsString>, surroundings: &Surroundings) -> Result<Command, Stop> {
    let matches = definition().try_get_matches_from(args)?;
    let verb = Cli::from_arg_matches(&matches)?.verb;
    let flags_of = |verb| matches.subcommand_matches(verb).unwrap_or(&matches);
    Ok(match verb {
        None => Command::Serve(settings(&matches, surroundings)?),
        Some(Verb::Serve(_)) => Command::Serve(settings(flags_of("serve"), surroundings)?),
        Some(Verb::Migrate(_)) => Command::Migrate(settings(flags_of("migrate"), surroundings)?),
        Some(Verb::RotateEncryption(_)) => {
            Command::RotateEncryption(settings(flags_of("rotate-encryption"), surroundings)?)
        }
        Some(Verb::Admin { place, verb }) => {
            Command::Admin(Box::new(place.connection(surroundings).map_err(Stop::Settings)?), verb)
        }
        Some(Verb::Config { place, verb }) => {
            Command::Config(Box::new(place.connection(surroundings).map_err(Stop::Settings)?), verb)
        }
        Some(Verb::Completion { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut definition(), "unified-gateway", &mut script);
            Command::Completion(script)
        }
        Some(Verb::Catalog(CatalogVerb::List { counts: true, .. })) => Command::CatalogCounts,
        Some(Verb::Catalog(CatalogVerb::List { provider, json, counts: false })) => {
            Command::CatalogList { provider, json }
        }
        Some(Verb::Catalog(CatalogVerb::Validate)) => Command::CatalogValidate,
        Some(Verb::Version) => Command::Version,
    })
}

fn settings(flags: &ArgMatches, surroundings: &Surroundings) -> Result<Box<Config>, Stop> {
    let mut problems = Problems::default();
    surroundings.file_problem().cloned().into_iter().for_each(|problem| problems.note(problem));
    let raw = merge(flags, surroundings, &mut problems)?;
    raw.check(surroundings, problems).map(Box::new).map_err(Stop::Settings)
}

/// Puts flags, environment and file together into one list of flags, which then takes the defaults for the rest.
fn merge(flags: &ArgMatches, surroundings: &Surroundings, problems: &mut Problems) -> Result<Raw, clap::Error> {
    let definition = settings_definition().no_binary_name(true);
    let mut merged = Vec::new();
    for setting in definition.get_opts() {
        let Some(long) = setting.get_long() else { continue };
        let id = setting.get_id().as_str();
        let from_flag = (flags.value_source(id) == Some(ValueSource::CommandLine))
            .then(|| flags.get_one::<String>(id).cloned())
            .flatten()
            .filter(|value| !value.is_empty());
        let variables = variables_of(long);
        let value = from_flag.or_else(|| variables.iter().find_map(|name| surroundings.find(name, problems)));
        merged.extend(value.map(|value| format!("--{long}={value}")));
    }
    Raw::from_arg_matches(&definition.try_get_matches_from(merged)?)
}

/// The variables a setting is read from, the stronger first.
fn variables_of(long: &str) -> Vec<String> {
    let mut variables = vec![variable_of(long)];
    if long == "gateway-env" {
        variables.push("NODE_ENV".to_owned());
    }
    variables
}

/// The settings alone, as flags.
pub(super) fn settings_definition() -> clap::Command {
    Raw::augment_args(clap::Command::new("settings"))
}

/// The whole command line. The help of each setting names its variable.
fn definition() -> clap::Command {
    let settings: Vec<String> = settings_definition().get_opts().map(|arg| arg.get_id().to_string()).collect();
    let name_variable = move |arg: Arg| match (settings.iter().any(|id| arg.get_id() == id), arg.get_long()) {
        (true, Some(long)) => {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let variable = variable_of(long);
            arg.help(format!("{help} [env: {variable}]"))
        }
        (_, _) => arg,
    };
    WITH_SETTINGS.into_iter().fold(Cli::command().mut_args(name_variable.clone()), |command, verb| {
        command.mut_subcommand(verb, |verb| verb.mut_args(name_variable.clone()))
    })
}
