//! Those that write while the weather is rough.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

/// Writes past plank, and through it. What fails is tried again, or not.
pub async fn write(
    config: tokio_postgres::Config,
    port: u16,
    stop: watch::Receiver<bool>,
    odd: Arc<Mutex<Vec<String>>>,
) {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let mut sql: Option<Client> = None;
    for round in 0_u64.. {
        if *stop.borrow() {
            return;
        }
        if sql.as_ref().is_none_or(Client::is_closed) {
            sql = match config.connect(tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    Some(client)
                }
                Err(_) => None,
            };
        }
        if let Some(sql) = &sql {
            let statement = match round % 8 {
                0..=3 => {
                    "update items set description = 'again' where id in (select id from items order by random() limit 3)"
                }
                4 | 5 => "insert into items (name) select 'n' || i from generate_series(1, 3) i",
                6 => {
                    {
                        // About as many as there are in the end, however long it lasts.
                        "delete from items where id in (select id from items order by id \
                     limit (select greatest(1, count(*) - 500) from items))"
                    }
                }
                _ => "begin; update items set status = 'done' where id = 1; rollback",
            };
            let _ = timeout(Duration::from_secs(30), sql.batch_execute(statement)).await;
        }
        let posted = http
            .post(format!("http://127.0.0.1:{port}/api/items"))
            .json(&json!({"name": format!("r{round}")}))
            .send()
            .await;
        if let Ok(answer) = posted {
            let status = answer.status().as_u16();
            // Of nginx 502 and 504 while plank is away; of plank what it says of its database.
            if !matches!(status, 201 | 409 | 502 | 503 | 504) {
                let said = answer.text().await.unwrap_or_default();
                odd.lock().unwrap().push(format!("{status}: {said}"));
            }
        }
        sleep(Duration::from_millis(30)).await;
    }
}
