//! Refreshes the results of live queries: when the tables that they read have changed, and when clients ask for them as of now. Any
//! number of nodes may do so at a time; the row of a query in `plank.live_query` lets one refresh it. The node that did it last comes
//! first, and another one takes over after [`crate::limits::LIVE_QUERY_TAKE_OVER`]. It never touches a session.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{sleep, sleep_until};

use crate::actor::refresh_request::{Fresh, News, RefreshRequest};
use crate::config::Server;
use crate::feed::catalog::Oid;
use crate::health::Health;
use crate::limits::{
    LIVE_QUERY_AWAY, LIVE_QUERY_CONNECTIONS_KEPT, LIVE_QUERY_DEAR_REFRESHES_MAX,
    LIVE_QUERY_LOOK_INTERVAL, LIVE_QUERY_REFRESHES_MAX,
};
use crate::metrics::{Metrics, QueryLabel};
use crate::store::live_query::{Link, LiveQuery, Outcome};

mod measure;
mod query;
mod work;

use query::Query;
use work::{Done, End, Wanted};

type Job = Pin<Box<dyn Future<Output = (Done, Option<Link>)>>>;

/// Refreshes for ever. When it panics it is begun anew.
pub async fn run(
    server: Server,
    request: Arc<RefreshRequest>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) {
    loop {
        let refresher = Refresher::new(
            server.clone(),
            request.clone(),
            metrics.clone(),
            health.clone(),
        );
        let life = actix_rt::spawn(refresher.run());
        // It ends with this future.
        let _guard = AbortOnDrop(life.abort_handle());
        if let Err(error) = life.await {
            log::error!("refresher of live queries has failed, it begins anew error={error}");
        }
        request.has_gap();
        sleep(LIVE_QUERY_AWAY).await;
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Refresher {
    server: Server,
    request: Arc<RefreshRequest>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    queries: BTreeMap<String, Query>,
    /// Those that ask for a query which is not known yet.
    unknown: Vec<(String, oneshot::Sender<Fresh>)>,
    /// The same from before the look that is under way, which answers them.
    looking: Vec<(String, oneshot::Sender<Fresh>)>,
    /// See [`RefreshRequest::catalog`]: when that look began.
    catalog: u64,
    /// Those that a job works for, by the query.
    answering: HashMap<String, Vec<oneshot::Sender<Fresh>>>,
    jobs: FuturesUnordered<Job>,
    links: Vec<Link>,
    /// When to look again; none while one looks.
    look: Option<Instant>,
    /// What has come says that it is time to look.
    look_is_due: bool,
    is_away: bool,
}

impl Refresher {
    fn new(
        server: Server,
        request: Arc<RefreshRequest>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Self {
        Self {
            server,
            request,
            metrics,
            health,
            queries: BTreeMap::new(),
            unknown: Vec::new(),
            looking: Vec::new(),
            catalog: 0,
            answering: HashMap::new(),
            jobs: FuturesUnordered::new(),
            links: Vec::new(),
            look: Some(Instant::now()),
            look_is_due: false,
            is_away: false,
        }
    }

    async fn run(mut self) {
        loop {
            let news = self.request.take();
            self.hear(news);
            let next = self.start();
            let request = self.request.clone();
            tokio::select! {
                () = request.heard() => {}
                Some((done, link)) = self.jobs.next(), if !self.jobs.is_empty() => self.end(done, link),
                () = sleep_until(next.into()) => {}
            }
        }
    }

    fn hear(&mut self, news: News) {
        let now = Instant::now();
        self.look_is_due |= news.is_of_catalog;
        for query in self.queries.values_mut() {
            query.touch(&news.touched, now);
            if news.has_gap {
                query.suspect();
            }
        }
        for ask in news.asks {
            match self.queries.get_mut(&ask.name) {
                Some(query) => query.ask(ask.answer),
                None => {
                    if self.unknown.len() == self.unknown.capacity() {
                        // While the database is away they come and go.
                        self.unknown.retain(|(_, answer)| !answer.is_closed());
                    }
                    self.unknown.push((ask.name, ask.answer));
                    self.look_is_due = true;
                }
            }
        }
    }

    /// Starts what is due, and is not under way; when to look again.
    fn start(&mut self) -> Instant {
        let now = Instant::now();
        let far = now + LIVE_QUERY_LOOK_INTERVAL;
        if !self.health.is_live() {
            // The listener says when the database is back.
            return now + LIVE_QUERY_AWAY / 10;
        }
        if self.look.is_some_and(|at| at <= now || self.look_is_due) {
            (self.look, self.look_is_due) = (None, false);
            self.looking.retain(|(_, answer)| !answer.is_closed());
            self.looking.append(&mut self.unknown);
            self.catalog = self.request.catalog();
            let job = work::look(self.server.clone(), self.links.pop());
            self.jobs.push(Box::pin(job));
        }
        let mut next = self.look.unwrap_or(far);
        let mut due: Vec<(bool, Instant, String)> = Vec::new();
        for (name, query) in &self.queries {
            let is_asked = !query.asks.is_empty() && !query.is_running();
            if is_asked {
                due.push((false, now, name.clone()));
            } else if let Some(at) = query.due() {
                match at <= now {
                    true => due.push((true, at, name.clone())),
                    false => next = next.min(at),
                }
            }
        }
        due.sort();
        for (is_unasked, _, name) in due {
            if self.may_start(&name) {
                match is_unasked {
                    true => self.start_one(&name, now),
                    false => self.start_asked(&name, now),
                }
            }
        }
        next
    }

    /// Whether there is a place for a refresh of this query.
    fn may_start(&self, name: &str) -> bool {
        let is_running = |query: &&Query| query.is_running();
        let running = self.queries.values().filter(is_running);
        let all = running.clone().count();
        let dear = running.filter(|query| query.is_dear()).count();
        let is_dear = self.queries.get(name).is_some_and(Query::is_dear);
        all < LIVE_QUERY_REFRESHES_MAX && (!is_dear || dear < LIVE_QUERY_DEAR_REFRESHES_MAX)
    }

    fn wanted(&self, query: &Query) -> Wanted {
        Wanted {
            name: query.known.name.clone(),
            first: query.first(self.request.seen_xmin()),
            is_scoped: query.known.is_scoped,
        }
    }

    fn start_one(&mut self, name: &str, now: Instant) {
        let Some(wanted) = self.queries.get(name).map(|query| self.wanted(query)) else {
            return;
        };
        if let Some(query) = self.queries.get_mut(name) {
            query.begin(now);
        }
        let job = work::one(self.server.clone(), self.links.pop(), wanted);
        self.jobs.push(Box::pin(job));
    }

    /// For those that wait: also the queries that it reads, first.
    fn start_asked(&mut self, name: &str, now: Instant) {
        let names = self.chain(name);
        let chain: Vec<Wanted> = names
            .iter()
            .filter_map(|name| Some(self.wanted(self.queries.get(name)?)))
            .collect();
        let Some(query) = self.queries.get_mut(name) else {
            return;
        };
        let asks = std::mem::take(&mut query.asks);
        query.begin(now);
        self.answering.insert(name.to_owned(), asks);
        let job = work::ask(self.server.clone(), self.links.pop(), chain);
        self.jobs.push(Box::pin(job));
    }

    /// The live queries that a query reads, each behind those that it reads itself; it is the last.
    fn chain(&self, name: &str) -> Vec<String> {
        let by_rel: HashMap<Oid, &String> = self
            .queries
            .iter()
            .map(|(name, query)| (query.known.rel, name))
            .collect();
        let (mut chain, mut open) = (Vec::new(), vec![(name.to_owned(), false)]);
        let mut met = HashSet::new();
        while let Some((name, is_done)) = open.pop() {
            if is_done {
                chain.push(name);
                continue;
            }
            if !met.insert(name.clone()) {
                continue;
            }
            let bases = self.queries.get(&name).map(|query| &query.known.bases);
            let read: Vec<String> = bases
                .into_iter()
                .flatten()
                .filter_map(|rel| by_rel.get(rel).map(|name| (*name).clone()))
                .collect();
            open.push((name, true));
            open.extend(read.into_iter().map(|name| (name, false)));
        }
        chain
    }

    fn end(&mut self, done: Done, link: Option<Link>) {
        if let Some(link) = link
            && self.links.len() < LIVE_QUERY_CONNECTIONS_KEPT
        {
            self.links.push(link);
        }
        match done {
            Done::Looked(Ok(list)) => self.looked(list),
            Done::Looked(Err(error)) => {
                self.look = Some(Instant::now() + LIVE_QUERY_AWAY);
                if !self.is_away {
                    log::warn!("live queries not followed reason=\"{error}\"");
                }
                self.is_away = true;
            }
            Done::Refreshed(name, end) => {
                let begun = self.queries.get(&name).and_then(Query::begun);
                let took = begun.map(|begun| begun.elapsed()).unwrap_or_default();
                self.count(&name, &end, took);
                self.settle(&name, &end);
            }
            Done::Asked(name, ends, fresh) => {
                for (of, end, took) in &ends {
                    self.count(of, end, *took);
                    if *of != name
                        && let End::Done(Outcome::Refreshed { place, .. }) = end
                        && let Some(query) = self.queries.get_mut(of)
                    {
                        query.was_refreshed(place);
                    }
                }
                let last = ends.iter().rev().find(|(of, _, _)| *of == name);
                match last {
                    Some((_, end, _)) => self.settle(&name, end),
                    None => self.put_back(&name),
                }
                for ask in self.answering.remove(&name).into_iter().flatten() {
                    // A client that has gone does not mind.
                    let _ = ask.send(fresh.clone());
                }
            }
        }
    }

    fn looked(&mut self, list: Vec<LiveQuery>) {
        let now = Instant::now();
        (self.look, self.is_away) = (Some(now + LIVE_QUERY_LOOK_INTERVAL), false);
        let names: HashSet<String> = list.iter().map(|query| query.name.clone()).collect();
        let bases = list.iter().flat_map(|query| query.bases.iter().copied());
        // Before the first refresh of a query that is new: see `RefreshRequest::follow`.
        self.request
            .follow(names.clone(), bases.collect(), self.catalog);
        for (name, gone) in self.queries.extract_if(.., |name, _| !names.contains(name)) {
            self.metrics.forget_query(&name);
            for ask in gone.asks {
                let _ = ask.send(Ok(None));
            }
        }
        self.metrics.live_queries.set(list.len() as i64);
        for known in list {
            let label = QueryLabel {
                query: known.name.clone(),
            };
            let interval = known.interval.as_secs_f64();
            self.metrics
                .query_interval_seconds
                .get_or_create(&label)
                .set(interval);
            self.metrics
                .query_stale
                .get_or_create(&label)
                .set(known.is_stale.into());
            let name = known.name.clone();
            match self
                .queries
                .get_mut(&name)
                .filter(|query| query.known.rel == known.rel)
            {
                Some(query) => {
                    if known.is_stale && !query.known.is_stale {
                        query.suspect();
                    }
                    query.known = known;
                }
                None => drop(self.queries.insert(name, Query::new(known, now))),
            }
        }
        for (name, answer) in std::mem::take(&mut self.looking) {
            match self.queries.get_mut(&name) {
                Some(query) => query.ask(answer),
                None => drop(answer.send(Ok(None))),
            }
        }
    }

    fn settle(&mut self, name: &str, end: &End) {
        let now = Instant::now();
        let Some(query) = self.queries.get_mut(name) else {
            return;
        };
        match end {
            End::Done(outcome) => {
                query.end(outcome, now);
                self.look_is_due |= *outcome == Outcome::Gone;
            }
            End::Failed(_, delay) => query.fail(now + *delay),
        }
    }

    fn put_back(&mut self, name: &str) {
        if let Some(query) = self.queries.get_mut(name) {
            query.fail(Instant::now() + LIVE_QUERY_AWAY);
        }
    }
}
