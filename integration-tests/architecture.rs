//! The house rules as tests: who may import whom, where crates are at home, and what must exist beside what.
//!
//! The map is read from the sources themselves: comments, strings and test code are struck out, then every path that
//! starts at the crate's root is looked up in [`ROOMS`]. Each check is also shown a planted violation.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use unified_gateway::config::settings_table;
use unified_gateway::fault::Kind;

use crate::source_scan::{mentions, paths_from_root, without_comments_and_strings, without_tests};

/// A room of the house and the rooms it may import. `api` and its rooms see each other's declarations.
const ROOMS: [(&str, &[&str]); 29] = [
    ("time", &[]),
    ("fault", &[]),
    ("telemetry", &["time"]),
    ("domain", &["time"]),
    ("canonical", &["domain"]),
    ("vault", &["domain", "fault"]),
    ("config", &["domain", "vault", "fault", "time"]),
    ("catalog", &["domain", "canonical", "fault"]),
    ("dialects", &["canonical", "fault"]),
    ("tokens", &["canonical", "fault"]),
    ("documents", &[]),
    ("routing", &["domain", "catalog", "fault", "time", "vault"]),
    ("transport", &["domain", "fault", "telemetry", "time"]),
    ("providers", &["domain", "canonical", "dialects", "transport", "fault"]),
    ("ledger", &["domain", "fault", "time"]),
    // Where Redis is, the ledger knows.
    ("cache", &["domain", "ledger", "fault", "time"]),
    ("store", &["domain", "fault", "time"]),
    (
        "gateway",
        &[
            "canonical",
            "dialects",
            "documents",
            "domain",
            "routing",
            "providers",
            "tokens",
            "transport",
            "ledger",
            "cache",
            "fault",
            "telemetry",
            "time",
            "vault",
        ],
    ),
    ("control", &["domain", "catalog", "store", "routing", "ledger", "cache", "fault", "telemetry", "time", "vault"]),
    ("proto", &[]),
    (
        "api",
        &[
            "api/http",
            "api/grpc",
            "api/openapi",
            "api/rest",
            "api/ops",
            "dialects",
            "domain",
            "fault",
            "telemetry",
            "time",
            "vault",
        ],
    ),
    ("api/http", &["api", "gateway", "dialects", "canonical", "fault", "telemetry", "time", "vault"]),
    ("api/grpc", &["api", "control", "domain", "fault", "telemetry", "time", "vault", "proto"]),
    ("api/rest", &["api", "control", "domain", "fault", "telemetry", "time", "vault", "proto"]),
    ("api/openapi", &["api", "canonical", "dialects", "domain", "fault", "telemetry"]),
    ("api/ops", &["api", "routing", "ledger", "fault", "telemetry", "time", "vault"]),
    ("cli", &["config", "domain", "fault", "time"]),
    ("app", EVERYTHING),
    // The crate's root declares the rooms; the binary's runs the app.
    ("lib.rs", &[]),
];
/// For the one room that wires the others together.
const EVERYTHING: &[&str] = &["*"];

/// A path that is at home in some rooms only. `~` stands for a room and all rooms below it.
const HOMES: [(&str, &[&str]); 54] = [
    ("pdf_extract::", &["documents"]),
    ("rustix::", &["documents"]),
    ("tokio::process", &["documents"]),
    ("multer::", &["api/http"]),
    ("lofty::", &["gateway"]),
    ("img_parts::", &["gateway"]),
    ("tempfile::", &["transport"]),
    ("sqlx::", &["store"]),
    ("redis::", &["ledger", "cache"]),
    ("hyper::", &["transport", "app"]),
    ("hyper_util::", &["transport", "app"]),
    ("hyper_rustls::", &["transport", "app"]),
    ("rustls::", &["transport", "app"]),
    ("rustls_native_certs::", &["transport", "app"]),
    ("axum::", &["api", "api/http", "api/grpc", "api/openapi", "api/rest", "api/ops", "app"]),
    ("tonic::", &["api/grpc", "proto", "app", "cli"]),
    ("tonic_health::", &["api/grpc", "app"]),
    ("tonic_prost::", &["api/grpc", "proto"]),
    ("tonic_reflection::", &["api/grpc", "app"]),
    ("tonic_types::", &["api/grpc", "cli"]),
    ("prost::", &["api/grpc", "proto", "cli", "telemetry"]),
    // Only tests read what is sent by the definitions of others.
    ("opentelemetry_proto::", &[]),
    ("prost_reflect::", &["cli", "api/openapi"]),
    ("comfy_table::", &["cli"]),
    ("serde_saphyr::", &["cli"]),
    ("clap_complete::", &["config"]),
    ("prost_types::", &["api/grpc", "proto"]),
    ("arc_swap::", &["routing", "telemetry"]),
    ("prometheus_client::", &["telemetry"]),
    ("tracing_subscriber::", &["telemetry"]),
    ("aes_gcm::", &["vault"]),
    ("sha2::", &["vault"]),
    ("subtle::", &["vault"]),
    ("crc32fast::", &["vault", "ledger"]),
    ("rand::", &["vault"]),
    // The encryption keys of the settings, keys of certificates and rendered requests with credentials are wiped, too.
    ("zeroize::", &["vault", "config", "control", "app"]),
    ("tokio_rustls::", &["app"]),
    ("tower_http::", &["api/http", "app"]),
    ("rcgen::", &[]),
    ("clap::", &["config"]),
    ("dotenvy::", &["config"]),
    ("jiff::", &["time"]),
    ("SystemTime::now", &["time"]),
    // In the gateway it is tokio's, which tests can pause; clippy.toml bans the standard library's.
    ("Instant::now", &["time", "gateway"]),
    ("env::var", &["config"]),
    ("env::vars", &["config"]),
    ("env::var_os", &["config"]),
    ("env::vars_os", &["config"]),
    ("tokio::spawn", &["app"]),
    ("task::spawn", &["app"]),
    ("task::spawn_local", &["app"]),
    ("JoinSet", &["app"]),
    ("TaskTracker", &["app"]),
    ("thread::spawn", &["app"]),
];

const MAIN_LINES: usize = 60;
const MOD_LINES: usize = 300;

#[test]
fn every_room_imports_only_what_the_map_allows() {
    let mut violations = Vec::new();
    for (path, text) in sources() {
        violations.extend(violations_in(&path, &text));
    }
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("gateway/dispatch.rs", "use crate::store::Stores;", "store"),
        ("gateway/dispatch.rs", "use crate::{\n    fault::{Fault, Kind},\n    control::keys,\n};", "control"),
        ("gateway/dispatch.rs", "fn f() -> crate::store::Stores { g() }", "store"),
        ("gateway/text/read.rs", "use super::super::super::control;", "control"),
        ("gateway/mod.rs", "use super::control;", "control"),
        ("gateway/x.rs", "use unified_gateway::control;", "control"),
        ("control/keys.rs", "use crate::dialects::openai_chat;", "dialects"),
        ("domain/money.rs", "use crate::fault::Fault;", "fault"),
        ("api/http/chat.rs", "use crate::control::deployment;", "control"),
        ("api/grpc/keys.rs", "use crate::api::http::body;", "api/http"),
        ("cellar/mod.rs", "use crate::time::Clock;", "not on the map"),
        ("routing/plan.rs", "use crate::cellar::wine;", "cellar"),
        ("store/mod.rs", "use crate::*;", "*"),
        ("store/sqlite/mod.rs", "// \"\nuse crate::{control /* } */};", "control"),
        ("store/sqlite/mod.rs", "const C: char = '\"';\nuse crate::control;", "control"),
        ("routing/plan.rs", "use sqlx::SqlitePool;", "sqlx"),
        ("control/keys.rs", "use rand::Rng as _;", "rand"),
        ("control/keys.rs", "fn f() { tokio::spawn(g()); }", "tokio::spawn"),
        ("control/keys.rs", "use tokio::task::JoinSet;", "JoinSet"),
        ("api/rest/keys.rs", "fn f() { std::env::var(\"PORT\"); }", "env::var"),
        ("store/x.rs", "#[cfg(not(test))]\nmod inner { use crate::control; }", "control"),
    ];
    for (path, text, word) in planted {
        let found = violations_in(path, text);
        assert!(matches!(found.as_slice(), [one] if one.contains(word)), "{path}: {text}: {found:?}");
    }
}

#[test]
fn what_is_allowed_or_no_code_is_left_alone() {
    for (path, text) in [
        ("gateway/dispatch.rs", "use crate::fault::{Fault, Kind};\nuse crate::{routing::plan, gateway::attempt};"),
        ("gateway/dispatch.rs", "//! See [`crate::store`].\n/* crate::control */ const S: &str = \"crate::control\";"),
        ("gateway/dispatch.rs", "const S: &str = r#\"a \" crate::control\"#; fn f<'a>(c: char) -> bool { c == '\"' }"),
        ("gateway/dispatch.rs", "#[cfg(test)]\nmod tests { use crate::store::Stores; fn f() { if x { y } } }"),
        ("gateway/dispatch.rs", "#[cfg(test)]\nuse crate::store::Stores;\nfn f() {}"),
        ("gateway/text/tests.rs", "use crate::store::Stores;"),
        ("store/conformance/keys.rs", "use crate::vault::hash_key; use sha2::Sha256;"),
        ("app/build.rs", "use crate::store::Stores; use crate::api::http; fn f() { tokio::spawn(g()); }"),
        ("gateway/dispatch.rs", "use super::attempt; use my_sqlx::x; fn operand::f() {}"),
        ("vault/mod.rs", "use rand::Rng;"),
    ] {
        assert_eq!(violations_in(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn the_rooms_of_the_map_are_named_once_and_know_each_other() {
    let names: BTreeSet<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), ROOMS.len());
    for (room, imports) in ROOMS {
        assert!(imports == EVERYTHING || imports.iter().all(|import| names.contains(import)), "{room}");
    }
    assert!(HOMES.iter().flat_map(|(_, rooms)| *rooms).all(|room| names.contains(room)));
}

#[test]
fn the_two_control_planes_of_the_map_stay_apart() {
    let imports = |room: &str| ROOMS.iter().find(|(name, _)| *name == room).map(|(_, imports)| *imports).unwrap();
    assert!(["store", "control"].iter().all(|other| !imports("gateway").contains(other)));
    assert!(["gateway", "dialects", "transport"].iter().all(|other| !imports("control").contains(other)));
}

#[test]
fn migrations_of_both_databases_are_paired_and_numbered() {
    let folder = root().join("migrations");
    let of = |database: &str| names_in(&folder.join(database));
    let problems = migration_problems(&of("sqlite"), &of("postgres"));
    assert!(problems.is_empty(), "{problems:?}");

    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(migration_problems(&names(&["0001_a.sql", "0002_b.sql"]), &[]).is_empty());
    for (sqlite, postgres) in [
        (&["0001_a.sql"][..], &["0001_b.sql"][..]),
        (&["0001_a.sql", "0002_b.sql"], &["0001_a.sql"]),
        (&["0001_a.sql", "0001_b.sql"], &[]),
        (&["1_a.sql"], &[]),
        (&["0001_A-b.sql"], &[]),
        (&["0001_a.txt"], &[]),
    ] {
        assert!(!migration_problems(&names(sqlite), &names(postgres)).is_empty(), "{sqlite:?} {postgres:?}");
    }
}

#[test]
fn every_fault_has_a_page_that_says_what_the_table_says() {
    let folder = root().join("docs/errors");
    for kind in Kind::ALL {
        let row = kind.row();
        let path = folder.join(format!("{}.md", row.slug));
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let code = row.code.map_or_else(|| "`null`".to_owned(), |code| format!("`{code}`"));
        for fact in [
            format!("# {}\n", row.slug),
            format!("| HTTP status | {} |", row.http),
            format!("| gRPC status | `{}` |", screaming(&format!("{:?}", row.grpc))),
            format!("| `error.type`, OpenAI shape | `{}` |", row.openai_type),
            format!("| `error.type`, Anthropic shape | `{}` |", row.anthropic_type),
            format!("| `error.code` | {code}"),
            format!("> {}\n", row.sentence),
            "## When it happens\n".to_owned(),
            "## How to mend it\n".to_owned(),
        ] {
            assert!(page.contains(&fact), "{} lacks: {fact}", path.display());
        }
    }
    let pages = names_in(&folder).len();
    assert_eq!(pages, Kind::ALL.len(), "docs/errors has a page of no fault");
}

#[test]
fn every_fixture_is_used_by_a_test() {
    let tests = root().join("integration-tests");
    let mut readers = String::new();
    for path in files_below(&tests).into_iter().chain(files_below(&root().join("src"))) {
        let is_fixture = path.starts_with(tests.join("fixtures"));
        if !is_fixture && let Ok(text) = fs::read_to_string(&path) {
            readers.push_str(&text);
        }
    }
    let fixtures = files_below(&tests.join("fixtures"));
    let fixtures: Vec<String> = fixtures.iter().map(|path| relative(&tests, path)).collect();
    let unused = unused_fixtures(&fixtures, &readers);
    assert!(unused.is_empty(), "{unused:?}");

    let two = ["fixtures/chat/hello.json".to_owned(), "fixtures/chat/lost.json".to_owned()];
    assert_eq!(unused_fixtures(&two, "load(\"hello.json\")"), ["fixtures/chat/lost.json"]);
    assert!(unused_fixtures(&two, "every(\"fixtures/chat\")").is_empty());
}

#[test]
fn main_stays_short_and_tables_of_contents_stay_tables_of_contents() {
    for (path, text) in sources() {
        let limit = match path.rsplit('/').next() {
            Some("main.rs") => MAIN_LINES,
            Some("mod.rs") => MOD_LINES,
            Some(_) | None => continue,
        };
        let lines = text.lines().count();
        assert!(lines <= limit, "src/{path} has {lines} lines; at most {limit}");
    }
}

#[test]
fn the_settings_table_of_the_readme_is_the_generated_one() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- settings -->\n").expect("README.md has a settings mark");
    let (table, _) = rest.split_once("<!-- /settings -->").expect("README.md has an end mark");
    let expected = settings_table();
    assert!(table.trim() == expected.trim(), "put this between the settings marks of README.md:\n\n{expected}");
}

// The map.

/// What `text`, the file at `path` below `src/`, does that the map does not allow. Test code may do anything.
fn violations_in(path: &str, text: &str) -> Vec<String> {
    if is_test_file(path) || path == "main.rs" {
        return Vec::new();
    }
    let Some(room) = room_of_file(path) else {
        return vec![format!("src/{path}: its folder is not on the map; add it to ROOMS")];
    };
    let code = without_tests(&without_comments_and_strings(text));
    let allowed = ROOMS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, imports)| *imports);
    let mut violations = Vec::new();
    let reached = paths_from_root(path, &code);
    let rooms: BTreeSet<String> = reached.iter().map(|parts| room_of_import(parts)).collect();
    for import in rooms {
        if import != room && allowed != EVERYTHING && !allowed.contains(&import.as_str()) {
            violations.push(format!("src/{path}: {room} may not import {import}"));
        }
    }
    for (name, homes) in HOMES {
        if !homes.contains(&room.as_str()) && mentions(&code, name) {
            violations.push(format!(
                "src/{path}: {} is not at home in {room}, only in {homes:?}",
                name.trim_end_matches(':')
            ));
        }
    }
    violations
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.ends_with("/conformance.rs")
        || path.split('/').any(|part| part == "conformance" || part == "parity" || part == "tests")
}

/// The room that a file below `src/` belongs to. `None` when the map has none.
fn room_of_file(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    match parts.as_slice() {
        ["lib"] => Some("lib.rs".to_owned()),
        parts => room_of_path(parts),
    }
}

/// The room of a path from the crate's root; its first name when it is in none.
fn room_of_import(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    room_of_path(&parts).unwrap_or_else(|| parts.join("::"))
}

fn room_of_path(parts: &[&str]) -> Option<String> {
    let longer = parts.get(..2).map(|two| two.join("/"));
    let shorter = parts.first().map(|one| (*one).to_owned());
    let known = |name: &String| ROOMS.iter().any(|(room, _)| room == name);
    longer.filter(known).or_else(|| shorter.filter(known))
}

// Files.

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source below `src/`: its path there, and its text.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let paths = files_below(&src).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let sources: Vec<_> = paths.map(|path| (relative(&src, &path), fs::read_to_string(&path).unwrap())).collect();
    assert!(sources.len() > 40, "the sources were not found");
    sources
}

/// All files below a folder, sorted; none when there is no such folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

fn names_in(folder: &Path) -> Vec<String> {
    files_below(folder).iter().map(|path| relative(folder, path)).collect()
}

fn relative(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/")
}

/// What is wrong with two lists of migrations, sorted by name. The second database may be absent altogether.
fn migration_problems(sqlite: &[String], postgres: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut last = 0;
    for name in sqlite {
        let number = name.get(..4).and_then(|number| number.parse::<u32>().ok()).filter(|number| *number == last + 1);
        last = number.unwrap_or(last);
        let word = number.and_then(|_| name.get(4..)?.strip_prefix('_')?.strip_suffix(".sql"));
        let clean =
            |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !word.is_some_and(|word| !word.is_empty() && clean(word)) {
            problems.push(format!("{name}: expected NNNN_lower_case.sql with the next number"));
        }
    }
    if !postgres.is_empty() && sqlite != postgres {
        problems.push(format!("not the same in both databases: {sqlite:?} {postgres:?}"));
    }
    problems
}

/// Fixtures that no reader names, neither by file nor by folder.
fn unused_fixtures(fixtures: &[String], readers: &str) -> Vec<String> {
    let is_used = |path: &str| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let stem = name.split('.').next().unwrap_or(name);
        let by_folder = folder != "fixtures" && readers.contains(folder);
        by_folder || readers.contains(name) || readers.contains(&format!("\"{stem}\""))
    };
    fixtures.iter().filter(|path| !is_used(path)).cloned().collect()
}

/// `InvalidArgument` as `INVALID_ARGUMENT`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for (at, c) in name.char_indices() {
        let separator = if at > 0 && c.is_ascii_uppercase() { "_" } else { "" };
        let _ = write!(text, "{separator}{}", c.to_ascii_uppercase());
    }
    text
}
