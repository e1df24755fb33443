//! `plank ready`: whether a plank that runs follows the changes. For the health check of a container, which has no other program
//! that speaks HTTP.

use std::io::Write as _;

use clap::Args;
use tokio::time::timeout;

use crate::app::AppError;
use crate::limits::READY_ANSWER_MAX;

use super::doctor::http::Answer;
use super::tail::Address;

/// The variable of `plank serve --listen`.
const LISTEN_VARIABLE: &str = "PLANK_LISTEN";

/// The settings of `plank ready`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status 0: it follows the changes. 1: it does not, or is not reached; standard error says why. Within 4 s.\n\n\
    Examples:\n  plank ready\n  plank ready --url unix:/run/plank/plank.sock\n  plank ready --url https://plank.example"
)]
pub struct ReadyArgs {
    /// The server: http://HOST:PORT, https://HOST, or unix:/PATH [default: the first address of PLANK_LISTEN, or http://127.0.0.1:8080]
    #[arg(long, env = "PLANK_URL", value_name = "URL")]
    url: Option<String>,
}

/// Asks once.
pub fn run(args: ReadyArgs) -> Result<(), AppError> {
    super::start_logger("error");
    let url = args.url.unwrap_or_else(|| {
        let listen = std::env::var(LISTEN_VARIABLE).unwrap_or_default();
        local_url(&listen)
    });
    let address = Address::parse(&url)?;
    let asked = async {
        let answer = Answer::get(&address, "/readyz", "Connection: close\r\n").await?;
        match answer.status {
            200 => Ok(()),
            status => {
                let body = answer.text().await;
                Err(match detail(&body) {
                    Some(detail) => format!("it answers {status}: {detail}"),
                    None => format!("it answers {status}; is that address a plank?"),
                })
            }
        }
    };
    let answer = actix_rt::System::new().block_on(async { timeout(READY_ANSWER_MAX, asked).await });
    let answer = answer.unwrap_or_else(|_| {
        let seconds = READY_ANSWER_MAX.as_secs();
        Err(format!("no answer within {seconds} s"))
    });
    answer.map_err(|why| AppError(format!("{} is not ready: {why}", address.shown)))?;
    // A reader that has gone is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{} is ready", address.shown);
    Ok(())
}

/// Where a server of this machine is reached that listens on `listen`, which may be a list: an address that stands for all of
/// them is asked on loopback.
fn local_url(listen: &str) -> String {
    let first = listen.split(',').next().unwrap_or_default().trim();
    if first.starts_with("unix:") {
        return first.to_owned();
    }
    let (host, port) = first.rsplit_once(':').unwrap_or(("", "8080"));
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        other => other,
    };
    format!("http://{host}:{port}")
}

/// What a problem of plank's says. The body may be chunked.
fn detail(body: &str) -> Option<String> {
    let mut problem = serde_json::Deserializer::from_str(&body[body.find('{')?..])
        .into_iter::<serde_json::Value>();
    let problem = problem.next()?.ok()?;
    Some(problem["detail"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_serve_is_asked_on_this_machine() {
        for (listen, url) in [
            ("", "http://127.0.0.1:8080"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:8081", "http://[::1]:8081"),
            ("[::1]:8081", "http://[::1]:8081"),
            ("localhost:1,unix:/x", "http://localhost:1"),
            (" unix:/run/plank.sock ,127.0.0.1:1", "unix:/run/plank.sock"),
        ] {
            assert_eq!(local_url(listen), url, "{listen}");
        }
    }

    #[test]
    fn the_reason_of_a_problem_is_found_in_a_chunked_body() {
        let body = "2f\r\n{\"type\":\"urn:plank:away\",\"detail\":\"it is away\"}\r\n0\r\n\r\n";
        assert_eq!(detail(body).as_deref(), Some("it is away"));
        for body in ["", "<html>", "{\"detail\":", "{\"detail\":1}", "{}"] {
            assert_eq!(detail(body), None, "{body}");
        }
    }
}
