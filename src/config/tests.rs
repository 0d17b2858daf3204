//! The settings as a whole: precedence, problems, rules for secrets.

use std::ffi::OsString;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::logging::LogFormat;
use super::security::Environment;
use super::*;

const STRONG: &str = "correct-horse-battery-staple-and-more";
const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn command(args: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Command, Stop> {
    let args = std::iter::once("unified-gateway").chain(args.iter().copied()).map(OsString::from);
    parse_with(args, &Surroundings::made_up(variables, file))
}

fn config_of(args: &[&str], variables: &[(&str, &str)], file: &str) -> Config {
    match command(args, variables, file) {
        Ok(Command::Serve(config)) => *config,
        other => panic!("not served: {other:?}"),
    }
}

fn config(variables: &[(&str, &str)]) -> Config {
    config_of(&[], variables, "")
}

fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    match command(&[], variables, "") {
        Err(Stop::Settings(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("no problems: {other:?}"),
    }
}

fn usage(args: &[&str]) -> (String, i32) {
    match command(args, &[], "") {
        Err(Stop::Usage(error)) => (error.to_string(), error.exit_code()),
        other => panic!("no usage: {other:?}"),
    }
}

#[test]
fn nothing_at_all_is_embedded_development_on_loopback() {
    let config = config(&[]);
    assert_eq!(config.server.host.to_string(), "127.0.0.1");
    assert_eq!((config.server.port, config.server.grpc_port), (4000, 4001));
    assert_eq!(config.server.shutdown_timeout, Duration::from_secs(30));
    assert!(config.server.admin_http && config.server.public_model_list);
    assert_eq!(config.security.environment, Environment::Development);
    assert!(config.security.master_key.is_none() && config.security.keyring.is_none());
    assert_eq!(config.store.data_dir, std::path::Path::new("./data"));
    assert_eq!(config.limits.max_json_body_bytes, 50 << 20);
    assert_eq!(config.limits.max_inflight_body_bytes, 512 << 20);
    assert_eq!(config.logging.format, LogFormat::Json);
    assert_eq!(config.upstream.error_detail, upstream::ErrorDetail::Sanitized);
    assert!(!config.upstream.strips_exif);
    assert!(config.upstream.extra_authorities.is_none() && config.warnings.is_empty());
}

#[test]
fn the_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let port = |args: &[&str], variables: &[(&str, &str)], file: &str| config_of(args, variables, file).server.port;
    assert_eq!(port(&["--port", "1"], &[("PORT", "2")], "PORT=3"), 1);
    assert_eq!(port(&["serve", "--port=1"], &[("PORT", "2")], "PORT=3"), 1);
    assert_eq!(port(&[], &[("PORT", "2")], "PORT=3"), 2);
    assert_eq!(port(&["serve"], &[], "# mine\nPORT='3'\n"), 3);
    assert_eq!(port(&[], &[], ""), 4000);
}

#[test]
fn an_empty_value_is_unset_everywhere() {
    let config = config_of(&["--port="], &[("PORT", ""), ("HOST", ""), ("DATABASE_URL", "")], "PORT=3");
    assert_eq!(config.server.port, 3);
    assert_eq!(config.server.host.to_string(), "127.0.0.1");
    assert_eq!(config_of(&["--port="], &[], "PORT=").server.port, 4000);
}

#[test]
fn every_value_reaches_its_place() {
    let config = config(&[
        ("HOST", "::"),
        ("PORT", "0"),
        ("GRPC_PORT", "0"),
        ("ADMIN_HTTP", "off"),
        ("PUBLIC_MODEL_LIST", "false"),
        ("TRUSTED_PROXY_HOPS", "2"),
        ("DRAIN_DELAY_MS", "5"),
        ("SHUTDOWN_TIMEOUT_MS", "6"),
        ("DATA_DIR", "/somewhere/else"),
        ("MAX_JSON_BODY_BYTES", "2048"),
        ("MAX_INFLIGHT_BODY_BYTES", "4096"),
        ("MAX_AUDIO_UPLOAD_BYTES", "2049"),
        ("MAX_IMAGE_UPLOAD_BYTES", "2050"),
        ("MAX_INFLIGHT_UPLOAD_BYTES", "4097"),
        ("UPLOAD_DIR", "src"),
        ("HEADER_READ_TIMEOUT_MS", "7"),
        ("BODY_READ_TIMEOUT_MS", "8"),
        ("STREAM_KEEPALIVE_MS", "9"),
        ("CLIENT_WRITE_TIMEOUT_MS", "10"),
        ("LOG_LEVEL", "warn,unified_gateway::routing=DEBUG"),
        ("LOG_FORMAT", "pretty"),
        ("UPSTREAM_CONNECT_TIMEOUT_MS", "11"),
        ("UPSTREAM_ERROR_DETAIL", "generic"),
        ("IMAGES_STRIP_EXIF", "true"),
        ("GATEWAY_ENV", "production"),
        ("MASTER_KEY", STRONG),
        ("CREDENTIALS_ENCRYPTION_KEY", HEX),
    ]);
    let server = &config.server;
    assert_eq!((server.host.to_string().as_str(), server.port, server.grpc_port), ("::", 0, 0));
    assert!(!server.admin_http && !server.public_model_list);
    assert_eq!(server.trusted_proxy_hops, 2);
    let ms = Duration::from_millis;
    assert_eq!((server.drain_delay, server.shutdown_timeout), (ms(5), ms(6)));
    assert_eq!(config.store.data_dir, std::path::Path::new("/somewhere/else"));
    let limits = &config.limits;
    assert_eq!((limits.max_json_body_bytes, limits.max_inflight_body_bytes), (2048, 4096));
    assert_eq!((limits.max_audio_upload_bytes, limits.max_image_upload_bytes), (2049, 2050));
    assert_eq!((limits.max_inflight_upload_bytes, limits.upload_dir.as_path()), (4097, std::path::Path::new("src")));
    assert_eq!((limits.header_read_timeout, limits.body_read_timeout), (ms(7), ms(8)));
    assert_eq!((limits.stream_keepalive, limits.client_write_timeout), (ms(9), ms(10)));
    assert_eq!(config.logging.levels, "warn,unified_gateway::routing=DEBUG");
    assert_eq!(config.logging.format, LogFormat::Pretty);
    assert_eq!(config.upstream.connect_timeout, ms(11));
    assert_eq!(config.upstream.error_detail, upstream::ErrorDetail::Generic);
    assert!(config.upstream.strips_exif);
    assert_eq!(config.security.environment, Environment::Production);
    assert_eq!(config.security.master_key.as_ref().map(ExposeSecret::expose_secret), Some(STRONG));
    assert!(config.security.keyring.is_some() && config.warnings.is_empty());
}

#[test]
fn three_mistakes_are_three_lines() {
    let lines = problems(&[("PORT", "http"), ("LOG_FORMAT", "xml"), ("MASTER_KEY", "unified-mine")]);
    assert_eq!(
        lines,
        [
            "PORT (--port): given \"http\"; allowed: a whole number from 0 to 65535",
            "MASTER_KEY (--master-key): must not start with `unified-`: that is how virtual keys start",
            "LOG_FORMAT (--log-format): given \"xml\"; allowed: json or pretty",
        ]
    );
}

#[test]
fn each_wrong_value_is_refused_by_name() {
    for (variable, value) in [
        ("HOST", "localhost:4000"),
        ("PORT", "65536"),
        ("PORT", "+1"),
        ("PORT", "-1"),
        ("GRPC_PORT", "4000"),
        ("GATEWAY_ENV", "prod"),
        ("LOG_LEVEL", "inf"),
        ("LOG_LEVEL", "info,"),
        ("LOG_LEVEL", "a-b=info"),
        ("LOG_FORMAT", "JSON"),
        ("TRUSTED_PROXY_HOPS", "17"),
        ("SHUTDOWN_TIMEOUT_MS", "30s"),
        ("DRAIN_DELAY_MS", "1.5"),
        ("ADMIN_HTTP", "yes"),
        ("PUBLIC_MODEL_LIST", "on"),
        ("UPSTREAM_ERROR_DETAIL", "full"),
        ("UPSTREAM_CONNECT_TIMEOUT_MS", "0"),
        ("UPSTREAM_CA_FILE", "/no/such/file"),
        ("UPSTREAM_CA_FILE", "Cargo.toml"),
        ("MAX_JSON_BODY_BYTES", "1000"),
        ("MAX_INFLIGHT_BODY_BYTES", "2048"),
        ("MAX_AUDIO_UPLOAD_BYTES", "0"),
        ("MAX_IMAGE_UPLOAD_BYTES", "0"),
        ("MAX_INFLIGHT_UPLOAD_BYTES", "2048"),
        ("UPLOAD_DIR", "/no/such/folder"),
        ("HEADER_READ_TIMEOUT_MS", "0"),
        ("BODY_READ_TIMEOUT_MS", "0"),
        ("STREAM_KEEPALIVE_MS", "0"),
        ("CLIENT_WRITE_TIMEOUT_MS", "0"),
        ("DATA_DIR", "Cargo.toml"),
        ("MASTER_KEY", "two words"),
        ("MASTER_KEY", "schlüssel"),
        ("CREDENTIALS_ENCRYPTION_KEY", "64_hex_chars_32_bytes"),
        ("ACTIVE_ENCRYPTION_KEY_ID", "k1"),
        ("REDIS_URL", "redis://localhost"),
        ("DATABASE_LISTEN_URL", "postgres://localhost/x"),
        ("DATABASE_MAX_CONNECTIONS", "0"),
        ("AUTO_MIGRATE", "maybe"),
        ("READINESS", "lenient"),
    ] {
        let lines = problems(&[(variable, value)]);
        assert!(matches!(lines.as_slice(), [line] if line.starts_with(&format!("{variable} (--"))), "{lines:?}");
    }
}

#[test]
fn production_mode_takes_databases_and_the_secrets_that_replicas_share() {
    let given = [
        ("DATABASE_URL", "postgres://gateway:hunter2@db/x"),
        ("REDIS_URL", "rediss://:hunter2@cache:6380/1"),
        ("MASTER_KEY", STRONG),
        ("CREDENTIALS_ENCRYPTION_KEY", HEX),
    ];
    let shown = format!("{:?}", config(&given));
    assert!(!shown.contains("hunter2"), "{shown}");
    let databases = config(&given).store.databases.unwrap();
    assert!(databases.redis.is_some() && databases.auto_migrate && databases.postgres_listen.is_none());
    assert_eq!(databases.max_connections, 10);
    assert_eq!(config(&given).server.host.to_string(), "0.0.0.0");

    let lines = problems(&[("DATABASE_URL", "postgres://db/x")]).join("\n");
    assert!(lines.contains("MASTER_KEY (--master-key): is required"), "{lines}");
    assert!(lines.contains("CREDENTIALS_ENCRYPTION_KEY (--credentials-encryption-key): is required"), "{lines}");
}

#[test]
fn the_commands_that_work_on_the_store_take_the_same_settings() {
    assert!(
        matches!(command(&["migrate"], &[], "").unwrap(), Command::Migrate(config) if config.store.databases.is_none())
    );
    let moved = command(&["rotate-encryption", "--data-dir", "elsewhere"], &[], "").unwrap();
    assert!(matches!(moved, Command::RotateEncryption(config) if config.store.data_dir.ends_with("elsewhere")));
}

#[test]
fn a_weak_master_key_warns_in_development_and_is_refused_in_production() {
    let long_sample = "please-CHANGE-ME-before-you-go-to-production";
    for weak in ["hunter2", "replace-with-a-long-secret", long_sample] {
        let warnings = config(&[("MASTER_KEY", weak)]).warnings;
        assert!(matches!(warnings.as_slice(), [one] if one.contains("MASTER_KEY") && !one.contains(weak)));
        for environment in ["GATEWAY_ENV", "NODE_ENV"] {
            let lines = problems(&[("MASTER_KEY", weak), (environment, "production")]);
            assert!(
                matches!(lines.as_slice(), [one] if one.contains("production") && !one.contains(weak)),
                "{lines:?}"
            );
        }
    }
    // Generated secrets are strong, so production may run without any.
    assert!(config(&[("GATEWAY_ENV", "production")]).security.master_key.is_none());
}

#[test]
fn gateway_env_wins_over_node_env() {
    let environment = |variables: &[(&str, &str)]| config(variables).security.environment;
    assert_eq!(environment(&[("NODE_ENV", "production")]), Environment::Production);
    let both = [("NODE_ENV", "production"), ("GATEWAY_ENV", "development")];
    assert_eq!(environment(&both), Environment::Development);
}

#[test]
fn a_keyring_needs_sound_keys_and_a_known_active_one() {
    let ring = format!(r#"{{"old":"{HEX}","new-1":"{}"}}"#, HEX.to_ascii_uppercase());
    let sound = config(&[("ENCRYPTION_KEYRING", &ring), ("ACTIVE_ENCRYPTION_KEY_ID", "new-1")]);
    assert!(format!("{:?}", sound.security.keyring).contains("new-1"));

    let repeated = format!(r#"{{"a":"{HEX}","a":"{HEX}"}}"#);
    let spaced = format!(r#"{{"a b":"{HEX}"}}"#);
    for bad in ["{}", "[]", "not json", r#"{"a":"12"}"#, r#"{"a":1}"#, repeated.as_str(), spaced.as_str()] {
        let lines = problems(&[("ENCRYPTION_KEYRING", bad), ("ACTIVE_ENCRYPTION_KEY_ID", "a")]);
        assert!(matches!(lines.as_slice(), [one] if one.starts_with("ENCRYPTION_KEYRING")), "{bad}: {lines:?}");
    }
    for variables in [
        &[("ENCRYPTION_KEYRING", ring.as_str())][..],
        &[("ENCRYPTION_KEYRING", ring.as_str()), ("ACTIVE_ENCRYPTION_KEY_ID", "other")],
    ] {
        let lines = problems(variables);
        assert!(
            matches!(lines.as_slice(), [one] if one.starts_with("ACTIVE_ENCRYPTION_KEY_ID") && one.contains("new-1, old")),
            "{lines:?}"
        );
    }
    let both = problems(&[
        ("ENCRYPTION_KEYRING", &ring),
        ("ACTIVE_ENCRYPTION_KEY_ID", "old"),
        ("CREDENTIALS_ENCRYPTION_KEY", HEX),
    ]);
    assert!(matches!(both.as_slice(), [one] if one.contains("one of the two")), "{both:?}");
}

#[test]
fn secrets_are_in_no_debug_output_and_in_no_message() {
    let ring = format!(r#"{{"k1":"{HEX}"}}"#);
    let sound = [("MASTER_KEY", STRONG), ("ENCRYPTION_KEYRING", &ring), ("ACTIVE_ENCRYPTION_KEY_ID", "k1")];
    let shown = format!("{:?} {:?}", config(&sound), Surroundings::made_up(&sound, &format!("MASTER_KEY={STRONG}")));
    assert!(!shown.contains(STRONG) && !shown.contains(HEX), "{shown}");

    let bad = [
        ("MASTER_KEY", "hunter2 with a space"),
        ("CREDENTIALS_ENCRYPTION_KEY", "hunter2"),
        ("DATABASE_URL", "mysql://u:hunter2@db"),
        ("DATABASE_LISTEN_URL", "hunter2"),
        ("REDIS_URL", "https://:hunter2@r"),
        ("GATEWAY_ENV", "production"),
    ];
    let stop = command(&[], &bad, "").unwrap_err();
    assert!(!format!("{stop} {stop:?}").contains("hunter2"), "{stop}");
    let rings = [r#"{"k1":"hunter2"}"#, r#"{"hunter2"}"#, r#""hunter2""#];
    for ring in rings {
        assert!(!problems(&[("ENCRYPTION_KEYRING", ring)]).concat().contains("hunter2"));
    }
    let (text, _) = usage(&["--master-kye=hunter2"]);
    assert!(!text.contains("hunter2"), "{text}");
    let stop = command(&[], &[], "PORT=1\nMASTER_KEY=\"hunter2\n").unwrap_err();
    assert!(!format!("{stop} {stop:?}").contains("hunter2"), "{stop}");
    assert!(stop.to_string().contains(".env line 2"), "{stop}");
}

#[test]
fn a_variable_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let mut surroundings = Surroundings::made_up(&[], "");
    surroundings.set("HOST", OsString::from_vec(vec![0xff]));
    let stop = parse_with([OsString::from("unified-gateway")], &surroundings).unwrap_err();
    assert!(stop.to_string().contains("HOST (--host): is not valid UTF-8"), "{stop}");
}

#[test]
fn the_other_commands_need_no_settings() {
    let broken = [("PORT", "broken")];
    let run = |args: &[&str]| command(args, &broken, "").unwrap();
    assert!(matches!(run(&["version"]), Command::Version));
    assert!(matches!(run(&["catalog", "validate"]), Command::CatalogValidate));
    assert!(matches!(run(&["catalog", "list"]), Command::CatalogList { provider: None, json: false }));
    assert!(matches!(run(&["catalog", "list", "--counts"]), Command::CatalogCounts));
    assert!(matches!(
        run(&["catalog", "list", "--provider", "openai", "--json"]),
        Command::CatalogList { provider: Some(provider), json: true } if provider == "openai"
    ));
}

#[test]
fn help_names_every_setting_with_variable_and_default_and_ends_with_zero() {
    for args in [&["--help"][..], &["serve", "--help"]] {
        let (text, code) = usage(args);
        assert_eq!(code, 0);
        for setting in cli::settings_definition().get_opts() {
            let long = setting.get_long().unwrap();
            let variable = problem::variable_of(long);
            assert!(text.contains(&format!("--{long} <")), "{long}");
            assert!(text.contains(&format!("[env: {variable}]")), "{variable}");
        }
        assert!(text.contains("[default: 4000]"), "{text}");
    }
    assert_eq!(usage(&["--version"]).1, 0);
    assert_eq!(usage(&["--no-such-flag"]).1, 2);
    assert_eq!(usage(&["catalog"]).1, 2);
}

#[test]
fn the_table_has_every_setting_once_with_default_and_meaning() {
    let table = settings_table();
    let settings = cli::settings_definition().get_opts().count();
    assert_eq!(table.lines().count(), settings + 2);
    for line in table.lines() {
        assert_eq!(line.matches('|').count(), 5, "{line}");
        assert!(!line.contains("|  |"), "{line}");
    }
    assert!(table.contains("| `GRPC_PORT` | `--grpc-port` | `4001` |"), "{table}");
    assert!(table.contains("| `HOST` | `--host` | 127.0.0.1; 0.0.0.0 when DATABASE_URL is set |"), "{table}");
}
