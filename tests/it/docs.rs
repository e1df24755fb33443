//! The commands that README and docs print are run, in the order in which a reader meets them, and say what is printed there.
//!
//! Only blocks of the language `console` are run: a line after `$ ` is a command, and what follows it is what it prints. Figures
//! may differ, and a line that ends with `...` is only the beginning of one.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::support::cluster::connect;
use crate::support::program::Dir;
use crate::support::tool::free_port;
use crate::support::{Cluster, until, within};

const ADDRESS: &str = "127.0.0.1:8080";

/// A command, and the lines that it prints.
struct Step {
    command: String,
    expected: Vec<String>,
}

/// Those of one section, which a reader runs one after the other.
fn sections(markdown: &str) -> Vec<Vec<Step>> {
    let mut sections = vec![Vec::new()];
    let mut is_console = false;
    for line in markdown.lines() {
        let text = line.trim_start();
        let steps = sections.last_mut().unwrap();
        match text.strip_prefix("$ ").filter(|_| is_console) {
            _ if text.starts_with("## ") => sections.push(Vec::new()),
            _ if text.starts_with("```") => is_console = text == "```console",
            Some(command) => steps.push(Step {
                command: command.into(),
                expected: Vec::new(),
            }),
            None if is_console => steps.last_mut().unwrap().expected.push(text.into()),
            None => {}
        }
    }
    sections.retain(|steps| !steps.is_empty());
    sections
}

/// A line without what differs from run to run.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.chars() {
        match c.is_ascii_digit() {
            true if shape.ends_with('0') => {}
            true => shape.push('0'),
            false => shape.push(c),
        }
    }
    shape
}

fn is_as_printed(line: &str, printed: &str) -> bool {
    match printed.strip_suffix("...") {
        Some(start) => shape(line).starts_with(&shape(start)),
        None => shape(line) == shape(printed),
    }
}

/// How many of the first lines of `expected` have come, in this order.
fn come(expected: &[String], said: &[String]) -> usize {
    let mut lines = said.iter();
    let has_come = |printed: &&String| lines.any(|line| is_as_printed(line, printed));
    expected.iter().take_while(has_come).count()
}

/// A command that runs.
struct Running {
    step: Step,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    async fn expect(&self, count: usize) {
        let what = format!("{}: {:?}", self.step.command, self.step.expected);
        let holds = async || come(&self.step.expected, &self.said()) >= count;
        let all = until(&what, holds);
        tokio::pin!(all);
        // For a failure to show what came instead.
        tokio::select! {
            () = &mut all => {}
            () = tokio::time::sleep(crate::support::DEADLINE / 2) => {
                println!("{what}\nhas said so far: {:#?}", self.said());
                all.await;
            }
        }
    }

    async fn end(mut self) {
        let group = Pid::from_raw(self.child.id().unwrap() as i32);
        killpg(group, Signal::SIGTERM).unwrap();
        within("the end of a command", self.child.wait())
            .await
            .unwrap();
    }
}

fn listen(from: impl AsyncRead + Unpin + Send + 'static, said: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lock().unwrap().push(line);
        }
    });
}

/// A reader with a shell.
struct Reader<'a> {
    dir: &'a Dir,
    address: String,
    database: String,
    environment: HashMap<String, String>,
    running: Vec<Running>,
}

impl Reader<'_> {
    /// What a command is here: plank is built already, and the address and the database are the test's.
    fn here(&self, text: &str) -> String {
        text.replace(ADDRESS, &self.address)
            .replace("postgresql://you@localhost/shop", &self.database)
            .replace("make run", "plank serve")
    }

    fn start(&self, step: Step) -> Running {
        let mut command = Command::new("bash");
        command
            .args(["-o", "pipefail", "-c", step.command.trim_end_matches(" &")])
            .current_dir(&self.dir.0)
            .envs(&self.environment)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let said = Arc::default();
        listen(child.stdout.take().unwrap(), Arc::clone(&said));
        listen(child.stderr.take().unwrap(), Arc::clone(&said));
        Running { step, child, said }
    }

    async fn run(&mut self, mut step: Step) {
        step.command = self.here(&step.command);
        for line in &mut step.expected {
            *line = self.here(line);
        }
        println!("$ {}", step.command);
        if let Some(setting) = step.command.strip_prefix("export ") {
            let (name, value) = setting.split_once('=').unwrap();
            self.environment
                .insert(name.into(), value.trim_matches('\'').into());
            return;
        }
        let goes_on = ["plank serve", "plank tail", "curl -N"];
        let goes_on = goes_on.iter().any(|part| step.command.contains(part));
        let count = step.expected.len();
        let mut running = self.start(step);
        if goes_on {
            running.expect(count.min(1)).await;
            self.running.push(running);
            return;
        }
        let status = within("the end of a command", running.child.wait()).await;
        if !status.unwrap().success() {
            let what = "why the command failed";
            until(what, async || !running.said().is_empty()).await;
            panic!("{}: {:#?}", running.step.command, running.said());
        }
        running.expect(count).await;
    }

    /// What was started has said all that is printed by now, and ends.
    async fn end_section(&mut self) {
        for running in &self.running {
            running.expect(running.step.expected.len()).await;
        }
        for running in self.running.drain(..).rev() {
            running.end().await;
        }
    }
}

#[actix_web::test]
async fn commands_of_the_documents_do_what_is_printed() {
    let cluster = Cluster::shared();
    let database = cluster.empty_database().await;
    let sql = connect(&cluster.config(&database)).await;
    sql.batch_execute(
        "create table orders (id bigint generated always as identity primary key, total int, region text);
         insert into orders (total, region) values (7, 'north');
         create schema sales; create table sales.\"Order Lines\" (id int primary key, total int)",
    )
    .await
    .unwrap();
    let row = sql
        .query_one("select setting from pg_config where name = 'BINDIR'", &[])
        .await
        .unwrap();
    let programs: String = row.get(0);
    let dir = Dir::new("docs");
    let address = format!("127.0.0.1:{}", free_port());
    let plank = Path::new(env!("CARGO_BIN_EXE_plank")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let environment = HashMap::from([
        (
            "PATH".to_owned(),
            format!("{}:{path}:{programs}", plank.display()),
        ),
        ("PLANK_LISTEN".into(), address.clone()),
        ("PLANK_URL".into(), format!("http://{address}")),
        ("PLANK_DATA_DIR".into(), format!("{}/data", dir.path())),
        ("NO_COLOR".into(), "1".into()),
    ]);
    let mut reader = Reader {
        dir: &dir,
        address,
        database: cluster.url(&database),
        environment,
        running: Vec::new(),
    };
    let documents = [
        include_str!("../../README.md"),
        include_str!("../../docs/CLI.md"),
    ];
    for document in documents {
        for section in sections(document) {
            // Most sections of the documents speak of a plank that runs.
            let serves = section.iter().any(|step| {
                step.command.contains("make run") || step.command.contains("plank serve")
            });
            if !serves {
                let serve = Step {
                    command: "plank serve".into(),
                    expected: vec![format!("plank is live at http://{ADDRESS}")],
                };
                reader.run(serve).await;
            }
            for step in section {
                reader.run(step).await;
            }
            reader.end_section().await;
        }
    }
}
