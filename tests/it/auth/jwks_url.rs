//! Keys that come from a URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use plank::auth::{Keys, Rejected, Tokens};
use plank::config::JwksUrl;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Secure;
use super::keys::Pairs;
use crate::support::{WsClient, until};

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A server that gives one answer, which can be changed; none while it is empty. How often it was asked.
async fn server(answer: watch::Receiver<String>) -> (JwksUrl, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys?tenant=1", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut answer = answer.clone();
            count.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _length = socket.read(&mut head).await?;
                let answer = answer.wait_for(|a| !a.is_empty()).await.unwrap().clone();
                socket.write_all(answer.as_bytes()).await
            });
        }
    });
    (JwksUrl::parse(&url).unwrap(), asked)
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

async fn start(url: JwksUrl) -> Secure {
    Secure::start_with(|config| {
        let auth = config.auth.as_mut().unwrap();
        (auth.secret_file, auth.jwks_url) = (None, Some(url));
    })
    .await
}

#[actix_rt::test]
async fn a_request_waits_for_a_key_that_is_on_its_way() {
    let (answer, answers) = watch::channel(String::new());
    let (url, asked) = server(answers).await;
    let app = start(url).await;
    let pairs = Pairs::new();
    let header = json!({"alg": "EdDSA", "kid": "o"});
    let token = pairs.sign("o", &header, "ann");
    until("a question", async || asked.load(SeqCst) == 1).await;
    let bearer = [("authorization", format!("Bearer {token}"))];
    let bearer = [("authorization", bearer[0].1.as_str())];
    let (waiting, socket, ()) = tokio::join!(
        app.ask(&token, "GET", "/api/tables", None),
        WsClient::with_headers(app.address, "/ws", &bearer),
        async { drop(answer.send(ok(&set(&pairs.jwks())))) }
    );
    assert_eq!(waiting.0, 200, "{}", waiting.1);
    assert!(socket.is_ok());
    // Made-up names cause no more questions.
    for kid in 0..20 {
        let header = json!({"alg": "EdDSA", "kid": format!("x{kid}")});
        let token = pairs.sign("o", &header, "ann");
        assert_eq!(app.ask(&token, "GET", "/api/tables", None).await.0, 401);
    }
    assert_eq!(asked.load(SeqCst), 1);
}

#[actix_rt::test]
async fn without_a_key_set_yet_a_token_is_no_mistake_of_its_client() {
    for bad in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        &ok("no set"),
        &ok(&"x".repeat(2 << 20)),
        "nonsense",
    ] {
        let (_answer, answers) = watch::channel(bad.to_owned());
        let (url, _) = server(answers).await;
        let app = start(url).await;
        let pairs = Pairs::new();
        let token = pairs.sign("o", &json!({"alg": "EdDSA", "kid": "o"}), "ann");
        let (status, problem) = app.ask(&token, "GET", "/api/tables", None).await;
        assert_eq!(status, 503, "{bad:.40}: {problem}");
        let garbage = app.ask("garbage", "GET", "/api/tables", None).await;
        assert_eq!(garbage.0, 401, "{bad:.40}");
    }
}

#[test]
fn a_new_set_replaces_the_old_one_and_none_leaves_it() {
    let keys = Keys::load(None, None, Some("https://id.example".into())).unwrap();
    let tokens = Tokens::new(keys, None, None);
    let (old, new) = (Pairs::new(), Pairs::new());
    let header = json!({"alg": "EdDSA", "kid": "o"});
    let check = |pairs: &Pairs| tokens.check(&pairs.sign("o", &header, "ann")).map(drop);
    let take = |answer: Result<String, &str>| {
        let answer = answer.map(String::into_bytes).map_err(String::from);
        tokens.keys().take_answer(answer);
    };
    assert_eq!(check(&old), Err(Rejected::UnknownKey));
    take(Ok(set(&old.jwks())));
    assert_eq!(check(&old), Ok(()));
    let mut private = new.jwks();
    private[2]["d"] = json!("x");
    for none in [Err("away"), Ok("{".into()), Ok(set(&private))] {
        take(none);
        assert_eq!(check(&old), Ok(()), "the old keys stay");
    }
    take(Ok(set(&new.jwks())));
    assert_eq!(
        (check(&new), check(&old)),
        (Ok(()), Err(Rejected::Signature))
    );
    take(Ok(set(&new.jwks()[..1])));
    assert_eq!(check(&new), Err(Rejected::UnknownKey), "it was taken back");
    take(Ok(set(&new.jwks())));
    take(Ok(set(&[])));
    assert_eq!(check(&new), Err(Rejected::UnknownKey), "all were");
}
