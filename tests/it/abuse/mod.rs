//! Clients that are hostile: each attack meets a bound, with an answer, a metric, and neighbours that notice nothing.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use tokio::net::TcpSocket;

use crate::support::raw::{RawClient, frame, handshake};
use crate::support::{TestApp, within};

mod dear;
mod descriptors;
mod floods;
mod frames;
mod heads;
mod hosts;
mod names;
mod places;
mod storm;
mod upgrades;

/// A client that comes from an address of loopback, of which there are many.
async fn from(address: &str, to: SocketAddr) -> RawClient {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    let own: IpAddr = address.parse().unwrap();
    socket.bind(SocketAddr::new(own, 0)).unwrap();
    RawClient::of(within("a connection", socket.connect(to)).await.unwrap())
}

/// The head of the answer to a request for a WebSocket.
async fn knock(client: &mut RawClient, more: &str) -> String {
    client.send(handshake("/ws", more).as_bytes()).await;
    client.head().await
}

/// Says something in a text frame.
async fn say(client: &mut RawClient, message: Value) {
    client
        .send(&frame(0x81, message.to_string().as_bytes()))
        .await;
}

/// The next message.
async fn hear(client: &mut RawClient) -> Value {
    loop {
        let (first, payload) = client.frame().await;
        match first {
            0x81 => return serde_json::from_slice(&payload).unwrap(),
            0x89 => {}
            other => panic!("{other:x}: {:?}", String::from_utf8_lossy(&payload)),
        }
    }
}

/// A neighbour who asks for little: it is served at once.
async fn neighbour_is_served(app: &TestApp, name: &str) {
    let mut client = app.subscribed("items").await;
    app.execute(&format!("insert into items (name) values ('{name}')"))
        .await;
    while client.change().await["row"]["name"] != name {}
}
