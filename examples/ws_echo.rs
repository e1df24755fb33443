//! plank's own WebSocket codec as an echo server: text and binary, fragments, permessage-deflate, messages of 16 MiB. For
//! Autobahn (`make autobahn`) and other tools that check RFC 6455 and RFC 7692.
//!
//! ```text
//! cargo run --release --example ws_echo -- 127.0.0.1:9001
//! ```

use std::error::Error;
use std::time::Duration;

use actix_http::ws::hash_key;
use bytes::Bytes;
use plank::wire::decode::Decoder;
use plank::wire::event::Event;
use plank::wire::{deflate, frame, offer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The largest messages that Autobahn sends.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Between two reads, and for a write.
const PATIENCE: Duration = Duration::from_secs(60);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    println!("ws_echo is live at ws://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async {
            if let Err(error) = serve(stream).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    let head_bytes = loop {
        if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let n = timeout(PATIENCE, stream.read_buf(&mut read)).await??;
        if n == 0 || read.len() > HEAD_BYTES_MAX {
            return Err("no request".into());
        }
    };
    let (response, is_deflated) = answer(&read[..head_bytes])?;
    timeout(PATIENCE, stream.write_all(response.as_bytes())).await??;
    read.drain(..head_bytes);
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX).with_deflate(is_deflated);
    loop {
        let (replies, ends) = echo(&mut decoder, &read, is_deflated);
        timeout(PATIENCE, stream.write_all(&replies)).await??;
        if ends {
            return linger(stream).await;
        }
        read.clear();
        if timeout(PATIENCE, stream.read_buf(&mut read)).await?? == 0 {
            return Ok(());
        }
    }
}

/// The response to a request, and whether messages may be compressed.
fn answer(head: &[u8]) -> Result<(String, bool)> {
    let head = str::from_utf8(head)?;
    let values = |wanted: &str| {
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        let values = headers.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.map(|(_, value)| value.trim()).collect::<Vec<_>>()
    };
    let key = values("sec-websocket-key");
    let key = hash_key(key.first().ok_or("no key")?.as_bytes());
    let offers = values("sec-websocket-extensions");
    let taken = offer::answer(offers.iter().map(|value| value.as_bytes()))?;
    let extensions = taken.map_or(String::new(), |taken| {
        format!("sec-websocket-extensions: {taken}\r\n")
    });
    let key = str::from_utf8(&key)?;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {key}\r\n{extensions}\r\n"
    );
    Ok((response, taken.is_some()))
}

/// The replies to what has been read, and whether the last of them is a close frame.
fn echo(decoder: &mut Decoder, mut input: &[u8], is_deflated: bool) -> (Vec<u8>, bool) {
    let mut replies = Vec::new();
    let message = |plain: Bytes| match is_deflated.then(|| deflate::frame(&plain)) {
        Some(Some(deflated)) => deflated,
        _ => plain,
    };
    loop {
        let event = match decoder.next(&mut input) {
            Ok(Some(event)) => event.inflated(MESSAGE_BYTES_MAX),
            Ok(None) => return (replies, false),
            Err(violation) => Err(violation),
        };
        match event {
            Ok(Event::Text(text)) => replies.extend(message(frame::text(text.as_bytes()))),
            Ok(Event::Binary(payload)) => replies.extend(message(frame::binary(&payload))),
            Ok(Event::Ping(payload)) => replies.extend(frame::pong(&payload)),
            Ok(Event::Pong(_) | Event::Compressed { .. }) => {}
            Ok(Event::Close(reason)) => {
                replies.extend(frame::close_reply(reason.as_ref()));
                return (replies, true);
            }
            Err(violation) => {
                let close = frame::close(violation.close_code(), &violation.to_string());
                replies.extend(close);
                return (replies, true);
            }
        }
    }
}

/// Lets the client read the close frame (RFC 6455, section 7.1.1).
async fn linger(mut stream: TcpStream) -> Result<()> {
    stream.shutdown().await?;
    let mut sink = tokio::io::sink();
    let _ = timeout(
        Duration::from_secs(1),
        tokio::io::copy(&mut stream, &mut sink),
    )
    .await;
    Ok(())
}
