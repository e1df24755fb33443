//! `principals`: what a change costs plank when a thousand principals look at a table, each at rows of its own, against one.

use serde_json::{Map, json};
use tokio_postgres::Client;

use super::filters::Tenants;
use crate::support::bed::Bed;
use crate::support::client::Subscriber;
use crate::support::report::{Report, Verdict};
use crate::support::{Effort, Outcome, auth, stats};

const ONE: usize = 1;
const MANY: usize = 1_000;

/// The processor's time for a change among many may be so many times that with one.
const RATIO_MAX: f64 = 2.0;

/// Interleaved, so that whatever else the machine does meets both alike.
const ROUNDS: usize = 5;

/// Runs it.
pub async fn run(effort: Effort) -> Outcome<Report> {
    let changes = effort.of(10_000, 200);
    let many = effort.of(MANY, 20);
    let (bed, _secret) = auth::bed().await?;
    let sql = bed.connect().await?;
    let mut beds = [
        start(&bed, &sql, ONE).await?,
        start(&bed, &sql, many).await?,
    ];
    let mut figures = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        eprintln!("load: principals, round {round} of {ROUNDS}");
        for (tenants, figures) in beds.iter_mut().zip(&mut figures) {
            figures.push(tenants.measure(&bed, &sql, changes).await?);
        }
    }
    let facts = bed.database_facts().await?;
    bed.stop().await?;
    let medians = figures.each_mut().map(|figures| stats::median(figures));
    let head = ["principals", "µs of processor for a change"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for (tenants, median) in beds.iter().zip(medians) {
        table.push(vec![tenants.filters.to_string(), format!("{median:.1}")]);
    }
    let ratio = medians[1] / medians[0];
    Ok(Report {
        method: format!(
            "plank with `--auth on`, and two tables with the policy `tenant_id=eq.{{claim.tenant}}`. One principal looks at the one, \
             {many} at the other, each with a token, a WebSocket and rows of its own. {changes} times a row of the first one is inserted, \
             each in a transaction of its own and after the one before it; it concerns nobody else. Time of all threads of the \
             process `plank` in user and kernel mode, median of {ROUNDS} interleaved rounds."
        ),
        facts,
        table,
        plot: None,
        verdicts: vec![Verdict {
            text: format!("{many} principals to one: {ratio:.2} times, at most {RATIO_MAX} times"),
            is_within: ratio <= RATIO_MAX,
        }],
    })
}

async fn start(bed: &Bed, sql: &Client, principals: usize) -> Outcome<Tenants> {
    let mut tenants = Tenants::empty(sql, "owned", principals).await?;
    // What is asked is what a change costs for those whom it does not concern.
    tenants.concerned = 1;
    let allow = format!(
        "select plank.allow('{}', 'tenant', 'tenant_id=eq.{{claim.tenant}}')",
        tenants.table()
    );
    sql.batch_execute(&allow).await?;
    for tenant in 0..principals {
        let claims = Map::from_iter([("tenant".to_owned(), json!(tenant))]);
        let token = auth::token(&format!("user-{tenant}"), "tenant", claims)?;
        let socket = Subscriber::logged_in(bed.plank.address, tenants.table(), &token).await?;
        tenants.push(socket);
    }
    Ok(tenants)
}
