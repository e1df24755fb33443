//! The examples of docs/LIVE-QUERIES.md, in the order in which a reader meets them.

use super::{Followed, truth};
use crate::support::TestApp;

const DOCS: &str = include_str!("../../../docs/LIVE-QUERIES.md");

#[actix_web::test]
async fn examples_of_the_docs_are_what_their_queries_give() {
    let app = TestApp::start().await;
    let (_, examples) = DOCS.split_once("\n## Examples\n").unwrap();
    let blocks: Vec<&str> = examples
        .split("```sql\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 5);
    let mut names = Vec::new();
    for block in blocks {
        let (made, changes) = block.split_once(";\n").unwrap();
        app.execute(made).await;
        let name = made
            .split_once("watch_query('")
            .and_then(|(_, rest)| rest.split_once('\''));
        let mut followed = match name {
            Some((name, _)) => {
                names.push(name);
                Some(Followed::start(&app, name).await)
            }
            None => None,
        };
        app.execute(changes).await;
        if let Some(followed) = &mut followed {
            followed.settle().await;
            assert!(followed.changes > 0, "{block}");
        }
    }
    assert_eq!(names, ["order_board", "revenue", "low_stock", "leaders"]);
    for name in names {
        let query = app
            .sql
            .query_one(
                "select query from plank.live_query where name = $1",
                &[&name],
            )
            .await
            .unwrap();
        let mut followed = Followed::start(&app, name).await;
        followed.settle().await;
        let truth = truth(&app, query.get(0)).await;
        assert!(!truth.is_empty(), "{name}");
        assert_eq!(followed.rows(), truth, "{name}");
    }
    app.stop().await.unwrap();
}
