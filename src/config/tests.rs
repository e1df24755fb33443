//! The settings as a whole.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ServeArgs,
}

fn resolve(args: &[&str]) -> Result<Config, ConfigError> {
    Cli::parse_from([&["plank"], args].concat()).args.resolve()
}

#[test]
fn addresses_are_read() {
    let config = resolve(&[
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "unix:/run/p.sock",
        "--listen",
        "[::1]:80",
    ])
    .unwrap();
    let shown: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["http://127.0.0.1:0", "unix:/run/p.sock", "http://[::1]:80"]
    );
}

#[test]
fn what_is_wrong_is_named() {
    let cases: [(&[&str], &str); 15] = [
        (&["--listen", "0.0.0.0:80"], "--insecure"),
        (&["--listen", "[::]:80"], "--insecure"),
        (&["--listen", "nonsense"], "HOST:PORT"),
        (&["--listen", "unix:run"], "absolute path"),
        (&["--workers", "0"], "--workers is 0"),
        (
            &["--max-connections-per-ip", "0"],
            "--max-connections-per-ip is 0",
        ),
        (&["--trusted-proxy", "10.0.0.0/40"], "--trusted-proxy"),
        (
            &[
                "--auth",
                "on",
                "--jwt-secret-file",
                "s",
                "--login-url",
                "http://id.example/",
            ],
            "--login-url has to be https",
        ),
        (
            &["--login-url", "https://id.example/"],
            "--login-url has no meaning while --auth is off",
        ),
        (&["--retention", "5"], "--retention"),
        (&["--retention", "99999999999999999999d"], "--retention"),
        (&["--retention-rows", "0"], "--retention-rows is 0"),
        (&["--allowed-origin", "example.org"], "--allowed-origin"),
        (
            &["--database-url", "postgres://u:geheim@h:port/d"],
            "PLANK_DATABASE_URL",
        ),
        (
            &[
                "--database-url",
                "host=h user=u",
                "--listen-database-url",
                "host=h user=u sslcrl=x",
            ],
            "PLANK_LISTEN_DATABASE_URL) has sslcrl",
        ),
    ];
    for (args, part) in cases {
        let error = resolve(args).unwrap_err().to_string();
        assert!(
            error.contains(part) && !error.contains("geheim"),
            "{args:?}: {error}"
        );
    }
    assert!(resolve(&["--listen", "0.0.0.0:80", "--insecure"]).is_ok());
}

#[test]
fn a_retention_is_a_number_with_a_unit() {
    for (text, seconds) in [
        ("90s", 90),
        ("30m", 1_800),
        ("24h", 86_400),
        (" 7d ", 604_800),
    ] {
        assert_eq!(parse::duration("x", text), Ok(Duration::from_secs(seconds)));
    }
    for text in ["", "s", "-1s", "1.5h", "1w", "0s", "1ä", "h24"] {
        assert!(parse::duration("x", text).is_err(), "{text}");
    }
}

#[test]
fn an_empty_database_url_is_a_mistake_and_no_private_postgresql() {
    for empty in ["", " "] {
        let error = resolve(&["--database-url", empty]).unwrap_err().to_string();
        assert!(
            error.contains("PLANK_DATABASE_URL") && error.contains("empty"),
            "{error}"
        );
    }
}

#[test]
fn an_origin_is_normalised() {
    let config = resolve(&["--allowed-origin", "https://Example.org/,http://a:1"]).unwrap();
    assert_eq!(
        config.allowed_origins,
        ["https://example.org", "http://a:1"]
    );
}
