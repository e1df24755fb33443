//! Requests that never become one.

use std::time::{Duration, Instant};

use plank::limits::REQUEST_HEAD_MAX;
use tokio::io::AsyncWriteExt;
use tokio::time::interval;

use super::neighbour_is_served;
use crate::support::raw::{RawClient, handshake};
use crate::support::{TestApp, until, within};

const SLOW: usize = 400;

#[actix_web::test]
async fn request_heads_that_trickle_in_are_cut_off_and_hold_nobody_up() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    let started = Instant::now();
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut client = RawClient::connect(app.address).await;
        match n % 4 {
            // Never says anything.
            0 => {}
            // A whole request, as a decoy, and another one that has no end.
            1 => {
                let two = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX-A: ";
                client.send(two.as_bytes()).await;
            }
            2 => client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ").await,
            // Half a handshake.
            _ => {
                let head = handshake("/ws", "X-A: ");
                client.send(&head.as_bytes()[..head.len() - 2]).await;
            }
        }
        slow.push(client);
    }
    // One byte every now and then, from all but those that are silent.
    let trickle = async {
        let mut tick = interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            for client in slow.iter_mut().enumerate().filter(|(n, _)| n % 4 > 0) {
                let _ = client.1.stream.write(b"a").await;
            }
        }
    };
    let counted = "plank_limits_total{limit=\"request_head\"}";
    let meanwhile = async {
        neighbour_is_served(&app, "one").await;
        assert!(started.elapsed() < REQUEST_HEAD_MAX / 2, "it was held up");
        until("all are cut off", async || {
            app.metric(counted).await == SLOW as f64
        })
        .await;
    };
    tokio::select! { () = trickle => {}, () = meanwhile => {} }
    assert!(started.elapsed() < REQUEST_HEAD_MAX * 2, "all at a time");
    let answer = String::from_utf8(slow[2].rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[actix_web::test]
async fn heads_that_are_huge_or_have_very_many_headers_are_refused() {
    let app = TestApp::start_with(|config| config.workers = 1).await;
    let many: String = (0..200).map(|n| format!("X-{n}: a\r\n")).collect();
    let huge = format!("X-A: {}\r\n", "a".repeat(256 * 1024));
    let endless = "a".repeat(256 * 1024);
    for (head, status) in [
        (handshake("/ws", &many), "431"),
        (handshake("/ws", &huge), "431"),
        (
            format!("GET /api/items HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
            "431",
        ),
        (
            format!("GET /api/items HTTP/1.1\r\nHost: x\r\n{huge}\r\n"),
            "431",
        ),
        (format!("GET /{endless} HTTP/1.1\r\nHost: x\r\n\r\n"), "431"),
        (endless.clone(), "431"),
    ] {
        let client = RawClient::connect(app.address).await;
        let (read, mut write) = client.stream.into_split();
        // It stops to read before all has been sent.
        let sending = tokio::spawn(async move {
            let _ = write.write_all(head.as_bytes()).await;
            write
        });
        let mut answer = vec![0; 12];
        let mut read = read;
        let got = within(
            "an answer",
            tokio::io::AsyncReadExt::read_exact(&mut read, &mut answer),
        );
        let got = got
            .await
            .map(|_| String::from_utf8_lossy(&answer).into_owned());
        assert_eq!(got.unwrap(), format!("HTTP/1.1 {status}"));
        sending.abort();
    }
    neighbour_is_served(&app, "afterwards").await;
}
